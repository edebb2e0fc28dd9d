"""The web page in Chromium."""

import time

import pytest

from harness import NEIGHBOURS, SERVERS, wait_for
from questions import ask, start_echo

_PAGE = "http://127.0.0.1:8469/"
_RULES = """\
table <friends> persist { 10.0.0.2, fd00::2 }
block all
pass proto udp from <friends> to port 7 label "echo"
anchor "guests" {
  pass in proto tcp to port 8080
}
""" + NEIGHBOURS
_WIDTHS = (320, 768, 1440)
_TAB, _ENTER = "\ue004", "\ue007"

# Of the colours of an element and of what is behind it (WCAG 2.1, 1.4.3).
_CONTRAST = """
const linear = c => (c /= 255) <= 0.04045 ? c / 12.92
  : ((c + 0.055) / 1.055) ** 2.4;
const parts = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) =>
  0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const ground = node => {
  for (; node; node = node.parentElement) {
    const p = parts(getComputedStyle(node).backgroundColor);
    if (p.length === 3 || p[3] > 0) return p;
  }
  return [255, 255, 255];
};
let worst = [99, ""];
for (const node of document.querySelectorAll(
    "h1,h2,dt,dd,small,th,td span,td code,p,a,summary,label,time,li,select," +
    "svg text,#told")) {
  if (!node.textContent.trim() || node.closest("noscript")) continue;
  const style = getComputedStyle(node);
  const a = light(parts(node instanceof SVGElement ? style.fill : style.color));
  const b = light(ground(node));
  const of = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (of < worst[0]) worst = [of, node.outerHTML.slice(0, 80)];
}
return worst;
"""


def start(firewall, **options):
  return firewall(_RULES, extra='[web]\nlisten = "127.0.0.1:8469"\n', **options)


def open_page(browser):
  browser.open(_PAGE)
  browser.wait("a look", 'return document.querySelector("#as-of")'
                         '.textContent.startsWith("As of ")')


def rows(browser, table):
  return browser.run(
      "return [...document.querySelectorAll('#' + arguments[0] + ' tr')].map("
      "tr => [...tr.children].map(td => td.firstChild.textContent))", table)


def test_shows_what_there_is(network, firewall, browser, family):
  fw = start(firewall, workers=2)
  network.settle()
  start_echo(network)
  open_page(browser)
  assert ask(network, family, 20000, 20) == 20
  assert ask(network, family, 30000, 5, port=8, wait_s=0) == 0
  states = browser.wait("the states", """
      const rows = document.querySelectorAll("#t-states tr");
      return rows.length >= 25 && [...rows].map(r => r.textContent);""")
  assert any(SERVERS[family] in s and "udp" in s for s in states)
  wait_for("the drops", lambda: any(
      r[0] == "match" and r[1] != "0" for r in rows(browser, "t-drops")))
  assert [r[0] for r in rows(browser, "t-workers")] == ["0", "1"]
  assert any("label \"echo\"" in r[1] and r[3] != "0"
             for r in rows(browser, "t-rules"))
  assert rows(browser, "t-tables")[0][:2] == ["friends", "2"]
  assert "commit: load" in browser.text("#t-times") or browser.text(
      "#t-times").count("commit") >= 1
  assert {r[0] for r in rows(browser, "t-ports")} == {"inside", "outside"}
  picture = browser.text("#picture")
  assert "inside" in picture and "outside" in picture and "filter main" in picture
  # A state that is looked for, and one of which there is none.
  browser.run("""
      const port = document.querySelector("#port");
      port.value = "8"; port.dispatchEvent(new Event("change"));""")
  wait_for("no state", lambda: rows(browser, "t-states") == [])
  assert "No state fits" in browser.text("#states-note")
  browser.run("""
      const port = document.querySelector("#port");
      port.value = "x"; port.dispatchEvent(new Event("change"));""")
  wait_for("the mistake", lambda: "not a number" in browser.text("#states-note"))
  # An anchor by its button, and back.
  browser.run("""
      document.querySelector("#t-rules button").click();""")
  wait_for("the anchor", lambda: browser.text("#anchor") == "guests")
  wait_for("its rules", lambda: [r[1] for r in rows(browser, "t-rules")] == [
      "pass in proto tcp from any to any port = 8080 flags S/SA"])
  browser.run('document.querySelector("#up").click();')
  wait_for("the main ruleset",
           lambda: browser.text("#anchor") == "the main ruleset")
  # Another filter.
  (fw.work / "vm.conf").write_text("block in proto tcp\n")
  fw.ctl("filter", "create", "vm-1", "--ports", "tap1", "--ruleset",
         fw.work / "vm.conf")
  browser.wait("the filter", """
      return [...document.querySelector("#filter").options].some(
          o => o.value === "vm-1");""")
  browser.run("""
      const s = document.querySelector("#filter");
      s.value = "vm-1"; s.dispatchEvent(new Event("change"));""")
  wait_for("its rules", lambda: [r[1] for r in rows(browser, "t-rules")] == [
      "block drop in proto tcp all"])
  assert browser.run("return location.search") == "?filter=vm-1"
  # It goes: the page is main's again.
  fw.ctl("filter", "destroy", "vm-1")
  wait_for("main", lambda: browser.run(
      'return document.querySelector("#filter").value') == "main")
  # It has asked the daemon and nobody else, and nothing was refused it.
  asked = [u for u in browser.requests() if not u.startswith(("chrome", "data:",
                                                             "about:"))]
  assert asked and all(u.startswith(_PAGE) for u in asked)
  bad = [m for m in browser.messages("browser")
         if m["level"] == "SEVERE" and "status of 4" not in m["message"]]
  assert not bad


def test_texts_of_others_are_text(network, firewall, browser):
  del network
  label = "<img src=x onerror=alert(1)>"
  firewall(f'pass all label "{label}"\n',
           extra='[web]\nlisten = "127.0.0.1:8469"\n')
  open_page(browser)
  wait_for("the rule", lambda: any(
      label in r[1] for r in rows(browser, "t-rules")))
  assert browser.run("return document.images.length") == 0
  # Nor would the browser let anybody make HTML of it, or run what is not the
  # page's own.
  for script in ('document.body.innerHTML = "<b>x</b>"; return 1;',
                 'document.body.insertAdjacentHTML("beforeend", "<b>"); '
                 'return 1;'):
    with pytest.raises(AssertionError, match="TrustedHTML"):
      browser.run(script)
  assert browser.run("""
      const s = document.createElement("style");
      s.textContent = "h1 { color: rgb(1, 2, 3) }";
      document.head.append(s);
      return getComputedStyle(document.querySelector("h1")).color;
      """) != "rgb(1, 2, 3)"


def test_a_daemon_that_is_gone(network, firewall, browser):
  del network
  fw = start(firewall)
  open_page(browser)
  fw.stop()
  status = wait_for("the error", lambda: (
      browser.text("#status") if "has not answered" in browser.text("#status")
      else None))
  assert "systemctl status sluiced" in status
  assert browser.run('return document.body.classList.contains("old")')
  # What was known stays.
  assert rows(browser, "t-ports")
  fw.start()
  wait_for("an answer", lambda: browser.text("#status") == "")
  assert not browser.run('return document.body.classList.contains("old")')


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_can_be_read(network, firewall, browser, dark):
  fw = start(firewall)
  network.settle()
  start_echo(network)
  assert ask(network, 6, 20000, 20) == 20
  fw.ctl("filter", "create", "a-filter-with-a-name-of-31-char", "--ports",
         "tap1")
  open_page(browser)
  for width in _WIDTHS:
    browser.shape(width, 800, dark)
    browser.wait("a look at this width", """
        const box = document.querySelector("#picture").getAttribute("viewBox");
        return box && Number(box.split(" ")[2]) <= innerWidth;""")
    # Nothing sticks out.
    assert browser.run(
        "return document.documentElement.scrollWidth <= innerWidth"), width
    assert browser.run("""
        return [...document.querySelectorAll("section, select, button, input")]
          .filter(n => n.getBoundingClientRect().right > innerWidth + 0.5)
          .map(n => n.outerHTML.slice(0, 80));""") == [], width
    contrast, where = browser.run(_CONTRAST)
    assert contrast >= 4.5, where
  ground = browser.run("""
      return getComputedStyle(document.documentElement).backgroundColor
        .match(/\\d+/g).map(Number);""")
  assert (max(ground) < 64) if dark else (min(ground) > 191)


def test_nothing_jumps(network, firewall, browser, family):
  start(firewall)
  network.settle()
  start_echo(network)
  browser.shape(1440, 900)
  open_page(browser)
  places = """
      return [...document.querySelectorAll("section, h2, nav, select, button, .scroll")]
        .filter(n => !n.closest("table"))
        .map(n => [n, n.getBoundingClientRect()])
        .map(([n, b]) => [n.id || n.ariaLabel || n.textContent.slice(0, 20),
                          Math.round(b.top + scrollY), Math.round(b.height)]);
      """
  before = browser.run(places)
  for port in (20000, 21000, 22000):
    assert ask(network, family, port, 20) == 20
    assert ask(network, family, port + 500, 5, port=8, wait_s=0) == 0
  wait_for("the states", lambda: len(rows(browser, "t-states")) == 25)
  wait_for("the drops", lambda: len(rows(browser, "t-drops")) >= 1)
  assert browser.run(places) == before
  # Rows of the same state stay the same elements.
  browser.run("""
      window.kept = document.querySelector("#t-workers tr");
      window.seen = document.querySelector("#as-of").textContent;""")
  browser.wait("the next look", """
      return document.querySelector("#as-of").textContent !== window.seen;""")
  assert browser.run(
      'return document.querySelector("#t-workers tr") === window.kept')


def test_by_keyboard(network, firewall, browser):
  del network
  start(firewall)
  browser.shape(1440, 900)
  open_page(browser)
  visited = []
  for _ in range(60):
    browser.press(_TAB)
    at = browser.run("""
        const n = document.activeElement, b = n.getBoundingClientRect();
        return [n.id || n.getAttribute("aria-label") || n.textContent.trim(),
                getComputedStyle(n).outlineStyle, b.width > 0, n.tagName];""")
    if at[3] == "BODY":
      break
    visited.append(at[0])
    assert at[1] != "none" and at[2], at
    if at[0] == "pause":
      browser.press(_ENTER)
      wait_for("a pause",
               lambda: browser.text("#status").startswith("Paused at "))
      assert browser.run("return document.querySelector('#pause')"
                         ".getAttribute('aria-pressed')") == "true"
      held = browser.text("#status")
      time.sleep(2.5)
      assert browser.text("#status") == held
      browser.press(_ENTER)
      wait_for("to go on", lambda: browser.text("#status") == "")
  assert visited[0] == "To the numbers"
  for place in ("filter", "pause", "Ports", "As a table", "sort", "limit",
                "host", "port", "States", "Rules", "Tables", "Changes", "Drops",
                "Workers"):
    assert place in visited, visited
