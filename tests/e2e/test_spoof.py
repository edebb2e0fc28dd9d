"""Ports that are bound to the addresses of who is behind them."""

import json

from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for

_OTHER = {4: "10.0.0.77", 6: "fd00::77"}
_SEND = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
out = socket.socket(family, socket.SOCK_DGRAM)
out.bind((sys.argv[2], 0))
for i in range(5):
  try:
    out.sendto(b"x", (sys.argv[1], 5300))
  except ConnectionRefusedError:
    pass
"""


def _send(network, family, source):
  network.client.run("/usr/bin/python3", "-c", _SEND, SERVERS[family], source)


def _mac(network):
  link, = json.loads(network.client.run("ip", "-j", "link", "show", "dev",
                                        "eth0").stdout)
  return link["address"]


def _add(network, family, address):
  length = {4: "24", 6: "64"}[family]
  network.client.run("ip", "addr", "replace", f"{address}/{length}", "dev", "eth0",
                     *(["nodad"] if family == 6 else []))


def test_written_bindings(network, firewall, family):
  fw = firewall("pass\n" + NEIGHBOURS, workers=2)
  network.settle()
  mac = _mac(network)
  fw.ctl("port", "bind", "outside", "--bindings", ",".join(
      f"{mac} {address}" for address in (CLIENTS[4], CLIENTS[6], "fe80::/10")))
  _send(network, family, CLIENTS[family])
  wait_for("states", lambda: any(
      state["before"]["source"] == CLIENTS[family] for state in fw.states()))
  before = fw.json("port", "bindings", "outside")["port.bindings"]
  assert before["spoofed"] == 0 and before["learn"] == 0
  assert f"{mac} {CLIENTS[family]}" in before["bindings"]

  _add(network, family, _OTHER[family])
  _send(network, family, _OTHER[family])

  def spoofed():
    return fw.json("port", "bindings", "outside")["port.bindings"]["spoofed"]
  wait_for("five packets of somebody else", lambda: spoofed() >= 5)
  assert not any(state["before"]["source"] == _OTHER[family] for state in fw.states())
  assert fw.drops()["spoofed"] >= 5
  assert (f"port outside: a frame from {mac} was dropped: its IP address "
          f"({_OTHER[family]})") in fw.process.text()
  assert 'reason="spoofed"' in fw.ctl("metrics").stdout

  # Nothing is bound any more.
  fw.ctl("port", "unbind", "outside")
  _send(network, family, _OTHER[family])
  wait_for("states of the other one", lambda: any(
      state["before"]["source"] == _OTHER[family] for state in fw.states()))


def test_learned_once(network, firewall, family):
  fw = firewall("pass\n" + NEIGHBOURS)
  network.settle()
  fw.ctl("port", "bind", "outside", "--learn-bindings", "1")
  _send(network, family, CLIENTS[family])
  wanted = f"{_mac(network)} {CLIENTS[family]}"
  wait_for("the client's addresses", lambda: wanted in fw.json(
      "port", "bindings", "outside")["port.bindings"]["learned"])
  _add(network, family, _OTHER[family])
  _send(network, family, _OTHER[family])
  wait_for("drops", lambda: fw.drops()["spoofed"] >= 5)
  assert "(learned)" in fw.ctl("port", "bindings", "outside").stdout
