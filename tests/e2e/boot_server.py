#!/usr/bin/python3
"""What a booting host asks before its first file: DHCP, its proxy, DHCPv6.

Answers on ports 67 (to everybody, as to hosts without an address), 4011 and
547 with what it was sent.
"""

import selectors
import signal
import socket
import struct
import sys


def _open(family, port):
  sock = socket.socket(family, socket.SOCK_DGRAM)
  sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  if family == socket.AF_INET6:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
  if port == 67:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
  if port == 547:
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:2")
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                    group + struct.pack("@I", socket.if_nametoindex("eth0")))
  sock.bind(("", port))
  return sock


def main():
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
  waiting = selectors.DefaultSelector()
  for family, port in ((socket.AF_INET, 67), (socket.AF_INET, 4011),
                       (socket.AF_INET6, 4011), (socket.AF_INET6, 547)):
    waiting.register(_open(family, port), selectors.EVENT_READ, port)
  while True:
    for key, _ in waiting.select():
      payload, source = key.fileobj.recvfrom(2048)
      to = ("255.255.255.255", 68) if key.data == 67 else source
      key.fileobj.sendto(payload, to)


if __name__ == "__main__":
  main()
