"""VLANs of an uplink, and hosts that a segment joins, with real kernels."""

import signal

import pytest

from harness import (CLIENTS, NEIGHBOURS, SERVERS, Namespace, run, wait_for)

_ALLOWED = 'allow_devices = ["net_af_packet"]'
_THIRD = {4: "10.0.0.3", 6: "fd00::3"}


def ports_of(fw):
  return {p["name"]: p for p in fw.json("port", "list")["ports"]}


def segments_of(fw):
  return {s["name"]: s for s in fw.json("segment", "list")["segments"]}


def macs_of(fw, segment):
  return {m["mac"]: m["port"] for m in
          fw.json("segment", "macs", segment)["macs"]}


def mac_of(host):
  return host.run("cat", "/sys/class/net/eth0/address").stdout.strip()


def pings(host, address):
  return host.run("ping", "-c", "1", "-W", "2", address,
                  check=False).returncode == 0


@pytest.fixture
def third(network, tmp_path):
  """A host beside client and server, behind the interface `spare`."""
  host = Namespace(network.client.name.replace("-client", "-third"), tmp_path)
  run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth", "peer",
      "name", "spare", "netns", network.firewall.name)
  for namespace, device in ((host, "eth0"), (network.firewall, "spare")):
    namespace.run("ethtool", "-K", device, "tx", "off", "rx", "off")
    namespace.run("ip", "link", "set", device, "up")
  mask = {4: 24, 6: 64}
  for family, address in _THIRD.items():
    nodad = ["nodad"] if family == 6 else []
    client = network.client.run("ip", f"-{family}", "-br", "address", "show",
                                "dev", "eth0").stdout
    # In the network of the two others, whatever that is.
    prefix = next(word for word in client.split()[2:]
                  if not word.startswith("fe80"))
    own = prefix.split("/")[0]
    address = own.rsplit("." if family == 4 else ":", 1)[0] + (
        ".77" if family == 4 else ":77")
    _THIRD[family] = address
    host.run("ip", "address", "add", f"{address}/{mask[family]}", "dev",
             "eth0", *nodad)
  yield host
  host.delete()


def join(fw, *ports):
  """Takes the wire away and puts these interfaces on a segment."""
  fw.ctl("port", "remove", "outside")
  fw.ctl("port", "remove", "inside")
  fw.ctl("segment", "add", "lan")
  for number, name in enumerate(ports):
    fw.ctl("port", "add", name, "--device",
           f"net_af_packet{10 + number},iface={name}", "--segment", "lan")


def test_three_hosts_on_a_segment(network, firewall, third, family):
  fw = firewall("pass all\n", control=_ALLOWED)
  join(fw, "outside", "inside", "spare")
  # Neighbours are asked for with frames to everybody, or to a group.
  assert pings(network.client, SERVERS[family])
  assert pings(network.client, _THIRD[family])
  assert pings(third, SERVERS[family])
  assert macs_of(fw, "lan") == {mac_of(network.client): "outside",
                                mac_of(network.server): "inside",
                                mac_of(third): "spare"}
  # A filter for one of them says what gets there, and leaves the others alone.
  fw.ctl("filter", "create", "vm", "--ports", "spare", "--ruleset", "-",
         input="block all\n" + NEIGHBOURS)
  fw.ctl("-k", "all", check=False)
  assert not pings(network.client, _THIRD[family])
  assert not pings(third, SERVERS[family])
  assert pings(network.client, SERVERS[family])
  shown = fw.ctl("segment", "list").stdout
  assert "lan" in shown and "unknown multicast broadcast" in shown
  assert "spare" in fw.ctl("segment", "macs", "lan").stdout
  # A host that pretends to be another is not heard.
  fw.ctl("segment", "fix", "lan", "--mac", mac_of(third), "--port", "inside")
  fw.ctl("filter", "destroy", "vm")
  assert not pings(third, SERVERS[family])
  assert segments_of(fw)["lan"]["refused"]["fixed"] > 0
  fw.ctl("segment", "free", "lan", "--mac", mac_of(third))
  assert pings(third, SERVERS[family])
  fw.ctl("segment", "detach", "lan", "--port", "spare")
  assert not pings(third, SERVERS[family])
  fw.ctl("segment", "attach", "lan", "--port", "spare")
  assert pings(third, SERVERS[family])


def test_vlans_of_an_uplink(network, firewall, family):
  """Frames from one VLAN of the client's side to two of the server's."""
  fw = firewall("block all\npass proto udp to port 7777 no state\n")
  network.settle()
  fw.ctl("segment", "add", "lan")
  for name, parent, vlan in (("c5", "outside", 5), ("s6", "inside", 6),
                             ("s7", "inside", 7)):
    fw.ctl("port", "add", name, "--parent", parent, "--vlan", vlan,
           "--segment", "lan", "--groups", "guests")
  assert ports_of(fw)["c5"]["parent"] == "outside"
  assert "VLAN 5 of outside" in fw.ctl("port", "list").stdout
  assert "c5" in fw.ctl("-s", "Interfaces").stdout
  fw.load("block all\npass on guests proto udp to port 7777 no state\n"
          "block out on s7\n")
  listener = network.server.start_python("seen_vlans.py", 7777)
  wait_for("the listener", lambda: "ready" in listener.text())

  def send(*vlans):
    network.client.python("tagged_udp.py", mac_of(network.server),
                          CLIENTS[family], SERVERS[family], 7777, *vlans)
  send(5)
  wait_for("the frame", lambda: "vlan 6" in listener.text())
  # What has no such tag goes the wire of the ports themselves.
  fw.load("pass all no state\n")
  send(9)
  wait_for("the frame", lambda: "vlan 9" in listener.text())
  send()
  wait_for("the frame", lambda: "vlan none" in listener.text())
  send(5)
  wait_for("the frame", lambda: "vlan 7" in listener.text())
  assert fw.ctl("port", "add", "again", "--parent", "outside", "--vlan", 5,
                check=False).stderr.count("port c5 already has VLAN 5") == 1
  assert "is the parent of 1 port(s): remove c5 first" in fw.ctl(
      "port", "remove", "outside", check=False).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL],
                         ids=["stopped", "killed"])
def test_they_survive_a_restart(firewall, tmp_path, number):
  fw = firewall("pass all\n", extra=f"""
[state]
dir = "{tmp_path / "state"}"
interval = 1
""")
  fw.ctl("segment", "add", "lan", "--flood", "broadcast", "--macs", "64",
         "--macs-per-port", "4", "--age", "60")
  for name, vlan in (("a", 6), ("b", 5)):
    fw.ctl("port", "add", name, "--parent", "outside", "--vlan", vlan,
           "--inner-vlan", 9, "--segment", "lan")
  fw.ctl("segment", "fix", "lan", "--mac", "00:53:00:00:00:01", "--port", "a")
  fw.ctl("segment", "add", "gone")
  fw.ctl("segment", "remove", "gone")
  fw.ctl("filter", "create", "vm", "--ports", "a", "--ruleset", "-",
         input="pass all\n")

  def kept():
    return ({name: [port.get(key) for key in
                    ("filter", "segment", "parent", "vlan", "inner_vlan")]
             for name, port in ports_of(fw).items()},
            segments_of(fw), macs_of(fw, "lan"))
  before = kept()
  assert before[0]["a"] == ["vm", "lan", "outside", 6, 9]
  assert before[1]["lan"]["flood"] == ["broadcast"]
  manifest = tmp_path / "state" / "manifest"
  wait_for("the list", lambda: '"vm"' in manifest.read_text() and
           "00:53:00:00:00:01" in manifest.read_text() and
           '"gone"' not in manifest.read_text())
  if number == signal.SIGTERM:
    fw.stop()
  else:
    fw.process.send_signal(number)
    fw.process.wait()
  fw.start()
  assert kept() == before
