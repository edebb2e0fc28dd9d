"""FTP, active and passive, by Python's client and a small server."""

import os

import pytest

from harness import NEIGHBOURS, SERVERS

# Nothing but control connections is allowed.
_RULES = "block all\n" + NEIGHBOURS + "pass proto tcp to port 21\n"


@pytest.fixture
def folder(tmp_path):
  folder = tmp_path / "ftp"
  folder.mkdir()
  (folder / "file").write_bytes(os.urandom(200_000))
  return folder


def serve(network, folder, *options):
  network.server.start_python("small_ftp_server.py", folder, *options)
  network.server.wait_for_listener(21)


def transfer(network, family, mode):
  return network.client.python("ftp_client.py", SERVERS[family], mode, "file",
                               "copy", check=False, timeout=40)


def counter(fw, name):
  counters = fw.json("-s", "info")["info"]["ftp_counters"]
  return next(c["value"] for c in counters if c["name"] == name)


@pytest.mark.parametrize("mode", ("active", "passive"))
@pytest.mark.parametrize("split", ((), ("--split",)))
def test_transfers(network, firewall, folder, family, mode, split):
  fw = firewall(_RULES, helpers=("ftp",))
  serve(network, folder, *split)
  done = transfer(network, family, mode)
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()
  # Three downloads and an upload, judged at both ports.
  assert counter(fw, "matched") == 8
  assert counter(fw, "malformed") == 0
  children = [s for s in fw.states() if s.get("parent")]
  assert children, fw.states()


@pytest.mark.parametrize("mode", ("active", "passive"))
def test_without_the_helper_it_fails(network, firewall, folder, family, mode):
  firewall(_RULES, helpers=())
  serve(network, folder)
  assert transfer(network, family, mode).returncode != 0
  assert not (folder / "copy").exists()
