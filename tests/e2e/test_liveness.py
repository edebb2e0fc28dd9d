"""A worker that does not run: its queues are polled by another one, and its
flows meet the fail policy until it is back."""

import contextlib
import ctypes
import os
import pathlib
import time

import pytest

from harness import UdpStream, wait_for

_SEIZE, _INTERRUPT, _CONTINUE, _DETACH = 0x4206, 0x4207, 7, 17
_WALL = 0x40000000
# Of a worker's own sleep: nanosleep, clock_nanosleep, and the call that goes
# on with either.
_NAPS = (35, 230, 219)
_libc = ctypes.CDLL(None, use_errno=True)


def _ptrace(request, thread):
  _libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                           ctypes.c_void_p]
  if _libc.ptrace(request, thread, None, None) != 0:
    number = ctypes.get_errno()
    raise OSError(number, f"ptrace {request:#x}: {os.strerror(number)}")


@contextlib.contextmanager
def stopped(process, thread):
  """One thread of the process stands still in this block, outside of a
  driver's call: there it would keep its queue, which nobody polls then."""
  _ptrace(_SEIZE, thread)
  stands = False

  def stop():
    nonlocal stands
    _ptrace(_INTERRUPT, thread)
    os.waitpid(thread, _WALL)
    stands = True

  def stops_outside_drivers():
    nonlocal stands
    stop()
    if not _is_outside_drivers(process, thread):
      _ptrace(_CONTINUE, thread)
      stands = False
    return stands

  try:
    wait_for("a moment outside of the drivers", stops_outside_drivers)
    yield
  finally:
    if not stands:
      stop()  # One that runs is not let go.
    _ptrace(_DETACH, thread)


def _is_outside_drivers(process, thread):
  folder = pathlib.Path(f"/proc/{process.pid}/task/{thread}")
  # The number of a system call (-1: none), its arguments if it is one, the
  # stack and the place.
  words = (folder / "syscall").read_text().split()
  if words[0] == "running":
    return False  # It has not quite come to its stop.
  if int(words[0]) in _NAPS:
    return True
  place = int(words[-1], 16)
  for line in (folder / "maps").read_text().splitlines():
    bounds, _, _, _, _, *path = line.split(maxsplit=5)
    first, last = (int(b, 16) for b in bounds.split("-"))
    if first <= place < last:
      # What a driver calls in libraries cannot be told from what others do.
      return bool(path) and pathlib.Path(path[0]).name == "sluiced"
  return False


def thread_of(process, worker):
  """The id of a worker's thread; DPDK names it after its lcore."""
  for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
    if (task / "comm").read_text().strip().endswith(f"worker-{worker + 1}"):
      return int(task.name)
  raise AssertionError(f"no thread of worker {worker}")


def received(network):
  """Packets that have come to the server by now."""
  return int(network.server.run(
      "cat", "/sys/class/net/eth0/statistics/rx_packets").stdout)


@pytest.mark.parametrize("worker", [0, 1])
def test_stalled_worker(network, firewall, family, worker):
  fw = firewall("pass all\n", workers=2)
  network.settle()
  rate = 200
  # As many flows that some belong to either worker. They go on until they are
  # ended.
  streams = UdpStream.several(network, family, range(5300, 5312), rate,
                              seconds=60)
  wait_for("traffic", lambda: len(fw.states()) >= 24)
  began = time.monotonic()
  with stopped(fw.process, thread_of(fw.process, worker)):
    wait_for("a verdict", lambda: f"worker {worker} does not run"
             in fw.process.text())
    print(f"seen after {(time.monotonic() - began) * 1000:.0f} ms")
    # Others poll its queues by now, and the flows that are not its own go on.
    before = received(network)
    wait_for("packets of the other worker",
             lambda: received(network) > before + rate // 2, limit_s=3)
    time.sleep(max(0, began + 1 - time.monotonic()))
  stalled_s = time.monotonic() - began
  wait_for("its return", lambda: f"worker {worker} runs again"
           in fw.process.text())
  # Three seconds of all of them.
  before = received(network)
  wait_for("more packets",
           lambda: received(network) > before + 3 * rate * len(streams))
  for stream in streams:
    stream.end()
  counts = [stream.finish() for stream in streams]
  drops = fw.drops()
  assert drops.get("stalled", 0) > 0, drops
  # Flows of the other worker went on: nothing of theirs was dropped for it.
  lost = [c.sent - c.received for c in counts]
  assert min(lost) <= rate / 4 and max(lost) >= rate / 2, counts
  # Those of the stalled one lost no more than its time, and went on after it.
  assert max(lost) <= rate * (stalled_s + 1), (counts, stalled_s)
