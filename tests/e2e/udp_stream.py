#!/usr/bin/python3
"""A numbered UDP stream at a constant rate, and its receiver.

The receiver ends when the sender's last packets, which say how many there
were, have come, or when nothing has come for a while after the first.  SIGUSR1
tells it that the sender is done: if nothing has come by then, nothing will.
The sender, on SIGUSR1, sends no more than it has.
"""

import argparse
import json
import resource
import signal
import socket
import struct
import sys
import time

_PACKET = struct.Struct(">II")  # number, how many (0: not known yet)
_LAST_PACKETS = 5
_PADDING = bytes(200)
_SILENCE_S = 4.0
_LAST_LOOK_S = 0.5
_TICK_S = 0.25
_SO_RCVBUFFORCE = 33  # of Linux; above the limit of ordinary users


def _new_flow(family, to):
  """A socket with a port of its own."""
  out = socket.socket(family, socket.SOCK_DGRAM)
  out.connect(to)
  return out


def send(options):
  family = socket.AF_INET6 if ":" in options.to else socket.AF_INET
  to = (options.to, options.port)
  total = int(options.rate * options.seconds)
  others = []
  ended = False

  def end(*_):
    nonlocal ended
    ended = True

  signal.signal(signal.SIGUSR1, end)
  resource.setrlimit(resource.RLIMIT_NOFILE, (total + 100, total + 100))
  with socket.socket(family, socket.SOCK_DGRAM) as out:
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    out.bind(("", options.source_port))
    out.connect(to)
    started = time.monotonic()
    for number in range(total):
      if ended:
        total = number
        break
      ahead = started + number / options.rate - time.monotonic()
      if ahead > 0.001:
        time.sleep(ahead)
      if options.new_flows:
        # Kept open, so that no port is used twice.
        others.append(_new_flow(family, to))
        others[-1].send(_PACKET.pack(number, 0) + _PADDING)
      else:
        out.send(_PACKET.pack(number, 0) + _PADDING)
    # The end is said more than once: it must not be what gets lost.
    for _ in range(_LAST_PACKETS):
      time.sleep(0.05)
      try:
        out.send(_PACKET.pack(0, total))
      except ConnectionRefusedError:
        break  # The receiver has heard it and is gone.
  print(json.dumps({"sent": total,
                    "seconds": round(time.monotonic() - started, 3)}))


def receive(options):
  seen, duplicates, total = set(), 0, None
  last = time.monotonic()
  done_at = None

  def sender_done(*_):
    nonlocal done_at
    done_at = time.monotonic()

  signal.signal(signal.SIGUSR1, sender_done)
  with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as inlet:
    inlet.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    inlet.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
    inlet.bind(("::", options.port))
    inlet.settimeout(_TICK_S)
    while total is None:
      try:
        number, total_said = _PACKET.unpack_from(inlet.recv(2048))
      except socket.timeout:
        now = time.monotonic()
        if seen:
          if now - last >= _SILENCE_S:
            break
        elif (now - last >= options.first or
              (done_at is not None and now - done_at >= _LAST_LOOK_S)):
          break
        continue
      last = time.monotonic()
      if total_said:
        total = total_said
      elif number in seen:
        duplicates += 1
      else:
        seen.add(number)
  # Also while the interpreter ends.
  signal.signal(signal.SIGUSR1, signal.SIG_IGN)
  print(json.dumps({"received": len(seen), "duplicates": duplicates,
                    "said": total}))


def main():
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("role", choices=["send", "receive"])
  parser.add_argument("--to")
  parser.add_argument("--port", type=int, required=True)
  parser.add_argument("--rate", type=float, default=2000, help="packets/s")
  parser.add_argument("--seconds", type=float, default=5)
  parser.add_argument("--source-port", type=int, default=0,
                      help="0: any that is free")
  parser.add_argument("--new-flows", action="store_true",
                      help="send each packet from another port")
  parser.add_argument("--first", type=float, default=15,
                      help="seconds to wait for the first packet")
  options = parser.parse_args()
  (send if options.role == "send" else receive)(options)


if __name__ == "__main__":
  main()
