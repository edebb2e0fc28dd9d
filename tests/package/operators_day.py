"""An operator's first day, as typed: the package, a first ruleset, a connection
that is dropped and should not be, why, and the mended rule.

`run` wants a booted system with the package, iproute2, ethtool, curl, python3
and tcpdump; it writes what was typed and what was printed.
"""

import json
import re
import time

_CONFIGURATION = """\
[eal]
args = ["--no-pci"]
hugepages = "no"

[[port]]
name = "outside"
device = "net_af_packet0,iface=outside,framecnt=2048,qpairs=1"
groups = ["egress"]

[[port]]
name = "inside"
device = "net_af_packet1,iface=inside,framecnt=2048,qpairs=1"

[[wire]]
ports = ["outside", "inside"]

[workers]
pin = false

[memory]
states = 4096

[control]
socket = "/run/sluice/control.sock"

[metrics]
listen = "/run/sluice/metrics.sock"

[web]
listen = "/run/sluice/web.sock"

[log]
packets = "/var/log/sluice"

[policy]
ruleset = "pf.conf"
"""

# A connection that stays.
_HOLD = """\
import socket, time
connection = socket.create_connection(("192.0.2.80", 80))
time.sleep(60)
"""

# Two hosts, and the machine between them.
_NETWORK = """\
set -e
join() {
  ip netns add $1
  ip link add eth0 netns $1 type veth peer name $2
  ip netns exec $1 ethtool -K eth0 tx off rx off tso off gso off gro off >/dev/null
  ethtool -K $2 tx off rx off tso off gso off gro off >/dev/null
  ip -n $1 address add $3/24 dev eth0
  ip -n $1 link set eth0 up
  ip -n $1 link set lo up
  ip link set $2 up
}
join client outside 192.0.2.2
join server inside 192.0.2.80
"""

_TITLE = """\
# A first day

From the package to a mended rule, as typed on a Debian 12 that had nothing but what the package depends on, iproute2, ethtool, curl, Python and
tcpdump. The kind package of the tests types it anew every time (`tests/package/operators_day.py`, which holds the two files that
are not shown: the configuration, and a network of two namespaces, `client` at `outside` and `server` at `inside`). The board that draws
these numbers is in [operation.md](operation.md#metrics-sluicectl-metrics).
"""

_EXAMPLES = "/usr/share/doc/sluice/examples"


class Day:
  """Types commands into a booted system and keeps what it says, as Markdown."""

  def __init__(self, system):
    self._system = system
    self._parts = []

  def say(self, text):
    self._parts.append(f"\n{text}\n")

  def type(self, command, status=0, timeout=60):
    done = self._system.run("sh", "-c", command, check=False, timeout=timeout)
    lines = [f"# {command}", *done.stdout.rstrip("\n").splitlines()]
    self._parts.append(
        "".join(f"\n    {line}".rstrip(" ") for line in lines) + "\n")
    assert done.returncode == status, (
        f"{command}: status {done.returncode}\n{done.stdout}\n"
        f"{self._system.journal()}")
    return done.stdout

  def text(self):
    # What follows each other belongs to one block.
    return _TITLE + re.sub(r"(\n    [^\n]*)\n+(?=\n    )", r"\1", "".join(self._parts))

  def until(self, what, command, limit_s=60):
    end = time.monotonic() + limit_s
    while self._system.run("sh", "-c", command, check=False).returncode != 0:
      assert time.monotonic() < end, f"{what}: not within {limit_s} s"
      time.sleep(0.1)


def run(system, root):
  """The text of the day; asserts what each step has to show."""
  day = Day(system)
  _prepare(day, root)
  try:
    _first_ruleset(day, root)
    _what_is_dropped_and_why(day)
    _mend_it(day)
    _take_it_back(day)
  finally:
    system.run("systemctl", "stop", "sluiced", check=False)
    for unit in ("web", "app", "held"):
      system.run("systemctl", "stop", unit, check=False)
  return day.text()


def _prepare(day, root):
  root.path("/srv/network.sh").write_text(_NETWORK)
  root.path("/srv/hold.py").write_text(_HOLD)
  day.type("sh /srv/network.sh")
  for unit, port in (("web", 80), ("app", 8080)):
    day.type(f"systemd-run --quiet --unit={unit} --property="
             "NetworkNamespacePath=/run/netns/server "
             f"python3 -m http.server --directory {_EXAMPLES} {port}")
    day.until(unit, f"ip netns exec server curl -so /dev/null "
              f"http://192.0.2.80:{port}/")


def _first_ruleset(day, root):
  day.say("A first configuration, on two Linux interfaces, and the rules"
          " that come with the package.")
  root.path("/etc/sluice/sluice.toml").write_text(_CONFIGURATION)
  day.type("install -D -m 644 /usr/share/doc/sluice/examples/"
           "interfaces.conf /etc/systemd/system/sluiced.service.d/"
           "interfaces.conf && systemctl daemon-reload")
  day.type("sluicectl -nvf /etc/sluice/pf.conf")
  day.type("sluiced --check-config")
  day.type("systemctl start sluiced")
  assert "outside" in day.type("sluicectl port list")
  day.until("the web server", "ip netns exec client curl -sfm 2 -o /dev/null "
            "http://192.0.2.80/")
  assert "200 OK" in day.type(
      "ip netns exec client curl -sIm 5 http://192.0.2.80/")
  day.say("Watched: the connection is there.")
  assert re.search(r"192\.0\.2\.80:80\b", day.type("sluicectl top --once"))


def _what_is_dropped_and_why(day):
  day.say("The application at port 8080 does not answer.")
  day.type("ip netns exec client curl -sm 2 http://192.0.2.80:8080/",
           status=28)
  day.say("Who drops, says a number,")
  drops = day.type("sluicectl metrics | grep '^sluice_filter_dropped_packets_total.*match'")
  assert sum(float(line.split()[-1]) for line in drops.splitlines()) > 0
  day.say("which packets, says a trace of those that come now,")
  traced = day.type(
      "ip netns exec client curl -sm 3 http://192.0.2.80:8080/ & "
      "sluicectl trace --in outside --proto tcp --dropped --count 1; wait")
  assert "192.0.2.80:8080" in traced
  day.say("and why, what the rules would say of one.")
  why = day.type("sluicectl -v explain --in outside --proto tcp "
                 "--from 192.0.2.2:40000 --to 192.0.2.80:8080 --flags S")
  assert "block drop in on outside" in why


def _mend_it(day):
  day.say("The rule is mended in a copy, and what it would change is looked"
          " at.")
  day.type("sed 's/{ http, https }/{ http, https, 8080 }/' /etc/sluice/pf.conf"
           " >/etc/sluice/next.conf")
  day.type("sluicectl -v explain -f /etc/sluice/next.conf --in outside "
           "--proto tcp --from 192.0.2.2:40000 --to 192.0.2.80:8080 --flags S")
  assert "8080" in day.type("sluicectl --diff -f /etc/sluice/next.conf")
  day.say("It is in force for a minute, unless it is confirmed.")
  day.type("sluicectl --confirm 60 -f /etc/sluice/next.conf")
  assert "200 OK" in day.type(
      "ip netns exec client curl -sIm 5 http://192.0.2.80:8080/")
  day.type("sluicectl --confirm-commit")
  day.type("mv /etc/sluice/next.conf /etc/sluice/pf.conf")
  assert re.search(r"^ +0 .*load +9 ", day.type("sluicectl -s commits"), re.M)
  day.say("And so it is seen by whoever watches.")
  counted = day.type("curl -s --unix-socket /run/sluice/metrics.sock "
                     "http://localhost/metrics | grep '^sluice_filter_dropped_packets_total.*match'")
  assert counted
  state = day.type("sluicectl -s states --port 8080")
  assert "192.0.2.80:8080" in state
  page = day.type("curl -s --unix-socket /run/sluice/web.sock "
                  "http://localhost/ | head -3")
  assert "<!doctype html>" in page.lower()
  assert json.loads(day.type("sluicectl --json -s commits"))


def _take_it_back(day):
  day.say("One client goes too far. What would a rule against it end that is"
          " there now?")
  day.type("systemd-run --quiet --unit=held --property="
           "NetworkNamespacePath=/run/netns/client python3 /srv/hold.py")
  day.until("the connection", "sluicectl -s states --host 192.0.2.2 --port 80 "
            "| grep -q ESTABLISHED:ESTABLISHED")
  day.type("cp /etc/sluice/pf.conf /etc/sluice/next.conf && "
           "echo 'block in log quick on outside from 192.0.2.2' "
           ">>/etc/sluice/next.conf && sluicectl -nf /etc/sluice/next.conf")
  assert "192.0.2.2" in day.type(
      "sluicectl --show-blocked -f /etc/sluice/next.conf")
  day.type("sluicectl --kill-blocked -f /etc/sluice/next.conf")
  day.type("ip netns exec client curl -sm 2 http://192.0.2.80/", status=28)
  assert day.type("sluicectl -s states --host 192.0.2.2") == ""
  day.say("What it tries is in the log, as pf keeps it.")
  day.until("the log", "tcpdump -nr /var/log/sluice/pflog0 | grep -q 192.0.2")
  logged = day.type("tcpdump -n -e -ttt -r /var/log/sluice/pflog0 2>&1")
  assert re.search(r"block in on outside: .*192\.0\.2\.2\.\d+ > "
                   r"192\.0\.2\.80\.80", logged)
  day.say("It was somebody else. Back to what was in force before.")
  day.type("sluicectl --rollback 1")
  assert "200 OK" in day.type(
      "ip netns exec client curl -sIm 5 http://192.0.2.80/")
  assert day.type("sluicectl -s commits").count("load") == 3
  day.type("rm /etc/sluice/next.conf")
