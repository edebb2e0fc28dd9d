#!/usr/bin/python3
"""Runs every libFuzzer program of a build directory for a while.

The programs are tests/fuzz/fuzz_NAME of the build directory; the seeds of each
are the files of CORPUS/NAME, which must not be empty.  What a run finds is
kept in the build directory, the seeds in the tree stay as they are.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import children  # noqa: E402


def fuzzers(build_dir):
  """The paths of the programs, built or not."""
  targets = json.loads(subprocess.run(
      ["meson", "introspect", str(build_dir), "--targets"], check=True,
      stdout=subprocess.PIPE, text=True).stdout)
  return sorted(pathlib.Path(t["filename"][0]) for t in targets
                if t["type"] == "executable" and
                t["name"].startswith("fuzz_"))


def run_fuzzer(program, args):
  """Returns (passed, what happened)."""
  name = program.name[len("fuzz_"):]
  seeds = args.corpus / name
  if not seeds.is_dir() or not any(seeds.iterdir()):
    return False, f"has no seeds in {seeds}"
  work = args.build_dir / "fuzz" / name
  (work / "corpus").mkdir(parents=True, exist_ok=True)
  dictionary = args.corpus / f"{name}.dict"
  log = work / "log"
  command = [
      str(program), f"-max_total_time={args.seconds}", "-timeout=30",
      "-rss_limit_mb=4096", "-print_final_stats=1",
      f"-artifact_prefix={work}/"]
  if dictionary.exists():
    command.append(f"-dict={dictionary}")
  command += [str(work / "corpus"), str(seeds)]
  env = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
  with log.open("wb") as out:
    status = children.run(command, stdout=out, stderr=out, env=env, cwd=work,
                          timeout=args.seconds + 120)
  text = log.read_text(errors="replace")
  runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
  if status == 0 and runs and int(runs.group(1)) > 0:
    return True, f"{runs.group(1)} inputs in {args.seconds} s"
  tail = "\n".join("    | " + l for l in text.splitlines()[-50:])
  how = "did not end" if status is None else f"exit status {status}"
  return False, f"{how} (whole log: {log})\n{tail}"


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build-dir", type=pathlib.Path, required=True)
  parser.add_argument("--corpus", type=pathlib.Path)
  parser.add_argument("--seconds", type=int, default=20)
  parser.add_argument("--jobs", type=int, default=os.cpu_count())
  parser.add_argument("--results", type=pathlib.Path)
  parser.add_argument("--kind", default="fuzz",
                      help="the kind's name in the results")
  parser.add_argument("--list-targets", action="store_true",
                      help="print the ninja targets of the programs and stop")
  args = parser.parse_args()
  args.build_dir = args.build_dir.resolve()
  programs = fuzzers(args.build_dir)
  if args.list_targets:
    print("\n".join(str(p.relative_to(args.build_dir)) for p in programs))
    return 0
  if args.corpus is None or args.results is None:
    parser.error("--corpus and --results are needed to run")
  args.corpus = args.corpus.resolve()
  children.stop_all_on_sigterm()
  ok = True
  with args.results.open("a") as results, \
       concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
    for program, (passed, what) in zip(
        programs, pool.map(lambda p: run_fuzzer(p, args), programs)):
      print(f"  {program.name}: {'' if passed else 'FAILED '}{what}",
            flush=True)
      results.write(f"{'pass' if passed else 'fail'}\t{args.kind}\t"
                    f"{program.name}\n")
      ok = ok and passed
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
