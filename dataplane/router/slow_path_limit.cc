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

}  // namespace

HostKind KindOf(std::span<const uint8_t> frame) {
  size_t at = kTypeOffset;
  uint16_t type = 0;
  for (int tags = 0;; ++tags) {
    if (frame.size() < at + 2) return HostKind::kOther;
    type = static_cast<uint16_t>(frame[at] << 8 | frame[at + 1]);
    if (!IsTag(type) || tags == 2) break;
    at += kTagBytes;
  }
  if (type == kArpType) return HostKind::kArp;
  const size_t header = at + 2;
  // Discovery has no extension headers worth the name: with some it counts
  // with the others.
  if (type != kIpv6Type || frame.size() <= header + kIpv6Bytes ||
      frame[header + 6] != kIcmp6) {
    return HostKind::kOther;
  }
  const uint8_t icmp = frame[header + kIpv6Bytes];
  return icmp >= kFirstOfDiscovery && icmp <= kLastOfDiscovery
             ? HostKind::kNeighborDiscovery
             : HostKind::kOther;
}

SlowPathLimit::SlowPathLimit(const HostRates& rates) : rates_(rates) {
  for (size_t i = 0; i < kHostKinds; ++i) {
    buckets_[i].thousandths = uint64_t{rates_[i]} * 1000;
  }
}

bool SlowPathLimit::Take(HostKind kind, uint64_t now) {
  const auto which = static_cast<size_t>(kind);
  Bucket& bucket = buckets_[which];
  const uint64_t full = uint64_t{rates_[which]} * 1000;
  if (now > bucket.filled) {
    // A second fills it, whatever was in it.
    const uint64_t since = std::min<uint64_t>(now - bucket.filled, 1000);
    bucket.thousandths =
        std::min(full, bucket.thousandths + since * rates_[which]);
    bucket.filled = now;
  }
  if (bucket.thousandths < 1000) return false;
  bucket.thousandths -= 1000;
  return true;
}

}  // namespace sluice
