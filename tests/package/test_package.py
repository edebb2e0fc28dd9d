"""The release, the installation, and the Debian package in a clean system."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

import booted
import clean_root
import contents
import operators_day

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", TOP / "build"))
# The same place each time, so that a compiler cache knows the files again.
WORK = BUILD / "package"
# What the unit may score at most; the remainder is what it needs.
RATING_LIMIT = 2.0


def run(*command, timeout=1200, check=True, **more):
  done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, text=True, timeout=timeout,
                        stdin=subprocess.DEVNULL, **more)
  if check:
    assert done.returncode == 0, f"{command}:\n{done.stdout[-8000:]}"
  return done


def wait_for(what, condition, limit_s=60):
  end = time.monotonic() + limit_s
  while not condition():
    assert time.monotonic() < end, f"{what}: not within {limit_s} s"
    time.sleep(0.05)


def version():
  text = (TOP / "meson.build").read_text()
  return re.search(r"version : '([0-9.]+)'", text).group(1)


@pytest.fixture(scope="session")
def tarball():
  WORK.mkdir(exist_ok=True)
  run("meson", "dist", "-C", BUILD, "--no-tests", "--formats", "xztar",
      "--allow-dirty")
  return BUILD / "meson-dist" / f"sluice-{version()}.tar.xz"


@pytest.fixture(scope="session")
def package(tarball):
  """Built from the release in a clean folder."""
  source = WORK / f"sluice-{version()}"
  shutil.rmtree(source, ignore_errors=True)
  for old in WORK.glob("*.deb"):
    old.unlink()
  with tarfile.open(tarball) as archive:
    archive.extractall(WORK)
  environment = dict(
      os.environ, DEB_CXXFLAGS_STRIP="-g", LC_ALL="C",
      DEB_BUILD_OPTIONS=f"noautodbgsym parallel={os.cpu_count()}")
  environment.pop("CC", None)
  environment.pop("CXX", None)
  if os.path.isdir("/usr/lib/ccache"):
    environment["PATH"] = f"/usr/lib/ccache:{environment['PATH']}"
  run("dpkg-buildpackage", "--build=binary", "--no-sign", cwd=source,
      env=environment)
  (deb,) = WORK.glob("sluice_*.deb")
  yield deb
  shutil.rmtree(source, ignore_errors=True)


def field(deb, name):
  return run("dpkg-deb", "--field", deb, name).stdout.strip()


@pytest.fixture(scope="session")
def root(package, tmp_path_factory):
  """A clean system with the package in it."""
  needed = [re.split(r"[ (|]", d.strip())[0]
            for d in field(package, "Depends").split(",")]
  # It is booted, too.
  needed += ["systemd", "systemd-sysv", "logrotate"]
  # Those of the operator's day.
  needed += ["iproute2", "ethtool", "curl", "python3",
             "tcpdump"]
  archive = clean_root.make(WORK, sorted(set(needed)))
  made = clean_root.Root(tmp_path_factory.mktemp("clean") / "root", archive)
  shutil.copy(package, made.path("/sluice.deb"))
  made.run("dpkg", "--install", "/sluice.deb")
  yield made
  # Nothing may be mounted below any more, or more than the folder would go.
  assert str(made.folder) not in pathlib.Path("/proc/mounts").read_text()
  shutil.rmtree(made.folder)


# ---- The release and the installation --------------------------------------


def test_release_holds_the_sources_and_nothing_else(tarball):
  with tarfile.open(tarball) as archive:
    names = {n.partition("/")[2] for n in archive.getnames()}
  for needed in ("README.md", "LICENSE", "meson.build", "debian/rules",
                 "dataplane/daemon/main.cc", "docs/man/sluiced.8",
                 "tests/run.sh"):
    assert needed in names
  assert not [n for n in names if n.startswith("build") or n.endswith(".o")]


def test_install_puts_everything_in_its_place(tmp_path):
  run("meson", "install", "-C", BUILD, "--no-rebuild",
      env=dict(os.environ, DESTDIR=str(tmp_path)))
  found = sorted(f"/{p.relative_to(tmp_path)}" for p in tmp_path.rglob("*")
                 if not p.is_dir())
  assert found == contents.INSTALLED


def test_version_is_the_same_everywhere(package):
  assert field(package, "Version") == version()
  changelog = (TOP / "debian" / "changelog").read_text()
  assert changelog.startswith(f"sluice ({version()}) ")


# ---- The package -----------------------------------------------------------


def test_files_of_the_package(package):
  listing = run("dpkg-deb", "--contents", package).stdout.splitlines()
  files = {}
  for line in listing:
    mode, owner, _, _, _, name = line.split(maxsplit=5)
    assert owner == "root/root", line
    assert "s" not in mode and mode[8] == "-", line  # nobody's to change
    if not mode.startswith("d"):
      files[name[1:]] = mode
  assert sorted(files) == contents.PACKAGED
  for name, mode in files.items():
    wanted = "-rwxr-xr-x" if name in contents.PROGRAMS else "-rw-r--r--"
    assert mode == wanted, name
  conffiles = run("dpkg-deb", "--info", package, "conffiles").stdout.split()
  assert sorted(conffiles) == contents.CONFIGURATION


def test_lintian_finds_no_errors(package):
  run("lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit",
      "0", package)


def test_installs_in_a_clean_system(root):
  state = root.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "sluice")
  assert state.stdout.startswith("ii")
  user = root.run("getent", "passwd", "sluice").stdout.split(":")
  assert user[5:] == ["/nonexistent", "/usr/sbin/nologin\n"]
  uid, gid = int(user[2]), int(user[3])
  for folder, mode in (("/run/sluice", 0o755), ("/var/log/sluice", 0o750)):
    found = root.path(folder).stat()
    assert (found.st_uid, found.st_mode & 0o777) == (uid, mode), folder
  assert root.path("/run/sluice").stat().st_gid == gid
  # It does not start by itself: nobody has told it its ports.
  wants = root.path("/etc/systemd/system")
  assert not list(wants.rglob("sluiced.service"))
  for program in ("sluiced", "sluicectl", "sluice-replay"):
    assert version() in root.run(program, "--version").stdout


def test_rating_of_the_unit(root):
  def rating(unit):
    text = run("systemd-analyze", "security", "--offline=yes",
               f"--root={root.folder}", unit).stdout
    return float(re.search(r"exposure level for .*?: ([0-9.]+)", text)[1])
  assert rating("sluiced.service") <= RATING_LIMIT
  assert rating("sluice-nic@0000:03:00.0.service") <= 2 * RATING_LIMIT


def test_units_have_no_unknown_keys(root):
  for unit in ("sluiced.service", "sluice-nic@0000:03:00.0.service"):
    text = run("systemd-analyze", "verify", "--man=no",
               f"--root={root.folder}", unit, check=False).stdout
    assert not re.search(r"Unknown|Failed to parse|ignoring|Invalid", text), text


# ---- What is installed works -----------------------------------------------

VDEV = """\
[eal]
hugepages = "no"
[[port]]
name = "outside"
device = "net_null0,no-rx=1"
[[port]]
name = "inside"
device = "net_null1,no-rx=1"
[[wire]]
ports = ["outside", "inside"]
[workers]
pin = false
[memory]
states = 4096
[control]
socket = "/run/sluice/control.sock"
mode = "0660"
group = "sluice"
[log]
file = "/var/log/sluice/sluiced.log"
[policy]
ruleset = "pf.conf"
"""


def as_service(root, *command):
  """With the rights that the unit leaves: the user's, and none else."""
  user = root.run("getent", "passwd", "sluice").stdout.split(":")
  return ["setpriv", f"--reuid={user[2]}", f"--regid={user[3]}",
          "--init-groups", "--bounding-set=-all", "--no-new-privs", *command]


def test_check_of_the_shipped_configuration(root):
  done = root.run(*as_service(root, "sluiced", "--check"), check=False)
  assert done.returncode == 4, done.stdout
  assert re.search(r"/etc/sluice/pf.conf: \d+ rules", done.stdout)
  for name in ("sluice.toml", "sluice-pci.toml"):
    root.run("sluiced", "--check-config", "-c",
             f"/usr/share/doc/sluice/examples/{name}")
  # The address in it is an example's.
  assert ("port 'outside' (0000:03:00.0): there is no such PCI device\n"
          "hint: `sluicectl nic list`") in done.stdout
  assert "[control]" not in done.stdout, "the user cannot make its socket"


@pytest.fixture
def vdev(root):
  path = root.path("/etc/sluice/vdev.toml")
  path.write_text(VDEV)
  yield "/etc/sluice/vdev.toml"
  path.unlink()


def test_runs_as_a_user_without_rights(root, vdev, tmp_path):
  assert root.run(*as_service(root, "sluiced", "--check", "-c",
                              vdev)).returncode == 0
  log = root.path("/var/log/sluice/sluiced.log")
  process = root.start(*as_service(root, "sluiced", "-c", vdev),
                       log=tmp_path / "output")
  try:
    def ready():
      assert process.poll() is None, (tmp_path / "output").read_text()
      return root.run(*as_service(root, "sluicectl", "-s", "info"),
                      check=False).returncode == 0
    wait_for("sluiced", ready)
    uid = int(root.run("id", "-u", "sluice").stdout)
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    assert re.search(rf"^Uid:\t{uid}\t{uid}\t", status, re.M)
    assert re.search(r"^CapBnd:\t0+$", status, re.M)
    socket = root.path("/run/sluice/control.sock").stat()
    assert (socket.st_uid, socket.st_mode & 0o777) == (uid, 0o660)
    rules = root.run(*as_service(root, "sluicectl", "-s", "rules")).stdout
    assert "block" in rules

    # The log is rotated as it is every week, and the daemon is told.
    before = log.read_text()
    assert "rules" in before
    root.run("logrotate", "--force", "/etc/logrotate.d/sluice")
    process.send_signal(signal.SIGUSR1)
    wait_for("the new log", lambda: "SIGUSR1" in log.read_text())
    assert log.with_name("sluiced.log.1").read_text() == before
    found = log.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (uid, 0o640)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "stopped" in log.read_text()
  finally:
    if process.poll() is None:
      process.kill()
      process.wait()


def allowed_calls(unit):
  """System calls that the unit's filters leave, as systemd adds them up."""
  listing = run("systemd-analyze", "syscall-filter").stdout
  sets = {}
  for block in re.split(r"\n(?=@)", listing):
    lines = block.splitlines()
    sets[lines[0]] = [l.strip() for l in lines[1:]
                      if l.startswith("    ") and "#" not in l]

  def expand(word):
    if not word.startswith("@"):
      return {word}
    return set().union(*(expand(w) for w in sets[word]))
  allowed = set()
  for value in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
    names = set().union(*(expand(w) for w in value.lstrip("~").split()))
    allowed = allowed - names if value.startswith("~") else allowed | names
  return allowed


def test_unit_allows_the_calls_that_it_makes(root, vdev, tmp_path):
  """A start, an order, a reload and a stop under strace."""
  unit = root.path("/lib/systemd/system/sluiced.service").read_text()
  allowed = allowed_calls(unit)
  assert "mbind" in allowed and "mount" not in allowed
  trace = tmp_path / "trace"
  # strace is this machine's; it follows the program into the clean system.
  process = subprocess.Popen(
      ["strace", "-f", "-qq", "-c", "-U", "name", "-o", str(trace),
       *root.command("sluiced", "-c", vdev)],
      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
      stderr=subprocess.STDOUT)
  try:
    wait_for("sluiced", lambda: root.run("sluicectl", "-s", "info",
                                         check=False).returncode == 0)
    root.run("sluicectl", "-f", "/etc/sluice/pf.conf")
    children = pathlib.Path(
        f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    (daemon,) = map(int, children.split())
    os.kill(daemon, signal.SIGHUP)
    wait_for("the reload", lambda: "generation" in root.path(
        "/var/log/sluice/sluiced.log").read_text().split("SIGHUP")[-1])
    os.kill(daemon, signal.SIGTERM)
    process.wait(60)
  finally:
    if process.poll() is None:
      process.kill()
      process.wait()
  calls = {line.strip() for line in trace.read_text().splitlines()
           if re.fullmatch(r"\s*[a-z_0-9]+\s*", line)} - {"syscall", "total"}
  assert {"mmap", "epoll_wait", "bind"} <= calls, calls
  # Those of unshare, mount and chroot before it, not the daemon's.
  others = {"mount", "unshare", "chroot", "vfork", "setns"}
  # DPDK's virtio driver asks for I/O ports as soon as it is loaded, and does
  # without when it is refused, as every user but root is.
  others.add("iopl")
  assert calls - others - allowed == set()


# ---- Under a booted systemd ------------------------------------------------


def test_an_operators_day(root, tmp_path):
  """With SLUICE_WRITE_DAY=docs/first-day.md it writes that page anew."""
  kept = {name: root.path(f"/etc/sluice/{name}").read_text()
          for name in ("sluice.toml", "pf.conf")}
  with booted.Booted(root, tmp_path / "boot.log") as system:
    try:
      text = operators_day.run(system, root)
    finally:
      print("\n".join(system.transcript))
  assert "# sluicectl --rollback 1\n" in text
  if "SLUICE_WRITE_DAY" in os.environ:
    pathlib.Path(os.environ["SLUICE_WRITE_DAY"]).write_text(text)
  for name, content in kept.items():
    root.path(f"/etc/sluice/{name}").write_text(content)
  shutil.rmtree(root.path("/etc/systemd/system/sluiced.service.d"))


def repacked(package, folder, number):
  """The same package with another version."""
  tree = folder / "tree"
  run("dpkg-deb", "--raw-extract", package, tree)
  control = tree / "DEBIAN" / "control"
  control.write_text(re.sub(r"^Version: .*$", f"Version: {number}",
                            control.read_text(), flags=re.M))
  run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree,
      folder / "new.deb")
  shutil.rmtree(tree)
  return folder / "new.deb"


def test_upgrade_and_removal_of_a_running_firewall(root, package, tmp_path):
  shutil.copy(repacked(package, tmp_path, version() + "+next"),
              root.path("/next.deb"))
  configuration = root.path("/etc/sluice/sluice.toml")
  shipped = configuration.read_text()
  # As shipped, but for the ports: this machine has not those NICs.
  text = shipped.replace('hugepages = "yes"', 'hugepages = "no"')
  for number in range(2):
    text = text.replace(f'"0000:03:00.{number}"', f'"net_null{number},no-rx=1"')
  configuration.write_text(text.replace(
      "[workers]", "[memory]\nstates = 4096\n[workers]\npin = false"))
  rules = root.path("/etc/sluice/pf.conf")
  rules.write_text("table <bad> persist\nblock in from <bad>\npass\n")
  with booted.Booted(root, tmp_path / "boot.log") as system:
    try:
      _upgrade_and_remove(system, root, rules, configuration, text)
    finally:
      print("\n".join(system.transcript))
  assert not root.path("/run/sluice/control.sock").exists()


def _upgrade_and_remove(system, root, rules, configuration, text):
  def unit(*names):
    shown = system.run("systemctl", "show", "sluiced", *(
        f"--property={name}" for name in names)).stdout
    return [dict(line.split("=", 1) for line in shown.split("\n") if line)[n]
            for n in names]

  def bad():
    return system.run("sluicectl", "-t", "bad", "-T", "show").stdout.split()

  # Whoever has not enabled it has not got it running.
  assert unit("ActiveState") == ["inactive"]
  system.run("systemctl", "start", "sluiced")
  first, = unit("MainPID")
  folder = root.path("/var/lib/sluice").stat()
  assert folder.st_mode & 0o777 == 0o750
  system.run("sluicectl", "-t", "bad", "-T", "add", "192.0.2.7")
  system.run("systemctl", "reload", "sluiced")
  # A reload with errors fails, and what holds still holds.
  good = rules.read_text()
  rules.write_text(good + "block in on on\n")
  done = system.run("systemctl", "reload", "sluiced", check=False)
  assert done.returncode != 0
  assert unit("ActiveState", "MainPID") == ["active", first]
  assert "block" in system.run("sluicectl", "-s", "rules").stdout
  rules.write_text(good)

  # An upgrade goes on with what was there.
  system.run("dpkg", "--install", "/next.deb")
  assert unit("ActiveState") == ["active"]
  second, = unit("MainPID")
  assert second != first
  assert bad() == ["192.0.2.7"]
  # What is in force is not the file any more, and the log says so.
  rules.write_text("pass\n")
  system.run("systemctl", "restart", "sluiced")
  assert bad() == ["192.0.2.7"]
  assert "pf.conf differs from the ruleset in force" in system.journal()
  rules.write_text(good)
  system.run("systemctl", "restart", "sluiced")
  assert "differs" not in system.journal().split("stopped")[-1]

  # Who has stopped it finds it stopped, whatever is installed.
  system.run("systemctl", "stop", "sluiced")
  system.run("dpkg", "--install", "/sluice.deb")
  assert unit("ActiveState") == ["inactive"]

  # What the machine lacks is not tried again and again.
  configuration.write_text(text.replace("net_null1", "net_nul1"))
  assert system.run("systemctl", "start", "sluiced",
                    check=False).returncode != 0
  time.sleep(3)
  assert unit("ActiveState", "ExecMainStatus", "NRestarts") == [
      "failed", "4", "0"]
  assert "did you mean 'net_null'" in system.journal()
  configuration.write_text(text)

  system.run("systemctl", "enable", "--now", "sluiced")
  third, = unit("MainPID")
  system.run("dpkg", "--remove", "sluice")
  assert not pathlib.Path(f"{root.folder}/usr/sbin/sluiced").exists()
  assert system.run("pidof", "sluiced", check=False).returncode != 0
  assert system.run("kill", "-0", third, check=False).returncode != 0


def test_purge_leaves_nothing(root):
  """Last: it takes the package away."""
  root.run("dpkg", "--purge", "sluice")
  left = [f for f in contents.PACKAGED if root.path(f).exists()]
  assert left == []
  for folder in ("/etc/sluice", "/var/lib/sluice", "/var/log/sluice",
                 "/run/sluice"):
    assert not root.path(folder).exists(), folder
  links = root.path("/etc/systemd/system")
  assert [p for p in links.rglob("*") if "sluice" in p.name] == []
