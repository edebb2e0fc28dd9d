#!/usr/bin/python3
"""Too much of something, at a rate until it is ended:

    storm.py arp INTERFACE ADDRESS RATE      questions for the address, from
    storm.py discovery INTERFACE ADDRESS RATE  thousands of neighbours
    storm.py scan INTERFACE NETWORK RATE MAC   packets through the router with
                                               this MAC to all of a network

Prints how many it was.
"""

import ipaddress
import itertools
import signal
import socket
import struct
import sys
import time

from flood import checksum, packet

# So many different ones: more than a kernel has room for.
_NEIGHBOURS = 20_000


def arp(own, address, number):
  sender = bytes((10, 1, number >> 8 & 0xff, number & 0xff))
  mac = bytes((2, 0, 0)) + number.to_bytes(3, "big")
  head = bytes.fromhex("0806" "0001" "0800" "0604" "0001")
  return b"\xff" * 6 + mac + head + mac + sender + bytes(6) + address.packed


def discovery(own, address, number):
  sender = bytes((0xfd, 1)) + bytes(10) + (0x10000 + number).to_bytes(4, "big")
  mac = bytes((2, 0, 0)) + number.to_bytes(3, "big")
  group = bytes.fromhex("ff02000000000000000000" "01ff") + address.packed[13:]
  body = (struct.pack(">BBHI", 135, 0, 0, 0) + address.packed +
          b"\x01\x01" + mac)
  head = struct.pack(">IHBB16s16s", 6 << 28, len(body), 58, 255, sender, group)
  pseudo = sender + group + struct.pack(">IBBBB", len(body), 0, 0, 0, 58)
  body = body[:2] + struct.pack(">H", checksum(pseudo + body)) + body[4:]
  return b"\x33\x33\xff" + address.packed[13:] + mac + b"\x86\xdd" + head + body


def scan(own, network, number, mac):
  to = network.network_address + 0x100 + number
  body = struct.pack(">HHHH", 1000, 9, 12, 0) + b"scan"
  if network.version == 4:
    source, kind = bytes((10, 1, 0, 2)), b"\x08\0"
  else:
    source, kind = bytes.fromhex("fd01") + bytes(13) + b"\x02", b"\x86\xdd"
  return mac + own + kind + packet(source, to.packed, 17, body, 6)


def main():
  what, name, target, rate = sys.argv[1:5]
  own = bytes.fromhex(open(f"/sys/class/net/{name}/address").read().strip()
                      .replace(":", ""))
  if what == "scan":
    network = ipaddress.ip_network(target)
    mac = bytes.fromhex(sys.argv[5].replace(":", ""))
    frames = [scan(own, network, n, mac) for n in range(_NEIGHBOURS)]
  else:
    make = {"arp": arp, "discovery": discovery}[what]
    frames = [make(own, ipaddress.ip_address(target), n)
              for n in range(256, 256 + _NEIGHBOURS)]
  ended = []
  signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
  out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
  out.bind((name, 0))
  print("begins", flush=True)
  started, sent = time.monotonic(), 0
  for frame in itertools.cycle(frames):
    if ended:
      break
    if sent % 16 == 0:
      now = time.monotonic()
      ahead = started + sent / int(rate) - now
      if ahead > 0:
        time.sleep(ahead)
      elif ahead < -0.1:
        started = now - sent / int(rate)  # it does not catch up
    try:
      out.send(frame)
    except OSError:
      pass  # no room: too much for the link, too
    sent += 1
  print(sent, flush=True)


if __name__ == "__main__":
  main()
