#include "dataplane/workers/state_ranking.h"

#include <algorithm>

#include "conntrack/state_table.h"

namespace sluice {
namespace {

// As many as other orders look at in a step.
constexpr uint32_t kRankedAStep = 128;

}  // namespace

uint64_t MeasureOf(const StateRecord& state, StateOrder order) {
  const uint64_t bytes = state.bytes[0] + state.bytes[1];
  switch (order) {
    case StateOrder::kBytes:
      return bytes;
    case StateOrder::kPackets:
      return state.packets[0] + state.packets[1];
    case StateOrder::kAge:
      return state.age;
    case StateOrder::kRate:
      // In thousandths; of what is larger the last digits do not matter.
      return bytes < UINT64_MAX / 1'000'000
                 ? bytes * 1'000'000 / std::max(state.age, 1000u)
                 : bytes / std::max(state.age, 1000u) * 1'000'000;
  }
  return 0;
}

TopOrder::TopOrder(std::shared_ptr<const StateMatcher> matcher,
                   StateOrder order, size_t limit, Finish done)
    : matcher_(std::move(matcher)),
      order_(order),
      limit_(limit),
      done_(std::move(done)) {
  states_.reserve(limit);
  heap_.reserve(limit);
}

void TopOrder::Consider(const StateRecord& state) {
  const auto greater = [](const Ranked& a, const Ranked& b) {
    return a.measure > b.measure;
  };
  Ranked ranked = {.measure = MeasureOf(state, order_)};
  if (states_.size() < limit_) {
    ranked.place = static_cast<uint32_t>(states_.size());
    states_.push_back(state);
  } else {
    if (heap_.empty() || ranked.measure <= heap_.front().measure) return;
    std::pop_heap(heap_.begin(), heap_.end(), greater);
    ranked.place = heap_.back().place;
    heap_.pop_back();
    states_[ranked.place] = state;
  }
  heap_.push_back(ranked);
  std::push_heap(heap_.begin(), heap_.end(), greater);
}

bool TopOrder::Step(const WorkerView& view) {
  return !view.states->entries().Visit(
      &cursor_, kRankedAStep, [&](StateIndex state) {
        const StateRecord record = view.states->Record(state, view.now);
        if (matcher_->Matches(record)) Consider(record);
      });
}

void StateTally::Add(uint8_t proto, const std::array<uint8_t, 2>& phase) {
  ++states_;
  const auto known = std::find(kProtocols.begin(), kProtocols.end() - 1, proto);
  const bool icmp = proto == protocol::kIcmp || proto == protocol::kIcmp6;
  const size_t least =
      icmp ? 0 : std::min<size_t>(std::min(phase[0], phase[1]), kPhases - 1);
  ++by_phase_[static_cast<size_t>(known - kProtocols.begin())][least];
}

void StateTally::Add(const StateTally& other) {
  states_ += other.states_;
  packets_ += other.packets_;
  bytes_ += other.bytes_;
  for (size_t proto = 0; proto < by_phase_.size(); ++proto) {
    for (size_t phase = 0; phase < kPhases; ++phase) {
      by_phase_[proto][phase] += other.by_phase_[proto][phase];
    }
  }
}

bool CountOrder::Step(const WorkerView& view) {
  const StateEntries& entries = view.states->entries();
  return !entries.Visit(&cursor_, kRankedAStep, [&](StateIndex state) {
    if (matcher_ == nullptr) {
      view.states->Fold(state);
      tally_.Add(entries.hot(state).key.proto, entries.hot(state).phase);
      return;
    }
    const StateRecord record = view.states->Record(state, view.now);
    if (matcher_->Matches(record)) tally_.Add(record);
  });
}

}  // namespace sluice
