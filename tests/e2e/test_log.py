"""Packets of `log` rules, as tcpdump shows them."""

from harness import CLIENTS, NEIGHBOURS, SERVERS, run, wait_for


def test_tcpdump_reads_what_was_blocked(network, firewall, family, tmp_path):
  folder = tmp_path / "packets"
  folder.mkdir()
  fw = firewall("block log on outside\npass on inside\n" + NEIGHBOURS,
                extra=f'[log]\npackets = "{folder}"\n')
  network.settle()
  network.client.start_python(
      "udp_stream.py", "send", "--to", SERVERS[family], "--port", 5300,
      "--rate", 10, "--seconds", 1).wait()

  def shown():
    if not (folder / "pflog0").exists():
      return ""
    return run("tcpdump", "-n", "-e", "-r", folder / "pflog0",
               f"dst port 5300 and dst host {SERVERS[family]}").stdout

  wait_for("ten packets in the log",
           lambda: shown().count("block in on outside") >= 10)
  line = shown().splitlines()[0]
  assert "rule 0" in line and "(match)" in line, line
  assert CLIENTS[family] in line
  assert fw.drops()["match"] >= 10
