"""Rules that count what they meet, or look at who sends: `once`,
`max-pkt-rate`, `os`; and what `sluicectl` says of them."""

import struct

from harness import CLIENTS, NEIGHBOURS, SERVERS
from test_daemon import ask, start_echo

_RULES = """\
block all
pass in proto udp to port 7 once
pass out proto udp
""" + NEIGHBOURS


def test_once_is_for_one_flow(network, firewall, family):
  fw = firewall(_RULES)
  network.settle()
  start_echo(network)
  assert "once" in fw.ctl("-s", "rules").stdout
  # Of three flows it is the first one's; the rule is hidden.
  assert ask(network, family, 20000, 3) == 1
  assert "once" not in fw.ctl("-s", "rules").stdout
  shown = fw.ctl("-vv", "-s", "rules").stdout
  line = [line for line in shown.splitlines() if " once" in line]
  assert len(line) == 1 and line[0].endswith("once # expired")
  listed = {rule["number"]: rule.get("expired", False)
            for rule in fw.json("-s", "rules")["rules"]}
  assert listed[1] and not listed[2]
  # Its state lives on, and nobody else gets one.
  assert ask(network, family, 20000, 1) == 1
  assert ask(network, family, 20001, 1) == 0
  # Why not.
  wrap = {4: "%s:%d", 6: "[%s]:%d"}[family]
  told = fw.json("explain", "--in", "outside", "--proto", "udp", "--from",
                 wrap % (CLIENTS[family], 20009), "--to",
                 wrap % (SERVERS[family], 7), "-v")["explain"]
  failed = {rule["number"]: rule.get("failed") for rule in told[0]["rules"]}
  assert failed[1] == "once, which has expired"
  # A load of the same text begins anew.
  fw.load(_RULES)
  assert ask(network, family, 20002, 1) == 1


def test_names_of_systems(network, firewall, tmp_path):
  del network
  fw = firewall("pass\n")
  own = fw.ctl("-s", "osfp").stdout.splitlines()
  assert own[:2] == ["Class\tVersion\tSubtype(subversion)",
                     "-----\t-------\t-------------------"]
  assert "Linux\t" in own and "Linux\t5.4\t" in own
  assert "OS FINGERPRINTS:" in fw.ctl("-s", "all").stdout
  (tmp_path / "some.os").write_text(
      "*:64:1:*:.:Odd:1.0-1.1:2:odd\nnothing\n", encoding="ascii")
  rules = tmp_path / "pf.conf"
  rules.write_text('set fingerprints "some.os"\n'
                   'pass in proto tcp from any os "odd 1.1.2"\n')
  told = fw.ctl("-f", rules)
  assert 'line 2 is left out: nine fields' in told.stderr
  assert fw.ctl("-s", "osfp").stdout.splitlines()[2:] == [
      "Odd\t", "Odd\t1.0\t", "Odd\t1.0\t2\t", "Odd\t1.0-1.1\t",
      "Odd\t1.0-1.1\t2\t", "Odd\t1.1\t", "Odd\t1.1\t2\t"]
  assert 'os "Odd 1.1.2"' in fw.ctl("-s", "rules").stdout
  rules.write_text('pass in proto tcp from any os "Odd"\n')
  assert 'no fingerprint is of "Odd"' in fw.ctl("-f", rules,
                                                check=False).stderr


# Linux's SYN to port 80, as it is captured: Ethernet or IP alone.
def _capture(path, family, link):
  options = bytes((2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3,
                   3, 7))
  tcp = struct.pack(">HHIIBBHHH", 4000, 80, 7, 0, 0xa0, 2, 64240, 0,
                    0) + options
  if family == 4:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 60, 1, 0x4000, 64, 6, 0,
                     bytes(map(int, CLIENTS[4].split("."))),
                     bytes((198, 51, 100, 1)))
  else:
    ip = struct.pack(">IHBB", 0x60000000, 40, 6, 64) + bytes.fromhex(
        "20010db8000000000000000000000009"
        "20010db8000000000000000000000077")
  frame = (bytes(12) + {4: b"\x08\x00", 6: b"\x86\xdd"}[family]
           if link == 1 else b"") + ip + tcp
  with open(path, "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, link))
    for bad in (b"\0" * 60, frame):
      out.write(struct.pack("<IIII", 1, 0, len(bad), len(bad)) + bad)


def test_explain_a_captured_packet(network, firewall, tmp_path, family):
  del network
  fw = firewall(
      "block all\n"
      "match in inet proto tcp to port 80 rdr-to 192.0.2.77 port 8080\n"
      "pass in proto tcp from any os \"Linux 5.4\" to port { 80, 8080 }\n"
      "pass out proto tcp to port { 80, 8080 }\n")
  for link in (1, 101):
    path = tmp_path / "some.pcap"
    _capture(path, family, link)
    in_, out = fw.json("explain", "--in", "outside", "--pcap",
                       f"{path}:2")["explain"]
    assert in_["passes"] and out["passes"], (in_, out)
    if family == 4:
      assert in_["translated"]["destination"] == "192.0.2.77"
      assert in_["translated"]["destination_port"] == 8080
      assert "goes on as" in fw.ctl("explain", "--in", "outside", "--pcap",
                                 f"{path}:2").stdout
      decides = [r["text"] for r in out["rules"] if r["decides"]]
      assert "8080" in decides[0]
  for wrong, what in ((f"{path}:3", "there are 2 packets, not 3"),
                      (f"{path}:0", "from 1"),
                      (f"{path}:1", "--pcap"),
                      (f"{tmp_path}/none:1", "none")):
    told = fw.ctl("explain", "--in", "outside", "--pcap", wrong, check=False)
    assert told.returncode != 0 and what in told.stderr, told.stderr
