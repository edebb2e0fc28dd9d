"""Another ruleset under traffic: nothing that the rules allow is lost."""

import json
import time

from harness import NEIGHBOURS, SERVERS, UdpStream, wait_for

_RULES = ("block all\n"
          "pass proto { tcp, udp } to port { 5201, 5300, %d }\n"
          + NEIGHBOURS)


def rules(number):
  """A ruleset of its own for each number, all of which allow the traffic."""
  return _RULES % (10000 + number)


# What the hosts' kernels say by themselves (router solicitations, multicast
# listeners) is not allowed by the rules.
_NOT_ALLOWED = {"match", "ip-option"}


def reload_while(fw, going_on):
  """Loads ruleset after ruleset while going_on() is true; how many."""
  loads = 0
  while going_on():
    loads += 1
    fw.load(rules(loads))
    time.sleep(0.05)
  return loads


def test_udp_stream_loses_nothing(network, firewall, family):
  fw = firewall(rules(0))
  network.settle()
  stream = UdpStream(network, family, 5300, rate=3000, seconds=5)
  loads = reload_while(fw, lambda: stream.running)
  counted = stream.finish()
  assert loads >= 5, "the ruleset was not changed in the middle"
  assert counted.sent == 15000
  assert counted.received == counted.sent, fw.drops()
  assert counted.duplicates == 0
  assert set(fw.drops()) <= _NOT_ALLOWED, fw.drops()


def test_new_flows_lose_nothing(network, firewall, family):
  """Each packet a flow of its own, so that each asks the rules."""
  fw = firewall(rules(0), states=65536)
  network.settle()
  receiver = network.server.start_python("udp_stream.py", "receive", "--port",
                                         5300)
  network.server.wait_for_listener(5300, udp=True)
  sender = network.client.start_python(
      "udp_stream.py", "send", "--to", SERVERS[family], "--port", 5300,
      "--rate", 1000, "--seconds", 4, "--new-flows")
  loads = reload_while(fw, lambda: sender.running)
  assert sender.wait() == 0, sender.text()
  assert receiver.wait() == 0, receiver.text()
  assert loads >= 5
  assert json.loads(receiver.text())["received"] == 4000, fw.drops()
  assert set(fw.drops()) <= _NOT_ALLOWED, fw.drops()


def test_iperf3_goes_on(network, firewall, family):
  fw = firewall(rules(0))
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  client = network.client.start("iperf3", "--client", SERVERS[family],
                                "--json", "--time", "5")
  loads = reload_while(fw, lambda: client.running)
  result = json.loads(client.text())
  assert "error" not in result, result.get("error")
  assert loads >= 5
  intervals = [i["sum"]["bytes"] for i in result["intervals"]]
  assert len(intervals) >= 4 and all(intervals), intervals
  assert result["end"]["sum_received"]["bytes"] > 1_000_000
  # TCP sends until something is full; the port may be it.
  assert set(fw.drops()) <= _NOT_ALLOWED | {"transmit-full"}, fw.drops()


def test_iperf3_udp_loses_nothing(network, firewall, family):
  fw = firewall(rules(0))
  network.settle()
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  client = network.client.start("iperf3", "--client", SERVERS[family],
                                "--json", "--udp", "--bitrate", "20M",
                                "--length", "1000", "--time", "4")
  loads = reload_while(fw, lambda: client.running)
  end = json.loads(client.text())["end"]["sum"]
  assert loads >= 5
  assert end["packets"] > 1000
  assert end["lost_packets"] == 0, (end, fw.drops())
  assert set(fw.drops()) <= _NOT_ALLOWED, fw.drops()


def test_states_outlive_their_rules(network, firewall, family):
  """What was begun under the old rules goes on under the new ones; what
  begins now is judged by the new ones."""
  fw = firewall(rules(0))
  network.settle()
  stream = UdpStream(network, family, 5300, rate=1000, seconds=3)
  wait_for("the stream's state", lambda: any(
      s["before"]["destination_port"] == 5300 for s in fw.states()))
  fw.load("block all\n")
  counted = stream.finish()
  assert counted.received == counted.sent == 3000, fw.drops()
  blocked = UdpStream(network, family, 5301, rate=1000, seconds=1).finish()
  assert blocked.received == 0


def test_bad_ruleset_changes_nothing(network, firewall, family):
  fw = firewall(rules(0))
  network.settle()
  before = fw.ctl("-s", "rules").stdout
  stream = UdpStream(network, family, 5300, rate=1000, seconds=2)
  done = fw.load("pass all\nblock in on on outside\n", check=False)
  assert done.returncode != 0
  text = done.stdout + done.stderr
  # The place of the mistake, and what has become of the load.
  assert ":2:" in text, text
  assert "in force" in text, text
  assert fw.ctl("-s", "rules").stdout == before
  counted = stream.finish()
  assert counted.received == counted.sent == 2000
