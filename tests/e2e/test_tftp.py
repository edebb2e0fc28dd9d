"""TFTP: by a real client and server, and from a server on one port only."""

import os

import pytest

from harness import NEIGHBOURS, SERVERS, wait_for

# Nothing but requests is allowed: what the server sends from a port of its
# own comes through because it belongs to a request.
_BLOCK = 'block all\nblock proto udp label "udp"\n' + NEIGHBOURS
_RULES = _BLOCK + "pass proto udp to port 69\n"


@pytest.fixture
def folder(tmp_path):
  folder = tmp_path / "tftp"
  folder.mkdir(mode=0o755)
  (folder / "image").write_bytes(os.urandom(60_000))
  # The last block of this one is empty.
  (folder / "even").write_bytes(os.urandom(4096))
  for name in ("image", "even"):
    (folder / name).chmod(0o644)
  # The server gives up its rights and must still reach the files.
  for above in (tmp_path, *tmp_path.parents[:3]):
    if os.stat(above).st_uid == 0 and str(above).count("/") > 1:
      above.chmod(0o755)
  return folder


def get(network, family, name, to, timeout=25):
  """The whole session of a tftp client; its output and exit status."""
  return network.client.run(
      "tftp", "-6" if family == 6 else "-4", "-m", "octet", SERVERS[family],
      "-c", "get", name, to, check=False, timeout=timeout)


def blocked(fw):
  """Packets that met the rule for UDP, with none of the hosts' own noise."""
  (rule,) = (r for r in fw.json("-s", "rules")["rules"]
             if "label" in r["text"])
  return rule["in"]["packets"] + rule["out"]["packets"]


def start_real_server(network, folder):
  network.server.start("in.tftpd", "--foreground", "--user", "root",
                       "--address", ":69", "--create", "--secure", folder)
  network.server.wait_for_listener(69, udp=True)


def start_single_port_server(network, folder):
  network.server.start_python("single_port_tftp.py", folder)
  network.server.wait_for_listener(69, udp=True)


def test_read_from_a_real_server(network, firewall, folder, family, tmp_path):
  fw = firewall(_RULES)
  start_real_server(network, folder)
  got = tmp_path / "got"
  done = get(network, family, "image", got)
  assert done.returncode == 0, done.stdout + done.stderr
  assert got.read_bytes() == (folder / "image").read_bytes()
  # The transfer's own state belongs to the request's.
  children = [s for s in fw.states() if s.get("parent")]
  assert children, fw.states()
  parents = {s["id"] for s in fw.states()}
  assert all(s["parent"] in parents and s["parent"] != s["id"]
             for s in children)


def test_write_to_a_real_server(network, firewall, folder, family, tmp_path):
  firewall(_RULES)
  start_real_server(network, folder)
  sent = tmp_path / "sent"
  sent.write_bytes(os.urandom(30_000))
  done = network.client.run(
      "tftp", "-6" if family == 6 else "-4", "-m", "octet", SERVERS[family],
      "-c", "put", sent, "uploaded", check=False)
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / "uploaded").read_bytes() == sent.read_bytes()


def test_without_the_helper_it_fails(network, firewall, folder, family,
                                     tmp_path):
  """The rules alone do not let the transfer through."""
  fw = firewall(_RULES, helpers=())
  start_real_server(network, folder)
  got = tmp_path / "got"
  client = network.client.start(
      "tftp", "-6" if family == 6 else "-4", "-m", "octet", SERVERS[family],
      "-c", "get", "image", got)
  # The server's first block and two resends.
  wait_for("blocked answers", lambda: blocked(fw) >= 3)
  client.kill()
  assert not got.exists() or got.stat().st_size == 0
  assert not any(s.get("parent") for s in fw.states())


def test_blocked_request(network, firewall, folder, family, tmp_path):
  fw = firewall(_BLOCK)
  start_single_port_server(network, folder)
  client = network.client.start(
      "tftp", "-6" if family == 6 else "-4", "-m", "octet", SERVERS[family],
      "-c", "get", "image", tmp_path / "got")
  wait_for("a blocked request", lambda: blocked(fw))
  client.kill()
  assert not any(s["protocol"] == 17 for s in fw.states())


@pytest.mark.parametrize("name", ["image", "even"])
def test_data_from_port_69(network, firewall, folder, family, tmp_path, name):
  """T1: the server answers from port 69 itself."""
  fw = firewall(_RULES)
  start_single_port_server(network, folder)
  got = tmp_path / "got"
  done = get(network, family, name, got)
  assert done.returncode == 0, done.stdout + done.stderr
  assert got.read_bytes() == (folder / name).read_bytes()
  # All of it is the request's own state at each port: nobody's child.
  states = [s for s in fw.states() if s["protocol"] == 17]
  assert states
  assert not any(s.get("parent") for s in states), states


def test_error_from_port_69(network, firewall, folder, family, tmp_path):
  """T2: the error reaches the client, and the firewall lives on."""
  fw = firewall(_RULES)
  start_single_port_server(network, folder)
  done = get(network, family, "no-such-file", tmp_path / "got", timeout=10)
  assert "no such file" in (done.stdout + done.stderr).lower()
  assert not any(s.get("parent") for s in fw.states())
  # Again, and then a transfer that works.
  get(network, family, "no-such-file", tmp_path / "got", timeout=10)
  done = get(network, family, "image", tmp_path / "got")
  assert (tmp_path / "got").read_bytes() == (folder / "image").read_bytes()
