"""Ports of virtual machines: vhost-user NICs, which machines without a machine
drive (vhost_machine.py)."""

import contextlib
import functools
import json
import os
import signal
import socket
import stat
import struct
import threading
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

import vhost_machine
from harness import BUILD, wait_for
from vhost_machine import Machine

_MANY, _STAY = 300, 270


def mac(i):
  return f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}"


def address(i, family):
  return (f"10.1.{i >> 8}.{i & 255}" if family == 4
          else f"fd01::{(i >> 8) + 1:x}:{i & 255:x}")


@functools.lru_cache(maxsize=4096)
def frame(family, source, to, port=7000, data=b"x", source_port=1000):
  ip = IP if family == 4 else IPv6
  return bytes(Ether(src=mac(source), dst=mac(to)) /
               ip(src=address(source, family), dst=address(to, family)) /
               UDP(sport=source_port, dport=port) / data)


def has_right_sums(data):
  ether = Ether(data)
  ip = ether[IP] if IP in ether else ether[IPv6]
  del ip[UDP].chksum
  if IP in ether:
    del ip.chksum
  return bytes(ether) == data


@pytest.fixture
def machine(tmp_path):
  with contextlib.ExitStack() as stack:
    def make(name, **options):
      made = Machine(tmp_path / f"{name}.sock", **options)
      stack.callback(made.close)
      return made
    yield make


def section(tmp_path, name, more=""):
  return f"""
[[port]]
name = "{name}"
vhost = "{tmp_path / name}.sock"
{more}
"""


def a_wire(tmp_path, first="", second=""):
  return (section(tmp_path, "vm1", first) + section(tmp_path, "vm2", second) +
          '[[wire]]\nports = ["vm1", "vm2"]\n')


def ports_of(fw):
  return {p["name"]: p for p in fw.json("port", "list")["ports"]}


def wait_for_links(fw, *names, up=True):
  wait_for("links", lambda: all(ports_of(fw)[n]["link_up"] == up
                                for n in names))


def wait_for_frames(machine, count):
  frames = []

  def come():
    frames.extend(machine.receive_all())
    return len(frames) >= count
  wait_for(f"{count} frames", come)
  return frames


def test_frames_cross_a_wire_as_they_are(firewall, tmp_path, machine, family):
  fw = firewall("pass\nblock in on vm2 proto udp to port 9\n",
                extra=a_wire(tmp_path))
  ends = [machine("vm1").connect(), machine("vm2").connect()]
  wait_for_links(fw, "vm1", "vm2")
  for end in ends:
    # Sums and segments are the machine's own business, and it has one pair.
    for bit in (vhost_machine.CSUM, vhost_machine.GUEST_CSUM,
                vhost_machine.MQ, vhost_machine.MRG_RXBUF,
                vhost_machine.PACKED, *vhost_machine.TSO):
      assert not end.offered >> bit & 1, bit
    assert end.offered >> vhost_machine.VERSION_1 & 1
  for source, to in ((0, 1), (1, 0)):
    sent = [frame(family, source, to, data=bytes(size % 251 for _ in
                                                 range(size)))
            for size in range(1, 1400, 71)]
    for i, data in enumerate(sent):
      assert ends[source].send(data, pieces=1 + i % 3)
      assert wait_for_frames(ends[to], 1) == [data]
      assert ends[to].header == bytes(10)
  assert ends[1].send(frame(family, 1, 0, port=9))
  assert ends[1].send(frame(family, 1, 0, port=10))
  assert wait_for_frames(ends[0], 1) == [frame(family, 1, 0, port=10)]
  assert fw.drops()["match"] == 1
  port = ports_of(fw)["vm1"]
  assert port["vhost"] == port["device"] == str(tmp_path / "vm1.sock")
  assert port["driver"] == "vhost" and "vhost_client" not in port
  assert port["received"]["packets"] == port["transmitted"]["packets"] - 1 == 20
  assert f"vhost {tmp_path}/vm1.sock" in fw.ctl("port", "list").stdout
  assert "connections" in fw.ctl("port", "stats", "vm1").stdout


def test_translated_frames_have_right_sums(firewall, tmp_path, machine,
                                           family):
  outside = address(99, family)
  fw = firewall(f"pass\nmatch out on vm2 nat-to {outside}\n",
                extra=a_wire(tmp_path))
  client, server = machine("vm1").connect(), machine("vm2").connect()
  wait_for_links(fw, "vm1", "vm2")
  client.send(frame(family, 0, 1, data=b"question"))
  question, = wait_for_frames(server, 1)
  assert has_right_sums(question)
  asked = Ether(question)
  ip = asked[IP] if family == 4 else asked[IPv6]
  assert ip.src == outside
  server.send(bytes(Ether(src=mac(1), dst=mac(0)) /
                    (IP if family == 4 else IPv6)(src=ip.dst, dst=ip.src) /
                    UDP(sport=7000, dport=ip[UDP].sport) / b"answer"))
  answer, = wait_for_frames(client, 1)
  assert has_right_sums(answer)
  assert Ether(answer)[UDP].dport == 1000


def test_large_frames_come_in_pieces(firewall, tmp_path, machine, family):
  mtu = "mtu = 9000"
  fw = firewall("pass\n", extra=a_wire(tmp_path, mtu, mtu))
  # Small buffers: a frame takes several, here and there.
  ends = [machine("vm1", room=1024).connect(),
          machine("vm2", room=1024).connect()]
  assert ends[0].offered >> vhost_machine.MRG_RXBUF & 1
  wait_for_links(fw, "vm1", "vm2")
  data = frame(family, 0, 1, data=bytes(range(256)) * 30)
  for _ in range(5):
    assert ends[0].send(data, pieces=8)
    assert wait_for_frames(ends[1], 1) == [data]
  # One that is larger than the port's MTU is nobody's.
  assert ends[0].send(frame(family, 0, 1, data=bytes(9100)), pieces=16)
  assert ends[0].send(frame(family, 0, 1))
  assert wait_for_frames(ends[1], 1) == [frame(family, 0, 1)]
  assert ports_of(fw)["vm1"]["errors"] == 1


def test_one_that_does_not_take_its_frames_stops_nobody(firewall, tmp_path,
                                                        machine):
  fw = firewall("pass\n", extra=a_wire(tmp_path) + section(tmp_path, "vm3") +
                section(tmp_path, "vm4") +
                '[[wire]]\nports = ["vm3", "vm4"]\n')
  m = {n: machine(n, size=16).connect() for n in ("vm1", "vm2", "vm3", "vm4")}
  wait_for_links(fw, *m)
  for i in range(50):
    wait_for("room", lambda: m["vm1"].send(frame(4, 1, 2, port=i + 1)))
    m["vm3"].send(frame(4, 3, 4))
    assert wait_for_frames(m["vm4"], 1) == [frame(4, 3, 4)]
  wait_for("drops", lambda: fw.drops().get("transmit-full") == 34)
  frames = wait_for_frames(m["vm2"], 16)
  assert frames == [frame(4, 1, 2, port=i + 1) for i in range(16)]
  m["vm1"].send(frame(4, 1, 2))
  assert wait_for_frames(m["vm2"], 1) == [frame(4, 1, 2)]


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_one_that_lies_about_its_rings_harms_itself(firewall, tmp_path,
                                                    machine, mtu):
  """The library notes what it uses in arrays of the ring's size."""
  more = f"mtu = {mtu}"
  fw = firewall("pass no state\n", extra=a_wire(tmp_path, more, more) +
                section(tmp_path, "vm3") + section(tmp_path, "vm4") +
                '[[wire]]\nports = ["vm3", "vm4"]\n')
  for _ in range(3):
    # Buffers that hold nothing but the header and a byte.
    liars = [machine(f"vm{i}", size=16).connect() for i in (1, 2)]
    for liar in liars:
      ring = liar.rings[vhost_machine.RECEIVE]
      for i in range(16):
        ring.describe(i, 13, 2)
        liar.send(frame(4, 1, 2))
    m = {n: machine(n, size=16).connect() for n in ("vm3", "vm4")}
    wait_for_links(fw, "vm1", "vm2", *m)
    for step in range(1, 40):
      for liar in liars:
        for ring in liar.rings:
          ring.tell((ring.offered + 997 * step) & 0xffff)
      m["vm3"].send(frame(4, 3, 4, port=step))
      assert wait_for_frames(m["vm4"], 1) == [frame(4, 3, 4, port=step)]
    for end in (*liars, *m.values()):
      end.leave()
    wait_for_links(fw, "vm1", "vm2", *m, up=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_machines_come_and_go(firewall, tmp_path, machine, workers):
  fw = firewall("pass no state\n", workers=workers,
                extra=a_wire(tmp_path, 'vhost_mode = "0600"'))
  mode = stat.S_IMODE(os.stat(tmp_path / "vm1.sock").st_mode)
  assert mode == 0o600
  a, b = machine("vm1"), machine("vm2")
  assert not ports_of(fw)["vm1"]["link_up"]
  a.connect()
  wait_for_links(fw, "vm1")
  a.send(frame(4, 1, 2))
  wait_for("the drop", lambda: fw.drops().get("port-down") == 1)

  def both_ways():
    wait_for_links(fw, "vm1", "vm2")
    for one, other in ((a, b), (b, a)):
      other.receive_all()
      one.send(frame(4, 1, 2))
      assert wait_for_frames(other, 1) == [frame(4, 1, 2)]
  b.connect()
  both_ways()
  for _ in range(3):
    b.leave()
    wait_for_links(fw, "vm2", up=False)
    b.connect()
    both_ways()
    # The machine boots anew.
    b.stop()
    wait_for_links(fw, "vm2", up=False)
    b.start()
    both_ways()
    b.enable(False)
    wait_for_links(fw, "vm2", up=False)
    b.enable(True)
    both_ways()
  # There is room for one.
  second = Machine(b.path)
  second.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
  second.socket.connect(second.path)
  second.socket.settimeout(10)
  with pytest.raises((ConnectionError, BrokenPipeError)):
    second.negotiate()
  second.close()
  both_ways()
  # The firewall ends and starts; the socket is there again.
  fw.stop()
  for end in (a, b):
    end.leave()
  fw.start()
  a.connect()
  b.connect()
  both_ways()
  # Nor does a socket that a killed one has left stand in the way.
  fw.process.send_signal(signal.SIGKILL)
  fw.process.wait()
  for end in (a, b):
    end.leave()
  fw.start()
  a.connect()
  b.connect()
  both_ways()


def test_machines_that_make_the_socket(firewall, tmp_path, machine):
  fw = firewall("pass no state\n", extra=a_wire(
      tmp_path, "vhost_client = true", "vhost_client = true"))
  a, b = machine("vm1"), machine("vm2")
  for end in (a, b):
    end.listen()
    end.connect()
  wait_for_links(fw, "vm1", "vm2")
  assert ports_of(fw)["vm1"]["vhost_client"]
  assert "vm1.sock (client)" in fw.ctl("port", "list").stdout
  a.leave()
  wait_for_links(fw, "vm1", up=False)
  a.connect()
  wait_for_links(fw, "vm1")
  a.send(frame(4, 1, 2))
  assert wait_for_frames(b, 1) == [frame(4, 1, 2)]


def test_ports_that_come_and_go(firewall, tmp_path, machine):
  allowed = tmp_path / "guests"
  allowed.mkdir()
  extra = f'[state]\ndir = "{tmp_path / "state"}"\ninterval = 1\n'
  fw = firewall("pass no state\n", control=f'device_dirs = ["{allowed}"]',
                extra=extra)
  fw.ctl("segment", "add", "lan")
  m = {}
  for name in ("g1", "g2"):
    fw.ctl("port", "add", name, "--vhost", allowed / f"{name}.sock",
           "--segment", "lan", "--groups", "guests")
    m[name] = machine(f"guests/{name}").connect()
  wait_for_links(fw, *m)
  broadcast = bytes(Ether(src=mac(1), dst="ff:ff:ff:ff:ff:ff") /
                    IP(src="10.1.0.1", dst="10.1.255.255") / UDP() / b"hello")
  m["g1"].send(broadcast)
  assert wait_for_frames(m["g2"], 1) == [broadcast]
  # A VLAN of a machine's port is a port, too.
  fw.ctl("port", "add", "g2v5", "--parent", "g2", "--vlan", 5, "--segment",
         "lan")
  m["g1"].send(broadcast)
  got = wait_for_frames(m["g2"], 2)
  assert sorted(map(len, got)) == [len(broadcast), len(broadcast) + 4]
  assert "is the parent" in fw.ctl("port", "remove", "g2", check=False).stderr
  for arguments, error in (
      (("--vhost", tmp_path / "x.sock"), "device_dirs"),
      (("--vhost", allowed / "g1.sock"), "already has socket"),
      (("--vhost", "x.sock"), "absolute path"),
      (("--vhost", allowed / "none" / "x.sock"), "No such file"),
      (("--vhost-client",), "needs --device"),
      (("--vhost", allowed / "x.sock", "--queues", 2), "--queues is for")):
    done = fw.ctl("port", "add", "x", *arguments, check=False)
    assert done.returncode != 0 and error in done.stderr, done.stderr
  # They are there again after the next start.
  fw.process.send_signal(signal.SIGKILL)
  fw.process.wait()
  for end in m.values():
    end.leave()
  fw.start()
  for end in m.values():
    end.connect()
  wait_for_links(fw, *m)
  fw.ctl("port", "remove", "g1")
  assert not (allowed / "g1.sock").exists()
  assert "g1" not in ports_of(fw)
  with pytest.raises(OSError):
    m["g1"].leave()
    m["g1"].connect()


def test_what_cannot_be_is_said_before_the_start(firewall, tmp_path):
  fw = firewall("pass\n")
  text = fw.config.read_text()

  def refused(more):
    fw.config.write_text(text + more)
    done = fw.network.firewall.run(
        BUILD / "sluiced", "-c", fw.config, "--check",
        check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr
  said = refused('[[port]]\nname = "a"\nvhost = "/nowhere/a.sock"\n'
                 'vhost_group = "nobody-has-it"\n')
  assert "cannot make a socket in /nowhere" in said
  assert "there is no group 'nobody-has-it'" in said
  assert "absolute path" in refused('[[port]]\nname = "a"\nvhost = "a"\n')
  assert "cannot have 'device'" in refused(
      '[[port]]\nname = "a"\nvhost = "/run/a"\ndevice = "net_null0"\n')
  fw.config.write_text(text)


class Control:
  """One connection to the control socket, for many orders."""

  def __init__(self, path):
    self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    self.socket.connect(str(path))
    self.socket.settimeout(30)
    self.lines = self.socket.makefile("r")

  def __call__(self, method, **params):
    self.socket.sendall(json.dumps({
        "jsonrpc": "2.0", "id": 1, "method": method,
        "params": params}).encode() + b"\n")
    answer = json.loads(self.lines.readline())
    assert "result" in answer, answer
    return answer["result"]

  def close(self):
    self.lines.close()
    self.socket.close()


def test_many_machines_on_a_segment_with_a_filter_each(firewall, tmp_path,
                                                       machine):
  names = [f"m{i}" for i in range(_MANY)]
  fw = firewall("pass\n", workers=2, extra="".join(
      section(tmp_path, name) for name in names) + f"""
[[segment]]
name = "lan"
macs = 1024
ports = {json.dumps(names)}
""")
  ask = Control(fw.socket)
  machines = []
  for i, name in enumerate(names):
    machines.append(machine(name, size=16, room=512))
    ask("filter.create", filter=f"f{i}", ports=[name], ruleset={"text": (
        "block\npass out on {0} proto udp to port {1}\n"
        "pass in on {0}\n".format(name, 7000 + i))})
  # The library looks for new sockets once a second.
  for m in machines:
    m.connect()
  wait_for("links", lambda: sum(p["link_up"] for p in ports_of(fw).values())
           >= _MANY)

  def at_once(condition):
    # Without the rests of wait_for(): there are hundreds of them.
    limit = time.monotonic() + 10
    while not (result := condition()):
      assert time.monotonic() < limit
      time.sleep(0)
    return result

  def send(i, to, port):
    at_once(lambda: machines[i].send(frame(4, i, to, port=port)))

  def expect(i, data):
    assert set(at_once(machines[i].receive_all)) == {data}
  # Nobody knows where they are: the first frame of each is for everybody, and
  # everybody's filter has a look at it.
  for i in range(0, _MANY, 10):
    send(i, (i + 1) % _MANY, 7000 + (i + 1) % _MANY)
    expect((i + 1) % _MANY, frame(4, i, (i + 1) % _MANY,
                                  port=7000 + (i + 1) % _MANY))
  for i in range(_MANY):
    to = (i + 1) % _MANY
    # What another's filter would let through comes first.
    send(i, to, 7000 + i)
    send(i, to, 7000 + to)
  for i in range(_MANY):
    to = (i + 1) % _MANY
    expect(to, frame(4, i, to, port=7000 + to))
  assert not any(m.receive_all() for m in machines)

  # Some of them go while the others talk.
  done = threading.Event()
  errors = []

  def talk():
    try:
      while not done.is_set():
        for i in range(0, _STAY - 1):
          machines[i].send(frame(4, i, i + 1, port=7001 + i))
          machines[i + 1].receive_all()
          time.sleep(0.0002)  # who removes them runs in this process, too
    except Exception as error:  # pylint: disable=broad-except
      errors.append(error)
  thread = threading.Thread(target=talk)
  thread.start()
  for i in range(_STAY, _MANY):
    if i % 3 == 0:
      machines[i].leave()
    ask("port.remove", port=names[i])
    ask("filter.destroy", filter=f"f{i}")
  done.set()
  thread.join()
  assert not errors
  ask.close()
  assert not any((tmp_path / f"{n}.sock").exists()
                 for n in names[_STAY:])
  for i in range(0, _STAY - 1, 10):
    machines[i + 1].receive_all()
    send(i, i + 1, 7001 + i)
    expect(i + 1, frame(4, i, i + 1, port=7001 + i))


def test_the_size_of_a_running_ring_stays(firewall, tmp_path, machine):
  fw = firewall("pass\n", extra=a_wire(tmp_path))
  ends = [machine("vm1").connect(), machine("vm2").connect()]
  wait_for_links(fw, "vm1", "vm2")
  ends[0]._send(vhost_machine._SET_VRING_NUM, struct.pack("<II", 1, 32768))
  assert ends[0].socket.recv(20) == b""
  wait_for_links(fw, "vm1", up=False)
  ends[0].leave()
  ends[0].connect()
  wait_for_links(fw, "vm1", "vm2")
  # While it does not run it may be another.
  ends[0].stop()
  wait_for_links(fw, "vm1", up=False)
  ends[0].start()
  wait_for_links(fw, "vm1")
  assert ends[0].send(frame(4, 0, 1))
  assert len(wait_for_frames(ends[1], 1)) == 1


def test_a_frame_too_large_for_a_machine_loses_no_other(firewall, tmp_path,
                                                        machine):
  fw = firewall("pass\n", extra=a_wire(tmp_path, "mtu = 9000"))
  ends = [machine("vm1", room=16384).connect(), machine("vm2").connect()]
  wait_for_links(fw, "vm1", "vm2")
  ring = ends[0].rings[vhost_machine.TRANSMIT]
  for _ in range(20):
    # All at once, so that they are one burst.
    ring.tell = lambda offered: setattr(ring, "offered", offered)
    for size in (100, 3000, 100, 101, 3001, 3002, 102):
      assert ends[0].send(frame(4, 0, 1, data=bytes(size)))
    del ring.tell
    ring.tell(ring.offered)
    got = wait_for_frames(ends[1], 4)
    assert [len(each) - 42 for each in got] == [100, 100, 101, 102]
  assert fw.drops()["too-big"] == 60
