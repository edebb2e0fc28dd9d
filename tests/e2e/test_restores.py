"""Restores by an operator: what is late, what is wrong, what comes later."""

import json
import signal
import subprocess
import time

from harness import BUILD, wait_for

_RULES = "pass all\n"


def export(fw, path, *options):
  """Writes main's snapshot; what the tool said on standard error."""
  with path.open("wb") as out:
    return subprocess.run(
        [BUILD / "sluicectl", "-p", fw.socket, *options, "state", "export"],
        stdout=out, stderr=subprocess.PIPE, text=True, check=True,
        timeout=20).stderr


def create(fw, name, *options, check=True):
  return fw.ctl("filter", "create", name, "--ports", f"port-{name}",
                "--ruleset", "-", "--expect-restore", *options, input=_RULES,
                check=check)


def status(fw, name):
  (listing,) = fw.json("restore", "status", "--filter", name)["restores"]
  return listing


def ends_as(fw, name, state):
  wait_for(f"{name} {state}", lambda: status(fw, name)["state"] == state)


def test_a_source_that_is_not_there_is_an_error_at_once(firewall, tmp_path):
  fw = firewall(_RULES)
  done = create(fw, "a", "--source", tmp_path / "none", check=False)
  assert done.returncode == 1
  assert "none is not there" in done.stderr and "a.snap" in done.stderr


def test_what_is_waited_for_is_shown_and_taken_late(firewall, tmp_path):
  fw = firewall(_RULES)
  folder = tmp_path / "snapshots"
  folder.mkdir()
  # A port that is there and enabled begins the filter's incarnation.
  fw.ctl("filter", "create", "a", "--ports", "outside", "--ruleset", "-",
         "--expect-restore", "--source", folder, "--from-filter", "main",
         "--restore-give-up", "30", input=_RULES)
  listing = status(fw, "a")
  assert listing["give_up_ms"] == 30_000 and listing["in_folder"]
  text = fw.ctl("restore", "status").stdout
  assert "packets are held for 200 ms" in text and "a.snap in" in text
  snapshot = tmp_path / "main.snap"
  export(fw, snapshot)
  bad = bytearray(snapshot.read_bytes())
  bad[len(bad) // 2] ^= 1
  (tmp_path / "part").write_bytes(bad)
  (tmp_path / "part").rename(folder / "a.snap")
  ends_as(fw, "a", "FAILED")
  assert status(fw, "a")["waits"]["for"] == "a snapshot"
  (tmp_path / "part").write_bytes(snapshot.read_bytes())
  (tmp_path / "part").rename(folder / "a.snap")
  ends_as(fw, "a", "RESTORED")


def test_after_a_bad_snapshot_the_good_one(firewall, tmp_path):
  fw = firewall(_RULES)
  good, bad = tmp_path / "good", tmp_path / "bad"
  export(fw, good)
  bad.write_bytes(good.read_bytes()[:-8])
  failed = fw.ctl("state", "import", bad, check=False)
  assert failed.returncode == 1
  assert "the next import starts another attempt" in failed.stderr
  assert fw.ctl("state", "import", good).returncode == 0
  # Only now another one needs to be meant.
  other = tmp_path / "other"
  export(fw, other)
  conflict = fw.ctl("state", "import", other, check=False)
  assert conflict.returncode == 3 and "--replace" in conflict.stderr


def test_a_snapshot_of_another_filter_has_to_be_meant(firewall, tmp_path):
  fw = firewall(_RULES)
  snapshot = tmp_path / "snapshot"
  report = json.loads(export(fw, snapshot, "--json"))
  assert report["no_sync"] == 0 and report["bytes"] > 0
  fw.ctl("filter", "create", "a", "--ports", "outside", "--ruleset", "-",
         input=_RULES)
  refused = fw.ctl("state", "import", "--filter", "a", snapshot, check=False)
  assert refused.returncode == 1 and "--from-filter main" in refused.stderr
  taken = fw.ctl("state", "import", "--filter", "a", "--from-filter", "main",
                 snapshot)
  assert "restored" in taken.stderr


def test_a_process_that_was_stopped_is_not_late(firewall, tmp_path):
  fw = firewall(_RULES)
  snapshot = tmp_path / "snapshot"
  export(fw, snapshot)
  fw.process.send_signal(signal.SIGSTOP)
  try:
    tool = subprocess.Popen(
        [BUILD / "sluicectl", "-p", fw.socket, "state", "import", snapshot],
        stderr=subprocess.PIPE, text=True)
    time.sleep(6)  # Longer than any deadline of an attempt.
  finally:
    fw.process.send_signal(signal.SIGCONT)
  assert tool.wait(30) == 0, tool.stderr.read()
  tool.stderr.close()
  metrics = fw.ctl("metrics").stdout
  assert "sluice_restore_commits_total 1" in metrics
  assert "sluice_restore_retries_total 0" in metrics
