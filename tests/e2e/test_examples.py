"""The files of configs/ are what they say: they load."""

import pathlib
import shutil

import pytest

from harness import BUILD, run

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
SECTIONS = sorted((CONFIGS / "examples/sections").glob("*.conf"))
# Those in language/ and sections/ are of other machines and have tests of
# their own; those in service/ are no rulesets.
RULESETS = sorted(path for path in CONFIGS.glob("**/*.conf")
                  if path.parent.name not in ("language", "sections",
                                              "service"))


def test_there_are_examples():
  assert len(RULESETS) >= 3
  assert len(SECTIONS) >= 12


@pytest.mark.parametrize("path", RULESETS, ids=lambda p: p.name)
def test_ruleset_is_taken(path):
  done = run(BUILD / "sluicectl", "-n", "-v", "-f", path)
  assert "pass" in done.stdout


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_configuration_finds_its_ruleset(path, tmp_path):
  """Wherever the examples are put, side by side as they are installed."""
  folder = shutil.copytree(path.parent, tmp_path / "installed")
  done = run(BUILD / "sluiced", "--check-config", "-c", folder / path.name)
  assert f"{folder}/first.conf: " in done.stdout


@pytest.mark.parametrize("path", SECTIONS, ids=lambda p: p.name)
def test_section_is_read_in_its_dialect(path, tmp_path):
  dialect = "freebsd" if path.stem.endswith("-freebsd") else "openbsd"
  options = ("--dialect", dialect, "--facts", SECTIONS[0].parent / "host.toml")

  def printed(ruleset):
    return run(BUILD / "sluicectl", "-nvf", ruleset, "--language-only",
               *options).stdout

  # Beside the files that it names.
  folder = shutil.copytree(path.parent, tmp_path / "sections")
  first = folder / "first.conf"
  first.write_text(printed(path), encoding="ascii")
  assert "pass" in first.read_text(encoding="ascii")
  # What is printed reads back to itself.
  assert printed(first) == first.read_text(encoding="ascii")
