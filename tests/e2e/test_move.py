"""Transfers that outlive their firewall: a filter moves from one sluiced to
another one that packets reach already, and a sluiced is restarted."""

import hashlib
import os
import signal
import subprocess
import time

import pytest

from harness import (BUILD, Firewall, NEIGHBOURS, PYTHON, SERVERS, UdpStream,
                     wait_for)

_RULES = ("block all\npass proto tcp to port 8000\n"
          "pass proto udp to port { 69, 5300 }\n" + NEIGHBOURS)

# A file in pieces, so slowly that what happens on the way falls amid it.
_SERVE = """
import socket, sys, time
with socket.socket(socket.AF_INET6) as s:
  s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
  s.bind(("::", 8000))
  s.listen()
  peer, _ = s.accept()
  with open(sys.argv[1], "rb") as f, peer:
    while piece := f.read(int(sys.argv[2])):
      peer.sendall(piece)
      time.sleep(0.02)
"""
_FETCH = """
import hashlib, socket, sys
with socket.create_connection((sys.argv[1], 8000), timeout=20) as s:
  digest = hashlib.sha256()
  while piece := s.recv(65536):
    digest.update(piece)
print(digest.hexdigest())
"""


class Transfers:
  """A TCP download and a TFTP one from port 69, both under way."""

  def __init__(self, network, family, work, piece=16384):
    self._folder = work / "served"
    self._folder.mkdir()
    self._file = self._folder / "file"
    self._file.write_bytes(os.urandom(400 * piece))
    (self._folder / "image").write_bytes(os.urandom(1_500_000))
    self._got = work / "image.got"
    network.server.start(PYTHON, "-c", _SERVE, self._file, piece)
    network.server.wait_for_listener(8000)
    network.server.start_python("single_port_tftp.py", "--delay", 0.002,
                                self._folder)
    network.server.wait_for_listener(69, udp=True)
    self._tcp = network.client.start(PYTHON, "-c", _FETCH, SERVERS[family])
    self._tftp = network.client.start(
        "tftp", "-6" if family == 6 else "-4", "-m", "octet", SERVERS[family],
        "-c", "get", "image", self._got)
    wait_for("the TFTP transfer", lambda: self._got.exists() and
             self._got.stat().st_size > 50_000)

  def assert_under_way(self):
    assert self._tcp.running, self._tcp.text()
    assert self._tftp.running, self._tftp.text()

  def finish(self):
    assert self._tcp.wait(60) == 0, self._tcp.text()
    assert self._tcp.text().strip() == hashlib.sha256(
        self._file.read_bytes()).hexdigest()
    assert self._tftp.wait(60) == 0, self._tftp.text()
    assert self._got.read_bytes() == (self._folder / "image").read_bytes()


def test_move_to_another_sluiced(network, firewall, family, tmp_path):
  network.settle()
  rules = tmp_path / "vm.conf"
  rules.write_text(_RULES)
  work = tmp_path / "b"
  work.mkdir()
  a = firewall("block all\n")
  # On the same links, and silent until it has a filter that lets packets
  # through.
  b = Firewall(network, "block all\n", work).start()
  try:
    a.ctl("filter", "create", "vm", "--ports", "outside,inside",
          "--ruleset", rules)
    transfers = Transfers(network, family, tmp_path)
    stream = UdpStream(network, family, 5300, rate=500, seconds=6)
    wait_for("traffic", lambda: len(a.json("--filter", "vm", "-s",
                                           "states")["states"]) >= 6)
    transfers.assert_under_way()
    for port in ("outside", "inside"):
      a.ctl("port", "disable", port)
    snapshot = tmp_path / "vm.snap"
    with open(snapshot, "wb") as out:
      run_to(out, a, "state", "export", "--filter", "vm")
    began = time.monotonic()
    b.ctl("filter", "create", "vm", "--ports", "outside,inside",
          "--expect-restore")
    wait_for("packets that wait", lambda: shown(b)["hold"]["held"])
    b.ctl("state", "import", "--filter", "vm", "--policy", snapshot)
    took = time.monotonic() - began
    transfers.assert_under_way()
    transfers.finish()
    hold = shown(b)["hold"]
    print(f"restored {took * 1000:.0f} ms after its creation; of {hold['held']} "
          f"packets held, {hold['replayed']} were replayed, after at most "
          f"{hold['longest_ms']} ms")
    assert hold["replayed"] > 0, hold
    counted = stream.finish()
    assert counted.received > counted.sent // 2
  finally:
    b.stop()


def shown(firewall):
  return firewall.json("filter", "show", "vm")["filter"]


def run_to(out, firewall, *arguments):
  done = subprocess.run(
      [str(BUILD / "sluicectl"), "-p", str(firewall.socket), *arguments],
      stdout=out, stderr=subprocess.PIPE, timeout=30)
  assert done.returncode == 0, done.stderr.decode()


class Restartable(Firewall):
  """sluiced with a directory for its state."""

  def launch(self):
    state = self.work / "state"
    state.mkdir(exist_ok=True)
    self.process = self.network.firewall.start(
        BUILD / "sluiced", "-c", self.config, "--state-dir", state)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL],
                         ids=lambda s: s.name)
def test_restart(network, family, tmp_path, end):
  network.settle()
  fw = Restartable(network, _RULES, tmp_path,
                   extra="[state]\ninterval = 1\n").start()
  # So slowly that since the last snapshot before a kill no more has been sent
  # than a window holds.
  transfers = Transfers(network, family, tmp_path, piece=512)
  snapshot = tmp_path / "state" / "main.snap"
  wait_for("a snapshot", snapshot.exists)
  taken = snapshot.stat().st_mtime_ns
  wait_for("the next one", lambda: snapshot.stat().st_mtime_ns != taken)
  transfers.assert_under_way()
  if end == signal.SIGTERM:
    fw.stop()
  else:
    fw.process.stop(signal.SIGKILL)
  fw.start()
  transfers.assert_under_way()
  transfers.finish()
  fw.stop()
