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
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import children  # noqa: E402

_SPIN_LIMIT_S = 600


def run(command, work):
  """Returns (exit status, or None at the time limit; what was printed)."""
  log = pathlib.Path(work) / "log"
  with log.open("wb") as out:
    status = children.run(command, _SPIN_LIMIT_S, cwd=work, stdout=out,
                          stderr=subprocess.STDOUT)
  return status, log.read_text(errors="replace")


def search(work, claim, depth):
  """Runs the search for one formula, or for none; (errors or None, text)."""
  pan = ["./pan", f"-m{depth}"]
  if claim:
    # Acceptance cycles of weakly fair runs.
    pan += ["-a", "-f", "-N", claim]
  status, text = run(pan, work)
  if status is None:
    return None, f"not done after {_SPIN_LIMIT_S} s"
  match = re.search(r"errors: (\d+)", text)
  if not match:
    return None, text
  if "search depth too small" in text:
    return None, "the search was cut at its depth limit"
  return int(match.group(1)), text


def check(model, kind, defines, depth, scratch):
  """Searches for each formula until one has an error.

  Returns (errors or None, states of each search, text of the last one).
  """
  claims = re.findall(r"^\s*ltl\s+(\w+)", model.read_text(), re.M) or [None]
  states = []
  # An error is found soon: there the compiler would take longer.
  optimise = "-O1" if kind == "breaks" else "-O2"
  with tempfile.TemporaryDirectory(prefix="sluice-model-",
                                   dir=scratch) as work:
    spin = ["spin"] + [f"-D{name}" for name in defines] + ["-a", str(model)]
    for command in (spin, ["gcc", optimise, "-DVECTORSZ=4096",
                           "-DMEMLIM=4096", "-DCOLLAPSE", "-DNFAIR=3", "-w",
                           "-o", "pan", "pan.c"]):
      status, text = run(command, work)
      if status != 0:
        return None, states, text
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
  parser.add_argument("--scratch", type=pathlib.Path,
                      help="where the searches have their folders")
  # A search may take two gigabytes.
  parser.add_argument("--jobs", type=int, default=min(os.cpu_count(), 2))
  args = parser.parse_args()
  children.stop_all_on_sigterm()
  variants = []
  for model in sorted(args.folder.glob("*.pml")):
    variants.append((model.resolve(), "holds", []))
    variants += [
        (model.resolve(), kind, names.split()) for kind, names in
        re.findall(r"^\W*(holds|breaks):((?:[ \t]+[A-Z_0-9]+\b)+)",
                   model.read_text(), re.M)]
  ok = True
  with args.results.open("a") as results, \
       concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
    for (model, kind, defines), (errors, states, text) in zip(
        variants,
        pool.map(lambda v: check(*v, args.depth, args.scratch), variants)):
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
      results.flush()
      ok = ok and passed
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
