"""Connections whose numbers the firewall changes, and that it begins itself."""

import json

import pytest

from harness import NEIGHBOURS, SERVERS

RULES = {
    "modulate": "pass in on outside proto tcp to port 5201 modulate state\n",
    "synproxy": "pass in on outside proto tcp to port 5201 synproxy state\n",
    "syncookies": "pass in on outside proto tcp to port 5201\n",
}


@pytest.mark.parametrize("how", RULES)
def test_iperf3(network, firewall, family, how):
  option = "set syncookies always\n" if how == "syncookies" else ""
  fw = firewall(option + "block all\npass out\n" + RULES[how] + NEIGHBOURS)
  network.settle()
  network.server.start("iperf3", "--server", "--one-off")
  network.server.wait_for_listener(5201)
  client = network.client.run("iperf3", "--client", SERVERS[family], "--json",
                              "--time", "2")
  result = json.loads(client.stdout)
  assert "error" not in result, result.get("error")
  assert result["end"]["sum_received"]["bytes"] > 1_000_000
  counters = {c["name"]: c["value"]
              for c in fw.json("-s", "info")["info"]["limit_counters"]}
  # The control connection and that of the data.
  cookies = 2 if how == "syncookies" else 0
  assert counters["syncookies validated"] == cookies
  if how != "modulate":
    assert fw.drops()["synproxy"] >= 2
  assert fw.drops().get("state-mismatch", 0) == 0, fw.drops()
