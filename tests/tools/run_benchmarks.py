#!/usr/bin/python3
"""Runs every Google Benchmark program of a build directory, briefly.

The figures of such a run mean nothing: it shows that the programs run and
that each reports its benchmarks without an error.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import children  # noqa: E402


def run_benchmark(benchmark, logs):
  """Returns (exit status or None, the rows of its report, its log)."""
  report = logs / f"{benchmark['name']}.json"
  report.unlink(missing_ok=True)
  log = logs / f"{benchmark['name']}.log"
  env = dict(os.environ)
  env.update(benchmark.get("env") or {})
  with log.open("wb") as out:
    status = children.run(
        benchmark["cmd"] + ["--benchmark_min_time=0.01",
                            f"--benchmark_out={report}",
                            "--benchmark_out_format=json"],
        stdout=out, stderr=subprocess.STDOUT, env=env, timeout=600)
  rows = []
  if report.exists():
    try:
      rows = json.loads(report.read_text())["benchmarks"]
    except ValueError:
      pass  # Cut short by a crash: the exit status tells.
  return status, rows, log


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build-dir", type=pathlib.Path, required=True)
  parser.add_argument("--results", type=pathlib.Path)
  parser.add_argument("--list-targets", action="store_true",
                      help="print the ninja targets of the programs and stop")
  args = parser.parse_args()
  args.build_dir = args.build_dir.resolve()
  benchmarks = json.loads(subprocess.run(
      ["meson", "introspect", str(args.build_dir), "--benchmarks"], check=True,
      stdout=subprocess.PIPE, text=True).stdout)
  if args.list_targets:
    print("\n".join(str(pathlib.Path(b["cmd"][0]).relative_to(args.build_dir))
                    for b in benchmarks))
    return 0
  if args.results is None:
    parser.error("--results is needed to run")
  children.stop_all_on_sigterm()
  logs = args.build_dir / "test-logs"
  logs.mkdir(exist_ok=True)
  ok = True
  with args.results.open("a") as results, \
       concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for benchmark, (status, rows, log) in zip(
        benchmarks, pool.map(lambda b: run_benchmark(b, logs), benchmarks)):
      name = benchmark["name"]
      bad = [row["name"] for row in rows if row.get("error_occurred")]
      passed = status == 0 and bool(rows) and not bad
      print(f"  {name}: {len(rows)} benchmarks"
            f"{'' if passed else f', FAILED (status {status}) {bad}'}",
            flush=True)
      if not passed:
        for line in log.read_text(errors="replace").splitlines()[-30:]:
          print(f"    | {line}")
      results.write(f"{'pass' if passed else 'fail'}\tbench\t{name}\n")
      results.flush()
      ok = ok and passed
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
