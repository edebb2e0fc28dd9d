"""Rulesets that have to be confirmed, and ways back."""

from harness import wait_for

_OLD = "pass\n"
_NEW = "block\npass proto udp\n"


def rules(fw):
  return [rule["text"] for rule in fw.json("-s", "rules")["rules"]]


def commits(fw):
  return fw.json("-s", "commits")["commits"]


def load(fw, text, *more, check=True):
  return fw.ctl("-f", "-", *more, input=text, check=check)


def test_what_nobody_confirms_goes(network, firewall):
  fw = firewall(_OLD)
  before = rules(fw)
  load(fw, _NEW, "--confirm", "2")
  new = rules(fw)
  assert len(new) == 2
  assert commits(fw)["confirm_left"] <= 2
  wait_for("the old rules", lambda: rules(fw) == before)
  listed = commits(fw)
  assert "confirm_left" not in listed
  assert listed["commits"][0]["what"] == "not confirmed"
  assert listed["commits"][1]["what"] == "load"
  # It can be had again.
  fw.ctl("--rollback", "1")
  assert rules(fw) == new


def test_what_is_confirmed_stays(network, firewall):
  fw = firewall(_OLD)
  load(fw, _NEW, "--confirm", "30")
  fw.ctl("--confirm-commit")
  assert "confirm_left" not in commits(fw)
  assert len(rules(fw)) == 2
  again = fw.ctl("--confirm-commit", check=False)
  assert again.returncode == 1
  assert "no commit waits to be confirmed" in again.stderr


def test_two_that_load_at_a_time(network, firewall):
  fw = firewall(_OLD)
  generation = commits(fw)["commits"][0]["generation"]
  load(fw, _NEW, "--only-if", generation)
  refused = load(fw, _OLD, "--only-if", generation, check=False)
  assert refused.returncode == 1
  assert "is in force, and not" in refused.stderr
  assert len(rules(fw)) == 2
  text = fw.ctl("-s", "commits").stdout
  assert len(text.splitlines()) == 3
