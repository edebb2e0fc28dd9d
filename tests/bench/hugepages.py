"""Hugepages for the time of a benchmark."""

import contextlib
import pathlib

from engines import EngineError

_COUNT = pathlib.Path("/proc/sys/vm/nr_hugepages")
_MEGABYTES = 2


def _pages(what):
  """A number of /proc/meminfo: HugePages_Total or HugePages_Free."""
  for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
    if line.startswith(what + ":"):
      return int(line.split()[1])
  raise EngineError("this kernel has no hugepages; try --pages normal")


@contextlib.contextmanager
def reserved(megabytes):
  """So many are free within the block; what was added is given back.

  What others hold, or reserve meanwhile, is left alone.
  """
  if not megabytes:
    yield
    return
  wanted, added = megabytes // _MEGABYTES + 1, 0
  try:
    missing = wanted - _pages("HugePages_Free")
    if missing > 0:
      before = _pages("HugePages_Total")
      _COUNT.write_text(f"{before + missing}\n")
      added = _pages("HugePages_Total") - before
      if _pages("HugePages_Free") < wanted:
        raise EngineError(f"the kernel cannot set {wanted} hugepages aside; "
                          "try --pages normal")
    yield
  finally:
    if added > 0:
      left = max(0, _pages("HugePages_Total") - added)
      _COUNT.write_text(f"{left}\n")
