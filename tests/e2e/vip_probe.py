#!/usr/bin/python3
"""Asks an address for echoes without asking where it is, and tells what it
hears: vip_probe.py INTERFACE MAC OWN-ADDRESS ADDRESS...

A line each, with the time: "answers ADDRESS" when they begin, or begin anew,
and "announced ADDRESS MAC" for a gratuitous ARP or an unsolicited neighbour
advertisement.
"""

import ipaddress
import socket
import struct
import sys
import time

from flood import checksum, packet

_PAUSE_S = 0.003
_SILENCE_S = 0.5
_OUTGOING = 4


def echo(own, address):
  if own.version == 4:
    body = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + b"probe---"
    body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
    return b"\x08\0" + packet(own.packed, address.packed, 1, body)
  body = struct.pack(">BBHHH", 128, 0, 0, 1, 1) + b"probe---"
  return b"\x86\xdd" + packet(own.packed, address.packed, 58, body, 2)


def heard(frame):
  """(what, address, MAC) of a frame; None."""
  kind = frame[12:14]
  if kind == b"\x08\x06" and len(frame) >= 42:
    if frame[28:32] == frame[38:42]:
      return "announced", ipaddress.ip_address(frame[28:32]), frame[22:28]
  elif kind == b"\x08\0" and frame[23:24] == b"\x01" and frame[34:35] == b"\0":
    return "answers", ipaddress.ip_address(frame[26:30]), frame[6:12]
  elif kind == b"\x86\xdd" and frame[20:21] == b"\x3a":
    if frame[54:55] == b"\x81":
      return "answers", ipaddress.ip_address(frame[22:38]), frame[6:12]
    # For all nodes, and not solicited.
    if (frame[54:55] == b"\x88" and frame[38] == 0xff and
        not frame[58] & 0x40):
      return "announced", ipaddress.ip_address(frame[62:78]), frame[6:12]
  return None


def main():
  name, mac = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", ""))
  own, *addresses = map(ipaddress.ip_address, sys.argv[3:])
  line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
  line.bind((name, 0))
  line.settimeout(_PAUSE_S)
  source = bytes.fromhex(open(f"/sys/class/net/{name}/address").read().strip()
                         .replace(":", ""))
  frames = [mac + source + echo(own, address) for address in addresses
            if address.version == own.version]
  last = dict.fromkeys(addresses, 0.0)
  sent = 0.0
  print("ready", flush=True)
  while True:
    now = time.time()
    if now >= sent + _PAUSE_S:
      sent = now
      for frame in frames:
        line.send(frame)
    try:
      frame, where = line.recvfrom(2048)
    except TimeoutError:
      continue
    told = heard(frame) if where[2] != _OUTGOING else None
    if told is None or told[1] not in last:
      continue
    now = time.time()
    if told[0] == "announced":
      print(f"{now:.6f} announced {told[1]} {told[2].hex(':')}", flush=True)
      continue
    if now - last[told[1]] > _SILENCE_S:
      print(f"{now:.6f} answers {told[1]}", flush=True)
    last[told[1]] = now


if __name__ == "__main__":
  main()
