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
  assert "No such file" in done.stderr and "a.snap" in done.stderr
  assert "the filter was not made" in done.stderr


def test_a_snapshot_that_the_daemon_may_not_read(firewall, tmp_path):
  """The tool passes it, and says how the restore ended."""
  fw = firewall("table <bad> persist { 192.0.2.1 }\nblock in from <bad>\npass\n")
  fw.ctl("-t", "bad", "-T", "add", "198.51.100.7", "2001:db8::7")
  good = tmp_path / "main.snap"
  export(fw, good)
  rules = tmp_path / "vm.conf"
  rules.write_text("table <bad> { 203.0.113.1 }\nblock in from <bad>\npass\n")

  def made(name, port, snapshot, *more):
    return fw.ctl("filter", "create", name, "--ports", port, "--ruleset",
                  rules, "--expect-restore", "--source", snapshot,
                  "--from-filter", "main", *more, check=False)
  done = made("a", "outside", good)
  assert done.returncode == 0, done.stderr
  said = done.stdout + done.stderr
  assert "filter a created" in said and "restored: " in said, said
  # Its own rules, and what had been added at run time.
  table = fw.ctl("--filter", "a", "-t", "bad", "-T", "show").stdout.split()
  assert sorted(table) == ["198.51.100.7", "2001:db8::7", "203.0.113.1"]
  # The file was passed: it may go, and the next incarnation has it still.
  good.rename(tmp_path / "moved.snap")
  fw.ctl("port", "disable", "outside")
  fw.ctl("port", "enable", "outside")
  ends_as(fw, "a", "RESTORED")
  fw.ctl("filter", "destroy", "a")

  bad = bytearray((tmp_path / "moved.snap").read_bytes())
  bad[len(bad) // 2] ^= 1
  broken = tmp_path / "bad.snap"
  broken.write_bytes(bad)
  done = made("b", "outside", broken)
  assert done.returncode == 1
  assert "not restored" in done.stderr, done.stderr
  again = f"sluicectl state import --filter b {broken}"
  assert again in done.stderr, done.stderr
  # As it says, with a better file.
  done = fw.ctl("state", "import", "--filter", "b", "--from-filter", "main",
                tmp_path / "moved.snap", check=False)
  assert done.returncode == 0 and "restored" in done.stdout + done.stderr
  fw.ctl("filter", "destroy", "b")

  # Nobody waits where nobody is to, nor for a port that is not there.
  done = made("c", "outside", broken, "--no-wait")
  assert done.returncode == 0 and "restored" not in done.stdout, done.stdout
  ends_as(fw, "c", "FAILED")
  fw.ctl("port", "disable", "inside")
  done = made("d", "inside", tmp_path / "moved.snap")
  assert done.returncode == 0, done.stderr
  assert "its ports are disabled" in done.stdout + done.stderr
  fw.ctl("port", "enable", "inside")
  ends_as(fw, "d", "RESTORED")


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
  assert "makes another attempt" in failed.stderr
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
