"""`sluicectl explain` says what packets then meet."""

from harness import CLIENTS, NEIGHBOURS, SERVERS
from test_daemon import ask, start_echo

_RULES = """\
table <friends> persist { %s, %s }
block all
pass in proto udp from <friends> to port 7 tag FRIEND
pass out tagged FRIEND
pass in proto udp to port 9
""" % (CLIENTS[4], CLIENTS[6]) + NEIGHBOURS


def packet(family, port):
  wrap = {4: "%s:%d", 6: "[%s]:%d"}[family]
  return ("--proto", "udp", "--from", wrap % (CLIENTS[family], 20000),
          "--to", wrap % (SERVERS[family], port))


def explain(fw, family, port, *more):
  # The client's packets come in at outside.
  return fw.json("explain", "--in", "outside", *packet(family, port),
                 *more)["explain"]


def test_what_it_says_is_what_happens(network, firewall, family):
  fw = firewall(_RULES)
  network.settle()
  start_echo(network)
  both = explain(fw, family, 7)
  assert [end["direction"] for end in both] == ["in", "out"]
  assert all(end["passes"] and end["keeps_state"] for end in both)
  entry = "%s/%d" % (CLIENTS[family], {4: 32, 6: 128}[family])
  decides = [rule for rule in both[0]["rules"] if rule["decides"]]
  assert len(decides) == 1 and decides[0]["number"] == 1
  assert decides[0]["tables"][0]["entry"] in (CLIENTS[family], entry)
  assert both[1]["tag"] == "FRIEND"
  assert "states" not in both[0]
  assert ask(network, family, 20000, 3) == 3
  # Now a state decides.
  assert explain(fw, family, 7)[0]["states"][0]["rule"] == 1
  # Let in, but not out.
  in_, out = explain(fw, family, 9, "-v")
  assert in_["passes"] and not out["passes"]
  assert out["reason"] == "match"
  failed = {rule["number"]: rule.get("failed") for rule in out["rules"]}
  assert failed[0] is None and failed[2] == "tagged"
  # Not at all.
  blocked = explain(fw, family, 11)
  assert len(blocked) == 1 and not blocked[0]["passes"]


def test_rules_of_a_file(network, firewall, tmp_path, family):
  fw = firewall(_RULES)
  rules = tmp_path / "new.conf"
  rules.write_text("block return\npass proto udp to port 11\n")
  both = explain(fw, family, 11, "-f", rules)
  assert len(both) == 2 and all(end["passes"] for end in both)
  assert "generation" not in both[0]
  assert not explain(fw, family, 11)[0]["passes"]
  text = fw.ctl("explain", "--in", "outside",
                *packet(family, 7), "-v").stdout
  assert "decides  @1 pass in proto udp from <friends>" in text
  assert "in <friends>: " in text
