"""A router with three uplinks to the same place, under traffic."""

import pytest

from flows import Flows
from harness import run, wait_for
from test_router import (INSIDE, MASK, SERVER, RouterFirewall,  # noqa: F401
                         hosts, kernel)

# By the router's port: the server's interface behind it, and the addresses of
# both ends.
UPLINKS = {
    "inside": ("eth0", INSIDE, SERVER),
    "second": ("eth1", {4: "10.3.0.1", 6: "fd03::1"},
               {4: "10.3.0.2", 6: "fd03::2"}),
    "third": ("eth2", {4: "10.4.0.1", 6: "fd04::1"},
              {4: "10.4.0.2", 6: "fd04::2"}),
}
MORE = ("second", "third")
FAR = {4: ("10.9.0.0/24", "10.9.0.1"), 6: ("fd09::/64", "fd09::1")}


class ThreeUplinks(RouterFirewall):
  """`inside`, `second` and `third` all lead to the server."""

  def _config(self):
    ports = "".join(f"""[[port]]
name = "{name}"
device = "net_af_packet{number},iface={name},framecnt=2048,qpairs=1"

""" for number, name in enumerate(MORE, 2))
    text = super()._config().replace("[[router]]", ports + "[[router]]")
    return text.replace('"inside"]\nnetns',
                        '"inside", "second", "third"]\nnetns')


@pytest.fixture
def uplinks(hosts, kernel, tmp_path):
  """The router, with its addresses and a route by both uplinks."""
  for name in MORE:
    device, own, there = UPLINKS[name]
    run("ip", "link", "add", device, "netns", hosts.server.name, "type", "veth",
        "peer", "name", name, "netns", hosts.firewall.name)
    for namespace, end in ((hosts.server, device), (hosts.firewall, name)):
      namespace.run("ethtool", "-K", end, "tx", "off", "rx", "off")
      namespace.run("ip", "link", "set", end, "up")
    for family in (4, 6):
      nodad = ["nodad"] if family == 6 else []
      hosts.server.run("ip", "address", "add",
                       f"{there[family]}/{MASK[family]}", "dev", device, *nodad)
      # Answers go by the interface of their questions.
      hosts.server.run("ip", f"-{family}", "route", "add", "default", "via",
                       own[family], "dev", device, "metric",
                       3000 + MORE.index(name))
  for family in (4, 6):
    nodad = ["nodad"] if family == 6 else []
    hosts.server.run("ip", "address", "replace",
                     f"{FAR[family][1]}/{MASK[family]}", "dev", "lo", *nodad)
  fw = ThreeUplinks(hosts, "pass all\n", tmp_path, kernel, workers=2).start()
  for name in MORE:
    for family in (4, 6):
      fw.ip("address", "add", f"{UPLINKS[name][1][family]}/{MASK[family]}",
            "dev", name, *(["nodad"] if family == 6 else []))
  fw.addresses()
  wait_for("the addresses", lambda: all(
      f"{UPLINKS[name][1][f]}/{MASK[f]}" in fw.port(name)["addresses"]
      for name in MORE for f in (4, 6)))
  yield fw
  if fw.process.running:
    fw.stop()
  for name in MORE:
    hosts.server.run("ip", "link", "delete", UPLINKS[name][0])


def by(fw, family, *uplinks):
  """The route by these; waits until sluiced has it."""
  fw.ip(f"-{family}", "route", "replace", FAR[family][0],
        *(word for name in uplinks for word in (
            "nexthop", "via", UPLINKS[name][2][family], "dev", name)))
  wait_for_hops(fw, family, *uplinks)


def wait_for_hops(fw, family, *uplinks):
  wait_for(f"the route by {uplinks}", lambda: {
      hop["port"] for hop in fw.routes().get(
          FAR[family][0], {"hops": []})["hops"]} == set(uplinks))


def test_flows_of_several_uplinks(uplinks, hosts, family):
  """Each stays on one. Those of an uplink that is withdrawn go by the others,
  and come back; nobody else's notice it."""
  fw = uplinks
  by(fw, family, *UPLINKS)
  flows = Flows(hosts, FAR[family][1], 36)
  first = flows.more(5)
  assert all(len(flow["path"]) == 1 for flow in first), first
  home = [flow["path"][0] for flow in first]
  assert all(home.count(f"eth{i}") >= 2 for i in range(3)), home

  def others_stay():
    now = flows.more()
    for flow, at in zip(now, home):
      assert at == "eth1" or flow["path"] == [at], flow
    return now

  def moved():
    return all(now != "eth1" for now in flows.last())

  # A routing protocol's way: the route is replaced, and the uplink works still.
  by(fw, family, "inside", "third")
  wait_for("the move", moved)
  others_stay()
  by(fw, family, *UPLINKS)
  wait_for("the return", lambda: flows.last() == home)
  # Nobody has lost anything to that.
  now = others_stay()
  assert not any(flow["missed"] for flow in now), now

  # The cable's: no link, no route by it, whatever the kernel's table says.
  fw.ctl("port", "disable", "second")
  wait_for("the move", moved)
  others_stay()
  fw.ctl("port", "enable", "second")
  wait_for("the return", lambda: flows.last() == home)
  others_stay()

  for flow, at in zip(flows.finish(), home):
    if at != "eth1":
      assert flow["path"] == [at] and flow["heard"] == flow["sent"], flow
    else:
      assert flow["path"][::2] == ["eth1"] * 3 and len(flow["path"]) == 5, flow
