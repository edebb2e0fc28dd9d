"""A machine behind a vhost-user port, which sluiced serves on the host."""

import hashlib
import signal

import pytest

import guest as guests
import harness
from guest import Nic
from harness import CLIENT4, CLIENT6, SERVER4, SERVER6, SERVERS, wait_for

_RULES = """\
block
pass out on outside
pass in on vm1
pass in on outside proto tcp to port 80
pass in on outside proto { icmp, icmp6 }
pass out on vm1
""" + harness.NEIGHBOURS


class VhostFirewall(harness.Firewall):
  """Its wire joins the client and the machine, which is the server."""

  def _config(self):
    text = super()._config()
    return text.replace('ports = ["outside", "inside"]',
                        'ports = ["outside", "vm1"]') + f"""
[[port]]
name = "vm1"
vhost = "{self.work / 'vm1.sock'}"
"""

  def link(self):
    return next(p["link_up"] for p in self.json("port", "list")["ports"]
                if p["name"] == "vm1")


def configure(machine):
  machine.run("ip link set eth0 up")
  machine.run(f"ip address add {SERVER4}/24 dev eth0")
  machine.run(f"ip -6 address add {SERVER6}/64 dev eth0")
  machine.run("mkdir -p /www && dd if=/dev/urandom of=/www/file bs=1024 "
              "count=1000 2>/dev/null && httpd -p 80 -h /www")


def pings(network, address):
  return network.client.run("ping", "-c", "1", "-W", "2", address,
                            check=False).returncode == 0


@pytest.fixture(scope="module")
def place(image, tmp_path_factory):
  """The network, sluiced, and the guest, which has booted."""
  # Sockets have short paths.
  work = tmp_path_factory.mktemp("v")
  network = harness.Network(work)
  machine = None
  fw = VhostFirewall(network, _RULES, work)
  try:
    fw.start()
    machine = guests.Guest(
        network, image, work,
        [Nic("vm1", "virtio-net-pci", slot=1, socket=str(work / "vm1.sock"))],
        {}, iommu=False, hugepages=0, memory=512)
    print(f"booted in {machine.boot_seconds:.1f} s")
    configure(machine)
    yield network, fw, machine
    assert fw.process.stop() == 0
  finally:
    if machine is not None:
      machine.close()
    network.close()


def wait_until_joined(place):
  network, fw, _ = place
  wait_for("a link", fw.link)
  for address in (SERVER4, SERVER6):
    wait_for("frames that cross", lambda: pings(network, address))


def test_packets_of_both_families(place, family):
  network, fw, machine = place
  wait_until_joined(place)
  network.client.run("ping", "-c", "5", "-i", "0.2", "-W", "5", SERVERS[family])
  # And what the machine itself begins.
  own = {4: CLIENT4, 6: CLIENT6}[family]
  wait_for("the client", lambda: machine.run(
      f"ping -{family} -c 1 -W 2 {own}", check=False).returncode == 0)


def test_tcp(place, tmp_path):
  """A file that the machine has, and a port that the rules do not open."""
  network, fw, machine = place
  wait_until_joined(place)
  content = machine.run("md5sum /www/file").text.split()[0]
  got = tmp_path / "got"
  network.client.run("curl", "-sS", "--fail", "-m", "28", "-o", got,
                     f"http://{SERVER4}/file")
  assert hashlib.md5(got.read_bytes()).hexdigest() == content
  assert any(s["protocol"] == 6 for s in fw.states())
  before = fw.drops().get("match", 0)
  done = network.client.run("curl", "-sS", "-m", "1",
                            f"http://{SERVER4}:8080/", check=False)
  assert done.returncode == 28, done.stderr
  assert fw.drops()["match"] > before


def test_the_machine_reboots(place):
  network, fw, machine = place
  wait_until_joined(place)
  machine.reboot()
  assert machine.run("ip address show dev eth0 | grep -c inet",
                     check=False).text.strip() == "0"
  configure(machine)
  wait_until_joined(place)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL],
                         ids=["stopped", "killed"])
def test_sluiced_comes_again(place, end):
  """The machine notices a cable that is out for a while, no more."""
  network, fw, machine = place
  wait_until_joined(place)
  up = float(machine.run("cat /proc/uptime").text.split()[0])
  fw.process.send_signal(end)
  fw.process.wait()
  assert not pings(network, SERVER4)
  fw.start()
  wait_until_joined(place)
  assert float(machine.run("cat /proc/uptime").text.split()[0]) > up
  assert "RUNNING" in machine.run("ifconfig eth0").text
