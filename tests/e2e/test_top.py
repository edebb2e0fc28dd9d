"""`sluicectl top`: one look for scripts, and the whole screen in a terminal."""

import json
import os
import shlex
import subprocess
import time

import pytest

from harness import BUILD, NEIGHBOURS, SERVERS, run, wait_for
from test_trace import send

_RULES = ("block all\npass in on outside proto udp to port { 53 54 }\n"
          "pass out on inside\n" + NEIGHBOURS)


class Terminal:
  """sluicectl in tmux, as somebody sees it."""

  def __init__(self, folder, width, height, *words, term="screen"):
    self._socket = folder / "tmux"
    command = shlex.join([str(BUILD / "sluicectl"), *map(str, words)])
    environment = dict(os.environ, LANG="C.UTF-8", SHELL="/bin/sh")
    environment.pop("TMUX", None)
    subprocess.run(
        ["tmux", "-f", "/dev/null", "-S", self._socket, "new-session", "-d",
         "-x", str(width), "-y", str(height),
         f"TERM={term} {command}; echo ended $?; sleep 60"],
        check=True, env=environment, timeout=20)

  def _tmux(self, *words):
    return run("tmux", "-S", self._socket, *words).stdout

  def lines(self):
    return self._tmux("capture-pane", "-p").split("\n")

  def type(self, *keys):
    self._tmux("send-keys", *keys)

  def wait(self, what, *texts):
    wait_for(what, lambda: all(t in "\n".join(self.lines()) for t in texts))
    return self.lines()

  def resize(self, width, height):
    self._tmux("resize-window", "-x", str(width), "-y", str(height))

  def end(self):
    subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False,
                   timeout=20, stderr=subprocess.DEVNULL)


@pytest.fixture(name="terminal")
def fixture_terminal(tmp_path):
  made = []

  def make(*words, **more):
    made.append(Terminal(tmp_path, *words, **more))
    return made[-1]

  yield make
  for one in made:
    one.end()


def look(fw, *words):
  return fw.json("top", *words, "--once")["top"]


def test_one_look(network, firewall, family):
  fw = firewall(_RULES)
  network.settle()
  send(network, family, "53,54,53,99")
  told = look(fw, "states", "--sort", "bytes")
  assert told["view"] == "states" and told["whole"]
  udp = [r for r in told["rows"] if r["cells"][0] == "udp"]
  # Both ends of the wire make one.
  assert len(udp) == 4
  assert [r["numbers"]["bytes"] for r in told["rows"]] == sorted(
      (r["numbers"]["bytes"] for r in told["rows"]), reverse=True)
  assert any(SERVERS[family] in r["cells"][3] for r in udp)
  assert look(fw, "--match", "nothing such")["rows"] == []
  assert len(look(fw, "--limit", "1")["rows"]) == 1
  rules = {r["numbers"]["number"]: r for r in look(fw, "rules")["rows"]}
  # With the errors of a host where nobody listens.
  assert rules[1]["numbers"]["packets"] >= 2
  reasons = {r["key"]: r["numbers"] for r in look(fw, "reasons")["rows"]}
  assert reasons["match"]["packets"] >= 1
  ports = {r["key"]: r for r in look(fw, "ports")["rows"]}
  assert set(ports) == {"inside", "outside"}
  assert look(fw, "filters")["rows"][0]["cells"][:2] == ["main", "active"]
  # Where the daemon tells of them.
  workers = fw.ctl("top", "workers", "--once", check=False)
  if workers.returncode == 0:
    assert "runs" in workers.stdout
  else:
    assert "does not tell of its workers" in workers.stderr
  text = fw.ctl("top", "--once").stdout.split("\n")
  assert text[0].startswith("sluice main  states ")
  assert text[2].startswith("PROT DIR SOURCE")
  # Rates of a time that is given.
  sent = subprocess.Popen([BUILD / "sluicectl", "-p", fw.socket, "top",
                           "ports", "--once", "--interval", "2", "--json"],
                          stdout=subprocess.PIPE, text=True)
  time.sleep(1)
  send(network, family, ",".join(["53"] * 50))
  rows = json.loads(sent.communicate(timeout=20)[0])["top"]["rows"]
  outside, = (r for r in rows if r["key"] == "outside")
  assert outside["numbers"]["packet_rate"] >= 20


def test_mistakes(network, firewall, family):
  del network
  if family == 6:
    return  # it is the same
  fw = firewall("pass\n")
  for words in (("nonsense", "--once"), ("--sort", "colour", "--once"),
                ("--json",), (), ("--interval", "0", "--once"),
                ("--filter", "nobody", "--once")):
    done = fw.ctl("top", *words, check=False)
    assert done.returncode == 1 and done.stderr, words
  assert "needs a terminal" in fw.ctl("top", check=False).stderr


def test_the_screen(network, firewall, family, terminal):
  fw = firewall(_RULES)
  network.settle()
  send(network, family, "53,54")
  seen = terminal(80, 24, "-p", fw.socket, "top", "--interval", "1")
  lines = seen.wait("the states", "states by rate", SERVERS[family][:8])
  assert lines[0].startswith("sluice main  states ")
  assert lines[2].startswith("PROT DIR SOURCE")
  assert lines[23].startswith("q quit")
  assert all(len(line) <= 80 for line in lines)
  # Other views, orders, a text to be found, and back.
  seen.type("v")
  seen.wait("the ports", "ports by rate", "outside", "inside")
  seen.type("3")
  seen.wait("the rules", "rules by rate", "block drop all")
  seen.type("P")
  seen.wait("another order", "rules by packets")
  seen.type("r")
  seen.wait("the other way", "rules by packets, reversed")
  seen.type("4")
  seen.wait("the reasons", "reasons by rate", "match")
  seen.type("5")
  seen.wait("the filters", "filters by states", "active")
  seen.type("1")
  seen.wait("the states again", "states by rate")
  seen.type("f")
  seen.wait("the question", "only with:")
  seen.type("no such state", "Enter")
  lines = seen.wait("what is found", 'with "no such state"')
  assert lines[3].strip() == ""
  seen.type("f")
  seen.type("Enter")
  seen.wait("all of them", SERVERS[family][:8])
  seen.type("h")
  seen.wait("the keys", "Keys of sluicectl top", "any key goes back")
  seen.type("h")
  seen.wait("no keys", "states by rate")
  # It follows what happens, and the terminal's size.
  send(network, family, "53", source=4321)
  seen.wait("the new one", "4321")
  seen.type("p")
  seen.wait("the pause", ", paused")
  seen.resize(60, 12)
  lines = seen.wait("a smaller screen", "PROT DIR")
  seen.resize(120, 30)
  seen.type("p")
  seen.wait("a larger one", "states by rate")
  seen.type("q")
  seen.wait("the end", "ended 0")


def test_it_goes_when_its_terminal_goes(network, firewall, family, terminal):
  if family == 6:
    return  # it is the same
  fw = firewall(_RULES)
  network.settle()
  seen = terminal(80, 24, "-p", fw.socket, "top", term="vt100")
  seen.wait("a terminal without colour", "states by rate")
  seen.end()

  def gone():
    done = run("pgrep", "-f", f"sluicectl -p {fw.socket} top", check=False)
    return not done.stdout.strip()

  wait_for("the program's end", gone)
  # The daemon has not noticed.
  assert fw.json("top", "--once")["top"]["view"] == "states"


def test_a_terminal_that_nobody_knows(network, firewall, family, terminal):
  del network
  if family == 6:
    return  # it is the same
  fw = firewall("pass\n")
  seen = terminal(80, 24, "-p", fw.socket, "top", term="no-such")
  seen.wait("what is wrong", "the terminal is not known (TERM=no-such)",
            "ended 1")


def test_the_daemon_goes(network, firewall, family, terminal):
  if family == 6:
    return  # it is the same
  fw = firewall(_RULES)
  network.settle()
  seen = terminal(80, 24, "-p", fw.socket, "top", "--interval", "1")
  seen.wait("the states", "states by rate")
  fw.process.stop()
  seen.wait("what is wrong", "ERROR")
  seen.type("q")
  seen.wait("the end", "ended 0")
