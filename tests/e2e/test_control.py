"""sluicectl on live traffic: states, tables, counters, flushes."""

import json
import re
import os
import stat
import threading

from harness import (CLIENTS, NEIGHBOURS, SERVERS, UdpStream, wait_for)
from test_daemon import ask, start_echo

_RULES = """\
table <friends> persist { %s, %s }
block all
pass proto udp from <friends> to port { 7, 5300 } label "friends"
""" % (CLIENTS[4], CLIENTS[6]) + NEIGHBOURS


def prepare(network, firewall, rules=_RULES):
  fw = firewall(rules)
  network.settle()
  start_echo(network)
  return fw


def test_show_states_in_pfctl_form(network, firewall, family):
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 1) == 1
  text = fw.ctl("-s", "states").stdout
  ends = {4: (f"{CLIENTS[4]}:20000", f"{SERVERS[4]}:7"),
          6: (f"{CLIENTS[6]}[20000]", f"{SERVERS[6]}[7]")}[family]
  lines = [l for l in text.splitlines() if ends[0] in l and ends[1] in l]
  assert lines, text
  assert all("udp" in l for l in lines)
  assert any("->" in l or "<-" in l for l in lines)


def test_kill_states_of_a_host(network, firewall, family):
  """A state that is killed stops its flow, if the rules no longer allow it."""
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 3) == 3
  fw.load("block all\n")
  assert ask(network, family, 20000, 3) == 3, "states live on"
  fw.ctl("-k", CLIENTS[10 - family])
  assert ask(network, family, 20000, 3) == 3, "the wrong host's were killed"
  text = fw.ctl("-k", CLIENTS[family], "-k", SERVERS[family])
  assert "killed" in text.stdout + text.stderr
  assert ask(network, family, 20000, 3) == 0


def test_kill_states_by_label(network, firewall, family):
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 3) == 3
  fw.ctl("-k", "label", "-k", "strangers")
  assert any(s["before"]["destination_port"] == 7 for s in fw.states())
  fw.ctl("-k", "label", "-k", "friends")
  assert not any(s["before"]["destination_port"] == 7 for s in fw.states())


def test_flush_states(network, firewall, family):
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 3) == 3
  assert fw.states()
  fw.ctl("-F", "states")
  assert fw.states() == []
  assert ask(network, family, 20000, 3) == 3, "the rules are still there"


def test_table_edits_act_at_once(network, firewall, family):
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 2) == 2
  done = fw.ctl("-t", "friends", "-T", "delete", CLIENTS[family])
  assert "1/1 addresses deleted" in done.stdout + done.stderr
  # What is established goes on, what is new is judged by the table as it is.
  assert ask(network, family, 20000, 2) == 2
  assert ask(network, family, 20100, 2) == 0
  done = fw.ctl("-t", "friends", "-T", "test", CLIENTS[family], check=False)
  assert done.returncode != 0
  fw.ctl("-t", "friends", "-T", "add", CLIENTS[family])
  assert ask(network, family, 20200, 2) == 2
  shown = fw.ctl("-t", "friends", "-T", "show").stdout.split()
  assert set(shown) == {CLIENTS[4], CLIENTS[6]}
  # The most specific entry decides.
  fw.ctl("-t", "friends", "-T", "replace", "10.0.0.0/8", "fd00::/16",
         "!" + CLIENTS[family])
  assert ask(network, family, 20300, 2) == 0
  fw.ctl("-t", "friends", "-T", "flush")
  assert fw.ctl("-t", "friends", "-T", "show").stdout.split() == []
  fw.ctl("-t", "friends", "-T", "add", CLIENTS[family])
  assert ask(network, family, 20400, 2) == 2


def test_addresses_of_a_table_count(network, firewall, family):
  """Packets both ways, in and out; of who sent none there is nothing."""
  rules = _RULES.replace("persist", "persist counters")
  fw = prepare(network, firewall, rules)

  def counts(address):
    shown = fw.ctl("-v", "-t", "friends", "-T", "show").stdout
    of_one = re.split(r"^   (\S+)\n", shown, flags=re.M)
    of_one = dict(zip(of_one[1::2], of_one[2::2]))[address]
    return {name: int(packets) for name, packets in re.findall(
        r"(\w+/\w+): +\[ Packets: (\d+)", of_one)}

  # A state as it comes in and one as it goes out, with three questions and
  # three answers each.
  assert ask(network, family, 20000, 3) == 3
  passed = {"In/Block": 0, "In/Match": 0, "In/Pass": 6,
            "Out/Block": 0, "Out/Match": 0, "Out/Pass": 6}
  assert counts(CLIENTS[family]) == passed
  assert counts(CLIENTS[10 - family]) == {}
  fw.load(rules)
  assert counts(CLIENTS[family]) == passed, "the same table begins anew"
  done = fw.ctl("-v", "-t", "friends", "-T", "reset")
  assert f"Z  {CLIENTS[family]}\n" in done.stdout
  assert CLIENTS[10 - family] not in done.stdout
  assert counts(CLIENTS[family]) == {}
  assert ask(network, family, 20000, 1) == 1
  assert counts(CLIENTS[family])["In/Pass"] == 2
  fw.ctl("-t", "friends", "-T", "zero", CLIENTS[family])
  assert counts(CLIENTS[family]) == {}


def test_flush_rules_and_tables(network, firewall, family):
  fw = prepare(network, firewall)
  fw.ctl("-F", "rules")
  assert fw.ctl("-s", "rules").stdout.strip() == ""
  # Without rules everything passes, as in pf.
  assert ask(network, family, 20000, 2) == 2
  fw.load(_RULES)
  assert "friends" in fw.ctl("-s", "rules").stdout


def test_disable_and_enable(network, firewall, family):
  fw = prepare(network, firewall, rules="block all\n")
  assert ask(network, family, 20000, 1) == 0
  fw.ctl("-d")
  assert ask(network, family, 20000, 1) == 1
  assert fw.ctl("-d", check=False).returncode != 0, "it was disabled already"
  # Who did it, and who tried to, is in the log.
  log = fw.process.text()
  assert re.search(r"uid 0 pid \d+: filter.disable of filter main: done", log)
  assert re.search(r"filter.disable of filter main: pf not enabled", log)
  fw.ctl("-e")
  assert ask(network, family, 20000, 1) == 0


def test_rule_and_label_counters(network, firewall, family):
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 5) == 5
  labels = fw.ctl("-s", "labels").stdout.splitlines()
  friends = [l.split() for l in labels if l.startswith("friends")]
  assert friends, labels
  # Evaluations, packets: five requests and five answers at each port.
  assert sum(int(f[2]) for f in friends) == 20, friends
  fw.ctl("-z")
  friends = [l.split() for l in fw.ctl("-s", "labels").stdout.splitlines()
             if l.startswith("friends")]
  assert sum(int(f[2]) for f in friends) == 0, friends


def test_every_show_prints_text_and_json(network, firewall, family):
  fw = prepare(network, firewall)
  assert ask(network, family, 20000, 1) == 1
  for what in ("rules", "states", "info", "Tables", "Interfaces", "timeouts",
               "memory", "labels"):
    for flags in ((), ("-v",), ("-vv",)):
      assert fw.ctl(*flags, "-s", what).stdout.strip(), (what, flags)
    assert fw.json("-s", what) is not None, what
  assert fw.ctl("-s", "all").stdout.strip()
  # Abbreviations, as pfctl takes them.
  assert fw.ctl("-sr").stdout == fw.ctl("-s", "rules").stdout
  assert fw.ctl("-sT").stdout == fw.ctl("-s", "Tables").stdout


def test_dry_run_changes_nothing(network, firewall, family):
  fw = prepare(network, firewall)
  before = fw.ctl("-s", "rules").stdout
  done = fw.ctl("-n", "-v", "-f", "-", input="pass proto { tcp, udp } all\n")
  assert "tcp" in done.stdout and "udp" in done.stdout
  assert fw.ctl("-s", "rules").stdout == before


def test_macro_from_the_command_line(network, firewall, family):
  fw = prepare(network, firewall)
  text = 'service = "1"\nblock all\npass proto udp to port $service\n' + NEIGHBOURS
  fw.ctl("-D", "service=7", "-f", "-", input=text)
  assert ask(network, family, 20000, 2) == 2


def test_socket_is_the_operators_only(network, firewall):
  fw = firewall("pass all\n")
  mode = stat.S_IMODE(os.stat(fw.socket).st_mode)
  assert mode == 0o600, oct(mode)


def test_many_clients_at_once_under_traffic(network, firewall, family):
  """Orders from several sides do not mix and cost the traffic nothing."""
  fw = prepare(network, firewall)
  stream = UdpStream(network, family, 5300, rate=2000, seconds=4)
  wait_for("the stream", lambda: fw.states())
  problems = []

  def work(number):
    try:
      while stream.running:
        fw.ctl("-t", f"table{number}", "-T", "add", f"192.0.2.{number}")
        shown = fw.ctl("-t", f"table{number}", "-T", "show").stdout.split()
        if shown != [f"192.0.2.{number}"]:
          problems.append(shown)
        json.loads(fw.ctl("--json", "-s", "states").stdout)
        fw.load(_RULES)
    except AssertionError as error:
      problems.append(str(error))

  clients = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
  for client in clients:
    client.start()
  for client in clients:
    client.join()
  counted = stream.finish()
  assert not problems, problems[0]
  assert counted.received == counted.sent == 8000, fw.drops()
