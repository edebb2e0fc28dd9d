"""`sluicectl test`: of a ruleset without a daemon, and of rules in force."""

import json
import pathlib

from harness import BUILD, CLIENTS, NEIGHBOURS, SERVERS, run
from test_daemon import ask, start_echo

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "configs/examples"

_RULES = """\
table <friends> persist { %s, %s }
block all
pass in proto udp from <friends> to port 7 tag FRIEND label "friends"
pass out tagged FRIEND
""" % (CLIENTS[4], CLIENTS[6]) + NEIGHBOURS


def offline(test, rules, *more):
  return run(BUILD / "sluicectl", "-p", "/nowhere.sock", "test", test, "-f",
             rules, *more, check=False)


def test_the_example_holds():
  done = offline(EXAMPLES / "office.test", EXAMPLES / "office.conf")
  assert done.returncode == 0, done.stdout + done.stderr
  assert " 0 failed" in done.stdout


def test_a_ruleset_that_lost_a_rule_is_found(tmp_path):
  rules = (EXAMPLES / "office.conf").read_text()
  cut = [line for line in rules.splitlines() if "tag ADMIN" not in line]
  path = tmp_path / "cut.conf"
  path.write_text("\n".join(cut) + "\n")
  done = offline(EXAMPLES / "office.test", path, "--json")
  assert done.returncode == 1
  told = json.loads(done.stdout)["test"]
  wrong = [r for r in told["results"] if not r["held"]]
  assert len(wrong) == told["failed"] == 1
  assert "tag ADMIN" in wrong[0]["text"]
  # Each of the network's addresses but the one that the table leaves out.
  assert wrong[0]["wrong_packets"] == wrong[0]["packets"] == 9
  assert wrong[0]["failures"][0]["answer"]["reason"] == "match"
  path.write_text("pass in on\n")
  broken = offline(EXAMPLES / "office.test", path)
  assert broken.returncode == 2 and f"{path}:1:11: " in broken.stderr


def test_what_is_said_is_what_happens(network, firewall, family, tmp_path):
  fw = firewall(_RULES)
  network.settle()
  start_echo(network)
  test = tmp_path / "t"
  test.write_text(
      f"client = \"{CLIENTS[family]}\"\nserver = \"{SERVERS[family]}\"\n"
      "expect pass in on outside proto udp from $client to $server port 7 "
      "tag FRIEND label friends keep state\n"
      "expect pass out on inside received-on outside proto udp from $client "
      "to $server port 7 tagged FRIEND\n"
      "expect block in on outside proto udp from $client to $server "
      "port { 1:6 8:100 } reason match\n")
  done = fw.ctl("test", test)
  assert done.stdout == "3 expectations held, 0 failed (101 packets)\n"
  assert ask(network, family, 20000, 3) == 3
  # Other rules, and it says so.
  fw.ctl("-t", "friends", "-T", "flush")
  done = fw.ctl("test", test, check=False)
  assert done.returncode == 1
  assert "is dropped, match" in done.stdout
  assert fw.ctl("test", test, "--filter", "nobody",
                check=False).returncode == 2
  assert offline(test, "/nowhere.conf").returncode == 2
