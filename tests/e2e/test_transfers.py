"""Transfers of clients beside each other, and what a stop keeps."""

import array
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from harness import BUILD, Firewall, run, wait_for
from test_service import Manager

_RULES = "pass all\n"


class Client:
  """A connection to the control socket that passes descriptors."""

  def __init__(self, firewall):
    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    self._socket.connect(str(firewall.socket))
    self._socket.settimeout(60)

  def ask(self, method, descriptor, **params):
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                       "params": params}) + "\n"
    self._socket.sendmsg([line.encode()], [(
        socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    return self

  def answer(self):
    text = b""
    while not text.endswith(b"\n"):
      piece = self._socket.recv(65536)
      assert piece, "the connection was closed"
      text += piece
    return json.loads(text)

  def close(self):
    self._socket.close()


class Pipes:
  """Pipes, to be closed at the end."""

  def __init__(self):
    self._ends = []

  def make(self):
    ends = os.pipe()
    self._ends += ends
    return ends

  def close(self):
    for end in self._ends:
      os.close(end)


@pytest.fixture
def pipes():
  made = Pipes()
  yield made
  made.close()


@pytest.fixture
def snapshot(tmp_path):
  """The path of a snapshot with more states than a pipe takes."""
  path = tmp_path / "many.snap"
  run(BUILD / "tests/unit/restore/make_snapshots", "--states", 4000, path)
  return path


def transfers(fw):
  return fw.json("restore", "metrics")["restore.metrics"]["transfers"]


def filters(fw):
  return [f["name"] for f in fw.json("filter", "list")["filters"]]


def fill(fw, name, snapshot):
  fw.ctl("state", "import", "--filter", name, "--from-filter", "main", snapshot)


def took(work):
  begun = time.monotonic()
  work()
  return time.monotonic() - begun


def exported(fw, name, path):
  with path.open("wb") as out:
    client = Client(fw).ask("state.export", out.fileno(), filter=name)
    answer = client.answer()
    client.close()
  assert "result" in answer, answer
  return answer["result"]


def test_a_stalled_reader_costs_nobody_else(firewall, pipes, snapshot,
                                            tmp_path):
  fw = firewall(_RULES, states=16384)
  fill(fw, "main", snapshot)
  clients = []
  for _ in range(3):
    _, writer = pipes.make()
    clients.append(Client(fw).ask("state.export", writer, filter="main"))
  wait_for("stalled exports", lambda: transfers(fw)["under_way"] == 3)
  seconds = took(lambda: exported(fw, "main", tmp_path / "good.snap"))
  print(f"an export beside three stalled readers: {seconds:.2f} s")
  assert transfers(fw)["under_way"] == 3
  # Who goes away is not written for any more.
  for client in clients:
    client.close()
  wait_for("nothing under way", lambda: transfers(fw)["under_way"] == 0)
  assert transfers(fw)["abandoned"] == 3


def test_pipes_that_do_not_end_cost_nobody_else(firewall, pipes, snapshot):
  names = [f"f{i}" for i in range(4)]
  fw = firewall(_RULES, states=16384)
  for name in names:
    fw.ctl("filter", "create", name, "--ports", f"of-{name}")
  clients = []
  for name in names * 4:
    reader, _ = pipes.make()
    clients.append(Client(fw).ask("state.import", reader, filter=name))
  wait_for("imports that wait", lambda: transfers(fw)["under_way"] == 16)
  # All that one user may have: whoever asks for more is told.
  refused = fw.ctl("state", "import", "--filter", "main", snapshot,
                   check=False)
  assert refused.returncode == 1
  assert "[transfer] per_client" in refused.stderr
  clients.pop().close()
  wait_for("room", lambda: transfers(fw)["under_way"] == 15)
  reader, _ = pipes.make()
  clients.append(Client(fw).ask("state.import", reader, filter="f0"))
  assert "[transfer] per_filter" in str(clients[-1].answer())
  seconds = took(lambda: fill(fw, "main", snapshot))
  print(f"an import beside 15 pipes that do not end: {seconds:.2f} s")
  assert transfers(fw)["under_way"] == 15


def test_a_filter_goes_and_the_daemon_stops_whoever_is_stalled(
    firewall, pipes, snapshot):
  fw = firewall(_RULES, states=16384)
  fw.ctl("filter", "create", "vm", "--ports", "outside,inside")
  fill(fw, "vm", snapshot)
  _, writer = pipes.make()
  client = Client(fw).ask("state.export", writer, filter="vm")
  reader, _ = pipes.make()
  other = Client(fw).ask("state.import", reader, filter="vm")
  wait_for("both", lambda: transfers(fw)["under_way"] == 2)

  def destroy():
    fw.ctl("filter", "destroy", "vm")
    wait_for("its end", lambda: "vm" not in filters(fw))
  print(f"filter destroy beside stalled transfers: {took(destroy):.2f} s")
  for one in (client, other):
    assert "the filter goes away" in str(one.answer())
  fill(fw, "main", snapshot)
  stalled = []
  for _ in range(3):
    _, writer = pipes.make()
    stalled.append(Client(fw).ask("state.export", writer, filter="main"))
  wait_for("stalled exports", lambda: transfers(fw)["under_way"] == 3)
  seconds = took(fw.stop)
  print(f"SIGTERM beside stalled transfers: {seconds:.2f} s")


def test_a_file_without_an_end(firewall):
  try:
    os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK))
  except OSError:
    pytest.skip("the kernel's log may not be read: that takes CAP_SYSLOG, "
                "which a container may lack")
  fw = firewall(_RULES)
  fw.ctl("filter", "create", "k", "--ports", "outside",
         "--expect-restore", "--source", "/proc/kmsg", "--no-wait", check=False)

  def gone():
    fw.ctl("filter", "destroy", "k", check=False)
    return "k" not in filters(fw)
  wait_for("its end", gone)
  fw.ctl("filter", "create", "k", "--ports", "outside",
         "--expect-restore", "--source", "/proc/kmsg", "--no-wait", check=False)
  # A descriptor in which the thread sleeps, too.
  kmsg = os.open("/proc/kmsg", os.O_RDONLY)
  client = Client(fw).ask("state.import", kmsg, filter="main")
  os.close(kmsg)
  wait_for("its thread", lambda: transfers(fw)["under_way"] == 1)
  fw.stop()
  client.close()


def test_what_is_too_slow_is_told_which_limit(firewall, pipes, snapshot):
  fw = firewall(_RULES, states=16384,
                extra="[transfer]\nmin_rate = 1024\npatience = 1\n")
  fill(fw, "main", snapshot)
  reader, _ = pipes.make()
  slow = Client(fw).ask("state.import", reader, filter="main")
  drip, writer = pipes.make()
  stop = threading.Event()

  def sip():
    while not stop.wait(0.05):
      os.read(drip, 1)
  thread = threading.Thread(target=sip)
  thread.start()
  try:
    slower = Client(fw).ask("state.export", writer, filter="main")
    for client in (slow, slower):
      assert "[transfer] min_rate" in str(client.answer())
  finally:
    stop.set()
    thread.join()
  assert transfers(fw)["too_slow"] == 2


def test_what_cannot_be_kept_is_said(network, tmp_path):
  """A state directory that is full, as far as main's states go."""
  fw = Firewall(network, _RULES, tmp_path,
                extra=f'[state]\ndir = "{tmp_path}/state"\ninterval = 1\n')
  fw.start()
  folder = tmp_path / "state"
  wait_for("a snapshot", (folder / "main.snap").exists)
  # Nothing can be written under that name.
  wait_for("a place", lambda: make_folder(folder / "main.snap.tmp"))
  good = (folder / "main.snap").read_bytes()
  failed = "sluice_state_directory_failed_total"
  wait_for("some attempts", lambda: count(fw, failed, "states") >= 3)
  assert count(fw, failed, "policy") == 0
  said = re.findall(r"states of filter main not written", fw.process.text())
  assert len(said) == 1, fw.process.text()
  assert (folder / "main.snap").read_bytes() == good
  status = fw.process.stop()
  assert status == 1, fw.process.text()
  assert "not kept: the states of filter main" in fw.process.text()
  assert "state directory: saved" not in fw.process.text()
  assert (folder / "main.snap").read_bytes() == good
  run(BUILD / "sluicectl", "snapshot", "verify", folder / "main.snap")
  # With room again nothing is missing.
  (folder / "main.snap.tmp").rmdir()
  fw.start()
  fw.stop()


def make_folder(path):
  try:
    path.mkdir()
  except FileExistsError:
    return path.is_dir()
  return True


def count(fw, name, what):
  for line in fw.ctl("metrics").stdout.splitlines():
    if line.startswith(f'{name}{{what="{what}"}}'):
      return int(line.split()[1])
  raise AssertionError(f"no {name} of {what}")


def test_no_sync_survives_a_stop_and_does_not_travel(network, family,
                                                     tmp_path):
  network.settle()
  fw = Firewall(network, "pass keep state (no-sync)\n", tmp_path,
                extra=f'[state]\ndir = "{tmp_path}/state"\n').start()
  address = {4: "10.0.0.1", 6: "fd00::1"}[family]
  network.client.run("ping", f"-{family}", "-c", "1", "-W", "2", address)

  def of_ping():
    return [s for s in fw.states() if s["protocol"] in (1, 58)]
  assert of_ping() and all(s.get("no_sync") for s in of_ping())
  report = exported(fw, "main", tmp_path / "move.snap")
  assert report["no_sync"] >= 1 and report["states"] == 0
  fw.stop()
  fw.start()
  wait_for("the restore", of_ping)
  assert of_ping() and all(s.get("no_sync") for s in of_ping())
  with open(tmp_path / "again.snap", "wb") as out:
    done = run_export(fw, out)
  assert "left out: their rule says no-sync" in done
  fw.stop()


def run_export(fw, out):
  import subprocess
  done = subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "state",
                         "export"], stdout=out, stderr=subprocess.PIPE,
                        text=True, check=True, timeout=20)
  return done.stderr


def test_the_service_manager_waits_as_long_as_work_goes_on(network, snapshot,
                                                           tmp_path):
  manager = Manager(tmp_path / "notify.sock")
  fw = Firewall(network, _RULES, tmp_path, states=16384,
                extra=f'[state]\ndir = "{tmp_path}/state"\n')
  environment = dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "notify.sock"))
  fw.process = network.firewall.start(BUILD / "sluiced", "-c", fw.config,
                                      env=environment)
  assert manager.next("EXTEND_TIMEOUT_USEC=") == (
      "EXTEND_TIMEOUT_USEC=180000000")
  manager.next("READY=1")
  fw.wait_until_ready()
  fill(fw, "main", snapshot)
  fw.process.send_signal(signal.SIGTERM)
  manager.next("STOPPING=1")
  manager.next("EXTEND_TIMEOUT_USEC=")
  assert fw.process.wait() == 0
  manager.close()
