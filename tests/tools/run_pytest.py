#!/usr/bin/python3
"""Runs pytest files side by side and counts their test cases.

Each file is a process of its own, with namespaces, sockets and folders of its
own: several wait at the same time.  Those that take longest begin first, by
what the last run has left in the build directory.  Tests marked `alone` run
one by one after all others.

Each case becomes a line "pass|fail<TAB>kind<TAB>name" in the results file.  A
file that ends without a report is one failed case.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import children  # noqa: E402

_PRINT_LOCK = threading.Lock()
# Of pytest: no test was selected.
_NOTHING_RAN = 5


def junit_cases(path):
  """{name: passed} of a JUnit XML report, without what was skipped."""
  outcomes = {}
  for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
    if case.find("skipped") is not None:
      continue
    name = f"{case.get('classname', '')}.{case.get('name', '')}"
    failed = (case.find("failure") is not None or
              case.find("error") is not None)
    # A case whose body failed and whose clean-up failed is reported twice.
    outcomes[name] = outcomes.get(name, True) and not failed
  return outcomes


def run_file(number, path, marks, args):
  """Runs one file; returns its cases as {name: passed}, and the seconds."""
  work = args.scratch / f"{args.kind}{number}"
  report = args.scratch / f"{args.kind}{number}.xml"
  log = args.scratch / f"{args.kind}{number}.log"
  env = dict(os.environ, SLUICE_BUILD_DIR=str(args.build_dir))
  # Names of namespaces begin with it.
  env["SLUICE_TEST_PREFIX"] = f"{env.get('SLUICE_TEST_PREFIX', 'slt')}-{number}"
  command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q",
             "-m", marks, "--basetemp", str(work), "--junit-xml", str(report),
             str(path)]
  began = time.monotonic()
  with log.open("wb") as out:
    status = children.run(command, stdout=out, stderr=subprocess.STDOUT,
                          env=env, timeout=args.timeout)
  seconds = time.monotonic() - began
  try:
    cases = junit_cases(report)
  except (OSError, xml.etree.ElementTree.ParseError):
    cases = {}
  if status is None:
    cases[f"{path.stem}: still running after {args.timeout} s"] = False
  elif status not in (0, _NOTHING_RAN) and all(cases.values()):
    cases[f"{path.stem}: pytest ended with status {status}"] = False
  failed = [name for name, passed in cases.items() if not passed]
  if cases:
    with _PRINT_LOCK:
      print(f"  {path.stem}: {len(cases) - len(failed)} passed, "
            f"{len(failed)} failed, {seconds:.0f} s", flush=True)
      if failed:
        for line in log.read_text(errors="replace").splitlines():
          print(f"    | {line}")
        sys.stdout.flush()
  return cases, seconds


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build-dir", type=pathlib.Path, required=True)
  parser.add_argument("--kind", required=True)
  parser.add_argument("--results", type=pathlib.Path, required=True)
  parser.add_argument("--scratch", type=pathlib.Path, required=True)
  parser.add_argument("--jobs", type=int, default=1)
  parser.add_argument("--timeout", type=int, default=1200,
                      help="seconds that one file may take")
  parser.add_argument("folder", type=pathlib.Path,
                      help="of test files, or one of them")
  args = parser.parse_args()
  args.build_dir = args.build_dir.resolve()
  children.stop_all_on_sigterm()
  tests = args.folder.resolve()
  files = sorted(tests.glob("test_*.py")) if tests.is_dir() else [tests]
  logs = args.build_dir / "test-logs"
  logs.mkdir(exist_ok=True)
  times_file = logs / f"{args.kind}-seconds.json"
  try:
    times = json.loads(times_file.read_text())
  except (OSError, ValueError):
    times = {}
  files.sort(key=lambda f: -times.get(f.name, f.stat().st_size / 100))
  alone = [f for f in files if "mark.alone" in f.read_text()]
  ok = True
  with args.results.open("a") as results:

    def collect(path, outcome):
      nonlocal ok
      cases, seconds = outcome
      times[path.name] = seconds
      for name, passed in cases.items():
        results.write(f"{'pass' if passed else 'fail'}\t{args.kind}\t{name}\n")
        ok = ok and passed
      results.flush()

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
      futures = {pool.submit(run_file, n, f, "not alone", args): f
                 for n, f in enumerate(files)}
      for future in concurrent.futures.as_completed(futures):
        collect(futures[future], future.result())
    for number, path in enumerate(alone, len(files)):
      cases, seconds = run_file(number, path, "alone", args)
      collect(path, (cases, times[path.name] + seconds))
  times_file.write_text(json.dumps(times, indent=1, sort_keys=True) + "\n")
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
