"""FRR as the control plane of a router, which knows nothing of sluice."""

import re
import signal

from harness import BUILD, wait_for
from test_router import (INSIDE, MASK, SERVER,  # noqa: F401
                         hosts, kernel, pings, router)

# Its package would start daemons here: unpacked by tests/run.sh.
FRR = BUILD / "unpacked"
LIBRARIES = FRR / "usr/lib/x86_64-linux-gnu"
FAR = {4: ("10.9.0.0/24", "10.9.0.1"), 6: ("fd09::/64", "fd09::1")}


class Speaker:
  """zebra and bgpd in a namespace, with folders of their own."""

  def __init__(self, namespace, folder, number, own, peer, family, announce=""):
    self._namespace = namespace
    self._folder = folder
    folder.mkdir()
    # It wants a group of its own.
    group = folder / "group"
    group.write_text(open("/etc/group").read() + "frrvty:x:64999:root\n")
    unicast = {4: "ipv4", 6: "ipv6"}[family]
    (folder / "zebra.conf").write_text(f"hostname {number}\n")
    (folder / "bgpd.conf").write_text(f"""\
hostname {number}
router bgp {65000 + number}
 bgp router-id 10.0.0.{number}
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 timers bgp 1 3
 neighbor {peer} remote-as {65003 - number}
 neighbor {peer} timers connect 1
 address-family {unicast} unicast
  neighbor {peer} activate
  {f"network {announce}" if announce else ""}
 exit-address-family
""")
    self._start("zebra")
    wait_for("zebra", (folder / "zserv").exists)
    self.bgpd = None
    self.begin()

  def _start(self, program, *more):
    folder = self._folder
    libraries = f"{LIBRARIES / 'frr'}:{LIBRARIES}"
    return self._namespace.start(
        "unshare", "--mount", "sh", "-c",
        f"mount --bind {folder}/group /etc/group && "
        f'export LD_LIBRARY_PATH={libraries} && exec "$@"', "frr",
        FRR / "usr/lib/frr" / program, "-u", "root", "-g", "root", "-f",
        folder / f"{program}.conf", "-i", folder / f"{program}.pid", "-z",
        folder / "zserv", "--vty_socket", folder, "-P", "0", "--log", "stdout",
        *more)

  def begin(self):
    self.bgpd = self._start("bgpd")

  def end(self):
    """As an operator would: it withdraws what it has announced."""
    self.bgpd.stop(signal.SIGTERM)


def test_a_route_of_bgp_is_withdrawn_under_traffic(router, hosts, family,
                                                   tmp_path):
  fw = router(workers=2).addresses()
  net, far = FAR[family]
  nodad = ["nodad"] if family == 6 else []
  hosts.server.run("ip", f"-{family}", "address", "replace",
                   f"{far}/{MASK[family]}", "dev", "lo", *nodad)
  assert not pings(hosts.client, far)
  Speaker(fw.kernel, tmp_path / "here", 1, INSIDE[family], SERVER[family],
          family)
  there = Speaker(hosts.server, tmp_path / "there", 2, SERVER[family],
                  INSIDE[family], family, announce=net)
  # Their session goes through sluiced, to the kernel and from it.
  wait_for("the route", lambda: net in fw.routes())
  hop, = fw.routes()[net]["hops"]
  assert hop["port"] == "inside"
  flow = hosts.client.start("ping", "-n", "-O", "-i", "0.05", far)
  wait_for("answers", lambda: flow.text().count("bytes from") > 5)
  there.end()
  wait_for("the withdrawal", lambda: net not in fw.routes())
  wait_for("no answers", lambda: re.search(
      "nreachable|No route|no answer",
      flow.text().rsplit("bytes from", 1)[1]))
  seen = flow.text().count("bytes from")
  there.begin()
  wait_for("answers again", lambda: flow.text().count("bytes from") > seen)
  flow.stop(signal.SIGINT)
