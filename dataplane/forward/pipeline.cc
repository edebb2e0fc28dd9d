#include "dataplane/forward/pipeline.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "conntrack/state_table.h"
#include "dataplane/forward/trace_tap.h"
#include "packet/checksum.h"
#include "packet/frame_tags.h"
#include "pftable/engine/generation.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

bool PairsNeighbors(const FilterView& filter) {
  return filter.generation != nullptr &&
         filter.generation->options().pairs_neighbors;
}

}  // namespace

bool Pipeline::JudgesFrames(const FilterView& filter,
                            InterfaceView interface) {
  return filter.generation != nullptr &&
         !filter.generation->policy->ether.empty() &&
         filter.disposition != Disposition::kUnfiltered &&
         !filter.generation->Skips(interface);
}

Pipeline::Pipeline(const Config& config, uint8_t worker, StateTable& states,
                   ExpectationTable& expectations,
                   TranslationDirectory* translations,
                   std::span<PortCounters> counters)
    : config_(config),
      states_(states),
      expectations_(expectations),
      counters_(counters),
      random_(config.random_seed != 0 ? config.random_seed : 1),
      translator_(states, translations, worker,
                  MixBits(config.random_seed + worker)),
      limiters_(states),
      fragments_(config.fragments, config.secret, &Pipeline::DropFragment,
                 this) {}

// xorshift64*: rules draw from it, secrets do not.
uint64_t Pipeline::Random() {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return random_ * 0x2545f4914f6cdd1dULL;
}

void Pipeline::Parse(uint16_t port, PacketBurst& burst) {
  ParseBurst(burst, config_.parse);
  uint64_t bytes = 0;
  uint64_t flags = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    bytes += burst.mbufs[i]->pkt_len;
    flags |= burst.mbufs[i]->ol_flags;
  }
  // "None" is the mark of good and that of bad together.
  constexpr uint64_t kIpNone = RTE_MBUF_F_RX_IP_CKSUM_NONE;
  constexpr uint64_t kL4None = RTE_MBUF_F_RX_L4_CKSUM_NONE;
  if ((flags & kIpNone) == kIpNone || (flags & kL4None) == kL4None)
      [[unlikely]] {
    for (uint32_t i = 0; i < burst.count; ++i) {
      CompleteChecksums(*burst.mbufs[i], burst.infos[i]);
    }
  }
  counters_[port].received_packets.Add(burst.count);
  counters_[port].received_bytes.Add(bytes);
}

void Pipeline::CheckSources(uint16_t port, SpoofGuard& guard,
                            PacketBurst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) {
    PacketInfo& info = burst.infos[i];
    SpoofRecord wrong;
    wrong.fault = guard.Check(*burst.mbufs[i], info, &wrong);
    if (wrong.fault == SpoofFault::kNone) continue;
    info.kind = Kind::kMalformed;
    info.drop = DropReason::kSpoofed;
    SpoofRecord* const out =
        config_.spoofs != nullptr ? config_.spoofs->Begin() : nullptr;
    if (out == nullptr) continue;
    wrong.port = port;
    *out = wrong;
    config_.spoofs->Commit();
  }
}

void Pipeline::Begin(uint16_t port, PacketBurst& burst,
                     BurstResult& result) {
  burst_ = &burst;
  port_ = &counters_[port];
  result_ = &result;
  result.forward_count = 0;
  result.reassembled = 0;
  result.answer_count = 0;
  result.return_count = 0;
  result.returns_reassembled = 0;
  result.question_count = 0;
  result.bridged_count = 0;
  result.host_count = 0;
  result.host_reassembled = 0;
  routing_ = false;
  returning_ = 0;
  bridged_ = 0;
  addressed_ = 0;
}

void Pipeline::Admit(Passage& passage) {
  PacketBurst& burst = *burst_;
  if (!resuming_) [[likely]] {
    tags_.fill(kNoTag);
    translated_ = 0;
  }
  crossed_ = 0;
  judged_ = {};
  const PortContext& arrival = passage.arrival;
  if (arrival.is_logical()) [[unlikely]] {
    // The priority of a tag that is not there any more.
    for (uint32_t i = 0; i < burst.count; ++i) {
      PacketInfo& info = burst.infos[i];
      if (info.kind != Kind::kIp || info.has(kVlanTagged)) continue;
      info.SetVlanPriority(FramePriority(*burst.mbufs[i]));
      info.flags |= kPrioritySet;
    }
  }
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    rules_.fill(nullptr);
    std::copy_n(burst.infos.begin(), burst.count, arrived_.begin());
    // What the host sends has not arrived.
    if (taps_in_use_ && !resuming_ && arrival.interface.id != 0) {
      ShowArrival(arrival.port, burst);
    }
  }
  if (routing_) [[unlikely]] {
    HearNeighbors(arrival, passage.departure, passage.now);
  }
  Mask malformed = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const PacketInfo& info = burst.infos[i];
    if (info.kind == Kind::kIp) [[likely]] {
      passage.alive |= Bit(i);
      passage.flags |= info.flags;
    } else if (info.kind == Kind::kTaken) {
      continue;
    } else if (info.kind == Kind::kMalformed) {
      malformed |= Bit(i);
    } else if (arrival.pass_non_ip) {
      passage.passed |= Bit(i);
      port_->non_ip.Add(1);
    } else {
      Drop(i, DropReason::kNonIp);
    }
  }
  if (malformed != 0) [[unlikely]] RefuseMalformed(malformed, passage);
}

// As in pf, no rule is asked of these, and they are logged as by its default
// rule whatever the others say. What only sluice looks at is not.
void Pipeline::RefuseMalformed(Mask malformed, const Passage& passage) {
  const PortContext& at = passage.arrival;
  const FilterView& filter = *(*filters_)[0];
  const bool judged = !at.excluded && at.interface.id != 0 &&
                      filter.disposition != Disposition::kUnfiltered &&
                      filter.generation != nullptr &&
                      !filter.generation->Skips(at.interface);
  ForEach(malformed, [&](uint32_t i) {
    PacketInfo& info = burst_->infos[i];
    const DropReason reason = info.drop;
    if (judged && info.family != Family::kNone &&
        reason != DropReason::kSpoofed && reason != DropReason::kProtoCksum) {
      const uint32_t frame = burst_->mbufs[i]->pkt_len;
      const uint32_t there = frame - std::min<uint32_t>(info.l3_offset, frame);
      if (info.ip_length == 0 || info.ip_length > there) {
        info.ip_length = static_cast<uint16_t>(std::min(there, 0xffffu));
      }
      auto& judged_in =
          counters_[at.port].judged[static_cast<size_t>(Direction::kIn)];
      auto& blocked = judged_in[info.family == Family::kIpv6 ? 1 : 0][1];
      blocked.packets.Add(1);
      blocked.bytes.Add(info.ip_length);
      Log(i, {.rule_slot = kNoRuleSlot,
              .anchor_slot = kNoRuleSlot,
              .action = RuleAction::kBlock,
              .log_slot = kNoRuleSlot},
          reason,
          {.at = at,
           .arrival = passage.arrival,
           .departure = passage.departure,
           .filter = filter,
           .where = {.direction = Direction::kIn,
                     .filter = filter.number,
                     .interface = at.interface.id,
                     .pairs_neighbors = PairsNeighbors(filter)},
           .now = passage.now,
           .routes = routes_.At(passage.topology, at)});
    }
    Drop(i, reason);
  });
}

void Pipeline::JudgeEnd(Direction direction, const FilterView& filter,
                        Passage& passage) {
  const PortContext& at = direction == Direction::kIn ? passage.arrival
                                                      : passage.departure;
  Mask& alive = passage.alive;
  Mask& passed = passage.passed;
  routed_ = 0;
  if ((alive | passed) == 0 || at.excluded) return;
  const Judgement judgement{.at = at,
                            .arrival = passage.arrival,
                            .departure = passage.departure,
                            .filter = filter,
                            .where = {.direction = direction,
                                      .filter = filter.number,
                                      .interface = at.interface.id,
                                      .pairs_neighbors = PairsNeighbors(
                                          filter)},
                            .now = passage.now,
                            .routes = routes_.At(passage.topology, at)};
  const bool frames = JudgesFrames(filter, at.interface);
  if (frames && direction == Direction::kIn) [[unlikely]] {
    const Mask left = JudgeFrames(alive | passed, judgement, passage.topology);
    alive &= left;
    passed &= left;
  }
  if (alive != 0) alive = JudgeAt(alive, judgement);
  if (frames && direction == Direction::kOut) [[unlikely]] {
    const Mask left = JudgeFrames(alive | passed, judgement, passage.topology);
    alive &= left;
    passed &= left;
  }
}

// Behind the last judgement.
void Pipeline::Depart(Passage& passage) {
  const PortContext& departure = passage.departure;
  Mask& passed = passage.passed;
  passed |= passage.alive;
  passage.alive = 0;
  if (!(departure.up && departure.enabled) && passed != 0) {
    DropAll(passed, DropReason::kPortDown);
    passed = 0;
  }
  if (crossed_ != 0) [[unlikely]] {
    passed &= ~crossed_ | FragmentCrossed(passed & crossed_);
    passage.flags |= kReassembled;
  }
  if (departure.is_logical()) [[unlikely]] {
    ForEach(passed, [&](uint32_t i) {
      const PacketInfo& info = burst_->infos[i];
      if (info.kind == Kind::kIp) {
        SetFramePriority(*burst_->mbufs[i], info.vlan_priority());
      } else if (!passage.arrival.is_logical()) {
        SetFramePriority(*burst_->mbufs[i], 0);
      }
    });
  }
}

// What is left of the burst goes into the result.
void Pipeline::Leave(const Passage& passage) {
  PacketBurst& burst = *burst_;
  BurstResult& result = *result_;
  const Mask all =
      burst.count == kMaxBurst ? ~Mask{0} : Bit(burst.count) - 1;
  if (passage.passed == all) [[likely]] {
    std::copy_n(burst.mbufs.begin(), burst.count, result.forward.begin());
    result.forward_count = burst.count;
  } else {
    ForEach(passage.passed, [&](uint32_t i) {
      result.forward[result.forward_count++] = burst.mbufs[i];
    });
  }
  if ((passage.flags & kReassembled) != 0) [[unlikely]] {
    for (uint32_t k = 0; k < result.forward_count; ++k) {
      if ((result.forward[k]->ol_flags & kFragmentMark) != 0) {
        result.reassembled |= Bit(k);
      }
    }
  }
}

void Pipeline::JudgeTo(uint16_t port, uint16_t to, PacketBurst& burst,
                       const Topology& topology, const FilterEnds& filters,
                       Tick now, BurstResult& result) {
  const PortContext& arrival = topology.ports[port];
  if (!arrival.enabled || to == kNoPort) [[unlikely]] {
    Refuse(port, burst,
           arrival.enabled ? DropReason::kNoWire : DropReason::kPortDown, now,
           result);
    return;
  }
  Begin(port, burst, result);
  filters_ = &filters;
  Passage passage{.topology = topology,
                  .arrival = arrival,
                  .departure = topology.ports[to],
                  .now = now};
  routing_ = arrival.own != nullptr;
  Admit(passage);
  if (!resuming_) [[likely]] {
    JudgeEnd(Direction::kIn, *filters[0], passage);
  } else {
    DropAll(passage.alive & stale_, DropReason::kNoRoute);
    passage.alive &= ~stale_;
  }
  if (routing_) [[unlikely]] {
    passage.alive = Route(passage.alive, arrival, passage.departure, now);
  }
  JudgeEnd(Direction::kOut, *filters[1], passage);
  Depart(passage);
  if (returning_ != 0) [[unlikely]] {
    returning_ = JudgeReturning(arrival, *filters[0], topology, now);
  }
  Leave(passage);
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    Tell(port, to, passage.passed | returning_, now);
  }
}

void Pipeline::Drop(uint32_t i, DropReason reason) {
  // What was put together had arrived as so many packets.
  port_->drops[static_cast<size_t>(reason)].Add(
      CountFragments(*burst_->mbufs[i]));
  reasons_[i] = reason;
  rte_pktmbuf_free(burst_->mbufs[i]);
  burst_->mbufs[i] = nullptr;
}

void Pipeline::DropAll(Mask packets, DropReason reason) {
  ForEach(packets, [&](uint32_t i) {
    if (burst_->infos[i].kind != Kind::kTaken) Drop(i, reason);
  });
}

}  // namespace sluice
