"""Evasions through sluiced and through Linux's own packet filter, nftables
between two networks that it routes: each says what the table has it say, and
where the two differ the table has a reason."""

import ctypes
import os
import select
import socket
import time

import pytest

import evasion_cases
from evasion_cases import CLIENTS, NFT, PF, SERVERS
from harness import Namespace, PREFIX, run, wait_for

_ETHERTYPES = {4: 0x0800, 6: 0x86dd}
_OUTGOING = 4  # PACKET_OUTGOING
_WAIT_S = 0.12
_LIBC = ctypes.CDLL(None, use_errno=True)


def socket_in(namespace):
  """A socket for frames on the namespace's eth0."""
  home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
  there = os.open(f"/run/netns/{namespace.name}", os.O_RDONLY)
  try:
    if _LIBC.setns(there, 0) != 0:
      raise OSError(ctypes.get_errno(), "setns")
    try:
      made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                           socket.htons(0x0003))
      made.bind(("eth0", 0))
    finally:
      if _LIBC.setns(home, 0) != 0:
        os._exit(1)  # this thread is lost
    return made
  finally:
    os.close(home)
    os.close(there)


def link_address(namespace, device="eth0"):
  return namespace.run("cat", f"/sys/class/net/{device}/address").stdout.strip()


def packed(mac):
  return bytes(int(byte, 16) for byte in mac.split(":"))


class Sides:
  """Both ends of a way through a firewall: what is sent on one of them, and
  whether it comes to the other."""

  def __init__(self, namespaces, link_to, family):
    self.family = family
    self._link = {}
    self._sockets = {}
    for side, namespace in zip("cs", namespaces):
      self._sockets[side] = socket_in(namespace)
      self._link[side] = (packed(link_to[side]) +
                          packed(link_address(namespace)) +
                          _ETHERTYPES[family].to_bytes(2, "big"))
    size = 4 if family == 4 else 16
    at = 12 if family == 4 else 8
    self._addresses = (14 + at, 14 + at + 2 * size)
    self._ends = {
        side: b"".join(socket.inet_pton(
            socket.AF_INET if family == 4 else socket.AF_INET6, end)
                       for end in ends)
        for side, ends in (("c", (CLIENTS[family], SERVERS[family])),
                           ("s", (SERVERS[family], CLIENTS[family])))}

  def close(self):
    for one in self._sockets.values():
      one.close()

  def passes(self, side, packet):
    arrives = self._sockets["s" if side == "c" else "c"]
    while select.select([arrives], [], [], 0)[0]:
      arrives.recv(65536)
    self._sockets[side].send(self._link[side] + bytes(packet))
    deadline = time.monotonic() + _WAIT_S
    first, last = self._addresses
    while (left := deadline - time.monotonic()) > 0:
      if not select.select([arrives], [], [], left)[0]:
        break
      frame, about = arrives.recvfrom(65536)
      if about[2] != _OUTGOING and frame[first:last] == self._ends[side]:
        return True
    return False

  def verdicts(self, case):
    return "".join("+" if self.passes(side, packet) else "-"
                   for side, packet in case.steps)


def compare(sides, which):
  """What does not go as the table has it."""
  wrong = []
  for case in evasion_cases.cases(sides.family):
    got = sides.verdicts(case)
    if got != getattr(case, which):
      wrong.append(f"{case.name}: {got}, not {getattr(case, which)}")
  return wrong


class Router:
  """Three namespaces, the middle one of which routes and filters."""

  def __init__(self, work):
    self.made = []
    try:
      self.client, self.router, self.server = (
          self._namespace(f"{PREFIX}-nft-{which}", work)
          for which in ("client", "router", "server"))
      for host, device, net in ((self.client, "near", 1),
                                (self.server, "far", 2)):
        run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth",
            "peer", "name", device, "netns", self.router.name)
        for namespace, name in ((host, "eth0"), (self.router, device)):
          namespace.run("ethtool", "-K", name, "tx", "off", "rx", "off", "tso",
                        "off", "gso", "off", "gro", "off")
          namespace.run("ip", "link", "set", name, "up")
        self.router.run("ip", "address", "add", f"10.{net}.0.1/24", "dev",
                        device)
        self.router.run("ip", "address", "add", f"fd0{net}::1/64", "dev",
                        device, "nodad")
        for address in (f"10.{net}.0.77", f"fd0{net}::77"):
          self.router.run("ip", "neighbour", "replace", address, "lladdr",
                          link_address(host), "dev", device, "nud",
                          "permanent")
      self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1",
                      "net.ipv6.conf.all.forwarding=1",
                      "net.ipv4.conf.all.rp_filter=0",
                      "net.ipv4.conf.near.rp_filter=0",
                      "net.ipv4.conf.far.rp_filter=0")
      self.router.run("nft", "-f", "-", input=NFT)
      # As pf's flags S/SA: no connection is picked up in the middle.
      self.router.run("sysctl", "-qw",
                      "net.netfilter.nf_conntrack_tcp_loose=0")
    except BaseException:
      self.close()
      raise

  def _namespace(self, name, work):
    namespace = Namespace(name, work)
    self.made.append(namespace)
    namespace.run("ip", "link", "set", "lo", "up")
    return namespace

  def link_to(self):
    return {"c": link_address(self.router, "near"),
            "s": link_address(self.router, "far")}

  def close(self):
    for namespace in reversed(self.made):
      namespace.delete()


@pytest.fixture(scope="module")
def router(tmp_path_factory):
  made = Router(tmp_path_factory.mktemp("router"))
  yield made
  made.close()


def test_differences_have_reasons(family):
  table = evasion_cases.cases(family)
  for case in table:
    assert len(case.sluice) == len(case.nft) == len(case.steps), case.name
    assert (case.sluice != case.nft) == bool(case.because), case.name
  assert len({case.name for case in table}) == len(table)


def test_sluice(network, firewall, family):
  fw = firewall(PF, states=4096)
  sides = Sides((network.client, network.server),
                {"c": link_address(network.server),
                 "s": link_address(network.client)}, family)
  try:
    wrong = compare(sides, "sluice")
  finally:
    sides.close()
  assert not wrong, "\n".join(wrong)
  assert fw.drops()


def test_nftables(router, family):
  sides = Sides((router.client, router.server), router.link_to(), family)
  try:
    wait_for("the router to route", lambda: sides.passes(
        *evasion_cases.Maker(family, 19_999).udp("c")))
    wrong = compare(sides, "nft")
  finally:
    sides.close()
  assert not wrong, "\n".join(wrong)
