#include "dataplane/forward/restore_gate.h"

#include <rte_mbuf.h>

#include <algorithm>

namespace sluice {

GateDecision Decide(const GateEnds& ends, bool bypasses) {
  GateDecision decision;
  for (uint8_t i = 0; i < ends.size(); ++i) {
    if (ends[i] == nullptr || ends[i]->open()) continue;
    const FilterView& view = *ends[i];
    if (view.disposition == Disposition::kDrop) {
      decision.action = GateAction::kDrop;
      decision.reason = view.drop_reason;
      return decision;
    }
    if (bypasses && view.filter->bypass_hold) {
      decision.bypassed |= static_cast<uint8_t>(1u << i);
      continue;
    }
    decision.action = GateAction::kHold;
    decision.end = i;
    return decision;
  }
  return decision;
}

RestoreGate::RestoreGate(uint16_t worker)
    : worker_(worker), listed_(kMaxFilters) {
  holding_.reserve(kMaxFilters);
}

void RestoreGate::Admit(uint16_t port, bool pass_non_ip, const GateEnds& ends,
                        Tick now, PacketBurst& burst, GateResult& result) {
  result.bypass.count = 0;
  result.drop_count = 0;
  const GateDecision decision = Decide(ends, false);
  if (decision.action == GateAction::kJudge) return;
  const GateDecision past = Decide(ends, true);
  result.bypassed = past.bypassed;

  // Each end that a packet gets to asks, if it is to ask at all. However far
  // the restore comes meanwhile: the policy was read before, so that for the
  // rest of the round this waits.
  const auto ask = [&ends](uint8_t end) {
    FilterView& view = *ends[end];
    if (DispositionOf(view.status) != FilterDisposition::kRequest) return;
    view.filter->status.RequestRestore();
    view.status.state = RestoreState::kQueued;
  };
  const auto drop = [&result](rte_mbuf* mbuf, DropReason reason) {
    result.drops[result.drop_count] = mbuf;
    result.reasons[result.drop_count++] = reason;
  };
  for (uint32_t i = 0; i < burst.count; ++i) {
    rte_mbuf* mbuf = burst.mbufs[i];
    const PacketInfo& info = burst.infos[i];
    // Somebody else's, or a copy that could not be made.
    if (info.kind == Kind::kTaken) continue;
    // What would never be judged takes no room.
    if (info.kind == Kind::kMalformed) {
      drop(mbuf, info.drop);
      continue;
    }
    if (info.kind == Kind::kNonIp && !pass_non_ip) {
      drop(mbuf, DropReason::kNonIp);
      continue;
    }
    const bool bypasses = past.bypassed != 0 && MayBypassHold(info, *mbuf);
    const GateDecision& its = bypasses ? past : decision;
    switch (its.action) {
      case GateAction::kJudge:
        for (uint8_t end = 0; end < ends.size(); ++end) {
          if ((past.bypassed & 1u << end) == 0) continue;
          ask(end);
          HoldQueue* queue = QueueOf(*ends[end]->filter);
          if (queue != nullptr) queue->CountBypass();
        }
        result.bypass.mbufs[result.bypass.count] = mbuf;
        result.bypass.infos[result.bypass.count++] = info;
        break;
      case GateAction::kHold:
        ask(its.end);
        mbuf->port = port;
        if (!Hold(mbuf, *ends[its.end], now)) drop(mbuf, DropReason::kHeld);
        break;
      case GateAction::kDrop:
        drop(mbuf, its.reason);
        break;
    }
  }
  burst.count = 0;
}

bool RestoreGate::Hold(rte_mbuf* mbuf, const FilterView& view, Tick now) {
  HoldQueue* queue = QueueOf(*view.filter);
  if (queue == nullptr) return false;
  // The incarnation may have moved since the round began; what the one before
  // has left is taken out at the beginning of the next.
  if (!queue->empty() && queue->incarnation() != view.status.incarnation) {
    return false;
  }
  if (!queue->Hold(mbuf, view.status.incarnation, now)) return false;
  ++held_;
  const uint16_t number = view.filter->number;
  if (listed_[number] == 0) {
    listed_[number] = 1;
    holding_.push_back(number);
  }
  return true;
}

HoldEnd RestoreGate::Release(const FilterView& view, Tick now,
                             std::span<rte_mbuf*> out, uint32_t* count) {
  *count = 0;
  HoldQueue* queue = QueueOf(*view.filter);
  if (queue == nullptr || queue->empty()) return HoldEnd::kWait;
  HoldEnd end =
      view.disposition == Disposition::kUnfiltered
          ? HoldEnd::kReplay
          : queue->EndOf(view.status,
                         view.disposition == Disposition::kEmergency);
  switch (end) {
    case HoldEnd::kWait:
      *count = queue->TakeExpired(out, now);
      if (*count > 0) end = HoldEnd::kDrop;
      break;
    case HoldEnd::kReplay:
    case HoldEnd::kEmergency:
      *count = queue->TakeReplayed(out, now);
      break;
    case HoldEnd::kDrop:
      *count = queue->TakeDropped(view.status, out, now);
      break;
  }
  held_ -= *count;
  return end;
}

uint32_t RestoreGate::Abandon(FilterPlane& filter, Tick now,
                              std::span<rte_mbuf*> out) {
  HoldQueue* queue = QueueOf(filter);
  if (queue == nullptr) return 0;
  // Of another incarnation than any: counted as cancelled.
  const FilterStatus over = {.incarnation = queue->incarnation() + 1};
  const uint32_t count = queue->TakeDropped(over, out, now);
  held_ -= count;
  return count;
}

void RestoreGate::Forget(uint16_t filter) {
  listed_[filter] = 0;
  const auto found = std::ranges::find(holding_, filter);
  *found = holding_.back();
  holding_.pop_back();
}

}  // namespace sluice
