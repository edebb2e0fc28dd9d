"""Filters that change while they are there, log levels, and who did it."""

import json
import os
import re
import signal

from harness import BUILD, NEIGHBOURS, SERVER4, wait_for
from questions import ask, start_echo

_BLOCK = "block all\n" + NEIGHBOURS


def test_ports_move_between_filters(network, firewall, family):
  fw = firewall("pass\n", workers=2)
  network.settle()
  start_echo(network)
  fw.ctl("filter", "create", "vm", "--ports", "later", "--ruleset", "-",
         input=_BLOCK)
  assert ask(network, family, 20000, 5) == 5
  fw.ctl("filter", "change", "vm", "--ports", "outside,later")
  ports = {p["name"]: p["filter"] for p in fw.json("port", "list")["ports"]}
  assert ports == {"outside": "vm", "later": "vm", "inside": "main"}
  fw.ctl("-F", "states")
  assert ask(network, family, 21000, 5, wait_s=0.1) == 0
  # Another filter does not get what this one has, and nothing was changed.
  fw.ctl("filter", "create", "other", "--ports", "third")
  done = fw.ctl("filter", "change", "other", "--ports", "inside,outside",
                check=False)
  assert done.returncode == 1 and "belongs to filter 'vm'" in done.stderr
  shown = fw.json("filter", "show", "other")["filter"]
  assert shown["ports"] == ["third"]
  # Back to main.
  fw.ctl("filter", "change", "vm", "--ports", "later")
  assert ask(network, family, 22000, 5) == 5
  ports = {p["name"]: p["filter"] for p in fw.json("port", "list")["ports"]}
  assert ports["outside"] == "main" and ports["later"] == "vm"


def test_fail_policy_and_hold(network, firewall, family, tmp_path):
  fw = firewall("pass\n")
  network.settle()
  start_echo(network)
  emergency = tmp_path / "emergency.conf"
  emergency.write_text("pass\n")
  fw.ctl("filter", "create", "vm", "--ports", "outside", "--expect-restore",
         "--fail", "open", "--emergency", emergency, "--restore-give-up", "0",
         "--ruleset", "-", input=_BLOCK)
  # The restore fails, and the emergency ruleset holds.
  fw.ctl("state", "import", "--filter", "vm", "-", input="no snapshot",
         check=False)
  wait_for("answers", lambda: ask(network, family, 20000, 3, wait_s=0.2) == 3)
  fw.ctl("filter", "change", "vm", "--fail", "closed")
  assert ask(network, family, 21000, 3, wait_s=0.1) == 0
  assert fw.json("filter", "show", "vm")["filter"]["fail"] == "closed"
  fw.ctl("filter", "change", "vm", "--fail", "open", "--hold-bypass", "no")
  assert ask(network, family, 22000, 3) == 3
  # What cannot says so.
  fw.ctl("filter", "create", "plain", "--ports", "later")
  done = fw.ctl("filter", "change", "plain", "--fail", "open", check=False)
  assert done.returncode == 1 and "make it anew" in done.stderr
  done = fw.ctl("filter", "change", "main", "--hold-bypass", "no", check=False)
  assert done.returncode == 1 and "main cannot be changed" in done.stderr
  done = fw.ctl("filter", "change", "nobody", "--hold-bypass", "no",
                check=False)
  assert done.returncode == 1 and "no filter 'nobody'" in done.stderr


def test_hold_bypass_takes_effect(network, firewall):
  """ARP passes a filter that holds, until it is told not to let it."""
  # It holds as long as the test takes.
  fw = firewall("pass\n", extra="[restore]\nqueue_deadline = 600000\n")
  fw.ctl("filter", "create", "vm", "--ports", "outside", "--expect-restore")

  def arp_answers():
    network.unsettle()
    network.client.run("ping", "-c", "1", "-W", "1", SERVER4, check=False)
    known = network.client.run("ip", "-json", "-4", "neighbour", "show",
                               SERVER4).stdout
    return any("lladdr" in n for n in json.loads(known or "[]"))

  assert arp_answers()
  fw.ctl("filter", "change", "vm", "--hold-bypass", "no")
  assert not arp_answers()
  fw.ctl("filter", "change", "vm", "--hold-bypass", "yes")
  wait_for("ARP", arp_answers)


def test_log_level(network, firewall, tmp_path):
  log = tmp_path / "sluiced.log"
  fw = firewall("pass\n", extra=f'[log]\nfile = "{log}"\n')
  assert " debug: " not in log.read_text()
  fw.ctl("log", "--level", "debug")
  fw.ctl("-s", "timeouts")
  assert "debug: control: uid 0" in log.read_text()
  fw.ctl("log", "--level", "off")
  before = log.read_text()
  fw.ctl("-F", "info")
  assert log.read_text() == before
  fw.ctl("log", "--level", "info")
  fw.ctl("log", "--level", "debug", "--module", "lib.eal")
  for words, said in ((("--level", "loud"), "is no level"),
                      (("--level", "info", "--module", "pmd.nonsense"),
                       "no log type 'pmd.nonsense'"),
                      (("--module", "lib.eal"), "needs --level")):
    done = fw.ctl("log", *words, check=False)
    assert done.returncode == 1 and said in done.stderr, words


def _entries(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_log_and_audit(network, firewall, tmp_path):
  log, audit = tmp_path / "sluiced.log", tmp_path / "audit.log"
  fw = firewall("pass\n", extra=f'[log]\nfile = "{log}"\nformat = "json"\n'
                f'audit = "{audit}"\n')
  before = fw.json("-s", "info")["info"]["generation"]
  fw.load("block all\n")
  fw.load('nonsense "\n', check=False)
  fw.ctl("-t", "new", "-T", "add", "10.0.0.1")
  fw.ctl("-s", "rules")
  entries = _entries(log)
  assert all({"time", "level", "message"} <= set(e) for e in entries)
  changes = _entries(audit)
  assert [c["command"] for c in changes] == ["ruleset load", "ruleset load",
                                             "table add"]
  load, failed, table = changes
  assert load["uid"] == os.getuid() and load["pid"] > 0
  assert load["filter"] == "main" and load["outcome"] == "done"
  assert load["generation_before"] == before < load["generation_after"]
  assert failed["generation_before"] == failed["generation_after"]
  assert failed["outcome"] != "done"
  assert [e for e in entries if e.get("command") == "table add"]
  # Rotated apart from the log.
  audit.rename(tmp_path / "audit.log.1")
  fw.process.send_signal(signal.SIGUSR1)
  wait_for("a new file", audit.exists)
  fw.ctl("-F", "info")
  assert [c["command"] for c in _entries(audit)] == ["info clear"]
  fw.process.send_signal(signal.SIGHUP)
  wait_for("the reload", lambda: "SIGHUP" in audit.read_text())


def test_audit_in_text(network, firewall, tmp_path):
  audit = tmp_path / "audit.log"
  fw = firewall("pass\n", extra=f'[log]\naudit = "{audit}"\n')
  fw.ctl("-F", "info")
  (line,) = audit.read_text().splitlines()
  assert re.fullmatch(
      r'\d{4}-\d\d-\d\dT[0-9:.]+Z uid=0 pid=\d+ command="info clear" '
      r'filter=main generation_before=(\d+) generation_after=\1 outcome=done',
      line), line


def test_audit_that_cannot_be_written(network, firewall, tmp_path):
  fw = firewall("pass\n")
  text = fw.config.read_text().replace(
      str(fw.socket), str(tmp_path / "other.sock"))
  fw.stop()
  config = tmp_path / "bad.toml"
  config.write_text(text + f'[log]\naudit = "{tmp_path}/no/such/audit.log"\n')
  done = network.firewall.run(BUILD / "sluiced", "-c", config, check=False)
  assert done.returncode == 4, done.stderr
  assert "[log] audit: user" in done.stderr
  assert f"cannot make files in {tmp_path}/no/such" in done.stderr
  config.write_text(text + f'[log]\naudit = "{tmp_path}"\n')
  done = network.firewall.run(BUILD / "sluiced", "-c", config, check=False)
  assert done.returncode == 3, done.stderr
  assert "[log] audit: cannot write" in done.stderr
