// The VLAN tags at the front of a frame, taken off and put on: what a logical
// port's frames have on the device that it shares, and nowhere else.
//
// The priority (PCP) of a tag that was taken off stays with the frame, in
// mbuf::vlan_tci, and is that of the tags that are put on.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_FRAME_TAGS_H_
#define SLUICE_PACKET_FRAME_TAGS_H_

#include <compare>
#include <cstdint>

struct rte_mbuf;

namespace sluice {

// One tag, or two with the outer one first. A number of 0: no such tag.
struct VlanTags {
  uint16_t outer = 0;
  uint16_t inner = 0;

  constexpr bool any() const { return outer != 0; }
  constexpr uint32_t count() const {
    return outer == 0 ? 0 : inner == 0 ? 1 : 2;
  }
  constexpr uint32_t bytes() const { return 4 * count(); }
  friend constexpr auto operator<=>(const VlanTags&, const VlanTags&) = default;
};

// The tags of a frame that was not parsed yet; of more than two the first two.
struct FrameTags {
  VlanTags numbers;
  uint8_t priority = 0;  // PCP of the outer one
};
// A frame too short for a tag has none. An outer tag with number 0 says a
// priority and no VLAN: such a frame is as one without tags.
FrameTags ReadTags(const rte_mbuf& mbuf);

// Takes `count` tags off, 1 or 2, which are there. False: its buffers are too
// small, and the frame is as it was.
bool PopTags(rte_mbuf& mbuf, uint32_t count);

// Puts tags on, with the frame's priority: one as 802.1Q, of two the outer one
// as 802.1ad. False: its buffer has no room, and the frame is as it was.
bool PushTags(rte_mbuf& mbuf, VlanTags tags);

// What goes with the frame.
void SetFramePriority(rte_mbuf& mbuf, uint8_t priority);
uint8_t FramePriority(const rte_mbuf& mbuf);

}  // namespace sluice

#endif  // SLUICE_PACKET_FRAME_TAGS_H_
