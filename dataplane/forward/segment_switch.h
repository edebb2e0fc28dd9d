// Where the frames of a burst go that arrived at a port of a segment: senders
// are learnt, receivers looked up.
//
// A switch lives for one burst and has no state; whoever judges the burst takes
// one way after the other out of it.
#ifndef SLUICE_DATAPLANE_FORWARD_SEGMENT_SWITCH_H_
#define SLUICE_DATAPLANE_FORWARD_SEGMENT_SWITCH_H_

#include <array>
#include <cstdint>

#include "dataplane/forward/mac_table.h"
#include "dataplane/forward/topology.h"
#include "packet/packet.h"

namespace sluice {

// What becomes of a frame.
struct SegmentWay {
  enum class Kind : uint8_t {
    kPort,   // it leaves by one port
    kFlood,  // by all others that are up
    kDrop,
  };
  Kind kind = Kind::kDrop;
  DropReason reason = DropReason::kSegmentLocal;  // with kDrop
  uint16_t port = kNoPort;                        // with kPort

  friend bool operator==(const SegmentWay&, const SegmentWay&) = default;
};

// In an mbuf's vlan_tci_outer, while it is held for a restore: the copy of a
// frame that is flooded, for the one port whose number this is, and 1 more. 0:
// whatever it was, it goes where its addresses say.
inline constexpr uint16_t HeldFor(uint16_t port) {
  return static_cast<uint16_t>(port + 1);
}

class SegmentSwitch {
 public:
  // Of a parsed burst. `held`: it was, and HeldFor() holds. True: all frames go
  // way(), and the burst is as it was; else Next() has them, and the burst is
  // not the caller's any more.
  bool Sort(const PortContext& arrival, const Topology& topology, Tick now,
            bool held, PacketBurst& burst);
  const SegmentWay& way() const { return way_; }

  // The frames that go one way, in order, in group(). False: there are no more.
  bool Next();
  PacketBurst& group() { return group_; }
  // Of the frame at index i of the group: its index in the burst.
  uint32_t place(uint32_t i) const { return places_[i]; }

 private:
  PacketBurst* burst_ = nullptr;
  uint32_t left_ = 0;  // bit i: frame i belongs to a group that is to come
  SegmentWay way_;
  std::array<SegmentWay, kMaxBurst> ways_;
  std::array<uint8_t, kMaxBurst> places_;
  PacketBurst group_;
};

// The ports that get a frame of a flood, by their place in Segment::ports.
class FloodTargets {
 public:
  // Those that are up, but for the one of arrival.
  FloodTargets(const Topology& topology, const PortContext& arrival);
  // Takes one away. Returns whether it was there.
  bool Take(size_t place) {
    const uint64_t bit = uint64_t{1} << place % 64;
    const bool there = (words_[place / 64] & bit) != 0;
    words_[place / 64] &= ~bit;
    count_ -= there ? 1 : 0;
    return there;
  }
  bool Has(size_t place) const {
    return (words_[place / 64] >> place % 64 & 1) != 0;
  }
  size_t count() const { return count_; }

 private:
  std::array<uint64_t, kMaxPorts / 64> words_;  // as far as there are ports
  size_t count_ = 0;
};

// The port that a frame will leave by, if it is one; kNoPort if nobody knows.
// Learns nothing.
uint16_t LikelyDeparture(const Topology& topology, const PortContext& arrival,
                         const rte_mbuf& mbuf, const PacketInfo& info);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_SEGMENT_SWITCH_H_
