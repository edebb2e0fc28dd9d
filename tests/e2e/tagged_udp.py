"""Sends one UDP datagram in a VLAN, or in a VLAN of a VLAN, from eth0:

    tagged_udp.py MAC SOURCE DESTINATION PORT VLAN...

As a frame, since not every kernel has interfaces for VLANs.
"""

import socket
import struct
import sys

_IPV4, _IPV6, _VLAN, _UDP = 0x0800, 0x86dd, 0x8100, 17


def checksum(data):
  data += bytes(len(data) % 2)
  total = sum(struct.unpack(f"!{len(data) // 2}H", data))
  while total >> 16:
    total = (total & 0xffff) + (total >> 16)
  return ~total & 0xffff


def packet(source, destination, port):
  """The ethertype and the packet."""
  family = socket.AF_INET6 if ":" in source else socket.AF_INET
  ends = b"".join(socket.inet_pton(family, end)
                  for end in (source, destination))
  data = struct.pack("!HHHH", port, port, 16, 0) + bytes(8)
  pseudo = ends + struct.pack("!II", len(data), _UDP)
  data = data[:6] + struct.pack("!H", checksum(pseudo + data)) + data[8:]
  if family == socket.AF_INET6:
    return _IPV6, struct.pack("!IHBB", 6 << 28, len(data), _UDP, 64) + ends + data
  head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 64, _UDP, 0)
  head = head[:10] + struct.pack("!H", checksum(head + ends))
  return _IPV4, head + ends + data


def main():
  mac, source, destination, port, *vlans = sys.argv[1:]
  kind, data = packet(source, destination, int(port))
  tags = b"".join(struct.pack("!HH", _VLAN, int(vlan)) for vlan in vlans)
  with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("eth0", 0))
    own = out.getsockname()[4]
    frame = bytes.fromhex(mac.replace(":", "")) + own + tags
    out.send(frame + struct.pack("!H", kind) + data)


main()
