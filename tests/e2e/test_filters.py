"""Filters that come and go, and ports that are plugged in and switched, while
packets flow."""

import json
import os

import pytest

import harness
from harness import NEIGHBOURS, SERVERS, Firewall, UdpStream, wait_for

# The only ruleset of main here. The filter of the second wire allows another
# port, so that a packet that meets the wrong rules is told by its fate.
MAIN = "block all\npass proto udp to port 5300\n" + NEIGHBOURS
OTHER = "block all\npass proto udp to port 5301\n" + NEIGHBOURS
BOTH = "block all\npass proto udp to port { 5300, 5301 }\n" + NEIGHBOURS
# What the hosts' kernels say by themselves is not allowed by the rules, and
# goes nowhere before both ends of the second wire are there.
_NOT_ALLOWED = {"match", "no-wire", "ip-option"}


@pytest.fixture(scope="module")
def _module_second(_module_network, tmp_path_factory):
  second = harness.Network(tmp_path_factory.mktemp("second"),
                           _module_network.firewall, ("left", "right"))
  yield second
  second.close()


@pytest.fixture
def second(_module_second):
  """Two more hosts with the addresses of the first two, on a wire that no
  daemon has yet."""
  _module_second.settle()
  yield _module_second
  for namespace in (_module_second.client, _module_second.server):
    namespace.forget_programs()


def plug(fw, port, number, wire, *more):
  """The second of the two makes the wire."""
  known = fw.ctl("port", "list").stdout.split()
  return fw.ctl("port", "add", port, "--device",
                f"net_af_packet{number},iface={port},framecnt=2048,qpairs=1",
                *(("--wire", wire) if wire in known else ()), *more)


def plug_second(fw):
  plug(fw, "left", 8, "right")
  plug(fw, "right", 9, "left")


def create(fw, name, ports, rules, *more, check=True):
  return fw.ctl("filter", "create", name, "--ports", ports, "--ruleset", "-",
                *more, input=rules, check=check)


def shown(fw, name):
  return fw.json("filter", "show", name)["filter"]


def ports_of(fw):
  return {p["name"]: p for p in fw.json("port", "list")["ports"]}


def passed(network, family, port, count=20):
  """How many of `count` packets reach the server."""
  stream = UdpStream(network, family, port, rate=500, seconds=count / 500)
  counted = stream.finish()
  assert counted.sent == count
  return counted.received


def test_a_second_wire_has_rules_tables_and_states_of_its_own(
    network, second, firewall, family):
  fw = firewall(MAIN)
  network.settle()
  plug_second(fw)
  # Until it has a filter, main judges there too.
  assert passed(second, family, 5300) == 20
  create(fw, "vm", "left,right",
         "table <t> persist { 192.0.2.1 }\n" + OTHER)
  # The same addresses and ports on both wires at the same time.
  flow = {"source_port": 40000}
  streams = [UdpStream(network, family, 5300, 500, 1, **flow),
             UdpStream(second, family, 5301, 500, 1, **flow)]
  for stream in streams:
    counted = stream.finish()
    assert counted.received == counted.sent == 500, fw.drops()
  assert passed(network, family, 5301) == 0
  assert passed(second, family, 5300) == 0

  def ports_of_states(*flags):
    states = fw.json(*flags, "-s", "states")["states"]
    return {s["before"]["destination_port"] for s in states
            if s["protocol"] == 17}
  # main's own from before the second wire had a filter are among them.
  assert ports_of_states() == {5300}
  assert ports_of_states("--filter", "vm") == {5301}
  assert "t" in fw.ctl("--filter", "vm", "-sT").stdout
  assert fw.ctl("-sT").stdout == ""
  fw.ctl("--filter", "vm", "-t", "t", "-T", "add", "2001:db8::1")
  assert fw.ctl("-t", "t", "-T", "show", check=False).returncode == 1
  assert "2001:db8::1" in fw.ctl("--filter", "vm", "-t", "t", "-T",
                                 "show").stdout
  listing = shown(fw, "vm")
  assert listing["ports"] == ["left", "right"]
  assert listing["rules"] == 4 and listing["tables"] == 1
  assert listing["table_addresses"] == 2
  assert listing["state"] == "active" and listing["incarnation"] == 1
  assert [len(mac) for mac in listing["macs"]] == [17, 17]

  # To flush the one's states leaves the other's.
  before = shown(fw, "main")["states"]
  assert before > 0
  fw.ctl("--filter", "vm", "-F", "states")
  wait_for("states of vm gone", lambda: shown(fw, "vm")["states"] == 0)
  assert shown(fw, "main")["states"] == before
  assert fw.ctl("--filter", "nobody", "-sr", check=False).returncode == 1
  assert set(fw.drops()) <= _NOT_ALLOWED, fw.drops()


def test_a_limit_of_one_filter_is_not_the_others(network, second, firewall,
                                                 family):
  fw = firewall("pass\n")
  network.settle()
  plug_second(fw)
  create(fw, "vm", "left,right",
         "set limit states 10\npass in\npass out no state\n" + NEIGHBOURS)
  for net, most in ((network, 200), (second, 10)):
    receiver = net.server.start_python("udp_stream.py", "receive", "--port",
                                       5300)
    net.server.wait_for_listener(5300, udp=True)
    sender = net.client.start_python(
        "udp_stream.py", "send", "--to", SERVERS[family], "--port", 5300,
        "--rate", 400, "--seconds", 0.5, "--new-flows")
    assert sender.wait() == 0, sender.text()
    assert receiver.wait() == 0, receiver.text()
    received = json.loads(receiver.text())["received"]
    if most == 200:
      assert received == 200
    else:
      # Neighbour discovery may have a state or two of them.
      assert 0 < received <= 10
  assert shown(fw, "vm")["states"] <= 10
  assert shown(fw, "main")["states"] >= 200
  limits = {l["name"]: l["value"]
            for l in fw.json("--filter", "vm", "-sm")["limits"]}
  assert limits["states"] == 10


def test_filters_come_and_go_on_a_wire_that_carries_traffic(
    network, firewall, family):
  """Each packet is judged by the one or by the other, and both allow it."""
  fw = firewall(BOTH)
  network.settle()
  stream = UdpStream(network, family, 5300, rate=2000, seconds=5)
  rounds = 0
  while stream.running:
    create(fw, f"vm-{rounds % 3}", "outside,inside", BOTH)
    fw.ctl("filter", "destroy", f"vm-{rounds % 3}")
    rounds += 1
  counted = stream.finish()
  assert rounds >= 10
  assert counted.received == counted.sent == 10000, fw.drops()
  assert set(fw.drops()) <= _NOT_ALLOWED, fw.drops()
  assert len(fw.json("filter", "list")["filters"]) == 1


def test_what_is_refused_makes_nothing(network, firewall, tmp_path):
  victim = tmp_path / "victim"
  victim.write_text("precious")
  fw = firewall(MAIN)
  done = create(fw, "vm", "outside", "pass all\nblock in on on outside\n",
                check=False)
  assert done.returncode == 1
  assert done.stderr.startswith("stdin:2:"), done.stderr
  assert "\n^" in done.stderr.replace(" ", ""), done.stderr
  assert "the filter was not made" in done.stderr, done.stderr
  for words, why in (
      (("filter", "create", "main", "--ports", "outside"), "already"),
      (("filter", "destroy", "main"), "cannot be destroyed"),
      (("filter", "destroy", "vm"), "no filter"),
      (("port", "add", "outside", "--device", "net_null3"), "already"),
      (("port", "add", "p", "--device", "net_null3", "--wire", "outside"),
       "outside has a wire to inside"),
      (("port", "add", "p", "--device", "net_nothing3"),
       "may not use the driver net_nothing"),
      (("port", "add", "p", "--device", f"net_failsafe0,exec(touch {victim})"),
       "device 'net_failsafe0'"),
      (("port", "add", "p", "--device", f"net_vhost0,iface={victim}"),
       "device_dirs"),
      (("port", "add", "p", "--device", f"net_pcap0,tx_pcap={victim}"),
       "may not give the argument 'tx_pcap'"),
      (("port", "add", "p", "--device", f"net_pcap0,rx_pcap={victim}"),
       "may not give the argument 'rx_pcap'"),
      (("port", "add", "9p", "--device", "net_null3"), "9p"),
      (("port", "add", "all", "--device", "net_null3"), "all"),
      (("port", "enable", "outside"), "enabled already"),
      (("port", "include", "outside"), "not excluded"),
      (("port", "stats", "nobody"), "no port"),
      (("port", "remove", "nobody"), "no port")):
    done = fw.ctl(*words, check=False)
    assert done.returncode == 1, words
    assert why in done.stderr, (words, done.stderr)
  assert victim.read_text() == "precious"
  assert [f["name"] for f in fw.json("filter", "list")["filters"]] == ["main"]
  assert sorted(ports_of(fw)) == ["inside", "outside"]


def test_a_disabled_port_passes_nothing(network, firewall, family):
  fw = firewall(MAIN)
  network.settle()
  create(fw, "vm", "outside", MAIN)
  assert passed(network, family, 5300) == 20
  states = shown(fw, "vm")["states"]
  fw.ctl("port", "disable", "outside")
  # The answer came when no worker lets anything pass any more.
  assert passed(network, family, 5300) == 0
  assert ports_of(fw)["outside"]["enabled"] is False
  listing = shown(fw, "vm")
  assert listing["state"] == "ports disabled"
  assert listing["incarnation"] == 2
  assert listing["states"] >= states, "its states stay"
  drops = {c["name"]: c["value"] for c in fw.json(
      "--filter", "vm", "-s", "info")["info"]["drop_counters"]}
  assert drops["port-down"] >= 20, drops
  fw.ctl("port", "enable", "outside")
  assert passed(network, family, 5300) == 20
  assert shown(fw, "vm")["incarnation"] == 3
  # The port of departure, of main.
  fw.ctl("port", "disable", "inside")
  assert passed(network, family, 5300) == 0
  fw.ctl("port", "enable", "inside")
  assert passed(network, family, 5300) == 20


def test_an_excluded_port_is_not_judged(network, firewall, family):
  fw = firewall("block all\n")
  network.settle()
  assert passed(network, family, 5300) == 0
  fw.ctl("port", "exclude", "outside")
  assert passed(network, family, 5300) == 0, "inside still judges"
  fw.ctl("port", "exclude", "inside")
  assert passed(network, family, 5300) == 20
  assert ports_of(fw)["inside"]["excluded"] is True
  fw.ctl("port", "include", "outside")
  assert passed(network, family, 5300) == 0


def test_states_go_with_their_filter(network, second, firewall, family):
  fw = firewall(MAIN)
  network.settle()
  plug_second(fw)
  create(fw, "vm", "left,right", OTHER)
  assert passed(network, family, 5300) == 20
  receiver = second.server.start_python("udp_stream.py", "receive", "--port",
                                        5301)
  second.server.wait_for_listener(5301, udp=True)
  sender = second.client.start_python(
      "udp_stream.py", "send", "--to", SERVERS[family], "--port", 5301,
      "--rate", 1000, "--seconds", 2, "--new-flows")
  wait_for("a thousand states", lambda: shown(fw, "vm")["states"] >= 1000)
  main_states = shown(fw, "main")["states"]
  # While more come, somebody lists them, and somebody loads rules.
  listing = fw.network.firewall.start(
      harness.BUILD / "sluicectl", "-p", fw.socket, "--filter", "vm", "-ss")
  fw.ctl("filter", "destroy", "vm")
  assert listing.wait() in (0, 1)
  assert shown(fw, "main")["states"] <= main_states + 4, (
      "packets of the second wire are main's again, and it blocks them")
  assert fw.ctl("filter", "show", "vm", check=False).returncode == 1
  assert sender.wait() == 0 and receiver.wait() == 0
  assert json.loads(receiver.text())["received"] < 2000
  # The next of its name begins with nothing.
  create(fw, "vm", "left,right", OTHER)
  assert shown(fw, "vm")["states"] == 0
  assert passed(second, family, 5301) == 20


def test_ports_are_unplugged_and_plugged_in_again(network, second, firewall,
                                                  family):
  fw = firewall(MAIN)
  network.settle()
  plug_second(fw)
  create(fw, "vm", "left,right", OTHER)
  stream = UdpStream(network, family, 5300, rate=1000, seconds=6)
  rounds = 0
  while stream.running and rounds < 8:
    assert passed(second, family, 5301) == 20
    fw.ctl("port", "remove", "left")
    ports = ports_of(fw)
    assert ports["left"]["present"] is False
    assert ports["left"]["filter"] == "vm", "its filter waits for it"
    assert "wire" not in ports["right"]
    plug(fw, "left", 8 + 2 * (rounds % 4), "right")
    assert ports_of(fw)["left"]["received"]["packets"] < 20
    rounds += 1
  assert rounds >= 3
  counted = stream.finish()
  assert counted.received == counted.sent == 6000, fw.drops()


def test_a_port_may_begin_disabled(network, second, firewall, family):
  fw = firewall(BOTH)
  plug(fw, "left", 8, "right", "--disabled")
  plug(fw, "right", 9, "left")
  assert passed(second, family, 5300) == 0
  fw.ctl("port", "enable", "left")
  assert passed(second, family, 5300) == 20


class Guest(Firewall):
  """Another sluiced, whose outside is the guest's end of a vhost-user
  port."""

  def __init__(self, network, vhost, work):
    self.vhost = vhost
    super().__init__(network, "pass\n" + NEIGHBOURS, work)

  def _config(self):
    return super()._config().replace(
        "net_af_packet0,iface=outside,framecnt=2048,qpairs=1",
        f"net_virtio_user0,path={self.vhost},queues=1")


def test_a_vhost_user_port_and_its_guest_come_and_go(network, firewall,
                                                     family, tmp_path):
  """client -- outside, vm -- guest -- server: the guest comes twice."""
  sockets = tmp_path / "sockets"
  sockets.mkdir(mode=0o700)
  fw = firewall(BOTH, control=f'device_dirs = ["{sockets}"]')
  network.settle()
  vhost = sockets / "vm.sock"
  fw.ctl("port", "remove", "inside")
  fw.ctl("port", "add", "vm", "--device",
         f"net_vhost0,iface={vhost},queues=1", "--wire", "outside")
  assert ports_of(fw)["vm"]["link_up"] is False
  create(fw, "vm", "vm", OTHER)
  for life in range(2):
    work = tmp_path / f"guest{life}"
    work.mkdir()
    guest = Guest(network, vhost, work).start()
    wait_for("the guest's link", lambda: ports_of(fw)["vm"]["link_up"])
    assert passed(network, family, 5301) == 20
    assert passed(network, family, 5300) == 0, "vm's filter blocks it"
    # At the end of the second life the port goes before its guest does.
    if life == 1:
      fw.ctl("port", "remove", "vm")
      assert "vm" in ports_of(fw), "its filter has the name"
      wait_for("the guest's loss", lambda: not ports_of(guest)[
          "outside"]["link_up"])
    guest.stop()
    if life == 0:
      wait_for("no link", lambda: not ports_of(fw)["vm"]["link_up"])
  fw.ctl("filter", "destroy", "vm")
  assert sorted(ports_of(fw)) == ["outside"]


def resident_kib(process):
  with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
    for line in status:
      if line.startswith("VmRSS:"):
        return int(line.split()[1])
  raise AssertionError("no VmRSS")


def test_two_hundred_come_and_go_and_nothing_is_left(network, second,
                                                     firewall, family):
  fw = firewall(MAIN)
  network.settle()
  plug_second(fw)

  def life(number):
    create(fw, f"vm-{number % 7}", "left,right",
           "table <t> persist { 192.0.2.1, 2001:db8::/32 }\n" + OTHER)
    if number % 20 == 0:
      assert passed(second, family, 5301) == 20
    fw.ctl("filter", "destroy", f"vm-{number % 7}")

  # What the first lives leave in caches is no leak.
  for number in range(40):
    life(number)
  before = resident_kib(fw.process)
  descriptors = len(os.listdir(f"/proc/{fw.process.pid}/fd"))
  stream = UdpStream(network, family, 5300, rate=1000, seconds=12)
  for number in range(200):
    life(number)
  counted = stream.finish()
  assert counted.received == counted.sent == 12000, fw.drops()
  assert set(fw.drops()) <= _NOT_ALLOWED, fw.drops()
  grown = resident_kib(fw.process) - before
  assert grown < 2048, f"{grown} KiB more after 200 filters"
  wait_for("no descriptor more", lambda: len(
      os.listdir(f"/proc/{fw.process.pid}/fd")) <= descriptors)
  assert [f["name"] for f in fw.json("filter", "list")["filters"]] == ["main"]
  fw.stop()
  assert "mbufs" not in fw.process.text(), fw.process.text()
