"""A rack that boots: many clients at once, real servers, and a flood."""

import hashlib
import json
import os
import subprocess

import pytest

from harness import BUILD, NEIGHBOURS, SERVERS, wait_for

pytestmark = pytest.mark.alone

# tests/run.sh long sets it: every server with every number of workers, 64
# clients and 12 files each.
WHOLE = bool(os.environ.get("SLUICE_LONG"))
_CLIENTS, _FILES = (64, 12) if WHOLE else (16, 8)
_WDS = 4

_RULES = ("block all\n" + NEIGHBOURS +
          "pass proto udp to port { 67 69 4011 547 }\n"
          # To hosts that have no address yet.
          "pass proto udp from any port 67 to any port 68\n"
          # Their questions went to a group.
          "pass inet6 proto udp from any port 547 to any port 546\n")
_SMALL = ""
_FIRST = {4: "10.0.0.100", 6: "fd00::1000"}
# Behind the filter, and nobody's.
_NOBODY = {4: "10.0.0.77", 6: "fd00::77"}

SERVER_KINDS = ("tftpd-hpa", "atftpd", "dnsmasq", "dnsmasq-one-port", "port-69")


@pytest.fixture
def folder(tmp_path):
  """Files of many sizes, with empty last blocks among them."""
  folder = tmp_path / "tftp"
  folder.mkdir(mode=0o755)
  sizes = (0, 1, 512, 513, 1428, 1024 * 4, 1400 * 3, 600 * 5, 5000, 9000,
           12000, 20000)
  digests = {}
  for number, size in enumerate(sizes):
    name = f"file{number}"
    (folder / name).write_bytes(os.urandom(size))
    (folder / name).chmod(0o644)
    digests[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
  (tmp_path / "digests").write_text(json.dumps(digests))
  # Servers give up their rights and must still reach the files.
  for above in (tmp_path, *tmp_path.parents[:3]):
    if os.stat(above).st_uid == 0 and str(above).count("/") > 1:
      above.chmod(0o755)
  return folder


def start_server(network, kind, folder):
  server = network.server
  if kind == "tftpd-hpa":
    server.start("in.tftpd", "--foreground", "--user", "root", "--address",
                 ":69", "--secure", folder)
  elif kind == "atftpd":
    # It has one socket, and as a daemon binds none of IPv6's. Debian's packages
    # of the two servers exclude each other: unpacked by tests/run.sh
    # (unpack_packages in configs/lib.sh).
    for address in SERVERS.values():
      server.start_python(
          "inetd_udp.py", address, 69, BUILD / "unpacked/usr/sbin/atftpd",
          "--logfile", "-", "--user", "root", "--group", "root", "--maxthread",
          "500", folder)
  elif kind.startswith("dnsmasq"):
    server.start("dnsmasq", "--no-daemon", "--port=0", "--conf-file=/dev/null",
                 "--user=root", "--enable-tftp", f"--tftp-root={folder}",
                 "--tftp-max=500", "--pid-file=",
                 *(["--tftp-single-port"] if kind.endswith("one-port")
                   else []))
  else:
    server.start_python("single_port_tftp.py", folder)
  server.wait_for_listener(69, udp=True)
  server.start_python("boot_server.py")
  for port in (67, 4011, 547):
    server.wait_for_listener(port, udp=True)


class Rack:
  """The clients and the flood, until all have what they asked for."""

  def __init__(self, network, family, tmp_path):
    self.network = network
    self.family = family
    self.digests = tmp_path / "digests"
    length = 24 if family == 4 else 64
    batch = tmp_path / "addresses"
    prefix, last = ("10.0.0.", 100) if family == 4 else ("fd00::", 0x1000)
    batch.write_text("".join(
        f"address replace {prefix}{format(last + i, 'd' if family == 4 else 'x')}"
        f"/{length} dev eth0 {'nodad' if family == 6 else ''}\n"
        for i in range(_CLIENTS)))
    network.client.run("ip", "-batch", batch)
    link = json.loads(network.server.run("ip", "-json", "link", "show",
                                         "eth0").stdout)[0]["address"]
    self.flood = network.client.start_python(
        "boot_flood.py", "--to", _NOBODY[family], "--mac", link)

  def boot(self, pause=0):
    self.clients = self.network.client.start_python(
        "boot_clients.py", "--server", SERVERS[self.family], "--first",
        _FIRST[self.family], "--clients", _CLIENTS, "--files", _FILES, "--wds",
        _WDS, "--pause", pause, "--digests", self.digests)

  def finish(self):
    status = self.clients.wait(600)
    assert status == 0, self.clients.text()
    self.flood.stop()
    flood = json.loads(self.flood.text())
    done = json.loads(self.clients.text())
    assert done["asked"] == _CLIENTS * _FILES
    assert done["arrived"] == done["asked"], done
    assert flood["sent"] > 0.5 * 1000 * flood["seconds"], flood
    return done, flood


def tftp(fw):
  return {c["name"]: c["value"]
          for c in fw.json("-s", "info")["info"]["tftp_counters"]}


def start_firewall(firewall, workers, tmp_path, kept=False):
  return firewall(
      _RULES, workers=workers, states=200_000,
      extra=(f'\n[state]\ndir = "{tmp_path / "state"}"\ninterval = 1\n'
             if kept else ""))


def cases():
  if WHOLE:
    return [(kind, workers) for kind in SERVER_KINDS for workers in (1, 2)]
  return [(kind, 1 + number % 2) for number, kind in enumerate(SERVER_KINDS)]


@pytest.mark.parametrize("kind,workers", cases())
def test_every_file_arrives(network, firewall, folder, family, tmp_path, kind,
                            workers):
  fw = start_firewall(firewall, workers, tmp_path)
  start_server(network, kind, folder)
  rack = Rack(network, family, tmp_path)
  rack.boot()
  done, flood = rack.finish()
  counters = tftp(fw)
  print("campaign", kind, f"IPv{family}", f"workers={workers}",
        json.dumps({k: done[k] for k in done if k != "errors"}),
        "flood", json.dumps(flood),
        json.dumps({k: v for k, v in counters.items() if v}))
  if kind not in ("dnsmasq-one-port", "port-69"):
    assert counters["matched"] >= done["asked"]
  assert counters["refused_full"] == 0
  text = fw.ctl("-s", "info").stdout
  metrics = fw.ctl("metrics").stdout
  for name in ("refused_full", "refused_children", "unrelated", "malformed"):
    assert name in text
    assert f'event="{name}"' in metrics
  assert "sluice_filter_tftp_expectations" in metrics


@pytest.mark.parametrize("workers", [1, 2] if WHOLE else [2])
def test_through_a_hot_restart(network, firewall, folder, family, tmp_path,
                               workers):
  fw = start_firewall(firewall, workers, tmp_path, kept=True)
  start_server(network, "tftpd-hpa", folder)
  rack = Rack(network, family, tmp_path)
  rack.boot(pause=0.6)
  for _ in range(2):
    before = tftp(fw)["matched"]
    wait_for("transfers", lambda: tftp(fw)["matched"] > before + 20)
    fw.stop()
    fw.start()
  rack.finish()


@pytest.mark.parametrize("workers", [1, 2] if WHOLE else [1])
def test_through_a_restore(network, firewall, folder, family, tmp_path,
                           workers):
  """States and policy are exported amid the boot, thrown away, and imported."""
  fw = start_firewall(firewall, workers, tmp_path)
  start_server(network, "dnsmasq", folder)
  rack = Rack(network, family, tmp_path)
  rack.boot(pause=0.6)
  wait_for("transfers", lambda: tftp(fw)["matched"] > 40)
  path = tmp_path / "main.snapshot"
  with path.open("wb") as out:
    subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "state", "export"],
                   stdout=out, stderr=subprocess.DEVNULL, check=True,
                   timeout=60)
  fw.ctl("-F", "states")
  done = fw.ctl("state", "import", path, check=False, timeout=60)
  assert done.returncode == 0, done.stderr
  rack.finish()


def test_few_forged_sources_shut_nobody_out(network, firewall, folder, family,
                                            tmp_path):
  """Sixteen addresses at a rate that fills a small table."""
  fw = firewall(_RULES, states=200_000, extra=_SMALL)
  start_server(network, "tftpd-hpa", folder)
  rack = Rack(network, family, tmp_path)
  wait_for("expectations", lambda: tftp(fw)["in_use"] > 500)
  rack.boot()
  rack.finish()
