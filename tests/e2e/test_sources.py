"""Sources that open too many connections: pf's brute-force guard, live."""

from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for

RULES = ("table <bad> persist\n"
         "block all\n"
         "pass out\n"
         "pass in on outside proto udp\n"
         "pass in on outside proto tcp from ! <bad> to port 5201 keep state "
         "(max-src-conn-rate 3/30, overload <bad> flush global)\n"
         + NEIGHBOURS)

# Opens as many connections as it is told to, each until it is there or a second
# has passed, and keeps them.
CLIENT = """
import socket, sys, time
there = []
for _ in range(int(sys.argv[3])):
  try:
    there.append(socket.create_connection((sys.argv[1], int(sys.argv[2])), 1))
  except OSError:
    pass
print(len(there), flush=True)
time.sleep(float(sys.argv[4]))
"""
SERVER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], 5201))
listener.listen(50)
kept = []
while True:
  kept.append(listener.accept())
"""


def test_overload_and_flush(network, firewall, family):
  fw = firewall(RULES)
  network.settle()
  network.server.start("/usr/bin/python3", "-c", SERVER, SERVERS[family])
  network.server.wait_for_listener(5201)
  assert fw.json("-s", "Sources")["sources"] == []
  network.client.run("/usr/bin/python3", "-c", CLIENT, SERVERS[family], 5201, 3,
                     0)
  source, = fw.json("-s", "Sources")["sources"]
  assert source["source"] == CLIENTS[family]
  assert source["rate_seconds"] == 30
  assert 2000 < source["rate"] <= 3000
  text = fw.ctl("-s", "Sources").stdout
  assert text.startswith(f"{CLIENTS[family]} -> "), text
  assert "rate " in text and text.rstrip().endswith("/30s )"), text
  # The fourth is one too many: it gets nowhere, and nothing of the source does.
  network.client.run("/usr/bin/python3", "-c", CLIENT, SERVERS[family], 5201, 1,
                     0)
  wait_for("the address in the table",
           lambda: CLIENTS[family] in fw.ctl("-t", "bad", "-T",
                                             "show").stdout.split())
  wait_for("the source's states to end", lambda: not [
      state for state in fw.json("-s", "states")["states"]
      if state["protocol"] == 6 and state["direction"] == "in"])
  counters = {c["name"]: c["value"]
              for c in fw.json("-s", "info")["info"]["limit_counters"]}
  assert counters["max-src-conn-rate"] == 1
  assert counters["overload table insertion"] == 1
  assert counters["overload flush states"] == 1
  # Forgotten, and out of the table, it may try again.
  fw.ctl("-K", CLIENTS[family])
  assert fw.json("-s", "Sources")["sources"] == []
  fw.ctl("-t", "bad", "-T", "delete", CLIENTS[family])
  again = network.client.run("/usr/bin/python3", "-c", CLIENT, SERVERS[family],
                             5201, 1, 0)
  assert again.stdout.strip() == "1"
  assert len(fw.json("-s", "Sources")["sources"]) == 1
  fw.ctl("-F", "Sources")
  assert fw.json("-s", "Sources")["sources"] == []


def test_a_rate_is_known_after_a_restart(network, firewall, family, tmp_path):
  """Whoever has no connection left is not a stranger to the next process."""
  folder = tmp_path / "state"
  fw = firewall("set timeout src.track 120\n" + RULES,
                extra=f'\n[state]\ndir = "{folder}"\ninterval = 1\n')
  network.settle()
  network.server.start("/usr/bin/python3", "-c", SERVER, SERVERS[family])
  network.server.wait_for_listener(5201)
  network.client.run("/usr/bin/python3", "-c", CLIENT, SERVERS[family], 5201, 3,
                     0)
  fw.ctl("-F", "states")
  source, = fw.json("-s", "Sources")["sources"]
  assert source["states"] == 0 and 2000 < source["rate"] <= 3000, source
  fw.stop()
  fw.start()
  wait_for("the restore", lambda: [
      r for r in fw.json("restore", "status")["restores"]
      if r["state"] == "RESTORED"])
  again, = fw.json("-s", "Sources")["sources"]
  for what in ("source", "rule", "rate_seconds", "packets", "bytes"):
    assert again.get(what) == source.get(what), what
  assert 0 < again["rate"] <= source["rate"]
  # Three more, which a stranger may have, are too many after what has not worn
  # off.
  network.client.run("/usr/bin/python3", "-c", CLIENT, SERVERS[family], 5201, 3,
                     0)
  wait_for("the address in the table",
           lambda: CLIENTS[family] in fw.ctl("-t", "bad", "-T",
                                             "show").stdout.split())


LIMITED = ("table <busy> persist\n"
           "state limiter \"tcp\" id 1 limit 3\n"
           "source limiter \"each\" id 2 entries 5 limit 2 rate 50/1 "
           "table <busy> above 1 below 1\n"
           "block all\n"
           "pass out\n"
           "pass in on outside proto tcp to port 5202 keep state "
           "state limiter \"tcp\" (block) source limiter \"each\" (block)\n"
           + NEIGHBOURS)


def test_limiters(network, firewall, family):
  fw = firewall(LIMITED)
  network.settle()
  network.server.start("/usr/bin/python3", "-c",
                       SERVER.replace("5201", "5202"), SERVERS[family])
  network.server.wait_for_listener(5202)
  there = network.client.run("/usr/bin/python3", "-c", CLIENT, SERVERS[family],
                             5202, 3, 0)
  assert there.stdout.strip() == "2"
  state, source = fw.json("-s", "LimiterStates")["limiters"]
  assert (state["kind"], state["id"], state["limit"]) == ("state", 1, 3)
  assert state["states"] == state["admitted"] == 2
  assert (source["kind"], source["id"], source["entries"]) == ("source", 2, 5)
  assert source["sources"] == 1
  assert source["hardlimited"] >= 1
  titles, line = fw.ctl("-s", "LimiterStates").stdout.splitlines()
  assert titles.split() == ["ID", "USE/LIMIT", "RATE/SECS", "ADMIT", "HARDLIM",
                            "RATELIM"]
  assert line.split()[:2] == ["1", "2/3"]
  _, line = fw.ctl("-s", "LimiterSrcs").stdout.splitlines()
  assert line.split()[:4] == ["2", "1/5", "2", "50/1"]
  assert fw.json("-s", "Sources")["sources"] == []
  wait_for("the address in the table",
           lambda: CLIENTS[family] in fw.ctl("-t", "busy", "-T",
                                             "show").stdout.split())
  fw.ctl("-F", "states")
  wait_for("the address to leave the table",
           lambda: CLIENTS[family] not in fw.ctl("-t", "busy", "-T",
                                                 "show").stdout.split())
  assert fw.json("-s", "LimiterStates")["limiters"][0]["states"] == 0
