"""Fixtures: a network for each test file, a firewall for each test."""

import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402


def pytest_configure(config):
  config.addinivalue_line(
      "markers", "alone: runs when no other test does (tests/run.sh)")

  # The fixtures clean up on SIGTERM as they do on an interrupt.
  def interrupt(*_):
    raise KeyboardInterrupt
  signal.signal(signal.SIGTERM, interrupt)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
  """Adds the logs of all programs to the report of a failed test."""
  outcome = yield
  report = outcome.get_result()
  network = item.funcargs.get("network")
  if report.failed and network is not None:
    for namespace in (network.client, network.firewall, network.server):
      for name, text in namespace.logs():
        report.sections.append((name, "\n".join(text.splitlines()[-60:])))


@pytest.fixture(scope="module")
def _module_network(tmp_path_factory):
  network = harness.Network(tmp_path_factory.mktemp("network"))
  yield network
  network.close()


@pytest.fixture
def network(_module_network, tmp_path):
  """The hosts of the file's network, with no programs running on them."""
  for namespace in (_module_network.client, _module_network.firewall,
                    _module_network.server):
    namespace.forget_programs()
  _module_network.unsettle()
  yield _module_network
  for namespace in (_module_network.client, _module_network.firewall,
                    _module_network.server):
    namespace.stop_programs()


@pytest.fixture
def firewall(network, tmp_path):
  """Starts sluiced: firewall(rules, **options). It must also end well."""
  started = []

  def start(rules, **options):
    made = harness.Firewall(network, rules, tmp_path, **options).start()
    started.append(made)
    return made

  yield start
  for made in started:
    if made.process.running:
      made.stop()


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request):
  return request.param
