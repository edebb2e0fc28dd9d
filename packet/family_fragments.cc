// How a packet that has crossed leaves: the part of packet/family.h that makes
// fragments.
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "packet/family.h"
#include "packet/fragment.h"
#include "packet/headers.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

// 64 KiB in the smallest fragments that are made.
constexpr uint32_t kMostFragments = 160;

void Unmark(rte_mbuf& packet) {
  for (rte_mbuf* s = &packet; s != nullptr; s = s->next) {
    if ((s->ol_flags & kFragmentMark) == 0) continue;
    s->ol_flags &= ~kFragmentMark;
    s->tx_offload = 0;
  }
}

// A fragment by itself, of the data that begins at `from`. What its header says
// of its place is written when it leaves.
bool FillFragment(const rte_mbuf& whole, const PacketInfo& info, uint32_t id,
                  uint32_t from, uint32_t bytes, rte_mbuf* made) {
  const bool v6 = info.family == Family::kIpv6;
  const uint32_t header =
      info.l4_offset + (v6 ? sizeof(wire::Ipv6Fragment) : 0);
  char* at = rte_pktmbuf_append(made, static_cast<uint16_t>(header + bytes));
  if (at == nullptr) return false;
  CopyFromPacket(whole, 0, at, info.l4_offset);
  if (v6) {
    const wire::Ipv6Fragment fragment = {.next_header = info.proto,
                                         .reserved = 0,
                                         .offset_flags = Be16(0),
                                         .id = Be32(id)};
    std::memcpy(at + info.l4_offset, &fragment, sizeof fragment);
    at[info.l3_offset + offsetof(wire::Ipv6, next_header)] =
        static_cast<char>(protocol::kIpv6Fragment);
  }
  CopyFromPacket(whole, info.l4_offset + from, at + header, bytes);
  made->port = whole.port;
  made->ol_flags = whole.ol_flags & ~kFragmentMark;
  return true;
}

}  // namespace

rte_mbuf* MakeFragments(rte_mbuf* packet, const PacketInfo& info,
                        const CrossedForm& form, rte_mempool* pool) {
  if (form.fragment_data == 0 || info.l4_length <= form.fragment_data) {
    Unmark(*packet);
    return packet;
  }
  const uint32_t most = form.fragment_data;
  const uint32_t count = (info.l4_length + most - 1) / most;
  std::array<rte_mbuf*, kMostFragments> made;
  if (count > made.size() || pool == nullptr ||
      rte_pktmbuf_alloc_bulk(pool, made.data(), count) != 0) {
    return nullptr;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t from = i * most;
    if (!FillFragment(*packet, info, form.id, from,
                      std::min<uint32_t>(most, info.l4_length - from),
                      made[i])) {
      rte_pktmbuf_free_bulk(made.data(), count);
      return nullptr;
    }
  }
  const bool v6 = info.family == Family::kIpv6;
  const auto header = static_cast<uint16_t>(
      info.l4_offset + (v6 ? sizeof(wire::Ipv6Fragment) : 0));
  uint32_t next = 0;
  rte_mbuf* joined = JoinFragments(info.family, info.l4_length, [&] {
    if (next == count) return FragmentPiece{};
    return FragmentPiece{
        .mbuf = made[next++],
        .header = header,
        .l3_offset = info.l3_offset,
        .name_offset = static_cast<uint16_t>(
            info.l3_offset + offsetof(wire::Ipv6, next_header))};
  });
  rte_pktmbuf_free(packet);
  return joined;
}

}  // namespace sluice
