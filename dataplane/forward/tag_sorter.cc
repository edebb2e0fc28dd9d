#include "dataplane/forward/tag_sorter.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <bit>
#include <cstring>

#include "dataplane/forward/logical_ports.h"
#include "packet/byte_order.h"
#include "packet/frame_tags.h"
#include "packet/headers.h"

namespace sluice {
namespace {

void DropFrame(PortCounters& at, rte_mbuf* mbuf, DropReason reason) {
  at.received_packets.Add(1);
  at.received_bytes.Add(mbuf->pkt_len);
  at.drops[static_cast<size_t>(reason)].Add(1);
  rte_pktmbuf_free(mbuf);
}

// ReadTags(), without a call for what most frames are: one tag, or none.
inline FrameTags Read(const rte_mbuf& mbuf) {
  constexpr uint32_t kMacs = 12;
  struct {
    Be16 type, control, next_type, rest;
  } front;
  static_assert(sizeof front == 8);
  constexpr Be16 kVlan(wire::ethertype::kVlan);
  constexpr Be16 kQinq(wire::ethertype::kQinq);
  if (mbuf.data_len < kMacs + sizeof front) return ReadTags(mbuf);
  std::memcpy(&front, rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kMacs),
              sizeof front);
  if (front.type != kVlan) {
    return front.type == kQinq ? ReadTags(mbuf) : FrameTags();
  }
  if (front.next_type == kVlan || front.next_type == kQinq) {
    return ReadTags(mbuf);
  }
  const uint16_t control = front.control.host();
  return {.numbers = {.outer = static_cast<uint16_t>(control & 0x0fff)},
          .priority = static_cast<uint8_t>(control >> 13)};
}

}  // namespace

void TagSorter::Sort(const PortContext& parent,
                     std::span<PortCounters> counters, PacketBurst& burst) {
  // Nobody has looked at the frames so far.
  for (uint32_t i = 0; i < burst.count; ++i) {
    rte_prefetch0(rte_pktmbuf_mtod(burst.mbufs[i], const void*));
  }
  const bool has_way =
      parent.peer != kNoPort || parent.segment != kNoSegment;
  uint32_t kept = 0;
  uint32_t count = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    rte_mbuf* const mbuf = burst.mbufs[i];
    const FrameTags tags = Read(*mbuf);
    const LogicalPorts::Found found = parent.children->Find(tags.numbers);
    if (found.port == kNoPort) {
      if (tags.numbers.any() && !has_way && parent.enabled) {
        DropFrame(counters[parent.port], mbuf, DropReason::kUnknownVlan);
      } else {
        own_places_[kept] = static_cast<uint8_t>(i);
        burst.mbufs[kept++] = mbuf;
      }
    } else if (!PopTags(*mbuf, found.pop)) {
      DropFrame(counters[found.port], mbuf, DropReason::kShort);
    } else {
      SetFramePriority(*mbuf, tags.priority);
      ports_[count] = found.port;
      places_[count] = static_cast<uint8_t>(i);
      mbufs_[count++] = mbuf;
    }
  }
  burst.count = kept;
  static_assert(kMaxBurst == 32);
  left_ = count == kMaxBurst ? ~0u : (1u << count) - 1;
}

bool TagSorter::Next(uint16_t* port) {
  if (left_ == 0) return false;
  *port = ports_[static_cast<size_t>(std::countr_zero(left_))];
  group_.count = 0;
  for (uint32_t rest = left_; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(rest));
    if (ports_[i] != *port) continue;
    group_places_[group_.count] = places_[i];
    group_.mbufs[group_.count++] = mbufs_[i];
    left_ &= ~(1u << i);
  }
  return true;
}

}  // namespace sluice
