"""Fixtures: one image for all guests, one network for each guest."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import guest as guests  # noqa: E402
import harness  # noqa: E402
from image import Image  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[3]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
  """Adds the guest's console to the report of a failed test."""
  outcome = yield
  report = outcome.get_result()
  if not report.failed:
    return
  for value in item.funcargs.values():
    if isinstance(value, guests.Guest):
      report.sections.append(("guest", value.log()))


@pytest.fixture(scope="session")
def image():
  return Image(harness.BUILD)


@pytest.fixture(scope="module")
def boot(image, tmp_path_factory):
  """boot(nics, files, ...) starts a guest; all end with the test file."""
  made = []

  def start(nics, files, **options):
    # Sockets have short paths.
    work = tmp_path_factory.mktemp("g")
    network = guests.GuestNetwork(work)
    made.append(network)
    guest = guests.Guest(network, image, work, nics, files, **options)
    made.append(guest)
    return guest

  yield start
  for thing in reversed(made):
    thing.close()
