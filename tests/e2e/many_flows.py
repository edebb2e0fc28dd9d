#!/usr/bin/python3
"""UDP flows that say by which interface each of their packets came.

    many_flows.py answer --port P
    many_flows.py ask --to A --port P --flows N --rate R

Who answers does so by the interface by which it was asked, and says its name.
Who asks writes a line of JSON ten times a second until SIGTERM, and a last one
when what was under way has come: for each flow how many questions were sent,
how many answers came, how many between answered ones did not, and the
interfaces, each once for as long as it was the same.
"""

import argparse
import json
import selectors
import signal
import socket
import struct
import sys
import time

_NUMBER = struct.Struct(">I")
_ROOM = 4 << 20
# Linux's, which Python does not know all.
_SO_RCVBUFFORCE, _IP_PKTINFO, _IPV6_PKTINFO = 33, 8, 50
_LAST_S = 1.0


def make(family):
  made = socket.socket(family, socket.SOCK_DGRAM)
  made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
  return made


def answer(options):
  chosen = selectors.DefaultSelector()
  for family, level, option, wanted in (
      (socket.AF_INET, socket.IPPROTO_IP, _IP_PKTINFO, _IP_PKTINFO),
      (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO,
       _IPV6_PKTINFO)):
    made = make(family)
    if family == socket.AF_INET6:
      made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.setsockopt(level, option, 1)
    made.bind(("", options.port))
    chosen.register(made, selectors.EVENT_READ, (level, wanted))
  while True:
    for key, _ in chosen.select():
      level, wanted = key.data
      data, notes, _, sender = key.fileobj.recvmsg(64, 256)
      note = next(n[2] for n in notes if n[:2] == (level, wanted))
      if wanted == _IPV6_PKTINFO:
        index = struct.unpack_from("=I", note, 16)[0]
      else:
        index, own = struct.unpack_from("=I4s", note)
        note = struct.pack("=I4s4x", index, own)
      name = socket.if_indextoname(index).encode()
      try:
        key.fileobj.sendmsg([data + name], [(level, wanted, note)], 0, sender)
      except OSError:
        pass  # no way back there just now


class Flow:
  """One of them, and what became of it."""

  def __init__(self, options):
    family = socket.AF_INET6 if ":" in options.to else socket.AF_INET
    self.socket = make(family)
    self.socket.connect((options.to, options.port))
    self.socket.setblocking(False)
    self.sent = self.heard = self.highest = 0
    self.path = []

  def ask(self):
    self.sent += 1
    try:
      self.socket.send(_NUMBER.pack(self.sent))
    except OSError:
      pass  # an error that came for an earlier one

  def take(self):
    try:
      data = self.socket.recv(64)
    except OSError:
      return
    self.heard += 1
    self.highest = max(self.highest, _NUMBER.unpack_from(data)[0])
    name = data[_NUMBER.size:].decode()
    if self.path[-1:] != [name]:
      self.path.append(name)

  def told(self):
    return self.sent, self.heard, self.highest - self.heard, self.path


def ask(options):
  ended = []
  signal.signal(signal.SIGTERM, lambda *_: ended.append(time.monotonic()))
  flows = [Flow(options) for _ in range(options.flows)]
  chosen = selectors.DefaultSelector()
  for flow in flows:
    chosen.register(flow.socket, selectors.EVENT_READ, flow)
  pause = 1 / options.rate / options.flows
  now = time.monotonic()
  due, tell, turn = now, now, 0
  while not ended or now < ended[0] + _LAST_S:
    for key, _ in chosen.select(max(0.001, min(due, tell) - now)):
      key.data.take()
    now = time.monotonic()
    # After a pause of this process it does not send all at once.
    due = max(due, now - 20 * pause)
    while now >= due and not ended:
      flows[turn % len(flows)].ask()
      due += pause
      turn += 1
    if ended:
      due = now + _LAST_S
    if now >= tell:
      print(json.dumps([flow.told() for flow in flows]), flush=True)
      tell = now + 0.1
  print(json.dumps([flow.told() for flow in flows]), flush=True)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("role", choices=("answer", "ask"))
  parser.add_argument("--to")
  parser.add_argument("--port", type=int, required=True)
  parser.add_argument("--flows", type=int, default=1)
  parser.add_argument("--rate", type=float, default=10, help="of each")
  options = parser.parse_args()
  {"answer": answer, "ask": ask}[options.role](options)


if __name__ == "__main__":
  sys.exit(main())
