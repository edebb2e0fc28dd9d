"""sluiced as a service: as a user without rights of its own, and what it tells
the service manager and its log."""

import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile

import pytest

from harness import BUILD, Firewall, SERVERS, run, wait_for

# Nobody's: the tests need no entry in the list of users.
USER = 64321
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13


class UserFirewall(Firewall):
  """sluiced as USER, with some capabilities and no others."""

  def __init__(self, network, rules, work, capabilities, **options):
    self._capabilities = capabilities
    super().__init__(network, rules, work, **options)
    # What it runs may lie in a folder that only root may enter.
    self._program = work / "sluiced"
    shutil.copy(BUILD / "sluiced", self._program)
    for path in (work, self.config, self.ruleset):
      os.chown(path, USER, USER)

  def launch(self):
    capabilities = ",".join(["-all"] + [f"+{c}" for c in self._capabilities])
    self.process = self.network.firewall.start(
        "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
        f"--bounding-set={capabilities}", f"--inh-caps={capabilities}",
        f"--ambient-caps={capabilities}", "--no-new-privs", self._program,
        "-c", self.config)


@pytest.fixture
def user_work():
  """A folder that any user may enter."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-user-"))
  folder.chmod(0o755)
  yield folder
  shutil.rmtree(folder)


def status_of(pid):
  lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
  return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def ping(network, family):
  network.client.run("ping", f"-{family}", "-c", "3", "-i", "0.2", "-W", "2",
                     SERVERS[family])


def test_passes_traffic_without_root(network, user_work):
  fw = UserFirewall(network, "pass all\n", user_work,
                    ["net_raw", "net_admin"]).start()
  wanted = 1 << CAP_NET_RAW | 1 << CAP_NET_ADMIN
  status = status_of(fw.process.pid)
  assert set(status["Uid"].split()) == {str(USER)}
  assert set(status["Gid"].split()) == {str(USER)}
  assert int(status["CapEff"], 16) == wanted
  for family in (4, 6):
    ping(network, family)
  assert len(fw.states()) >= 2
  # Nobody else may give it orders.
  owner = fw.socket.stat()
  assert (owner.st_uid, owner.st_gid) == (USER, USER)
  assert owner.st_mode & 0o777 == 0o600
  fw.load("block all\n")
  assert fw.network.client.run("ping", "-4", "-c", "1", "-W", "1", SERVERS[4],
                               check=False).returncode != 0
  fw.stop()
  assert not fw.socket.exists()


@pytest.mark.parametrize("missing,others", [
    ("CAP_NET_RAW", ["net_admin"]), ("CAP_NET_ADMIN", ["net_raw"])])
def test_refuses_without_the_capability(network, user_work, missing, others):
  fw = UserFirewall(network, "pass all\n", user_work, others)
  fw.launch()
  assert fw.process.wait() == 4
  text = fw.process.text()
  assert f"port 'outside' (net_af_packet0, outside): user {USER}" in text
  assert f"lacks {missing}" in text
  assert f"hint: AmbientCapabilities={missing}" in text
  assert "no device was touched" in text
  assert not fw.socket.exists()


def test_refuses_what_is_not_there(network, tmp_path):
  fw = Firewall(network, "pass all\n", tmp_path)
  fw.config.write_text(fw.config.read_text().replace("iface=inside",
                                                     "iface=insde"))
  for command in (["--check"], []):
    done = network.firewall.run(BUILD / "sluiced", *command, "-c", fw.config,
                                check=False)
    assert done.returncode == 4
    assert ("port 'inside' (net_af_packet1, insde): there is no interface "
            "insde\nhint: ") in done.stderr
  # Files for another machine are checked without regard to this one.
  network.firewall.run(BUILD / "sluiced", "--check-config", "-c", fw.config)


def test_check_of_a_machine_that_has_all(network, tmp_path):
  fw = Firewall(network, "pass all\n", tmp_path)
  done = network.firewall.run(BUILD / "sluiced", "--check", "-c", fw.config)
  assert "2 ports" in done.stdout and "1 rules" in done.stdout


class Manager:
  """The socket of a service manager."""

  def __init__(self, path):
    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    self._socket.bind(str(path))
    self._socket.settimeout(20)

  def next(self, *wanted):
    """The next message that begins with one of the words; others pass."""
    while True:
      message = self._socket.recv(4096).decode()
      if message.startswith(wanted):
        return message

  def close(self):
    self._socket.close()


@pytest.fixture
def manager(tmp_path):
  made = Manager(tmp_path / "notify.sock")
  yield made
  made.close()


def test_tells_the_service_manager(network, manager, tmp_path):
  fw = Firewall(network, "pass all\n", tmp_path)
  environment = dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "notify.sock"),
                     WATCHDOG_USEC="400000")
  environment.pop("WATCHDOG_PID", None)
  fw.process = network.firewall.start(BUILD / "sluiced", "-c", fw.config,
                                      env=environment)
  assert manager.next("READY=1") == (
      "READY=1\nSTATUS=running: 2 port(s), 1 worker(s), 1 rules")
  # Ready means that packets pass and orders are taken.
  assert fw.json("-s", "info")
  ping(network, 4)
  for _ in range(3):
    manager.next("WATCHDOG=1")

  fw.ruleset.write_text("pass all\nblock in proto tcp\n")
  fw.process.send_signal(signal.SIGHUP)
  assert "MONOTONIC_USEC=" in manager.next("RELOADING=1")
  assert "2 rules" in manager.next("READY=1")
  fw.ruleset.write_text("pass al\n")
  fw.process.send_signal(signal.SIGHUP)
  manager.next("RELOADING=1")
  message = manager.next("READY=1")
  assert "the last reload failed" in message and "2 rules" in message

  fw.process.send_signal(signal.SIGTERM)
  manager.next("STOPPING=1")
  assert fw.process.wait() == 0


def test_log_goes_on_in_a_new_file(network, firewall, tmp_path):
  log = tmp_path / "sluiced.log"
  fw = firewall("pass all\n", extra=f'\n[log]\nfile = "{log}"\n')
  assert "link up" in log.read_text()
  old = log.rename(tmp_path / "sluiced.log.1")
  fw.process.send_signal(signal.SIGUSR1)
  wait_for("a new log", lambda: log.exists() and "SIGUSR1" in log.read_text())
  size = old.stat().st_size
  fw.stop()
  assert "stopping" in log.read_text()
  assert old.stat().st_size == size


def test_nic_list():
  done = run(BUILD / "sluicectl", "nic", "list", "--json")
  nics = json.loads(done.stdout)["nics"]
  text = run(BUILD / "sluicectl", "nic", "list").stdout
  for nic in nics:
    assert nic["address"] in text
    assert pathlib.Path("/sys/bus/pci/devices", nic["address"]).exists()


def test_nic_refuses_what_is_no_nic():
  for command in (["bind", "ffff:ff:1f.7"], ["unbind", "no-such-nic"],
                  ["bind"]):
    done = run(BUILD / "sluicectl", "nic", *command, check=False)
    assert done.returncode == 1 and done.stderr, command
