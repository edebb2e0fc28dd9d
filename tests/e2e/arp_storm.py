"""Asks for an address as often as it can: arp_storm.py INTERFACE ADDRESS N."""

import socket
import sys

name, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((name, 0))
own = bytes.fromhex(open(f"/sys/class/net/{name}/address").read().strip()
                    .replace(":", ""))
target = socket.inet_aton(address)
for i in range(count):
  sender = socket.inet_aton(f"10.1.0.{3 + i % 200}")
  out.send(b"\xff" * 6 + own + bytes.fromhex("0806" "0001" "0800" "0604" "0001")
           + own + sender + bytes(6) + target)
