#!/usr/bin/python3
"""The order of rooms holds in the tree, and a wrong include is found (TAP)."""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_rooms  # noqa: E402

LOW, HIGH = check_rooms.ROOMS[0], check_rooms.ROOMS[-1]
ONE, OTHER = sorted(check_rooms.PROGRAMS)[:2]

# What is in the files of a tree, and the beginning of each finding.
CASES = {
    "a lower room may be used": (
        {f"{HIGH}/user.cc": f'#include "{LOW}/used.h"\n'}, []),
    "a higher room may not be used": (
        {f"{LOW}/user.h": f'// Why.\n#include "{HIGH}/used.h"\n'},
        [f"{LOW}/user.h:2: {LOW} may not use {HIGH}"]),
    "a program may not use another program": (
        {f"{ONE}/main.cc": f'#  include "{OTHER}/used.h"\n'},
        [f"{ONE}/main.cc:1: {ONE} may not use {OTHER}"]),
    "no room may use a program": (
        {f"{HIGH}/user.cc": f'#include "{ONE}/used.h"\n'},
        [f"{HIGH}/user.cc:1: {HIGH} may not use {ONE}"]),
    "each file is in a room": (
        {"dataplane/somewhere/lost.cc": ""},
        ["dataplane/somewhere/lost.cc: it is in no room"]),
}


def found_in(files):
  with tempfile.TemporaryDirectory(prefix="sluice-rooms-") as folder:
    top = pathlib.Path(folder)
    for name, text in files.items():
      (top / name).parent.mkdir(parents=True, exist_ok=True)
      (top / name).write_text(text)
    return list(check_rooms.wrong_includes(top))


def main():
  top = pathlib.Path(__file__).resolve().parents[2]
  outcomes = {"the tree": (list(check_rooms.wrong_includes(top)), [])}
  outcomes.update((name, (found_in(files), wanted))
                  for name, (files, wanted) in CASES.items())
  passed_all = True
  for number, (name, (found, wanted)) in enumerate(outcomes.items(), 1):
    passed = len(found) == len(wanted) and all(
        f.startswith(w) for f, w in zip(found, wanted))
    print(f"{'ok' if passed else 'not ok'} {number} - {name}")
    if not passed:
      print("\n".join(f"# {line}" for line in found or ["nothing found"]))
    passed_all = passed_all and passed
  return 0 if passed_all else 1


if __name__ == "__main__":
  sys.exit(main())
