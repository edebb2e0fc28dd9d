"""Two workers: a NIC with two queues and symmetric RSS on one side of the
wire, one with a single queue on the other. Then cables and NICs are pulled."""

import time

import pytest

import shipped
from guest import Nic
from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for
from questions import ask, start_echo, start_hole

OUTSIDE = Nic("outside", "virtio-net-pci", slot=1, queues=2,
              options=",rss=on")
INSIDE = Nic("inside", "e1000e", slot=2)
_RULES = "block all\npass proto udp to port 7\n" + NEIGHBOURS


@pytest.fixture(scope="module")
def guest(boot):
  made = boot([OUTSIDE, INSIDE], {
      **shipped.files(('"0000:03:00.0"', f'"{OUTSIDE.address}"'),
                      ('"0000:03:00.1"', f'"{INSIDE.address}"'),
                      ("lcores = [1]", "lcores = [0, 1]"),
                      # Three threads on two processors.
                      ('idle = "poll"', 'idle = "auto"')),
      "etc/sluice/queues.conf": _RULES})
  for nic in (OUTSIDE, INSIDE):
    assert made.bind(nic).returncode == 0, made.log()
  made.start_sluiced(shipped.CONFIG)
  made.ctl("-f /etc/sluice/queues.conf")
  made.network.settle()
  start_echo(made.network)
  wait_for("frames that cross the guest",
           lambda: ask(made.network, 4, 9999, 1) == 1)
  made.network.server.forget_programs()
  return made


@pytest.fixture
def network(guest):
  for namespace in (guest.network.client, guest.network.server):
    namespace.forget_programs()
  return guest.network


def handed_on(guest):
  """Packets that came to another worker than their flow's."""
  counters = guest.json("-s info")["info"]["packet_counters"]
  return {c["name"]: c["value"] for c in counters}["handed-on"]


def test_what_the_log_says(guest):
  log = guest.sluiced_log()
  assert ("port outside: 0000:01:00.0 (net_virtio), 2 receive and 2 transmit "
          "queue(s), symmetric RSS") in log
  assert "port 'inside' has no RSS and uses 1 receive queue, not 2" in log


def test_rss_brings_packets_home(guest, network, family):
  """One way only, from the side with RSS: no packet is at the wrong worker."""
  start_hole(network)
  before = handed_on(guest)
  ask(network, family, 20000, 100, wait_s=0)
  flows = lambda: [s for s in guest.states()
                   if s["before"]["source"] == CLIENTS[family] and
                   20000 <= s["before"]["source_port"] < 20100 and
                   s["direction"] == "in"]
  wait_for("100 flows", lambda: len(flows()) == 100)
  # But for what the hosts say by themselves; half of the flows, without RSS.
  assert handed_on(guest) - before < 15


def test_one_queue_is_steered_by_software(guest, network, family):
  """The answers come in by one queue: every other flow's are handed on."""
  start_echo(network)
  before = handed_on(guest)
  assert ask(network, family, 30000, 100, wait_s=2) == 100
  handed = handed_on(guest) - before
  assert 20 <= handed <= 80, handed


def test_verdicts_are_the_same(guest, network, family):
  start_echo(network)
  before = guest.drops().get("match", 0)
  assert ask(network, family, 40000, 20, port=8, wait_s=0) == 0
  wait_for("20 drops", lambda: guest.drops()["match"] >= before + 20)
  assert not [s for s in guest.states()
              if s["before"]["destination_port"] == 8]


def test_link_flaps(guest, network, family):
  """Down: said, and what would leave by it counted. Up: all goes on."""
  start_echo(network)
  assert ask(network, family, 50000, 5, wait_s=2) == 5
  for nic in (INSIDE, OUTSIDE):
    said = len(guest.sluiced_log())
    guest.set_link(nic, False)
    wait_for("link down", lambda: f"port {nic.name}: link down" in
             guest.sluiced_log()[said:])
    drops = guest.drops().get("port-down", 0)
    ask(network, family, 50000, 5, wait_s=0)
    if nic is INSIDE:
      wait_for("drops", lambda: guest.drops()["port-down"] >= drops + 5)
    guest.set_link(nic, True)
    wait_for("link up", lambda: f"port {nic.name}: link up" in
             guest.sluiced_log()[said:])
    wait_for("answers again",
             lambda: ask(network, family, 50000, 1, wait_s=1) == 1)
  # The flows' states are the ones from before.
  assert ask(network, family, 50000, 5, wait_s=2) == 5


def test_nic_is_taken_out(guest, network):
  """The last one: its port goes down, the other one and the daemon go on."""
  before = guest.drops().get("port-down", 0)
  guest.unplug(INSIDE)
  wait_for("the release", lambda: "port inside: its device is released" in
           guest.sluiced_log())
  wait_for("the NIC's end", lambda: guest.run(
      f"[ ! -e /sys/bus/pci/devices/{INSIDE.address} ]",
      check=False).returncode == 0)
  ask(network, 4, 60000, 5, wait_s=0)
  wait_for("drops", lambda: guest.drops().get("port-down", 0) >= before + 5)
  counters = guest.json("-s info")["info"]["packet_counters"]
  assert {"name": "ports-removed", "value": 1} in counters
  assert {"name": "unaccounted", "value": 0} in counters
  assert guest.driver(OUTSIDE) == "vfio-pci"
  assert guest.stop_sluiced() == 0, guest.log()
  assert guest.group_users() == "0"
