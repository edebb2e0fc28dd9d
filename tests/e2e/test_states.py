"""`sluicectl -s states` with conditions, sorted, limited and counted."""

import pytest

from harness import CLIENTS, NEIGHBOURS
from questions import ask, start_echo

_RULES = """\
block all
pass proto udp to port 7 tag asked label "echo"
pass proto udp to port 9
""" + NEIGHBOURS


@pytest.mark.parametrize("workers", [1, 2])
def test_conditions(network, firewall, family, workers):
  fw = firewall(_RULES, workers=workers)
  network.settle()
  start_echo(network)
  assert ask(network, family, 20000, 20) == 20
  # More packets of one flow than of the others.
  assert ask(network, family, 20005, 1) == 1
  assert ask(network, family, 20005, 1) == 1
  ask(network, family, 30000, 5, port=9, wait_s=0)

  def states(*words):
    return fw.json("-s", "states", *words)["states"]

  def count(*words):
    return fw.json("-s", "states", "--count", *words)["states_count"]

  # At both ends of the wire.
  assert len(states()) == 50
  other = CLIENTS[4 if family == 6 else 6]
  for words, expected in (
      (("--host", CLIENTS[family]), 50), (("--host", other), 0),
      (("--host", "10.0.0.0/24" if family == 4 else "fd00::/64"), 50),
      (("--port", 7), 40), (("--port", 20003), 2), (("--proto", "udp"), 50),
      (("--proto", "tcp"), 0), (("--label", "echo"), 40),
      (("--label", "nobody"), 0), (("--rule", 2), 10), (("--tag", "asked"), 40),
      (("--tag", "nobody"), 0), (("--age", "1h"), 0), (("--age", "-1h"), 50),
      (("--direction", "in"), 25), (("--port", 7, "--direction", "out"), 20)):
    assert len(states(*words)) == expected, words
    found = count(*words)
    assert found["states"] == expected, words
    assert found["states"] == sum(p["states"] for p in found["phases"]), words
    assert len(states("--sort", "age", *words)) == expected, words
  top = states("--sort", "packets", "--limit", 2)
  assert [s["before"]["source_port"] for s in top] == [20005, 20005]
  assert all(s["forward"]["packets"] == 3 for s in top)
  sums = [s["forward"]["bytes"] + s["backward"]["bytes"]
          for s in states("--sort", "bytes")]
  assert sums == sorted(sums, reverse=True) and len(sums) == 50
  assert count()["bytes"] == sum(sums)
  assert len(states("--limit", 7)) == 7
  assert "20005" in fw.ctl("-ss", "--sort", "packets", "--limit", 1).stdout
  assert fw.ctl("-ss", "--count").stdout.startswith("50 states, ")
  assert "sort" in fw.ctl("-ss", "--sort", "size", check=False).stderr
