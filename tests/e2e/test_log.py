"""Packets of `log` rules, as tcpdump shows them."""

import json
import subprocess

from harness import BUILD, CLIENTS, NEIGHBOURS, SERVERS, run, wait_for


def test_tcpdump_reads_what_was_blocked(network, firewall, family, tmp_path):
  folder = tmp_path / "packets"
  folder.mkdir()
  fw = firewall("block log on outside\npass on inside\n" + NEIGHBOURS,
                extra=f'[log]\npackets = "{folder}"\n')
  network.settle()
  network.client.start_python(
      "udp_stream.py", "send", "--to", SERVERS[family], "--port", 5300,
      "--rate", 10, "--seconds", 1).wait()

  def shown():
    """Without a filter expression: libpcap compares the record's BSD number
    of IPv6 with its own system's."""
    if not (folder / "pflog0").exists():
      return []
    lines = run("tcpdump", "-n", "-e", "-r", folder / "pflog0").stdout
    return [line for line in lines.splitlines()
            if f"> {SERVERS[family]}.5300:" in line]

  wait_for("ten packets in the log",
           lambda: len(shown()) >= 10)
  line = shown()[0]
  assert "rule 0/0(match): block in on outside:" in line, line
  assert CLIENTS[family] in line
  assert fw.drops()["match"] >= 10


def test_log_matches_takes_later_rules_along(network, firewall, tmp_path):
  """`log (matches, to pflog1)`: the rules that match later are in pflog1."""
  folder = tmp_path / "packets"
  folder.mkdir()
  firewall("match in log (matches, to pflog1) on outside proto udp "
           "to port 5300\n"
           "block on outside\npass on inside\n" + NEIGHBOURS,
           extra=f'[log]\npackets = "{folder}"\n')
  network.settle()
  network.client.start_python(
      "udp_stream.py", "send", "--to", SERVERS[4], "--port", 5300,
      "--rate", 10, "--seconds", 1).wait()

  def rules(name):
    if not (folder / name).exists():
      return set()
    lines = run("tcpdump", "-n", "-e", "-r", folder / name).stdout
    return {line.split("rule ")[1].split("/")[0] for line in lines.splitlines()
            if f"> {SERVERS[4]}.5300:" in line}

  wait_for("both rules in pflog1", lambda: rules("pflog1") == {"0", "1"})
  assert rules("pflog0") == set()


def test_follow(network, firewall, family, tmp_path):
  folder = tmp_path / "packets"
  folder.mkdir()
  fw = firewall("block log on outside\npass on inside\n" + NEIGHBOURS,
                extra=f'[log]\npackets = "{folder}"\n')
  network.settle()

  def follow(*options):
    opened = fw.process.text().count("log open: done")
    follower = subprocess.Popen(
        [BUILD / "sluicectl", "-p", fw.socket, "log", "--follow", *options],
        stdout=subprocess.PIPE, text=True)
    wait_for("the follower",
             lambda: fw.process.text().count("log open: done") > opened)
    return follower

  written = tmp_path / "written"
  all_of_it = follow("--count", "6")
  some = follow("--count", "2", "udp", "and", "dst", "port", "5301")
  kept = follow("--count", "4", "--write", written)
  as_json = follow("--count", "1", "--json")
  for port in (5300, 5301):
    network.client.start_python(
        "udp_stream.py", "send", "--to", SERVERS[family], "--port", port,
        "--rate", 10, "--seconds", 0.5).wait()
  lines = all_of_it.communicate(timeout=30)[0].splitlines()
  assert len(lines) == 6
  assert "rule 0(match): block in on outside: udp " in lines[0], lines[0]
  lines = some.communicate(timeout=30)[0].splitlines()
  assert len(lines) == 2 and all(":5301 length " in line for line in lines)
  packet, = json.loads(as_json.communicate(timeout=30)[0])["log"]
  assert packet["rule"] == 0 and packet["interface"] == "outside"
  assert kept.wait(30) == 0
  lines = run("tcpdump", "-n", "-e", "-r", written).stdout.splitlines()
  assert len(lines) == 4 and "rule 0/0(match): block in on" in lines[0]


def test_follow_says_what_is_missing(network, firewall, tmp_path):
  fw = firewall("pass\n")
  answer = fw.ctl("log", "--follow", check=False)
  assert answer.returncode == 1
  assert "set packets in [log] of sluice.toml" in answer.stderr
  answer = fw.ctl("log", "--follow", "port", "and", check=False)
  assert answer.returncode == 1 and "'port and': " in answer.stderr
