// The part of Pipeline that knows of MAC addresses, on wires that answer for
// translation addresses (answer_arp). A frame that such an address has brought
// here bears the port's own MAC address and would find nobody behind the
// firewall: it gets that of the host which its translated destination is. Who
// that is, the state has seen or a neighbour says; the others keep the MAC
// addresses that they came with.
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>

#include "conntrack/state_table.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/neighbor_table.h"
#include "dataplane/forward/own_addresses.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/pipeline_answer.h"
#include "packet/icmp.h"
#include "packet/neighbor.h"
#include "pftable/engine/generation.h"

namespace sluice {
namespace {

// How long a packet waits for a neighbour that does not answer.
constexpr Tick kWaitsFor = 3'000;

template <typename Use>
void ForEachOf(uint32_t mask, Use use) {
  for (; mask != 0; mask &= mask - 1) {
    use(static_cast<uint32_t>(std::countr_zero(mask)));
  }
}

bool IsDiscovery(const PacketInfo& info) {
  return info.proto == protocol::kIcmp6 && info.family == Family::kIpv6 &&
         (info.icmp_type == icmp6::kNeighborSolicitation ||
          info.icmp_type == icmp6::kNeighborAdvertisement);
}

}  // namespace

void Pipeline::HearNeighbors(const PortContext& arrival,
                             const PortContext& other, Tick now) {
  const uint16_t wire = std::min(arrival.port, other.port);
  own_mac_ = arrival.mac;
  for (uint32_t i = 0; i < burst_->count; ++i) {
    PacketInfo& info = burst_->infos[i];
    if (info.kind == Kind::kIp &&
        LinkDestination(*burst_->mbufs[i]) == arrival.mac) {
      addressed_ |= Bit(i);
    }
    if (info.kind != Kind::kNonIp &&
        (info.kind != Kind::kIp || !IsDiscovery(info))) {
      continue;
    }
    const rte_mbuf& frame = *burst_->mbufs[i];
    NeighborMessage message;
    if (!ReadNeighborMessage(frame, info, &message)) continue;
    // What the other port has said, on a network that leads around.
    if (message.link == arrival.mac || message.link == other.mac) continue;
    const Address& claims = message.asks ? message.sender : message.target;
    if (claims.family != Family::kNone) {
      if (config_.neighbors != nullptr) {
        config_.neighbors->Learn({.address = claims,
                                  .vlan = VlanOf(frame, info),
                                  .wire = wire},
                                 {.mac = message.link, .port = arrival.port},
                                 now);
      }
      const size_t place = arrival.own->Find(claims);
      if (place != OwnAddresses::kNone &&
          arrival.own->NoteTaken(place, arrival.own->LaneOf(frame, info),
                                 now)) {
        port_->address_conflicts.Add(1);
      }
    }
    if (message.asks &&
        arrival.own->Find(message.target) != OwnAddresses::kNone &&
        arrival.own->AnswersFor(message.target,
                                arrival.own->LaneOf(frame, info),
                                message.sender.family == Family::kNone)) {
      Answer(i, [&](rte_mbuf* answer) {
        return BuildNeighborAnswer(frame, info, message, arrival.mac, answer);
      });
    } else if (message.asks || LinkDestination(frame) != arrival.mac) {
      continue;
    }
    Drop(i, DropReason::kNeighbor);
    info.kind = Kind::kTaken;
  }
}

Pipeline::Mask Pipeline::Route(Mask alive, const PortContext& arrival,
                               const PortContext& other, Tick now) {
  Mask onward = alive & ~translated_;
  ForEachOf(alive & translated_, [&](uint32_t i) {
    if (RouteOne(i, arrival, other, now)) onward |= Bit(i);
  });
  return onward;
}

// Whether it goes on to the other port.
bool Pipeline::RouteOne(uint32_t i, const PortContext& arrival,
                        const PortContext& other, Tick now) {
  rte_mbuf& frame = *burst_->mbufs[i];
  if (LinkDestination(frame) != arrival.mac) return true;
  const StateIndex state = states_.entries().Resolve(translated_by_[i]);
  if (state == kNoState) return true;
  const bool from_originator =
      states_.entries().hot(state).direction() == Direction::kIn;
  const size_t to = from_originator ? 1 : 0;
  LinkPeers links = states_.entries().LinksOf(state);
  const PacketInfo& info = burst_->infos[i];
  if (!links.known[to]) {
    const NeighborKey key = {.address = info.destination_address(),
                             .vlan = VlanOf(frame, info),
                             .wire = std::min(arrival.port, other.port)};
    if (config_.neighbors == nullptr) {
      Drop(i, DropReason::kNoRoute);
      return false;
    }
    Neighbor neighbor;
    const NeighborAnswer answer =
        config_.neighbors->Find(key, now, &neighbor);
    if (answer == NeighborAnswer::kAsk ||
        answer == NeighborAnswer::kKnownAsk) {
      Ask(i, key.address, arrival, other);
    }
    if (answer == NeighborAnswer::kAsk || answer == NeighborAnswer::kWait) {
      Wait(i, arrival, key.address, key.vlan, now);
      return false;
    }
    links.mac[to] = neighbor.mac;
    links.known[to] = true;
    links.returns[to] = neighbor.port == arrival.port;
    states_.mutable_entries().SetLinks(state, links);
  }
  SetLinkDestination(frame, links.mac[to]);
  if (!links.returns[to]) return true;
  returning_ |= Bit(i);
  return false;
}

void Pipeline::Ask(uint32_t i, const Address& target,
                   const PortContext& arrival, const PortContext& other) {
  if (config_.pool == nullptr) return;
  const LinkTags tags = ReadLinkTags(*burst_->mbufs[i], burst_->infos[i]);
  const auto make = [&](const PortContext& port) -> rte_mbuf* {
    rte_mbuf* probe = rte_pktmbuf_alloc(config_.pool);
    if (probe != nullptr &&
        !BuildNeighborProbe(target, port.mac, tags, probe)) {
      rte_pktmbuf_free(probe);
      probe = nullptr;
    }
    counters_[port.port].answers.Add(probe != nullptr ? 1 : 0);
    return probe;
  };
  // It is on one of both sides.
  if (result_->answer_count < kMaxBurst) {
    if (rte_mbuf* probe = make(arrival)) {
      result_->answers[result_->answer_count++] = probe;
    }
  }
  if (result_->question_count < kMaxBurst) {
    if (rte_mbuf* probe = make(other)) {
      result_->questions[result_->question_count++] = probe;
    }
  }
}

void Pipeline::Wait(uint32_t i, const PortContext& arrival,
                    const Address& target, VlanId vlan, Tick now) {
  const Tick since = resuming_ ? waits_since_[i] : now;
  // How one leaves that has changed its family is known in this burst only: it
  // has to come again.
  if (waiting_count_ == kMaxWaiting || (crossed_ & Bit(i)) != 0 ||
      TickDiff(now, since) >= static_cast<int32_t>(kWaitsFor)) {
    Drop(i, DropReason::kNoRoute);
    return;
  }
  waiting_[waiting_count_++] = {
      .mbuf = burst_->mbufs[i],
      .state = translated_by_[i],
      .target = target,
      .vlan = vlan,
      .since = since,
      .port = arrival.port,
      .peer = arrival.peer,
      .tag = tags_[i],
      .pieces = static_cast<uint16_t>(CountFragments(*burst_->mbufs[i])),
      .by = JudgesOf(*filters_)};
  burst_->mbufs[i] = nullptr;
  burst_->infos[i].kind = Kind::kTaken;
  reasons_[i] = kNotDropped;
}

uint16_t Pipeline::PortOfReady(Tick now) {
  for (uint32_t k = 0; k < waiting_count_; ++k) {
    const Waiting& one = waiting_[k];
    if (TickDiff(now, one.since) >= static_cast<int32_t>(kWaitsFor) ||
        config_.neighbors->HasNews(
            {.address = one.target,
             .vlan = one.vlan,
             .wire = std::min(one.port, one.peer)},
            now)) {
      return one.port;
    }
  }
  return kNoPort;
}

uint32_t Pipeline::waiting() const {
  uint32_t packets = hops_.packets();
  for (uint32_t k = 0; k < waiting_count_; ++k) packets += waiting_[k].pieces;
  return packets;
}

std::array<Pipeline::JudgedBy, 2> Pipeline::JudgesOf(
    const FilterEnds& filters) {
  std::array<JudgedBy, 2> by;
  for (size_t end = 0; end < by.size(); ++end) {
    const FilterView& view = *filters[end];
    by[end] = {
        .serial = view.filter != nullptr ? view.filter->serial : 0,
        .generation = view.generation != nullptr ? view.generation->number : 0,
        .number = view.number};
  }
  return by;
}

void Pipeline::Resume(uint16_t port, PacketBurst& burst,
                      const Topology& topology, const FilterEnds& filters,
                      Tick now, BurstResult& result) {
  const PortContext& arrival = topology.ports[port];
  const std::array<JudgedBy, 2> judges = JudgesOf(filters);
  burst.count = 0;
  uint32_t kept = 0;
  translated_ = 0;
  stale_ = 0;
  for (uint32_t k = 0; k < waiting_count_; ++k) {
    const Waiting& one = waiting_[k];
    if (one.port != port || burst.count == kMaxBurst) {
      waiting_[kept++] = one;
      continue;
    }
    const uint32_t i = burst.count++;
    burst.mbufs[i] = one.mbuf;
    ParsePacket(*one.mbuf, {.verify_checksums = false}, &burst.infos[i]);
    tags_[i] = one.tag;
    translated_ |= Bit(i);
    translated_by_[i] = one.state;
    waits_since_[i] = one.since;
    // A wire that does not answer any more has nobody who could be asked; and
    // none is let in by one policy and out by another.
    if (arrival.own == nullptr || one.peer != arrival.peer ||
        one.by != judges) {
      stale_ |= Bit(i);
    }
  }
  waiting_count_ = kept;
  resuming_ = true;
  Judge(port, burst, topology, filters, now, result);
  resuming_ = false;
}

void Pipeline::DropWaiting(const Waiting& one) {
  counters_[one.port].drops[static_cast<size_t>(DropReason::kNoRoute)].Add(
      one.pieces);
  rte_pktmbuf_free(one.mbuf);
}

void Pipeline::ClearWaiting() {
  for (uint32_t k = 0; k < waiting_count_; ++k) DropWaiting(waiting_[k]);
  waiting_count_ = 0;
  ClearHops(kNoPort);
}

void Pipeline::ClearWaiting(uint16_t port) {
  ClearHops(port);
  uint32_t kept = 0;
  for (uint32_t k = 0; k < waiting_count_; ++k) {
    const Waiting& one = waiting_[k];
    if (one.port == port) {
      DropWaiting(one);
    } else {
      waiting_[kept++] = one;
    }
  }
  waiting_count_ = kept;
}

Pipeline::Mask Pipeline::JudgeReturning(const PortContext& arrival,
                                        const FilterView& filter,
                                        const Topology& topology, Tick now) {
  Mask alive = returning_;
  if (!arrival.excluded) {
    const Judgement judgement{
        .at = arrival,
        .arrival = arrival,
        .departure = arrival,
        .filter = filter,
        .where = {.direction = Direction::kOut,
                  .filter = filter.number,
                  .interface = arrival.interface.id,
                  .pairs_neighbors =
                      filter.generation != nullptr &&
                      filter.generation->options().pairs_neighbors},
        .now = now,
        .routes = nullptr};  // a wire's ports have no router
    alive = JudgeAt(alive, judgement);
    if (JudgesFrames(filter, arrival.interface)) {
      alive = JudgeFrames(alive, judgement, topology);
    }
  }
  if (!arrival.up && alive != 0) {
    DropAll(alive, DropReason::kPortDown);
    alive = 0;
  }
  if ((alive & crossed_) != 0) {
    alive &= ~crossed_ | FragmentCrossed(alive & crossed_);
  }
  // How many have been sent, the transmitter says.
  ForEachOf(alive, [&](uint32_t i) {
    rte_mbuf* const mbuf = burst_->mbufs[i];
    // A switch there knows its sender on another port of its own.
    SetLinkSource(*mbuf, arrival.mac);
    if (arrival.is_logical()) {
      SetFramePriority(*mbuf, burst_->infos[i].vlan_priority());
    }
    const uint32_t place = result_->return_count++;
    result_->returns[place] = mbuf;
    if ((mbuf->ol_flags & kFragmentMark) != 0) {
      result_->returns_reassembled |= Bit(place);
    }
  });
  return alive;
}

void Pipeline::NoteLinks(StateIndex state, uint32_t i,
                         const Judgement& judgement) {
  const StateEntries& entries = states_.entries();
  const Direction direction = judgement.where.direction;
  const size_t from = direction == entries.hot(state).direction() ? 0 : 1;
  rte_mbuf& frame = *burst_->mbufs[i];
  // Where the addresses are used they are asked for and announced.
  judgement.arrival.own->LaneOf(frame, burst_->infos[i]);
  LinkPeers links = entries.LinksOf(state);
  const MacAddress source = LinkSource(frame);
  // Its own packets are judged here on their way out, so answers to it come by
  // here and go to where it is.
  const bool returns = direction == Direction::kOut &&
                       judgement.at.port == judgement.arrival.port;
  if (IsHost(source) && source != judgement.arrival.mac &&
      (!links.known[from] || links.mac[from] != source ||
       links.returns[from] != returns)) {
    links.mac[from] = source;
    links.known[from] = true;
    links.returns[from] = returns;
    states_.mutable_entries().SetLinks(state, links);
  }
  // One that was not translated where it came, but is now (af-to).
  const size_t to = from ^ 1;
  if (direction == Direction::kOut && links.known[to] &&
      LinkDestination(frame) == judgement.arrival.mac) {
    SetLinkDestination(frame, links.mac[to]);
  }
}

}  // namespace sluice
