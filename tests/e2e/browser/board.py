"""The Grafana board's queries as charts, drawn from what a Prometheus says.

Grafana is not in Debian; this shows that each panel's query has data and what
it looks like, not how Grafana draws it.
"""

import html
import json
import re
import urllib.parse

from harness import run

_WIDTH, _HEIGHT, _LEFT = 440, 120, 52
_COLOURS = ("#1f6fb5", "#c4571a", "#2e8540", "#8a3ffc", "#b3261e", "#00797a",
            "#7a5c00", "#d12771")
_STYLE = """
body { font: 13px "DejaVu Sans", sans-serif; margin: 12px; color: #1b2127;
  background: #fff; }
h1 { font-size: 18px; margin: 0 0 8px; } h2 { font-size: 14px; margin: 10px 0 4px; }
main { display: flex; flex-wrap: wrap; gap: 8px; }
h2 { flex: 0 0 100%; }
figure { box-sizing: border-box; margin: 0; border: 1px solid #d3d9df; padding: 6px; width: 456px; }
figure.stat { width: 144px; } figure.stat b { font-size: 20px; display: block; }
svg text { font-size: 10px; fill: #55606b; } path { fill: none; stroke-width: 1.5; }
small { color: #55606b; display: block; height: 28px; overflow: hidden; }
"""


def scaled(value, unit):
  if unit == "percentunit":
    return f"{100 * value:.3g} %"
  words = {"pps": " p/s", "bps": " bit/s", "ops": " /s", "s": " s"}
  if unit == "s" and 0 < abs(value) < 1:
    return f"{1000 * value:.3g} ms"
  for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
    if abs(value) >= size:
      return f"{value / size:.3g} {letter}{words.get(unit, '').strip()}"
  return f"{value:.3g}{words.get(unit, '')}"


class Board:

  def __init__(self, dashboard, namespace, prometheus, instance):
    self._panels = json.loads(dashboard.read_text())["panels"]
    self._namespace = namespace
    self._prometheus = prometheus
    self._instance = instance

  def _ask(self, query, begin, end):
    for name, value in (("$__rate_interval", "30s"), ("$filter", ".*"),
                        ("$instance", self._instance)):
      query = query.replace(name, value)
    words = urllib.parse.urlencode({"query": query, "start": begin, "end": end,
                                    "step": max(1, (end - begin) // 120)})
    done = run(*self._namespace.command(
        "curl", "-sS", "--max-time", 20,
        f"http://{self._prometheus}/api/v1/query_range?{words}"))
    said = json.loads(done.stdout)
    assert said["status"] == "success", (query, said)
    return said["data"]["result"]

  def _series(self, panel, begin, end):
    series = []
    for target in panel.get("targets", []):
      for one in self._ask(target["expr"], begin, end):
        name = target.get("legendFormat") or ""
        name = re.sub(r"{{(\w+)}}",
                      lambda m, of=one["metric"]: of.get(m[1], ""), name)
        points = [(float(t), float(v)) for t, v in one["values"]]
        series.append((name, [p for p in points if p[1] == p[1]]))
    return series

  def _chart(self, panel, series, begin, end):
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
    title = html.escape(panel["title"])
    if panel["type"] == "stat":
      last = series[0][1][-1][1] if series and series[0][1] else None
      told = "no data" if last is None else scaled(last, unit)
      return f'<figure class="stat">{title}<b>{told}</b></figure>'
    most = max((v for _, points in series for _, v in points), default=0) or 1
    paths = ""
    for number, (_, points) in enumerate(series):
      line = " ".join(
          f"{_LEFT + (t - begin) / (end - begin) * (_WIDTH - _LEFT):.1f},"
          f"{_HEIGHT - 4 - v / most * (_HEIGHT - 14):.1f}" for t, v in points)
      if line:
        paths += (f'<path d="M{line}" '
                  f'stroke="{_COLOURS[number % len(_COLOURS)]}"/>')
    legend = ", ".join(
        f'<span style="color:{_COLOURS[n % len(_COLOURS)]}">'
        f"{html.escape(name.strip())}</span>"
        for n, (name, points) in enumerate(series) if points)
    return (f'<figure>{title}<svg width="{_WIDTH}" height="{_HEIGHT}">'
            f'<text x="0" y="12">{scaled(most, unit)}</text>'
            f'<text x="0" y="{_HEIGHT - 4}">0</text>{paths}</svg>'
            f"<small>{legend or 'nothing in this time'}</small></figure>")

  def page(self, begin, end):
    """HTML of all panels, and the titles of those without data."""
    parts, empty = [], []
    for panel in self._panels:
      if panel["type"] == "row":
        parts.append(f"<h2>{html.escape(panel['title'])}</h2>")
        continue
      series = self._series(panel, begin, end)
      if not any(points for _, points in series):
        empty.append(panel["title"])
      parts.append(self._chart(panel, series, begin, end))
    return (f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>"
            f"<h1>sluice</h1><main>{''.join(parts)}</main>", empty)
