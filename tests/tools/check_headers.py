#!/usr/bin/python3
"""Checks that each header of the rooms compiles alone.

Flags are those that the build directory has for the room's own sources, or for
those of the room before it where a room has headers only.  Prints what the
compiler says of each header that does not, and writes one case a header to the
results.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_rooms  # noqa: E402


def flags_by_folder(build_dir, top):
  """{folder below the top: flags} of one target in each folder."""
  targets = json.loads(subprocess.run(
      ["meson", "introspect", str(build_dir), "--targets"], check=True,
      stdout=subprocess.PIPE, text=True).stdout)
  flags = {}
  for target in targets:
    folder = str(pathlib.Path(target["defined_in"]).parent.relative_to(top))
    for source in target["target_sources"]:
      if source.get("language") == "cpp":
        flags.setdefault(folder, source["compiler"] + source["parameters"])
  return flags


def check(header, command, build_dir):
  """What the compiler says, or nothing."""
  done = subprocess.run(
      command + ["-w", "-fsyntax-only", "-x", "c++", "-"],
      input=f'#include "{header}"\n', cwd=build_dir, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  return "" if done.returncode == 0 else done.stdout or "no message"


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build-dir", type=pathlib.Path, required=True)
  parser.add_argument("--results", type=pathlib.Path)
  parser.add_argument("--kind", default="long")
  parser.add_argument("--jobs", type=int, default=os.cpu_count())
  args = parser.parse_args()
  top = pathlib.Path(__file__).resolve().parents[2]
  build_dir = args.build_dir.resolve()
  flags = flags_by_folder(build_dir, top)
  rooms = check_rooms.ROOMS + sorted(check_rooms.PROGRAMS)
  jobs = []
  command = None
  for room in rooms:
    command = flags.get(room, command)
    jobs += [(header.relative_to(top).as_posix(), command)
             for header in sorted((top / room).glob("*.h"))]
  failed = 0
  lines = []
  with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
    for (name, _), text in zip(jobs, pool.map(
        lambda job: check(*job, build_dir), jobs)):
      if text:
        failed += 1
        print(f"  {name} does not compile alone")
        print("\n".join("    | " + l for l in text.splitlines()[:10]),
              flush=True)
      lines.append(f"{'fail' if text else 'pass'}\t{args.kind}\t"
                   f"{name} compiles alone\n")
  print(f"  {len(jobs) - failed} headers compile alone, {failed} do not")
  if args.results:
    with args.results.open("a") as results:
      results.writelines(lines)
  return 1 if failed or not jobs else 0


if __name__ == "__main__":
  sys.exit(main())
