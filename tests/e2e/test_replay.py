"""Real traffic, captured in the namespaces and judged again from the files.

The traffic crosses a firewall that passes everything, so that the captures
hold what a network without a firewall would have seen. Then each ruleset is
tried on them: sluice-replay's verdicts must be those of the oracle, packet by
packet, its sums must close, and two runs must be byte for byte equal.
"""

import json
import os
import socket
import struct

import pytest

from harness import (BUILD, Capture, Firewall, NEIGHBOURS, Network, PYTHON,
                     SERVERS, UdpStream, run)

ORACLE = BUILD / "tests/property/verdict_oracle"

_RULESETS = {
    "pass": "pass all\n",
    "block": "block all\n",
    "stateless": "block all\npass proto { tcp, udp } from any to any port 80 "
                 "no state\npass proto tcp from any port 80 to any no state\n",
    "office": """\
web = "{ 80, 8080 }"
table <inside> { 10.0.0.1, fd00::/64, !fd00::2 }
set skip on inside
block all
block return in on outside proto tcp to port 22
pass in on outside proto tcp to <inside> port $web flags S/SA
pass in on outside proto udp to <inside> port 69
pass in on outside inet proto icmp icmp-type echoreq
pass in on outside inet6 proto icmp6 icmp6-type echoreq
""" + NEIGHBOURS,
    "tags": """\
block all
match in on outside proto udp tag UDP
match in on outside proto tcp to port 80 tag WEB
pass in on outside tagged UDP
pass in on outside tagged WEB
pass out on inside tagged WEB
pass out on inside proto udp to port != 5300
""" + NEIGHBOURS,
    "quick": """\
block in quick on outside proto { tcp, udp } from any to any port { 8080, 5300 }
pass in quick on outside proto { tcp, udp, icmp, icmp6 } keep state
block return all
pass out on inside
""",
    # Rules that contain others, and two runs that differ in an address.
    "similar": "block all\npass out on inside\n" + NEIGHBOURS + "".join(
        f"{rule.format(n)}\n" * 2 for rule in (
            "block in quick on outside proto udp to fd00::{} port 5300",
            "pass in on outside proto tcp to 10.0.0.{} port 80")
        for n in range(1, 9)) + """\
pass in on outside inet proto icmp
pass in on outside inet6 proto icmp6
pass in on outside inet proto icmp icmp-type echoreq
pass in on outside inet proto udp to 10.0.0.0/24
pass in on outside inet proto udp to 10.0.0.0/8
""",
}

# The oracle's plain model puts no fragments together.
_RULESETS = {name: "set reassemble no\n" + rules
             for name, rules in _RULESETS.items()}


def generate_traffic(network, folder):
  """Everyday programs, and some things that go wrong."""
  server, client = network.server, network.client
  server.start(PYTHON, "-m", "http.server", "--bind", "::", "80",
               "--directory", folder)
  server.start_python("single_port_tftp.py", folder)
  server.wait_for_listener(80)
  server.wait_for_listener(69, udp=True)
  for family, host in ((4, SERVERS[4]), (6, f"[{SERVERS[6]}]")):
    address = SERVERS[family]
    client.run("ping", "-n", "-c", "5", "-i", "0.02", address)
    # In fragments. Those of IPv4 do not come through alive: the kernel puts
    # them together before net_af_packet gets them. The captures have them.
    client.run("ping", "-n", "-c", "2", "-i", "0.02", "-W", "1", "-s", "4000",
               address, check=family == 6)
    client.run("curl", "-s", "-o", folder / "got", f"http://{host}/content")
    # Nothing listens there: a RST and an ICMP error come back.
    client.run("curl", "-s", f"http://{host}:8080/", check=False)
    client.run("curl", "-s", f"http://{host}:22/", check=False)
    client.run(PYTHON, "-c", f"""
import socket
s = socket.socket(socket.AF_INET{'6' if family == 6 else ''},
                  socket.SOCK_DGRAM)
for port in (9, 5300):
  s.sendto(b"nobody", ({address!r}, port))
""")
    client.run("tftp", f"-{family}", "-m", "octet", address, "-c", "get",
               "image", folder / "got")
    client.run("tftp", f"-{family}", "-m", "octet", address, "-c", "get",
               "none", folder / "got")
    UdpStream(network, family, 5300, rate=500, seconds=1).finish()
  server.forget_programs()
  server.start("in.tftpd", "--foreground", "--user", "root", "--address",
               ":69", "--secure", folder)
  server.wait_for_listener(69, udp=True)
  for family in (4, 6):
    client.run("tftp", f"-{family}", "-m", "octet", SERVERS[family], "-c",
               "get", "image", folder / "got")
    server.start("iperf3", "--server", "--one-off")
    server.wait_for_listener(5201)
    client.run("iperf3", "--client", SERVERS[family], "--bytes", "2M")


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
  """What the two ports received: {port: capture file}."""
  work = tmp_path_factory.mktemp("capture")
  for folder in (work, *work.parents[:2]):
    folder.chmod(0o755)
  folder = work / "served"
  folder.mkdir(mode=0o755)
  for name, size in (("content", 300_000), ("image", 20_000)):
    (folder / name).write_bytes(os.urandom(size))
    (folder / name).chmod(0o644)
  network = Network(work)
  try:
    firewall = Firewall(network, "pass all no state\n", work).start()
    with Capture(network, "outside", work / "outside.pcap") as outside, \
         Capture(network, "inside", work / "inside.pcap") as inside:
      generate_traffic(network, folder)
    firewall.stop()
  finally:
    network.close()
  return {"outside": outside.path, "inside": inside.path}


def replay(captures, ruleset, folder, name, *options):
  """Runs sluice-replay; its files are in the result."""
  files = {kind: folder / f"{name}.{kind}"
           for kind in ("verdicts", "report", "outside", "inside")}
  done = run(BUILD / "sluice-replay", "-f", ruleset, "--wire",
             "outside=inside", *[w for port, path in captures.items()
                                 for w in ("--in", f"{port}={path}")],
             "--out", f"outside={files['outside']}", "--out",
             f"inside={files['inside']}", "--report", files["report"],
             "--verdicts", files["verdicts"], *options, timeout=120)
  return files, done.stdout


@pytest.mark.parametrize("name", sorted(_RULESETS))
def test_verdicts_are_the_oracles(captures, tmp_path, name):
  ruleset = tmp_path / "pf.conf"
  ruleset.write_text(_RULESETS[name])
  files, _ = replay(captures, ruleset, tmp_path, "replay")
  expected = run(ORACLE, "-f", ruleset, "--wire", "outside=inside",
                 *[w for port, path in captures.items()
                   for w in ("--in", f"{port}={path}")],
                 timeout=300).stdout.splitlines()
  got = files["verdicts"].read_text().splitlines()
  assert len(got) > 3000, "the captures are nearly empty"
  assert len(got) == len(expected)
  wrong = [(g, e) for g, e in zip(got, expected)
           if g != e]
  assert not wrong, f"{len(wrong)} of {len(got)}: {wrong[:10]}"
  if name not in ("pass", "block"):
    # The ruleset tells packets apart: both verdicts occur, and often.
    verdicts = [line.split()[2] for line in got]
    assert min(verdicts.count("pass"), verdicts.count("drop")) > 50


@pytest.mark.parametrize("name", sorted(_RULESETS))
def test_the_optimiser_changes_no_verdict(captures, tmp_path, name):
  ruleset = tmp_path / "pf.conf"
  ruleset.write_text(_RULESETS[name])
  verdicts, rules = {}, {}
  for level in (None, "none", "basic", "profile"):
    files, _ = replay(captures, ruleset, tmp_path, f"replay-{level}",
                      *(("-o", level) if level else ()))
    verdicts[level] = [line.split()[:4] for line in
                       files["verdicts"].read_text().splitlines()]
    rules[level] = len(json.loads(files["report"].read_text())["rules"])
  for level in ("none", "basic", "profile"):
    assert verdicts[level] == verdicts[None], level
  assert rules["none"] == rules[None]
  assert rules["basic"] == rules["profile"] <= rules["none"]
  if name == "similar":
    assert rules["basic"] * 2 < rules["none"]


@pytest.mark.parametrize("name", sorted(_RULESETS))
def test_sums_close_and_runs_are_equal(captures, tmp_path, name):
  ruleset = tmp_path / "pf.conf"
  ruleset.write_text(_RULESETS[name])
  first, said = replay(captures, ruleset, tmp_path, "first")
  second, said_again = replay(captures, ruleset, tmp_path, "second")
  for kind, path in first.items():
    assert path.read_bytes() == second[kind].read_bytes(), kind
  assert said == said_again
  report = json.loads(first["report"].read_text())
  totals = report["totals"]
  assert totals["received"] > 3000
  assert totals["received"] == totals["forwarded"] + totals["dropped"]
  assert totals["dropped"] == sum(totals["drops"].values())
  for port in report["ports"].values():
    assert port["received"] == port["forwarded"] + port["dropped"]
  # The report, the verdicts and the captures that came out tell one story.
  verdicts = [l.split()[2] for l in first["verdicts"].read_text().splitlines()]
  assert verdicts.count("pass") == totals["forwarded"]
  assert verdicts.count("drop") == totals["dropped"]
  written = sum(
      int(run("tcpdump", "-nr", path, "--count",
              timeout=60).stdout.split()[0])
      for path in (first["outside"], first["inside"]))
  assert written == totals["transmitted"]


def frames(path):
  """The frames of a capture in hexadecimal, one string each.

  Left out is what has no source address yet: a host that has just come up
  announces its multicast groups from there, and pf passes no such report.
  """
  lines = run("tcpdump", "-nr", path, "-xx", "-t", "not ip6 src host ::",
              timeout=60).stdout.splitlines()
  packets = []
  for line in lines:
    if line.startswith("\t"):
      packets[-1] += line.partition(":")[2].replace(" ", "")
    else:
      packets.append(f"{line} ")
  return packets


@pytest.mark.parametrize("reassemble", ("no", "yes"))
def test_what_passes_is_not_changed(captures, tmp_path, reassemble):
  """With pass all, what comes out of a port is what went into the other."""
  ruleset = tmp_path / "pf.conf"
  ruleset.write_text(f"set reassemble {reassemble}\npass all no state\n")
  files, _ = replay(captures, ruleset, tmp_path, "replay")
  for port, other in (("outside", "inside"), ("inside", "outside")):
    came, went = frames(captures[port]), frames(files[other])
    if reassemble == "yes":
      # Fragments leave with the last one of their datagram.
      came, went = sorted(came), sorted(went)
    assert len(came) > 1000
    changed = [(c, w) for c, w in zip(came, went) if c != w]
    assert not changed, (f"{port}: {len(came)} came, {len(went)} went, first "
                         f"difference: {changed[0]}")
    assert len(came) == len(went), port


def test_bad_captures_change_nothing(captures, tmp_path):
  ruleset = tmp_path / "pf.conf"
  ruleset.write_text("pass all\n")
  whole = captures["outside"].read_bytes()
  for name, content in (("empty", b""), ("cut", whole[:len(whole) // 2 + 1]),
                        ("text", b"not a capture at all, but text\n")):
    broken = tmp_path / name
    broken.write_bytes(content)
    out = tmp_path / f"{name}.out"
    done = run(BUILD / "sluice-replay", "-f", ruleset, "--wire",
               "outside=inside", "--in", f"outside={broken}", "--out",
               f"inside={out}", check=False)
    assert done.returncode == 1, (name, done.stdout, done.stderr)
    assert str(broken) in done.stderr, done.stderr
    assert not out.exists(), f"{name}: an output was written"


def ethernet(source, destination, payload, protocol=17, length=None):
  """A frame of an IPv4 packet; `length` in place of the right one."""
  total = 20 + len(payload) if length is None else length
  header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, protocol, 0,
                       socket.inet_aton(source),
                       socket.inet_aton(destination))
  words = struct.unpack("!10H", header)
  check = sum(words)
  check = 0xffff ^ ((check & 0xffff) + (check >> 16))
  header = header[:10] + struct.pack("!H", check) + header[12:]
  return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + header + payload


def datagram(source, destination, port, size=8, **fields):
  return ethernet(source, destination,
                  struct.pack("!HHHH", 1000, port, 8 + size, 0) + bytes(size),
                  **fields)


def write_pcap(path, frames, seconds=0):
  """A capture of (frame, length on the wire), a second apart."""
  data = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1)
  for number, (frame, length) in enumerate(frames):
    data += struct.pack("<IIII", seconds + number, 0, len(frame), length)
    data += frame
  path.write_bytes(data)


def test_what_captures_hold(tmp_path):
  """Cut packets, lengths left to a NIC, and a clock beyond 2038."""
  ruleset = tmp_path / "pf.conf"
  ruleset.write_text("block all\npass in on outside\n"
                     "pass out on inside proto udp to port 53\n")
  whole = datagram("192.0.2.1", "10.0.0.1", 53)
  frames = [
      (whole, len(whole)),
      (datagram("192.0.2.1", "10.0.0.1", 54), len(whole)),
      (whole[:40], len(whole)),
      (datagram("192.0.2.2", "10.0.0.1", 53, size=3000, length=0), 3042),
      (b"\xff" * 12 + b"\x88\xcc" + bytes(40), 54),
      (whole[:30], 30)]
  capture = tmp_path / "a.pcap"
  write_pcap(capture, frames, seconds=0xffff_ff00)
  command = (BUILD / "sluice-replay", "-f", ruleset, "--wire",
             "outside=inside", "--in", f"outside={capture}")
  report = tmp_path / "report"
  out = tmp_path / "out.pcap"
  done = run(*command, "-q", "--verdicts", "-", "--report", report, "--out",
             f"inside={out}")
  expected = [
      "1 outside pass - 2 out@inside udp 192.0.2.1:1000 10.0.0.1:53",
      "2 outside drop match 0 out@inside udp 192.0.2.1:1000 10.0.0.1:54",
      "3 outside drop cut - - - - -",
      "4 outside pass - 2 out@inside udp 192.0.2.2:1000 10.0.0.1:53",
      "5 outside pass - - - - - -",
      "6 outside drop short - - - - -"]
  assert done.stdout.splitlines() == expected
  assert "1 packet was cut by the capture's snapshot length" in done.stderr
  assert run(ORACLE, *command[1:]).stdout.splitlines() == expected
  said = json.loads(report.read_text())
  assert said["captures"] == {"packets": 6, "cut": 1, "lengths_filled": 1}
  assert said["totals"]["received"] == 5
  assert said["totals"]["drops"] == {"match": 1, "short": 1}
  assert said["clock"]["first_ns"] == 0xffff_ff00 * 10**9
  # Where it leaves, a packet has the length that it was judged by.
  written = run("tcpdump", "-nr", out, "-v", "-t").stdout
  assert "length 3028" in written and "bad" not in written, written
  # tcpdump knows no time after 2038.
  assert struct.unpack_from("<I", out.read_bytes(), 24) == (0xffff_ff00,)
  summary = run(*command).stdout
  assert "1 packet of which the capture has only the beginning" in summary
  assert "1 without a length (left to the sender's NIC)" in summary
  strict = run(*command, "--strict", check=False)
  assert strict.returncode == 1
  assert "a.pcap: packet 3: only 40 of 50 bytes" in strict.stderr
