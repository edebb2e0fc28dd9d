"""The files of configs/ are what they say: they load."""

import pathlib

import pytest

from harness import BUILD, run

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
# Those in language/ are of other machines and have a test of their own; those
# in service/ are no rulesets.
RULESETS = sorted(path for path in CONFIGS.glob("**/*.conf")
                  if path.parent.name not in ("language", "service"))


def test_there_are_examples():
  assert len(RULESETS) >= 3


@pytest.mark.parametrize("path", RULESETS, ids=lambda p: p.name)
def test_ruleset_is_taken(path):
  done = run(BUILD / "sluicectl", "-n", "-v", "-f", path)
  assert "pass" in done.stdout
