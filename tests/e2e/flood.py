#!/usr/bin/python3
"""Packets of one kind from sources that do not exist, at a rate: `syn`, `udp`,
or `icmp-error` about connections that nobody has. IPv4 or IPv6, as --to is."""

import argparse
import ipaddress
import random
import socket
import struct
import time

_IP = struct.Struct(">BBHHHBBH4s4s")
_IP6 = struct.Struct(">IHBB16s16s")


def checksum(data):
  if len(data) % 2:
    data += b"\0"
  total = sum(struct.unpack(f">{len(data) // 2}H", data))
  while total > 0xffff:
    total = (total & 0xffff) + (total >> 16)
  return ~total & 0xffff


def packet(source, to, proto, payload, sum_at=None):
  """An IP packet; `sum_at`: where its payload has a checksum over the
  pseudo-header too."""
  if sum_at is not None:
    pseudo = (source + to + struct.pack(">BBH", 0, proto, len(payload))
              if len(to) == 4 else
              source + to + struct.pack(">IBBBB", len(payload), 0, 0, 0, proto))
    total = checksum(pseudo + payload) or 0xffff
    payload = (payload[:sum_at] + struct.pack(">H", total) +
               payload[sum_at + 2:])
  if len(to) == 16:
    return _IP6.pack(6 << 28, len(payload), proto, 64, source, to) + payload
  head = _IP.pack(0x45, 0, _IP.size + len(payload), 1, 0, 64, proto, 0,
                  source, to)
  return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def syn(source, to, port, rng):
  return packet(source, to, 6, struct.pack(
      ">HHIIBBHHH", rng.randrange(1024, 65536), port, rng.getrandbits(32), 0,
      0x50, 2, 8192, 0, 0), 16)


def udp(source, to, port, rng):
  return packet(source, to, 17, struct.pack(
      ">HHHH", rng.randrange(1024, 65536), port, 12, 0) + b"none", 6)


def icmp_error(source, to, port, rng):
  quoted = packet(to, source, 17, struct.pack(
      ">HHHH", port, rng.randrange(1024, 65536), 8, 0), 6)
  if len(to) == 16:
    return packet(source, to, 58, struct.pack(">BBHI", 1, 4, 0, 0) + quoted, 2)
  error = struct.pack(">BBHI", 3, 3, 0, 0) + quoted
  error = error[:2] + struct.pack(">H", checksum(error)) + error[4:]
  return packet(source, to, 1, error)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("kind", choices=("syn", "udp", "icmp-error"))
  parser.add_argument("--to", required=True)
  parser.add_argument("--port", type=int, default=80)
  parser.add_argument("--packets", type=int, required=True)
  parser.add_argument("--rate", type=int, default=10_000)
  options = parser.parse_args()
  make = {"syn": syn, "udp": udp, "icmp-error": icmp_error}[options.kind]
  rng = random.Random(1)
  to = ipaddress.ip_address(options.to)
  v6 = to.version == 6
  with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET,
                     socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
    started = time.monotonic()
    for number in range(options.packets):
      if number % 32 == 0:
        ahead = started + number / options.rate - time.monotonic()
        if ahead > 0:
          time.sleep(ahead)
      last = bytes((rng.randrange(256), rng.randrange(1, 255)))
      source = (bytes((0xfd, 0x77)) + bytes(12) if v6 else bytes((10, 77)))
      out.sendto(make(source + last, to.packed, options.port, rng),
                 (options.to, 0))


if __name__ == "__main__":
  main()
