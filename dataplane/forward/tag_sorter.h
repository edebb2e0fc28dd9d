// A burst of a device that logical ports share, by the port that each frame
// arrived at. It comes before the parser, so that all behind it sees a logical
// port's frames as they are without its tags.
#ifndef SLUICE_DATAPLANE_FORWARD_TAG_SORTER_H_
#define SLUICE_DATAPLANE_FORWARD_TAG_SORTER_H_

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/forward/port_counters.h"
#include "dataplane/forward/topology.h"
#include "packet/packet.h"

namespace sluice {

// One a worker. Frames of a port stay in the order in which they came.
class TagSorter {
 public:
  // Of a burst of mbufs that arrived at `parent`, which has children: those of
  // logical ports lose their tags and are kept for Next(). What is not the
  // parent's own either is freed and counted there. The parent's own stay.
  // Next() is to be called until it says false before the next burst.
  void Sort(const PortContext& parent, std::span<PortCounters> counters,
            PacketBurst& burst);
  // The frames of one port, in group().mbufs. False: there are no more.
  bool Next(uint16_t* port);
  PacketBurst& group() { return group_; }
  // Of frame i of the group, and of the parent's own: its place in the burst.
  uint32_t place(uint32_t i) const { return group_places_[i]; }
  uint32_t own_place(uint32_t i) const { return own_places_[i]; }

 private:
  uint32_t left_ = 0;  // bit i: frame i belongs to a group that is to come
  std::array<uint16_t, kMaxBurst> ports_;
  std::array<rte_mbuf*, kMaxBurst> mbufs_;
  std::array<uint8_t, kMaxBurst> places_;
  std::array<uint8_t, kMaxBurst> group_places_;
  std::array<uint8_t, kMaxBurst> own_places_;
  PacketBurst group_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_TAG_SORTER_H_
