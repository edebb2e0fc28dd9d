"""Namespaces, programs and a firewall between them, for tests on live traffic.

    client namespace            firewall namespace            server namespace
    10.0.0.2, fd00::2  veth  outside -- sluiced -- inside  veth  10.0.0.1, fd00::1

All names begin with a prefix of this run, every process is ended by its own
id, and nothing outside of the namespaces is touched.
"""

import collections
import dataclasses
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

PREFIX = os.environ.get("SLUICE_TEST_PREFIX", f"slt{os.getpid()}")
BUILD = pathlib.Path(os.environ.get(
    "SLUICE_BUILD_DIR", pathlib.Path(__file__).resolve().parents[2] / "build"))
PYTHON = "/usr/bin/python3"
HERE = pathlib.Path(__file__).resolve().parent

CLIENT4, SERVER4 = "10.0.0.2", "10.0.0.1"
CLIENT6, SERVER6 = "fd00::2", "fd00::1"
SERVERS = {4: SERVER4, 6: SERVER6}
CLIENTS = {4: CLIENT4, 6: CLIENT6}

# Without neighbour discovery IPv6 has no link-layer addresses.
NEIGHBOURS = """\
pass inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state
"""

_LIMIT_S = 30
_numbers = itertools.count()


def wait_for(what, condition, limit_s=_LIMIT_S):
  """Waits until condition() is true, and returns its value."""
  end = time.monotonic() + limit_s
  while True:
    value = condition()
    if value:
      return value
    if time.monotonic() > end:
      raise AssertionError(f"{what}: not within {limit_s} s")
    time.sleep(0.02)


def stamp(path):
  """What changes when a file is replaced; None if there is none."""
  try:
    found = path.stat()
  except FileNotFoundError:
    return None
  return found.st_ino, found.st_mtime_ns


def wait_until_replaced(path, before):
  """Until the file is another one than it was when its stamp was taken."""
  wait_for(f"another {path.name}", lambda: stamp(path) not in (None, before))


def run(*command, check=True, timeout=_LIMIT_S, **more):
  """Runs a command to its end; its output is text."""
  done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, text=True, timeout=timeout,
                        **more)
  if check and done.returncode:
    raise AssertionError(f"{' '.join(map(str, command))}: status "
                         f"{done.returncode}\n{done.stdout}{done.stderr}")
  return done


class Process:
  """A program in the background, with its output in a file."""

  def __init__(self, command, log, **more):
    self.name = pathlib.Path(str(command[0])).name
    self.log = log
    with open(log, "wb") as out:
      self._process = subprocess.Popen(
          [str(c) for c in command], stdin=subprocess.DEVNULL,
          start_new_session=True,
          **{"stdout": out, "stderr": subprocess.STDOUT, **more})
    self.pid = self._process.pid

  @property
  def running(self):
    return self._process.poll() is None

  def send_signal(self, number):
    self._process.send_signal(number)

  def wait(self, timeout=_LIMIT_S):
    return self._process.wait(timeout)

  def stop(self, number=signal.SIGTERM, timeout=10):
    """Ends it and returns its status."""
    if self.running:
      self._process.send_signal(number)
    try:
      return self._process.wait(timeout)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
      raise AssertionError(f"{self.name} did not end within {timeout} s of "
                           f"{signal.Signals(number).name}") from None

  def kill(self):
    """Ends it at once, and the processes that it has started."""
    try:
      os.killpg(self.pid, signal.SIGKILL)
    except ProcessLookupError:
      pass
    self._process.wait()

  def text(self):
    return pathlib.Path(self.log).read_text(errors="replace")


class Namespace:
  """A network namespace, and the programs that were started in it."""

  def __init__(self, name, work):
    self.name = name
    self._work = work
    self._processes = []
    run("ip", "netns", "add", name)

  def command(self, *command):
    return ["ip", "netns", "exec", self.name, *map(str, command)]

  def run(self, *command, **more):
    return run(*self.command(*command), **more)

  def start(self, *command, **more):
    log = self._work / f"{len(self._processes)}-{self.name}.log"
    # "ip netns exec" becomes the program: the process id is the program's.
    process = Process(self.command(*command), log, **more)
    process.name = pathlib.Path(str(command[0])).name
    self._processes.append(process)
    return process

  def python(self, script, *arguments, **more):
    """Runs one of the programs beside this file."""
    return self.run(PYTHON, HERE / script, *arguments, **more)

  def start_python(self, script, *arguments, **more):
    return self.start(PYTHON, HERE / script, *arguments, **more)

  def stop_programs(self):
    for process in reversed(self._processes):
      process.kill()

  def logs(self):
    return [(f"{p.name} in {self.name}", p.text()) for p in self._processes]

  def forget_programs(self):
    self.stop_programs()
    self._processes = []

  def wait_for_listener(self, port, udp=False):
    """Until something in the namespace listens on the port."""
    def listening():
      out = self.run("ss", "-Hlnu" if udp else "-Hlnt").stdout
      return any(line.split()[3].rsplit(":", 1)[1] == str(port)
                 for line in out.splitlines())
    wait_for(f"a listener on port {port}", listening)

  def delete(self):
    self.stop_programs()
    run("ip", "netns", "delete", self.name, check=False)


class Network:
  """Two hosts and the firewall's place between them.

  With `firewall`, the place of another network, there are two more hosts on
  it, behind interfaces with other names and with the same addresses."""

  def __init__(self, work, firewall=None, ports=("outside", "inside")):
    number = next(_numbers)
    name = f"{PREFIX}-{number}"
    self.work = work
    self._made = []
    try:
      self.client = self._namespace(f"{name}-client")
      self.firewall = firewall or self._namespace(f"{name}-fw")
      self.server = self._namespace(f"{name}-server")
      # The firewall's ends have no addresses and say nothing by themselves.
      self.firewall.run("sysctl", "-qw",
                        "net.ipv6.conf.all.disable_ipv6=1",
                        "net.ipv6.conf.default.disable_ipv6=1")
      self._join(self.client, ports[0], CLIENT4, CLIENT6)
      self._join(self.server, ports[1], SERVER4, SERVER6)
    except BaseException:
      self.close()
      raise

  def _namespace(self, name):
    namespace = Namespace(name, self.work)
    self._made.append(namespace)
    namespace.run("ip", "link", "set", "lo", "up")
    return namespace

  def _join(self, host, port, address4, address6):
    run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth",
        "peer", "name", port, "netns", self.firewall.name)
    for namespace, device in ((host, "eth0"), (self.firewall, port)):
      namespace.run("ethtool", "-K", device, "tx", "off", "rx", "off", "tso",
                    "off", "gso", "off", "gro", "off")
      namespace.run("ip", "link", "set", device, "up")
    host.run("ip", "address", "add", f"{address4}/24", "dev", "eth0")
    host.run("ip", "address", "add", f"{address6}/64", "dev", "eth0", "nodad")

  def settle(self):
    """Both hosts learn each other's link-layer address, without traffic."""
    for host, peer in ((self.client, self.server), (self.server, self.client)):
      link = json.loads(peer.run("ip", "-json", "link", "show",
                                 "eth0").stdout)[0]["address"]
      for address in ((SERVER4, SERVER6) if peer is self.server
                      else (CLIENT4, CLIENT6)):
        host.run("ip", "neighbour", "replace", address, "lladdr", link, "dev",
                 "eth0", "nud", "permanent")

  def unsettle(self):
    for host in (self.client, self.server):
      host.run("ip", "neighbour", "flush", "dev", "eth0", "nud", "all")

  def close(self):
    for namespace in reversed(self._made):
      namespace.delete()


@dataclasses.dataclass
class Options:
  """What a test may set of the daemon's configuration."""
  workers: int = 1
  states: int = 16384
  non_ip: str = "pass"
  wire: str = ""  # more lines of [[wire]]
  helpers: tuple = ("tftp",)
  memory: str = ""
  control: str = ""
  extra: str = ""


class Firewall:
  """sluiced between the two hosts of a network."""

  def __init__(self, network, rules, work, **options):
    self.network = network
    self.work = work
    self.options = Options(**options)
    self.socket = work / "control.sock"
    self.config = work / "sluice.toml"
    self.ruleset = work / "pf.conf"
    self.ruleset.write_text(rules)
    self.config.write_text(self._config())
    self.process = None

  def _config(self):
    options = self.options
    ports = "".join(f"""
[[port]]
name = "{name}"
device = "net_af_packet{number},iface={name},framecnt=2048,qpairs=1"
""" for number, name in enumerate(("outside", "inside")))
    helpers = ", ".join(f'"{h}"' for h in options.helpers)
    return f"""
[eal]
args = ["--no-pci"]
hugepages = "no"
{ports}
[[wire]]
ports = ["outside", "inside"]
non_ip = "{options.non_ip}"
{options.wire}
[workers]
count = {options.workers}
pin = false

[memory]
states = {options.states}
{options.memory}

[control]
socket = "{self.socket}"
{options.control}

[policy]
ruleset = "pf.conf"
helpers = [{helpers}]
{options.extra}
"""

  def start(self):
    self.launch()
    self.wait_until_ready()
    return self

  def launch(self):
    self.process = self.network.firewall.start(
        BUILD / "sluiced", "-c", self.config)

  def wait_until_ready(self):
    def ready():
      if not self.process.running:
        raise AssertionError(f"sluiced ended by itself:\n"
                             f"{self.process.text()}")
      return (self.socket.exists() and
              self.ctl("-s", "info", check=False).returncode == 0)
    wait_for("sluiced", ready)

  def ctl(self, *arguments, **more):
    """sluicectl with the arguments."""
    return run(BUILD / "sluicectl", "-p", self.socket, *arguments, **more)

  def json(self, *arguments):
    return json.loads(self.ctl("--json", *arguments).stdout)

  def load(self, rules, check=True):
    """Loads another ruleset, from standard input."""
    return self.ctl("-f", "-", input=rules, check=check)

  def states(self):
    return self.json("-s", "states")["states"]

  def drops(self):
    """Packets dropped, by reason; only reasons that occurred."""
    counters = self.json("-s", "info")["info"]["drop_counters"]
    return {c["name"]: c["value"] for c in counters if c["value"]}

  def stop(self):
    """Ends it as an operator would; it must say that all went well."""
    status = self.process.stop()
    assert status == 0, f"sluiced ended with status {status}"


def check_silent_clients(fw, path, said, goes_on, has_place):
  """Clients of a server at a Unix socket, which has four places.

  A client for each of `said`, which says no more and reads nothing, delays
  nobody: goes_on() checks what else there is. More than may be are turned away,
  and has_place() is true when all are gone.
  """
  def connect():
    clients.append(socket.socket(socket.AF_UNIX))
    clients[-1].connect(os.fspath(path))
    return clients[-1]

  clients = []
  for words in said:
    connect().send(words)
  goes_on()
  began = time.monotonic()
  fw.ctl("-s", "info")
  assert time.monotonic() - began < 2
  for _ in range(4):
    connect()
  for client in clients:
    client.close()
  wait_for("a place", has_place)


class Capture:
  """What a port of the firewall receives, into a file, while in a block."""

  def __init__(self, network, port, path):
    self._network = network
    self._port = port
    self.path = path

  def __enter__(self):
    self._process = self._network.firewall.start(
        "tcpdump", "-i", self._port, "-Q", "in", "-U", "-w", self.path,
        "--immediate-mode", "-B", "16384", "-Z", "root", "-s", "0", "-n")
    wait_for("tcpdump", lambda: "listening on" in self._process.text())
    return self

  def __exit__(self, *_):
    # The last packets are still on their way to the file.
    size = -1
    while size != self.path.stat().st_size:
      size = self.path.stat().st_size
      time.sleep(0.2)
    self._process.stop(signal.SIGINT)


Stream = collections.namedtuple("Stream", "sent received duplicates")


class UdpStream:
  """A constant-rate UDP stream from the client to the server, counted."""

  def __init__(self, network, family, port, rate, seconds, source_port=0):
    self._network = network
    self._receiver = self._receive(network, port)
    network.server.wait_for_listener(port, udp=True)
    self._sender = self._send(network, family, port, rate, seconds,
                              source_port)

  @classmethod
  def several(cls, network, family, ports, rate, seconds):
    """One to each port, which begin at the same time."""
    streams = [cls.__new__(cls) for _ in ports]
    for stream, port in zip(streams, ports):
      stream._network = network
      stream._receiver = cls._receive(network, port)
    for port in ports:
      network.server.wait_for_listener(port, udp=True)
    for stream, port in zip(streams, ports):
      stream._sender = cls._send(network, family, port, rate, seconds, 0)
    return streams

  @staticmethod
  def _receive(network, port):
    return network.server.start_python(
        "udp_stream.py", "receive", "--port", port, "--first", _LIMIT_S)

  @staticmethod
  def _send(network, family, port, rate, seconds, source_port):
    return network.client.start_python(
        "udp_stream.py", "send", "--to", SERVERS[family], "--port", port,
        "--rate", rate, "--seconds", seconds, "--source-port", source_port)

  def end(self):
    """The sender sends no more, whatever it was to send."""
    self._sender.send_signal(signal.SIGUSR1)

  @property
  def running(self):
    return self._sender.running

  def finish(self):
    assert self._sender.wait(60) == 0, self._sender.text()
    self._receiver.send_signal(signal.SIGUSR1)
    sent = json.loads(self._sender.text())
    assert self._receiver.wait(60) == 0, self._receiver.text()
    received = json.loads(self._receiver.text())
    return Stream(sent["sent"], received["received"], received["duplicates"])
