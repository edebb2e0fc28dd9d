"""What a load would change, and the states that new rules would not let begin."""

import json

from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for

_RULES = ("table <bad> persist\n"
          "block all\n"
          "pass in on outside proto udp to port { 53, 123 } tag asked\n"
          "pass in on outside proto tcp to port 5201 flags S/SA\n"
          "pass out on inside tagged asked\n"
          "pass out on inside proto tcp\n"
          "pass proto icmp\n" + NEIGHBOURS)

_SEND = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
out = socket.socket(family, socket.SOCK_DGRAM)
out.bind(("", int(sys.argv[3])))
out.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
"""


def send(network, family, port, source):
  network.client.run("/usr/bin/python3", "-c", _SEND, SERVERS[family], port,
                     source)


def ports(fw):
  """The server's ports of UDP states, and in which direction they began."""
  return sorted((state["before"]["destination_port"], state["direction"])
                for state in fw.json("-s", "states")["states"]
                if state["protocol"] == 17)


def ask(fw, text, *flags, check=True):
  return fw.ctl("-f", "-", *flags, input=text, check=check)


def started(network, firewall, family, **options):
  fw = firewall(_RULES, **options)
  network.settle()
  for source in range(4000, 4008):
    send(network, family, 53, source)
    send(network, family, 123, source)
  wait_for("the states", lambda: len(ports(fw)) == 32)
  return fw


def test_show_then_kill(network, firewall, family):
  fw = started(network, firewall, family, workers=2)
  generation = fw.json("-s", "commits")["commits"]["commits"][0]["generation"]
  # Neither rule lets 123 in, nor does anything it is tagged for leave.
  new = _RULES.replace("{ 53, 123 }", "53")
  shown = ask(fw, new, "--show-blocked")
  assert "8 of 32 states would be blocked by these rules" in shown.stderr
  assert len(shown.stdout.splitlines()) == 8, shown.stdout
  assert all(":123 " in line or "[123]" in line
             for line in shown.stdout.splitlines()), shown.stdout
  # Nothing has happened.
  assert len(ports(fw)) == 32
  assert fw.json("-s", "commits")["commits"]["commits"][0]["generation"] == generation
  killed = ask(fw, new, "--kill-blocked")
  assert "8 states killed that these rules block" in killed.stderr
  # What left with the tag goes on: it has the tag still.
  assert ports(fw) == ([(53, "in")] * 8 + [(53, "out")] * 8 +
                       [(123, "out")] * 8)
  assert "0 of 24 states would be blocked" in ask(
      fw, new, "--show-blocked").stderr
  # By an address of a table that has been filled at run time.
  fw.ctl("-t", "bad", "-T", "add", CLIENTS[family])
  by_table = "block in quick from <bad>\n"
  new = new.replace("block all\n", "block all\n" + by_table)
  assert "8 of 24" in ask(fw, new, "--show-blocked").stderr
  assert "block out" not in ask(fw, new, "--diff").stdout
  answer = json.loads(ask(fw, new, "--kill-blocked", "--json").stdout)
  assert answer["load"]["blocked"]["killed"] == 8
  assert ports(fw) == [(53, "out")] * 8 + [(123, "out")] * 8


def test_by_addresses_before_translation(network, firewall, family):
  net = {4: "inet", 6: "inet6"}[family]
  fw = firewall("block all\n"
                f"pass in on outside {net} proto udp to {SERVERS[family]} "
                f"port 9053 rdr-to {SERVERS[family]} port 53\n"
                "pass out\n" + NEIGHBOURS)
  network.settle()
  send(network, family, 9053, 4000)
  wait_for("the states", lambda: len(ports(fw)) == 2)
  rules = ("block all\npass out\n"
           f"pass in on outside {net} proto udp to any port %s rdr-to "
           f"{SERVERS[family]} port 53\n" + NEIGHBOURS)
  assert "0 of 2 states" in ask(fw, rules % 9053, "--show-blocked").stderr
  assert "1 of 2 states" in ask(fw, rules % 53, "--show-blocked").stderr


def test_diff(network, firewall):
  fw = firewall(_RULES)
  same = ask(fw, _RULES, "--diff")
  assert same.stdout == ""
  assert "nothing in the ruleset would change" in same.stderr
  other = ask(fw, "set limit states 5000\n" +
              _RULES.replace("pass proto icmp\n", "pass quick proto icmp6\n")
                    .replace("<bad> persist", "<bad> persist { 192.0.2.9 }"),
              "--diff")
  lines = other.stdout.splitlines()
  assert lines[0].startswith("--- in force, generation ")
  assert lines[1] == "+++ -"
  changed = [line for line in lines[2:] if line[0] in "+-"]
  assert changed == [
      "-table <bad> persist",
      "+set limit states 5000",
      "+table <bad> persist { 192.0.2.9 }",
      "-pass proto icmp all",
      "+pass quick proto ipv6-icmp all"], other.stdout
  wrong = ask(fw, "pass form any\n", "--diff", check=False)
  assert wrong.returncode == 1 and "syntax error" in wrong.stderr
  # Both at once.
  both = json.loads(ask(fw, "block\n", "--diff", "--show-blocked",
                        "--json").stdout)
  assert both["compare"]["diff"]["removed"] > 0
  assert both["compare"]["blocked"]["blocked"] == 0
