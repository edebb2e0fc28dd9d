"""Says of each UDP datagram to a port that comes in by eth0 in which VLAN:

    seen_vlans.py PORT

As frames, since not every kernel has interfaces for VLANs.
"""

import socket
import struct
import sys

_ALL = 3  # ETH_P_ALL
_SOL_PACKET, _AUXDATA, _STATUS_VLAN = 263, 8, 1 << 4


def port_of(frame, at, kind):
  """The UDP port that a packet is for, if it is one."""
  if kind == 0x0800 and frame[at + 9] == 17:
    return struct.unpack_from("!H", frame, at + 22)[0]
  if kind == 0x86dd and frame[at + 6] == 17:
    return struct.unpack_from("!H", frame, at + 42)[0]
  return None


def main():
  wanted = int(sys.argv[1])
  with socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                     socket.htons(_ALL)) as heard:
    heard.setsockopt(_SOL_PACKET, _AUXDATA, 1)
    heard.bind(("eth0", _ALL))
    print("ready", flush=True)
    while True:
      frame, control, _, sender = heard.recvmsg(2048, 256)
      if sender[2] == 4 or len(frame) < 42:  # outgoing
        continue
      vlan = "none"
      for level, what, data in control:
        if level == _SOL_PACKET and what == _AUXDATA:
          status, _, _, _, _, tag = struct.unpack_from("=IIIHHH", data)
          if status & _STATUS_VLAN:
            vlan = tag & 0xfff
      kind = struct.unpack_from("!H", frame, 12)[0]
      at = 14
      if kind in (0x8100, 0x88a8):
        vlan, kind = struct.unpack_from("!HH", frame, 14)
        vlan &= 0xfff
        at = 18
      if port_of(frame, at, kind) == wanted:
        print("vlan", vlan, flush=True)


main()
