"""A guest under software emulation: PCI NICs, an IOMMU, sluice, and a line to
give it commands by.

    client namespace                 guest                  server namespace
    10.0.0.2, fd00::2  tap | outside -- sluiced -- inside | tap  10.0.0.1, ...

qemu runs in the firewall's namespace and opens the tap devices there; their
host ends then go to the two hosts. They vanish with qemu.
"""

import dataclasses
import json
import re
import select
import socket
import time

import harness
from image import Archive

# Linux stops names of devices here.
_MAX_NAME = 15
_BOOT_LIMIT_S = 240
_COMMAND_LIMIT_S = 30
# A line that reached the guest is confirmed at once, if anything there runs.
_CONFIRM_LIMIT_S = 5
_SEND_ATTEMPTS = 6


@dataclasses.dataclass(frozen=True)
class Nic:
  """An emulated NIC, and the tap device that is its cable."""
  name: str             # the port's name, and the tap's in qemu's namespace
  model: str
  slot: int             # PCI bus: each is behind a root port of its own
  function: int = 0
  queues: int = 1
  options: str = ""
  socket: str = ""      # of a vhost-user port, which it has instead of a tap

  @property
  def address(self):
    return f"0000:{self.slot:02x}:00.{self.function}"


class GuestNetwork(harness.Network):
  """Two hosts with a guest's place between them."""

  _HOSTS = {"outside": ("client", harness.CLIENT4, harness.CLIENT6),
            "inside": ("server", harness.SERVER4, harness.SERVER6)}

  def _join(self, host, port, address4, address6):
    """Nothing: the taps come with qemu."""

  def host_of(self, port):
    return getattr(self, self._HOSTS[port][0])

  def plug_in(self, port):
    """Takes a tap that qemu has opened to the host whose cable it is."""
    harness.wait_for(f"qemu's tap {port}", lambda: self.firewall.run(
        "ip", "link", "show", port, check=False).returncode == 0)
    _, address4, address6 = self._HOSTS[port]
    host = self.host_of(port)
    self.firewall.run("ip", "link", "set", port, "netns", host.name, "name",
                      "eth0")
    self.offloads(port, False)
    host.run("ip", "link", "set", "eth0", "up")
    host.run("ip", "address", "add", f"{address4}/24", "dev", "eth0")
    host.run("ip", "address", "add", f"{address6}/64", "dev", "eth0", "nodad")

  def wait_until_joined(self):
    """Until frames come through: NICs take their time after a start."""
    harness.wait_for("frames that cross the guest", lambda: self.client.run(
        "ping", "-c", "1", "-W", "1", harness.SERVERS[4],
        check=False).returncode == 0)

  def offloads(self, port, on):
    """Whether the host leaves checksums to the NIC that it sends to."""
    state = "on" if on else "off"
    self.host_of(port).run("ethtool", "-K", "eth0", "tx", state, "tso", "off",
                           "gso", "off", "gro", "off", check=False)

  def set_mtu(self, mtu):
    for host in (self.client, self.server):
      host.run("ip", "link", "set", "eth0", "mtu", mtu)


class Monitor:
  """qemu's monitor (QMP)."""

  def __init__(self, path):
    self._socket = socket.socket(socket.AF_UNIX)
    self._socket.settimeout(10)
    self._socket.connect(str(path))
    self._file = self._socket.makefile("rw")
    self._file.readline()  # its greeting
    self("qmp_capabilities")

  def __call__(self, command, **arguments):
    self._file.write(json.dumps({"execute": command,
                                 "arguments": arguments}) + "\n")
    self._file.flush()
    while True:
      line = self._file.readline()
      if not line:
        raise AssertionError(f"qemu is gone: {command}")
      answer = json.loads(line)
      if "error" in answer:
        raise AssertionError(f"{command}: {answer['error']['desc']}")
      if "return" in answer:
        return answer["return"]

  def close(self):
    self._file.close()
    self._socket.close()


@dataclasses.dataclass
class Done:
  """A command's end."""
  returncode: int
  text: str


class Guest:
  """The guest; it has booted when the constructor returns."""

  def __init__(self, network, image, work, nics, files, iommu=True,
               hugepages=512, memory=2048):
    self.network = network
    self.nics = {nic.name: nic for nic in nics}
    self._work = work
    self._monitor = self._line = None
    self._number = 0
    self._received = b""
    self.sluiced_pid = None
    self._sluiced_from = 0
    initramfs = work / "initramfs"
    with open(initramfs, "wb") as out:
      out.write(image.initramfs.read_bytes())
      # Archives that follow one another are unpacked over one another.
      more = Archive()
      for path, text in files.items():
        more.text(path, text)
      out.write(more.bytes())
    self.console_path = work / "console"
    started = time.monotonic()
    self._qemu = network.firewall.start(*self._command(
        image.kernel, initramfs, nics, iommu, hugepages, memory))
    try:
      for nic in nics:
        if not nic.socket:
          network.plug_in(nic.name)
      for name in ("monitor", "line"):
        harness.wait_for(f"qemu's {name}", (work / f"{name}.sock").exists)
      self._monitor = Monitor(work / "monitor.sock")
      self._line = socket.socket(socket.AF_UNIX)
      self._line.connect(str(work / "line.sock"))
      self._read_until(lambda text: b"init: ready" in text, _BOOT_LIMIT_S)
    except BaseException:
      self.close()
      raise
    self.boot_seconds = time.monotonic() - started

  def _command(self, kernel, initramfs, nics, iommu, hugepages, memory):
    arguments = ["console=ttyS0", "loglevel=4", "mitigations=off", "nokaslr",
                 "panic=-1", "random.trust_cpu=on", "tsc=reliable",
                 f"hugepages={hugepages}"]
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
               "-display", "none",
               "-machine", "q35,kernel-irqchip=split",
               "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
               "-m", memory, "-kernel", kernel, "-initrd", initramfs,
               "-serial", f"file:{self.console_path}",
               "-chardev", f"socket,id=line,path={self._work}/line.sock,"
               "server=on,wait=off", "-serial", "chardev:line",
               "-qmp", f"unix:{self._work}/monitor.sock,server=on,wait=off"]
    sockets = [nic for nic in nics if nic.socket]
    if sockets:
      # Who serves them shares the guest's memory; they survive its reboots.
      command += ["-object", f"memory-backend-memfd,id=memory,size={memory}M,"
                  "share=on", "-numa", "node,memdev=memory"]
    else:
      command.append("-no-reboot")
    if iommu:
      arguments.append("intel_iommu=on")
      command += ["-device",
                  "intel-iommu,intremap=on,caching-mode=on,aw-bits=48"]
    # Root ports are numbered from bus 1: one for each up to the last slot.
    for slot in range(1, max(nic.slot for nic in nics) + 1):
      command += ["-device", f"pcie-root-port,id=slot{slot},bus=pcie.0,"
                  f"chassis={slot},slot={slot},addr={slot + 3:x}"]
    shared = [nic.slot for nic in nics]
    # qemu wants function 0 of a slot last.
    for number, nic in sorted(enumerate(nics),
                              key=lambda n: -n[1].function):
      assert len(nic.name) <= _MAX_NAME
      queues = f",queues={nic.queues}" if nic.queues > 1 else ""
      if nic.socket:
        command += ["-chardev", f"socket,id=socket-{nic.name},"
                    f"path={nic.socket},reconnect=1", "-netdev",
                    f"vhost-user,id=cable-{nic.name},"
                    f"chardev=socket-{nic.name}{queues}"]
      else:
        command += ["-netdev", f"tap,id=cable-{nic.name},ifname={nic.name},"
                    f"script=no,downscript=no,vhost=off{queues}"]
      device = (f"{nic.model},id={nic.name},netdev=cable-{nic.name},"
                f"bus=slot{nic.slot},addr=0.{nic.function},romfile=,"
                f"mac=52:54:00:00:00:{number + 1:02x}")
      if shared.count(nic.slot) > 1:
        device += ",multifunction=on"
      if nic.model == "virtio-net-pci" and nic.socket:
        # With vectors qemu 7.2 crashes: it takes KVM's way to them, in emulation
        # too.
        device += ",disable-legacy=on,vectors=0"
      elif nic.model == "virtio-net-pci":
        # Else its rings would bypass the IOMMU.
        device += ",disable-legacy=on,iommu_platform=on"
        if nic.queues > 1:
          device += f",mq=on,vectors={2 * nic.queues + 2}"
      command += ["-device", device + nic.options]
    command += ["-append", " ".join(arguments)]
    return command

  # ---- The line ------------------------------------------------------------

  def _read_until(self, complete, limit_s):
    """What the guest has said when complete() likes it."""
    end = time.monotonic() + limit_s
    while not complete(self._received):
      ready, _, _ = select.select([self._line], [], [], 0.5)
      if ready:
        data = self._line.recv(65536)
        if data:
          self._received += data
          continue
      if not self._qemu.running:
        raise AssertionError(f"the guest has ended ({self._qemu.wait()}):\n"
                             f"{self.log()}")
      if time.monotonic() > end:
        raise TimeoutError(
            f"no answer from the guest within {limit_s} s, only "
            f"{self._received[-2000:]!r}\n{self.log()}")
    text, self._received = self._received, b""
    return text

  def _send(self, number, command):
    """Gives the guest a line until it has it whole (init.sh has the form)."""
    line = f"{number} {len(command)} {command}\n".encode()
    has_it = b"\x06%d\n" % number
    for attempt in range(_SEND_ATTEMPTS):
      # The first byte ends what a damaged line before has left.
      self._line.sendall(b"\n" + line if attempt else line)
      try:
        text = self._read_until(lambda text: has_it in text, _CONFIRM_LIMIT_S)
      except TimeoutError:
        continue
      self._received = text.partition(has_it)[2]
      return
    raise AssertionError(f"the guest takes no command\n{self.log()}")

  def run(self, command, check=True, timeout=_COMMAND_LIMIT_S):
    """A line of shell in the guest, to its end."""
    assert "\n" not in command and command.isascii(), command
    assert command == command.strip(), "the guest counts from word to word"
    self._number += 1
    self._send(self._number, command)
    # A confirmation of what was sent twice may follow; nothing else does.
    mark = re.compile(rb"\x1e%d (\d+)\n" % self._number)
    text = self._read_until(mark.search, timeout)
    found = mark.search(text)
    done = Done(int(found[1]), text[:found.start()].decode(errors="replace"))
    if check and done.returncode:
      raise AssertionError(f"in the guest: {command}: status "
                           f"{done.returncode}\n{done.text}\n{self.log()}")
    return done

  def reboot(self):
    """Resets the machine, and waits until it has booted again."""
    self._monitor("system_reset")
    self._read_until(lambda text: b"init: ready" in text, _BOOT_LIMIT_S)

  # ---- NICs ----------------------------------------------------------------

  def driver(self, nic):
    """The kernel driver that has a NIC; "" if none has."""
    return self.run(f"basename $(readlink /sys/bus/pci/devices/{nic.address}"
                    "/driver) 2>/dev/null", check=False).text.strip()

  def bind(self, nic, driver="vfio-pci"):
    """Gives a NIC to a driver, as `dpdk-devbind.py -b` does."""
    device = f"/sys/bus/pci/devices/{nic.address}"
    return self.run(
        f"if [ -e {device}/driver ]; then"
        f" echo {nic.address} >{device}/driver/unbind; fi;"
        f" echo {driver} >{device}/driver_override;"
        f" echo {nic.address} >/sys/bus/pci/drivers_probe;"
        f" [ $(basename $(readlink {device}/driver)) = {driver} ]",
        check=False)

  def group_users(self):
    """Open descriptors of VFIO groups, by process."""
    return self.run("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c /dev/vfio/",
                    check=False).text.strip()

  def set_link(self, nic, up):
    """Pulls a NIC's cable, or puts it back."""
    self._monitor("set_link", name=nic.name, up=up)

  def unplug(self, nic):
    """Takes a NIC out of its slot, as its attention button asks for."""
    self._monitor("device_del", id=nic.name)

  # ---- sluiced -------------------------------------------------------------

  def check(self, config):
    """`sluiced --check`; it may fail."""
    return self.run(f"sluiced --check -c {config}", check=False)

  def start_sluiced(self, config):
    """Starts it and waits until it answers; its seconds."""
    started = time.monotonic()
    self._sluiced_from = len(self.console())
    self.sluiced_pid = int(self.run(
        f"sluiced -c {config} >/dev/ttyS0 2>&1 & echo $!").text)
    done = self.run(
        "until sluicectl -s info >/dev/null 2>&1; do"
        f" kill -0 {self.sluiced_pid} 2>/dev/null || exit_early=1;"
        " [ -z \"$exit_early\" ] || break; sleep 0.2; done;"
        " [ -z \"$exit_early\" ]", check=False)
    if done.returncode:
      raise AssertionError(f"sluiced ended by itself\n{self.log()}")
    return time.monotonic() - started

  def stop_sluiced(self, signal="TERM"):
    """Its exit status."""
    pid, self.sluiced_pid = self.sluiced_pid, None
    return self.run(f"kill -{signal} {pid}; wait {pid}",
                    check=False).returncode

  def refused_start(self, config):
    """Runs it to its end, which has to come by itself; what it said."""
    return self.run(f"timeout 20 sluiced -c {config}", check=False)

  def ctl(self, arguments, **more):
    return self.run(f"sluicectl {arguments}", **more).text

  def json(self, arguments):
    return json.loads(self.ctl(f"--json {arguments}"))

  def states(self):
    return self.json("-s states")["states"]

  def drops(self):
    counters = self.json("-s info")["info"]["drop_counters"]
    return {c["name"]: c["value"] for c in counters if c["value"]}

  def sluiced_log(self):
    """What it has said since it was last started."""
    return self.console()[self._sluiced_from:]

  # ---- The end -------------------------------------------------------------

  def console(self):
    try:
      return self.console_path.read_text(errors="replace").replace("\r", "")
    except FileNotFoundError:
      return ""

  def log(self):
    return f"--- the guest's console\n{self.console()[-6000:]}\n" \
           f"--- qemu\n{self._qemu.text()}"

  def close(self):
    for file in (self._monitor, self._line):
      if file is not None:
        file.close()
    self._qemu.kill()
