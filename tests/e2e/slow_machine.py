#!/usr/bin/python3
"""Restores on a machine that has no time for them.

Every processor is kept busy by others, the whole process and single threads of
it are stopped at random, and for some of the time its control group has a fifth
of a processor, where control groups can be made.  Whatever happens, each
restore has to end in RESTORED by itself, and none may be committed twice.

A campaign of `tests/run.sh long`.  It uses ports without a network.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_QUOTA_US, _PERIOD_US = 20_000, 100_000
_libc = ctypes.CDLL(None, use_errno=True)


def _ptrace(request, thread):
  _libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                           ctypes.c_void_p]
  return _libc.ptrace(request, thread, None, None) == 0


class Quota:
  """A control group of its own for a process, of either version."""

  def __init__(self, pid):
    self.folder = None
    for root, files in (("/sys/fs/cgroup", ("cpu.max",)),
                        ("/sys/fs/cgroup/cpu", ("cpu.cfs_quota_us",
                                                "cpu.cfs_period_us"))):
      folder = pathlib.Path(root) / f"sluice-slow-{pid}"
      try:
        folder.mkdir()
        if all((folder / name).exists() for name in files):
          (folder / "cgroup.procs").write_text(str(pid))
          self.folder = folder
          return
        folder.rmdir()
      except OSError:
        with contextlib.suppress(OSError):
          folder.rmdir()

  def set(self, on):
    if self.folder is None:
      return
    new = self.folder / "cpu.max"
    if new.exists():
      new.write_text(f"{_QUOTA_US if on else 'max'} {_PERIOD_US}")
    else:
      (self.folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
      (self.folder / "cpu.cfs_quota_us").write_text(
          str(_QUOTA_US if on else -1))

  def remove(self):
    if self.folder is None:
      return
    for _ in range(100):
      try:
        self.folder.rmdir()
        return
      except OSError:
        time.sleep(0.05)


class Disturber(threading.Thread):
  """Stops the process and its threads, and gives it less of a processor."""

  def __init__(self, pid, seed):
    super().__init__(daemon=True)
    self._pid = pid
    self._random = random.Random(seed)
    self._end = threading.Event()
    self._quota = Quota(pid)
    self.has_quota = self._quota.folder is not None
    self.stops = self.thread_stops = self.quotas = 0

  def run(self):
    quota_until = 0
    limited = False
    while not self._end.wait(self._random.uniform(0.05, 0.8)):
      if time.monotonic() > quota_until:
        limited = not limited
        self._quota.set(limited)
        self.quotas += limited and self.has_quota
        quota_until = time.monotonic() + self._random.uniform(2, 8)
      if self._random.random() < 0.25:
        # Now and then for longer than any deadline.
        self._stop_all(6 if self._random.random() < 0.03
                       else self._random.uniform(0.02, 0.5))
      else:
        self._stop_thread(self._random.uniform(0.02, 0.3))
    self._quota.set(False)

  def _stop_all(self, seconds):
    self.stops += 1
    os.kill(self._pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(self._pid, signal.SIGCONT)

  def _stop_thread(self, seconds):
    threads = [int(t) for t in os.listdir(f"/proc/{self._pid}/task")]
    thread = self._random.choice(threads)
    if not _ptrace(_SEIZE, thread):
      return  # It has ended meanwhile.
    self.thread_stops += 1
    if _ptrace(_INTERRUPT, thread):
      os.waitpid(thread, _WALL)
      time.sleep(seconds)
    _ptrace(_DETACH, thread)

  def finish(self):
    self._end.set()
    self.join()

  def remove(self):
    self._quota.remove()


class Control:
  """The control socket of a daemon."""

  def __init__(self, path):
    self._socket = socket.socket(socket.AF_UNIX)
    self._socket.connect(str(path))
    self._file = self._socket.makefile("rb")
    self._number = 0

  def call(self, method, **params):
    self._number += 1
    request = {"jsonrpc": "2.0", "id": self._number, "method": method,
               "params": params}
    self._socket.sendall(json.dumps(request).encode() + b"\n")
    answer = json.loads(self._file.readline())
    if "error" in answer:
      raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


def start(build, folder, states):
  config = folder / "sluice.toml"
  (folder / "pf.conf").write_text("pass all\n")
  config.write_text(f"""
[eal]
hugepages = "no"
[[port]]
name = "a"
device = "net_null0,no-rx=1"
[[port]]
name = "b"
device = "net_null1,no-rx=1"
[[wire]]
ports = ["a", "b"]
[workers]
count = 2
pin = false
idle = "sleep"
[memory]
states = {states}
[control]
socket = "{folder}/control.sock"
""")
  log = open(folder / "log", "wb")
  process = subprocess.Popen([build / "sluiced", "-c", config],
                             stdout=log, stderr=subprocess.STDOUT)
  end = time.monotonic() + 60
  while True:
    if process.poll() is not None or time.monotonic() > end:
      raise RuntimeError((folder / "log").read_text())
    with contextlib.suppress(OSError, ValueError):
      control = Control(folder / "control.sock")
      control.call("info.show")
      return process, control
    time.sleep(0.1)


def restore(control, folder, build, snapshot, states, by_import):
  """One filter's life. How its restore ended, and in what time."""
  began = time.monotonic()
  spec = {"filter": "vm", "ports": ["a"], "expect_restore": True,
          "ruleset": {
              "text": f"set limit states {2 * states}\npass all\n"}}
  if not by_import:
    spec["source"] = str(snapshot)
  control.call("filter.create", **spec)
  tool = None
  if by_import:
    tool = subprocess.Popen([build / "sluicectl", "-q", "-p",
                             folder / "control.sock", "state", "import",
                             "--filter", "vm", snapshot],
                            stderr=subprocess.PIPE, text=True)
  while True:
    (status,) = control.call("restore.status", filter="vm")["restores"]
    if status["state"] in ("RESTORED", "FAILED", "SKIPPED", "CANCELLED"):
      break
    time.sleep(0.01)
  said = ""
  if tool is not None:
    said = tool.communicate()[1]
    (status,) = control.call("restore.status", filter="vm")["restores"]
    if tool.returncode != 0:
      status["state"] = f"import ended with {tool.returncode}"
  took = time.monotonic() - began
  control.call("filter.destroy", filter="vm")
  return status, took, said


def campaign(build, make_states, count, states, seed):
  """(restores that failed, those that were committed twice)."""
  failed = []
  times = []
  burners = []
  with tempfile.TemporaryDirectory(prefix="sluice-slow-") as name:
    folder = pathlib.Path(name)
    snapshot = folder / "vm.snap"
    subprocess.run([make_states, str(states), "vm", snapshot], check=True)
    process, control = start(build, folder, max(2 * states + 1024, 262144))
    disturber = Disturber(process.pid, seed)
    try:
      for _ in range(os.cpu_count()):
        burners.append(subprocess.Popen(
            [sys.executable, "-c", "while True: pass"]))
      disturber.start()
      for i in range(count):
        status, took, said = restore(control, folder, build, snapshot,
                                     states, by_import=i % 4 == 3)
        times.append(took)
        report = status.get("last", {}).get("report", {})
        if (status["state"] != "RESTORED" or
            report.get("states_imported") != states):
          failed.append(status)
          print(f"    restore {i + 1}: {json.dumps(status)} {said}",
                flush=True)
      disturber.finish()
      metrics = control.call("restore.metrics")
    finally:
      for burner in burners:
        burner.kill()
        burner.wait()
      if disturber.is_alive():
        disturber.finish()
      process.send_signal(signal.SIGTERM)
      try:
        process.wait(60)
      except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
      disturber.remove()
    if failed:
      lines = (folder / "log").read_text().splitlines()
      print("\n".join([line for line in lines
                       if ": not restored" in line or "has failed" in line]
                      [-20:]))
  times.sort()
  twice = metrics["commits"] - (count - len(failed))
  print(f"  {count} restores of {states} states: {count - len(failed)} restored,"
        f" {metrics['commits']} commits, {metrics['retries']} attempts made "
        f"again; {times[len(times) // 2]:.2f} s (median), {times[-1]:.2f} s "
        f"(longest); {disturber.stops} stops of the process, "
        f"{disturber.thread_stops} of threads, "
        f"{f'{disturber.quotas} times a fifth of a processor' if disturber.has_quota else 'no control groups'}",
        flush=True)
  return len(failed), max(twice, 0)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build-dir", type=pathlib.Path, required=True)
  parser.add_argument("--results", type=pathlib.Path)
  parser.add_argument("--small", type=int, default=1000)
  parser.add_argument("--large", type=int, default=20)
  parser.add_argument("--seed", type=int, default=1)
  parser.add_argument("--make-states", type=pathlib.Path)
  args = parser.parse_args()
  make_states = (args.make_states or
                 args.build_dir / "tests/unit/restore/make_states")
  ok = True
  for count, states in ((args.small, 60_000), (args.large, 1_000_000)):
    if count == 0:
      continue
    failed, twice = campaign(args.build_dir, make_states, count, states,
                             args.seed)
    passed = failed == 0 and twice == 0
    ok = ok and passed
    if args.results:
      with args.results.open("a") as results:
        results.write(f"{'pass' if passed else 'fail'}\tlong\t{count} restores "
                      f"of {states} states on a slow machine\n")
  return 0 if ok else 1


if __name__ == "__main__":
  sys.exit(main())
