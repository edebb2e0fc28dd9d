"""A clean system with its own systemd, booted by systemd-nspawn."""

import os
import pathlib
import signal
import subprocess
import time

# nspawn passes descriptors through a folder of /run that it wants to be on a
# file system in memory; the mount is gone with the command.  It hides the
# kernel's modules, which DPDK looks at even where it uses none.
_BOOT = """
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
exec systemd-nspawn --quiet --directory="$1" --boot --private-network \
    --bind-ro=/sys/module --register=no --keep-unit --console=passive
"""
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                "DEBIAN_FRONTEND": "noninteractive"}


def _kill(pid):
  """Ends process 1 of the system, and so all of it."""
  try:
    os.kill(pid, signal.SIGKILL)
  except ProcessLookupError:
    pass


class Booted:
  """Context: systemd is up in the root; run() is a root shell's command."""

  def __init__(self, root, log):
    self._root = root
    self._log = log
    self._process = None
    self._leader = None
    self.transcript = []

  def __enter__(self):
    with open(self._log, "wb") as out:
      self._process = subprocess.Popen(
          ["unshare", "--mount", "sh", "-c", _BOOT, "boot",
           str(self._root.folder)], stdin=subprocess.DEVNULL, stdout=out,
          stderr=subprocess.STDOUT)
    try:
      self._wait(60)
    except BaseException:
      self._end()
      raise
    return self

  def __exit__(self, *_):
    if self._process.poll() is None and self._leader is not None:
      self.run("systemctl", "poweroff", "--no-block", check=False)
      try:
        self._process.wait(20)
      except subprocess.TimeoutExpired:
        pass
    self._end()

  def _end(self):
    if self._process.poll() is not None:
      return
    if self._leader is not None:
      _kill(self._leader)
    self._process.kill()
    self._process.wait()

  def _children(self, pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(p) for p in path.read_text().split()]

  def _wait(self, limit_s):
    end = time.monotonic() + limit_s
    while True:
      assert self._process.poll() is None, self.log()
      assert time.monotonic() < end, f"systemd is not up:\n{self.log()}"
      # It is the child of nspawn that is process 1 there.
      for pid in self._children(self._process.pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        numbers = next(l for l in status.splitlines()
                       if l.startswith("NSpid")).split()
        if numbers[-1] == "1" and len(numbers) > 2:
          self._leader = pid
      if self._leader is not None:
        state = self.run("systemctl", "is-system-running", check=False)
        if state.stdout.strip() in ("running", "degraded"):
          return
      time.sleep(0.1)

  def log(self):
    return pathlib.Path(self._log).read_text(errors="replace")[-4000:]

  def run(self, *command, check=True, timeout=60, **more):
    done = subprocess.run(
        ["nsenter", "--target", str(self._leader), "--all", "--",
         *map(str, command)], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=timeout, env=_ENVIRONMENT, **more)
    self.transcript.append(f"# {' '.join(map(str, command))}\n{done.stdout}")
    if check:
      assert done.returncode == 0, (
          f"{command}: {done.stdout}\n{self.journal()}")
    return done

  def journal(self):
    return subprocess.run(
        ["nsenter", "--target", str(self._leader), "--all", "--",
         "journalctl", "--no-pager", "-u", "sluiced", "-n", "60"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, env=_ENVIRONMENT).stdout
