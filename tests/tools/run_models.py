#!/usr/bin/python3
"""Checks every Promela model of a folder with spin, exhaustively.

A model names its variants in comment lines of its own:

  holds:                 the model as it stands has no error (always checked)
  breaks: NAME           with -DNAME the model must have an error

A mutant that passes means that the model's property cannot fail.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

_SPIN_LIMIT_S = 300


def check(model, define, depth):
  """Runs the exhaustive search; returns (errors or None, text)."""
  with tempfile.TemporaryDirectory(prefix="sluice-model-") as work:
    spin = ["spin"] + ([f"-D{define}"] if define else []) + ["-a", str(model)]
    for command in (spin, ["gcc", "-O2", "-DVECTORSZ=4096", "-DMEMLIM=4096",
                           "-DCOLLAPSE", "-w", "-o", "pan", "pan.c"]):
      done = subprocess.run(command, cwd=work, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
      if done.returncode:
        return None, done.stdout
    # Acceptance cycles are searched for when the model has a formula.
    pan = ["./pan", f"-m{depth}"]
    if re.search(r"^\s*ltl\b", model.read_text(), re.M):
      pan += ["-a", "-f"]
    try:
      done = subprocess.run(pan, cwd=work, text=True, timeout=_SPIN_LIMIT_S,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
      return None, f"not done after {_SPIN_LIMIT_S} s"
  match = re.search(r"errors: (\d+)", done.stdout)
  if not match:
    return None, done.stdout
  if "search depth too small" in done.stdout:
    return None, "the search was cut at its depth limit"
  return int(match.group(1)), done.stdout


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("--results", type=pathlib.Path, required=True)
  parser.add_argument("--depth", type=int, default=1000000)
  args = parser.parse_args()
  ok = True
  with args.results.open("a") as results:
    for model in sorted(args.folder.glob("*.pml")):
      mutants = re.findall(r"^\W*breaks:\s*(\w+)", model.read_text(), re.M)
      for define in [None] + mutants:
        errors, text = check(model.resolve(), define, args.depth)
        passed = errors is not None and (errors > 0) == bool(define)
        name = model.stem + (f" with {define} has an error" if define else "")
        states = re.search(r"(\d+) states, stored", text or "")
        print(f"  {name}: {'ok' if passed else 'FAILED'}"
              f"{f' ({states.group(1)} states)' if states else ''}",
              flush=True)
        if not passed:
          print("\n".join("    | " + line for line in text.splitlines()[-30:]))
        results.write(f"{'pass' if passed else 'fail'}\tmodels\t{name}\n")
        ok = ok and passed
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
