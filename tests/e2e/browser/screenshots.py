#!/usr/bin/python3
"""Makes the pictures in docs/: the web page, `sluicectl top`, the board.

    sudo SLUICE_BUILD_DIR=build /usr/bin/python3 \\
        tests/e2e/browser/screenshots.py [SECONDS]

Traffic of some minutes crosses a wire between two namespaces meanwhile. Needs
the packages of the kind browser, and Prometheus, as tests/run.sh unpacks it.
"""

import html
import pathlib
import re
import subprocess
import sys
import tempfile
import time

_HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]
import harness  # noqa: E402
from board import Board  # noqa: E402
from chromium import Browser  # noqa: E402

_TOP = _HERE.parents[2]
_DOCS = _TOP / "docs"
_PROMETHEUS = harness.BUILD / "unpacked" / "usr" / "bin" / "prometheus"
_SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 320
_RULES = """\
table <customers> persist counters { 10.0.0.0/24, fd00::/64 }
table <bad> persist { 192.0.2.0/24, 198.51.100.0/24, 2001:db8:bad::/48 }
block log all label "default"
block in quick on outside from <bad> label "bad"
pass in on outside proto tcp from <customers> to port { 80 443 5201 } label "web"
pass in on outside proto udp from <customers> to port { 7 53 123 } label "udp"
pass in on outside inet proto icmp icmp-type echoreq label "ping"
pass out on inside
anchor "guests/*"
""" + harness.NEIGHBOURS
_SERVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.0.1", 7))
while True:
  data, peer = s.recvfrom(2048)
  s.sendto(data, peer)
"""
_TALK = """
import random, socket, time, urllib.request
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(30)]
for i in range(10**9):
  random.choice(s).sendto(b"x" * random.randint(20, 900),
                          ("10.0.0.1", random.choice([7, 7, 7, 53, 9, 99])))
  time.sleep(0.004)
  if i % 250 == 0:
    try:
      urllib.request.urlopen("http://10.0.0.1/", timeout=2).read()
    except OSError:
      pass
"""


def traffic(network):
  network.server.start("iperf3", "-s")
  network.server.start(harness.PYTHON, "-c", _SERVE)
  network.server.start(harness.PYTHON, "-m", "http.server", "80", "--bind",
                       "10.0.0.1")
  network.server.wait_for_listener(5201)
  network.server.wait_for_listener(80)
  network.client.start("iperf3", "-c", "10.0.0.1", "-t", "3600", "-b", "15M",
                       "-P", "3")
  network.client.start(harness.PYTHON, "-c", _TALK)
  network.client.start("ping", "10.0.0.1")


def prepare(fw):
  """Some guests on a segment, one of which waits for its restore."""
  for number in (1, 2, 3):
    fw.ctl("port", "add", f"vm-{number}", "--device",
           f"net_null{number},no-rx=1")
  fw.ctl("segment", "add", "guests")
  for number in (1, 2, 3):
    fw.ctl("segment", "attach", "guests", "--port", f"vm-{number}")
  rules = fw.work / "vm.conf"
  rules.write_text("block all\npass out\n")
  fw.ctl("filter", "create", "vm-1", "--ports", "vm-1", "--ruleset", rules)
  fw.ctl("filter", "create", "vm-2", "--ports", "vm-2", "--ruleset", rules,
         "--expect-restore", "--source", fw.work)
  snapshot = fw.work / "main.snap"
  with snapshot.open("wb") as out:
    subprocess.run([harness.BUILD / "sluicectl", "-p", fw.socket, "state",
                    "export"], stdout=out, check=True)
  fw.ctl("state", "import", snapshot)
  fw.load(_RULES)


def terminal(fw, work):
  """The screen of `sluicectl top` as HTML."""
  tmux = ["tmux", "-f", "/dev/null", "-S", str(work / "tmux")]
  subprocess.run(
      [*tmux, "new-session", "-d", "-x", "100", "-y", "30",
       f"LANG=C.UTF-8 {harness.BUILD}/sluicectl -p {fw.socket} top"],
      check=True)
  time.sleep(8)
  shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True,
                         capture_output=True, text=True).stdout
  subprocess.run([*tmux, "kill-server"], check=False)
  words = html.escape(shown)
  styles = {"1": "bold", "7": "reverse", "4": "under"}
  parts, on = [], set()
  for piece in re.split(r"(\x1b\[[\d;]*m|\x1b\(B|\x0f)", words):
    code = re.fullmatch(r"\x1b\[([\d;]*)m", piece)
    if code:
      for one in code[1].split(";"):
        if one in styles:
          on.add(styles[one])
        elif one in ("", "0", "27", "22", "24", "39", "49"):
          on.clear()
    elif piece and piece[0] not in "\x1b\x0f":
      parts.append(f'<span class="{" ".join(sorted(on))}">{piece}</span>')
  return ("<!doctype html><meta charset=utf-8><style>body { margin: 0; "
          "background: #16191c; color: #dfe3e6; } pre { margin: 10px; font: "
          "14px/17px 'DejaVu Sans Mono', monospace; } .bold { font-weight: "
          "bold; } .reverse { background: #dfe3e6; color: #16191c; } .under { "
          "text-decoration: underline; }</style><pre>" + "".join(parts) +
          "</pre>")



def show_page(browser):
  """The page is open for as long as traffic is to be seen."""
  browser.shape(1200, 1330)
  browser.open("http://127.0.0.1:8469/")
  time.sleep(_SECONDS)
  for dark, name in ((False, "web-light.png"), (True, "web-dark.png")):
    browser.shape(1200, 1330, dark)
    time.sleep(5)
    browser.picture(_DOCS / name)
  browser.shape(320, 1500)
  time.sleep(5)
  browser.picture(_DOCS / "web-narrow.png")


def show_file(browser, path, text, width, target):
  path.write_text(text)
  browser.shape(width, 100)
  browser.open(f"file://{path}")
  height = browser.run("return document.documentElement.scrollHeight")
  browser.shape(width, height)
  browser.picture(target)


def main():
  with tempfile.TemporaryDirectory(prefix="sluice-shots.") as folder:
    work = pathlib.Path(folder)
    network = harness.Network(work)
    fw = browser = None
    try:
      fw = harness.Firewall(network, _RULES, work, workers=2, extra="""\
[web]
listen = "127.0.0.1:8469"
[metrics]
listen = "127.0.0.1:9469"
""").start()
      network.settle()
      prepare(fw)
      traffic(network)
      (work / "prometheus.yml").write_text(
          "global: {scrape_interval: 5s}\nscrape_configs:\n"
          "  - job_name: sluice\n    static_configs:\n"
          "      - targets: ['127.0.0.1:9469']\n")
      network.firewall.start(
          _PROMETHEUS, f"--config.file={work}/prometheus.yml",
          f"--storage.tsdb.path={work}/tsdb",
          "--web.listen-address=127.0.0.1:9090")
      browser = Browser(network.firewall, work)
      began = int(time.time()) + 30
      show_page(browser)
      show_file(browser, work / "top.html", terminal(fw, work), 880,
                _DOCS / "top.png")
      board = Board(_TOP / "configs/monitoring/grafana-dashboard.json",
                    network.firewall, "127.0.0.1:9090", "127.0.0.1:9469")
      page, empty = board.page(began, int(time.time()))
      show_file(browser, work / "board.html", page, 960, _DOCS / "board.png")
      print("panels without data:", ", ".join(empty) or "none")
    finally:
      if browser:
        browser.close()
      if fw and fw.process and fw.process.running:
        fw.stop()
      network.close()
  for name in ("web-light", "web-dark", "web-narrow", "top", "board"):
    print(name, (_DOCS / f"{name}.png").stat().st_size)


main()
