"""Packets that are made to slip by, step by step, and what a firewall says of
each: `sluice` and `nft` have a + for each step that passes and a - for each
that does not. Where they differ, `because` says why. docs/evasion.md lists the
differences."""

import dataclasses

from scapy.all import (AH, ESP, ICMP, IP, TCP, UDP, ICMPv6DestUnreach,
                       ICMPv6EchoReply, ICMPv6EchoRequest, IPOption_LSRR,
                       IPOption_RR, IPv6, IPv6ExtHdrDestOpt,
                       IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw)

# Around UDP; 24 bytes.
_AH = AH(nh=17, payloadlen=4, spi=7, seq=1, icv=b"x" * 12)

# Addresses that no host has: nobody answers by itself.
CLIENTS = {4: "10.1.0.77", 6: "fd01::77"}
SERVERS = {4: "10.2.0.77", 6: "fd02::77"}
WEB, DNS = 80, 53

PF = f"""\
block drop all
pass in on outside proto tcp to port {WEB} flags S/SA keep state
pass out on inside proto tcp to port {WEB} flags S/SA keep state
pass proto udp to port {DNS} keep state
pass inet proto icmp icmp-type echoreq keep state
pass inet6 proto icmp6 icmp6-type echoreq keep state
pass proto {{ esp ah }} keep state
"""
NFT = f"""\
table inet filter {{
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state invalid drop
    ct state established,related accept
    tcp dport {WEB} tcp flags & (syn | ack) == syn ct state new accept
    udp dport {DNS} ct state new accept
    icmp type echo-request accept
    icmpv6 type echo-request accept
    meta l4proto {{ esp, ah }} accept
  }}
}}
"""


@dataclasses.dataclass
class Case:
  name: str
  steps: list  # (side that sends, packet without its link header)
  sluice: str
  nft: str
  because: str = ""


class Maker:
  """Packets of one flow."""

  def __init__(self, family, port):
    self.family, self.port = family, port

  def ip(self, side, **fields):
    ends = (CLIENTS[self.family], SERVERS[self.family])
    source, to = ends if side == "c" else ends[::-1]
    kind = IP if self.family == 4 else IPv6
    if "ttl" in fields and self.family == 6:
      fields["hlim"] = fields.pop("ttl")
    return kind(**{"src": source, "dst": to, **fields})

  def ports(self, side, service):
    return ({"sport": self.port, "dport": service} if side == "c" else
            {"sport": service, "dport": self.port})

  def tcp(self, side, flags, seq=0, ack=0, data=b"", ip=None, extra=None,
          **fields):
    head = self.ip(side, **(ip or {}))
    if extra is not None:
      head = head / extra
    packet = head / TCP(**{**self.ports(side, WEB), "flags": flags,
                           "seq": seq, "ack": ack, "window": 8192, **fields})
    return side, packet / Raw(data) if data else packet

  def udp(self, side, data=b"query", service=DNS, ip=None, extra=None,
          **fields):
    head = self.ip(side, **(ip or {}))
    if extra is not None:
      head = head / extra
    return side, (head /
                  UDP(**{**self.ports(side, service), **fields}) / Raw(data))

  def echo(self, side, reply=False):
    if self.family == 4:
      return side, (self.ip(side) / ICMP(type=0 if reply else 8, id=self.port) /
                    Raw(b"ping"))
    kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
    return side, self.ip(side) / kind(id=self.port, data=b"ping")

  def unreachable(self, side, quoted):
    quoted = quoted[1].__class__(bytes(quoted[1]))
    if self.family == 4:
      return side, self.ip(side) / ICMP(type=3, code=3) / quoted
    return side, self.ip(side) / ICMPv6DestUnreach(code=4) / quoted

  def handshake(self, seq=1000, answer=5000):
    return [self.tcp("c", "S", seq),
            self.tcp("s", "SA", answer, seq + 1 & 0xffffffff),
            self.tcp("c", "A", seq + 1 & 0xffffffff, answer + 1)]


def cases(family):
  """All of a family's, each with a port of its own."""
  made = []

  def case(name, steps, sluice, nft=None, because=""):
    made.append(Case(name, steps(Maker(family, 20_000 + len(made))), sluice,
                     nft or sluice, because))

  case("a connection", lambda m: m.handshake() + [
      m.tcp("c", "PA", 1001, 5001, b"GET"), m.tcp("s", "A", 5001, 1004),
      m.tcp("s", "PA", 5001, 1004, b"here"), m.tcp("c", "FA", 1004, 5005),
      m.tcp("s", "FA", 5005, 1005), m.tcp("c", "A", 1005, 5006)], "+++++++++")
  case("numbers that wrap around", lambda m: m.handshake(0xfffffff0) + [
      m.tcp("c", "PA", 0xfffffff1, 5001, bytes(40)),
      m.tcp("c", "PA", 25, 5001, b"more")], "+++++")
  for flags in ("SF", "SR", "", "FPU", "SFR", "FRA"):
    case(f"flags {flags or 'none'}", lambda m, f=flags: [m.tcp("c", f, 1000)],
         "-")
  for flags in ("A", "SA", "FA", "RA", "R", "PA"):
    case(f"{flags} without a connection",
         lambda m, f=flags: [m.tcp("c", f, 1000, 1)], "-")
  case("a SYN from the server's side", lambda m: [m.tcp("s", "S", 1000)], "-")
  case("a SYN to a port without a rule",
       lambda m: [m.tcp("c", "S", 1000, dport=81)], "-")
  case("a wrong TCP checksum, and the right one",
       lambda m: [m.tcp("c", "S", 1000, chksum=0x1234), m.tcp("c", "S", 1000)],
       "-+")
  case("a wrong UDP checksum",
       lambda m: [m.udp("c", chksum=0x1234), m.udp("s")], "--")
  case("no UDP checksum", lambda m: [m.udp("c", chksum=0), m.udp("s")], "++")
  case("a TCP header of 16 bytes",
       lambda m: [m.tcp("c", "S", 1000, dataofs=4)], "-")
  case("a UDP length beyond the packet",
       lambda m: [m.udp("c", len=200)], "-")
  case("data in a SYN", lambda m: [
      m.tcp("c", "S", 1000, 0, b"early"), m.tcp("s", "SA", 5000, 1006)], "++")
  case("SYNs that cross", lambda m: [
      m.tcp("c", "S", 1000), m.tcp("s", "S", 5000),
      m.tcp("c", "SA", 1000, 5001), m.tcp("s", "SA", 5000, 1001),
      m.tcp("c", "A", 1001, 5001)], "+++++")
  case("FIN before the SYN-ACK", lambda m: [
      m.tcp("c", "S", 1000), m.tcp("c", "FA", 1001, 0),
      m.tcp("s", "SA", 5000, 1001)], "+++", "+-+", "to pf an acknowledgment of "
       "0 is none, and the numbers are in order")
  case("a wrong acknowledgment, and the right one", lambda m: [
      m.tcp("c", "S", 1000), m.tcp("s", "SA", 5000, 900_000_000),
      m.tcp("s", "SA", 5000, 1001)], "+-+")
  case("a SYN in an open connection", lambda m: m.handshake() + [
      m.tcp("c", "S", 1100), m.tcp("c", "PA", 1001, 5001, b"x")], "+++-+",
       "+++++", "RFC 5961, 4: sluice answers with a challenge ACK itself; "
       "Linux lets the server do it")
  case("a RST before the window", lambda m: m.handshake() + [
      m.tcp("c", "R", 900_000_000), m.tcp("c", "PA", 1001, 5001, b"x")],
       "+++-+")
  case("a RST in the window, not exact", lambda m: m.handshake() + [
      m.tcp("c", "R", 1100), m.tcp("c", "PA", 1001, 5001, b"x")],
       "+++-+", "+++++", "RFC 5961, 3: sluice answers with a challenge ACK "
       "itself; Linux lets the server do it")
  case("an exact RST", lambda m: m.handshake() + [m.tcp("c", "R", 1001)],
       "++++")
  case("data beyond the window", lambda m: m.handshake() + [
      m.tcp("c", "PA", 1001 + 1_000_000, 5001, b"x")], "+++-")
  case("data far behind the window", lambda m: m.handshake() + [
      m.tcp("c", "PA", 1001 - 2_000_000 & 0xffffffff, 5001, b"x")], "+++-",
       "++++", "pf lets pass a window's worth of what has come before; to Linux "
       "all that was acknowledged is a retransmission")
  case("an acknowledgment of nothing", lambda m: m.handshake() + [
      m.tcp("c", "A", 1001, 5001 + 10_000_000)], "+++-")
  case("a UDP answer", lambda m: [m.udp("c"), m.udp("s")], "++")
  case("a UDP answer from another port",
       lambda m: [m.udp("c"), m.udp("s", sport=54)], "+-")
  case("a UDP answer to nothing", lambda m: [m.udp("s")], "-")
  case("echo", lambda m: [m.echo("c"), m.echo("s", True)], "++")
  case("an echo reply to nothing", lambda m: [m.echo("s", True)], "-")
  case("an ICMP error of a flow", lambda m: [
      m.udp("c"), m.unreachable("s", m.udp("c"))], "++")
  case("an ICMP error of no flow",
       lambda m: [m.unreachable("s", m.udp("c"))], "-")
  case("an ICMP error of a segment outside of the window",
       lambda m: m.handshake() + [
           m.unreachable("s", m.tcp("c", "A", 900_000_000, 5001))],
       "+++-", "++++", "pf compares the quoted sequence number with the "
       "state's window; conntrack the addresses and ports alone")
  case("a TTL of 1", lambda m: [m.tcp("c", "S", 1000, ip={"ttl": 1})],
       "+", "-", "a router counts hops; a wire does not")
  case("ESP", lambda m: [("c", m.ip("c") / ESP(spi=7, seq=1, data=b"x" * 16))],
       "+")
  case("AH before a port with a rule", lambda m: [
      m.udp("c", extra=_AH)], "+")
  case("AH before a port without a rule", lambda m: [
      m.udp("c", service=54, extra=_AH)], "-",
       "+", "pf judges what AH covers; nftables takes AH for the protocol")
  if family == 4:
    case("a wrong IP checksum",
         lambda m: [m.tcp("c", "S", 1000, ip={"chksum": 0x1234})], "-")
    case("record route", lambda m: [m.tcp("c", "S", 1000, ip={
        "options": [IPOption_RR(routers=["0.0.0.0"] * 2, pointer=4)]})],
         "-", "+", "pf drops options without allow-opts")
    case("a source route", lambda m: [m.tcp("c", "S", 1000, ip={
        "options": [IPOption_LSRR(routers=["10.2.0.9"], pointer=4)]})], "-",
         "-")
    case("an IP length beyond the packet",
         lambda m: [m.tcp("c", "S", 1000, ip={"len": 400})], "-")
    case("an IP header of 16 bytes",
         lambda m: [m.tcp("c", "S", 1000, ip={"ihl": 4})], "-")
  else:
    case("destination options", lambda m: [
        m.tcp("c", "S", 1000, extra=IPv6ExtHdrDestOpt())], "-", "+",
         "pf drops options without allow-opts")
    case("destination options before a port without a rule", lambda m: [
        m.tcp("c", "S", 1000, extra=IPv6ExtHdrDestOpt(), dport=81)], "-")
    case("routing header 0", lambda m: [
        m.tcp("c", "S", 1000, extra=IPv6ExtHdrRouting(
            type=0, addresses=["fd02::9"]))], "-")
    case("hop-by-hop options that are not first", lambda m: [
        m.tcp("c", "S", 1000,
              extra=IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop())], "-", "+",
         "RFC 8200, 4.1; a router looks at the first header alone")
    case("a length beyond the packet",
         lambda m: [m.tcp("c", "S", 1000, ip={"plen": 400})], "-")
  return made
