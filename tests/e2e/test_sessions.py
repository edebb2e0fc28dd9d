"""The session log, and flows of `pflow` at a collector, which scapy reads."""

import json
import signal
import time

import pytest
from scapy.layers import netflow
from harness import CLIENTS, NEIGHBOURS, SERVERS, UdpStream, wait_for

_PORT = 4739


def _send(network, family, port):
  """Ten packets or some more, which nobody answers."""
  stream = UdpStream(network, family, port, 20, 0.5)
  while stream.running:
    time.sleep(0.05)
  stream.finish()


def _loopback(network):
  """Of the firewall's namespace, both families."""
  network.firewall.run("ip", "link", "set", "lo", "up")
  network.firewall.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")


def _counters(fw):
  info = fw.json("-s", "info")["info"]
  return {c["name"]: c["value"] for c in info["flow_counters"]}


@pytest.mark.parametrize("form", ["json", "text"])
def test_session_log(network, firewall, family, form, tmp_path):
  log = tmp_path / "sessions"
  fw = firewall(
      "block on outside\n"
      "pass in on outside proto udp to port 5300 keep state "
      "(udp.single 2, udp.first 2, udp.multiple 2)\n"
      "pass out on inside no state\npass in on inside no state\n" + NEIGHBOURS,
      workers=2,
      extra=f'[log]\nsessions = "{log}"\nsessions_format = "{form}"\n')
  network.settle()

  def lines(path=log):
    return [line for line in
            (path.read_text().splitlines() if path.exists() else [])
            if SERVERS[family] in line]

  network.client.start_python("udp_stream.py", "send", "--to", SERVERS[family],
                              "--port", 5301, "--rate", 10, "--seconds",
                              0.3).wait()
  _send(network, family, 5300)
  wait_for("a beginning and an end", lambda: len(lines()) >= 2)
  start, end = lines()[:2]
  if form == "json":
    start, end = json.loads(start), json.loads(end)
    assert start["event"] == "start" and "packets" not in start
    assert end["event"] == "end" and end["cause"] == "timeout"
    assert end["id"] == start["id"] and end["filter"] == "main"
    assert end["source"] == CLIENTS[family]
    assert end["destination"] == SERVERS[family]
    assert end["destination_port"] == 5300 and end["protocol"] == 17
    assert end["interface"] == "outside" and end["rule"] == 1
    assert end["packets"][0] >= 5 and end["packets"][1] <= 2
    assert end["idle_ms"] >= 1500
  else:
    assert " start udp " in start and " end timeout udp " in end
    assert "filter main in on outside rule 1 id " in end

  # After a rotation it goes on in a new file.
  moved = tmp_path / "sessions.1"
  log.rename(moved)
  before = len(lines(moved))
  fw.process.send_signal(signal.SIGUSR1)
  wait_for("the log to be opened again",
           lambda: "SIGUSR1: the log goes on here" in fw.process.text())
  _send(network, family, 5300)
  fw.ctl("-F", "states")
  wait_for("an end in the new file", lambda: len(lines()) >= 2)
  last = lines()[-1]
  assert '"cause":"removed"' in last or " end removed " in last, last
  assert len(lines(moved)) == before
  counters = _counters(fw)
  assert counters["records-lost"] == counters["sessions-lost"] == 0
  assert counters["sessions"] >= 4


def _datagrams(collector):
  return [netflow.NetflowHeader(bytes.fromhex(line))
          for line in collector.text().split()]


def _value(field):
  return int.from_bytes(field, "big") if isinstance(field, bytes) else field


@pytest.mark.parametrize("collector_family", [4, 6])
def test_ipfix(network, firewall, family, collector_family, tmp_path):
  address = "127.0.0.1" if collector_family == 4 else "::1"
  written = address if collector_family == 4 else f"[{address}]"
  _loopback(network)
  collector = network.firewall.start_python("flow_collector.py", address, _PORT)
  nat = {4: "192.0.2.77", 6: "2001:db8:77::1"}[family]
  af = {4: "inet", 6: "inet6"}[family]
  fw = firewall(
      "pass in on outside no state\n"
      f"pass out on inside {af} proto udp to port 5300 keep state "
      f"(pflow, udp.first 1, udp.single 1) nat-to {nat}\n"
      "pass out on inside proto udp to port 5301\n" + NEIGHBOURS,
      extra=f'[pflow]\ncollector = "{written}:{_PORT}"\n'
            f'source = "{address}"\ndomain = 9\n')
  network.settle()
  _send(network, family, 5301)
  _send(network, family, 5300)

  def flows():
    packets = netflow.netflowv9_defragment(_datagrams(collector))
    return [record for packet in packets
            for layer in packet.iterpayloads()
            if isinstance(layer, netflow.NetflowDataflowsetV9)
            for record in layer.records]

  wait_for("a flow", lambda: flows())
  header = _datagrams(collector)[0][netflow.NetflowHeaderV10]
  assert header.ObservationDomainID == 9 and header.flowSequence == 0
  # An ICMP error, when the receiver was gone already, is a flow back.
  assert len(flows()) <= 2
  flow = flows()[0]
  source, destination, after = (
      ("IPV4_SRC_ADDR", "IPV4_DST_ADDR", "postNATSourceIPv4Address")
      if family == 4 else
      ("IPV6_SRC_ADDR", "IPV6_DST_ADDR", "postNATSourceIPv6Address"))
  assert getattr(flow, source) == CLIENTS[family]
  assert getattr(flow, destination) == SERVERS[family]
  assert _value(flow.L4_DST_PORT) == 5300
  assert _value(flow.IN_PKTS) >= 5
  fields = {f.name for f in flow.fields_desc}
  assert "flowId" in fields and any("NAT" in name for name in fields), fields
  assert after is not None
  counters = _counters(fw)
  assert counters["exported"] == len(flows()) and counters["export-lost"] == 0
  metrics = fw.ctl("metrics").stdout
  assert 'sluice_flow_records_total{what="exported"}' in metrics
  assert 'sluice_flow_records_lost_total{what="export-lost"} 0' in metrics


def test_netflow(network, firewall, tmp_path):
  _loopback(network)
  collector = network.firewall.start_python("flow_collector.py", "127.0.0.1",
                                            _PORT)
  fw = firewall(
      "set state-defaults pflow\npass in on outside proto udp keep state "
      "(udp.first 1, udp.single 1, pflow)\n"
      "pass out on inside no state\n" + NEIGHBOURS,
      extra=f'[pflow]\ncollector = "127.0.0.1:{_PORT}"\nprotocol = 5\n')
  network.settle()
  _send(network, 6, 5300)
  _send(network, 4, 5300)
  wait_for("a flow", lambda: any(
      record.dst == SERVERS[4] for packet in _datagrams(collector)
      for record in packet.iterpayloads()
      if isinstance(record, netflow.NetflowRecordV5)))
  packet = _datagrams(collector)[0]
  assert packet.version == 5
  record = next(r for r in packet.iterpayloads()
                if isinstance(r, netflow.NetflowRecordV5)
                and r.dst == SERVERS[4])
  assert record.src == CLIENTS[4] and record.dst == SERVERS[4]
  assert record.dstport == 5300 and record.dpkts >= 5
  assert _counters(fw)["export-unfit"] >= 1


def test_a_flood_is_written_or_counted(network, firewall, tmp_path):
  """Each state leaves two records, whatever becomes of them, and who asks
  meanwhile is answered."""
  log = tmp_path / "sessions"
  fw = firewall("pass in on outside proto udp keep state\n"
                "pass out on inside no state\n" + NEIGHBOURS, workers=2,
                extra=f'[log]\nsessions = "{log}"\n')
  network.settle()
  flood = network.client.start_python("udp_flows.py", "--to", SERVERS[4],
                                      "--port", 5300, "--flows", 40_000)
  slowest = 0
  while flood.running:
    asked = time.monotonic()
    fw.ctl("-s", "timeouts")
    slowest = max(slowest, time.monotonic() - asked)
    time.sleep(0.1)
  assert slowest < 5, slowest
  fw.ctl("-F", "states")

  def sums():
    info = fw.json("-s", "info")["info"]
    states = {c["name"]: c["value"] for c in info["state_counters"]}
    told = {c["name"]: c["value"] for c in info["flow_counters"]}
    return (states["inserts"] + states["removals"],
            told["sessions"] + told["sessions-lost"] + told["records-lost"],
            told["sessions"])

  wait_for("two records of each state", lambda: sums()[0] == sums()[1])
  events, _, written = sums()
  assert events > 20_000
  with log.open(encoding="ascii") as lines:
    assert sum(1 for line in lines if json.loads(line)["id"]) == written
