// The part of Pipeline for ports of routers: what arrives at one is judged in
// once, sent on by its IP destination, judged out at the port of departure, and
// has the link addresses of that side then. What is for the router itself goes
// to the host.
//
// In the order of a host that runs pf: judged in, looked up, the hop limit
// counted down, judged out, made to fit, and given to the neighbour. What a rule
// drops gets no answer that would tell of the way behind it.
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "conntrack/state_table.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/pipeline_answer.h"
#include "dataplane/forward/pipeline_hops.h"
#include "dataplane/forward/route_amend.h"
#include "dataplane/forward/steering.h"
#include "packet/answer.h"
#include "packet/family.h"
#include "packet/frame_tags.h"
#include "packet/headers.h"
#include "packet/inner.h"
#include "packet/rewrite.h"
#include "packet/vlan.h"

namespace sluice {
namespace {

constexpr uint32_t kMacSize = 6;
constexpr uint32_t kEthernet = 14;
// Whose states may say that a packet for the router goes on.
constexpr size_t kPortsLookedAt = 32;
constexpr uint32_t kTagBytes = 4;
constexpr uint16_t kEtherArp = 0x0806;

// What is asked of the other end before it is known: nothing fails there.
constexpr PortContext kAnywhere = [] {
  PortContext anywhere;
  anywhere.mtu = 0xffff;
  return anywhere;
}();

// The first six bytes of a frame as a number; kEthernet of them are there.
uint64_t FirstMac(const rte_mbuf& mbuf) {
  uint64_t mac = 0;
  if (mbuf.data_len >= sizeof mac) [[likely]] {
    std::memcpy(&mac, rte_pktmbuf_mtod(&mbuf, const uint8_t*), sizeof mac);
  } else {
    CopyFromPacket(mbuf, 0, &mac, kMacSize);
  }
  static_assert(std::endian::native == std::endian::little);
  return mac & 0xffff'ffff'ffff;
}

bool IsArp(const rte_mbuf& mbuf) {
  if (mbuf.pkt_len < kEthernet) return false;
  Be16 type;
  CopyFromPacket(mbuf, kEthernet - sizeof type, &type, sizeof type);
  return type.host() == kEtherArp;
}

// One hop less. The header is there.
void CountDown(rte_mbuf& mbuf, PacketInfo& info) {
  // Of IPv6, up to the hop limit and beyond.
  constexpr uint32_t kHeader = sizeof(wire::Ipv4);
  if (mbuf.data_len < info.l3_offset + kHeader) {
    SetTtl(mbuf, info, static_cast<uint8_t>(info.ttl - 1));
    return;
  }
  --info.ttl;
  uint8_t* const ip = rte_pktmbuf_mtod_offset(&mbuf, uint8_t*, info.l3_offset);
  if (info.family == Family::kIpv6) {
    ip[offsetof(wire::Ipv6, hop_limit)] = info.ttl;
    return;
  }
  ip[offsetof(wire::Ipv4, ttl)] = info.ttl;
  Be16 checksum;
  uint8_t* const at = ip + offsetof(wire::Ipv4, checksum);
  std::memcpy(&checksum, at, sizeof checksum);
  // RFC 1141, with the one of two zeros that the sum itself would have.
  uint32_t sum = checksum.host() + 0x100u;
  sum += sum >= 0xffff ? 1 : 0;
  checksum = Be16(static_cast<uint16_t>(sum));
  std::memcpy(at, &checksum, sizeof checksum);
}

}  // namespace

// --- Which of them are a router's, and where they go.

// What routes do not say.
inline void Pipeline::Amend(const PacketInfo& info, const PortContext& arrival,
                            const RoutingTables& tables, RouteAnswer* answer) {
  AmendRoute(info, arrival.port, tables, answer);
}

void Pipeline::ReceiveRouted(uint16_t port, PacketBurst& burst,
                             const Topology& topology) {
  const PortContext& arrival = topology.ports[port];
  route_.topology = &topology;
  route_.groups = 0;
  uint64_t own = 0;
  std::memcpy(&own, arrival.mac.data(), arrival.mac.size());
  const RoutingTables& tables = TablesOf(arrival);
  const auto refuse = [](PacketInfo& info, DropReason reason) {
    info.kind = Kind::kMalformed;
    info.drop = reason;
  };
  // All are looked for at once.
  std::array<Address, kMaxBurst> wanted;
  std::array<uint32_t, kMaxBurst> hashes;
  std::array<uint8_t, kMaxBurst> places;
  uint32_t count = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    PacketInfo& info = burst.infos[i];
    if (info.kind == Kind::kMalformed || info.kind == Kind::kTaken) continue;
    rte_mbuf& mbuf = *burst.mbufs[i];
    if (info.kind == Kind::kNonIp && !IsArp(mbuf)) {
      refuse(info, DropReason::kNonIp);
      continue;
    }
    const uint64_t to = FirstMac(mbuf);
    if (to != own) [[unlikely]] {
      if ((to & 1) == 0) {
        refuse(info, DropReason::kOtherHost);
        continue;
      }
      route_.groups |= Bit(i);
    }
    if (info.kind == Kind::kNonIp) continue;
    if (info.l3_offset != kEthernet) [[unlikely]] {
      UntagRouted(mbuf, info);
      if (info.kind != Kind::kIp) continue;
    }
    wanted[count] = DestinationOf(info);
    hashes[count] = SymmetricHash(info);
    places[count++] = static_cast<uint8_t>(i);
  }
  tables.Find(std::span(wanted).first(count), std::span(hashes).first(count),
              std::span(route_.answers).first(count));
  // Each to its own place, from the last on.
  uint32_t k = count;
  for (uint32_t i = burst.count; i-- > 0;) {
    RouteAnswer& answer = route_.answers[i];
    if (k == 0 || places[k - 1] != i) {
      answer.type = RouteType::kNone;
      continue;
    }
    if (--k != i) answer = route_.answers[k];
    if (answer.type != RouteType::kLocal) {
      Amend(burst.infos[i], arrival, tables, &answer);
    }
  }
}

// A tag that names a VLAN is none of this port's; one that does not is a
// priority.
void Pipeline::UntagRouted(rte_mbuf& mbuf, PacketInfo& info) {
  const uint32_t tags = (info.l3_offset - kEthernet) / kTagBytes;
  const uint8_t priority = info.vlan_priority();
  const bool reassembled = info.has(kReassembled);
  if (tags > 2 || VlanOf(mbuf, info).IsSet() || reassembled ||
      !PopTags(mbuf, tags)) {
    info.kind = Kind::kMalformed;
    info.drop = DropReason::kUnknownVlan;
    return;
  }
  ParsePacket(mbuf, {.verify_checksums = false}, &info);
  info.SetVlanPriority(priority);
}

RouteAnswer Pipeline::LookUp(const PacketInfo& info,
                             const PortContext& arrival,
                             const RoutingTables& tables) {
  RouteAnswer answer = tables.Find(DestinationOf(info), SymmetricHash(info));
  if (answer.type != RouteType::kLocal) Amend(info, arrival, tables, &answer);
  return answer;
}

RouteAnswer Pipeline::ChooseRoute(uint32_t i, const PortContext& arrival) {
  if (const PacketRoute* const route = RouteOf(i)) [[unlikely]] {
    if (route->kind != RouteKind::kDupTo) {
      return AnswerOf(*route, burst_->infos[i], *route_.topology,
                      arrival.router);
    }
    Duplicate(i, *route, /*hop=*/true);
  }
  // Whoever was translated has another destination perhaps.
  if (((translated_ | crossed_) & Bit(i)) != 0) [[unlikely]] {
    return LookUp(burst_->infos[i], arrival, TablesOf(arrival));
  }
  return route_.answers[i];
}

// --- Judged where they arrived.

void Pipeline::BeginRoute(uint16_t port, PacketBurst& burst,
                          const Topology& topology, const FilterView& filter,
                          Tick now, BurstResult& result) {
  const PortContext& arrival = topology.ports[port];
  ForgetRerouting();
  if (!arrival.enabled) [[unlikely]] {
    Refuse(port, burst, DropReason::kPortDown, now, result);
    return;
  }
  Begin(port, burst, result);
  route_.burst = &burst;
  route_.topology = &topology;
  route_.filter = &filter;
  route_.port = port;
  route_.now = now;
  const FilterEnds filters = {&filter, &filter};
  filters_ = &filters;
  Passage passage{.topology = topology,
                  .arrival = arrival,
                  .departure = kAnywhere,
                  .now = now};
  // Answers come from the router's own link address.
  addressed_ = ~Mask{0};
  own_mac_ = arrival.mac;
  Admit(passage);
  JudgeEnd(Direction::kIn, filter, passage);
  filters_ = nullptr;
  route_.flags = passage.flags;
  Mask for_host = 0;
  ForEachIn(passage.passed | passage.alive, [&](uint32_t i) {
    const bool is_arp = (passage.passed & Bit(i)) != 0;
    if ((is_arp || SortOne(i, arrival)) && TakeForHost(i)) for_host |= Bit(i);
  });
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    showing_more_ = route_.left != 0;
    Tell(port, kNoPort, for_host, now, ~route_.left);
  }
  TurnToCopies();
}

// Whether it is for the host. Those that leave are in route_.left.
bool Pipeline::SortOne(uint32_t i, const PortContext& arrival) {
  PacketInfo& info = burst_->infos[i];
  RouteAnswer answer = ChooseRoute(i, arrival);
  // To change the family is a hop.
  bool crosses = (crossed_ & Bit(i)) != 0;
  if (answer.type == RouteType::kLocal && AnswersAcross(i, arrival, &answer))
      [[unlikely]] {
    crosses = true;
  }
  const auto refuse = [&](const Told& told, DropReason reason) {
    TellSender(i, told.For(info.family), arrival);
    Drop(i, reason);
    return false;
  };
  switch (answer.type) {
    case RouteType::kForward:
      break;
    case RouteType::kLocal:
      return true;
    case RouteType::kNone:
      return refuse(kNetUnreachable, DropReason::kNoRoute);
    case RouteType::kUnreachable:
      return refuse(kUnreachableRoute, DropReason::kNoRoute);
    case RouteType::kProhibit:
      return refuse(kProhibited, DropReason::kNoRoute);
    case RouteType::kBlackhole:
      Drop(i, DropReason::kNoRoute);
      return false;
  }
  // Sent to all hosts of the link, or by a port that the router has lost.
  if ((route_.groups & Bit(i)) != 0 || answer.port >= kMaxPorts ||
      route_.topology->ports[answer.port].router != arrival.router)
      [[unlikely]] {
    Drop(i, (route_.groups & Bit(i)) != 0 ? DropReason::kOtherHost
                                          : DropReason::kNoRoute);
    return false;
  }
  if ((crossed_ & Bit(i)) == 0) [[likely]] {
    if (info.ttl <= 1) return refuse(kTimeExceeded, DropReason::kTtlExceeded);
    if (!crosses) CountDown(*burst_->mbufs[i], info);
  }
  route_.answers[i] = answer;
  route_.left |= Bit(i);
  return false;
}

// Answers to packets that have gone on in the other family (af-to) are for an
// address of the router's, and change back where they leave: the way there is
// that to the address in the other family. Errors about such packets, too.
bool Pipeline::AnswersAcross(uint32_t i, const PortContext& arrival,
                             RouteAnswer* answer) {
  const PacketInfo& info = burst_->infos[i];
  const rte_mbuf& mbuf = *burst_->mbufs[i];
  if (states_.size() == 0 || info.has(kFragment) ||
      (route_.groups & Bit(i)) != 0) {
    return false;
  }
  PacketInfo flow = info;
  if (info.has(kIcmpError)) {
    // What it is about had left here; an answer to that would come as this.
    DropReason reason;
    if (!ParseInner(mbuf, info, &flow, &reason)) return false;
    std::swap(flow.source, flow.destination);
    std::swap(flow.source_port, flow.destination_port);
  }
  const std::vector<uint16_t>& ports =
      route_.topology->routers[arrival.router].ports;
  const size_t count = std::min(ports.size(), kPortsLookedAt);
  for (size_t k = 0; k < count; ++k) {
    const PortContext& at = route_.topology->ports[ports[k]];
    const StateIndex state =
        states_.Find(flow, mbuf, {.direction = Direction::kOut,
                                  .filter = at.filter,
                                  .interface = at.interface.id});
    if (state == kNoState || !states_.Crosses(state)) continue;
    const Address to = states_.Record(state, route_.now).address[0];
    if (to.family == info.family) continue;
    *answer = TablesOf(arrival).Find(to, SymmetricHash(info));
    return true;
  }
  return false;
}

bool Pipeline::TakeForHost(uint32_t i) {
  rte_mbuf* mbuf = burst_->mbufs[i];
  BurstResult& result = *result_;
  if ((crossed_ & Bit(i)) != 0) [[unlikely]] {
    if (FragmentCrossed(Bit(i)) == 0) return false;
    mbuf = burst_->mbufs[i];
  }
  if ((mbuf->ol_flags & kFragmentMark) != 0) {
    result.host_reassembled |= Bit(result.host_count);
  }
  result.host[result.host_count++] = mbuf;
  return true;
}

// --- Judged where they leave.

uint16_t Pipeline::NextDeparture() const {
  return route_.left == 0
             ? kNoPort
             : route_.answers[static_cast<size_t>(
                   std::countr_zero(route_.left))].port;
}

Pipeline::Mask Pipeline::TakeGroup(uint16_t to) {
  Mask group = 0;
  ForEachIn(route_.left, [&](uint32_t i) {
    if (route_.answers[i].port == to) group |= Bit(i);
  });
  route_.left &= ~group;
  return group;
}

void Pipeline::RouteTo(uint16_t to, const FilterView& filter,
                       BurstResult& result) {
  const Topology& topology = *route_.topology;
  const PortContext& arrival = RoutedArrival();
  const Mask group = TakeGroup(to);
  Begin(route_.port, *route_.burst, result);
  addressed_ = ~Mask{0};
  own_mac_ = arrival.mac;
  Passage passage{.topology = topology,
                  .arrival = arrival,
                  .departure = topology.ports[to],
                  .now = route_.now,
                  .alive = group & ~route_.settled,
                  .flags = route_.flags};
  PrepareHops(group, passage);
  const FilterEnds filters = {route_.filter, &filter};
  filters_ = &filters;
  JudgeEnd(Direction::kOut, filter, passage);
  filters_ = nullptr;
  if (routed_ != 0) [[unlikely]] Reroute(passage);
  passage.passed |= group & route_.settled;
  Depart(passage);
  TakeHops(passage);
  Leave(passage);
  if (route_.from_host) [[unlikely]] {
    std::copy_n(result.answers.begin(), result.answer_count,
                result.host.begin());
    result.host_count = std::exchange(result.answer_count, 0);
  }
  if ((config_.on_verdict != nullptr || taps_in_use_) && !route_.copies)
      [[unlikely]] {
    showing_more_ = route_.left != 0;
    Tell(route_.port, to, passage.passed, route_.now, group & ~route_.left);
  }
  TurnToCopies();
}

void Pipeline::DropRouted(uint16_t to, DropReason reason,
                          BurstResult& result) {
  const Mask group = TakeGroup(to);
  Begin(route_.port, *route_.burst, result);
  DropAll(group, reason);
  if ((config_.on_verdict != nullptr || taps_in_use_) && !route_.copies)
      [[unlikely]] {
    showing_more_ = route_.left != 0;
    Tell(route_.port, to, 0, route_.now, group);
  }
  TurnToCopies();
}

// --- What the host sends.

void Pipeline::ParseFromHost(uint16_t port, PacketBurst& burst) {
  ParseBurst(burst, config_.parse);
  counters_[port].from_host.Add(burst.count);
}

void Pipeline::JudgeFromHost(uint16_t port, PacketBurst& burst,
                             const Topology& topology, const FilterView& filter,
                             Tick now, BurstResult& result) {
  ForgetRerouting();
  Begin(port, burst, result);
  // It came by no port.
  host_ = PortContext();
  host_.port = port;
  host_.router = topology.ports[port].router;
  host_.mac = topology.ports[port].mac;
  const FilterEnds filters = {&filter, &filter};
  filters_ = &filters;
  Passage passage{.topology = topology,
                  .arrival = host_,
                  .departure = topology.ports[port],
                  .now = now};
  Admit(passage);
  JudgeEnd(Direction::kOut, filter, passage);
  filters_ = nullptr;
  if (routed_ != 0) [[unlikely]] {
    RerouteFromHost(burst, topology, filter, passage);
  }
  Depart(passage);
  Leave(passage);
  std::copy_n(result.answers.begin(), result.answer_count,
              result.host.begin());
  result.host_count = result.answer_count;
  result.answer_count = 0;
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    Tell(port, port, passage.passed, now, ~route_.left);
  }
  TurnToCopies();
}

}  // namespace sluice
