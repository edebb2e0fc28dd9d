"""What nobody on a link should be able to do to a router by asking too much of
it (RFC 6583). Kernels have one table of neighbours for all namespaces: nothing
else runs beside these."""

import contextlib
import time

import pytest

from flows import Flows
from harness import wait_for
from test_router import (INSIDE, OUTSIDE, SERVER, hosts,  # noqa: F401
                         kernel, mac_of, ping, pings, router)

# Another network behind `inside`, with room for a scan, and one who is there.
WIDE = {4: ("10.20.0.0/16", "10.20.0.1/16", "10.20.0.9"),
        6: ("fd20::/64", "fd20::1/64", "fd20::9")}
KIND = {4: "arp", 6: "discovery"}
RATE = 4000  # of each storm; the kernel gets 1000 a second of them
# What goes through the router while all of this is to be answered within.
_CONTROL_S = 10


@pytest.fixture
def storm(hosts):
  """Context of a storm that the client makes."""
  @contextlib.contextmanager
  def begin(*arguments):
    process = hosts.client.start_python("storm.py", *arguments)
    wait_for("the storm", lambda: "begins" in process.text())
    yield process
    process.stop()
    print(arguments[0], process.text().split()[-1], "frames")
  return begin


def answers_soon(fw):
  began = time.monotonic()
  fw.ctl("router", "show", "edge")
  fw.ctl("-s", "info")
  assert time.monotonic() - began < _CONTROL_S


def ask_a_stranger(fw, network, family):
  """A host that the router does not know is found: each packet for it is a
  question that may have to compete with thousands."""
  wide = WIDE[family][2]
  fw.ip(f"-{family}", "neighbour", "flush", "to", wide, "dev", "inside")
  began = time.monotonic()
  network.client.run("ping", "-n", "-c", "1", "-i", "0.1", "-w", "60", wide,
                     timeout=90)
  print(f"found after {time.monotonic() - began:.1f} s; the router has",
        fw.router()["neighbors"], "neighbours")


@pytest.mark.alone
def test_storms(router, hosts, family, storm):
  # States are not what this is about: a scan would fill their table.
  fw = router("pass all no state\n", workers=2).addresses()
  network, own, there = WIDE[family]
  nodad = ["nodad"] if family == 6 else []
  fw.ip("address", "add", own, "dev", "inside", *nodad)
  hosts.server.run("ip", "address", "replace",
                   f"{there}/{own.split('/')[1]}", "dev", "eth0", *nodad)
  wait_for("the network", lambda: network in fw.routes())
  mac = fw.kernel.run("cat", "/sys/class/net/outside/address").stdout.strip()
  assert pings(hosts.client, SERVER[family])
  # The hosts are machines of their own elsewhere: what they know stays.
  for host, to, port in ((hosts.client, OUTSIDE, "outside"),
                         (hosts.server, INSIDE, "inside")):
    link = fw.kernel.run("cat", f"/sys/class/net/{port}/address").stdout.strip()
    host.run("ip", "neighbour", "replace", to[family], "lladdr", link, "dev",
             "eth0", "nud", "permanent")
  flows = Flows(hosts, SERVER[family], 8, rate=20)
  flows.more()

  # Thousands of neighbours who ask for the router.
  kind = KIND[family]
  with storm(kind, "eth0", OUTSIDE[family], RATE):
    wait_for("the limit", lambda: fw.port("outside")["limited"][kind] > RATE)
    answers_soon(fw)
    flows.more()
    ask_a_stranger(fw, hosts, family)
  limited = fw.port("outside")["limited"]
  assert [k for k, count in limited.items() if count] == [kind], limited
  assert not any(fw.port("inside")["limited"].values())

  # Packets to thousands of neighbours who are not there.
  drops = fw.drops().get("no-neighbor", 0)
  with storm("scan", "eth0", network, RATE, mac):
    wait_for("drops", lambda: fw.drops().get("no-neighbor", 0) > drops + RATE)
    answers_soon(fw)
    flows.more()
    ask_a_stranger(fw, hosts, family)
  shown = fw.router()
  print(shown["questions"], "questions")
  assert shown["neighbors"] < 1024, shown
  wait_for("quiet", lambda: pings(hosts.client, SERVER[family]))
  for flow in flows.finish():
    assert flow["heard"] > 0.9 * flow["sent"], flow
