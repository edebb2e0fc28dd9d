"""A router: sluiced between two networks, with the kernel of a namespace as
its control plane."""

import json
import re
import signal

import pytest

from harness import BUILD, Firewall, Namespace, NEIGHBOURS, wait_for
from test_service import UserFirewall, user_work  # noqa: F401

CLIENT = {4: "10.1.0.2", 6: "fd01::2"}
SERVER = {4: "10.2.0.2", 6: "fd02::2"}
OUTSIDE = {4: "10.1.0.1", 6: "fd01::1"}  # the router's own
INSIDE = {4: "10.2.0.1", 6: "fd02::1"}
MASK = {4: 24, 6: 64}
ALL = {4: "0.0.0.0/0", 6: "::/0"}
RULES = "pass all\n"


class RouterFirewall(Firewall):
  """The two ports belong to a router, whose kernel is `control`."""

  def __init__(self, network, rules, work, kernel=None, **options):
    self.kernel = kernel or self.kernel
    super().__init__(network, rules, work, **options)

  def _config(self):
    text = super()._config()
    start, end = text.index("[[wire]]"), text.index("[workers]")
    return text[:start] + f"""[[router]]
name = "edge"
ports = ["outside", "inside"]
netns = "{self.kernel.name}"

""" + text[end:]

  def ip(self, *words, **more):
    return self.kernel.run("ip", *words, **more)

  def router(self):
    return self.json("router", "show", "edge")["router.show"]

  def port(self, name):
    return next(p for p in self.router()["ports"] if p["port"] == name)

  def routes(self, *words):
    return {r["prefix"]: r for r in
            self.json("router", "routes", "edge", *words)["routes"]}

  def neighbours(self):
    return {n["address"]: n for n in
            self.json("router", "neighbors", "edge")["neighbors"]}

  def addresses(self):
    """Gives the router its addresses, and waits until sluiced has them."""
    for port, own in (("outside", OUTSIDE), ("inside", INSIDE)):
      for family in (4, 6):
        self.ip("address", "add", f"{own[family]}/{MASK[family]}", "dev", port,
                *(["nodad"] if family == 6 else []))
    self.follow()
    return self

  def follow(self):
    wait_for("the addresses", lambda: all(
        f"{own[family]}/{MASK[family]}" in self.port(port)["addresses"]
        for port, own in (("outside", OUTSIDE), ("inside", INSIDE))
        for family in (4, 6)))
    # Until the kernel knows that nobody else has its link-local addresses, it
    # asks for no neighbours.
    wait_for("its own addresses", lambda: "tentative" not in self.ip(
        "-6", "address", "show").stdout)


@pytest.fixture
def hosts(network):
  """Client and server in networks of their own, each behind the router."""
  for host, own, router in ((network.client, CLIENT, OUTSIDE),
                            (network.server, SERVER, INSIDE)):
    for family in (4, 6):
      nodad = ["nodad"] if family == 6 else []
      host.run("ip", "address", "replace", f"{own[family]}/{MASK[family]}",
               "dev", "eth0", *nodad)
      host.run("ip", f"-{family}", "route", "replace", "default", "via",
               router[family], "src", own[family])
  yield network
  for host in (network.client, network.server):
    host.run("ip", "-6", "route", "flush", "cache")


@pytest.fixture
def kernel(network, tmp_path):
  """The namespace that is the router's control plane."""
  made = Namespace(network.client.name.replace("-client", "-router"), tmp_path)
  yield made
  made.delete()


@pytest.fixture
def router(hosts, kernel, tmp_path):
  """Starts sluiced as a router: router(rules, **options)."""
  started = []

  def start(rules=RULES, **options):
    fw = RouterFirewall(hosts, rules, tmp_path, kernel, **options).start()
    started.append(fw)
    return fw

  yield start
  for fw in started:
    if fw.process.running:
      fw.stop()


def ping(host, address, *words):
  return host.run("ping", "-n", "-c", "1", "-W", "2", *words, address,
                  check=False)


def pings(host, address, *words):
  return ping(host, address, *words).returncode == 0


def mac_of(host, device="eth0"):
  return host.run("cat", f"/sys/class/net/{device}/address").stdout.strip()


def test_interfaces_of_ports(router, network):
  fw = router()
  for name in ("outside", "inside"):
    link = json.loads(fw.ip("-json", "link", "show", name).stdout)[0]
    assert link["address"] == mac_of(network.firewall, name)
    assert link["mtu"] == 1500
    assert "UP" in link["flags"] and "LOWER_UP" in link["flags"]
  shown = fw.router()
  assert shown["netns"] == fw.kernel.name
  assert {p["port"]: p["present"] for p in shown["ports"]} == {
      "outside": True, "inside": True}
  assert "edge" in fw.ctl("router", "list").stdout
  assert "interface outside, up" in fw.ctl("router", "show", "edge").stdout
  # A cable that is pulled out is out for the kernel, too.
  fw.ctl("port", "disable", "inside")
  wait_for("no carrier", lambda: "NO-CARRIER" in json.loads(
      fw.ip("-json", "link", "show", "inside").stdout)[0]["flags"])
  fw.ctl("port", "enable", "inside")
  wait_for("a carrier", lambda: "LOWER_UP" in json.loads(
      fw.ip("-json", "link", "show", "inside").stdout)[0]["flags"])
  fw.stop()
  assert fw.ip("link", "show", "outside", check=False).returncode != 0


def refused(network, kernel, tmp_path, change=lambda text: text):
  fw = RouterFirewall(network, RULES, tmp_path, kernel)
  fw.config.write_text(change(fw.config.read_text()))
  done = network.firewall.run(BUILD / "sluiced", "-c", fw.config, check=False)
  assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
  assert not fw.socket.exists()
  return done.stdout + done.stderr


def test_names_that_are_taken(network, kernel, tmp_path):
  kernel.run("ip", "tuntap", "add", "inside", "mode", "tap")
  text = refused(network, kernel, tmp_path)
  assert re.search(r"router edge: port inside: there is an interface inside "
                   r"already in network namespace", text), text
  # Where sluiced itself is, the port's own interface has the name.
  text = refused(network, kernel, tmp_path, lambda t: t.replace(
      f'netns = "{kernel.name}"\n', ""))
  assert "port 'outside': there is an interface outside already" in text, text


def test_a_namespace_that_is_not_there(network, kernel, tmp_path):
  text = refused(network, kernel, tmp_path, lambda t: t.replace(
      kernel.name, "no-such-space"))
  assert "there is no network namespace 'no-such-space'" in text, text


def test_ports_come_and_go(router, network):
  fw = router(control='allow_devices = ["net_null"]')
  fw.ctl("port", "add", "dmz", "--device", "net_null7", "--router", "edge",
         "--tap", "dmz0", "--mtu", "1400")
  link = json.loads(fw.ip("-json", "link", "show", "dmz0").stdout)[0]
  assert link["mtu"] == 1400
  assert fw.port("dmz")["tap"] == "dmz0"
  ports = {p["name"]: p for p in fw.json("port", "list")["ports"]}
  assert ports["dmz"]["router"] == "edge"
  fw.ctl("port", "add", "v5", "--parent", "dmz", "--vlan", "5", "--router",
         "edge")
  assert fw.port("v5")["present"]
  for words, says in (
      (("--router", "none"), "there is no router 'none'"),
      (("--router", "edge", "--tap", "inside"), "inside"),
      (("--router", "edge", "--tap", "lo"), "an interface lo already"),
      (("--wire", "dmz"), "belongs to router edge")):
    done = fw.ctl("port", "add", "x", "--device", "net_null8", *words,
                  check=False)
    assert done.returncode != 0 and says in done.stderr, (words, done.stderr)
  fw.ctl("port", "remove", "v5")
  fw.ctl("port", "remove", "dmz")
  assert fw.ip("link", "show", "dmz0", check=False).returncode != 0
  assert [p["port"] for p in fw.router()["ports"]] == ["outside", "inside"]


def test_routes_and_neighbours_are_the_kernels(router, network, family):
  fw = router().addresses()
  net = {4: "10.9.0.0/16", 6: "fd09::/32"}[family]
  host = {4: "10.8.0.0/16", 6: "fd08::/32"}[family]
  ip = f"-{family}"
  fw.ip(ip, "route", "add", net, "via", SERVER[family], "dev", "inside")
  fw.ip(ip, "route", "add", "blackhole", host)
  wait_for("the routes", lambda: {net, host} <= set(fw.routes()))
  assert fw.routes()[net] == {
      "prefix": net, "type": "forward",
      "hops": [{"port": "inside", "gateway": SERVER[family], "weight": 1}]}
  assert fw.routes()[host]["type"] == "blackhole"
  assert set(fw.routes(net)) == {net}
  assert all((":" in p) == (family == 6) for p in
             fw.routes("--family", {4: "inet", 6: "inet6"}[family]))
  text = fw.ctl("router", "routes", "edge").stdout
  assert f"{net} via {SERVER[family]} dev inside\n" in text
  assert f"blackhole {host}\n" in text
  fw.ip(ip, "route", "delete", net)
  wait_for("the route's end", lambda: net not in fw.routes())
  # The kernel itself asks for a neighbour, and is heard.
  fw.ip(ip, "neighbour", "replace", SERVER[family], "lladdr",
        "02:00:00:00:00:99", "dev", "inside", "nud", "permanent")
  wait_for("the neighbour", lambda: fw.neighbours().get(
      SERVER[family], {}).get("mac") == "02:00:00:00:00:99")
  assert (f"{SERVER[family]} dev inside lladdr 02:00:00:00:00:99 known"
          in fw.ctl("router", "neighbors", "edge").stdout)


def test_rules_follow_the_kernels_addresses(router, network, family):
  """(outside) is what the interface has, without a load."""
  echo = {4: "inet proto icmp", 6: "inet6 proto icmp6"}[family]
  fw = router(f"pass all no state\nblock in {echo} to (outside)\n" +
              NEIGHBOURS).addresses()
  other = {4: "10.1.0.9", 6: "fd01::9"}[family]
  wait_for("the rule", lambda: not pings(network.client, OUTSIDE[family]))
  fw.ip("address", "add", f"{other}/{MASK[family]}", "dev", "outside",
        *(["nodad"] if family == 6 else []))
  wait_for("the address", lambda: f"{other}/{MASK[family]}" in
           fw.port("outside")["addresses"])
  wait_for("the rule", lambda: not pings(network.client, other))
  # Its other one stays.
  fw.kernel.run("sysctl", "-qw", "net.ipv4.conf.outside.promote_secondaries=1")
  fw.ip("address", "delete", f"{OUTSIDE[family]}/{MASK[family]}", "dev",
        "outside")
  fw.ip("address", "add", OUTSIDE[family], "dev", "inside",
        *(["nodad"] if family == 6 else []))
  wait_for("the rule's end", lambda: pings(network.client, OUTSIDE[family]))


@pytest.mark.parametrize("workers", [1, 2])
def test_forwards(router, network, family, workers):
  fw = router(workers=workers).addresses()
  assert pings(network.client, OUTSIDE[family])
  assert pings(network.client, INSIDE[family])
  # Whoever waits for a neighbour is not lost.
  assert pings(network.client, SERVER[family])
  assert pings(network.server, CLIENT[family])
  done = ping(network.client, SERVER[family], "-t", "1")
  assert done.returncode != 0 and OUTSIDE[family] in done.stdout, done.stdout
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  done = network.client.run("iperf3", "--client", SERVER[family], "--json",
                            "--time", "2", check=False)
  result = json.loads(done.stdout)
  assert "error" not in result, result.get("error")
  assert result["end"]["sum_received"]["bytes"] > 1_000_000
  # The neighbours' MACs are the kernel's.
  assert fw.neighbours()[SERVER[family]]["mac"] == mac_of(network.server)
  # What nobody has is said so.
  nowhere = {4: "10.7.0.1", 6: "fd07::1"}[family]
  done = ping(network.client, nowhere)
  assert done.returncode != 0
  assert re.search("[Uu]nreachable|No route", done.stdout), done.stdout


def test_rules_hold_at_both_ports(router, network, family):
  fw = router("block all\n" + NEIGHBOURS).addresses()
  assert not pings(network.client, OUTSIDE[family])
  assert not pings(network.client, SERVER[family])
  echo = {4: "inet proto icmp", 6: "inet6 proto icmp6"}[family]
  fw.load("block all\n" + NEIGHBOURS + f"pass in on outside {echo}\n")
  assert pings(network.client, OUTSIDE[family])  # for itself: not judged out
  assert not pings(network.client, SERVER[family])
  fw.load("block all\n" + NEIGHBOURS + f"pass in on outside {echo}\n"
          f"pass out on inside {echo}\n")
  assert pings(network.client, SERVER[family])
  # What the kernel sends is judged out.
  own = {4: "ping", 6: "ping"}[family]
  done = fw.kernel.run(own, "-n", "-c", "1", "-W", "1", CLIENT[family],
                       check=False)
  assert done.returncode != 0
  fw.load("block all\n" + NEIGHBOURS + f"pass out on outside {echo}\n")
  assert pings(fw.kernel, CLIENT[family])


def test_explain_tells_the_way(router, network, family):
  gateway = {4: "10.2.0.77", 6: "fd02::77"}[family]
  inet = {4: "inet", 6: "inet6"}[family]
  fw = router(f"""\
pass all
block in on outside from no-route
pass in on outside proto udp to port 7 rdr-to {SERVER[family]}
pass in on outside {inet} proto udp to port 8 route-to {gateway}
""").addresses()
  version = f"-{family}"
  net = {4: "198.51.100.0/24", 6: "2001:db8:1::/64"}[family]
  one = {4: "198.51.100.1", 6: "2001:db8:1::1"}[family]
  other = {4: "203.0.113.1", 6: "2001:db8:2::1"}[family]
  fw.ip(version, "route", "add", "unreachable", net)
  wait_for("the route", lambda: net in fw.routes())
  assert pings(network.client, SERVER[family])  # neighbours are known

  def explain(to, port=9, *more, source=CLIENT[family]):
    wrap = {4: "%s:%d", 6: "[%s]:%d"}[family]
    return fw.json("explain", "--in", "outside", "--proto", "udp", "--from",
                   wrap % (source, 20000), "--to", wrap % (to, port),
                   *more)["explain"]

  in_, out = explain(SERVER[family])
  way = in_["way"]
  assert (way["router"], way["type"], way["port"], way["next_hop"]) == (
      "edge", "forward", "inside", SERVER[family])
  assert way["neighbor"] == "known" and way["mac"] == mac_of(network.server)
  assert not way["gateway"] and "reason" not in way
  assert way["prefix"] == {4: "10.2.0.0/24", 6: "fd02::/64"}[family]
  assert out["port"] == "inside" and out["passes"] and "way" not in out
  # The router itself, routes that say no, none at all, and one hop too many.
  local, = explain(OUTSIDE[family])
  assert local["way"]["type"] == "local"
  refused, = explain(one)
  assert (refused["way"]["type"], refused["way"]["prefix"],
          refused["way"]["reason"]) == ("unreachable", net, "no-route")
  nowhere, = explain(other)
  assert (nowhere["way"]["type"], nowhere["way"]["reason"]) == (
      "none", "no-route")
  old, = explain(SERVER[family], 9, "--ttl", "1")
  assert old["way"]["reason"] == "ttl-exceeded"
  # What rules say of routes, and where they send it.
  lost, = explain(SERVER[family], source=other)
  assert not lost["passes"] and lost["reason"] == "match"
  in_, out = explain(other, 7)
  assert in_["way"]["next_hop"] == SERVER[family] and out["passes"]
  in_, out = explain(other, 8)
  assert in_["way"]["by"] == "route-to" and out["port"] == "inside"
  assert in_["way"]["next_hop"] == gateway
  assert in_["way"]["gateway"] and in_["way"]["neighbor"] != "known"
  text = fw.ctl("explain", "--in", "outside", "--proto", "udp", "--from",
                CLIENT[family], "--to", SERVER[family]).stdout
  assert f"router edge: route {way['prefix']}, by inside to " in text


def test_states_are_judged_where_they_came_in(router, network, family):
  echo = {4: "inet proto icmp", 6: "inet6 proto icmp6"}[family]
  rules = "block all\n" + NEIGHBOURS + (
      f"pass in on outside {echo}\n"
      f"pass out on inside {echo} received-on %s\n")
  fw = router(rules % "outside").addresses()
  assert pings(network.client, SERVER[family])

  def blocked(text):
    done = fw.ctl("-f", "-", "--show-blocked", "--json", input=text)
    return json.loads(done.stdout)["compare"]["blocked"]["blocked"]

  assert blocked(rules % "outside") == 0
  assert blocked(rules % "nowhere") == 1
  assert blocked("block all\n") >= 2


def route_to(family):
  return f"pass all\npass out proto udp route-to {SERVER[family]}\n"


def test_no_load_warns_of_routed_ports(router, family):
  done = router().ctl("-f", "-", input=route_to(family))
  assert "no router" not in done.stderr


def test_a_load_warns_of_ports_without_a_router(firewall, family):
  done = firewall("pass all\n").ctl("-f", "-", input=route_to(family))
  assert ("stdin:2:1: warning: route-to: what this rule passes is dropped "
          "(no-route) at port inside and 1 more, which have no router"
          in done.stderr), done.stderr


def test_a_route_is_withdrawn_under_traffic(router, network, family):
  fw = router().addresses()
  far = {4: "10.9.0.1", 6: "fd09::1"}[family]
  net = {4: "10.9.0.0/24", 6: "fd09::/64"}[family]
  ip = f"-{family}"
  network.server.run("ip", ip, "address", "replace",
                     f"{far}/{MASK[family]}", "dev", "lo",
                     *(["nodad"] if family == 6 else []))
  assert not pings(network.client, far)
  flow = network.client.start("ping", "-n", "-O", "-i", "0.05", far)
  fw.ip(ip, "route", "add", net, "via", SERVER[family])
  wait_for("answers", lambda: "bytes from" in flow.text())
  fw.ip(ip, "route", "delete", net)
  wait_for("the route's end", lambda: net not in fw.routes())
  wait_for("no answers", lambda: re.search("nreachable|no answer|No route",
                                           flow.text().rsplit("bytes from",
                                                              1)[1]))
  fw.ip(ip, "route", "add", net, "via", SERVER[family])
  seen = flow.text().count("bytes from")
  wait_for("answers again", lambda: flow.text().count("bytes from") > seen)
  flow.stop(signal.SIGINT)


def test_a_neighbour_changes_its_address(router, network, family):
  fw = router().addresses()
  assert pings(network.client, SERVER[family])
  before = mac_of(network.server)
  network.server.run("ip", "link", "set", "eth0", "address",
                     "02:00:00:00:77:77")
  try:
    # A link address that is taken away takes the default route along.
    network.server.run("ip", f"-{family}", "route", "replace", "default", "via",
                       INSIDE[family], "src", SERVER[family])
    # It says so itself, as hosts do whose address moves.
    pings(network.server, INSIDE[family])
    wait_for("the new address", lambda: fw.neighbours().get(
        SERVER[family], {}).get("mac") == "02:00:00:00:77:77")
    assert pings(network.client, SERVER[family])
  finally:
    network.server.run("ip", "link", "set", "eth0", "address", before)


def test_a_narrow_path_is_found(router, network, family):
  """1500 bytes on one side, 1280 on the other."""
  fw = router().addresses()
  fw.stop()
  text = fw.config.read_text()
  fw.config.write_text(text.replace('name = "inside"',
                                    'name = "inside"\nmtu = 1280'))
  fw.start()
  fw.addresses()
  sizes = {4: 1400, 6: 1400}
  done = ping(network.client, SERVER[family], "-M", "do", "-s",
              sizes[family])
  assert done.returncode != 0
  assert re.search("mtu ?= ?1280", done.stdout + done.stderr), done.stdout
  # From then on the client knows, and TCP gets through.
  assert pings(network.client, SERVER[family], "-s", str(sizes[family]))
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  done = network.client.run("iperf3", "--client", SERVER[family], "--json",
                            "--time", "1", check=False)
  assert json.loads(done.stdout)["end"]["sum_received"]["bytes"] > 100_000


def test_an_interface_is_taken_away(router, network, family):
  fw = router().addresses()
  assert pings(network.client, SERVER[family])
  fw.ip("link", "delete", "inside")
  wait_for("its end", lambda: not fw.port("inside")["present"] or
           fw.port("inside")["taken_away"])
  wait_for("its routes' end", lambda: not any(
      hop["port"] == "inside" for r in fw.routes().values()
      for hop in r["hops"]))
  # The other port's is as it was.
  assert pings(network.client, OUTSIDE[family])
  wait_for("another one", lambda: fw.port("inside")["present"])
  for version in (4, 6):
    fw.ip("address", "add", f"{INSIDE[version]}/{MASK[version]}", "dev",
          "inside", *(["nodad"] if version == 6 else []))
  fw.follow()
  assert pings(network.client, SERVER[family])
  assert fw.process.text().count("was taken away") == 1


def test_a_flood_of_arp_is_limited(router, network):
  fw = router().addresses()
  network.client.python("arp_storm.py", "eth0", OUTSIDE[4], 20000)
  wait_for("the limit", lambda: fw.port("outside")["limited"]["arp"] > 0)
  assert pings(network.client, SERVER[4])
  assert fw.port("inside")["limited"] == {"arp": 0, "discovery": 0, "other": 0}


class UserRouter(UserFirewall, RouterFirewall):
  """The same as a user, with some capabilities."""

  def __init__(self, network, rules, work, kernel, capabilities):
    self.kernel = kernel
    UserFirewall.__init__(self, network, rules, work, capabilities)

  def _config(self):
    return RouterFirewall._config(self)


def test_without_root(hosts, kernel, user_work):
  """With what the drop-in router.conf of the unit gives."""
  fw = UserRouter(hosts, RULES, user_work, kernel,
                  ["net_raw", "net_admin", "sys_admin"]).start()
  fw.addresses()
  for family in (4, 6):
    assert pings(hosts.client, SERVER[family])
  fw.stop()
  less = UserRouter(hosts, RULES, user_work, kernel, ["net_raw", "net_admin"])
  less.launch()
  assert less.process.wait() != 0
  assert "lacks CAP_SYS_ADMIN" in less.process.text()


def test_stop_under_traffic(router, network, family):
  """What is in the rings to and from the kernel is accounted for."""
  fw = router(workers=2).addresses()
  own = network.client.start("ping", "-n", "-f", "-i", "0.002", OUTSIDE[family])
  through = network.client.start("ping", "-n", "-f", "-i", "0.002",
                                 SERVER[family])
  wait_for("traffic", lambda: fw.port("outside")["to_host"] > 200)
  fw.stop()
  for flow in (own, through):
    flow.stop(signal.SIGINT)
