"""The programs that are measured, each on the same two virtual devices.

Every engine is used the same way:

  with Testpmd(work, setup) as engine:
    rate = engine.measure(warm_up_s, window_s)   # packets a second, sent on

`setup` says what all engines share: the captures, the processors, the pages.
A process that an engine started has ended when its block is left.
"""

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import time

OVS_VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
_OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_START_LIMIT_S = 60


class EngineError(Exception):
  """An engine that did not start, or did not do the work."""


@dataclasses.dataclass
class Setup:
  """What the engines of one comparison share."""
  clients: pathlib.Path            # capture of the clients' packets
  servers: pathlib.Path            # of the servers'; None: they are silent
  packets: int                     # in each capture
  cores: tuple                     # (control, worker)
  huge: bool                       # hugepages or normal pages
  expect_states: int = 0           # states that must exist in the window
  more_states: int = 0             # room that the table has beside them
  every_packet_new: bool = False
  stateless: bool = False
  rules: str = ""                  # for sluiced,
  sections: str = ""               # and more of its configuration

  @property
  def mbufs(self):
    """The files lie in mbufs, beside what the ports and caches hold."""
    files = 1 if self.servers is None else 2
    needed = files * self.packets + 16384
    return 1 << (needed - 1).bit_length()

  @property
  def data_bytes(self):
    """An mbuf's room for data: small where there are very many of them."""
    return 2048 if self.packets <= 100000 else 640

  @property
  def memory_mb(self):
    return 256 + self.mbufs * (self.data_bytes + 384) // 1000000

  def device(self, number):
    """EAL's words for port 0 (clients) or 1 (servers)."""
    path = (self.clients, self.servers)[number]
    if path is None:
      return f"net_null{number},no-rx=1"
    return f"net_pcap{number},rx_pcap={path},infinite_rx=1"


def _wait_for(what, condition, process=None, limit_s=_START_LIMIT_S):
  """Waits until condition() is true; its value is the result."""
  end = time.monotonic() + limit_s
  while True:
    value = condition()
    if value:
      return value
    if process is not None and process.poll() is not None:
      raise EngineError(f"{what}: the program ended by itself "
                        f"(status {process.returncode})")
    if time.monotonic() > end:
      raise EngineError(f"{what}: not within {limit_s} s")
    time.sleep(0.02)


def _end(process, limit_s=10):
  if process.poll() is not None:
    return
  process.send_signal(signal.SIGTERM)
  try:
    process.wait(limit_s)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()


class _Engine:
  """Keeps the log, and ends the processes in the reverse order."""

  def __init__(self, work, setup):
    self.work = pathlib.Path(work)
    self.work.mkdir(parents=True, exist_ok=True)
    self.setup = setup
    self.log = self.work / "log"
    self._processes = []

  def _start(self, command, **popen_args):
    with self.log.open("ab") as out:
      process = subprocess.Popen(
          [str(c) for c in command], stdout=out, stderr=out,
          **{"stdin": subprocess.DEVNULL, **popen_args})
    self._processes.append(process)
    return process

  def __enter__(self):
    try:
      self.start()
    except subprocess.CalledProcessError as error:
      self.stop()
      raise EngineError(f"{self.name} did not start: {error}") from error
    except BaseException:
      self.stop()
      raise
    return self

  def __exit__(self, *_):
    self.stop()

  def start(self):
    raise NotImplementedError

  def stop(self):
    for process in reversed(self._processes):
      _end(process)

  def log_tail(self, lines=25):
    text = self.log.read_text(errors="replace").splitlines()
    return "\n".join(text[-lines:])


class Testpmd(_Engine):
  """DPDK's own forwarder in io mode: no packet is looked at. The ceiling."""

  name = "testpmd"

  def start(self):
    setup = self.setup
    pages = (["--in-memory"] if setup.huge
             else ["--no-huge", "--no-shconf", "-m", setup.memory_mb])
    self._process = self._start(
        # Line by line, or the answers would wait in a buffer.
        ["stdbuf", "-oL", "dpdk-testpmd", "-l", "{},{}".format(*setup.cores),
         "--main-lcore", setup.cores[0], "--no-pci", "--no-telemetry", *pages,
         f"--file-prefix=sluice-testpmd-{os.getpid()}",
         "--vdev", setup.device(0), "--vdev", setup.device(1), "--",
         "--interactive", "--nb-cores=1", "--forward-mode=io", "--auto-start",
         f"--total-num-mbufs={setup.mbufs}",
         f"--mbuf-size={setup.data_bytes + 128}"],
        stdin=subprocess.PIPE)
    # Started, and past its own preparations, when it answers.
    self._say("show port stats all")
    _wait_for("testpmd", lambda: self._rates(0), self._process)

  def _say(self, text):
    try:
      self._process.stdin.write(text.encode() + b"\n")
      self._process.stdin.flush()
    except BrokenPipeError:
      raise EngineError("testpmd ended by itself") from None

  def _rates(self, seen):
    """What both ports sent a second, of each answer after the first `seen`."""
    found = re.findall(r"Tx-pps:\s+(\d+)",
                       self.log.read_text(errors="replace"))
    rates = [int(a) + int(b) for a, b in zip(found[::2], found[1::2])]
    return rates[seen:]

  def measure(self, warm_up_s, window_s):
    time.sleep(warm_up_s)
    seen = len(self._rates(0))
    self._say("show port stats all")
    time.sleep(window_s)
    self._say("show port stats all")
    rates = _wait_for("testpmd's figures",
                      lambda: (self._rates(seen + 1)), self._process)
    return rates[0]

  def stop(self):
    for process in self._processes:
      if process.poll() is None:
        try:
          process.stdin.write(b"quit\n")
          process.stdin.close()
          process.wait(10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
          pass
    super().stop()


class OpenVSwitch(_Engine):
  """OVS-DPDK with its connection tracker, from a database of its own."""

  name = "ovs"

  def start(self):
    setup = self.setup
    if not setup.huge:
      raise EngineError("OVS-DPDK is measured with hugepages only")
    run = self.work.resolve()
    self._control = run / "vswitchd.ctl"
    self._env = dict(os.environ, OVS_RUNDIR=str(run), OVS_DBDIR=str(run),
                     OVS_LOGDIR=str(run))
    database, self._socket = run / "conf.db", f"unix:{run}/db.sock"
    subprocess.run(["ovsdb-tool", "create", database, _OVS_SCHEMA], check=True,
                   env=self._env)
    self._start(["ovsdb-server", f"--remote=punix:{run}/db.sock", database],
                env=self._env)
    _wait_for("ovsdb-server", (run / "db.sock").exists)
    self._vsctl("--no-wait", "init")
    self._vsctl(
        "--no-wait", "set", "Open_vSwitch", ".",
        "other_config:dpdk-init=true",
        f"other_config:pmd-cpu-mask={1 << setup.cores[1]:#x}",
        f"other_config:dpdk-lcore-mask={1 << setup.cores[0]:#x}",
        f"other_config:dpdk-socket-mem={setup.memory_mb + 512}",
        "other_config:dpdk-extra=--no-pci --in-memory --no-telemetry "
        f"--file-prefix sluice-ovs-{os.getpid()}")
    self._vswitchd = self._start([OVS_VSWITCHD, self._socket,
                                  f"--unixctl={self._control}"],
                                 env=self._env)
    _wait_for("ovs-vswitchd", self._control.exists, self._vswitchd)
    self._vsctl("add-br", "br0", "--", "set", "bridge", "br0",
                "datapath_type=netdev")
    for number, side in enumerate(("clients", "servers")):
      # A virtual device's name must begin with its driver's; OVS wants
      # "net_pcap_NAME" where EAL takes "net_pcap0".
      device = re.sub(r"^net_pcap\d", f"net_pcap_{side}", setup.device(number))
      self._vsctl("add-port", "br0", side, "--", "set", "Interface", side,
                  "type=dpdk", f"options:dpdk-devargs=\"{device}\"",
                  f"ofport_request={number + 1}")
    if setup.every_packet_new:
      self._vsctl("add-dp", "netdev", check=False)
      self._vsctl("add-zone-tp", "netdev", "zone=0", "udp_first=1",
                  "udp_single=1", "udp_multiple=1", check=False)
    self._flows()
    self._appctl("dpctl/ct-set-maxconns", "3000000", check=False)

  def _vsctl(self, *words, check=True):
    subprocess.run(["ovs-vsctl", f"--db={self._socket}", "--timeout=60",
                    *words], check=check, env=self._env,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                   if not check else None)

  def _appctl(self, *words, check=True):
    return subprocess.run(
        ["ovs-appctl", "-t", str(self._control), *words], check=check,
        env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True).stdout

  def _flows(self):
    if self.setup.stateless:
      flows = ["in_port=1,actions=output:2", "in_port=2,actions=output:1"]
    else:
      # As the ruleset has it: connections begin at the clients' side only,
      # and what the servers send must belong to one.
      flows = ["table=0,priority=10,ip,actions=ct(table=1)",
               "table=0,priority=10,ipv6,actions=ct(table=1)",
               "table=0,priority=1,actions=drop",
               "table=1,priority=1,actions=drop"]
      for family in ("ip", "ipv6"):
        flows += [
            f"table=1,priority=10,in_port=1,ct_state=+trk+new,{family},"
            "actions=ct(commit),output:2",
            f"table=1,priority=10,in_port=1,ct_state=+trk+est,{family},"
            "actions=output:2",
            f"table=1,priority=10,in_port=2,ct_state=+trk+est,{family},"
            "actions=output:1"]
    subprocess.run(["ovs-ofctl", "del-flows", "br0"], check=True,
                   env=self._env)
    subprocess.run(["ovs-ofctl", "add-flows", "br0", "-"], check=True,
                   env=self._env, input="\n".join(flows) + "\n", text=True)

  def _sent(self):
    """What both ports have sent, and when."""
    out = subprocess.run(["ovs-ofctl", "--no-names", "dump-ports", "br0"], check=True,
                         env=self._env, stdout=subprocess.PIPE,
                         text=True).stdout
    at = time.monotonic()
    total = 0
    for port in (1, 2):
      match = re.search(rf"port\s+{port}:.*?tx pkts=(\d+)", out, re.S)
      if not match:
        raise EngineError(f"no statistics of port {port}:\n{out}")
      total += int(match.group(1))
    return total, at

  def measure(self, warm_up_s, window_s):
    time.sleep(max(warm_up_s, 3.0))  # the first megaflows take a while
    before, began = self._sent()
    time.sleep(window_s)
    after, ended = self._sent()
    if self.setup.expect_states:
      text = self._appctl("dpctl/ct-get-nconns")
      states = int(text.strip() or 0)
      if states < self.setup.expect_states:
        raise EngineError(f"OVS tracks {states} connections, "
                          f"{self.setup.expect_states} expected")
    return (after - before) / (ended - began)


class Sluiced(_Engine):
  """sluice itself; the rate is what its own counters say it sent on."""

  name = "sluiced"
  program = None    # path of sluiced
  control = None    # path of sluicectl

  def start(self):
    setup = self.setup
    work = self.work.resolve()
    self._socket = work / "control.sock"
    mtu = 1500 if setup.data_bytes >= 2048 else 576  # the least there is
    (work / "pf.conf").write_text(setup.rules)
    states = max(65536, 4 * setup.expect_states,
                 setup.packets if setup.every_packet_new else 0)
    states += setup.more_states
    (work / "sluice.toml").write_text(f"""
[eal]
args = ["--no-pci"]
hugepages = "{'yes' if setup.huge else 'no'}"

[[port]]
name = "clients"
device = "{setup.device(0)}"
mtu = {mtu}

[[port]]
name = "servers"
device = "{setup.device(1)}"
mtu = {mtu}

[[wire]]
ports = ["clients", "servers"]

[workers]
lcores = [{setup.cores[1]}]
control_lcore = {setup.cores[0]}
idle = "poll"

[memory]
mbufs = {setup.mbufs}
mbuf_data = {setup.data_bytes}
states = {states}

[control]
socket = "{self._socket}"

[policy]
ruleset = "pf.conf"
{setup.sections}
""")
    process = self._start([self.program, "-c", work / "sluice.toml"])
    self.pid = process.pid
    _wait_for("sluiced", self._socket.exists, process)
    _wait_for("the control socket", lambda: self._ask("info", check=False),
              process)

  @property
  def socket(self):
    return self._socket

  def _ask(self, what, check=True):
    done = subprocess.run(
        [self.control, "-p", self._socket, "--json", "-s", what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
      if not check:
        return None
      raise EngineError(f"sluicectl -s {what}: {done.stderr.strip()}")
    return json.loads(done.stdout)

  def passed(self):
    """What has passed the clients' port, both ways, and when.

    Only that port judges, so each packet is counted once.
    """
    at = time.monotonic()
    interfaces = self._ask("Interfaces")["interfaces"]
    at = (at + time.monotonic()) / 2
    traffic = next(i for i in interfaces if i["name"] == "clients")["traffic"]
    passed = sum(traffic[f][d]["pass"]["packets"]
                 for f in ("inet", "inet6") for d in ("in", "out"))
    blocked = sum(traffic[f][d]["block"]["packets"]
                  for f in ("inet", "inet6") for d in ("in", "out"))
    return passed, blocked, at

  def _inserts(self):
    info = self._ask("info")["info"]
    for counter in info["state_counters"]:
      if counter["name"] == "inserts":
        return counter["value"], info["states"]
    raise EngineError("no counter of inserted states")

  def wait_for_states(self):
    """Until there are as many as the captures have connections."""
    expected = self.setup.expect_states
    _wait_for(f"{expected} states",
              lambda: self._inserts()[1] >= expected)

  def measure(self, warm_up_s, window_s):
    setup = self.setup
    if setup.expect_states:
      self.wait_for_states()
    time.sleep(warm_up_s)
    inserted, _ = self._inserts()
    before, blocked_before, began = self.passed()
    time.sleep(window_s)
    after, blocked, ended = self.passed()
    inserted = self._inserts()[0] - inserted
    passed = after - before
    if passed == 0:
      raise EngineError("nothing passed")
    # A benchmark that drops is fast and means nothing.
    if blocked > blocked_before:
      raise EngineError(f"{blocked - blocked_before} packets were blocked "
                        f"while {passed} passed")
    if setup.every_packet_new and inserted < 0.98 * passed:
      raise EngineError(f"only {inserted} of {passed} packets made a state")
    if setup.expect_states and inserted:
      raise EngineError(f"{inserted} states were made in the window")
    return passed / (ended - began)
