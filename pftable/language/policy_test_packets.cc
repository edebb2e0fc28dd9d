// The packets that a statement of a policy test names.
#include <algorithm>

#include "pftable/language/policy_test.h"

namespace sluice {
namespace {

constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kEchoRequest6 = 128;

bool PortsOf(uint8_t proto) {
  return proto == protocol::kTcp || proto == protocol::kUdp ||
         proto == protocol::kSctp;
}
bool IcmpOf(uint8_t proto) {
  return proto == protocol::kIcmp || proto == protocol::kIcmp6;
}
// ICMP is of IPv4 and ICMPv6 of IPv6; all others are of both.
bool Fits(uint8_t proto, Family family) {
  return proto == protocol::kIcmp    ? family == Family::kIpv4
         : proto == protocol::kIcmp6 ? family == Family::kIpv6
                                     : true;
}

// As far as anybody counts.
uint64_t Product(uint64_t a, uint64_t b) {
  constexpr uint64_t kMany = uint64_t{1} << 32;
  return a == 0 || b == 0 ? 0 : a > kMany / b ? kMany : a * b;
}

Address Plus(Address address, uint64_t number) {
  for (int i = AddressBits(address.family) / 8 - 1; i >= 0 && number > 0; --i) {
    number += address.bytes[i];
    address.bytes[i] = static_cast<uint8_t>(number);
    number >>= 8;
  }
  return address;
}

uint64_t CountPorts(const std::vector<PortSpan>& spans) {
  uint64_t count = 0;
  for (const PortSpan& span : spans) count += span.high - span.low + 1u;
  return count;
}

// Of one protocol in one family: what its ports or types make of each pair of
// addresses.
uint64_t CountInner(const Expectation& e, uint8_t proto, Family family) {
  if (!Fits(proto, family)) return 0;
  if (e.fragment) return 1;
  if (PortsOf(proto)) {
    return Product(e.source_ports.empty() ? 1 : CountPorts(e.source_ports),
                   CountPorts(e.destination_ports));
  }
  if (!IcmpOf(proto) || e.icmp.empty()) return 1;
  return static_cast<uint64_t>(
      std::count_if(e.icmp.begin(), e.icmp.end(),
                    [&](const auto& icmp) { return icmp.family == family; }));
}

// The ports, types and flags of packets whose other fields are set.
class InnerPackets {
 public:
  InnerPackets(const Expectation& e,
               const std::function<bool(const ExpectedPacket&)>& f)
      : e_(e), f_(f) {}

  bool Each(ExpectedPacket& p) const {
    const uint8_t proto = p.packet.proto;
    if (e_.fragment) return f_(p);
    if (PortsOf(proto)) return EachPort(p);
    if (!IcmpOf(proto)) return f_(p);
    if (e_.icmp.empty()) {
      p.packet.icmp_type =
          proto == protocol::kIcmp ? kEchoRequest : kEchoRequest6;
      p.packet.icmp_code = 0;
      return f_(p);
    }
    for (const Expectation::Icmp& icmp : e_.icmp) {
      if (icmp.family != p.packet.family) continue;
      p.packet.icmp_type = icmp.type;
      p.packet.icmp_code = icmp.code;
      if (!f_(p)) return false;
    }
    return true;
  }

 private:
  bool EachPort(ExpectedPacket& p) const {
    if (p.packet.proto == protocol::kTcp) {
      p.packet.tcp_flags = e_.tcp_flags.value_or(kTcpSyn);
    }
    static const std::vector<PortSpan>& usual = *new std::vector<PortSpan>(
        {{kExpectedSourcePort, kExpectedSourcePort}});
    for (const PortSpan& from :
         e_.source_ports.empty() ? usual : e_.source_ports) {
      for (uint32_t source = from.low; source <= from.high; ++source) {
        p.packet.source_port = Be16(static_cast<uint16_t>(source));
        for (const PortSpan& to : e_.destination_ports) {
          for (uint32_t port = to.low; port <= to.high; ++port) {
            p.packet.destination_port = Be16(static_cast<uint16_t>(port));
            if (!f_(p)) return false;
          }
        }
      }
    }
    return true;
  }

  const Expectation& e_;
  const std::function<bool(const ExpectedPacket&)>& f_;
};

}  // namespace

uint64_t Expectation::CountPackets() const {
  uint64_t count = 0;
  for (const Family of : {Family::kIpv4, Family::kIpv6}) {
    if (family != Family::kNone && family != of) continue;
    uint64_t from = 0, to = 0, inner = 0;
    for (const AddressSpan& a : sources) {
      if (a.first.family == of) from += a.count;
    }
    for (const AddressSpan& a : destinations) {
      if (a.first.family == of) to += a.count;
    }
    for (const uint8_t proto : protocols) {
      inner += CountInner(*this, proto, of);
    }
    count += Product(Product(from, to), Product(inner, interfaces.size()));
  }
  return count;
}

void Expectation::ForEachPacket(
    const std::function<bool(const ExpectedPacket&)>& f) const {
  const InnerPackets inner(*this, f);
  // Each pair of addresses of one family.
  const auto pairs = [&](ExpectedPacket& p) {
    for (const AddressSpan& from : sources) {
      const Family of = from.first.family;
      if (family != Family::kNone && family != of) continue;
      if (!Fits(p.packet.proto, of)) continue;
      for (const AddressSpan& to : destinations) {
        if (to.first.family != of) continue;
        for (uint64_t i = 0; i < from.count; ++i) {
          for (uint64_t k = 0; k < to.count; ++k) {
            p.packet.family = of;
            p.packet.source = Plus(from.first, i).bytes;
            p.packet.destination = Plus(to.first, k).bytes;
            if (!inner.Each(p)) return false;
          }
        }
      }
    }
    return true;
  };
  for (const std::string& interface : interfaces) {
    for (const uint8_t proto : protocols) {
      ExpectedPacket p;
      p.direction = direction;
      p.interface = interface;
      p.received_on = received_on;
      p.tagged = tagged;
      p.packet.kind = Kind::kIp;
      p.packet.proto = proto;
      p.packet.tos = tos;
      p.packet.ip_length = 60;
      if (ip_options) p.packet.flags |= kIpOptions;
      if (fragment) p.packet.flags |= kFragment;
      if (!pairs(p)) return;
    }
  }
}

}  // namespace sluice
