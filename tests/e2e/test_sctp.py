"""SCTP associations of libusrsctp, which needs no SCTP in the kernel, through
the firewall: begun, used in both directions, idle, shut down and aborted."""

import json
import time

import pytest

from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for

_PORT = 5000
_RULES = f"""\
set timeout {{ sctp.closed 2, interval 1 }}
block all
pass in on outside proto sctp to port {_PORT} keep state
pass out on inside proto sctp to port {_PORT} keep state
""" + NEIGHBOURS


@pytest.fixture
def server(network, family):
  network.settle()
  process = network.server.start_python("sctp_peer.py", "serve",
                                        SERVERS[family], _PORT)
  wait_for("the server", lambda: "listening" in process.text())
  return process


def ask(network, family, *options):
  return network.client.start_python("sctp_peer.py", "ask", SERVERS[family],
                                     _PORT, *options)


def associations(fw):
  return [s for s in fw.states() if s["protocol"] == 132]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_association(network, firewall, family, server, workers):
  fw = firewall(_RULES, workers=workers)
  client = ask(network, family, "--messages", 50, "--idle", 6)
  wait_for("the messages and their echoes",
           lambda: "exchanged 50" in client.text())
  # One state at each port.
  first = associations(fw)
  assert len(first) == 2, first
  assert {s["direction"] for s in first} == {"in", "out"}
  for state in first:
    assert CLIENTS[family] in json.dumps(state["before"]), state
  # Nothing is said but HEARTBEAT, and its answer comes back.
  time.sleep(0.5)
  before = {s["id"]: s for s in associations(fw)}

  def heard():
    now = {s["id"]: s for s in associations(fw)}
    return now.keys() == before.keys() and all(
        now[i][way]["packets"] > before[i][way]["packets"]
        for i in now for way in ("forward", "backward"))
  wait_for("heartbeats both ways", heard, limit_s=5)
  assert "done" not in client.text()
  assert client.wait() == 0, client.text()
  wait_for("the server to see its end",
           lambda: "ended after 51" in server.text())
  # SHUTDOWN ends it: its states go sooner than those of an association.
  wait_for("the end of its states", lambda: not associations(fw))
  assert "state-mismatch" not in fw.drops()


def test_messages_in_many_pieces(network, firewall, family, server):
  firewall(_RULES)
  client = ask(network, family, "--messages", 5, "--size", 50_000)
  assert client.wait() == 0, client.text()
  assert "exchanged 5" in client.text()
  wait_for("the end", lambda: "ended after 5" in server.text())


def test_an_abort_ends_it(network, firewall, family, server):
  fw = firewall(_RULES)
  for number in (1, 2):
    client = ask(network, family, "--messages", 3, "--end", "abort")
    assert client.wait() == 0, client.text()
    wait_for("the server to see its end",
             lambda: server.text().count("ended after 3") == number)
  wait_for("the end of its states", lambda: not associations(fw))


def test_without_a_rule_there_is_none(network, firewall, family, server):
  fw = firewall("block all\n" + NEIGHBOURS)
  client = ask(network, family)
  time.sleep(2)
  assert client.running and "connected" not in client.text()
  assert fw.drops()["match"] > 0
  assert not associations(fw)


def test_it_goes_on_over_a_restart(network, firewall, family, server,
                                   tmp_path):
  fw = firewall(_RULES, extra=f'\n[state]\ndir = "{tmp_path / "state"}"\n'
                              'interval = 1\n')
  client = ask(network, family, "--messages", 20, "--idle", 8)
  wait_for("the messages", lambda: "exchanged 20" in client.text())
  before = {s["id"] for s in associations(fw)}
  fw.stop()
  fw.start()
  wait_for("the restore", lambda: {
      s["id"] for s in associations(fw)} == before)
  # No INIT comes: only its states let the rest through.
  assert client.wait() == 0, client.text()
  wait_for("the end", lambda: "ended after 21" in server.text())
