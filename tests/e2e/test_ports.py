"""Ports and wires that come and go by orders, and stay over a restart."""

import grp
import os
import signal
import stat

import pytest

from harness import BUILD, Firewall, PYTHON, SERVERS, UdpStream, run, wait_for

_RULES = "pass all\n"


def ports_of(fw):
  return {p["name"]: p for p in fw.json("port", "list")["ports"]}


def state_of(tmp_path):
  return f'\n[state]\ndir = "{tmp_path / "state"}"\ninterval = 1\n'


def restart(fw, number):
  if number == signal.SIGTERM:
    fw.stop()
  else:
    fw.process.send_signal(number)
    fw.process.wait()
  fw.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL],
                         ids=["stopped", "killed"])
def test_added_ports_survive_a_restart(firewall, tmp_path, number):
  fw = firewall(_RULES, extra=state_of(tmp_path))
  fw.ctl("port", "add", "b", "--device", "net_null1,no-rx=1", "--groups",
         "guests", "--addresses", "192.0.2.1/24,2001:db8::1/64")
  fw.ctl("port", "add", "a", "--device", "net_null0,no-rx=1", "--wire", "b",
         "--mtu", "1400", "--non-ip", "block")
  fw.ctl("port", "add", "gone", "--device", "net_null2,no-rx=1")
  fw.ctl("port", "remove", "gone")
  fw.ctl("port", "disable", "b")
  fw.ctl("filter", "create", "vm", "--ports", "a", "--ruleset", "-",
         input=_RULES)

  def kept(ports):
    return {name: {key: port[key] for key in
                   ("filter", "wire", "device", "enabled")}
            for name, port in ports.items()}
  before = kept(ports_of(fw))
  assert before["a"] == {"filter": "vm", "wire": "b", "device": "net_null0",
                         "enabled": True}
  assert before["b"]["enabled"] is False
  manifest = tmp_path / "state" / "manifest"
  wait_for("the list of ports", lambda: '"vm"' in manifest.read_text() and
           '"name":"a"' in manifest.read_text() and
           '"gone"' not in manifest.read_text())
  restart(fw, number)
  assert kept(ports_of(fw)) == before
  assert "gone" not in ports_of(fw)
  # What was given with it is still known to rules.
  fw.load("pass on guests\npass from (b)\n")
  # As was removed later, so it stays.
  fw.ctl("port", "remove", "a")
  wait_for("the list of ports", lambda: '"name":"a"' not in
           manifest.read_text().split('"ports":[{')[-1])
  restart(fw, number)
  assert not ports_of(fw)["a"].get("device")


def test_a_port_whose_device_is_gone_is_said_and_tried_again(
    network, firewall, tmp_path):
  fw = firewall(_RULES, extra=state_of(tmp_path), control="""
allow_devices = ["net_af_packet"]""")
  network.firewall.run("ip", "link", "add", "spare0", "type", "veth", "peer",
                       "name", "spare1")
  fw.ctl("port", "add", "x", "--device", "net_af_packet7,iface=spare0")
  wait_for("the list", lambda: '"x"' in
           (tmp_path / "state" / "manifest").read_text())
  fw.stop()
  network.firewall.run("ip", "link", "del", "spare0")
  fw.start()
  assert "port x is not plugged in again" in fw.process.text()
  assert "x" not in ports_of(fw)
  fw.stop()
  network.firewall.run("ip", "link", "add", "spare0", "type", "veth", "peer",
                       "name", "spare1")
  fw.start()
  assert ports_of(fw)["x"]["device"] == "net_af_packet7"
  fw.ctl("port", "remove", "x")


def test_a_wire_leads_to_a_port_that_is_known(firewall):
  fw = firewall(_RULES)
  done = fw.ctl("port", "add", "a", "--device", "net_null0,no-rx=1", "--wire",
                "nosuch", check=False)
  assert done.returncode == 1
  assert "there is no port nosuch" in done.stderr, done.stderr
  assert "a" not in ports_of(fw)


def test_starts_without_ports(network, tmp_path, family):
  """And passes packets once orders have brought some."""
  fw = Firewall(network, _RULES, tmp_path)
  text = fw.config.read_text()
  begin, end = text.index("\n[[port]]"), text.index("[workers]")
  fw.config.write_text(text[:begin] + "\n" + text[end:])
  check = network.firewall.run(BUILD / "sluiced", "--check", "-c", fw.config)
  assert "note: there is no [[port]]" in check.stderr, check.stderr
  fw.start()
  try:
    assert ports_of(fw) == {}
    for number, (name, wire) in enumerate((("outside", ()),
                                           ("inside", ("--wire", "outside")))):
      fw.ctl("port", "add", name, "--device",
             f"net_af_packet{number},iface={name}", *wire)
    network.settle()
    counted = UdpStream(network, family, 5300, rate=200, seconds=1).finish()
    assert counted.received == counted.sent
  finally:
    fw.stop()


def test_sockets_of_devices_have_their_group_and_mode(firewall, tmp_path):
  sockets = tmp_path / "sockets"
  sockets.mkdir(mode=0o755)
  group = grp.getgrnam("daemon")
  fw = firewall(_RULES, control=f"""
device_dirs = ["{sockets}"]
device_group = "daemon"
device_mode = "0620"
""")
  path = sockets / "vm.sock"
  fw.ctl("port", "add", "vm", "--device", f"net_vhost0,iface={path}")
  found = path.stat()
  assert stat.S_ISSOCK(found.st_mode)
  assert (found.st_gid, found.st_mode & 0o777) == (group.gr_gid, 0o620)
  fw.stop()
  # Without: the group of the control socket, which both may use.
  fw.config.write_text(
      fw.config.read_text().replace('device_group = "daemon"',
                                    'group = "bin"\nmode = "0660"')
      .replace('device_mode = "0620"', ""))
  fw.start()
  fw.ctl("port", "add", "vm", "--device", f"net_vhost0,iface={path}")
  found = path.stat()
  assert (found.st_gid, found.st_mode & 0o777) == (
      grp.getgrnam("bin").gr_gid, 0o660)
  assert fw.socket.stat().st_gid == found.st_gid
