#!/usr/bin/python3
"""IPv4 packets of one kind from sources that do not exist, at a rate: `syn`,
`udp`, or `icmp-error` about connections that nobody has."""

import argparse
import random
import socket
import struct
import time

_IP = struct.Struct(">BBHHHBBH4s4s")


def checksum(data):
  if len(data) % 2:
    data += b"\0"
  total = sum(struct.unpack(f">{len(data) // 2}H", data))
  while total > 0xffff:
    total = (total & 0xffff) + (total >> 16)
  return ~total & 0xffff


def ip(source, to, proto, payload):
  head = _IP.pack(0x45, 0, _IP.size + len(payload), 1, 0, 64, proto, 0,
                  source, to)
  head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
  return head + payload


def syn(source, to, port, rng):
  segment = struct.pack(">HHIIBBHHH", rng.randrange(1024, 65536), port,
                        rng.getrandbits(32), 0, 0x50, 2, 8192, 0, 0)
  pseudo = source + to + struct.pack(">BBH", 0, 6, len(segment))
  total = checksum(pseudo + segment)
  return ip(source, to, 6, segment[:16] + struct.pack(">H", total) +
            segment[18:])


def udp(source, to, port, rng):
  # Without a checksum.
  return ip(source, to, 17, struct.pack(
      ">HHHH", rng.randrange(1024, 65536), port, 12, 0) + b"none")


def icmp_error(source, to, port, rng):
  quoted = ip(to, source, 17, struct.pack(
      ">HHHH", port, rng.randrange(1024, 65536), 8, 0))
  error = struct.pack(">BBHI", 3, 3, 0, 0) + quoted
  error = error[:2] + struct.pack(">H", checksum(error)) + error[4:]
  return ip(source, to, 1, error)


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
  to = socket.inet_aton(options.to)
  with socket.socket(socket.AF_INET, socket.SOCK_RAW,
                     socket.IPPROTO_RAW) as out:
    started = time.monotonic()
    for number in range(options.packets):
      if number % 32 == 0:
        ahead = started + number / options.rate - time.monotonic()
        if ahead > 0:
          time.sleep(ahead)
      source = bytes((10, 77, rng.randrange(256), rng.randrange(1, 255)))
      out.sendto(make(source, to, options.port, rng), (options.to, 0))


if __name__ == "__main__":
  main()
