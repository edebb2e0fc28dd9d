"""The browser, in the firewall's namespace; the rest as in tests/e2e."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import chromium  # noqa: E402


@pytest.fixture
def browser(network, tmp_path):
  made = chromium.Browser(network.firewall, tmp_path)
  yield made
  made.close()
