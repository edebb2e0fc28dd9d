"""Two NICs on vfio-pci with the configuration that is shipped for them."""

import os
import time

import pytest

import shipped
from guest import Nic
from harness import CLIENTS, NEIGHBOURS, PYTHON, SERVERS, UdpStream

_MODELS = ("virtio-net-pci", "e1000e")
_RULES = {
    number: (
        f"pass proto udp to port {{ 5300, {10000 + number} }}\n" + NEIGHBOURS)
    for number in (1, 2)}


@pytest.fixture(scope="module", params=_MODELS)
def guest(request, boot):
  """Booted, with its NICs still the kernel's."""
  nics = [Nic("outside", request.param, slot=3, function=0),
          Nic("inside", request.param, slot=3, function=1)]
  files = shipped.files()
  for number, rules in _RULES.items():
    files[f"etc/sluice/{number}.conf"] = "block all\n" + rules
  made = boot(nics, files)
  print(f"{request.param}: booted in {made.boot_seconds:.1f} s")
  return made


@pytest.fixture(scope="module")
def running(guest):
  """sluiced on both NICs."""
  for nic in guest.nics.values():
    assert guest.bind(nic).returncode == 0, guest.log()
  seconds = guest.start_sluiced(shipped.CONFIG)
  print(f"sluiced answered after {seconds:.1f} s")
  guest.network.settle()
  guest.network.wait_until_joined()
  return guest


@pytest.fixture
def network(guest):
  for namespace in (guest.network.client, guest.network.server):
    namespace.forget_programs()
  return guest.network


def test_kernel_driver_is_refused(guest):
  """Nothing is bound yet: no start, and how to bind."""
  before = [guest.driver(nic) for nic in guest.nics.values()]
  done = guest.refused_start(shipped.CONFIG)
  assert done.returncode == 1, done.text
  assert "0000:03:00.0" in done.text and "vfio-pci" in done.text, done.text
  assert [guest.driver(nic) for nic in guest.nics.values()] == before


def test_ping(running, network, family):
  network.client.run("ping", "-c", "3", "-i", "0.2", "-W", "5",
                     SERVERS[family])
  network.server.run("ping", "-c", "3", "-i", "0.2", "-W", "5",
                     CLIENTS[family])


def test_tcp(running, network, family, tmp_path):
  """A file by HTTP, the way that the shipped rules open."""
  (tmp_path / "www").mkdir()
  content = os.urandom(500_000)
  (tmp_path / "www" / "file").write_bytes(content)
  network.server.start(PYTHON, "-m", "http.server", "80", "--bind", "::",
                       "--directory", tmp_path / "www")
  network.server.wait_for_listener(80)
  host = f"[{SERVERS[6]}]" if family == 6 else SERVERS[4]
  got = tmp_path / "got"
  network.client.run("curl", "-sS", "--fail", "-m", "25", "-o", got,
                     f"http://{host}/file")
  assert got.read_bytes() == content
  assert any(s["protocol"] == 6 for s in running.states())


def test_blocked_tcp(running, network, family):
  """The rules do judge: another port stays shut."""
  network.server.start(PYTHON, "-m", "http.server", "8080", "--bind", "::")
  network.server.wait_for_listener(8080)
  before = running.drops().get("match", 0)
  host = f"[{SERVERS[6]}]" if family == 6 else SERVERS[4]
  done = network.client.run("curl", "-sS", "-m", "1", f"http://{host}:8080/",
                            check=False)
  assert done.returncode == 28, done.stderr
  assert running.drops()["match"] > before


def test_tftp_from_port_69(running, network, family, tmp_path):
  """The client is inside: its request is what opens the way."""
  (tmp_path / "tftp").mkdir()
  content = os.urandom(50_000)
  (tmp_path / "tftp" / "image").write_bytes(content)
  network.client.start_python("single_port_tftp.py", tmp_path / "tftp")
  network.client.wait_for_listener(69, udp=True)
  got = tmp_path / "got"
  done = network.server.run(
      "tftp", "-6" if family == 6 else "-4", "-m", "octet", CLIENTS[family],
      "-c", "get", "image", got)
  assert got.read_bytes() == content, done.stdout + done.stderr
  states = [s for s in running.states() if s["protocol"] == 17]
  assert states
  assert not any(s.get("parent") for s in states), states


def test_commit_under_traffic(running, network, family):
  """Another ruleset again and again; nothing that it allows is lost."""
  running.ctl("-f /etc/sluice/1.conf")
  stream = UdpStream(network, family, 5300, rate=200, seconds=4)
  loads = 0
  while stream.running:
    loads += 1
    time.sleep(0.1)
    running.ctl(f"-f /etc/sluice/{1 + loads % 2}.conf")
  counted = stream.finish()
  assert loads >= 3, "the ruleset was not changed in the middle"
  assert counted.sent == counted.received == 800, running.drops()
  assert counted.duplicates == 0
  running.ctl("-f /etc/sluice/examples/first.conf")


def test_clean_stop(running):
  """SIGTERM: status 0, the devices given back, and a second start works."""
  assert running.stop_sluiced() == 0, running.log()
  assert "packets received" in running.sluiced_log()
  assert running.group_users() == "0"
  assert running.run("ls /dev/hugepages").text == ""
  assert running.run("grep -h . /proc/meminfo | grep HugePages_Free"
                     ).text.split()[1] == "512"
  for nic in running.nics.values():
    assert running.driver(nic) == "vfio-pci"
  running.start_sluiced(shipped.CONFIG)
  running.network.wait_until_joined()
  assert running.stop_sluiced() == 0, running.log()
