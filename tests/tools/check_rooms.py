#!/usr/bin/python3
"""Checks that no file includes one of a room above its own.

Rooms are folders, here from the lowest to the highest; a room may use those
before it.  The programs at the end use the rooms, and not each other.
Libraries are linked the same way (a meson.build a room), so that most wrong
arrows do not link either; this also sees headers, which do not need to.

  check_rooms.py [--order] [TOP]

Prints a line for each wrong include and ends with 1 if there is any.
"""

import argparse
import pathlib
import re
import sys

ROOMS = """
packet
pftable/policy
pftable/host
pftable/print
pftable/optimize
pftable/language
pftable/tables
pftable/engine
pftable/classify
pftable/compile
pftable/store
conntrack
restore
dataplane/base
dataplane/host
dataplane/routing
dataplane/control/api
dataplane/forward
dataplane/ports
dataplane/workers
dataplane/router
dataplane/packetlog
dataplane/transfer
dataplane/filters
dataplane/keep
dataplane/engine
dataplane/control/socket
dataplane/control/methods
dataplane/metrics
dataplane/config
dataplane/exporter
""".split()

# Each may use the rooms up to the one named.
PROGRAMS = {
    "dataplane/daemon": "dataplane/exporter",
    "dataplane/sluicectl": "dataplane/metrics",
    "dataplane/replay": "dataplane/engine",
}

_INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def room_of(path):
  """The innermost room that a path below the top is in, or None."""
  folder = pathlib.PurePosixPath(path).parent
  while str(folder) not in (".", "/"):
    if str(folder) in _RANKS:
      return str(folder)
    folder = folder.parent
  return None


_RANKS = {room: rank for rank, room in enumerate(ROOMS)}
_RANKS.update({program: len(ROOMS) for program in PROGRAMS})


def may_include(room, other):
  if room == other:
    return True
  if other in PROGRAMS:
    return False
  if room in PROGRAMS:
    return _RANKS[other] <= _RANKS[PROGRAMS[room]]
  return _RANKS[other] < _RANKS[room]


def wrong_includes(top):
  """Yields "file:line: what is wrong" of every file in a room."""
  for folder in sorted({room.split("/")[0] for room in _RANKS}):
    for path in sorted((top / folder).rglob("*")):
      if path.suffix not in (".h", ".cc"):
        continue
      name = path.relative_to(top).as_posix()
      room = room_of(name)
      if room is None:
        yield f"{name}: it is in no room (tests/tools/check_rooms.py)"
        continue
      for number, line in enumerate(path.read_text().splitlines(), 1):
        match = _INCLUDE.match(line)
        if not match:
          continue
        target = match.group(1)
        other = room_of(target)
        if other is not None and not may_include(room, other):
          yield f"{name}:{number}: {room} may not use {other} ({target})"


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("top", nargs="?", type=pathlib.Path,
                      default=pathlib.Path(__file__).parents[2])
  parser.add_argument("--order", action="store_true",
                      help="print the rooms, the lowest first, and end")
  args = parser.parse_args()
  if args.order:
    print("\n".join(ROOMS + sorted(PROGRAMS)))
    return 0
  wrong = list(wrong_includes(args.top))
  print("\n".join(wrong), end="\n" if wrong else "")
  return 1 if wrong else 0


if __name__ == "__main__":
  sys.exit(main())
