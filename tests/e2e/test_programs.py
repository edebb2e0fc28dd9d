"""Everyday programs through the firewall: what is allowed works in full,
what is blocked does not work, and `block return` is refused at once."""

import hashlib
import json
import os
import re

import pytest

from harness import CLIENTS, NEIGHBOURS, PYTHON, SERVERS

# curl's own statuses.
_CURL_REFUSED = 7
_CURL_TIMED_OUT = 28


def bracketed(family):
  return f"[{SERVERS[family]}]" if family == 6 else SERVERS[family]


def curl(network, family, port, *more):
  return network.client.run(
      "curl", "--silent", "--show-error", "--max-time", "20",
      "--connect-timeout", "3", *more,
      f"http://{bracketed(family)}:{port}/content", check=False)


@pytest.fixture
def content(tmp_path):
  """A folder that is served, with one file of random bytes in it."""
  folder = tmp_path / "served"
  folder.mkdir()
  (folder / "content").write_bytes(os.urandom(2_000_000))
  return folder


@pytest.fixture
def web(network, content):
  """Web servers on ports 80 and 8080."""
  for port in (80, 8080):
    network.server.start(PYTHON, "-m", "http.server", "--bind", "::", port,
                         "--directory", content)
    network.server.wait_for_listener(port)


def digest(path):
  return hashlib.sha256(path.read_bytes()).hexdigest()


def test_http_allowed_in_full(network, firewall, web, content, family,
                              tmp_path):
  fw = firewall("block all\n"
                "pass in on outside proto tcp to port 80\n"
                "pass out on inside proto tcp to port 80\n" + NEIGHBOURS)
  got = tmp_path / "got"
  done = curl(network, family, 80, "--output", got)
  assert done.returncode == 0, done.stderr
  assert digest(got) == digest(content / "content")
  states = [s for s in fw.states()
            if s["before"]["destination"] == SERVERS[family]]
  assert states, "the transfer left no state"


def test_http_blocked_gets_no_answer(network, firewall, web, family):
  fw = firewall("block all\npass proto tcp to port 80\n" + NEIGHBOURS)
  done = curl(network, family, 8080)
  assert done.returncode == _CURL_TIMED_OUT, done.stderr
  assert fw.drops().get("match", 0) > 0
  assert fw.states() == [], "a blocked connection has made a state"


def test_block_return_refuses_tcp(network, firewall, web, family):
  firewall("block return all\npass proto tcp to port 80\n" + NEIGHBOURS)
  done = curl(network, family, 8080)
  assert done.returncode == _CURL_REFUSED, (done.returncode, done.stderr)
  # By a RST, and not by an ICMP error, which is for UDP.
  done = network.client.run(PYTHON, "-c", f"""
import socket
try:
  socket.create_connection(({SERVERS[family]!r}, 8080), timeout=5)
except ConnectionRefusedError:
  print("refused")
""")
  assert done.stdout.strip() == "refused"


def test_block_return_refuses_udp(network, firewall, family):
  firewall("block return all\n" + NEIGHBOURS)
  done = network.client.run(PYTHON, "-c", f"""
import socket
s = socket.socket(socket.AF_INET{'6' if family == 6 else ''},
                  socket.SOCK_DGRAM)
s.connect(({SERVERS[family]!r}, 9))
s.settimeout(5)
s.send(b"is anybody there")
try:
  s.recv(1)
except ConnectionRefusedError:
  print("refused")
except socket.timeout:
  print("silence")
""")
  assert done.stdout.strip() == "refused"


def test_block_drop_is_silent_for_udp(network, firewall, family):
  firewall("block drop all\n" + NEIGHBOURS)
  done = network.client.run(PYTHON, "-c", f"""
import socket
s = socket.socket(socket.AF_INET{'6' if family == 6 else ''},
                  socket.SOCK_DGRAM)
s.connect(({SERVERS[family]!r}, 9))
s.settimeout(1)
s.send(b"is anybody there")
try:
  s.recv(1)
except socket.timeout:
  print("silence")
""")
  assert done.stdout.strip() == "silence"


def ping(network, family, *more):
  return network.client.run("ping", "-n", "-W", "1", "-i", "0.05", *more,
                            SERVERS[family], check=False)


_ECHO = {4: "pass inet proto icmp icmp-type echoreq\n",
         6: "pass inet6 proto icmp6 icmp6-type echoreq\n"}


def test_ping_allowed(network, firewall, family):
  fw = firewall("block all\n" + _ECHO[family] + NEIGHBOURS)
  done = ping(network, family, "-c", "10")
  assert "10 packets transmitted, 10 received" in done.stdout, done.stdout
  assert any(s["protocol"] == (1 if family == 4 else 58)
             for s in fw.states())


def test_ping_of_the_other_family_is_blocked(network, firewall, family):
  firewall("block all\n" + _ECHO[10 - family] + NEIGHBOURS)
  done = ping(network, family, "-c", "3")
  assert "3 packets transmitted, 0 received" in done.stdout, done.stdout
  done = ping(network, 10 - family, "-c", "3")
  assert "3 packets transmitted, 3 received" in done.stdout, done.stdout


def test_ping_with_large_packets(network, firewall, family):
  """As large as the link takes; no fragment is needed."""
  firewall("block all\n" + _ECHO[family] + NEIGHBOURS)
  size = 1500 - (20 if family == 4 else 40) - 8
  done = ping(network, family, "-c", "5", "-s", size, "-M", "do")
  assert "5 packets transmitted, 5 received" in done.stdout, done.stdout


def test_iperf3(network, firewall, family):
  fw = firewall("block all\n"
                "pass proto { tcp, udp } to port 5201\n" + NEIGHBOURS)
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  done = network.client.run("iperf3", "--client", SERVERS[family], "--json",
                            "--time", "3", check=False)
  result = json.loads(done.stdout)
  assert "error" not in result, result.get("error")
  received = result["end"]["sum_received"]
  assert received["bytes"] > 1_000_000
  # TCP sends until something is full; the port may be it.
  assert set(fw.drops()) <= {"match", "transmit-full"}, fw.drops()


def test_iperf3_from_behind(network, firewall, family):
  """The data flows from the server to the client."""
  firewall("block all\npass proto tcp to port 5201\n" + NEIGHBOURS)
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  done = network.client.run("iperf3", "--client", SERVERS[family], "--json",
                            "--reverse", "--time", "2", check=False)
  result = json.loads(done.stdout)
  assert "error" not in result, result.get("error")
  assert result["end"]["sum_received"]["bytes"] > 1_000_000


def test_direction_matters(network, firewall, web, family, content):
  """Only the outside may begin: from behind nothing can be opened."""
  firewall("block all\npass in on outside\npass out on inside\n" + NEIGHBOURS)
  network.client.start(PYTHON, "-m", "http.server", "--bind", "::", "80",
                       "--directory", content)
  network.client.wait_for_listener(80)
  assert curl(network, family, 80, "--output", "/dev/null").returncode == 0
  host = (f"[{CLIENTS[family]}]" if family == 6 else CLIENTS[family])
  done = network.server.run("curl", "--silent", "--connect-timeout", "2",
                            f"http://{host}/content", check=False)
  assert done.returncode == _CURL_TIMED_OUT


def test_arp_crosses(network, firewall):
  """Frames that are not IP cross the wire, whatever the rules say."""
  firewall("block all\n")
  network.client.run("ping", "-n", "-c", "1", "-W", "1", SERVERS[4],
                     check=False)
  out = network.client.run("ip", "neighbour", "show", SERVERS[4]).stdout
  assert re.search(r"lladdr .* (REACHABLE|DELAY|STALE)", out), out


def test_non_ip_blocked(network, firewall):
  fw = firewall("pass all\n", non_ip="block")
  done = ping(network, 4, "-c", "2")
  assert " 0 received" in done.stdout, done.stdout
  assert fw.drops().get("non-ip", 0) > 0
  # It was ARP that was missing: with the addresses known, IP passes.
  network.settle()
  done = ping(network, 4, "-c", "2")
  assert "2 received" in done.stdout, done.stdout
