"""Floods beside a flow that is there: the flow goes on, the caps hold, memory
stays, and who asks is answered."""

import pathlib
import time

import pytest

from harness import NEIGHBOURS, SERVERS, UdpStream, wait_for

_LIMIT = 2000
_RULES = f"""\
set limit states {_LIMIT}
pass in on outside proto {{ tcp udp }} keep state
pass in on outside inet proto icmp no state
pass in on outside inet6 proto icmp6 no state
pass out on inside no state
pass in on inside no state
""" + NEIGHBOURS


def _memory(fw):
  """Bytes of the daemon's own memory, resident."""
  for line in pathlib.Path(
      f"/proc/{_pid(fw)}/status").read_text().splitlines():
    if line.startswith("RssAnon:"):
      return int(line.split()[1]) * 1024
  raise AssertionError("no RssAnon")


def _pid(fw):
  return fw.process.pid


@pytest.mark.parametrize("kind", ["syn", "udp", "icmp-error"])
def test_beside_a_flow(network, firewall, family, kind):
  fw = firewall(_RULES, workers=2)
  network.settle()
  stream = UdpStream(network, family, 5400, 100, 6)
  wait_for("the flow's state",
           lambda: fw.json("-s", "info")["info"]["states"] >= 1)

  def flood(packets):
    return network.client.start_python(
        "flood.py", kind, "--to", SERVERS[family], "--port", 5401, "--packets",
        packets, "--rate", 8000)

  # Pages that are touched once are touched now.
  flood(8000).wait()
  before = _memory(fw)
  flooding = flood(24_000)
  slowest = 0
  while flooding.running:
    asked = time.monotonic()
    states = fw.json("-s", "info")["info"]["states"]
    slowest = max(slowest, time.monotonic() - asked)
    assert states <= _LIMIT
    time.sleep(0.1)
  assert slowest < 5, slowest
  done = stream.finish()
  assert done.received >= 0.95 * done.sent, done
  if kind == "icmp-error":
    # No error makes a state.
    assert fw.json("-s", "info")["info"]["states"] <= 4
  else:
    assert fw.drops()["state-limit"] > 0
  assert _memory(fw) - before < 16 << 20
