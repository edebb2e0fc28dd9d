#include "packet/icmp.h"

#include <rte_mbuf.h>

#include <cstring>

namespace sluice {
namespace {

struct TypePair {
  uint8_t request;
  uint8_t reply;
};
// Echo, router solicitation, timestamp, information, address mask, where are
// you, mobile registration.
constexpr std::array<TypePair, 7> kIcmpPairs = {
    {{8, 0}, {10, 9}, {13, 14}, {15, 16}, {17, 18}, {33, 34}, {35, 36}}};
// Echo, neighbour solicitation, node information, multicast trace.
constexpr std::array<TypePair, 4> kIcmp6Pairs = {
    {{128, 129}, {135, 136}, {139, 140}, {201, 200}}};

using IcmpMap = std::array<IcmpMapping, 256>;

template <size_t kCount>
constexpr IcmpMap MakeMap(const std::array<TypePair, kCount>& pairs) {
  IcmpMap map{};
  for (int type = 0; type < 256; ++type) {
    map[type] = {static_cast<uint8_t>(type), false};
  }
  for (const TypePair& pair : pairs) map[pair.reply] = {pair.request, true};
  return map;
}

constexpr IcmpMap kIcmpMap = MakeMap(kIcmpPairs);
constexpr IcmpMap kIcmp6Map = [] {
  IcmpMap map = MakeMap(kIcmp6Pairs);
  map[icmp6::kMldReport] = {icmp6::kMldQuery, false};
  return map;
}();

bool HasIdentifier(Family family, uint8_t type) {
  if (family == Family::kIpv6) return type == 128 || type == 129;
  return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

// Behind the first eight bytes. False if the packet is too short for it.
bool ReadTarget(const rte_mbuf& mbuf, const PacketInfo& info,
                std::array<uint8_t, 16>* target) {
  if (info.l4_length < kIcmp6TargetEnd) return false;
  const void* at =
      rte_pktmbuf_read(&mbuf, info.l4_offset + 8, target->size(),
                       target->data());
  if (at == nullptr) return false;
  if (at != target->data()) std::memcpy(target->data(), at, target->size());
  return true;
}

}  // namespace

IcmpMapping MapIcmp(Family family, uint8_t type) {
  return family == Family::kIpv4 ? kIcmpMap[type] : kIcmp6Map[type];
}

Be16 IcmpIdentifier(const rte_mbuf& mbuf, const PacketInfo& info, Be16 id) {
  if (HasIdentifier(info.family, info.icmp_type)) return id;
  std::array<uint8_t, 16> target;
  if (info.family != Family::kIpv6 || !HasIcmp6Target(info.icmp_type) ||
      !ReadTarget(mbuf, info, &target)) {
    return Be16(0);
  }
  uint16_t digest = 0;
  for (size_t i = 0; i < target.size(); i += 2) {
    digest = static_cast<uint16_t>(digest ^ (target[i] << 8 | target[i + 1]));
  }
  return Be16(digest);
}

IcmpEnds NeighborEnds(const rte_mbuf& mbuf, const PacketInfo& info) {
  IcmpEnds ends = {info.source, info.destination};
  std::array<uint8_t, 16> target;
  if (!ReadTarget(mbuf, info, &target)) return ends;
  if (info.icmp_type == icmp6::kNeighborSolicitation) {
    ends.destination = target;
  } else {
    ends.source = target;
    if (info.destination[0] == 0xff) ends.destination = {};
  }
  return ends;
}

}  // namespace sluice
