"""Hosts of one family that talk to hosts of the other through af-to."""

import json

import pytest

from harness import CLIENT4, CLIENT6, NEIGHBOURS, SERVER4, SERVER6

# The server as the client knows it, and the client as the server does.
NAT64_SERVER = "64:ff9b::a00:1"
NAT64_CLIENT = "192.0.2.1"
NAT46_SERVER = "192.0.2.80"
NAT46_CLIENT = "2001:db8:ff::5"

RULES = f"""block all
pass out on inside
pass in on outside inet6 to 64:ff9b::/96 af-to inet from {NAT64_CLIENT}
pass in on outside inet to {NAT46_SERVER} af-to inet6 from {NAT46_CLIENT} to {SERVER6}
""" + NEIGHBOURS


@pytest.fixture(params=("nat64", "nat46"))
def target(request, network):
  """Routes to what only the firewall has; the server's address for clients."""
  network.settle()
  client, server = network.client, network.server
  client.run("ip", "-6", "route", "replace", "64:ff9b::/96", "via", SERVER6)
  server.run("ip", "route", "replace", NAT64_CLIENT, "via", CLIENT4)
  client.run("ip", "route", "replace", NAT46_SERVER, "via", SERVER4)
  server.run("ip", "-6", "route", "replace", NAT46_CLIENT, "via", CLIENT6)
  return NAT64_SERVER if request.param == "nat64" else NAT46_SERVER


@pytest.mark.parametrize("workers", (1, 2))
def test_hosts_talk(network, firewall, target, workers):
  fw = firewall(RULES, workers=workers)
  # Echo; the larger one becomes fragments on its way to IPv6.
  for size in ("56", "1400"):
    done = network.client.run("ping", "-n", "-c", "3", "-i", "0.2", "-w", "5",
                              "-s", size, target, check=False)
    assert done.returncode == 0, (size, done.stdout, fw.drops())
  for options in ((), ("--reverse",), ("--udp", "--length", "1300"),
                  ("--udp", "--length", "2000", "--reverse")):
    server = network.server.start("iperf3", "--server", "--one-off")
    network.server.wait_for_listener(5201)
    client = network.client.run("iperf3", "--client", target, "--json",
                                "--time", "1", *options)
    result = json.loads(client.stdout)
    assert "error" not in result, result.get("error")
    if "--udp" in options:
      total = result["end"]["sum"]
      assert total["packets"] > 20 and total["lost_percent"] < 50, total
    else:
      assert result["end"]["sum_received"]["bytes"] > 1_000_000
    server.wait()
  states = [s for s in fw.states() if "after" in s]
  assert states
  for state in states:
    families = [":" in state[side]["source"] for side in ("before", "after")]
    assert families[0] != families[1], state
  listing = fw.ctl("-s", "states").stdout
  assert f"{target}[5201]" in listing or f"{target}:5201" in listing, listing
  # What arrived there is counted as it came.
  came, went = ("inet6", "inet") if ":" in target else ("inet", "inet6")
  traffic = {i["name"]: i["traffic"]
             for i in fw.json("-v", "-s", "Interfaces")["interfaces"]}
  # Neighbour discovery is no more than a few.
  assert traffic["outside"][came]["in"]["pass"]["packets"] > 50
  assert traffic["outside"][went]["in"]["pass"]["packets"] < 20
  assert traffic["inside"][went]["out"]["pass"]["packets"] > 50
  assert traffic["inside"][came]["out"]["pass"]["packets"] < 20
  assert fw.drops().get("proto-cksum", 0) == 0, fw.drops()


def test_a_port_that_nobody_listens_on(network, firewall, target):
  firewall(RULES)
  client = network.client.run(
      "python3", "-c", f"""
import socket
s = socket.create_connection(("{target}", 9), timeout=5)
""", check=False)
  # The server's RST, as one of the client's family.
  assert "ConnectionRefusedError" in client.stderr, client.stderr
  client = network.client.run(
      "python3", "-c", f"""
import socket
family, kind, proto, _, address = socket.getaddrinfo(
    "{target}", 9, type=socket.SOCK_DGRAM)[0]
s = socket.socket(family, kind)
s.settimeout(5)
s.connect(address)
s.send(b"x")
s.recv(1)
""", check=False)
  # Its ICMP error, with the packet that it quotes.
  assert "ConnectionRefusedError" in client.stderr, client.stderr
