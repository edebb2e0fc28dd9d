"""A worker that does not run: its queues are polled by another one, and its
flows meet the fail policy until it is back."""

import contextlib
import ctypes
import os
import pathlib
import time

import pytest

from harness import UdpStream, wait_for

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _ptrace(request, thread):
  _libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                           ctypes.c_void_p]
  if _libc.ptrace(request, thread, None, None) != 0:
    number = ctypes.get_errno()
    raise OSError(number, f"ptrace {request:#x}: {os.strerror(number)}")


@contextlib.contextmanager
def stopped(thread):
  """One thread of another process stands still in this block."""
  _ptrace(_SEIZE, thread)
  try:
    _ptrace(_INTERRUPT, thread)
    os.waitpid(thread, _WALL)
    yield
  finally:
    _ptrace(_DETACH, thread)


def thread_of(process, worker):
  """The id of a worker's thread; DPDK names it after its lcore."""
  for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
    if (task / "comm").read_text().strip().endswith(f"worker-{worker + 1}"):
      return int(task.name)
  raise AssertionError(f"no thread of worker {worker}")


@pytest.mark.parametrize("worker", [0, 1])
def test_stalled_worker(network, firewall, family, worker):
  fw = firewall("pass all\n", workers=2)
  network.settle()
  # As many flows that some belong to either worker.
  streams = [UdpStream(network, family, 5300 + i, rate=200, seconds=5)
             for i in range(12)]
  wait_for("traffic", lambda: len(fw.states()) >= 24)
  thread = thread_of(fw.process, worker)
  with stopped(thread):
    began = time.monotonic()
    wait_for("a verdict", lambda: f"worker {worker} does not run"
             in fw.process.text())
    print(f"seen after {(time.monotonic() - began) * 1000:.0f} ms")
    time.sleep(1)
  wait_for("its return", lambda: f"worker {worker} runs again"
           in fw.process.text())
  counts = [stream.finish() for stream in streams]
  drops = fw.drops()
  assert drops.get("stalled", 0) > 0, drops
  # Flows of the other worker went on: nothing of theirs was dropped for it.
  whole = [c for c in counts if c.received >= c.sent - c.sent // 20]
  torn = [c for c in counts if c.received < c.sent - c.sent // 10]
  assert whole and torn, counts
  # All of them went on afterwards: about four of five seconds at least.
  assert all(c.received > c.sent // 2 for c in counts), counts
