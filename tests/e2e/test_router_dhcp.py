"""A router's port that gets its address by DHCP, with ISC's client in the
router's namespace, as on any machine."""

import ipaddress

import pytest

from harness import BUILD, HERE, wait_for
from test_router import (CLIENT, INSIDE, MASK, SERVER,  # noqa: F401
                         hosts, kernel, pings, router)

# Its package would be asked for by ifupdown here: unpacked by tests/run.sh.
DHCLIENT = BUILD / "unpacked/sbin/dhclient"
RANGES = {4: (("10.1.0.100", "10.1.0.109"), ("10.1.0.200", "10.1.0.209")),
          6: (("fd01::100", "fd01::109"), ("fd01::200", "fd01::209"))}
# Only answers to what the router itself has asked, and what (outside) is.
RULES = """\
block
pass inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv, routersol, \
routeradv } no state
pass in on inside
match out on outside inet from 10.2.0.0/24 nat-to (outside)
match out on outside inet6 from fd02::/64 nat-to (outside)
pass out on outside proto { icmp, icmp6 }
pass in on outside proto { icmp, icmp6 } to (outside)
"""
DHCP = {4: """\
pass out on outside inet proto udp from port 68 to port 67
pass in on outside inet proto udp from port 67 to port 68
""", 6: """\
pass out on outside inet6 proto udp from port 546 to ff02::1:2 port 547
pass in on outside inet6 proto udp from fe80::/10 port 547 to port 546
"""}


class Lease:
  """Server and client of one family."""

  def __init__(self, fw, network, family, folder):
    self._fw, self._network, self._family = fw, network, family
    self._folder = folder
    self._server = self._client = None
    (folder / "dhclient.conf").write_text(
        "timeout 300;\nretry 1;\nselect-timeout 0;\ninitial-interval 1;\n"
        "backoff-cutoff 1;\n")

  def serve(self, number):
    """Addresses of the range with this number, and no others."""
    if self._server is not None:
      self._server.stop()
    first, last = RANGES[self._family][number]
    more = (("--dhcp-option=3," + CLIENT[4], "--dhcp-authoritative")
            if self._family == 4 else ("--enable-ra",))
    prefix = "" if self._family == 4 else "64,"
    self._server = self._network.client.start(
        "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0",
        "--interface=eth0", "--bind-interfaces", "--user=root", "--no-ping",
        "--log-dhcp", "--dhcp-leasefile=" + str(self._folder / f"s{number}"),
        f"--dhcp-range={first},{last},{prefix}2m", *more)
    wait_for("dnsmasq", lambda: "DHCP" in self._server.text())

  def _command(self, *more):
    folder = self._folder
    return (DHCLIENT, f"-{self._family}", *more, "-cf",
            folder / "dhclient.conf", "-pf", folder / "pid", "-lf",
            folder / "leases", "-sf", HERE / "dhclient_script.sh", "outside")

  def ask(self):
    (self._folder / "leases").touch()
    self._client = self._fw.kernel.start(*self._command("-d"))
    return self._client

  def release(self):
    self._client.stop()
    self._fw.kernel.run(*self._command("-r"))
    wait_for("no address", lambda: self.address() is None)

  def address(self, number=None):
    """What sluiced has of the port that is in the range (or in any); None."""
    ranges = RANGES[self._family]
    for prefix in self._fw.port("outside")["addresses"]:
      own = ipaddress.ip_interface(prefix).ip
      for first, last in (ranges if number is None else (ranges[number],)):
        first, last = map(ipaddress.ip_address, (first, last))
        if own.version == self._family and first <= own <= last:
          return str(own)
    return None


@pytest.fixture
def lease(router, hosts, family, tmp_path):
  fw = router(RULES)
  for port in ("inside", "outside"):
    wait_for("the interface", lambda: "tentative" not in fw.ip(
        "-6", "address", "show", "dev", port).stdout)
  for version in (4, 6):
    fw.ip("address", "add", f"{INSIDE[version]}/{MASK[version]}", "dev",
          "inside", *(["nodad"] if version == 6 else []))
  made = Lease(fw, hosts, family, tmp_path)
  # Nobody else says where to go.
  hosts.client.run("ip", f"-{family}", "route", "flush", "default")
  return made


def translated(fw, to, source):
  """A state of this source's that has the other address."""
  return any(to in line and source in line
             for line in fw.ctl("-s", "states").stdout.splitlines())


def test_an_address_by_dhcp(lease, hosts, family):
  fw = lease._fw
  lease.serve(0)
  before = fw.drops().get("match", 0)
  client = lease.ask()
  # DHCP is traffic like any other: without a rule it does not pass.
  wait_for("questions that are dropped",
           lambda: fw.drops().get("match", 0) >= before + 2)
  assert lease.address() is None
  fw.load(RULES + DHCP[family])
  first = wait_for("an address", lambda: lease.address(0))
  wait_for("the way back", lambda: pings(hosts.client, first))
  wait_for("the default route", lambda: any(
      prefix in fw.routes() for prefix in ("0.0.0.0/0", "::/0")))
  # Who is behind it has it as well, and nobody knows the way to them.
  wait_for("the way out", lambda: pings(hosts.server, CLIENT[family]))
  assert translated(fw, first, SERVER[family])
  assert client.running

  # Another lease: rules that name (outside) mean the new one at once.
  lease.release()
  wait_for("the rule", lambda: not pings(hosts.client, first))
  lease.serve(1)
  lease.ask()
  second = wait_for("another address", lambda: lease.address(1))
  wait_for("the way back", lambda: pings(hosts.client, second))
  wait_for("the way out", lambda: pings(hosts.server, CLIENT[family]))
  assert translated(fw, second, SERVER[family])
