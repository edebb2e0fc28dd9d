#!/usr/bin/python3
"""Runs the test programs of a build directory and counts their test cases.

A program belongs to a kind by the first word of its meson test name: the kind
"unit" has unit_packet, unit_pftable, and so on.  With --suite, the programs of
that meson suite are run instead, whatever their names.

Cases are counted from what the program reports: GoogleTest's JSON, or TAP
lines ("ok 1 - name", "not ok 2 - name") for tests with protocol 'tap'.  A
program that reports neither is one case, judged by its exit status.  A program
that crashes, hangs, or exits with an error although all its cases passed is
one failed case more.

Each case becomes a line "pass|fail<TAB>kind<TAB>name" in the results file.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import children  # noqa: E402

_PRINT_LOCK = threading.Lock()


def introspect(build_dir, what):
  output = subprocess.run(
      ["meson", "introspect", str(build_dir), "--" + what],
      check=True, stdout=subprocess.PIPE, text=True).stdout
  return json.loads(output)


def select_tests(build_dir, kind, suite):
  """The meson tests of a kind, or of a suite."""
  tests = introspect(build_dir, "tests")
  if suite:
    suffix = ":" + suite
    return [t for t in tests
            if any(s == suite or s.endswith(suffix) for s in t["suite"])]
  return [t for t in tests if t["name"].split("_")[0] == kind]


def gtest_cases(path):
  """Yields (name, passed) from GoogleTest's JSON report."""
  report = json.loads(path.read_text())
  for suite in report.get("testsuites", []):
    for case in suite.get("testsuite", []):
      # Disabled and skipped cases did not run; they count as neither.
      if case.get("status") != "RUN" or case.get("result") == "SKIPPED":
        continue
      yield f"{suite['name']}.{case['name']}", not case.get("failures")


def tap_cases(text):
  """Yields (name, passed) from TAP lines."""
  for line in text.splitlines():
    match = re.match(r"(not )?ok\b\s*\d*\s*-?\s*(.*)", line)
    if match and "# SKIP" not in line.upper():
      yield match.group(2).strip() or "unnamed", not match.group(1)


def run_test(test, args, log_dir, base_env):
  """Runs one program; returns its cases as a list of (name, passed)."""
  name = test["name"]
  report = log_dir / f"{name}.json"
  log = log_dir / f"{name}.log"
  report.unlink(missing_ok=True)
  command = shlex.split(args.wrapper) + list(test["cmd"])
  tap = test["protocol"] == "tap"
  env = dict(base_env)
  env.update(test.get("env") or {})
  if not tap:
    # By environment, because a program that is no GoogleTest would refuse a
    # flag that it does not know.
    env["GTEST_OUTPUT"] = f"json:{report}"
  timeout = args.timeout
  began = time.monotonic()
  with log.open("wb") as out:
    status = children.run(command, stdout=out, stderr=subprocess.STDOUT,
                          env=env, cwd=test.get("workdir") or args.build_dir,
                          timeout=timeout)
  seconds = time.monotonic() - began
  text = log.read_text(errors="replace")
  cases = []
  if tap:
    cases = list(tap_cases(text))
  elif report.exists():
    try:
      cases = list(gtest_cases(report))
    except ValueError:
      cases = []  # Cut short by a crash: the exit status below tells.
  cases = [(f"{name}: {case}", passed) for case, passed in cases]
  all_passed = all(passed for _, passed in cases)
  if status is None:
    cases.append((f"{name}: still running after {timeout} s", False))
  elif status != 0 and all_passed:
    reason = (f"ended by signal {signal.Signals(-status).name}"
              if status < 0 else f"exit status {status}")
    cases.append((f"{name}: {reason}", False))
  elif not cases:
    cases.append((name, True))
  failed = [case for case, passed in cases if not passed]
  with _PRINT_LOCK:
    print(f"  {name}: {len(cases) - len(failed)} passed, "
          f"{len(failed)} failed, {seconds:.0f} s", flush=True)
    if failed:
      for case in failed:
        print(f"    FAILED {case}")
      lines = text.splitlines()
      print("\n".join("    | " + line for line in lines[-args.tail:]))
      print(f"    (whole log: {log})", flush=True)
  return cases


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build-dir", type=pathlib.Path, required=True)
  parser.add_argument("--kind", required=True)
  parser.add_argument("--label", help="the kind's name in the results")
  parser.add_argument("--suite", help="a meson suite, instead of the kind")
  parser.add_argument("--results", type=pathlib.Path)
  parser.add_argument("--wrapper", default="")
  parser.add_argument("--timeout", type=int, default=600)
  parser.add_argument("--jobs", type=int, default=os.cpu_count())
  parser.add_argument("--tail", type=int, default=60)
  parser.add_argument("--list-targets", action="store_true",
                      help="print the ninja targets of the programs and stop")
  args = parser.parse_args()
  args.build_dir = args.build_dir.resolve()

  tests = select_tests(args.build_dir, args.kind, args.suite)
  if args.list_targets:
    programs = [pathlib.Path(test["cmd"][0]) for test in tests]
    # A script needs no building.
    names = {str(p.relative_to(args.build_dir)) for p in programs
             if p.is_relative_to(args.build_dir)}
    print("\n".join(sorted(names)))
    return 0
  if args.results is None:
    parser.error("--results is needed to run")
  # Those that may take longest begin first.
  tests.sort(key=lambda t: -t["timeout"])
  children.stop_all_on_sigterm()
  label = args.label or args.kind
  log_dir = args.build_dir / "test-logs"
  log_dir.mkdir(exist_ok=True)
  ok = True
  with args.results.open("a") as results, \
       concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
    futures = [pool.submit(run_test, t, args, log_dir, os.environ)
               for t in tests]
    for future in concurrent.futures.as_completed(futures):
      for case, passed in future.result():
        results.write(f"{'pass' if passed else 'fail'}\t{label}\t{case}\n")
        ok = ok and passed
      results.flush()
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
