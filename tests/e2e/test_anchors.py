"""What operators do with anchors, as they do it with pfctl."""

import time

_MAIN = """\
set skip on lo
table <friends> persist { 192.0.2.1, 192.0.2.2 }
anchor { pass in quick from <friends> }
anchor "apps/*"
block in proto tcp to port 23 label "telnet"
pass
"""


def test_anchors_at_run_time(firewall, tmp_path):
  fw = firewall(_MAIN)

  def load(anchor, text, *flags):
    path = tmp_path / "anchor.conf"
    path.write_text(text, encoding="ascii")
    return fw.ctl("-a", anchor, *flags, "-f", path)

  def rules(*flags):
    return fw.ctl(*flags, "-s", "rules").stdout

  # Unnamed anchors stand with their rules, -vv with the sizes of tables.
  assert rules() == """\
anchor all {
  pass in quick from <friends> to any flags S/SA
}
anchor "apps/*" all
block drop in proto tcp from any to any port = 23 label "telnet"
pass all flags S/SA
"""
  assert "<friends:2>" in rules("-vv")

  load("apps/web", 'table <t> { 192.0.2.3 }\n'
       'pass in proto tcp from <t> to port 80 label "web"\n')
  load("apps/dns", "pass in proto udp to port 53\n")
  assert load("apps/dns", "block out\n", "-nv").stdout == "block drop out all\n"
  assert rules("-a", "apps/dns") == "pass in proto udp from any to any port = 53\n"
  assert fw.ctl("-s", "Anchors").stdout == "  apps\n"
  assert fw.ctl("-v", "-s", "Anchors").stdout.split() == [
      "_1", "apps", "apps/dns", "apps/web"]
  assert fw.ctl("-a", "apps", "-s", "Anchors").stdout.split() == [
      "apps/dns", "apps/web"]
  web = """\
anchor "web" all {
  pass in proto tcp from <t> to any port = 80 flags S/SA label "web"
}
"""
  dns = """\
anchor "dns" all {
  pass in proto udp from any to any port = 53
}
"""
  assert rules("-a", "apps/*") == dns + web
  nested = "".join(f"  {line}\n" for line in (dns + web).splitlines())
  assert f'anchor "apps/*" all {{\n{nested}}}\n' in rules("-a", "*")
  assert fw.ctl("-s", "labels").stdout.split()[0] == "telnet"
  labels = fw.ctl("-a", "*", "-s", "labels").stdout.splitlines()
  assert [line.split()[0] for line in labels] == ["telnet", "web"]
  assert fw.ctl("-s", "Tables").stdout == "friends\n"
  assert fw.ctl("-a", "apps/web", "-s", "Tables").stdout == "t\n"
  assert fw.ctl("-a", "*", "-s", "Tables").stdout.split() == ["friends", "t"]

  # A load of the main ruleset leaves them alone.
  fw.ctl("-t", "t", "-a", "apps/web", "-T", "add", "192.0.2.4")
  fw.load(_MAIN)
  assert rules("-a", "apps/*") == dns + web
  assert fw.ctl("-a", "apps/web", "-t", "t", "-T", "show").stdout.split() == [
      "192.0.2.3", "192.0.2.4"]

  # A flush takes what it is asked for.
  done = fw.ctl("-a", "apps/dns", "-F", "rules")
  assert "rules cleared" in done.stdout + done.stderr
  # Empty, and called by no name: it is gone.
  done = fw.ctl("-a", "apps/dns", "-s", "rules", check=False)
  assert done.returncode == 1
  assert "web" in rules("-a", "apps/*")
  done = fw.ctl("-a", "apps/web", "-F", "all")
  assert "1 tables deleted" in done.stdout + done.stderr
  load("apps/web", "pass in proto tcp to port 80\n")
  assert fw.ctl("-a", "*", "-F", "rules").stdout.startswith("Removing:\n  /\n")
  assert rules() == ""
  assert fw.ctl("-a", "apps/web", "-s", "rules", check=False).returncode == 1
  for flags in (("-a", "_1", "-F", "rules"), ("-a", "x", "-F", "states")):
    assert fw.ctl(*flags, check=False).returncode == 1


def test_the_other_verbs(firewall, tmp_path):
  fw = firewall(_MAIN)
  path = tmp_path / "pf.conf"

  # A load says what is not carried out, each time, and -s info knows it.
  path.write_text(_MAIN + "queue q on outside bandwidth 10M default\n"
                  "pass in rtable 1\n", encoding="ascii")
  assert fw.ctl("-nf", path, check=False).returncode == 1
  assert fw.ctl("-f", path, check=False).returncode == 1
  done = fw.ctl("-vf", path, "--without", "rtable")
  assert "left out as asked: rtable" in done.stderr
  assert "changes no verdict, not carried out: queue" in done.stderr
  assert done.stdout == fw.ctl("-nvf", path, "--without", "rtable").stdout
  info = fw.ctl("-s", "info").stdout
  assert "rtable: rules with it are loaded without it" in info
  assert "queue: changes no verdict" in info

  done = fw.ctl("-t", "friends", "-T", "add", "192.0.2.7", "192.0.2.7")
  assert "1/2 addresses added." in done.stdout + done.stderr
  done = fw.ctl("-v", "-t", "friends", "-T", "add", "192.0.2.8", "192.0.2.8")
  assert "A  192.0.2.8\nX  192.0.2.8\n" in done.stdout
  fw.ctl("-t", "friends", "-T", "replace", "10.0.0.0/8", "10.0.0.0/24", "!!10.0.0.1")
  assert fw.ctl("-t", "friends", "-T", "show").stdout.split() == [
      "10.0.0.0/24", "10.0.0.0/8", "10.0.0.1"]
  done = fw.ctl("-t", "absent", "-T", "kill")
  assert "0 table deleted." in done.stdout + done.stderr

  # What is in it for longer than a second goes, what was zeroed since stays.
  fw.ctl("-t", "friends", "-T", "replace", "10.0.0.1", "10.0.0.2")
  time.sleep(2.5)
  done = fw.ctl("-t", "friends", "-T", "zero", "10.0.0.2", "10.0.0.9")
  assert "1/2 addresses cleared." in done.stdout + done.stderr
  fw.ctl("-t", "friends", "-T", "add", "2001:db8::3")
  done = fw.ctl("-v", "-t", "friends", "-T", "expire", "1")
  assert "1/1 addresses expired." in done.stdout + done.stderr
  assert "D  10.0.0.1\n" in done.stdout
  assert fw.ctl("-t", "friends", "-T", "show").stdout.split() == [
      "10.0.0.2", "2001:db8::3"]
  shown = fw.ctl("-v", "-t", "friends", "-T", "show").stdout
  assert shown.count("Cleared:") == 2 and " 1970" not in shown

  assert fw.ctl("-s", "Running").stdout == "Enabled\n"
  fw.ctl("-d")
  assert fw.ctl("-s", "Running", check=False).stdout == "Disabled\n"
  assert fw.ctl("-s", "Running", check=False).returncode == 1
  fw.ctl("-e")
  done = fw.ctl("-x", "notice")
  assert "debug level set to 'notice'" in done.stdout + done.stderr
  assert "Debug: notice" in fw.ctl("-s", "info").stdout
  for flags in (("-k", "gateway", "-k", "192.0.2.1"),
                ("-k", "key", "-k", "udp 192.0.2.1:7 -> 192.0.2.2:7"),
                ("-M", "-k", "192.0.2.1")):
    done = fw.ctl(*flags)
    assert "killed 0 states" in done.stdout + done.stderr
  assert fw.ctl("-k", "key", "-k", "udp nonsense", check=False).returncode == 1
  # The options go back to their defaults; the rules stay.
  fw.ctl("-F", "Reset")
  assert "telnet" in fw.ctl("-s", "rules").stdout


def test_counters_begin_at_zero_on_a_load(network, firewall):
  from test_daemon import ask, start_echo
  rules = "pass\npass quick proto udp to port 7 label echo\n"
  fw = firewall(rules)
  network.settle()
  start_echo(network)

  def packets():
    return int(fw.ctl("-s", "labels").stdout.split()[2])

  assert ask(network, 4, 20000, 3) == 3
  assert packets() > 0
  fw.load(rules)
  assert packets() == 0
  assert ask(network, 4, 20100, 2) == 2
  before = packets()
  assert before > 0
  fw.load("set keepcounters\n" + rules)
  assert packets() == before
  # They do not come back after another ruleset, either.
  fw.load("pass\n")
  fw.load(rules)
  assert packets() == 0


def test_match_counts_what_rules_decide(network, firewall):
  from test_daemon import ask, start_echo
  fw = firewall("pass quick proto udp to port 7 no state\nblock\n")
  network.settle()
  start_echo(network)

  def match():
    line = next(l for l in fw.ctl("-s", "info").stdout.splitlines()
                if l.split()[:1] == ["match"])
    return int(line.split()[1])

  before = match()
  ask(network, 4, 20000, 3)
  # Two judgements of each request, and one of each answer, which is blocked.
  assert match() - before >= 9
  fw.ctl("-F", "info")
  assert match() < before + 9
