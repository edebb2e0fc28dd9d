"""High availability by what exists: keepalived (VRRP) in the router's namespace
and on a second machine beside it, the client's."""

import datetime
import re

from harness import wait_for
from test_router import (CLIENT, MASK, hosts, kernel, mac_of,  # noqa: F401
                         router)

VIRTUAL = {4: "10.1.0.254", 6: "fd01::fe"}
LINK_LOCAL = "fe80::fe"  # RFC 9568 wants one among those of IPv6
RULES = """\
block
pass inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state
pass in on outside proto { icmp, icmp6 } to (outside)
"""
VRRP = "pass on outside proto 112 no state\n"
# From the kernel's event to the first answer, which may have to wait for a
# processor here. Idle, it takes some milliseconds; 100 are promised.
_LIMIT_S = 5


class Keepalived:
  """One in a namespace, for the virtual address of a family."""

  def __init__(self, namespace, interface, family, priority, folder):
    self._namespace, self._folder = namespace, folder
    folder.mkdir()
    first = f"    {LINK_LOCAL}/64\n" if family == 6 else ""
    (folder / "conf").write_text(f"""\
global_defs {{
  vrrp_version 3
}}
vrrp_instance lan {{
  state BACKUP
  interface {interface}
  virtual_router_id 51
  priority {priority}
  advert_int 0.3
  virtual_ipaddress {{
{first}    {VIRTUAL[family]}/{MASK[family]}
  }}
}}
""")
    self._process = None

  def start(self):
    folder = self._folder
    self._process = self._namespace.start(
        "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
        f"--use-file={folder / 'conf'}", f"--pid={folder / 'pid'}",
        f"--vrrp_pid={folder / 'vrrp'}")
    return self._process

  def state(self):
    found = re.findall(r"Entering (\w+) STATE", self._process.text())
    return found[-1] if found else None

  def stop(self):
    self._process.stop()


def has(fw, family):
  return any(prefix.startswith(VIRTUAL[family] + "/")
             for prefix in fw.port("outside")["addresses"])


def kernel_has(namespace, interface, family):
  return f" {VIRTUAL[family]}/" in namespace.run(
      "ip", f"-{family}", "address", "show", "dev", interface).stdout


def test_a_virtual_address_moves(router, hosts, family, tmp_path):
  fw = router(RULES + VRRP).addresses()
  peer = Keepalived(hosts.client, "eth0", family, 200, tmp_path / "peer")
  own = Keepalived(fw.kernel, "outside", family, 100, tmp_path / "own")
  mac = fw.kernel.run("cat", "/sys/class/net/outside/address").stdout.strip()
  events = fw.kernel.start("ip", "-ts", "-o", "monitor", "address")
  probe = hosts.client.start_python("vip_probe.py", "eth0", mac, CLIENT[family],
                                    VIRTUAL[family])
  wait_for("the probe", lambda: "ready" in probe.text())
  peer.start()
  wait_for("a master", lambda: kernel_has(hosts.client, "eth0", family))
  # It hears of the other one, through the firewall, and waits.
  own.start()
  wait_for("a backup", lambda: own.state() == "BACKUP")
  before = fw.port("outside")["to_host"]
  wait_for("adverts", lambda: fw.port("outside")["to_host"] >= before + 6)
  assert own.state() == "BACKUP" and not has(fw, family)
  assert " answers " not in probe.text()

  peer.stop()
  wait_for("the address", lambda: has(fw, family))
  wait_for("answers", lambda: " answers " in probe.text())
  added = re.search(r"\[(\S+)\] .* " + re.escape(VIRTUAL[family]) + "/",
                    events.text())
  moved = datetime.datetime.fromisoformat(added[1]).timestamp()
  answered = float(re.search(r"(\S+) answers", probe.text())[1])
  print(f"IPv{family}: the first answer {1000 * (answered - moved):.1f} ms "
        "after the kernel had the address")
  assert answered - moved < _LIMIT_S
  # The others on the link are told whose it is now.
  wait_for("an announcement", lambda: f"announced {VIRTUAL[family]} {mac}" in
           probe.text())
  told = float(re.search(rf"(\S+) announced \S+ {mac}", probe.text())[1])
  print(f"IPv{family}: announced after {1000 * (told - moved):.1f} ms")
  assert abs(told - moved) < _LIMIT_S

  # The other one is there again, and comes first.
  peer.start()
  wait_for("its end", lambda: not has(fw, family))
  assert kernel_has(hosts.client, "eth0", family)
  assert own.state() == "BACKUP"
  # Without a rule for them the adverts are not heard: both have it.
  before = fw.drops().get("match", 0)
  fw.load(RULES)
  wait_for("two masters", lambda: has(fw, family))
  assert own.state() == "MASTER" and fw.drops()["match"] > before
  assert kernel_has(hosts.client, "eth0", family)
  peer.stop()  # its address is the client's, which others still need
