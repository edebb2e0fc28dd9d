"""What the README says to type works as it is typed there."""

import json
import pathlib
import re

import pytest

from harness import BUILD, run

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"

# A machine of its own as far as it goes: networks, processes, what is mounted.
# Nothing of it is left, and nothing of it has a name elsewhere. A person waits
# until sluiced has started; so does this, by the same word.
_BEGIN = """\
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock bin
printf '#!/bin/sh\\nexec "$@"\\n' >bin/sudo
chmod 755 bin/sudo
export PATH=$PWD/bin:{build}:$PATH
ip link set lo up
sleep() {{
  for _ in $(seq 600); do
    ! sluicectl -s info >/dev/null 2>&1 || return 0
    command sleep 0.1
  done
  return 1
}}
set -x
"""
_END = """
set +x
echo "--- the end"
kill $(jobs -p)
wait $(jobs -p)
"""


def blocks(title):
  """The indented blocks of a section."""
  section = README.read_text(encoding="utf-8").split(f"\n## {title}\n")[1]
  section = section.split("\n## ")[0]
  return [re.sub(r"^    ", "", block, flags=re.M) for block in
          re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", section, re.M)]


@pytest.fixture
def typed(tmp_path):
  """Types it all, and questions of the test's own; what it says to these."""
  def type_it(commands, questions=""):
    script = tmp_path / "typed.sh"
    script.write_text(_BEGIN.format(build=BUILD) + commands +
                      "\necho '--- questions'\n" + questions + _END)
    done = run("unshare", "--net", "--mount", "--pid", "--fork",
               "--kill-child", "--mount-proc", "bash", script, timeout=120,
               cwd=tmp_path, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "--- the end" in done.stdout, said
    print(said)
    return done.stdout.split("--- questions\n")[1].split("--- the end")[0]
  return type_it


def test_a_hypervisor_with_one_uplink(typed, tmp_path):
  config, commands, vhost = blocks("A hypervisor with one uplink")
  (tmp_path / "uplink.toml").write_text(
      config + '\n[control]\ndevice_dirs = ["/run/sluice"]\n')
  # The machine itself is another matter (vfio/test_vhost_user.py).
  vhost = "".join(line + "\n" for line in vhost.splitlines()
                  if line.startswith("sudo sluicectl"))
  assert vhost
  said = typed(commands + vhost, "sluicectl --json port list\n"
               "sluicectl --json segment list\n"
               "sluicectl --filter vm1 -s rules\n")
  decoder = json.JSONDecoder()
  ports, at = decoder.raw_decode(said)
  segments, at = decoder.raw_decode(said[at:].lstrip())
  ports = {p["name"]: p for p in ports["ports"]}
  assert set(ports) == {"uplink", "vm1", "vm2", "vm3"}
  segment, = segments["segments"]
  assert segment["name"] == "lan"
  assert {ports[name]["segment"] for name in ("vm1", "vm2", "vm3")} == {"lan"}
  assert "block drop in all" in said


def test_a_router(typed, tmp_path):
  config, commands = blocks("A router")
  (tmp_path / "router.toml").write_text(config)
  said = typed(commands, "ip netns exec client ping -c 2 -W 5 198.51.100.2\n"
               "sluicectl -s states | grep -c icmp\n")
  assert " 2 received" in said
