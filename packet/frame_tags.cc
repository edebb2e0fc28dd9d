#include "packet/frame_tags.h"

#include <rte_mbuf.h>

#include <array>
#include <cstring>

#include "packet/byte_order.h"
#include "packet/headers.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint32_t kMacs = 12;  // both link addresses
constexpr uint32_t kTag = sizeof(wire::Vlan);
constexpr int kPriorityShift = 13;
constexpr uint16_t kNumberMask = 0x0fff;

// As it lies in the frame: what kind of tag, then its value.
struct Tag {
  Be16 type;
  Be16 control;
};
static_assert(sizeof(Tag) == kTag);

bool IsTag(Be16 type) {
  return type == Be16(wire::ethertype::kVlan) ||
         type == Be16(wire::ethertype::kQinq);
}

}  // namespace

FrameTags ReadTags(const rte_mbuf& mbuf) {
  std::array<Tag, 2> tags{};
  if (mbuf.data_len >= kMacs + sizeof tags) [[likely]] {
    std::memcpy(tags.data(),
                rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kMacs),
                sizeof tags);
  } else if (mbuf.pkt_len >= kMacs + sizeof tags) {
    CopyFromPacket(mbuf, kMacs, tags.data(), sizeof tags);
  } else {
    return {};
  }
  if (!IsTag(tags[0].type)) return {};
  const uint16_t outer = tags[0].control.host();
  FrameTags found = {
      .numbers = {.outer = static_cast<uint16_t>(outer & kNumberMask)},
      .priority = static_cast<uint8_t>(outer >> kPriorityShift)};
  if (found.numbers.any() && IsTag(tags[1].type)) {
    found.numbers.inner =
        static_cast<uint16_t>(tags[1].control.host() & kNumberMask);
  }
  return found;
}

bool PopTags(rte_mbuf& mbuf, uint32_t count) {
  const uint32_t bytes = count * kTag;
  if (mbuf.data_len < kMacs + bytes) [[unlikely]] {
    if (rte_pktmbuf_linearize(&mbuf) != 0 || mbuf.data_len < kMacs + bytes) {
      return false;
    }
  }
  auto* const front = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  std::array<uint8_t, kMacs> macs;
  std::memcpy(macs.data(), front, kMacs);
  std::memcpy(front + bytes, macs.data(), kMacs);
  mbuf.data_off = static_cast<uint16_t>(mbuf.data_off + bytes);
  mbuf.data_len = static_cast<uint16_t>(mbuf.data_len - bytes);
  mbuf.pkt_len -= bytes;
  return true;
}

bool PushTags(rte_mbuf& mbuf, VlanTags tags) {
  const uint32_t bytes = tags.bytes();
  if (mbuf.data_off < bytes) return false;
  std::array<uint8_t, kMacs> macs;
  // The MACs may be anywhere in a chain of small buffers.
  if (mbuf.data_len >= kMacs) [[likely]] {
    std::memcpy(macs.data(), rte_pktmbuf_mtod(&mbuf, const uint8_t*), kMacs);
  } else {
    CopyFromPacket(mbuf, 0, macs.data(), kMacs);
  }
  mbuf.data_off = static_cast<uint16_t>(mbuf.data_off - bytes);
  mbuf.data_len = static_cast<uint16_t>(mbuf.data_len + bytes);
  mbuf.pkt_len += bytes;
  const auto priority =
      static_cast<uint16_t>(FramePriority(mbuf) << kPriorityShift);
  const bool two = tags.inner != 0;
  const std::array<Tag, 2> all = {
      {{.type = Be16(two ? wire::ethertype::kQinq : wire::ethertype::kVlan),
        .control = Be16(static_cast<uint16_t>(tags.outer | priority))},
       {.type = Be16(wire::ethertype::kVlan),
        .control = Be16(static_cast<uint16_t>(tags.inner | priority))}}};
  if (mbuf.data_len >= kMacs + bytes) [[likely]] {
    auto* const front = rte_pktmbuf_mtod(&mbuf, uint8_t*);
    std::memcpy(front, macs.data(), kMacs);
    std::memcpy(front + kMacs, &all[0], kTag);
    if (two) std::memcpy(front + kMacs + kTag, &all[1], kTag);
  } else {
    CopyToPacket(mbuf, 0, macs.data(), kMacs);
    CopyToPacket(mbuf, kMacs, all.data(), bytes);
  }
  return true;
}

void SetFramePriority(rte_mbuf& mbuf, uint8_t priority) {
  mbuf.vlan_tci = static_cast<uint16_t>(priority << kPriorityShift);
}

uint8_t FramePriority(const rte_mbuf& mbuf) {
  return static_cast<uint8_t>(mbuf.vlan_tci >> kPriorityShift);
}

}  // namespace sluice
