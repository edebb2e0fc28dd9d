"""The files of configs/ are what they say: they load."""

import pathlib

import pytest

from harness import BUILD, run

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
RULESETS = sorted(CONFIGS.glob("**/*.conf"))


def test_there_are_examples():
  assert len(RULESETS) >= 3


@pytest.mark.parametrize("path", RULESETS, ids=lambda p: p.name)
def test_ruleset_is_taken(path):
  done = run(BUILD / "sluicectl", "-n", "-v", "-f", path)
  assert "pass" in done.stdout
