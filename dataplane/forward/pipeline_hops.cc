// The part of Pipeline for ports of routers that is about next hops: what has to
// be done that a packet can go to one, the wait for those that nobody knows yet,
// and the errors that tell a sender why his packet goes no further.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/pipeline_answer.h"
#include "dataplane/forward/pipeline_hops.h"
#include "dataplane/forward/steering.h"
#include "packet/answer.h"
#include "packet/family.h"
#include "packet/headers.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

// How long a packet waits for a next hop that does not answer.
constexpr Tick kHopWait = 3'000;
// A hop that has failed is asked for again by the next packet for it: it is told
// of an answer, or of none, by what is known so long after.
constexpr Tick kBelieveFailed = 100;
// After `kErrorBurst` at once, one error in so many milliseconds (RFC 1812
// section 4.3.2.8, RFC 4443 section 2.4 f).
constexpr uint32_t kErrorEvery = 1;

constexpr uint32_t kLinkAddress = 6;

}  // namespace

// --- Errors of ours.

bool Pipeline::MaySendError(Tick now) {
  const Tick passed = now - errors_since_;
  if (passed >= kErrorEvery) {
    error_tokens_ = std::min(kErrorBurst, error_tokens_ + passed / kErrorEvery);
    errors_since_ = now;
  }
  return error_tokens_ > 0;
}

rte_mbuf* Pipeline::MakeError(uint32_t i, const RouterError& error,
                              const PortContext& arrival) {
  if (route_.copies) return nullptr;  // nobody has sent them
  if (!MaySendError(route_.now)) {
    port_->errors_limited.Add(1);
    return nullptr;
  }
  rte_mbuf* made =
      config_.pool != nullptr ? rte_pktmbuf_alloc(config_.pool) : nullptr;
  if (made == nullptr) {
    port_->answers_lost.Add(1);
    return nullptr;
  }
  PacketInfo info;
  const auto build = [&] {
    if (!BuildRouterError(*burst_->mbufs[i], burst_->infos[i], error, made)) {
      return false;
    }
    // Its sender knows the packet as it was.
    if ((translated_ & Bit(i)) != 0 && !UndoTranslation(i, &made)) return false;
    ParsePacket(*made, {.verify_checksums = false}, &info);
    const Address own =
        TablesOf(arrival).SourceAt(arrival.port, info.family);
    if (info.kind != Kind::kIp || own.family == Family::kNone) return false;
    SetAddress(*made, info, AddressEnd::kSource, own.bytes.data());
    SetLinkSource(*made, arrival.mac);
    return true;
  };
  if (build()) return made;
  rte_pktmbuf_free(made);
  return nullptr;
}

void Pipeline::SendError(rte_mbuf* error) {
  if (error == nullptr) return;
  if (error_tokens_ == 0 || result_->answer_count == kMaxBurst) {
    port_->errors_limited.Add(1);
    rte_pktmbuf_free(error);
    return;
  }
  --error_tokens_;
  port_->answers.Add(1);
  result_->answers[result_->answer_count++] = error;
}

void Pipeline::TellSender(uint32_t i, const RouterError& error,
                          const PortContext& arrival) {
  SendError(MakeError(i, error, arrival));
}

// --- Before and after they are judged where they leave.

// Whether a packet of that many bytes, more than fit, leaves all the same: as
// the fragments in which it came, or as others.
bool Pipeline::FitsInParts(uint32_t i, uint32_t mtu) const {
  const PacketInfo& info = burst_->infos[i];
  if (info.family == Family::kIpv4 && !info.has(kDontFragment)) return true;
  if ((crossed_ & Bit(i)) != 0) {
    const uint32_t data = forms_[i].fragment_data;
    return data != 0 && info.l4_offset - info.l3_offset +
                                sizeof(wire::Ipv6Fragment) + data <=
                            mtu;
  }
  return LargestFragment(*burst_->mbufs[i], info.ip_length) <= mtu;
}

void Pipeline::PrepareHops(Mask group, const Passage& passage) {
  const RoutingTables& tables = TablesOf(passage.arrival);
  const PortContext& departure = passage.departure;
  route_.big = 0;
  route_.on_link = 0;
  route_.unresolved = 0;
  route_.with_error = 0;
  const auto prepare = [&](uint32_t i, RouterError error) {
    route_.errors[i] = MakeError(i, error, passage.arrival);
    route_.with_error |= Bit(i);
  };
  const Address* asked = nullptr;
  NeighborState state = NeighborState::kUnknown;
  MacAddress mac{};
  ForEachIn(group, [&](uint32_t i) {
    const PacketInfo& info = burst_->infos[i];
    const Address& hop = route_.answers[i].next_hop;
    // Packets of one burst often have one next hop.
    if (asked == nullptr || hop != *asked) {
      state = tables.FindNeighbor(route_.answers[i], &mac);
      asked = &hop;
    }
    route_.macs[i] = mac;
    if (hop.bytes == info.destination) route_.on_link |= Bit(i);
    if (info.ip_length > departure.mtu && !FitsInParts(i, departure.mtu))
        [[unlikely]] {
      route_.big |= Bit(i);
      RouterError error = kPacketTooBig.For(info.family);
      error.mtu = departure.mtu;
      prepare(i, error);
    }
    if (state == NeighborState::kKnown) [[likely]] return;
    route_.unresolved |= Bit(i);
    // The host is not told: its packet came by no link on which to say so later.
    if ((route_.big & Bit(i)) == 0 && !route_.from_host) {
      prepare(i, kHostUnreachable.For(info.family));
    }
  });
}

void Pipeline::TakeHops(Passage& passage) {
  const PortContext& departure = passage.departure;
  Mask left = 0;
  ForEachIn(passage.passed, [&](uint32_t i) {
    const PacketInfo& info = burst_->infos[i];
    if ((route_.big & Bit(i)) != 0) [[unlikely]] {
      if (info.ip_length > departure.mtu && !FitsInParts(i, departure.mtu)) {
        Drop(i, DropReason::kTooBig);
        route_.with_error &= ~Bit(i);
        SendError(route_.errors[i]);
        return;
      }
      // The rules there let it be fragmented (no-df). That error is not one for
      // a next hop that does not answer.
      rte_pktmbuf_free(std::exchange(route_.errors[i], nullptr));
    }
    if ((route_.on_link & Bit(i)) != 0 &&
        route_.answers[i].next_hop.bytes != info.destination) [[unlikely]] {
      if (!FollowDestination(i, passage)) return;
    }
    if (info.ip_length > departure.mtu) [[unlikely]] {
      if (!Fragment(i, departure.mtu)) {
        Drop(i, DropReason::kMemory);
        return;
      }
      passage.flags |= kReassembled;
    }
    if ((route_.unresolved & Bit(i)) != 0) [[unlikely]] {
      WaitForHop(i, passage);
      return;
    }
    WriteLink(*burst_->mbufs[i], route_.macs[i], departure.mac);
    left |= Bit(i);
  });
  passage.passed = left;
  ForEachIn(route_.with_error, [&](uint32_t i) {
    if (route_.errors[i] != nullptr) rte_pktmbuf_free(route_.errors[i]);
  });
}

// The rules have given it another destination on its way out: it stays on that
// link, or goes nowhere.
bool Pipeline::FollowDestination(uint32_t i, const Passage& passage) {
  const RoutingTables& tables = TablesOf(passage.arrival);
  const PacketInfo& info = burst_->infos[i];
  const RouteAnswer answer =
      tables.Find(DestinationOf(info), SymmetricHash(info));
  if (answer.type != RouteType::kForward ||
      answer.port != passage.departure.port) {
    Drop(i, DropReason::kNoRoute);
    return false;
  }
  route_.answers[i] = answer;
  const bool known =
      tables.FindNeighbor(answer, &route_.macs[i]) == NeighborState::kKnown;
  route_.unresolved = (route_.unresolved & ~Bit(i)) | (known ? 0 : Bit(i));
  return true;
}

// Fragments that leave, of a packet that may be fragmented. False: no buffers.
bool Pipeline::Fragment(uint32_t i, uint32_t mtu) {
  const PacketInfo& info = burst_->infos[i];
  rte_mbuf* const whole = burst_->mbufs[i];
  if (LargestFragment(*whole, info.ip_length) <= mtu) return true;
  Be16 place;
  CopyFromPacket(*whole, info.l3_offset + offsetof(wire::Ipv4, fragment),
                 &place, sizeof place);
  const uint32_t headers = info.l4_offset - info.l3_offset;
  // One buffer each.
  const uint32_t room =
      config_.pool == nullptr
          ? mtu
          : rte_pktmbuf_data_room_size(config_.pool) - RTE_PKTMBUF_HEADROOM -
                info.l3_offset;
  const CrossedForm form = {
      .fragment_data =
          static_cast<uint16_t>((std::min(mtu, room) - headers) & ~7u)};
  const uint32_t before = CountFragments(*whole);
  rte_mbuf* const made = MakeFragments(whole, info, form, config_.pool);
  if (made == nullptr) return false;
  // Of a fragment: where in its datagram it is, for those that it becomes.
  if (info.has(kFragment)) {
    CopyToPacket(*made, info.l3_offset + offsetof(wire::Ipv4, fragment), &place,
                 sizeof place);
  }
  CountRefragmented(before, CountFragments(*made));
  burst_->mbufs[i] = made;
  return true;
}

void Pipeline::WaitForHop(uint32_t i, const Passage& passage) {
  const uint16_t to = passage.departure.port;
  WaitingHop displaced;
  const bool full = hops_.Add(
      {.mbuf = burst_->mbufs[i],
       .error = (route_.with_error & Bit(i)) != 0 ? route_.errors[i] : nullptr,
       .next_hop = route_.answers[i].next_hop,
       .since = passage.now,
       .port = passage.arrival.port,
       .to = to,
       .router = passage.arrival.router,
       .pieces = static_cast<uint16_t>(CountFragments(*burst_->mbufs[i]))},
      &displaced);
  if (full) DropWaitingHop(displaced, DropReason::kNoNeighbor);
  route_.with_error &= ~Bit(i);
  burst_->mbufs[i] = nullptr;
  burst_->infos[i].kind = Kind::kTaken;
  reasons_[i] = kNotDropped;
}

void Pipeline::WriteLink(rte_mbuf& mbuf, const MacAddress& to,
                         const MacAddress& from) {
  std::array<uint8_t, 2 * kLinkAddress> both;
  std::memcpy(both.data(), to.data(), kLinkAddress);
  std::memcpy(both.data() + kLinkAddress, from.data(), kLinkAddress);
  if (mbuf.data_len >= both.size()) [[likely]] {
    std::memcpy(rte_pktmbuf_mtod(&mbuf, uint8_t*), both.data(), both.size());
  } else {
    CopyToPacket(mbuf, 0, both.data(), both.size());
  }
}

// --- Those that have waited.

void Pipeline::DropWaitingHop(const WaitingHop& one, DropReason reason) {
  counters_[one.port].drops[static_cast<size_t>(reason)].Add(one.pieces);
  rte_pktmbuf_free(one.mbuf);
  if (one.error != nullptr) rte_pktmbuf_free(one.error);
}

bool Pipeline::ResumeRouted(const Topology& topology, Tick now, uint16_t* port,
                            uint16_t* to, BurstResult& result) {
  hops_.AskAgain(now);
  route_.now = now;
  bool any = false;
  for (uint32_t k = 0; k < hops_.count();) {
    WaitingHop one = hops_.at(k);
    const PortContext& departure = topology.ports[one.to];
    const bool there = departure.router == one.router &&
                       one.router < topology.routers.size();
    MacAddress mac{};
    const NeighborState state =
        there ? topology.routers[one.router].tables->FindNeighbor(
                    one.to, one.next_hop, &mac)
              : NeighborState::kFailed;
    const Tick patience = !there                            ? 0
                          : state == NeighborState::kFailed ? kBelieveFailed
                                                            : kHopWait;
    if ((state != NeighborState::kKnown &&
         TickDiff(now, one.since) < static_cast<int32_t>(patience)) ||
        (any && (one.port != *port || one.to != *to)) ||
        (any && result.forward_count == kMaxBurst)) {
      ++k;
      continue;
    }
    if (!any) {
      any = true;
      *port = one.port;
      *to = one.to;
      Begin(one.port, flood_.copies, result);
    }
    hops_.Take(k);
    if (!there || !departure.up || !departure.enabled) {
      DropWaitingHop(
          one, there ? DropReason::kPortDown : DropReason::kNoRoute);
    } else if (state != NeighborState::kKnown) {
      MaySendError(now);
      SendError(one.error);
      one.error = nullptr;
      DropWaitingHop(one, DropReason::kNoNeighbor);
    } else {
      if (one.error != nullptr) rte_pktmbuf_free(one.error);
      WriteLink(*one.mbuf, mac, departure.mac);
      if ((one.mbuf->ol_flags & kFragmentMark) != 0) {
        result.reassembled |= Bit(result.forward_count);
      }
      result.forward[result.forward_count++] = one.mbuf;
    }
  }
  return any;
}

void Pipeline::ClearHops(uint16_t port) {
  for (uint32_t k = 0; k < hops_.count();) {
    if (port != kNoPort && hops_.at(k).port != port && hops_.at(k).to != port) {
      ++k;
      continue;
    }
    DropWaitingHop(hops_.Take(k), DropReason::kNoRoute);
  }
}

}  // namespace sluice
