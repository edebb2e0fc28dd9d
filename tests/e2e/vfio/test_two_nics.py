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

_OUTSIDE = 'device = "0000:03:00.0"'
_INSIDE = 'device = "0000:03:00.1"'
# What is wrong, and words of what is said of it.
_WRONG = {
    "nowhere": (((_INSIDE, 'device = "0000:1f:00.0"'),),
                "port 'inside' (0000:1f:00.0): there is no such PCI device"),
    "twice": (((_INSIDE, _OUTSIDE),),
              "port 'outside' already has device 0000:03:00.0"),
    "names": ((('name = "inside"', 'name = "outside"'),),
              "there are two ports named 'outside'"),
    "toofew": ((("[memory]", "[memory]\nmbufs = 1000000"),),
               "[eal] hugepages: too few are free: 1024 MiB"),
}
_OTHERS = {
    "second": (("control.sock", "second.sock"),),
    "queues": ((_OUTSIDE, _OUTSIDE + "\nqueues = 9"),),
    "jumbo": ((_OUTSIDE, _OUTSIDE + "\nmtu = 9000"),
              (_INSIDE, _INSIDE + "\nmtu = 9000")),
}


def config(name):
  return f"/etc/sluice/{name}.toml"


@pytest.fixture(scope="module", params=_MODELS)
def guest(request, boot):
  """Booted, with its NICs still the kernel's."""
  nics = [Nic("outside", request.param, slot=3, function=0),
          Nic("inside", request.param, slot=3, function=1)]
  files = shipped.files()
  for number, rules in _RULES.items():
    files[f"etc/sluice/{number}.conf"] = "block all\n" + rules
  for name, (changes, _) in _WRONG.items():
    files[config(name).strip("/")] = shipped.config(*changes)
  for name, changes in _OTHERS.items():
    files[config(name).strip("/")] = shipped.config(*changes)
  made = boot(nics, files)
  print(f"{request.param}: booted in {made.boot_seconds:.1f} s")
  return made


@pytest.fixture(scope="module")
def running(guest):
  """sluiced on both NICs."""
  for nic in guest.nics.values():
    done = guest.run(f"sluicectl nic bind {nic.address}")
    assert guest.driver(nic) == "vfio-pci", done.text
  done = guest.check(shipped.CONFIG)
  print(done.text)
  assert done.returncode == 0, done.text
  assert "bound to" not in done.text, done.text
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


@pytest.fixture
def untouched(guest):
  """Whatever is tried, the NICs stay with who has them."""
  before = [guest.driver(nic) for nic in guest.nics.values()]
  yield guest
  assert [guest.driver(nic) for nic in guest.nics.values()] == before


def refused(guest, path, says, users="0"):
  """Neither the check nor a start may like it, both say why and what to do,
  and nobody has a device who did not have it before."""
  for done in (guest.check(path), guest.refused_start(path)):
    assert done.returncode in (1, 3, 4), done.text
    assert says in done.text, done.text
    assert "hint: " in done.text, done.text
    assert guest.group_users() in ("", users)
  return done.text


def test_kernel_driver_is_refused(untouched):
  """Nothing is bound yet: no start, and how to bind."""
  text = refused(untouched, shipped.CONFIG,
                 "port 'outside' (0000:03:00.0): it is bound to the kernel's "
                 "driver ")
  print(text)
  assert "sluicectl nic bind 0000:03:00.0" in text
  assert "no device was touched" in text


@pytest.mark.parametrize("name", _WRONG)
def test_wrong_configuration(untouched, name):
  refused(untouched, config(name), _WRONG[name][1])


def test_more_queues_while_the_kernel_has_it(untouched):
  """The one's model has one queue, and the other's driver has read it."""
  text = refused(untouched, config("queues"),
                 "it has 1 receive queue(s), and `queues` is 9")
  assert "lower `queues`" in text


def test_shared_group(guest):
  """Both functions of a slot are in one group: one alone is not enough."""
  outside, inside = guest.nics.values()
  kernels = guest.driver(outside)
  assert guest.bind(outside).returncode == 0, guest.log()
  refused(guest, shipped.CONFIG,
          f"also holds devices of the kernel's: {inside.address}")
  assert guest.bind(outside, kernels).returncode == 0, guest.log()


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
  running.ctl("-f /etc/sluice/first.conf")


def test_used_by_another_process(running, untouched):
  used = running.group_users()
  text = refused(running, config("second"),
                 "another process uses it: /dev/vfio/", users=used)
  assert f"is open already by {running.sluiced_pid} (sluiced)" in text, text
  assert "stop that process, or take another NIC" in text
  running.network.client.run("ping", "-c", "1", "-W", "5", SERVERS[4])


def test_statistics_of_the_port(running):
  text = running.ctl("port stats outside")
  assert "rx_good_packets" in text, text


def test_clean_stop(running):
  """SIGTERM: status 0, and the devices and all memory given back."""
  assert running.stop_sluiced() == 0, running.log()
  assert "packets received" in running.sluiced_log()
  assert running.group_users() == "0"
  assert running.run("ls /dev/hugepages").text == ""
  assert running.run("grep -h . /proc/meminfo | grep HugePages_Free"
                     ).text.split()[1] == "512"
  for nic in running.nics.values():
    assert running.driver(nic) == "vfio-pci"


def test_more_queues_than_there_are(untouched):
  """vfio-pci does not say what virtio has: only the start finds it out."""
  nic = untouched.nics["outside"]
  if nic.model == "virtio-net-pci":
    done = untouched.check(config("queues"))
    assert done.returncode == 0, done.text
    assert "how many queues it has is known only when DPDK" in done.text
    done = untouched.refused_start(config("queues"))
    assert done.returncode == 1, done.text
    assert ("`queues = 9` is more than the 1 receive queue(s) that the "
            "device has") in done.text, done.text
    assert "lower it" in done.text
  else:
    refused(untouched, config("queues"),
            "it has 1 receive queue(s), and `queues` is 9")
  assert untouched.group_users() == "0"


@pytest.fixture(scope="module")
def jumbo(guest):
  """Started again, for frames that need several mbufs each."""
  guest.network.set_mtu(9000)
  guest.start_sluiced(config("jumbo"))
  guest.network.settle()
  guest.network.wait_until_joined()
  return guest


def test_jumbo_frames(jumbo, network, family, tmp_path):
  network.client.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "-M", "do",
                     "-s", "8900", SERVERS[family])
  (tmp_path / "www").mkdir()
  content = os.urandom(500_000)
  (tmp_path / "www" / "file").write_bytes(content)
  network.server.start(PYTHON, "-m", "http.server", "80", "--bind", "::",
                       "--directory", tmp_path / "www")
  network.server.wait_for_listener(80)
  host = f"[{SERVERS[6]}]" if family == 6 else SERVERS[4]
  network.client.run("curl", "-sS", "--fail", "-m", "25", "-o",
                     tmp_path / "got", f"http://{host}/file")
  assert (tmp_path / "got").read_bytes() == content


def test_stop_of_the_second_run(jumbo):
  assert jumbo.stop_sluiced() == 0, jumbo.log()
  assert jumbo.group_users() == "0"
