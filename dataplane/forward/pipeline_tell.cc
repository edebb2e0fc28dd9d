// The parts of Pipeline that tell others what became of packets: replays and
// tests, traces and captures. Nobody is told unless there is one.
#include <algorithm>
#include <bit>
#include <optional>

#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/trace_tap.h"

namespace sluice {

void Pipeline::ShowArrival(uint16_t port, const PacketBurst& burst) {
  for (TraceTap* tap : taps_) {
    if (tap == nullptr || tap->frames() == nullptr) continue;
    tap->frames()->Arrive(port, burst);
  }
}

// After Tell(), of a burst whose records are in told_.
void Pipeline::ShowLeaving(uint16_t port, uint16_t to, Mask passed) {
  for (TraceTap* tap : taps_) {
    if (tap == nullptr || tap->frames() == nullptr) continue;
    FrameTap& frames = *tap->frames();
    if (frames.leaving()) {
      // Fragments that one has become are not one to one with what came.
      const bool same = static_cast<uint32_t>(std::popcount(passed)) ==
                        result_->forward_count;
      Mask rest = passed;
      for (uint32_t k = 0; k < result_->forward_count; ++k) {
        const TraceRecord& record =
            told_[same ? std::countr_zero(rest) : std::countr_zero(passed)];
        rest &= rest - 1;
        if (tap->WantsLeaving(record)) {
          frames.Leave(to, *result_->forward[k], &record);
        }
      }
      for (uint32_t k = 0; k < result_->answer_count; ++k) {
        frames.Leave(port, *result_->answers[k], nullptr);
      }
      rest = returning_;
      for (uint32_t k = 0; k < result_->return_count; ++k) {
        const TraceRecord& record = told_[std::countr_zero(rest)];
        rest &= rest - 1;
        if (tap->WantsLeaving(record)) {
          frames.Leave(port, *result_->returns[k], &record);
        }
      }
      for (rest = bridged_; rest != 0; rest &= rest - 1) {
        const auto i = static_cast<uint32_t>(std::countr_zero(rest));
        if (tap->WantsLeaving(told_[i])) {
          frames.Leave(bridged_to_[i], *burst_->mbufs[i], &told_[i]);
        }
      }
    }
    if (!showing_flood_ && !showing_more_) frames.Finish();
  }
}

void Pipeline::SetTap(size_t place, TraceTap* tap) {
  taps_[place] = tap;
  taps_in_use_ = std::ranges::any_of(
      taps_, [](const TraceTap* any) { return any != nullptr; });
}

// Whoever wants to know what became of the packets of the burst.
void Pipeline::Tell(uint16_t port, uint16_t to, Mask passed, Tick now,
                    Mask whom) {
  for (uint32_t i = 0; i < burst_->count; ++i) {
    if ((whom & Bit(i)) == 0) continue;
    const bool bridged = (bridged_ & Bit(i)) != 0;
    const bool forwarded = bridged || (passed & Bit(i)) != 0;
    std::optional<Direction> judged;
    for (const Direction direction : {Direction::kIn, Direction::kOut}) {
      if (judged_[static_cast<size_t>(direction)] & Bit(i)) {
        judged = direction;
      }
    }
    const PacketVerdict verdict = {
        .info = &burst_->infos[i],
        .passed = forwarded,
        .reason = forwarded ? DropReason::kMatch : reasons_[i],
        .held = !forwarded && reasons_[i] == kNotDropped,
        .rule = rules_[i] != nullptr ? rules_[i]->number : kNoRule,
        .rule_slot = rules_[i] != nullptr ? rules_[i]->slot : kNoRuleSlot,
        .judged = judged};
    if (config_.on_verdict != nullptr) {
      config_.on_verdict(config_.on_verdict_context, i, verdict);
    }
    if (!taps_in_use_ || arrived_[i].kind == Kind::kTaken) continue;
    told_[i] = {.packet = arrived_[i],
                .now = now,
                .rule = verdict.rule,
                .rule_slot = verdict.rule_slot,
                .port = port,
                .departure = bridged ? bridged_to_[i]
                             : (returning_ & Bit(i)) != 0 ? port
                                                          : to,
                .reason = verdict.reason,
                .passed = verdict.passed,
                .held = verdict.held,
                .judged = verdict.judged};
    for (TraceTap* tap : taps_) {
      if (tap == nullptr) continue;
      // Whoever captures has heard already that it passed.
      if (showing_flood_ && forwarded && tap->frames() != nullptr) continue;
      tap->Offer(i, told_[i]);
    }
  }
  if (taps_in_use_) ShowLeaving(port, to, passed & ~returning_);
}

// As they arrived: what becomes of each is known for one port after the other,
// and whoever captures what is dropped has it with the first drop.
void Pipeline::ShowFlooded(uint16_t port, Mask left, Tick now) {
  for (; left != 0; left &= left - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(left));
    const TraceRecord record = {
        .packet = arrived_[i],
        .now = now,
        .rule = rules_[i] != nullptr ? rules_[i]->number : kNoRule,
        .rule_slot = rules_[i] != nullptr ? rules_[i]->slot : kNoRuleSlot,
        .port = port,
        .reason = DropReason::kMatch,
        .passed = true,
        .held = false,
        .judged = Direction::kIn};
    for (TraceTap* tap : taps_) {
      if (tap != nullptr) tap->OfferFrame(i, record);
    }
  }
}

void Pipeline::EndShowingFlood() {
  showing_flood_ = false;
  for (TraceTap* tap : taps_) {
    if (tap != nullptr && tap->frames() != nullptr) tap->frames()->Finish();
  }
}

}  // namespace sluice
