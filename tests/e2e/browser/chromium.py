"""Chromium without a screen, by the WebDriver protocol.

The browser and its driver run in a network namespace of the test, and see
nothing but what is there.
"""

import base64
import json
import pathlib

from harness import run, wait_for

_PORT = 9515


class Browser:
  """One window. `namespace` is where it runs, `work` a folder for its files."""

  def __init__(self, namespace, work):
    self._namespace = namespace
    self._driver = namespace.start(
        "env", f"HOME={work}", f"TMPDIR={work}", "chromedriver",
        f"--port={_PORT}", "--allowed-ips=127.0.0.1")
    namespace.wait_for_listener(_PORT)
    wait_for("chromedriver", lambda: self._ask("GET", "/status")["ready"])
    options = {
        "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                 "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--no-first-run", "--disable-background-networking",
                 f"--user-data-dir={work}/profile"]}
    made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
        "browserName": "chrome", "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
    self._session = f"/session/{made['sessionId']}"

  def _ask(self, method, path, body=None):
    words = ["curl", "-sS", "--max-time", 60, "-X", method,
             f"http://127.0.0.1:{_PORT}{path}"]
    more = {}
    if method == "POST":
      words += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
      more["input"] = json.dumps(body or {})
    done = run(*self._namespace.command(*words), timeout=90, **more)
    value = json.loads(done.stdout)["value"]
    if isinstance(value, dict) and "error" in value:
      raise AssertionError(f"{path}: {value['error']}: {value['message']}")
    return value

  def _do(self, path, body=None):
    return self._ask("POST", self._session + path, body)

  def command(self, name, **params):
    """One of the browser's own protocol (CDP)."""
    return self._do("/goog/cdp/execute", {"cmd": name, "params": params})

  def open(self, url):
    self._do("/url", {"url": url})

  def run(self, script, *arguments):
    """What the script returns, which is the body of a function."""
    return self._do("/execute/sync", {"script": script,
                                      "args": list(arguments)})

  def text(self, selector):
    return self.run("const n = document.querySelector(arguments[0]);"
                    "return n ? n.textContent : null;", selector)

  def wait(self, what, script, *arguments):
    return wait_for(what, lambda: self.run(script, *arguments))

  def press(self, *keys):
    """Keys as the keyboard has them, one after the other."""
    actions = [a for key in keys for a in ({"type": "keyDown", "value": key},
                                           {"type": "keyUp", "value": key})]
    self._do("/actions", {"actions": [{"type": "key", "id": "keyboard",
                                       "actions": actions}]})

  def shape(self, width, height, dark=False):
    self.command("Emulation.setDeviceMetricsOverride", width=width,
                 height=height, deviceScaleFactor=1, mobile=False)
    self.command("Emulation.setEmulatedMedia", features=[
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

  def messages(self, kind):
    """What was logged since the last time: "browser" or "performance"."""
    return self._do("/se/log", {"type": kind})

  def requests(self):
    """The URLs that were asked for since the last time."""
    events = [json.loads(e["message"])["message"]
              for e in self.messages("performance")]
    return [e["params"]["request"]["url"] for e in events
            if e["method"] == "Network.requestWillBeSent"]

  def picture(self, path, whole=False):
    shot = self.command("Page.captureScreenshot", format="png",
                        captureBeyondViewport=whole)
    pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

  def close(self):
    try:
      self._ask("DELETE", self._session)
    finally:
      self._driver.kill()
