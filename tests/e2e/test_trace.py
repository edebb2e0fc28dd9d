"""Packets as they pass, and why."""

import json
import socket
import subprocess
import time

from harness import BUILD, CLIENTS, NEIGHBOURS, SERVERS, wait_for

_RULES = ("block all\n"
          "pass in on outside proto udp to port 53\n"
          "pass out on inside proto udp\n"
          "block out log quick on inside proto udp to port 54\n"
          "pass in on outside proto udp to port 54\n"
          "pass proto icmp\n" + NEIGHBOURS)

_SEND = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
out = socket.socket(family, socket.SOCK_DGRAM)
out.bind(("", int(sys.argv[3])))
for port in sys.argv[2].split(","):
  out.sendto(b"x" * 10, (sys.argv[1], int(port)))
"""


def send(network, family, ports, source=4000):
  network.client.run("/usr/bin/python3", "-c", _SEND, SERVERS[family], ports,
                     source)


def trace(fw, *options):
  """Starts one; the workers tell of packets when it is returned."""
  opened = fw.process.text().count("trace open: done")
  began = subprocess.Popen(
      [BUILD / "sluicectl", "-p", fw.socket, "trace", *options],
      stdout=subprocess.PIPE, text=True)
  wait_for("the trace",
           lambda: fw.process.text().count("trace open: done") > opened)
  time.sleep(0.3)
  return began


def open_and_leave(fw):
  with socket.socket(socket.AF_UNIX) as control:
    control.connect(str(fw.socket))
    control.sendall(b'{"jsonrpc":"2.0","id":1,"method":"trace.open",'
                    b'"params":{}}\n')
    assert b"result" in control.makefile("rb").readline()


def test_fates(network, firewall, family):
  fw = firewall(_RULES, workers=2)
  network.settle()
  tracer = trace(fw, "--proto", "udp", "--count", "4", "--json")
  send(network, family, "53,53,54,55")
  out, _ = tracer.communicate(timeout=20)
  packets = sorted(json.loads(out)["trace"],
                   key=lambda p: (p["destination_port"], p["time_us"]))
  assert [p["destination_port"] for p in packets] == [53, 53, 54, 55]
  assert {p["source"] for p in packets} == {CLIENTS[family]}
  assert {p["port"] for p in packets} == {"outside"}
  first, second, at_out, at_in = packets
  # The first one asked the rules, the second met its state.
  assert first["fate"] == second["fate"] == "passed"
  assert first["rule"] == 2 and first["judged"] == "out"
  assert "rule" not in second
  assert (at_out["fate"], at_out["reason"]) == ("dropped", "match")
  assert (at_out["judged"], at_out["rule"]) == ("out", 3)
  assert (at_in["judged"], at_in["rule"]) == ("in", 0)
  assert abs(at_in["time_us"] / 1e6 - time.time()) < 30


def test_conditions_and_why(network, firewall):
  fw = firewall(_RULES)
  network.settle()
  tracer = trace(fw, "--in", "outside", "--from", "10.0.0.0/24:4000", "--to",
                 f"{SERVERS[4]}:54", "--dropped", "--reason", "match", "-v",
                 "--count", "1")
  send(network, 4, "53,54", source=4001)
  send(network, 4, "53,54")
  out, _ = tracer.communicate(timeout=20)
  lines = out.splitlines()
  assert " outside udp " in lines[0], out
  assert lines[0].endswith("length 38: dropped, match, last judged out, rule 3")
  assert "in on outside, filter main: a state decides" in out
  assert "decides  @3 block drop out log quick on inside proto udp" in out


def test_ends_and_limits(network, firewall):
  fw = firewall(_RULES)
  network.settle()
  began = time.monotonic()
  none = fw.ctl("trace", "--to", ":99", "--for", "1")
  assert none.stdout == "" and 0.9 < time.monotonic() - began < 10
  for wrong, said in ((("--in", "nosuch"), 'there is no port "nosuch"'),
                      (("--filter", "nosuch"), 'there is no filter "nosuch"'),
                      (("--reason", "bad"), 'there is no drop reason "bad"'),
                      (("--proto", "xyz"), "is no protocol"),
                      (("--from", "1.2.3"), "say NETWORK")):
    answer = fw.ctl("trace", *wrong, check=False)
    assert answer.returncode == 1 and said in answer.stderr, answer.stderr
  # One of five.
  tracer = trace(fw, "--proto", "udp", "--sample", "5", "--for", "3", "--json")
  for _ in range(4):
    send(network, 4, ",".join(["53"] * 5))
  out, _ = tracer.communicate(timeout=20)
  assert len(json.loads(out)["trace"]) == 4
  # Four at a time, and who does not read any more loses his place.
  for _ in range(4):
    open_and_leave(fw)
  answer = fw.ctl("trace", "--for", "1", check=False)
  assert "there are 4 traces already" in answer.stderr
  wait_for("a place", lambda: fw.ctl("trace", "--for", "1",
                                     check=False).returncode == 0, 30)
