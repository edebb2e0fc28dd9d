"""The metrics over HTTP, DPDK's telemetry, and what is made of both."""

import json
import os
import pathlib
import re
import stat
import subprocess
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import (BUILD, NEIGHBOURS, PYTHON, check_silent_clients, run,
                     wait_for)
from questions import ask, start_echo

TOP = pathlib.Path(__file__).resolve().parents[2]
MONITORING = TOP / "configs" / "monitoring"
# Unpacked by tests/run.sh (unpack_packages in configs/lib.sh).
PROMTOOL = BUILD / "unpacked" / "usr" / "bin" / "promtool"
_RULES = """\
table <friends> persist { 10.0.0.2, fd00::2 }
block all
pass proto udp from <friends> to port 7 label "echo"
""" + NEIGHBOURS


def samples_of(text):
  return {(s.name, frozenset(s.labels.items())): s.value
          for family in text_string_to_metric_families(text)
          for s in family.samples}


def value(samples, name, **labels):
  return samples[name, frozenset(labels.items())]


def curl(fw, *words, check=True):
  return fw.network.firewall.run("curl", "-sS", "--max-time", 20, *words,
                                 check=check)


@pytest.mark.parametrize("listen", ["127.0.0.1:9469", "[::1]:9469", "unix"])
def test_scrape(network, firewall, family, listen, tmp_path):
  path = tmp_path / "metrics.sock"
  unix = listen == "unix"
  where = path if unix else listen
  more = 'mode = "0640"\n' if unix else ""
  # The namespace has no IPv6 otherwise.
  network.firewall.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")
  fw = firewall(_RULES, workers=2,
                extra=f'[metrics]\nlisten = "{where}"\n{more}')
  if unix:
    how = ["--unix-socket", path, "http://sluice/metrics"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
  else:
    how = [f"http://{listen}/metrics"]
  network.settle()
  start_echo(network)
  assert ask(network, family, 20000, 20) == 20
  assert ask(network, family, 30000, 5, port=8, wait_s=0) == 0
  time.sleep(1.1)
  text = curl(fw, *how).stdout
  samples = samples_of(text)
  assert value(samples, "sluice_rule_packets_total", filter="main",
               label="echo") >= 40
  assert value(samples, "sluice_rule_states", filter="main", label="echo") == 40
  assert value(samples, "sluice_table_addresses", filter="main", anchor="",
               table="friends") == 2
  assert value(samples, "sluice_table_matches_total", filter="main", anchor="",
               table="friends") >= 20
  udp = sum(v for (name, labels), v in samples.items()
            if name == "sluice_states" and ("protocol", "udp") in labels)
  assert udp == 40
  assert value(samples, "sluice_filter_dropped_packets_total", filter="main",
               reason="match") >= 5
  for worker in ("0", "1"):
    assert (0 < value(samples, "sluice_worker_seconds_total", worker=worker))
    assert (value(samples, "sluice_worker_busy_seconds_total", worker=worker) <=
            value(samples, "sluice_worker_seconds_total", worker=worker))
  assert value(samples, "sluice_mbufs") > 1000
  assert value(samples, "sluice_mbufs_used") < value(samples, "sluice_mbufs")
  assert value(samples, "sluice_filter_commit_timestamp_seconds",
               filter="main") > 1e9
  # promtool finds nothing wrong with it, and sluicectl says the same.
  checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text,
                           text=True, capture_output=True, timeout=30)
  assert checked.returncode == 0, checked.stdout + checked.stderr
  told = samples_of(fw.ctl("metrics").stdout)
  assert {name for name, _ in told} == {name for name, _ in samples}
  # A load that fails, and one that does not.
  fw.load("nonsense\n", check=False)
  fw.load(_RULES)
  time.sleep(1.1)
  after = samples_of(curl(fw, *how).stdout)
  for outcome in ("done", "failed"):
    assert value(after, "sluice_control_orders_total", method="ruleset.load",
                 outcome=outcome) == 1
  assert value(after, "sluice_control_build_seconds_total",
               method="ruleset.load") > 0
  # Other paths and methods.
  assert "404" in curl(fw, "-i", *how[:-1],
                       how[-1].replace("metrics", "other")).stdout
  assert "405" in curl(fw, "-i", "-X", "DELETE", *how).stdout
  fw.stop()
  assert not path.exists()


def test_clients_that_do_not_read_delay_nobody(network, firewall, family,
                                               tmp_path):
  path = tmp_path / "metrics.sock"
  fw = firewall(_RULES, extra=f'[metrics]\nlisten = "{path}"\nclients = 4\n')
  network.settle()
  start_echo(network)

  def goes_on():
    text = curl(fw, "--unix-socket", path, "http://sluice/metrics").stdout
    assert "sluice_build_info" in text
    assert ask(network, family, 20000, 20) == 20

  check_silent_clients(
      fw, path, (b"", b"GET /metrics HTTP/1.1\r\nHost: a\r\n",
                 b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), goes_on,
      lambda: "sluice_build_info" in curl(
          fw, "--unix-socket", path, "http://sluice/metrics",
          check=False).stdout)


def test_off_by_default_and_a_place_that_is_taken(network, firewall, tmp_path):
  fw = firewall("pass\n")
  assert "9469" not in network.firewall.run("ss", "-Hlnt").stdout
  taken = tmp_path / "taken"
  taken.write_text("a file\n")
  text = fw.config.read_text().replace(
      str(fw.socket), str(tmp_path / "other.sock")).replace(
          "[policy]", f'[metrics]\nlisten = "{taken}"\n[policy]')
  fw.stop()
  config = tmp_path / "taken.toml"
  config.write_text(text)
  done = network.firewall.run(BUILD / "sluiced", "-c", config, check=False)
  assert done.returncode == 1
  assert f"[metrics] listen: {taken} is there and is no socket" in done.stderr
  assert taken.read_text() == "a file\n"


def test_alerts():
  for words in (("check", "rules", "alerts.yml"),
                ("test", "rules", "alerts_test.yml")):
    run(PROMTOOL, *words, cwd=MONITORING)
  tested = set(re.findall(r"alertname: (\w+)",
                          (MONITORING / "alerts_test.yml").read_text()))
  there = set(re.findall(r"- alert: (\w+)",
                         (MONITORING / "alerts.yml").read_text()))
  assert tested == there


def test_board_and_alerts_ask_for_series_that_there_are(network, firewall,
                                                        tmp_path):
  fw = firewall("pass\n", workers=2, extra=(
      f'[metrics]\nlisten = "{tmp_path}/m.sock"\n'
      f'[log]\npackets = "{tmp_path}"\n'))
  known = set(re.findall(r"^# TYPE (\w+)", fw.ctl("metrics").stdout, re.M))
  board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
  queries = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
  queries += [v["query"]["query"] for v in board["templating"]["list"]
              if v["type"] == "query"]
  queries += [a["expr"] for a in board["annotations"]["list"]]
  alerts = re.findall(r"expr: (.*)", (MONITORING / "alerts.yml").read_text())
  assert len(queries) > 25 and len(alerts) > 10
  for query in queries + alerts:
    for name in re.findall(r"\bsluice_\w+", query):
      assert name in known, query
  ids = [p["id"] for p in board["panels"]]
  assert len(ids) == len(set(ids)) and board["uid"] and board["schemaVersion"]
  # As Prometheus reads them, with Grafana's variables replaced.
  rules = tmp_path / "queries.yml"
  rules.write_text(json.dumps({"groups": [{"name": "board", "rules": [
      {"record": "a:b", "expr": q.replace("$__rate_interval", "1m")}
      for q in queries if "label_values" not in q]}]}))
  run(PROMTOOL, "check", "rules", "--lint=none", rules)


# Asks a command after the other and prints the answers, one a line.
def telemetry(fw, prefix, *commands):
  done = fw.network.firewall.run(
      "dpdk-telemetry.py", "-f", prefix, input="\n".join(commands) + "\nquit\n")
  answers = {}
  for line in done.stdout.splitlines():
    if line.startswith("{"):
      answers.update(json.loads(line))
  return answers


def test_telemetry(network, firewall, family):
  prefix = f"slt-telemetry-{os.getpid()}"
  fw = firewall(_RULES, workers=2)
  fw.stop()
  fw.config.write_text(fw.config.read_text().replace(
      "[eal]", f'[eal]\nfile_prefix = "{prefix}"'))
  fw.start()
  network.settle()
  start_echo(network)
  assert ask(network, family, 20000, 10) == 10
  assert ask(network, family, 30000, 5, port=8, wait_s=0) == 0
  fw.ctl("filter", "create", "vm-1", "--ports", "tap1")
  answers = telemetry(fw, prefix, "/sluice/info", "/sluice/filters",
                      "/sluice/filter,vm-1", "/sluice/filter", "/sluice/ports",
                      "/sluice/port,outside", "/sluice/drops",
                      "/sluice/workers", "/sluice/workers,1",
                      "/sluice/port,nobody")
  assert answers["/sluice/info"]["states"] == 20
  assert answers["/sluice/info"]["workers"] == 2
  assert answers["/sluice/info"]["packet_counters_unaccounted"] == 0
  assert answers["/sluice/filters"] == ["main", "vm-1"]
  assert answers["/sluice/filter"]["states"] == 20
  assert set(answers["/sluice/ports"]) == {"inside", "outside", "tap1"}
  assert answers["/sluice/port"] is None or "received_packets" in answers[
      "/sluice/port"]
  assert answers["/sluice/drops"]["match"] >= 5
  first = telemetry(fw, prefix, "/sluice/workers")["/sluice/workers"]
  assert first == [0, 1]
  port = telemetry(fw, prefix, "/sluice/port,outside")["/sluice/port"]
  assert port["received_packets"] >= 15 and port["enabled"] == 1
  # The daemon ends though somebody is connected.
  client = network.firewall.start(PYTHON, "-c", f"""
import socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("/var/run/dpdk/{prefix}/dpdk_telemetry.v2")
s.recv(1024)
time.sleep(20)
""")
  time.sleep(0.5)
  fw.stop()
  client.kill()
