"""VLANs on a wire: the same ends with and without a tag are two flows."""

import json

from harness import CLIENTS, NEIGHBOURS, SERVERS, wait_for


def send(network, family, *vlans):
  """A datagram from the client to the server's port 7777."""
  mac = json.loads(network.server.run("ip", "-json", "link", "show",
                                      "eth0").stdout)[0]["address"]
  network.client.python("tagged_udp.py", mac, CLIENTS[family],
                        SERVERS[family], 7777, *vlans)


def vlans(fw):
  return sorted(s.get("vlan", "0") for s in fw.states()
                if s["protocol"] == 17)


def test_states_are_of_their_vlan(network, firewall, family):
  fw = firewall("pass proto udp to port 7777\n" + NEIGHBOURS)
  network.settle()
  for tags in ((), (42,), (42, 43)):
    send(network, family, *tags)
  # One at each port.
  everywhere = ["0", "0", "42", "42", "42.43", "42.43"]
  wait_for("the states", lambda: vlans(fw) == everywhere)
  shown = fw.ctl("-s", "states").stdout
  assert " vlan 42  " in shown and " vlan 42.43  " in shown
  assert "killed 2 states" in fw.ctl("-k", "vlan", "-k", "42").stderr
  assert vlans(fw) == ["0", "0", "42.43", "42.43"]
  key = [s for s in shown.splitlines() if " vlan 42.43  " in s and "<-" in s]
  words = key[0].split()
  assert "killed 1 states" in fw.ctl("-k", "key", "-k",
                                     " ".join(words[1:7])).stderr
  assert vlans(fw) == ["0", "0", "42.43"]
  assert "killed 2 states" in fw.ctl("-k", "vlan", "-k", "0").stderr
  assert vlans(fw) == ["42.43"]
  assert fw.ctl("-k", "vlan", "-k", "4096", check=False).returncode == 1
