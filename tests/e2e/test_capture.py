"""`sluicectl capture`: frames with what became of them, as pcapng."""

import json
import signal
import struct
import subprocess
import time

import pytest

from harness import BUILD, CLIENTS, NEIGHBOURS, SERVERS, run, wait_for
from test_trace import send

_RULES = ("block all\n"
          "pass in on outside proto udp to port 53\n"
          "pass out on inside proto udp\n"
          'anchor "deep" { pass in on outside proto udp to port 54 }\n'
          "block return in on outside proto udp to port 55\n" + NEIGHBOURS)


def capture(fw, *options):
  """Starts one; the workers copy frames when it is returned."""
  opened = fw.process.text().count("trace open: done")
  began = subprocess.Popen(
      [BUILD / "sluicectl", "-p", fw.socket, "capture", *map(str, options)],
      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  wait_for("the capture",
           lambda: fw.process.text().count("trace open: done") > opened)
  time.sleep(0.3)
  return began


def options_of(data):
  found = {}
  while len(data) >= 4:
    code, length = struct.unpack_from("<HH", data)
    if code == 0:
      break
    found[code] = data[4:4 + length]
    data = data[4 + (length + 3) // 4 * 4:]
  return found


def read(data):
  """(frames, statistics) of a pcapng file; every block is looked at."""
  names, frames, statistics, at = [], [], [], 0
  while at < len(data):
    kind, length = struct.unpack_from("<II", data, at)
    body = data[at + 8:at + length - 4]
    assert length % 4 == 0
    assert struct.unpack_from("<I", data, at + length - 4)[0] == length
    at += length
    if kind == 0x0a0d0d0a:
      assert struct.unpack_from("<I", body)[0] == 0x1a2b3c4d
    elif kind == 1:
      assert struct.unpack_from("<H", body)[0] == 1
      names.append(options_of(body[8:])[2].decode())
    elif kind == 6:
      port, high, low, captured, whole = struct.unpack_from("<5I", body)
      options = options_of(body[20 + (captured + 3) // 4 * 4:])
      frames.append({
          "port": names[port], "time": (high << 32 | low) / 1e6,
          "frame": body[20:20 + captured], "length": whole,
          "way": {1: "in", 2: "out"}[struct.unpack("<I", options[2])[0]],
          "comment": options[1].decode()})
    elif kind == 5:
      statistics.append(options_of(body[12:]))
  return frames, statistics


def port_of(frame, family):
  return struct.unpack_from("!H", frame, 14 + {4: 20, 6: 40}[family] + 2)[0]


def test_what_comes_and_what_goes(network, firewall, family, tmp_path):
  fw = firewall(_RULES, workers=2)
  network.settle()
  path = tmp_path / "all.pcapng"
  began = capture(fw, "outside", "udp and src port 4000", "-w", path, "--for",
                  "3")
  went = capture(fw, "inside", "--out", "-w", "-", "--count", "2",
                 "udp dst port 53 or udp dst port 54")
  send(network, family, "53,54,56", source=4000)
  send(network, family, "53", source=4001)
  out, _ = went.communicate(timeout=20)
  assert began.wait(20) == 0
  frames, statistics = read(path.read_bytes())
  assert [(f["port"], f["way"]) for f in frames] == [("outside", "in")] * 3
  by_port = {port_of(f["frame"], family): f for f in frames}
  assert by_port[53]["comment"] == "passed, last judged out, rule @2"
  assert by_port[56]["comment"] == "dropped, match, last judged in, rule @0"
  assert all(abs(f["time"] - time.time()) < 60 for f in frames)
  assert all(f["length"] == len(f["frame"]) for f in frames)
  assert struct.unpack("<Q", statistics[0][5])[0] == 0
  # The whole frame, and at the other port as it leaves.
  leaving, _ = read(out)
  assert [(f["port"], f["way"]) for f in leaving] == [("inside", "out")] * 2
  assert leaving[0]["frame"] == by_port[53]["frame"]
  # Another reader agrees.
  shown = run("tcpdump", "-n", "-r", path).stdout
  assert shown.count("4000 > ") == 3 and SERVERS[family] in shown


def test_drops_answers_and_lengths(network, firewall, family, tmp_path):
  fw = firewall(_RULES)
  network.settle()
  path = tmp_path / "dropped.pcapng"
  began = capture(fw, "outside", "--dropped", "match", "--snaplen", "60",
                  "--count", "2", "-w", path, "udp")
  answers = capture(fw, "--filter", "main", "--out", "--json", "--count", "1",
                    # The server has one of its own about port 53.
                    "icmp[30:2] = 55 or "
                    "(icmp6 and ip6[40] = 1 and ip6[90:2] = 55)")
  send(network, family, "53,55,56")
  assert began.wait(20) == 0
  frames, _ = read(path.read_bytes())
  assert [f["comment"] for f in frames] == [
      "dropped, match, last judged in, rule @4",
      "dropped, match, last judged in, rule @0"]
  assert all(len(f["frame"]) == min(60, f["length"]) for f in frames)
  answer, = json.loads(answers.communicate(timeout=20)[0])["capture"]
  assert answer["answer"] and answer["way"] == "out"
  assert answer["port"] == "outside"
  assert CLIENTS[family] == answer["destination"]
  # In an anchor rules have numbers of their own.
  text = capture(fw, "outside", "--in", "--count", "1", "udp port 54")
  send(network, family, "54")
  line = text.communicate(timeout=20)[0].decode()
  assert " outside in udp " in line and "passed" in line


def test_a_slow_reader_loses_frames_and_is_told(network, firewall, family,
                                                tmp_path):
  if family == 6:
    return  # it is the same
  fw = firewall("pass\n")
  network.settle()
  path = tmp_path / "slow.pcapng"
  began = capture(fw, "outside", "-w", path, "--for", "6", "udp")
  began.send_signal(19)  # it reads no more
  network.client.run(
      "/usr/bin/python3", "-c", f"""
import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(8000):
  out.sendto(b"x" * 1400, ("{SERVERS[4]}", 9))
""")
  began.send_signal(18)
  assert began.wait(30) == 0
  frames, statistics = read(path.read_bytes())
  lost = struct.unpack("<Q", statistics[0][5])[0]
  assert lost > 0 and frames
  # A ring of four megabytes a worker, and what came meanwhile.
  assert len(frames) < 8000
  assert b"more came faster" in began.stderr.read()


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM],
                         ids=["int", "term"])
def test_what_is_interrupted_is_whole_and_closed(network, firewall, family,
                                                 tmp_path, interrupt):
  fw = firewall(_RULES)
  network.settle()
  path = tmp_path / "cut.pcapng"
  began = capture(fw, "outside", "udp and src port 4000", "-w", path)
  try:
    send(network, family, "53,54", source=4000)
    wait_for("the frames", lambda: path.stat().st_size > 200)
    closed = fw.process.text().count("trace close: done")
    began.send_signal(interrupt)
    assert began.wait(20) == 0
  finally:
    if began.poll() is None:
      began.kill()
  frames, statistics = read(path.read_bytes())
  assert frames and len(statistics) == 1
  assert fw.process.text().count("trace close: done") == closed + 1


def test_whose_reader_goes_closes_too(network, firewall, family):
  fw = firewall(_RULES)
  network.settle()
  began = capture(fw, "outside", "udp and src port 4000")
  try:
    closed = fw.process.text().count("trace close: done")
    began.stdout.close()
    send(network, family, "53,54", source=4000)
    wait_for("the end", lambda: began.poll() is not None)
  finally:
    if began.poll() is None:
      began.kill()
  assert fw.process.text().count("trace close: done") == closed + 1


def test_mistakes(network, firewall, family):
  del network
  if family == 6:
    return
  fw = firewall("pass\n")
  for words in (("nowhere",), ("outside", "no such word"),
                ("--filter", "nobody"), ("outside", "--in", "--dropped"),
                ("outside", "-w", "/nowhere/at/all"), (),
                ("outside", "--snaplen", "0"),
                ("outside", "--reason", "because")):
    done = fw.ctl("capture", *words, "--count", "1", check=False)
    assert done.returncode == 1 and done.stderr, words
  # None of these has left a place taken.
  for _ in range(5):
    assert fw.ctl("capture", "outside", "--for", "1", check=False,
                  timeout=20).returncode == 0
