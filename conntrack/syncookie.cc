#include "conntrack/syncookie.h"

#include <array>

namespace sluice {
namespace {

// Common ones; what is between is rounded down.
constexpr std::array<uint16_t, 8> kMss = {64,   536,  1200, 1360,
                                          1400, 1440, 1452, 1460};
constexpr uint32_t kEvenBit = 1 << 3;
constexpr uint32_t kMssMask = 7;

uint32_t HashOf(const HashKey& key, const PacketInfo& info, VlanId vlan,
                uint32_t sequence, uint32_t low, uint32_t period) {
  struct {
    std::array<uint8_t, 16> source;
    std::array<uint8_t, 16> destination;
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t sequence;
    uint32_t low;
    uint32_t period;
  } what;
  static_assert(sizeof what == 48);
  what.source = info.source;
  what.destination = info.destination;
  if (info.family == Family::kIpv4) {
    // What is behind an IPv4 address is nobody's.
    for (size_t i = 4; i < 16; ++i) what.source[i] = what.destination[i] = 0;
  }
  what.source_port = info.source_port.raw();
  what.destination_port = info.destination_port.raw();
  what.sequence = sequence;
  // It has eight bits.
  what.low = low | vlan.value << 8;
  what.period = period;
  return static_cast<uint32_t>(KeyedHash(
      key, {reinterpret_cast<const uint8_t*>(&what), sizeof what}));
}

uint32_t Cookie(uint32_t hash, uint32_t low) {
  return (hash & ~uint32_t{0xff}) | (low ^ hash >> 24);
}

}  // namespace

uint32_t MakeSyncookie(const HashKey& key, const PacketInfo& syn, VlanId vlan,
                       uint16_t mss, Tick now) {
  uint32_t index = static_cast<uint32_t>(kMss.size()) - 1;
  while (index > 0 && kMss[index] > mss) --index;
  const uint32_t period = now >> kCookiePeriodBits;
  const uint32_t low = index | ((period & 1) == 0 ? kEvenBit : 0);
  return Cookie(HashOf(key, syn, vlan, syn.sequence, low, period), low);
}

std::optional<uint16_t> CheckSyncookie(const HashKey& key,
                                       const PacketInfo& ack, VlanId vlan,
                                       Tick now) {
  const uint32_t cookie = ack.acknowledgment - 1;
  const uint32_t low = (cookie & 0xff) ^ cookie >> 24;
  if ((low & ~(kMssMask | kEvenBit)) != 0) return std::nullopt;
  uint32_t period = now >> kCookiePeriodBits;
  if (((period & 1) == 0) != ((low & kEvenBit) != 0)) {
    // Ticks wrap around, and periods with them.
    period = (period - 1) & (~Tick{0} >> kCookiePeriodBits);
  }
  const uint32_t hash = HashOf(key, ack, vlan, ack.sequence - 1, low, period);
  if (Cookie(hash, low) != cookie) return std::nullopt;
  return kMss[low & kMssMask];
}

}  // namespace sluice
