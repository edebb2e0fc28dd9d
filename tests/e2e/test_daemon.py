"""The daemon's own life: start, refusal, stop, several workers, limits."""

import json
import re
import signal

import pytest

from harness import (BUILD, CLIENTS, Firewall, NEIGHBOURS, SERVERS, UdpStream,
                     run, wait_for)
from questions import ask, start_echo


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT],
                         ids=lambda s: s.name)
def test_clean_stop(network, firewall, number):
  fw = firewall("pass all\n")
  assert network.client.run("ping", "-c", "1", "-W", "2", SERVERS[4])
  assert fw.process.stop(number) == 0, fw.process.text()
  assert not fw.socket.exists(), "the control socket was left behind"
  # And it can be started again in the same place.
  fw.start()
  assert network.client.run("ping", "-c", "1", "-W", "2", SERVERS[4])


def test_stop_under_traffic(network, firewall):
  fw = firewall("pass all\n")
  network.settle()
  stream = UdpStream(network, 4, 5300, rate=3000, seconds=2)
  wait_for("traffic", lambda: fw.states())
  fw.stop()
  stream.finish()


def start_refused(network, tmp_path, rules="pass all\n", change=None):
  """Starts sluiced, which must refuse; what it said."""
  fw = Firewall(network, rules, tmp_path)
  if change:
    text = fw.config.read_text()
    changed = change(text)
    assert changed != text
    fw.config.write_text(changed)
  done = network.firewall.run(BUILD / "sluiced", "-c", fw.config, check=False)
  assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
  assert not fw.socket.exists()
  return done.stdout + done.stderr


@pytest.mark.parametrize("change, says", [
    (lambda t: t.replace("[memory]", "[memory]\nstatess = 1"), "statess"),
    (lambda t: t.replace("states = 16384", 'states = "many"'), "states"),
    (lambda t: t.replace('["outside", "inside"]', '["outside", "nowhere"]'),
     "nowhere"),
    (lambda t: t.replace("[[wire]]", "[[wire"), "wire"),
], ids=["unknown key", "wrong type", "unknown port", "no toml"])
def test_bad_configuration_is_refused(network, tmp_path, change, says):
  text = start_refused(network, tmp_path, change=change)
  assert re.search(r"sluice\.toml:\d+:\d+: ", text), text
  assert says in text, text


def test_device_that_is_not_there(network, tmp_path):
  text = start_refused(network, tmp_path, change=lambda t: t.replace(
      "iface=outside", "iface=nothere"))
  assert "outside" in text and "net_af_packet0" in text, text


def test_bad_ruleset_is_refused_at_start(network, tmp_path):
  text = start_refused(network, tmp_path, rules="pass all\nblok in\n")
  assert re.search(r"pf\.conf:2:\d+: ", text), text


def test_two_workers(network, firewall, family):
  """No NIC spreads the flows here: the workers pass packets on."""
  fw = firewall("block all\npass proto { tcp, udp } to port { 7, 5201 }\n" +
                NEIGHBOURS, workers=2)
  start_echo(network)
  assert ask(network, family, 20000, 100) == 100
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  done = network.client.run("iperf3", "--client", SERVERS[family], "--json",
                            "--parallel", "4", "--time", "2", check=False)
  result = json.loads(done.stdout)
  assert "error" not in result, result.get("error")
  assert result["end"]["sum_received"]["bytes"] > 1_000_000
  assert len(result["end"]["streams"]) == 4
  # A TCP that sends as fast as it can may fill the rings between workers, and
  # the port's.
  assert set(fw.drops()) <= {"match", "handoff-full", "transmit-full"}, (
      fw.drops())
  flows = [s for s in fw.states()
           if s["before"]["source"] == CLIENTS[family] and
           s["before"]["destination_port"] == 7 and s["direction"] == "in"]
  assert len(flows) == 100, len(flows)


def test_two_workers_keep_order_under_reload(network, firewall, family):
  fw = firewall("pass all\n", workers=2)
  network.settle()
  streams = [UdpStream(network, family, 5300 + i, rate=800, seconds=3)
             for i in range(4)]
  while any(s.running for s in streams):
    fw.load("pass all\n")
  for stream in streams:
    counted = stream.finish()
    assert counted.received == counted.sent == 2400, fw.drops()


def test_full_state_table(network, firewall, family):
  """New states are refused and counted; those that are stay."""
  fw = firewall("set limit states 20\n"
                "set skip on inside\n"
                "block all\n"
                "pass in on outside proto udp to port 7\n" +
                NEIGHBOURS)
  network.settle()
  start_echo(network)
  assert ask(network, family, 30000, 20) == 20
  assert ask(network, family, 30020, 5) == 0
  assert fw.drops()["state-limit"] == 5
  assert ask(network, family, 30000, 20) == 20, "old states were lost"
  assert len(fw.states()) == 20
  # With room again, new ones are made again.
  fw.ctl("-F", "states")
  assert ask(network, family, 30020, 5) == 5


def test_sums_close(network, firewall):
  """What the ports received = what left + what was dropped, by reason."""
  fw = firewall("block in quick on outside proto udp to port 5301\npass all\n")
  network.settle()
  passed = UdpStream(network, 4, 5300, rate=1000, seconds=1).finish()
  blocked = UdpStream(network, 4, 5301, rate=1000, seconds=1).finish()
  assert passed.received == 1000 and blocked.received == 0
  # 1000 packets, and those that say the end.
  drops = fw.drops()
  assert set(drops) == {"match"} and drops["match"] >= 1000, drops


def test_programs_say_their_version_and_help():
  for program in ("sluiced", "sluicectl", "sluice-replay"):
    assert re.search(r"\d+\.\d+\.\d+", run(BUILD / program,
                                           "--version").stdout)
    assert program in run(BUILD / program, "--help").stdout
