"""`sluice-replay --compare`: which flows two rulesets treat otherwise."""

import ipaddress
import json
import struct

import pytest

from harness import BUILD, run

_MACS = bytes.fromhex("020000000002020000000001")


def frame(source, destination, proto, sport, dport, flags=0x02):
  """An Ethernet frame of UDP or TCP; checksums are not looked at."""
  a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
  if proto == 17:
    l4 = struct.pack("!HHHH", sport, dport, 12, 0) + b"data"
  else:
    l4 = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, flags, 1000, 0,
                     0)
  if a.version == 4:
    l3 = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(l4), 1, 0, 64, proto, 0)
    total = sum(struct.unpack("!10H", l3 + a.packed + b.packed))
    while total > 0xffff:
      total = (total & 0xffff) + (total >> 16)
    l3 = l3[:10] + struct.pack("!H", total ^ 0xffff) + a.packed + b.packed
  else:
    l3 = (struct.pack("!IHBB", 6 << 28, len(l4), proto, 64) + a.packed +
          b.packed)
  return _MACS + struct.pack("!H", 0x800 if a.version == 4 else 0x86dd) + l3 + l4


def write_pcap(path, frames):
  data = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
  for i, one in enumerate(frames):
    data += struct.pack("<IIII", 1000 + i, 0, len(one), len(one)) + one
  path.write_bytes(data)
  return path


@pytest.fixture(name="captures")
def fixture_captures(tmp_path):
  """Four flows: UDP and TCP of both families, the first with its answers."""
  out, back = [], []
  for port in (53, 80, 53, 99):
    out.append(frame("192.0.2.1", "10.0.0.1", 17, 1000 + port, port))
  out.append(frame("2001:db8::1", "fd00::1", 6, 2000, 80))
  out.append(frame("2001:db8::1", "fd00::1", 17, 2001, 53))
  back.append(frame("10.0.0.1", "192.0.2.1", 17, 53, 1053))
  return ("--wire", "outside=inside", "--ignore-checksums", "--in",
          f"outside={write_pcap(tmp_path / 'o.pcap', out)}", "--in",
          f"inside={write_pcap(tmp_path / 'i.pcap', back)}")


def compare(tmp_path, old, new, *more, check=True):
  for name, text in (("old", old), ("new", new)):
    (tmp_path / name).write_text(text)
  return run(BUILD / "sluice-replay", "--compare", tmp_path / "old",
             tmp_path / "new", *more, check=check)


def test_equal_rulesets_change_nothing(captures, tmp_path):
  done = compare(tmp_path, "block\npass in proto udp\npass out\n",
                 "block\npass in inet proto udp\npass in inet6 proto udp\n"
                 "pass out\n", *captures)
  assert done.returncode == 0
  assert done.stdout == "5 flows of 7 packets: 0 change their fate\n"


def test_what_changes_is_grouped_by_rule(captures, tmp_path):
  old = 'block\npass in on outside proto { udp tcp }\npass out\n'
  new = ('block\nanchor "dns" {\n  pass in on outside proto udp to port 53\n}\n'
         'pass in on outside inet6 proto tcp no state\npass out\n')
  report = tmp_path / "r.json"
  done = compare(tmp_path, old, new, *captures, "--report", report,
                 check=False)
  assert done.returncode == 3
  told = json.loads(report.read_text())
  assert told["flows"] == 5 and told["changed_flows"] == 2
  assert len(told["groups"]) == 1
  group = told["groups"][0]
  assert group["flows"] == 2 and group["changed_packets"] == 2
  assert group["old"]["fate"] == "pass"
  # Both ends were asked: the last one was where the packet left.
  assert group["old"]["judged"] == "out@inside"
  assert group["new"] == {
      "fate": "drop", "reason": "match", "judged": "in@outside",
      "rule": {"anchor": "", "number": 0, "text": "block drop all"}}
  assert [f["flow"] for f in group["named"]] == [
      "udp 192.0.2.1:1080 > 10.0.0.1:80", "udp 192.0.2.1:1099 > 10.0.0.1:99"]
  assert ("2 flows, 2 packets: pass -> drop match\n  old: @3 pass out all "
          "flags S/SA  # out@inside\n  new: @0 block drop all  # in@outside\n"
          in done.stdout)
  # The same again, byte for byte; and the other way round.
  first = report.read_bytes()
  again = compare(tmp_path, old, new, *captures, "--report", report,
                  check=False)
  assert report.read_bytes() == first and again.stdout == done.stdout
  turned = compare(tmp_path, new, old, *captures, check=False)
  assert "drop match -> pass" in turned.stdout


def test_anchors_and_answers_without_a_state(captures, tmp_path):
  rules = 'block\nanchor "a" {\n pass in on outside proto udp %s\n}\npass out %s\n'
  done = compare(tmp_path, rules % ("", ""), rules % ("no state", "no state"),
                 *captures, "--report", "-", "-q", check=False)
  assert done.returncode == 3
  told = json.loads(done.stdout)
  # Only the answer is dropped that no state knows.
  assert told["changed_flows"] == 1
  group = told["groups"][0]
  assert group["new"]["judged"] == "in@inside"
  assert group["new"]["rule"]["text"] == "block drop all"
  assert group["named"][0]["changed_packets"] == 1
  assert group["named"][0]["packets"] == 3


def test_other_addresses_are_another_fate(captures, tmp_path):
  rules = ("pass\npass in on outside inet proto udp to 10.0.0.1 port 80 "
           "rdr-to 10.0.0.%d\n")
  done = compare(tmp_path, rules % 8, rules % 9, *captures, "--report", "-",
                 "-q", check=False)
  assert done.returncode == 3
  group = json.loads(done.stdout)["groups"][0]
  assert group["readdressed"] and group["flows"] == 1
  assert group["named"][0]["old_leaves"] == "192.0.2.1 > 10.0.0.8:80"
  assert group["named"][0]["new_leaves"] == "192.0.2.1 > 10.0.0.9:80"


def test_mistakes(captures, tmp_path):
  done = compare(tmp_path, "pass\n", "pass in on\n", *captures, check=False)
  assert done.returncode == 1 and f"{tmp_path / 'new'}:1:" in done.stderr
  for words in (("--compare", "a"), ("--compare", "a", "--in"),
                ("--compare", "-", "-"), ("--compare", "a", "b", "-f", "c"),
                ("--compare", "a", "b", "--verdicts", "-")):
    done = run(BUILD / "sluice-replay", *words, *captures, check=False)
    assert done.returncode == 2, words
