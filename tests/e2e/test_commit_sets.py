"""Commits of several filters: in force at once, confirmed and taken back as
one, and under traffic."""

import pytest

from harness import NEIGHBOURS, UdpStream, wait_for

_BOTH = "block all\npass proto udp to port { 5300, 5301 }\n" + NEIGHBOURS
_ONE = "block all\npass proto udp to port 5300\n" + NEIGHBOURS
_TABLE = "table <bad> persist\nblock quick from <bad>\n" + _BOTH


@pytest.fixture
def two(network, firewall, tmp_path):
  """main judges outside, and the filter vm inside."""
  fw = firewall(_BOTH)
  fw.ctl("filter", "create", "vm", "--ports", "inside", "--ruleset", "-",
         input=_TABLE)
  fw.ctl("--filter", "vm", "-t", "bad", "-T", "add", "192.0.2.1")
  for name, text in (("one.conf", _ONE), ("both.conf", _BOTH),
                     ("table.conf", _TABLE), ("broken.conf", "pass\nblok\n"),
                     ("bad.txt", "192.0.2.7\n2001:db8::7\n")):
    (tmp_path / name).write_text(text)
  fw.folder = tmp_path
  return fw


def commit(fw, *words, check=True):
  words = [str(fw.folder / word) if "." in str(word) else word
           for word in words]
  return fw.ctl(*words, check=check)


def rules(fw, name):
  return [r["text"] for r in fw.json("--filter", name, "-s", "rules")["rules"]]


def addresses(fw):
  shown = fw.ctl("--filter", "vm", "-t", "bad", "-T", "show").stdout
  return sorted(shown.split())


def commits(fw, name):
  return fw.json("--filter", name, "-s", "commits")["commits"]


def everything(fw):
  return rules(fw, "main"), rules(fw, "vm"), addresses(fw)


def test_all_or_nothing(two):
  fw = two
  before = everything(fw)
  refused = commit(fw, "--filter", "main", "-f", "one.conf",
                   "--filter", "vm", "-f", "broken.conf", check=False)
  assert refused.returncode == 1
  assert "filter vm: " in refused.stderr and ":2:1:" in refused.stderr
  assert "nothing was changed" in refused.stderr
  generation = commits(fw, "main")["commits"][0]["generation"]
  refused = commit(fw, "--filter", "vm", "-f", "one.conf", "--filter", "main",
                   "-f", "one.conf", "--only-if", generation + 5, check=False)
  assert refused.returncode == 1
  assert f"filter main: generation {generation} is in force" in refused.stderr
  refused = commit(fw, "--filter", "main", "-f", "one.conf", "--filter", "none",
                   "-f", "one.conf", check=False)
  assert "filter none: there is no such filter" in refused.stderr
  assert everything(fw) == before
  # Who looks only changes nothing either.
  shown = commit(fw, "--diff", "--filter", "main", "-f", "one.conf",
                 "--filter", "vm", "-f", "table.conf")
  assert "+++ filter main" in shown.stdout
  assert "filter vm: nothing in the ruleset would change" in shown.stderr
  assert everything(fw) == before

  done = commit(fw, "--filter", "main", "-f", "one.conf", "--only-if",
                generation, "--filter", "vm", "-t", "bad", "-T", "replace",
                "-f", "bad.txt")
  assert "filter vm" in done.stderr
  assert rules(fw, "main") != before[0]
  assert rules(fw, "vm") == before[1]
  assert addresses(fw) == ["192.0.2.7", "2001:db8::7"]
  for name in ("main", "vm"):
    assert commits(fw, name)["commits"][0]["together"] == ["main", "vm"]
  assert "together: main, vm" in fw.ctl("-s", "commits").stdout


def test_confirmed_and_taken_back_as_one(two):
  fw = two
  before = everything(fw)
  words = ("--filter", "main", "-f", "one.conf", "--filter", "vm", "-t", "bad",
           "-T", "replace", "-f", "bad.txt")
  commit(fw, "--confirm", "3", *words)
  assert commits(fw, "vm")["confirm_left"] <= 3
  # Nobody takes a part out of it.
  alone = fw.ctl("--filter", "vm", "-f", "-", input="pass\n", check=False)
  assert alone.returncode == 1
  assert "main, vm waits to be confirmed" in alone.stderr
  wait_for("the rules before", lambda: everything(fw) == before)
  wait_for("both", lambda: all(
      commits(fw, name)["commits"][0]["what"] == "not confirmed"
      for name in ("main", "vm")))

  commit(fw, "--confirm", "60", *words)
  fw.ctl("--filter", "main", "--filter", "vm", "--confirm-commit")
  for name in ("main", "vm"):
    assert "confirm_left" not in commits(fw, name)
  after = everything(fw)
  assert after != before
  half = fw.ctl("--filter", "main", "--filter", "main", "--rollback", "1",
                check=False)
  assert half.returncode == 1 and everything(fw) == after
  fw.ctl("--filter", "vm", "--filter", "main", "--rollback", "1")
  assert everything(fw) == before
  # It is the last commit of both, and can be taken back itself.
  fw.ctl("--filter", "main", "--filter", "vm", "--rollback", "1")
  assert everything(fw) == after
  fw.ctl("-f", "-", input=_BOTH)
  moved = fw.ctl("--filter", "main", "--filter", "vm", "--rollback", "1",
                 check=False)
  assert moved.returncode == 1
  assert "filter main: its last commit was of it alone" in moved.stderr


def test_nothing_is_lost_while_sets_change(two, network, family):
  """Both sets allow the stream, and each filter blocks what only the other
  version of the other one lets through."""
  fw = two
  network.settle()
  stream = UdpStream(network, family, 5300, rate=2000, seconds=4)
  count = 0
  while stream.running:
    name = ("one.conf", "both.conf")[count % 2]
    commit(fw, "--filter", "main", "-f", name, "--filter", "vm", "-f", name)
    count += 1
  counted = stream.finish()
  assert count >= 5
  assert counted.received == counted.sent == 8000, fw.drops()
