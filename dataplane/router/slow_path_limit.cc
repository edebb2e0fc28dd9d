#include "dataplane/router/slow_path_limit.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr size_t kTypeOffset = 12;
constexpr size_t kTagBytes = 4;
constexpr size_t kIpv6Bytes = 40;
constexpr uint16_t kArpType = 0x0806;
constexpr uint16_t kIpv6Type = 0x86dd;
constexpr uint8_t kIcmp6 = 58;
constexpr uint8_t kFirstOfDiscovery = 133;  // router solicitation
constexpr uint8_t kLastOfDiscovery = 137;   // redirect

bool IsTag(uint16_t type) { return type == 0x8100 || type == 0x88a8; }

constexpr size_t kArpBytes = 28;
constexpr size_t kIcmpTarget = 8;  // of a message of discovery
constexpr uint8_t kSolicitation = 135;
constexpr uint8_t kAdvertisement = 136;

// What a frame is behind its tags.
struct Inside {
  uint16_t type = 0;  // 0: it has none
  std::span<const uint8_t> bytes{};
};
Inside BehindTags(std::span<const uint8_t> frame) {
  size_t at = kTypeOffset;
  for (int tags = 0;; ++tags) {
    if (frame.size() < at + 2) return {};
    const auto type = static_cast<uint16_t>(frame[at] << 8 | frame[at + 1]);
    if (!IsTag(type) || tags == 2) return {type, frame.subspan(at + 2)};
    at += kTagBytes;
  }
}

// Of a message of discovery; 0: it is none. That has no extension headers worth
// the name: with some it counts with the others.
uint8_t DiscoveryType(const Inside& inside) {
  if (inside.type != kIpv6Type || inside.bytes.size() <= kIpv6Bytes ||
      inside.bytes[6] != kIcmp6) {
    return 0;
  }
  const uint8_t icmp = inside.bytes[kIpv6Bytes];
  return icmp >= kFirstOfDiscovery && icmp <= kLastOfDiscovery ? icmp : 0;
}

Address AddressAt(std::span<const uint8_t> bytes, size_t at, Family family) {
  Address address;
  address.family = family;
  std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at),
              family == Family::kIpv4 ? 4 : 16, address.bytes.begin());
  return address;
}

bool IsUnspecified(const Address& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(),
                     [](uint8_t byte) { return byte == 0; });
}

}  // namespace

HostKind KindOf(std::span<const uint8_t> frame) {
  const Inside inside = BehindTags(frame);
  if (inside.type == kArpType) return HostKind::kArp;
  return DiscoveryType(inside) != 0 ? HostKind::kNeighborDiscovery
                                    : HostKind::kOther;
}

std::optional<Asker> AskerOf(std::span<const uint8_t> frame) {
  const Inside inside = BehindTags(frame);
  const std::span<const uint8_t> bytes = inside.bytes;
  Asker asker;
  if (inside.type == kArpType) {
    // Of an answer the kernel makes nothing that it has not asked for.
    const bool asks = bytes.size() >= kArpBytes && bytes[6] == 0 &&
                      bytes[7] == 1;
    if (!asks) return std::nullopt;
    asker = {AddressAt(bytes, 14, Family::kIpv4),
             AddressAt(bytes, 24, Family::kIpv4)};
  } else {
    const uint8_t type = DiscoveryType(inside);
    if (type == 0 || type == kAdvertisement) return std::nullopt;
    asker.sender = AddressAt(bytes, 8, Family::kIpv6);
    if (type == kSolicitation) {
      if (bytes.size() < kIpv6Bytes + kIcmpTarget + 16) return std::nullopt;
      asker.target = AddressAt(bytes, kIpv6Bytes + kIcmpTarget, Family::kIpv6);
    }
  }
  // Who has no address yet is nobody's neighbour.
  if (IsUnspecified(asker.sender)) return std::nullopt;
  return asker;
}

SlowPathLimit::SlowPathLimit(const HostRates& rates) {
  for (size_t i = 0; i < kHostKinds; ++i) {
    buckets_[i] = {.rate = rates[i], .thousandths = uint64_t{rates[i]} * 1000};
    strangers_[i] = {.rate = kStrangers,
                     .thousandths = uint64_t{kStrangers} * 1000};
  }
}

bool SlowPathLimit::Bucket::Take(uint64_t now) {
  const uint64_t full = uint64_t{rate} * 1000;
  if (now > filled) {
    // A second fills it, whatever was in it.
    const uint64_t since = std::min<uint64_t>(now - filled, 1000);
    thousandths = std::min(full, thousandths + since * rate);
    filled = now;
  }
  if (thousandths < 1000) return false;
  thousandths -= 1000;
  return true;
}

bool SlowPathLimit::Take(HostKind kind, uint64_t now) {
  return buckets_[static_cast<size_t>(kind)].Take(now);
}

bool SlowPathLimit::TakeStranger(HostKind kind, uint64_t now) {
  return strangers_[static_cast<size_t>(kind)].Take(now);
}

}  // namespace sluice
