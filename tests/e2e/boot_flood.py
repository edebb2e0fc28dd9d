#!/usr/bin/python3
"""TFTP requests from addresses that are nobody's, at a constant rate.

Frames are made by hand, so that the source can be anything: each request comes
from another address of 172.16.0.0/12 or of 2001:db8::/32. SIGTERM ends it;
then it prints how many it has sent.
"""

import argparse
import ipaddress
import json
import random
import signal
import socket
import struct
import time


def _checksum(data):
  if len(data) % 2:
    data += b"\0"
  total = sum(struct.unpack(f"!{len(data) // 2}H", data))
  total = (total & 0xffff) + (total >> 16)
  return ~(total + (total >> 16)) & 0xffff


def _frame(ethernet, source, destination, port, payload):
  length = 8 + len(payload)
  udp = struct.pack("!HHHH", port, 69, length, 0) + payload
  pseudo = source.packed + destination.packed + struct.pack("!IHH", length, 0,
                                                            17)
  udp = udp[:6] + struct.pack("!H", _checksum(pseudo + udp) or 0xffff) + udp[8:]
  if source.version == 4:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, 17, 0,
                       source.packed, destination.packed)
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return ethernet + b"\x08\x00" + head + udp
  head = struct.pack("!IHBB16s16s", 6 << 28, length, 17, 64, source.packed,
                     destination.packed)
  return ethernet + b"\x86\xdd" + head + udp


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--device", default="eth0")
  parser.add_argument("--to", type=ipaddress.ip_address, required=True)
  parser.add_argument("--mac", required=True, help="of the destination")
  parser.add_argument("--rate", type=int, default=1000, help="a second")
  parser.add_argument("--seconds", type=float, default=600, help="at most")
  options = parser.parse_args()
  ended = []
  signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
  draw = random.Random(7)
  ethernet = bytes.fromhex(options.mac.replace(":", "")) + b"\2\0\0\0\0\x66"
  network = (0xac100000, 20) if options.to.version == 4 else (
      0x20010db8 << 96, 96)
  sent, began = 0, time.monotonic()
  with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind((options.device, 0))
    while not ended and time.monotonic() - began < options.seconds:
      while sent < (time.monotonic() - began) * options.rate and not ended:
        source = network[0] + draw.getrandbits(network[1])
        source = (ipaddress.IPv4Address(source) if options.to.version == 4
                  else ipaddress.IPv6Address(source))
        try:
          sock.send(_frame(ethernet, source, options.to,
                           draw.randrange(1024, 65536), b"\0\1f\0octet\0"))
        except OSError:
          pass  # the device's queue is full
        sent += 1
      time.sleep(0.002)
  print(json.dumps({"sent": sent,
                    "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
  main()
