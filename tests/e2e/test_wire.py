"""Addresses that only the firewall has: it answers for them on the wire, sends
replies to who asked, redirects, and sends back by the port of arrival."""

import json
import os
import subprocess

import pytest

import harness
from harness import SERVERS, run, wait_for

# Two hosts on the link of the port "outside"; the server is what lies beyond
# "inside". Nobody but the firewall has the last three.
ALICE = {4: "10.0.0.12", 6: "fd00::12"}
BOB = {4: "10.0.0.13", 6: "fd00::13"}
NAT = {4: "10.0.0.77", 6: "fd00::77"}
SECOND_NAT = {4: "10.0.0.78", 6: "fd00::78"}
VIRTUAL = {4: "10.0.0.80", 6: "fd00::80"}

ANSWERS = 'answer_arp = "translation"\n'

MASQUERADE = f"""pass
match out on inside inet proto {{ tcp, udp, icmp }} from 10.0.0.0/24 nat-to {NAT[4]}
match out on inside inet6 proto {{ tcp, udp }} from fd00::/64 nat-to {NAT[6]}
match out on inside inet6 proto icmp6 from fd00::/64 icmp6-type echoreq nat-to {NAT[6]}
"""


def attach(network, name, addresses):
  """One more host behind the bridge in the client's namespace."""
  host = network._namespace(f"{network.client.name}-{name}")
  run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth",
      "peer", "name", name, "netns", network.client.name)
  for namespace, device in ((host, "eth0"), (network.client, name)):
    namespace.run("ethtool", "-K", device, "tx", "off", "rx", "off", "tso",
                  "off", "gso", "off", "gro", "off")
    namespace.run("ip", "link", "set", device, "up")
  network.client.run("ip", "link", "set", name, "master", "br0")
  host.run("ip", "address", "add", f"{addresses[4]}/24", "dev", "eth0")
  host.run("ip", "address", "add", f"{addresses[6]}/64", "dev", "eth0", "nodad")
  return host


@pytest.fixture(scope="module")
def lan(_module_network):
  """The client's namespace is a switch, with two hosts on it."""
  network = _module_network
  switch = network.client
  switch.run("ip", "address", "flush", "dev", "eth0")
  switch.run("ip", "link", "add", "br0", "type", "bridge")
  switch.run("ip", "link", "set", "eth0", "master", "br0")
  switch.run("ip", "link", "set", "br0", "up")
  network.alice = attach(network, "alice", ALICE)
  network.bob = attach(network, "bob", BOB)
  return network


@pytest.fixture
def hosts(lan, network):
  for host in (lan.alice, lan.bob):
    host.forget_programs()
    host.run("ip", "neighbour", "flush", "dev", "eth0", "nud", "all")
  yield lan
  for host in (lan.alice, lan.bob):
    host.stop_programs()


def listing(fw):
  return fw.ctl("-s", "states").stdout


def answers(host, address):
  """Whether somebody answers for the address, asked from that host."""
  host.run("ip", "neighbour", "flush", "dev", "eth0", "nud", "all")
  host.run("ping", "-n", "-c", "1", "-w", "1", address, check=False)
  found = json.loads(host.run("ip", "-json", "neighbour", "show",
                              address).stdout)
  return next((n["lladdr"] for n in found if "lladdr" in n), None)


def link_of(namespace, device):
  return json.loads(namespace.run("ip", "-json", "link", "show",
                                  device).stdout)[0]["address"]


def ready(fw, hosts, address):
  """Until the firewall has found out that nobody else has the address."""
  wait_for(f"an answer for {address}",
           lambda: answers(hosts.server, address) ==
           link_of(hosts.firewall, "inside"), 10)


def serve_http(host, port, folder):
  folder.mkdir(exist_ok=True)
  (folder / "page").write_bytes(os.urandom(200_000))
  host.start(harness.PYTHON, "-m", "http.server", str(port), "--bind", "::",
             "--directory", folder)
  host.wait_for_listener(port)
  return (folder / "page").read_bytes()


def fetch(host, address, port=80):
  name = f"[{address}]" if ":" in address else address
  return subprocess.run(
      host.command("curl", "-sS", "--globoff", "--max-time", "8",
                   f"http://{name}:{port}/page"),
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)


@pytest.mark.parametrize("workers", (1, 2))
def test_a_masqueraded_network(hosts, firewall, family, tmp_path, workers):
  fw = firewall(MASQUERADE, wire=ANSWERS, workers=workers,
                helpers=("ftp", "tftp"))
  ready(fw, hosts, NAT[family])
  server, target = hosts.server, SERVERS[family]
  page = serve_http(server, 8080, tmp_path / "www")
  web = server._processes[-1]
  for host in (hosts.alice, hosts.bob):
    done = fetch(host, target, 8080)
    assert done.stdout == page, done.stderr
    host.run("ping", "-n", "-c", "2", "-i", "0.2", "-w", "5", target)
  for options in ((), ("--reverse",), ("--udp", "--length", "1200")):
    iperf = server.start("iperf3", "--server", "--one-off")
    server.wait_for_listener(5201)
    done = hosts.alice.run("iperf3", "--client", target, "--json", "--time",
                           "1", *options)
    assert "error" not in json.loads(done.stdout)
    iperf.wait()
  # The server has been asked by nobody but the firewall's address.
  asked_by = [line.split(" - - ")[0].removeprefix("::ffff:")
              for line in web.text().splitlines() if "GET" in line]
  assert asked_by == [NAT[family]] * 2, web.text()
  assert NAT[family] in listing(fw)


@pytest.mark.parametrize("mode", ("active", "passive"))
def test_ftp_of_a_masqueraded_network(hosts, firewall, family, tmp_path, mode):
  fw = firewall(MASQUERADE, wire=ANSWERS, helpers=("ftp",))
  ready(fw, hosts, NAT[family])
  folder = tmp_path / "ftp"
  folder.mkdir()
  (folder / "file").write_bytes(os.urandom(100_000))
  hosts.server.start_python("small_ftp_server.py", folder)
  hosts.server.wait_for_listener(21)
  done = hosts.alice.python("ftp_client.py", SERVERS[family], mode, "file",
                            "copy", check=False, timeout=40)
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()


def test_tftp_of_a_masqueraded_network(hosts, firewall, family, tmp_path):
  fw = firewall(MASQUERADE, wire=ANSWERS, helpers=("tftp",))
  ready(fw, hosts, NAT[family])
  folder = tmp_path / "tftp"
  folder.mkdir()
  (folder / "image").write_bytes(os.urandom(60_000))
  hosts.server.start_python("single_port_tftp.py", folder)
  hosts.server.wait_for_listener(69, udp=True)
  got = tmp_path / "got"
  done = hosts.alice.run("tftp", f"-{family}", "-m", "octet", SERVERS[family],
                         "-c", "get", "image", got, check=False, timeout=25)
  assert got.read_bytes() == (folder / "image").read_bytes(), done.stdout


REDIRECT = "pass\n" + "".join(f"""
match in proto tcp to {VIRTUAL[f]} port 80 rdr-to {BOB[f]} port 8080
match out on outside proto tcp from {ALICE[f]} to {BOB[f]} port 8080 nat-to {VIRTUAL[f]}
""" for f in (4, 6))


@pytest.mark.parametrize("workers", (1, 2))
def test_a_redirected_web_server(hosts, firewall, family, tmp_path, workers):
  fw = firewall(REDIRECT, wire=ANSWERS, workers=workers)
  page = serve_http(hosts.bob, 8080, tmp_path / "www")
  ready(fw, hosts, VIRTUAL[family])
  # From beyond, and from beside the server: a hairpin.
  for host in (hosts.server, hosts.alice):
    for _ in range(3):
      done = fetch(host, VIRTUAL[family])
      assert done.stdout == page, (host.name, done.stderr, fw.drops(),
                                   listing(fw))
  assert fw.drops().get("no-route", 0) == 0


def test_nobody_is_answered_for_who_answers_himself(hosts, firewall, family):
  bob = hosts.bob
  bits = {4: 24, 6: 64}[family]
  extra = ("nodad",) if family == 6 else ()
  bob.run("ip", "address", "add", f"{NAT[family]}/{bits}", "dev", "eth0",
          *extra)
  try:
    fw = firewall(MASQUERADE, wire=ANSWERS)
    wait_for("a warning", lambda: f"somebody else answers for {NAT[family]}"
             in fw.process.text(), 10)
    assert answers(hosts.server, NAT[family]) == link_of(bob, "eth0")
    counters = {c["name"]: c["value"] for c in
                fw.json("port", "stats", "outside")["port.stats"]["counters"]}
    assert counters["address_conflicts"] >= 1, counters
  finally:
    bob.run("ip", "address", "del", f"{NAT[family]}/{bits}", "dev", "eth0")
  # And answers once that one has gone.
  ready(fw, hosts, NAT[family])


def test_announcements(hosts, firewall, tmp_path):
  """On load, and by the process that takes over."""
  heard = hosts.server.start("tcpdump", "-l", "-n", "-i", "eth0", "-Q", "in",
                             "arp or icmp6")
  wait_for("tcpdump", lambda: "listening on" in heard.text())

  def announced(address):
    text = heard.text()
    if ":" in address:
      return text.count(f"tgt is {address}")
    return text.count(f"who-has {address} tell {address}") + text.count(
        f"Announcement {address}")

  fw = firewall("pass\n", wire=ANSWERS)
  assert announced(NAT[4]) == announced(NAT[6]) == 0
  fw.load(MASQUERADE)
  # The link of this driver never goes down: unit_forward has that.
  wait_for("announcements", lambda: all(
      announced(NAT[f]) >= 2 for f in (4, 6)), 15)
  fw.stop()
  before = {f: announced(NAT[f]) for f in (4, 6)}
  (fw.work / "pf.conf").write_text(MASQUERADE)
  again = harness.Firewall(hosts, MASQUERADE, tmp_path, wire=ANSWERS).start()
  try:
    wait_for("announcements of the next process", lambda: all(
        announced(NAT[f]) > before[f] for f in (4, 6)), 15)
  finally:
    again.stop()


def test_a_pool_that_is_edited(hosts, firewall, family):
  fw = firewall(
      "table <pool> persist { " + NAT[4] + ", " + NAT[6] + " }\npass\n"
      "match out on inside inet proto tcp from 10.0.0.0/24 nat-to <pool>\n"
      "match out on inside inet6 proto tcp from fd00::/64 nat-to <pool>\n",
      wire=ANSWERS)
  ready(fw, hosts, NAT[family])
  iperf = hosts.server.start("iperf3", "--server", "--one-off")
  hosts.server.wait_for_listener(5201)
  client = hosts.alice.start("iperf3", "--client", SERVERS[family], "--time",
                             "4", "--bitrate", "5M", "--json")
  wait_for("a state", lambda: NAT[family] in listing(fw))
  fw.ctl("-t", "pool", "-T", "add", SECOND_NAT[family])
  fw.ctl("-t", "pool", "-T", "delete", NAT[family])
  ready(fw, hosts, SECOND_NAT[family])
  # The flow goes on under the address that it has; the next one gets another.
  assert client.running
  assert client.wait() == 0, client.text()
  assert json.loads(client.text())["end"]["sum_received"]["seconds"] > 3.5
  iperf.wait()
  iperf = hosts.server.start("iperf3", "--server", "--one-off")
  hosts.server.wait_for_listener(5201)
  hosts.alice.run("iperf3", "--client", SERVERS[family], "--time", "1")
  iperf.wait()
  assert SECOND_NAT[family] in listing(fw)


def test_a_client_with_ipv6_only(hosts, firewall, tmp_path):
  """NAT64 without a route anywhere but to the prefix."""
  fw = firewall(
      "pass\npass in on outside inet6 to 64:ff9b::/96 af-to inet from "
      f"{NAT[4]}\n", wire=ANSWERS)
  ready(fw, hosts, NAT[4])
  alice = hosts.alice
  alice.run("ip", "address", "del", f"{ALICE[4]}/24", "dev", "eth0")
  alice.run("ip", "-6", "route", "replace", "64:ff9b::/96", "via", SERVERS[6])
  try:
    page = serve_http(hosts.server, 8080, tmp_path / "www")
    done = fetch(alice, "64:ff9b::a00:1", 8080)
    assert done.stdout == page, (done.stderr, fw.drops(), listing(fw))
    alice.run("ping", "-n", "-c", "2", "-i", "0.2", "-w", "5",
              "64:ff9b::a00:1")
  finally:
    alice.run("ip", "-6", "route", "del", "64:ff9b::/96")
    alice.run("ip", "address", "add", f"{ALICE[4]}/24", "dev", "eth0")


def test_many_connections_of_one_address(hosts, firewall):
  """60 000 at once, one port of the firewall's each, to four of the server."""
  flows = 60_000
  fw = firewall(
      "set timeout { udp.single 120 }\nset limit states 140000\npass\n"
      f"match out on inside inet proto udp from 10.0.0.0/24 nat-to {NAT[4]} "
      "port 1024:65535\n", wire=ANSWERS, states=140_000)
  ready(fw, hosts, NAT[4])
  for port in range(4):
    hosts.alice.python("udp_flows.py", "--to", SERVERS[4], "--port",
                       str(6000 + port), "--flows", str(flows // 4),
                       "--rate", "10000", timeout=60)
  info = fw.json("-s", "info")["info"]
  assert fw.drops().get("map-failed", 0) == 0, fw.drops()
  # One at each port of the firewall.
  assert info["states"] > 2 * 0.97 * flows, (info, fw.drops())


FAR = {4: "198.51.100.1", 6: "2001:db8:1::1"}
FAR_NETWORK = {4: "198.51.100.0/24", 6: "2001:db8:1::/64"}
FAR_ROUTER = {4: "198.51.100.254", 6: "2001:db8:1::fe"}


@pytest.fixture
def far(hosts):
  """A network beyond the server, which is a router for the test."""
  server = hosts.server
  host = hosts._namespace(f"{server.name}-far")
  run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth",
      "peer", "name", "far", "netns", server.name)
  for namespace, device, addresses in ((host, "eth0", FAR),
                                       (server, "far", FAR_ROUTER)):
    namespace.run("ip", "link", "set", device, "up")
    namespace.run("ip", "address", "add", f"{addresses[4]}/24", "dev", device)
    namespace.run("ip", "address", "add", f"{addresses[6]}/64", "dev", device,
                  "nodad")
  forwarding = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
  server.run("sysctl", "-qw", *(f"{name}=1" for name in forwarding))
  # It says of every packet whose time is exceeded that it is.
  server.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0",
             "net.ipv6.icmp.ratelimit=0")
  for f in (4, 6):
    host.run("ip", f"-{f}", "route", "add", "default", "via", FAR_ROUTER[f])
    hosts.alice.run("ip", f"-{f}", "route", "add", FAR_NETWORK[f], "via",
                    SERVERS[f])
  yield host
  for f in (4, 6):
    hosts.alice.run("ip", f"-{f}", "route", "del", FAR_NETWORK[f])
  server.run("sysctl", "-qw", *(f"{name}=0" for name in forwarding))
  host.delete()  # and its link with it
  hosts._made.remove(host)


@pytest.mark.parametrize("probe", ("--icmp", "--udp", "--tcp"))
def test_traceroute_of_a_masqueraded_network(hosts, far, firewall, family,
                                             probe):
  """Errors about packets that were translated find their sender."""
  fw = firewall(MASQUERADE, wire=ANSWERS)
  ready(fw, hosts, NAT[family])
  done = hosts.alice.run("traceroute", f"-{family}", "-n", probe, "-q", "2",
                         "-w", "3", "-m", "4", FAR[family])
  hops = [line.split()[1:] for line in done.stdout.splitlines()[1:]]
  assert [hop[0] for hop in hops] == [SERVERS[family], FAR[family]], (
      done.stdout, fw.drops(), listing(fw))
  assert "*" not in done.stdout
