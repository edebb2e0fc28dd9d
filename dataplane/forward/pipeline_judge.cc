// What judges packets at one end: rules for layer 2, the states that they have,
// and the rules of those that have none.
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>

#include "conntrack/state_table.h"
#include "dataplane/forward/pipeline.h"
#include "packet/inner.h"
#include "packet/rewrite.h"
#include "packet/sequence.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/ether.h"
#include "pftable/engine/generation.h"

namespace sluice {

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

// Whether states have come or gone since the burst was looked up.
inline bool Pipeline::StatesHaveChanged() const {
  const StateStatistics& statistics = states_.statistics();
  return statistics.removals.value() + statistics.inserts.value() !=
         changes_at_lookup_;
}

// Rules for layer 2 come before everything else on the way in and after it on
// the way out.
Pipeline::Mask Pipeline::JudgeFrames(Mask frames, const Judgement& judgement,
                                     const Topology& topology) {
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
    if (verdict.bridges) {
      Bridge(i, verdict.bridge_to, topology);
      return;
    }
    left |= Bit(i);
  });
  return left;
}

void Pipeline::Bridge(uint32_t i, uint16_t interface,
                      const Topology& topology) {
  const uint16_t to = PortOfInterface(interface, topology);
  if (to == kNoPort || !topology.ports[to].up || !topology.ports[to].enabled) {
    Drop(i, DropReason::kPortDown);
    return;
  }
  if ((crossed_ & Bit(i)) != 0 && FragmentCrossed(Bit(i)) == 0) return;
  bridged_ |= Bit(i);
  bridged_to_[i] = to;
  const uint32_t place = result_->bridged_count++;
  result_->bridged[place] = burst_->mbufs[i];
  result_->bridged_to[place] = to;
}

// There may be thousands of ports: what was found last is kept.
uint16_t Pipeline::PortOfInterface(uint16_t interface,
                                   const Topology& topology) {
  FoundPort& found = found_ports_[interface % found_ports_.size()];
  if (found.serial == topology.serial && found.interface == interface) {
    return found.port;
  }
  found = {.serial = topology.serial, .interface = interface, .port = kNoPort};
  for (uint16_t port = 0; interface != 0 && port < topology.end; ++port) {
    if (topology.ports[port].interface.id != interface) continue;
    found.port = port;
    break;
  }
  return found.port;
}

// As both pfs do before anything else: of TCP what means nothing is cleared,
// FreeBSD's drops SCTP that no host would read.
Pipeline::Mask Pipeline::Clean(Mask alive, const Judgement& judgement) {
  const bool checks_sctp =
      judgement.filter.generation->options().checks_sctp;
  Mask left = alive;
  ForEach(alive, [&](uint32_t i) {
    PacketInfo& info = burst_->infos[i];
    if (!info.has(kUnclean)) return;
    if (info.proto == protocol::kTcp) {
      CleanTcp(*burst_->mbufs[i], info);
    } else if (checks_sctp) {
      Drop(i, DropReason::kNormalize);
      left &= ~Bit(i);
    }
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
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    // The rule of an earlier judgement does not decide this one.
    ForEach(alive, [&](uint32_t i) { rules_[i] = nullptr; });
  }

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
  if ((flags & kUnclean) != 0) [[unlikely]] {
    alive = Clean(alive, judgement);
    count = 0;
    ForEach(alive, [&](uint32_t i) {
      indices[count++] = static_cast<uint8_t>(i);
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
  const uint32_t busy = states_.entries().hot(state).marks() & kBusyMarks;
  if ((busy & ~MoreMarks(kMoreSecond)) == 0 && !scrubbing_ &&
      states_.StepOpen(state, info, direction, judgement.now)) [[likely]] {
    return busy == 0 || TranslateBy(state, i, judgement);
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

}  // namespace sluice
