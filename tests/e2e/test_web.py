"""The web page and what it asks, without a browser: tests/e2e/browser has one."""

import html.parser
import json
import os
import re
import stat
import subprocess
import time

import pytest

from harness import (BUILD, NEIGHBOURS, SERVERS, check_silent_clients,
                     wait_for)
from questions import ask, start_echo

_RULES = """\
table <friends> persist { 10.0.0.2, fd00::2 }
block all
pass proto udp from <friends> to port 7 label "echo"
anchor "guests/*"
""" + NEIGHBOURS


class Page(html.parser.HTMLParser):
  """The elements of a page."""

  def __init__(self, text):
    super().__init__()
    self.elements = []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))

  def all(self, attribute):
    return [a[attribute] for _, a in self.elements if attribute in a]


class Web:
  """What a daemon serves at `listen`, asked in the firewall's namespace."""

  def __init__(self, fw, listen):
    self._fw = fw
    self._how = []
    self._base = f"http://{listen}"
    if "/" in str(listen):
      self._how = ["--unix-socket", listen]
      self._base = "http://localhost"

  def get(self, path, *words, check=True):
    """Status, headers by small names, and body."""
    done = self._fw.network.firewall.run(
        "curl", "-sS", "-i", "--path-as-is", "--max-time", 20, *words,
        *self._how, self._base + path, check=check)
    head, _, body = done.stdout.partition("\n\n")
    lines = head.splitlines()
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body

  def ask(self, question):
    status, _, body = self.get("/api/" + question)
    assert status == 200, body
    return json.loads(body)["answer"]


def start(firewall, listen, more="", rules=_RULES, **options):
  fw = firewall(rules, extra=f'[web]\nlisten = "{listen}"\n{more}', **options)
  return fw, Web(fw, listen)


@pytest.mark.parametrize("listen", ["127.0.0.1:8469", "[::1]:8469", "unix"])
def test_answers(network, firewall, family, listen, tmp_path):
  path = tmp_path / "web.sock"
  unix = listen == "unix"
  # The namespace has no IPv6 otherwise.
  network.firewall.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")
  fw, web = start(firewall, path if unix else listen,
                  'mode = "0640"\n' if unix else "", workers=2)
  if unix:
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
  network.settle()
  start_echo(network)
  assert ask(network, family, 20000, 20) == 20
  assert ask(network, family, 30000, 5, port=8, wait_s=0) == 0
  time.sleep(1.1)
  assert web.ask("version")["program"] == "sluiced"
  process = web.ask("process")
  assert len(process["workers"]) == 2
  for worker in process["workers"]:
    assert 0 <= worker["busy_us"] <= worker["time_us"]
    assert worker["time_us"] > 0
  info = web.ask("info")
  assert {c["name"]: c["value"] for c in info["drop_counters"]}["match"] >= 5
  assert {p["name"] for p in web.ask("ports")["ports"]} == {"inside", "outside"}
  echo, = (r for r in web.ask("rules")["rules"] if "echo" in r["text"])
  assert echo["in"]["packets"] + echo["out"]["packets"] >= 40
  table, = web.ask("tables")["tables"]
  assert table["name"] == "friends" and table["addresses"] == 2
  states = web.ask("states?sort=bytes&limit=3")["states"]
  assert len(states) == 3
  assert states[0]["before"]["destination"] == SERVERS[family]
  assert web.ask(f"states?host={SERVERS[family]}&port=8")["states"] == []
  assert len(web.ask("commits")["commits"]) == 1
  assert web.ask("filters")["filters"][0]["name"] == "main"
  assert web.ask("restores")["restores"][0]["filter"] == "main"
  # The same as the control socket says.
  assert ({(s["id"], s["direction"]) for s in web.ask("states")["states"]} <=
          {(s["id"], s["direction"]) for s in fw.states()})
  # Nothing is changed, whatever is asked.
  before = fw.json("-s", "commits")
  for question in ("ruleset.flush", "states.kill", "flush", "states?kill=1"):
    assert web.get("/api/" + question)[0] in (400, 404)
  assert fw.json("-s", "commits") == before
  fw.stop()
  assert not path.exists()


def test_a_restore_has_its_time(network, firewall, tmp_path):
  fw, web = start(firewall, "127.0.0.1:8469")
  assert "last" not in web.ask("restores")["restores"][0]
  snapshot = tmp_path / "main.snap"
  with snapshot.open("wb") as out:
    subprocess.run([BUILD / "sluicectl", "-p", fw.socket, "state", "export"],
                   stdout=out, check=True, timeout=30)
  began = int(time.time())
  fw.ctl("state", "import", snapshot)
  time.sleep(1.1)
  last = web.ask("restores")["restores"][0]["last"]
  assert last["code"] == "restored"
  assert began <= last["ended"] <= time.time()


def test_who_may_ask(network, firewall, tmp_path):
  del network, tmp_path
  _, web = start(firewall, "127.0.0.1:8469", 'hosts = ["fw.example.net"]\n')
  for host, status in (("localhost:8469", 200), ("127.0.0.1", 200),
                       ("fw.example.net", 200), ("192.0.2.1:80", 200),
                       ("evil.example", 421), ("evil.example:8469", 421),
                       ("localhost.evil.example", 421), ("", 421)):
    for path in ("/", "/api/version"):
      # An empty value with a semicolon sends the header without one.
      word = f"Host: {host}" if host else "Host;"
      got, headers, body = web.get(path, "-H", word)
      assert got == status, (host, body)
      assert headers["x-frame-options"] == "deny"
      if status == 421:
        assert "`hosts` of [web]" in body
  for site, status in (("cross-site", 403), ("same-site", 403),
                       ("same-origin", 200)):
    assert web.get("/api/version", "-H",
                   f"Sec-Fetch-Site: {site}")[0] == status
  for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
    got, headers, _ = web.get("/api/version", "-X", method, "-d", "x=1")
    assert got == 405 and headers["allow"] == "get, head"
  status, headers, body = web.get("/", "--head")
  assert status == 200 and body == ""
  assert int(headers["content-length"]) > 10000
  for path in ("/../../etc/passwd", "/..%2f..%2fetc/passwd", "/api/../metrics",
               "//etc/passwd", "/page.html", "/favicon.ico", "/metrics"):
    got, headers, body = web.get(path)
    assert got == 404, path
    assert "root:" not in body
    assert headers["x-content-type-options"] == "nosniff"
  assert web.get("/", "-H", "X: " + "x" * 40000, check=False)[0] >= 400


def test_the_page(network, firewall, tmp_path):
  del network, tmp_path
  _, web = start(firewall, "127.0.0.1:8469")
  status, headers, text = web.get("/?filter=main")
  assert status == 200
  assert headers["content-type"] == "text/html; charset=utf-8"
  policy = headers["content-security-policy"]
  assert "default-src 'none'" in policy and "unsafe" not in policy
  for name, value in (("cache-control", "no-store"),
                      ("referrer-policy", "no-referrer"),
                      ("cross-origin-resource-policy", "same-origin"),
                      ("cross-origin-opener-policy", "same-origin")):
    assert headers[name] == value
  assert "access-control-allow-origin" not in headers
  page = Page(text)
  ids = page.all("id")
  assert len(ids) == len(set(ids))
  # What labels and scripts name is there.
  for attribute in ("for", "aria-labelledby"):
    assert set(page.all(attribute)) <= set(ids)
  assert {h[1:] for h in page.all("href") if h.startswith("#")} <= set(ids)
  script = text[text.index("<script>"):]
  named = set(re.findall(r'\$\("([\w-]+)"\)', script))
  named |= set(re.findall(r'new Listing\("([\w-]+)"', script))
  assert len(named) > 20 and named <= set(ids)
  # Nothing of it comes from elsewhere.
  assert not page.all("src")
  assert all(h.startswith(("#", "data:")) for h in page.all("href"))
  # All that it asks is answered.
  questions = set(re.findall(r'ask(?:All)?\("(\w+)"', script))
  assert questions == {"version", "process", "info", "filters", "ports",
                       "segments", "states", "rules", "tables", "limits",
                       "commits", "restores"}
  for question in questions:
    web.ask(question)
  # For readers of the screen: a language, a heading a section, tables' names.
  tags = [tag for tag, _ in page.elements]
  assert ("html", {"lang": "en"}) in page.elements
  assert tags.count("h1") == 1 and tags.count("h2") == tags.count("section")
  assert all("aria-label" in a for t, a in page.elements
             if t == "div" and "scroll" in a.get("class", ""))
  assert "noscript" in tags


def test_many_clients_cost_little(network, firewall, family, tmp_path):
  path = tmp_path / "web.sock"
  fw, web = start(firewall, path, "clients = 4\n")
  network.settle()
  start_echo(network)
  orders = lambda: {o["method"]: o["done"]
                    for o in web.ask("process")["orders"]}
  before = orders().get("states.show", 0)
  began = time.monotonic()
  for _ in range(20):
    web.ask("states?sort=age")
  # An answer is good for a second at least; what is asked here, too.
  asked = wait_for("an order", lambda: orders().get("states.show",
                                                    0) - before)
  assert 1 <= asked <= time.monotonic() - began + 2

  def goes_on():
    assert web.get("/")[0] == 200
    assert ask(network, family, 20000, 20) == 20

  check_silent_clients(
      fw, path, (b"", b"GET / HTTP/1.1\r\nHost: a\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), goes_on,
      lambda: network.firewall.run(
          "curl", "-sS", "--max-time", 5, "--unix-socket", path,
          "http://localhost/", check=False).returncode == 0)


def test_off_by_default_and_only_at_loopback(network, firewall, tmp_path):
  fw = firewall("pass\n")
  assert "8469" not in network.firewall.run("ss", "-Hlnt").stdout
  assert not list(tmp_path.glob("web*"))
  text = fw.config.read_text()
  fw.stop()
  config = tmp_path / "remote.toml"
  config.write_text(text + '[web]\nlisten = "0.0.0.0:8469"\n')
  done = network.firewall.run(BUILD / "sluiced", "-c", config, check=False)
  assert done.returncode == 3
  assert "other machines could look" in done.stderr
  assert "remote = true" in done.stderr
