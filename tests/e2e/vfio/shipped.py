"""The configuration that is shipped for two NICs, as a guest uses it."""

import pathlib

_CONFIGS = pathlib.Path(__file__).resolve().parents[3] / "configs"
CONFIG = "/etc/sluice/sluice.toml"


def changed(text, old, new):
  assert old in text, f"the shipped configuration has no {old!r}"
  return text.replace(old, new)


def config(*changes):
  """Its text; the changes are pairs of texts."""
  text = (_CONFIGS / "examples" / "sluice-pci.toml").read_text()
  # The guest has two processors: one is left for the worker.
  for old, new in (("lcores = [1, 2]", "lcores = [1]"), *changes):
    text = changed(text, old, new)
  return text


def files(*changes):
  """Guest files by path."""
  return {
      CONFIG.strip("/"): config(*changes),
      "etc/sluice/first.conf":
          (_CONFIGS / "examples" / "first.conf").read_text(),
  }
