#include "dataplane/forward/segment_switch.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/forward/steering.h"
#include "dataplane/routing/routing_tables.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

using WayKind = SegmentWay::Kind;

constexpr uint32_t kMacBytes = 6;

struct LinkAddresses {
  LinkAddress destination;
  LinkAddress source;
};

// False: the frame is too short for them.
bool ReadAddresses(const rte_mbuf& mbuf, LinkAddresses* addresses) {
  std::array<uint8_t, 2 * kMacBytes + 2> bytes;
  if (mbuf.data_len >= bytes.size()) [[likely]] {
    std::memcpy(bytes.data(), rte_pktmbuf_mtod(&mbuf, const uint8_t*),
                bytes.size());
  } else if (mbuf.pkt_len >= bytes.size()) {
    CopyFromPacket(mbuf, 0, bytes.data(), bytes.size());
  } else {
    return false;
  }
  static_assert(std::endian::native == std::endian::little);
  uint64_t value;
  std::memcpy(&value, bytes.data(), sizeof value);
  addresses->destination.value = value & LinkAddress::kMask;
  std::memcpy(&value, bytes.data() + kMacBytes, sizeof value);
  addresses->source.value = value & LinkAddress::kMask;
  return true;
}

constexpr SegmentWay Dropped(DropReason reason) {
  return {.kind = WayKind::kDrop, .reason = reason};
}

SegmentWay Flooded(bool floods) {
  return floods ? SegmentWay{.kind = WayKind::kFlood}
                : Dropped(DropReason::kSegmentUnknown);
}

bool IsHost(LinkAddress mac) { return !mac.IsGroup() && mac.value != 0; }

// Where a frame to that address goes, whoever sends it.
SegmentWay WayTo(LinkAddress to, const PortContext& arrival,
                 const Topology& topology, const Segment& segment) {
  if (to.IsGroup()) {
    if (to.IsReserved()) return Dropped(DropReason::kSegmentLocal);
    return Flooded(to.IsBroadcast() ? segment.flood_broadcast
                                    : segment.flood_multicast);
  }
  const uint16_t port = to.value == 0 ? kNoPort : segment.macs->Find(to);
  if (port == arrival.port) return Dropped(DropReason::kSegmentLocal);
  // A port that has just left is nowhere.
  if (port == kNoPort || topology.ports[port].segment != arrival.segment) {
    return Flooded(segment.flood_unknown);
  }
  return {.kind = WayKind::kPort, .port = port};
}

// The same of a copy that has waited for that port, if the way is now what it
// is: whoever else the frame is for, as has been learnt since, had one of his
// own.
SegmentWay WayOfCopy(const SegmentWay& now, uint16_t port,
                     const PortContext& arrival, const Topology& topology) {
  switch (now.kind) {
    case WayKind::kPort:
      return now.port == port ? now : Dropped(DropReason::kSegmentLocal);
    case WayKind::kFlood:
      return port < kMaxPorts &&
                     topology.ports[port].segment == arrival.segment
                 ? SegmentWay{.kind = WayKind::kPort, .port = port}
                 : Dropped(DropReason::kPortDown);
    case WayKind::kDrop:
      break;
  }
  return now;
}

// The frames of a burst are often of few hosts: what the last one's addresses
// came to is remembered. Of a sender that was news, what is known of receivers
// may be news, too.
class Decider {
 public:
  Decider(const PortContext& arrival, const Topology& topology, Tick now)
      : arrival_(arrival),
        topology_(topology),
        segment_(topology.segments[arrival.segment]),
        now_(now) {}

  SegmentWay Decide(const LinkAddresses& addresses) {
    if (addresses.source != source_) {
      source_ = addresses.source;
      welcome_ = IsHost(source_);
      if (welcome_) {
        const MacTable::Learnt learnt =
            segment_.macs->Learn(source_, arrival_.port, now_);
        welcome_ = learnt != MacTable::Learnt::kFixed;
        if (learnt != MacTable::Learnt::kKnown) knows_ = false;
      }
    }
    if (!welcome_) return Dropped(DropReason::kSegmentSource);
    if (!knows_ || addresses.destination != destination_) {
      destination_ = addresses.destination;
      way_ = WayTo(destination_, arrival_, topology_, segment_);
      knows_ = true;
    }
    return way_;
  }

 private:
  const PortContext& arrival_;
  const Topology& topology_;
  const Segment& segment_;
  const Tick now_;
  LinkAddress source_;  // nobody's
  bool welcome_ = false;
  LinkAddress destination_;
  bool knows_ = false;
  SegmentWay way_;
};

}  // namespace

bool SegmentSwitch::Sort(const PortContext& arrival, const Topology& topology,
                         Tick now, bool held, PacketBurst& burst) {
  Decider decider(arrival, topology, now);
  bool same = true;
  bool any = false;
  left_ = 0;
  burst_ = &burst;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const PacketInfo& info = burst.infos[i];
    if (info.kind == Kind::kTaken) {
      same = false;
      continue;
    }
    const rte_mbuf& mbuf = *burst.mbufs[i];
    LinkAddresses addresses;
    if (info.kind == Kind::kMalformed) {
      ways_[i] = Dropped(info.drop);
    } else if (!ReadAddresses(mbuf, &addresses)) {
      ways_[i] = Dropped(DropReason::kShort);
    } else {
      ways_[i] = decider.Decide(addresses);
    }
    if (held && mbuf.vlan_tci_outer != 0) [[unlikely]] {
      const auto port = static_cast<uint16_t>(mbuf.vlan_tci_outer - 1);
      ways_[i] = WayOfCopy(ways_[i], port, arrival, topology);
    }
    left_ |= 1u << i;
    if (!any) {
      way_ = ways_[i];
      any = true;
    } else if (ways_[i] != way_) {
      same = false;
    }
  }
  return same && any;
}

bool SegmentSwitch::Next() {
  if (left_ == 0) return false;
  way_ = ways_[static_cast<size_t>(std::countr_zero(left_))];
  group_.count = 0;
  for (uint32_t rest = left_; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(rest));
    if (ways_[i] != way_) continue;
    places_[group_.count] = static_cast<uint8_t>(i);
    group_.mbufs[group_.count] = burst_->mbufs[i];
    group_.infos[group_.count++] = burst_->infos[i];
    left_ &= ~(1u << i);
  }
  return true;
}

FloodTargets::FloodTargets(const Topology& topology,
                           const PortContext& arrival) {
  const std::vector<uint16_t>& ports =
      topology.segments[arrival.segment].ports;
  std::fill_n(words_.begin(), (ports.size() + 63) / 64, 0);
  for (size_t place = 0; place < ports.size(); ++place) {
    const PortContext& port = topology.ports[ports[place]];
    if (port.port == arrival.port || !port.up || !port.enabled) continue;
    words_[place / 64] |= uint64_t{1} << place % 64;
    ++count_;
  }
}

uint16_t LikelyDeparture(const Topology& topology, const PortContext& arrival,
                         const rte_mbuf& mbuf, const PacketInfo& info) {
  if (arrival.router != kNoRouter) {
    const RouteAnswer answer = topology.routers[arrival.router].tables->Find(
        info.destination_address(), SymmetricHash(info));
    return answer.type == RouteType::kForward && answer.port < kMaxPorts
               ? answer.port
               : kNoPort;
  }
  if (arrival.segment == kNoSegment) return arrival.peer;
  LinkAddresses addresses;
  if (!ReadAddresses(mbuf, &addresses) ||
      addresses.destination.value == 0) {
    return kNoPort;
  }
  const uint16_t port =
      topology.segments[arrival.segment].macs->Find(addresses.destination);
  return port != kNoPort && topology.ports[port].segment == arrival.segment
             ? port
             : kNoPort;
}

}  // namespace sluice
