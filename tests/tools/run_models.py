#!/usr/bin/python3
"""Checks every Promela model of a folder with spin, exhaustively.

The model as it stands must have no error, in its assertions and in each of its
formulas.  It names its variants in comment lines of its own, each with one or
more preprocessor names:

  holds:  NAME...   with these defined it must have no error either
  breaks: NAME...   with these defined it must have an error: a mutant

A mutant that passes means that a property of the model cannot fail.
"""

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

_SPIN_LIMIT_S = 600


def search(work, claim, depth):
  """Runs the search for one formula, or for none; (errors or None, text)."""
  pan = ["./pan", f"-m{depth}"]
  if claim:
    # Acceptance cycles of weakly fair runs.
    pan += ["-a", "-f", "-N", claim]
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


def check(model, defines, depth):
  """Searches for each formula until one has an error.

  Returns (errors or None, states of each search, text of the last one).
  """
  claims = re.findall(r"^\s*ltl\s+(\w+)", model.read_text(), re.M) or [None]
  states = []
  with tempfile.TemporaryDirectory(prefix="sluice-model-") as work:
    spin = ["spin"] + [f"-D{name}" for name in defines] + ["-a", str(model)]
    for command in (spin, ["gcc", "-O2", "-DVECTORSZ=4096", "-DMEMLIM=4096",
                           "-DCOLLAPSE", "-DNFAIR=3", "-w", "-o", "pan",
                           "pan.c"]):
      done = subprocess.run(command, cwd=work, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
      if done.returncode:
        return None, states, done.stdout
    for claim in claims:
      errors, text = search(work, claim, depth)
      stored = re.search(r"(\d+) states, stored", text)
      if stored:
        states.append(f"{claim + ' ' if claim else ''}{stored.group(1)}")
      if errors != 0:
        break
  return errors, states, text


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("--results", type=pathlib.Path, required=True)
  parser.add_argument("--depth", type=int, default=1000000)
  args = parser.parse_args()
  # So that the search in work is ended and its folder removed.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  ok = True
  with args.results.open("a") as results:
    for model in sorted(args.folder.glob("*.pml")):
      variants = [("holds", [])] + [
          (kind, names.split()) for kind, names in
          re.findall(r"^\W*(holds|breaks):((?:[ \t]+[A-Z_0-9]+\b)+)",
                     model.read_text(), re.M)]
      for kind, defines in variants:
        errors, states, text = check(model.resolve(), defines, args.depth)
        passed = errors is not None and (errors > 0) == (kind == "breaks")
        name = model.stem
        if defines:
          name += " with " + " and ".join(defines)
        name += " has an error" if kind == "breaks" else " holds"
        print(f"  {name}: {'ok' if passed else 'FAILED'}"
              f"{' (states: ' + ', '.join(states) + ')' if states else ''}",
              flush=True)
        if not passed:
          print("\n".join("    | " + line for line in text.splitlines()[-30:]))
        results.write(f"{'pass' if passed else 'fail'}\tmodels\t{name}\n")
        ok = ok and passed
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
