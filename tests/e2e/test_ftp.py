"""FTP, active and passive, by Python's client and a small server."""

import json
import os

import pytest

from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for

# Nothing but control connections is allowed.
_RULES = "block all\n" + NEIGHBOURS + "pass proto tcp to port 21\n"


@pytest.fixture
def folder(tmp_path):
  folder = tmp_path / "ftp"
  folder.mkdir()
  (folder / "file").write_bytes(os.urandom(200_000))
  return folder


def serve(network, folder, *options):
  network.server.start_python("small_ftp_server.py", folder, *options)
  network.server.wait_for_listener(21)


def transfer(network, family, mode):
  return network.client.python("ftp_client.py", SERVERS[family], mode, "file",
                               "copy", check=False, timeout=40)


def counter(fw, name):
  counters = fw.json("-s", "info")["info"]["ftp_counters"]
  return next(c["value"] for c in counters if c["name"] == name)


@pytest.mark.parametrize("mode", ("active", "passive"))
@pytest.mark.parametrize("split", ((), ("--split",)))
def test_transfers(network, firewall, folder, family, mode, split):
  fw = firewall(_RULES, helpers=("ftp",))
  serve(network, folder, *split)
  done = transfer(network, family, mode)
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()
  # Three downloads and an upload, judged at both ports.
  assert counter(fw, "matched") == 8
  assert counter(fw, "malformed") == 0
  children = [s for s in fw.states() if s.get("parent")]
  assert children, fw.states()


@pytest.mark.parametrize("mode", ("active", "passive"))
def test_without_the_helper_it_fails(network, firewall, folder, family, mode):
  firewall(_RULES, helpers=())
  serve(network, folder)
  assert transfer(network, family, mode).returncode != 0
  assert not (folder / "copy").exists()


# The client as the server sees it, and the server as the client does.
_TOLD = {4: "10.0.0.77", 6: "fd00::1:0:77"}


def answer_for(host, address, other):
  """Has `host` send what is for the address to the other host's card."""
  (link,) = json.loads(other.run("ip", "-j", "link", "show", "eth0").stdout)
  host.run("ip", "neighbour", "replace", address, "lladdr", link["address"],
           "dev", "eth0", "nud", "permanent")


@pytest.mark.parametrize("mode", ("active", "passive"))
@pytest.mark.parametrize("state", ("keep", "modulate", "synproxy"))
def test_behind_nat(network, firewall, folder, family, mode, state):
  told = _TOLD[family]
  # A handshake is taken over where the client comes in.
  near = "synproxy" if state == "synproxy" else "keep"
  far = "modulate" if state == "modulate" else "keep"
  fw = firewall(
      "block all\n" + NEIGHBOURS +
      f"pass in on outside proto tcp to port 21 {near} state\n"
      f"pass out on inside proto tcp to port 21 nat-to {told} {far} state\n",
      helpers=("ftp",))
  answer_for(network.server, told, network.client)
  serve(network, folder)
  done = transfer(network, family, mode)
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()
  assert counter(fw, "matched") == 8
  if state != "keep":
    return
  # What the server is told is longer than what the client says.
  shifted = any(end["sequence_difference"] for s in fw.states()
                for end in (s["source"], s["destination"])
                if s["protocol"] == 6)
  assert shifted == (mode == "active")


@pytest.mark.parametrize("mode", ("active", "passive"))
def test_redirected(network, firewall, folder, family, mode):
  told = _TOLD[family]
  fw = firewall(
      "block all\n" + NEIGHBOURS +
      f"pass in on outside proto tcp to {told} port 21 "
      f"rdr-to {SERVERS[family]}\n"
      "pass out on inside proto tcp to port 21\n", helpers=("ftp",))
  answer_for(network.client, told, network.server)
  serve(network, folder)
  done = network.client.python("ftp_client.py", told, mode, "file", "copy",
                               check=False, timeout=40)
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()
  assert counter(fw, "matched") == 8


def test_expected_flows_are_listed(network, firewall, folder, family):
  """A client that names a port and then waits."""
  fw = firewall(_RULES, helpers=("ftp",))
  serve(network, folder)
  with_port = network.client.start_python(
      "ftp_waiting.py", SERVERS[family], "active", folder / "never", "file",
      folder / "copy")
  flows = []

  def listed():
    flows[:] = [f for s in fw.states() for f in s.get("expected", ())]
    return len(flows) == 2
  wait_for("expected flows", listed)
  for flow in flows:
    assert flow["source"] == SERVERS[family]
    assert flow["destination"] == CLIENTS[family]
    assert flow["source_port"] == 0
    assert 0 < flow["expires"] <= 30
  text = fw.ctl("-v", "-s", "states").stdout
  assert text.count("   expects ") == 2
  assert str(flows[0]["destination_port"]) in text
  with_port.kill()


@pytest.mark.parametrize("mode", ("active", "passive"))
@pytest.mark.parametrize("nat", (False, True), ids=("plain", "nat"))
def test_what_was_announced_opens_after_a_restart(network, firewall, folder,
                                                  family, mode, nat, tmp_path):
  told = _TOLD[family]
  rules = _RULES if not nat else (
      "block all\n" + NEIGHBOURS +
      "pass in on outside proto tcp to port 21\n"
      f"pass out on inside proto tcp to port 21 nat-to {told}\n")
  fw = firewall(rules, helpers=("ftp",),
                extra=f'\n[state]\ndir = "{tmp_path / "state"}"\n'
                      'interval = 1\n')
  if nat:
    answer_for(network.server, told, network.client)
  serve(network, folder)
  client = network.client.start_python("ftp_waiting.py", SERVERS[family], mode,
                                       folder / "go", "file", folder / "copy")

  def expected():
    return sum(len(s.get("expected", ())) for s in fw.states())
  wait_for("what is announced", lambda: expected() == 2)
  fw.stop()
  fw.start()
  wait_for("the restore", lambda: expected() == 2)
  (folder / "go").touch()
  assert client.wait() == 0, client.text()
  assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()
  assert counter(fw, "matched") == 2
