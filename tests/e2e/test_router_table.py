"""A large table of routes that is loaded and flaps while others' flows go on.

With SLUICE_LONG it is as large as the Internet's, for IPv6 twice as large."""

import json
import os

from flows import Flows
from harness import wait_for
from test_router import (SERVER, hosts, kernel,  # noqa: F401
                         pings, router)

_LONG = bool(os.environ.get("SLUICE_LONG"))
_COUNT = ({4: 1_000_000, 6: 400_000} if _LONG else {4: 20_000, 6: 10_000})
_FLAPS = 10 if _LONG else 4
_LIMIT_S = 900 if _LONG else 60
# In the fifth of the table.
_FAR = {4: "20.0.5.1", 6: "2a00:0:5::1"}


def prefix(family, number):
  if family == 4:
    return f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24"
  return f"2a00:{number >> 16:x}:{number & 0xffff:x}::/48"


def change(fw, family, folder, what, numbers):
  """Tells the kernel what is to become of the routes, all at once."""
  hop = f" via {SERVER[family]} dev inside" if what != "delete" else ""
  batch = folder / "batch"
  batch.write_text("".join(
      f"route {what} {prefix(family, n)}{hop}\n" for n in numbers))
  fw.ip(f"-{family}", "-batch", batch, timeout=_LIMIT_S)


def wait_for_routes(fw, count):
  wait_for(f"{count} routes", lambda: (
      lambda r: r["synced"] and r["routes"] == count)(fw.router()), _LIMIT_S)


def kernels(fw, family):
  return {r["dst"] for r in json.loads(fw.ip(
      "-json", f"-{family}", "route", "show", "dev", "inside").stdout)
      if "gateway" in r}


def test_a_table_that_flaps(router, hosts, family, tmp_path):
  fw = router("pass all\n").addresses()
  count, folder = _COUNT[family], tmp_path
  far = _FAR[family]
  hosts.server.run("ip", "address", "replace",
                   f"{far}/{32 if family == 4 else 128}", "dev", "lo",
                   *(["nodad"] if family == 6 else []))
  assert pings(hosts.client, SERVER[family])
  before = fw.router()["routes"]
  flows = Flows(hosts, SERVER[family], 8, rate=20)
  flows.more()
  change(fw, family, folder, "add", range(count))
  wait_for_routes(fw, before + count)
  assert pings(hosts.client, far)
  # The fifth, which has the far address, is not among them.
  half = range(0, count, 20 if _LONG else 2)
  for _ in range(_FLAPS):
    change(fw, family, folder, "delete", half)
    change(fw, family, folder, "add", half)
  change(fw, family, folder, "delete", half)
  wait_for_routes(fw, before + count - len(half))
  assert pings(hosts.client, far)
  if not _LONG:
    ours = {p for p, r in fw.routes("--family", {4: "inet", 6: "inet6"}[
        family]).items() if r["hops"] and "gateway" in r["hops"][0]}
    assert ours == kernels(fw, family)
    assert len(ours) == count - len(half)
  flows.more()
  for flow in flows.finish():
    assert flow["heard"] == flow["sent"], flow
  # All at once, and the kernel does not tell of each.
  fw.ip("link", "set", "inside", "down")
  wait_for("their end", lambda: fw.router()["routes"] <= before, _LIMIT_S)
  assert not pings(hosts.client, far)
