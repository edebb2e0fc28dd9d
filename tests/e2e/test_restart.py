"""Hot restart and the transfer of states, with real programs on both sides."""

import hashlib
import json
import signal
import subprocess
import time

import pytest

from harness import (BUILD, NEIGHBOURS, PYTHON, SERVERS, run, stamp, wait_for,
                     wait_until_replaced)

# Without an answer: a RST while there are no states would end the flow.
_RULES = ("block drop all\n"
          "pass in proto tcp to port 8000 flags S/SA keep state\n"
          "pass out proto tcp to port 8000 flags S/SA keep state\n" +
          NEIGHBOURS)

# Sends a stream of known bytes slowly; the client checks its digest.
_SERVER = """
import hashlib, socket, sys, time
size, seconds = int(sys.argv[1]), float(sys.argv[2])
with socket.socket(socket.AF_INET6) as s:
  s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
  s.bind(("::", 8000))
  s.listen()
  peer, _ = s.accept()
  block = bytes(range(256)) * 16
  pieces = size // len(block)
  for i in range(pieces):
    peer.sendall(block)
    time.sleep(seconds / pieces)
  peer.close()
"""
_CLIENT = """
import hashlib, socket, sys
digest, size = hashlib.sha256(), 0
with socket.create_connection((sys.argv[1], 8000), timeout=40) as s:
  while True:
    data = s.recv(65536)
    if not data: break
    digest.update(data)
    size += len(data)
print(size, digest.hexdigest())
"""
_BLOCK = 4096


def expected(blocks=400):
  return (f"{_BLOCK * blocks} "
          f"{hashlib.sha256(bytes(range(256)) * 16 * blocks).hexdigest()}")


class Download:
  """A download that takes so long."""

  def __init__(self, network, family, seconds, blocks=400):
    self._server = network.server.start(
        PYTHON, "-c", _SERVER, str(_BLOCK * blocks), str(seconds))
    network.server.wait_for_listener(8000)
    self._client = network.client.start(PYTHON, "-c", _CLIENT, SERVERS[family])

  def pause(self, fw):
    """No packet is under way when this returns, until it resumes."""
    self._server.send_signal(signal.SIGSTOP)
    seen = []

    def quiet():
      seen.append([(s["forward"], s["backward"]) for s in fw.states()])
      time.sleep(0.2)  # longer than an acknowledgement waits
      return len(seen) > 1 and seen[-1] == seen[-2]
    wait_for("the last packet", quiet)

  def resume(self):
    self._server.send_signal(signal.SIGCONT)

  def finish(self):
    """What the client says of it."""
    self._client.wait(60)
    return self._client.text().strip()


def restart(fw, number=signal.SIGTERM):
  """Ends the daemon in one way or another and starts it again."""
  if number == signal.SIGTERM:
    fw.stop()
  else:
    fw.process.send_signal(number)
    fw.process.wait()
  fw.start()


def state_of(tmp_path):
  return f'\n[state]\ndir = "{tmp_path / "state"}"\ninterval = 1\n'


def load_and_keep(tmp_path, load):
  """Loads a ruleset, and waits until it is on the disk."""
  policy = tmp_path / "state" / "main.policy"
  wait_for("the policy at the start", policy.exists)
  before = stamp(policy)
  load()
  wait_until_replaced(policy, before)


def restored(fw):
  listing = fw.json("restore", "status")["restores"]
  return {r["filter"]: r["state"] for r in listing}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL],
                         ids=["stopped", "killed"])
def test_a_download_goes_through_a_restart(network, firewall, family, tmp_path,
                                           number):
  fw = firewall(_RULES, extra=state_of(tmp_path))
  # What a kill leaves on the disk may be a second old, and a flow that has
  # moved on by more than its window meanwhile is not known any more.
  blocks = 400 if number == signal.SIGTERM else 24
  transfer = Download(network, family, 6, blocks)
  wait_for("a state", lambda: fw.states())
  fw.ctl("-t", "blocked", "-T", "add", "192.0.2.9")
  # The second snapshot from now is of a time after the addition.
  for _ in range(2):
    snapshot = tmp_path / "state" / "main.snap"
    wait_until_replaced(snapshot, stamp(snapshot))
  restart(fw, number)
  wait_for("the restore", lambda: restored(fw)["main"] == "RESTORED")
  assert fw.states()
  assert "192.0.2.9" in fw.ctl("-t", "blocked", "-T", "show").stdout
  assert transfer.finish() == expected(blocks)


def test_the_last_committed_ruleset_comes_back(firewall, tmp_path):
  fw = firewall(_RULES, extra=state_of(tmp_path))
  load_and_keep(tmp_path, lambda: fw.load("block all\npass proto icmp\n"))
  rules = fw.ctl("-s", "rules").stdout
  restart(fw, signal.SIGKILL)
  assert fw.ctl("-s", "rules").stdout == rules
  assert "icmp" in rules


def test_the_language_of_the_ruleset_comes_back(firewall, tmp_path):
  fw = firewall(_RULES, extra=state_of(tmp_path))
  rules = tmp_path / "freebsd.conf"
  rules.write_text("block all\n" + "".join(
      f"pass in proto tcp from 192.0.2.{n} to port ssh\n"
      for n in range(1, 9)) + "anchor in {\n pass proto udp\n}\n")
  load_and_keep(tmp_path, lambda: fw.ctl("--dialect", "freebsd", "-f", rules))
  listings = ("rules", "Tables", "timeouts", "memory")
  before = [fw.ctl("-s", what).stdout for what in listings]
  assert "keep state" in before[0] and "__automatic_" in before[1]
  restart(fw, signal.SIGKILL)
  assert [fw.ctl("-s", what).stdout for what in listings] == before


def test_a_damaged_snapshot_gives_way_to_the_one_before(firewall, tmp_path):
  fw = firewall(_RULES, extra=state_of(tmp_path))
  folder = tmp_path / "state"
  wait_for("two snapshots", lambda: (folder / "main.snap.old").exists())
  fw.stop()
  whole = (folder / "main.snap").read_bytes()
  (folder / "main.snap").write_bytes(whole[:-40] + bytes(40))
  refused = run(BUILD / "sluicectl", "snapshot", "verify",
                folder / "main.snap", check=False)
  assert refused.returncode == 1 and refused.stderr
  fw.start()
  wait_for("the restore", lambda: restored(fw)["main"] == "RESTORED")
  assert "main.snap" in fw.process.text()
  # Without any whole one the policy for failures holds: nothing passes.
  fw.stop()
  for name in ("main.snap", "main.snap.old"):
    (folder / name).write_bytes(whole[:200])
  fw.start()
  wait_for("the failure", lambda: restored(fw)["main"] == "FAILED")


def test_export_and_import_by_hand(network, firewall, family, tmp_path):
  fw = firewall(_RULES)
  transfer = Download(network, family, 4)
  wait_for("a state", lambda: fw.states())
  # A flow that moves on by more than its window would not be known any more.
  transfer.pause(fw)
  path = tmp_path / "main.snapshot"
  with path.open("wb") as out:
    done = subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "state",
                           "export"], stdout=out, stderr=subprocess.PIPE,
                          text=True, check=False, timeout=20)
  assert done.returncode == 0, done.stderr
  shown = run(BUILD / "sluicectl", "snapshot", "show", path).stdout
  assert "tcp" in shown and "8000" in shown
  as_json = json.loads(run(BUILD / "sluicectl", "--json", "snapshot", "show",
                           path).stdout)["snapshot"]
  assert as_json["states"] and as_json["filter"] == "main"
  fw.ctl("-F", "states")
  assert not fw.states()
  done = fw.ctl("state", "import", path, check=False)
  assert done.returncode == 0, done.stderr
  assert "states imported" in done.stderr
  # The same again was done already; another one is a conflict.
  assert fw.ctl("state", "import", path, check=False).returncode == 0
  other = tmp_path / "other"
  with other.open("wb") as out:
    subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "state", "export"],
                   stdout=out, stderr=subprocess.DEVNULL, check=True,
                   timeout=20)
  conflict = fw.ctl("state", "import", other, check=False)
  assert conflict.returncode == 3 and "conflict" in conflict.stderr
  with open("/dev/full", "wb") as full:
    failed = subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "state",
                             "export"], stdout=full, stderr=subprocess.PIPE,
                            text=True, check=False, timeout=20)
  assert failed.returncode == 1 and "No space left" in failed.stderr
  metrics = fw.ctl("metrics").stdout
  assert "sluice_restore_commits_total 1" in metrics
  transfer.resume()
  assert transfer.finish() == expected()


def test_killed_at_every_point_it_comes_up_again(firewall, tmp_path,
                                                 monkeypatch):
  """A few kills of the real daemon; unit_kill_sweep has hundreds."""
  fw = firewall(_RULES, extra=state_of(tmp_path))
  fw.stop()
  kills = 0
  for point in ("save.begin", "save.written", "save.synced", "save.kept",
                "save.renamed", "start.manifest", "start.policy",
                "export.recorded", "import.prepared", "import.reserved",
                "commit.begin", "commit.states", "commit.published"):
    with monkeypatch.context() as patch:
      patch.setenv("SLUICE_FAULT_POINT", f"{point}:1")
      fw.launch()
    status = fw.process.wait(timeout=30)
    assert status == -signal.SIGKILL, (point, status, fw.process.text())
    kills += 1
    fw.start()
    wait_for("the restore", lambda: restored(fw)["main"] == "RESTORED")
    assert "port 8000" in fw.ctl("-s", "rules").stdout.replace("= ", "")
    fw.stop()
  print(f"{kills} kills")
