"""`sluicectl metrics`, as Prometheus' own parser reads it."""

import subprocess

from prometheus_client.parser import text_string_to_metric_families

from harness import BUILD, NEIGHBOURS
from questions import ask, start_echo

_RULES = """\
set limit states 5000
table <friends> persist { 192.0.2.1, 2001:db8::1 }
block all
pass proto udp to port 7
""" + NEIGHBOURS
_TYPES = {"counter", "gauge", "histogram"}


def scrape(fw):
  """Samples by name and labels; each family and each sample only once."""
  samples, families = {}, set()
  for family in text_string_to_metric_families(fw.ctl("metrics").stdout):
    assert family.name not in families, family.name
    families.add(family.name)
    assert family.type in _TYPES and family.documentation, family.name
    for sample in family.samples:
      key = (sample.name, frozenset(sample.labels.items()))
      assert key not in samples, key
      samples[key] = sample.value
  return samples


def value(samples, name, **labels):
  return samples[name, frozenset(labels.items())]


def test_what_packets_did(network, firewall, family):
  fw = firewall(_RULES)
  network.settle()
  start_echo(network)
  before = scrape(fw)
  assert ask(network, family, 20000, 20) == 20
  assert ask(network, family, 30000, 5, port=8, wait_s=0) == 0
  after = scrape(fw)

  def grown(name, **labels):
    return value(after, name, **labels) - value(before, name, **labels)

  assert grown("sluice_port_receive_packets_total", port="outside") >= 25
  assert grown("sluice_port_receive_bytes_total", port="outside") >= 25 * 42
  assert grown("sluice_port_transmit_packets_total", port="inside") >= 20
  assert grown("sluice_filter_state_inserts_total", filter="main") >= 20
  assert grown("sluice_filter_dropped_packets_total", filter="main",
               reason="match") >= 5
  assert grown("sluice_received_packets_total") >= 45
  assert value(after, "sluice_unaccounted_packets_total") == 0
  states = value(after, "sluice_filter_states", filter="main")
  assert 20 <= states <= 5000
  assert value(after, "sluice_filter_limit", filter="main",
               limit="states") == 5000
  assert value(after, "sluice_filter_limit_used", filter="main",
               limit="states") >= 20
  assert value(after, "sluice_filter_table_addresses", filter="main") == 2
  assert value(after, "sluice_port_up", port="inside") == 1
  # The same as the commands for people say.
  listed = {f["name"]: f for f in fw.json("filter", "list")["filters"]}
  for name in ("generation", "rules", "tables"):
    assert value(after, f"sluice_filter_{name}",
                 filter="main") == listed["main"][name]


def test_filters_limits_and_exports(network, firewall, tmp_path):
  fw = firewall("pass\n")
  before = scrape(fw)
  assert value(before, "sluice_exports_total") == 0
  fw.ctl("filter", "create", "vm-1", "--ports", "tap1", "--ruleset", "-",
         input=_RULES)
  with open(tmp_path / "vm-1.snap", "wb") as out:
    subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "-q", "state",
                    "export", "--filter", "vm-1"], stdout=out, check=True,
                   timeout=20)
  assert fw.ctl("state", "import", "--filter", "vm-1", "-", input="no snapshot",
                check=False).returncode == 1
  after = scrape(fw)
  for name in ("main", "vm-1"):
    assert value(after, "sluice_filter_loaded", filter=name) == 1
  assert value(after, "sluice_filter_limit", filter="vm-1",
               limit="states") == 5000
  assert value(after, "sluice_exports_total") == 1
  assert value(after, "sluice_restore_filters", state="NONE") == 2
  assert value(after, "sluice_restore_total_seconds_bucket", le="+Inf") == 0
  # A port that no device has yet, and its filter.
  (info,) = [dict(labels) for name, labels in after
             if name == "sluice_port_info" and ("port", "tap1") in labels]
  assert info["filter"] == "vm-1" and info["device"] == ""
  fw.ctl("filter", "destroy", "vm-1")
  gone = scrape(fw)
  assert not any(("filter", "vm-1") in labels for _, labels in gone)


def test_without_a_daemon_nothing_is_printed(network, firewall):
  fw = firewall("pass\n")
  fw.stop()
  done = fw.ctl("metrics", check=False)
  assert done.returncode == 1 and done.stdout == "" and done.stderr


def test_what_limiters_did(network, firewall, family):
  fw = firewall("""\
state limiter "few" id 1 limit 8
source limiter "each" id 2 entries 100 limit 1000
block all
pass in on outside proto udp to port 7 state limiter "few" (block) \
source limiter "each" (block)
pass out on inside proto udp to port 7
""" + NEIGHBOURS)
  network.settle()
  start_echo(network)
  assert ask(network, family, 20000, 20, wait_s=1) == 8
  samples = scrape(fw)

  def of(limiter, kind, what, **more):
    return value(samples, f"sluice_filter_limiter_{what}", filter="main",
                 limiter=limiter, kind=kind, **more)

  assert of("few", "state", "limit") == 8
  assert of("few", "state", "states") == 8
  assert of("few", "state", "admitted_total") == 8
  assert of("few", "state", "refused_total", reason="full") >= 12
  assert of("each", "source", "sources") == 1
  assert of("each", "source", "refused_total", reason="no-source") == 0
