#include "dataplane/replay/offloaded_length.h"

#include "packet/headers.h"
#include "packet/packet.h"

namespace sluice {
namespace {

constexpr size_t kIpv4Header = 20;
constexpr size_t kIpv4Length = 2;
constexpr size_t kIpv4Checksum = 10;
constexpr size_t kIpv6Header = 40;
constexpr size_t kIpv6Length = 4;
constexpr size_t kIpv6Next = 6;
constexpr size_t kMostBytes = 0xffff;

uint16_t HalfOf(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void SetHalf(std::span<uint8_t> bytes, size_t at, uint32_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

// Where the IP header begins and the ethertype before it; 0: there is none.
size_t IpOffset(std::span<const uint8_t> frame, uint16_t& type) {
  for (size_t at = 12; at + 2 <= frame.size(); at += 4) {
    type = HalfOf(frame, at);
    if (type != wire::ethertype::kVlan && type != wire::ethertype::kQinq) {
      return at + 2;
    }
  }
  return 0;
}

}  // namespace

bool FillOffloadedLength(std::span<const uint8_t> frame,
                         std::vector<uint8_t>& filled) {
  uint16_t type = 0;
  const size_t at = IpOffset(frame, type);
  if (at == 0) return false;
  const std::span<const uint8_t> packet = frame.subspan(at);
  if (type == wire::ethertype::kIpv4) {
    if (packet.size() < kIpv4Header || packet.size() > kMostBytes ||
        packet[0] >> 4 != 4 || HalfOf(packet, kIpv4Length) != 0) {
      return false;
    }
    const size_t header = (packet[0] & 0xf) * size_t{4};
    if (header < kIpv4Header || header > packet.size()) return false;
    filled.assign(frame.begin(), frame.end());
    const std::span<uint8_t> ip = std::span(filled).subspan(at);
    SetHalf(ip, kIpv4Length, static_cast<uint32_t>(packet.size()));
    SetHalf(ip, kIpv4Checksum, 0);
    uint32_t sum = 0;
    for (size_t i = 0; i < header; i += 2) sum += HalfOf(ip, i);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    SetHalf(ip, kIpv4Checksum, ~sum);
    return true;
  }
  if (type == wire::ethertype::kIpv6) {
    if (packet.size() <= kIpv6Header ||
        packet.size() - kIpv6Header > kMostBytes || packet[0] >> 4 != 6 ||
        HalfOf(packet, kIpv6Length) != 0 ||
        (packet[kIpv6Next] != protocol::kTcp &&
         packet[kIpv6Next] != protocol::kUdp)) {
      return false;
    }
    filled.assign(frame.begin(), frame.end());
    SetHalf(std::span(filled).subspan(at), kIpv6Length,
            static_cast<uint32_t>(packet.size() - kIpv6Header));
    return true;
  }
  return false;
}

}  // namespace sluice
