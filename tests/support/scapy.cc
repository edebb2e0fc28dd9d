#include "tests/support/scapy.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "packet/address.h"

namespace sluice {
namespace {

using Bytes = std::span<const uint8_t>;

uint32_t Half(Bytes b, size_t at) { return b[at] << 8 | b[at + 1]; }
uint32_t Word(Bytes b, size_t at) {
  return Half(b, at) << 16 | Half(b, at + 2);
}

uint16_t InternetChecksum(Bytes b, uint32_t sum = 0) {
  for (size_t i = 0; i < b.size(); ++i) {
    sum += i % 2 == 0 ? b[i] << 8 : b[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

std::string Raw(Bytes b) {
  if (b.empty()) return "";
  return absl::StrCat(
      "/Raw(bytes.fromhex(\"",
      absl::BytesToHexString(absl::string_view(
          reinterpret_cast<const char*>(b.data()), b.size())),
      "\"))");
}

std::string Mac(Bytes b) {
  return absl::StrFormat("\"%02x:%02x:%02x:%02x:%02x:%02x\"", b[0], b[1],
                         b[2], b[3], b[4], b[5]);
}

std::string TcpFlagLetters(uint8_t flags) {
  std::string letters;
  for (int bit = 0; bit < 8; ++bit) {
    if (flags >> bit & 1) letters += "FSRPAUEC"[bit];
  }
  return letters;
}

// What the pseudo header adds to a checksum.
uint32_t PseudoSum(Family family, Bytes source, Bytes destination,
                   uint8_t proto, size_t length) {
  const size_t bytes = AddressBits(family) / 8;
  uint32_t sum = static_cast<uint16_t>(~InternetChecksum(
      source.first(bytes)));
  sum += static_cast<uint16_t>(~InternetChecksum(destination.first(bytes)));
  return sum + proto + static_cast<uint32_t>(length);
}

struct Upper {
  Family family = Family::kNone;
  Bytes source;
  Bytes destination;
  uint8_t proto = 0;
};

std::string TransportLine(const Upper& ip, Bytes b) {
  const uint32_t pseudo =
      PseudoSum(ip.family, ip.source, ip.destination, ip.proto, b.size());
  // A header is named only when its checksum is over all bytes that follow,
  // as it is then computed alike; a wrong one is written out.
  const auto checksum = [&](size_t at, uint32_t sum) {
    const bool right = InternetChecksum(b, sum) == 0 && Half(b, at) != 0;
    return right ? std::string()
                 : absl::StrFormat(",chksum=0x%x", Half(b, at));
  };
  if (ip.proto == 6 && b.size() >= 20 && b[12] == 0x50) {
    return absl::StrCat(
        "/TCP(sport=", Half(b, 0), ",dport=", Half(b, 2), ",flags=\"",
        TcpFlagLetters(b[13]), "\",seq=", Word(b, 4), ",ack=", Word(b, 8),
        ",window=", Half(b, 14),
        Half(b, 18) ? absl::StrCat(",urgptr=", Half(b, 18)) : "",
        checksum(16, pseudo), ")", Raw(b.subspan(20)));
  }
  if (ip.proto == 6 && b.size() >= 20 && b[12] > 0x50 && b[12] % 16 == 0 &&
      b.size() >= size_t{b[12]} / 4) {
    const size_t header = size_t{b[12]} / 4;
    return absl::StrCat(
        "/TCP(bytes.fromhex(\"",
        absl::BytesToHexString(absl::string_view(
            reinterpret_cast<const char*>(b.data()), header)),
        "\"))", Raw(b.subspan(header)));
  }
  if (ip.proto == 17 && b.size() >= 8) {
    return absl::StrCat("/UDP(sport=", Half(b, 0), ",dport=", Half(b, 2),
                        Half(b, 4) != b.size()
                            ? absl::StrCat(",len=", Half(b, 4))
                            : "",
                        checksum(6, pseudo), ")", Raw(b.subspan(8)));
  }
  if (ip.proto == 1 && ip.family == Family::kIpv4 && b.size() >= 8) {
    const bool query = b[0] == 0 || b[0] == 8;
    const std::string rest =
        query ? absl::StrCat(",id=", Half(b, 4), ",seq=", Half(b, 6)) : "";
    if (query || Word(b, 4) == 0) {
      return absl::StrCat("/ICMP(type=", b[0], ",code=", b[1], rest,
                          checksum(2, 0), ")", Raw(b.subspan(8)));
    }
  }
  if (ip.proto == 58 && ip.family == Family::kIpv6 && b.size() >= 8 &&
      (b[0] == 128 || b[0] == 129)) {
    return absl::StrCat(b[0] == 128 ? "/ICMPv6EchoRequest"
                                    : "/ICMPv6EchoReply",
                        "(code=", b[1], ",id=", Half(b, 4),
                        ",seq=", Half(b, 6),
                        absl::StrFormat(",cksum=0x%x", Half(b, 2)), ")",
                        Raw(b.subspan(8)));
  }
  return Raw(b);
}

std::string Ipv4Line(Bytes b) {
  if (b.size() < 20 || b[0] != 0x45) return Raw(b);
  const size_t total = Half(b, 2);
  const Bytes header = b.first(20);
  std::string line = absl::StrCat(
      "/IP(src=\"", ToString(Address::FromBytes(Family::kIpv4, &b[12])),
      "\",dst=\"", ToString(Address::FromBytes(Family::kIpv4, &b[16])),
      "\",ttl=", b[8], ",id=", Half(b, 4), ",proto=", b[9]);
  if (b[1] != 0) absl::StrAppend(&line, ",tos=", b[1]);
  const uint32_t fragment = Half(b, 6);
  if (fragment >> 13) absl::StrAppend(&line, ",flags=", fragment >> 13);
  if (fragment & 0x1fff) absl::StrAppend(&line, ",frag=", fragment & 0x1fff);
  if (total != b.size()) absl::StrAppend(&line, ",len=", total);
  if (InternetChecksum(header) != 0) {
    absl::StrAppendFormat(&line, ",chksum=0x%x", Half(b, 10));
  }
  line += ")";
  const Bytes rest = b.subspan(20);
  if ((fragment & 0x3fff) != 0 || total != b.size()) return line + Raw(rest);
  return line + TransportLine({.family = Family::kIpv4,
                               .source = b.subspan(12, 4),
                               .destination = b.subspan(16, 4),
                               .proto = b[9]},
                              rest);
}

std::string Ipv6Line(Bytes b) {
  if (b.size() < 40 || b[0] >> 4 != 6) return Raw(b);
  const size_t payload = Half(b, 4);
  std::string line = absl::StrCat(
      "/IPv6(src=\"", ToString(Address::FromBytes(Family::kIpv6, &b[8])),
      "\",dst=\"", ToString(Address::FromBytes(Family::kIpv6, &b[24])),
      "\",hlim=", b[7], ",nh=", b[6]);
  if (const uint32_t tc = Word(b, 0) >> 20 & 0xff; tc != 0) {
    absl::StrAppend(&line, ",tc=", tc);
  }
  if (const uint32_t flow = Word(b, 0) & 0xfffff; flow != 0) {
    absl::StrAppend(&line, ",fl=", flow);
  }
  if (payload + 40 != b.size()) absl::StrAppend(&line, ",plen=", payload);
  line += ")";
  const Bytes rest = b.subspan(40);
  if (payload + 40 != b.size()) return line + Raw(rest);
  return line + TransportLine({.family = Family::kIpv6,
                               .source = b.subspan(8, 16),
                               .destination = b.subspan(24, 16),
                               .proto = b[6]},
                              rest);
}

}  // namespace

std::string ScapyLine(std::span<const uint8_t> frame) {
  if (frame.size() < 14) {
    return frame.empty() ? "Raw(b\"\")" : Raw(frame).substr(1);
  }
  std::string line = absl::StrCat("Ether(dst=", Mac(frame),
                                  ",src=", Mac(frame.subspan(6)));
  uint32_t type = Half(frame, 12);
  absl::StrAppendFormat(&line, ",type=0x%x)", type);
  Bytes rest = frame.subspan(14);
  while ((type == 0x8100 || type == 0x88a8) && rest.size() >= 4) {
    const uint32_t control = Half(rest, 0);
    absl::StrAppendFormat(&line, "/Dot1Q(prio=%d,%s=%d,vlan=%d,type=0x%x)",
                          control >> 13, "id", control >> 12 & 1,
                          control & 0xfff, Half(rest, 2));
    type = Half(rest, 2);
    rest = rest.subspan(4);
  }
  if (type == 0x0800) return line + Ipv4Line(rest);
  if (type == 0x86dd) return line + Ipv6Line(rest);
  return line + Raw(rest);
}

}  // namespace sluice
