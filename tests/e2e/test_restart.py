"""Hot restart and the transfer of states, with real programs on both sides."""

import hashlib
import json
import signal
import subprocess
import threading
import time

import pytest

from harness import BUILD, NEIGHBOURS, PYTHON, SERVERS, run, wait_for

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


def download(network, family, seconds, blocks=400):
  """A download that takes so long; call the result for its output."""
  network.server.start(PYTHON, "-c", _SERVER, str(_BLOCK * blocks),
                       str(seconds))
  network.server.wait_for_listener(8000)
  result = {}

  def work():
    done = network.client.run(PYTHON, "-c", _CLIENT,
                              SERVERS[family], check=False, timeout=60)
    result["text"] = (done.stdout + done.stderr).strip()

  thread = threading.Thread(target=work)
  thread.start()

  def finish():
    thread.join(60)
    return result.get("text")
  return finish


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
  blocks = 400 if number == signal.SIGTERM else 60
  finish = download(network, family, 6, blocks)
  wait_for("a state", lambda: fw.states())
  fw.ctl("-t", "blocked", "-T", "add", "192.0.2.9")
  # What is on the disk after a kill is what was there a second before.
  time.sleep(2.5)
  restart(fw, number)
  wait_for("the restore", lambda: restored(fw)["main"] == "RESTORED")
  assert fw.states()
  assert "192.0.2.9" in fw.ctl("-t", "blocked", "-T", "show").stdout
  assert finish() == expected(blocks)


def test_the_last_committed_ruleset_comes_back(firewall, tmp_path):
  fw = firewall(_RULES, extra=state_of(tmp_path))
  fw.load("block all\npass proto icmp\n")
  time.sleep(1)
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
  fw.ctl("--dialect", "freebsd", "-f", rules)
  time.sleep(1)
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
  finish = download(network, family, 4)
  wait_for("a state", lambda: fw.states())
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
  assert finish() == expected()


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
