#include "dataplane/forward/pipeline.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "conntrack/expectation.h"
#include "conntrack/state_table.h"
#include "dataplane/forward/trace_tap.h"
#include "packet/checksum.h"
#include "packet/frame_tags.h"
#include "packet/inner.h"
#include "packet/sequence.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/ether.h"
#include "pftable/engine/generation.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

// Calls use(i) for each packet of the mask, ascending.
template <typename Use>
void ForEach(uint32_t mask, Use use) {
  for (; mask != 0; mask &= mask - 1) {
    use(static_cast<uint32_t>(std::countr_zero(mask)));
  }
}

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

uint32_t Pipeline::SecretBits() {
  FlowKey4 key{};
  const uint64_t draw = Random() + ++secrets_;
  key.end0 = static_cast<uint32_t>(draw);
  key.end1 = static_cast<uint32_t>(draw >> 32);
  return static_cast<uint32_t>(Hash(key, config_.secret).value >> 16);
}

TcpScrubMoment Pipeline::MomentOf(StateIndex state,
                                  const Judgement& judgement) const {
  const StateHot& hot = states_.entries().hot(state);
  constexpr auto kEstablished = static_cast<uint8_t>(TcpPhase::kEstablished);
  return {.from = judgement.where.direction == hot.direction() ? 0u : 1u,
          .established =
              hot.phase[0] >= kEstablished && hot.phase[1] >= kEstablished,
          .slack = states_.TimeoutOf(state, Timeout::kTcpTsDiff),
          .age = judgement.now - states_.entries().cold(state).created,
          .now = judgement.now};
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
  result.host_count = 0;
  result.host_reassembled = 0;
  routing_ = false;
  returning_ = 0;
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
  for (uint32_t i = 0; i < burst.count; ++i) {
    const PacketInfo& info = burst.infos[i];
    if (info.kind == Kind::kIp) [[likely]] {
      passage.alive |= Bit(i);
      passage.flags |= info.flags;
    } else if (info.kind == Kind::kTaken) {
      continue;
    } else if (info.kind == Kind::kMalformed) {
      Drop(i, info.drop);
    } else if (arrival.pass_non_ip) {
      passage.passed |= Bit(i);
      port_->non_ip.Add(1);
    } else {
      Drop(i, DropReason::kNonIp);
    }
  }
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
    const Mask left = JudgeFrames(alive | passed, judgement);
    alive &= left;
    passed &= left;
  }
  if (alive != 0) alive = JudgeAt(alive, judgement);
  if (frames && direction == Direction::kOut) [[unlikely]] {
    const Mask left = JudgeFrames(alive | passed, judgement);
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
    returning_ = JudgeReturning(arrival, *filters[0], now);
  }
  Leave(passage);
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    Tell(port, to, passage.passed | returning_, now);
  }
}

// Whether states have come or gone since the burst was looked up.
inline bool Pipeline::StatesHaveChanged() const {
  const StateStatistics& statistics = states_.statistics();
  return statistics.removals.value() + statistics.inserts.value() !=
         changes_at_lookup_;
}

// Rules for layer 2 come before everything else on the way in and after it on
// the way out.
Pipeline::Mask Pipeline::JudgeFrames(Mask frames, const Judgement& judgement) {
  Mask left = 0;
  ForEach(frames, [&](uint32_t i) {
    EtherInput input;
    if (!ReadFrame(*burst_->mbufs[i], burst_->infos[i], &input)) {
      Drop(i, DropReason::kShort);
      return;
    }
    input.direction = judgement.where.direction;
    input.interface = judgement.at.interface;
    input.tag = tags_[i];
    const EtherVerdict verdict = EvaluateEther(
        *judgement.filter.generation, input, *judgement.filter.counters);
    if (!verdict.pass) {
      Drop(i, DropReason::kMatch);
      return;
    }
    tags_[i] = verdict.tag;
    left |= Bit(i);
  });
  return left;
}

Pipeline::Mask Pipeline::JudgeAt(Mask alive, const Judgement& judgement) {
  if (judgement.filter.disposition == Disposition::kUnfiltered) return alive;
  if (judgement.filter.generation == nullptr) {
    DropAll(alive, DropReason::kMatch);
    return 0;
  }
  if (judgement.filter.generation->Skips(judgement.at.interface)) {
    return alive;
  }

  judged_[static_cast<size_t>(judgement.where.direction)] |= alive;

  std::array<uint8_t, kMaxBurst> indices;
  std::array<StateIndex, kMaxBurst> states;
  uint32_t count = 0;
  uint16_t flags = 0;
  Mask v6 = 0;
  ForEach(alive, [&](uint32_t i) {
    indices[count++] = static_cast<uint8_t>(i);
    flags |= burst_->infos[i].flags;
    if (burst_->infos[i].family == Family::kIpv6) v6 |= Bit(i);
  });
  if ((flags & kRoutingHeader) != 0 &&
      judgement.filter.generation->options().routing_is_option) [[unlikely]] {
    ForEach(alive, [&](uint32_t i) {
      PacketInfo& info = burst_->infos[i];
      if (info.has(kRoutingHeader)) info.flags |= kIpOptions;
    });
  }
  judgement.filter.counters->searches.Add(count);
  const Generation& generation = *judgement.filter.generation;
  scrubbing_ = generation.policy->has_scrub;
  translating_ = !generation.pools.empty();
  limiting_ = !generation.policy->limiters.empty();
  fingerprinting_ = generation.policy->fingerprints != nullptr;
  using_cookies_ = generation.options().syncookies != Syncookies::kNever;
  if (scrubbing_) [[unlikely]] Scrub(alive, judgement);
  // An empty table needs no look; a stateless ruleset leaves it empty.
  if (states_.size() == 0) {
    states.fill(kNoState);
  } else {
    states_.Lookup(*burst_, std::span(indices).first(count), judgement.where,
                   states);
  }

  // A packet of this very burst may end a state, whose slot is then free for
  // another, or make one: from there on what was found has to be looked up
  // again.
  const StateStatistics& statistics = states_.statistics();
  const uint64_t removals = statistics.removals.value();
  changes_at_lookup_ = removals + statistics.inserts.value();
  classified_ = 0;
  crossed_here_ = 0;
  Mask passed = 0;
  Mask misses = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const uint32_t i = indices[k];
    if (states[i] == kNoState ||
        statistics.removals.value() != removals) {
      misses |= Bit(i);
    } else if (JudgeHit(i, states[i], judgement)) {
      passed |= Bit(i);
    }
  }
  FindCandidates(misses, judgement);
  ForEach(misses, [&](uint32_t i) {
    if (JudgeMiss(i, judgement)) passed |= Bit(i);
  });

  // What pf counts for the interface: packets as they came.
  auto& judged = counters_[judgement.at.port]
                     .judged[static_cast<size_t>(judgement.where.direction)];
  const auto count_all = [&](Mask packets, PortCounters::Judged& counters) {
    if (packets == 0) return;
    uint64_t bytes = 0;
    ForEach(packets & ~crossed_here_,
            [&](uint32_t i) { bytes += burst_->infos[i].ip_length; });
    ForEach(packets & crossed_here_, [&](uint32_t i) { bytes += came_with_[i]; });
    counters.packets.Add(static_cast<uint64_t>(std::popcount(packets)));
    counters.bytes.Add(bytes);
  };
  const Mask blocked = alive & ~passed;
  count_all(passed & ~v6, judged[0][0]);
  count_all(passed & v6, judged[1][0]);
  count_all(blocked & ~v6, judged[0][1]);
  count_all(blocked & v6, judged[1][1]);
  if (routed_ != 0 && judgement.at.router == kNoRouter) [[unlikely]] {
    return DropUnrouted(passed);
  }
  return passed;
}

bool Pipeline::Finish(uint32_t i, const PacketActions& actions) {
  if (!scrubbing_) [[likely]] return actions.empty() || Act(i, actions);
  PacketActions all = scrubs_[i];
  all.Add(actions);
  return all.empty() || Act(i, all);
}

inline bool Pipeline::FinishByState(uint32_t i, StateIndex state,
                                    const Judgement& judgement) {
  const bool none =
      states_.entries().hot(state).action_set == ActionSets::kNone;
  if (none && !scrubbing_) [[likely]] return true;
  NoteRouteOf(state, i, judgement);
  return Finish(i, none ? PacketActions()
                        : states_.entries().ActionsOf(state));
}

inline bool Pipeline::JudgeHit(uint32_t i, StateIndex state,
                               const Judgement& judgement) {
  const PacketInfo& info = burst_->infos[i];
  const Direction direction = judgement.where.direction;
  if ((states_.entries().hot(state).marks() & kBusyMarks) == 0 &&
      !scrubbing_ &&
      states_.StepOpen(state, info, direction, judgement.now)) [[likely]] {
    return true;
  }
  return JudgeBusyHit(i, state, judgement);
}

bool Pipeline::JudgeBusyHit(uint32_t i, StateIndex state,
                            const Judgement& judgement) {
  const PacketInfo& info = burst_->infos[i];
  const rte_mbuf& mbuf = *burst_->mbufs[i];
  const Direction direction = judgement.where.direction;
  if (states_.entries().hot(state).action_set != ActionSets::kNone &&
      !states_.CountForRate(state, direction, judgement.now)) [[unlikely]] {
    return ApplyRules(i, judgement);
  }
  const bool scrubbed = states_.entries().IsScrubbed(state) &&
                        (states_.entries().hot(state).flags & kStateSloppy) == 0;
  if (scrubbed &&
      !TimestampsAreSound(states_.entries().scrub(state), info, mbuf,
                          MomentOf(state, judgement))) [[unlikely]] {
    Drop(i, DropReason::kBadTimestamp);
    return false;
  }
  const StepResult step =
      states_.Step(state, info, mbuf, direction, judgement.now);
  if (step.verdict == StepVerdict::kPass) [[likely]] {
    if (scrubbed) [[unlikely]] {
      ScrubTcp(states_.mutable_entries().scrub(state), burst_->infos[i],
               *burst_->mbufs[i], MomentOf(state, judgement), SecretBits());
    }
    if (step.addresses) [[unlikely]] FollowSctp(state, i, judgement);
    if (step.helper) [[unlikely]] {
      const uint32_t counted = info.ip_length;
      const HelperVerdict helped = Help(state, i, judgement);
      if (helped != HelperVerdict::kPass) {
        states_.Uncount(state, direction, counted);
        if (helped == HelperVerdict::kDrop) {
          Drop(i, DropReason::kMapFailed);
          return false;
        }
        states_.Remove(state, FlowEnd::kReplaced);
        return JudgeMiss(i, judgement);
      }
    }
    PassByState(i, state, step.log, judgement);
    if ((states_.entries().hot(state).more & kMoreShift) != 0) [[unlikely]] {
      states_.Shift(state, *burst_->mbufs[i], &burst_->infos[i], direction,
                    step.shift);
    }
    if (!FinishByState(i, state, judgement)) return false;
    if (states_.entries().hot(state).translated()) [[unlikely]] {
      return TranslateBy(state, i, judgement);
    }
    return true;
  }
  if (step.verdict == StepVerdict::kReuse) return JudgeMiss(i, judgement);
  if (step.verdict == StepVerdict::kProxy) {
    if (!Proxy(i, states_.RunProxy(state, info, direction, judgement.now),
               judgement)) {
      return false;
    }
    NoteRouteOf(state, i, judgement);
    return !states_.entries().hot(state).translated() ||
           TranslateBy(state, i, judgement);
  }
  AnswerState(i, step);
  Drop(i, step.reason);
  return false;
}

inline void Pipeline::PassByState(uint32_t i, StateIndex state, bool log,
                                  const Judgement& judgement) {
  if (states_.entries().hot(state).flags & kEntryTagged) {
    tags_[i] = states_.entries().cold(state).tag;
  }
  if (log) [[unlikely]] {
    const StateTemplate values = states_.entries().TemplateOf(state);
    Log(i, {.rule_slot = values.rule_slot,
            .anchor_slot = values.anchor_slot,
            .action = RuleAction::kPass,
            .log_slot = values.rule_slot},
        DropReason::kMatch, judgement);
  }
}

// An earlier packet of the burst may have made the state: looks again, then
// asks the rules.
bool Pipeline::JudgeMiss(uint32_t i, const Judgement& judgement) {
  const PacketInfo& info = burst_->infos[i];
  if (info.has(kIcmpError)) {
    PacketInfo inner;
    const IcmpErrorResult error = states_.LookupIcmpError(
        info, *burst_->mbufs[i], judgement.where, &inner);
    if (error.verdict == StepVerdict::kDrop) {
      Drop(i, error.reason);
      return false;
    }
    const bool above =
        error.state != kNoState &&
        states_.entries().hot(error.state).action_set != ActionSets::kNone &&
        !states_.CountForRate(error.state, judgement.where.direction,
                              judgement.now);
    if (above) [[unlikely]] {
      states_.Uncount(error.state, judgement.where.direction, info.ip_length);
    } else if (error.state != kNoState) {
      PassByState(i, error.state, error.log, judgement);
      if (error.inner_shift != 0) [[unlikely]] {
        ShiftInnerSequence(*burst_->mbufs[i], info, error.inner,
                           error.inner_shift);
      }
      if (!FinishByState(i, error.state, judgement)) return false;
      if (states_.entries().hot(error.state).translated()) {
        if (states_.Crosses(error.state)) {
          return CrossErrorBy(error.state, i, inner, judgement);
        }
        NoteTranslation(error.state, i, judgement);
        states_.TranslateError(error.state, *burst_->mbufs[i],
                               &burst_->infos[i], inner,
                               judgement.where.direction);
      }
      return true;
    }
  } else if (!info.has(kFragment) && StatesHaveChanged()) {
    const StateIndex state = states_.Find(info, *burst_->mbufs[i], judgement.where);
    if (state != kNoState) return JudgeHit(i, state, judgement);
  }
  if (using_cookies_) [[unlikely]] {
    bool passed = false;
    if (TrySyncookie(i, judgement, &passed)) return passed;
  }
  return ApplyRules(i, judgement);
}

inline void Pipeline::FindCandidates(Mask misses, const Judgement& judgement) {
  const Classifier* classifier =
      judgement.filter.generation->policy->classifier.get();
  if (classifier == nullptr || misses == 0) return;
  std::array<const PacketInfo*, kMaxBurst> packets;
  uint32_t count = 0;
  ForEach(misses, [&](uint32_t i) {
    if (burst_->infos[i].has(kIcmpError)) return;
    packets[count++] = &burst_->infos[i];
    classified_ |= Bit(i);
  });
  sluice::FindCandidates(*classifier, judgement.where.direction,
                         judgement.at.interface, {packets.data(), count},
                         verdict_cache_, {candidates_.data(), count});
  PrefetchCandidates(*judgement.filter.generation,
                     {candidates_.data(), count});
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
