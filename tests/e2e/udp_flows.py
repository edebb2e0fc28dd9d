#!/usr/bin/python3
"""One UDP packet over IPv4 of each of many flows, at a rate."""

import argparse
import socket
import struct
import time

_HEADER = struct.Struct(">HHHH")
_PAYLOAD = b"flow"


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("--to", required=True)
  parser.add_argument("--port", type=int, required=True)
  parser.add_argument("--flows", type=int, required=True)
  parser.add_argument("--rate", type=int, default=40_000)
  options = parser.parse_args()
  with socket.socket(socket.AF_INET, socket.SOCK_RAW,
                     socket.IPPROTO_UDP) as out:
    out.connect((options.to, 0))
    started = time.monotonic()
    for number in range(options.flows):
      if number % 64 == 0:
        ahead = started + number / options.rate - time.monotonic()
        if ahead > 0:
          time.sleep(ahead)
      # A checksum of 0: the sender has not made one.
      header = _HEADER.pack(1024 + number % 60_000,
                            options.port + number // 60_000,
                            _HEADER.size + len(_PAYLOAD), 0)
      out.send(header + _PAYLOAD)


if __name__ == "__main__":
  main()
