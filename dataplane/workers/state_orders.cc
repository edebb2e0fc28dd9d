#include "dataplane/workers/state_orders.h"

#include <algorithm>

#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/port_counters.h"
#include "dataplane/workers/worker_totals.h"

namespace sluice {
namespace {

// Slots that one step looks at: a few microseconds.
constexpr uint32_t kSlotsAStep = 128;

bool IsFollowedBy(StateHelper helper, const StateRecord& state) {
  const uint8_t proto =
      helper == StateHelper::kFtp ? protocol::kTcp : protocol::kUdp;
  return state.proto == proto &&
         ((state.flags & kEntryHelper) != 0 || state.parent.IsSet());
}

bool IsHalfOpen(const StateHot& state) {
  return state.key.proto == protocol::kTcp &&
         std::ranges::any_of(state.phase, [](uint8_t phase) {
           return phase < static_cast<uint8_t>(TcpPhase::kEstablished);
         });
}

bool HasHost(const StateRecord& state, const Prefix& host) {
  const auto has = [&host](const Address& end) { return host.Contains(end); };
  return std::ranges::any_of(state.address, has) ||
         (state.translated_family != Family::kNone &&
          std::ranges::any_of(state.translated_address, has));
}

bool HasPort(const StateRecord& state, uint16_t port) {
  if (state.proto != protocol::kTcp && state.proto != protocol::kUdp &&
      state.proto != protocol::kSctp) {
    return false;
  }
  return std::ranges::find(state.port, port) != state.port.end() ||
         (state.translated_family != Family::kNone &&
          std::ranges::find(state.translated_port, port) !=
              state.translated_port.end());
}

}  // namespace

bool StateMatcher::Matches(const StateRecord& state) const {
  if (nothing || state.filter != filter) return false;
  if (query.vlan && !(state.vlan == *query.vlan)) return false;
  if (by_association) {
    return state.proto == protocol::kSctp && state.parent.IsSet() &&
           std::ranges::binary_search(associations, state.parent.id);
  }
  if (query.id && state.id != *query.id) return false;
  if (query.protocol && state.proto != *query.protocol) return false;
  if (query.direction && state.direction != *query.direction) return false;
  if (by_interface && state.interface != interface) return false;
  if (query.helper && !IsFollowedBy(*query.helper, state)) return false;
  if (query.translated && state.translated_family == Family::kNone) {
    return false;
  }
  const auto& address =
      query.translated ? state.translated_address : state.address;
  const auto& port = query.translated ? state.translated_port : state.port;
  if (query.source && !query.source->Contains(address[0])) return false;
  if (query.destination && !query.destination->Contains(address[1])) {
    return false;
  }
  if (query.source_port && port[0] != *query.source_port) return false;
  if (query.destination_port && port[1] != *query.destination_port) {
    return false;
  }
  if (query.host && !HasHost(state, *query.host)) return false;
  if (query.gateway && !query.gateway->Contains(state.values.route.gateway)) {
    return false;
  }
  if (query.port && !HasPort(state, *query.port)) return false;
  if (by_tag && (tag == kNoTag || state.values.tag != tag)) return false;
  const uint64_t age = state.age / 1000;
  if (query.min_age && age < *query.min_age) return false;
  if (query.max_age && age > *query.max_age) return false;
  return !by_rule_slots ||
         std::ranges::binary_search(rule_slots, state.values.rule_slot);
}

ListOrder::ListOrder(std::shared_ptr<const StateMatcher> matcher,
                     uint32_t cursor, size_t limit, Finish done)
    : matcher_(std::move(matcher)),
      limit_(limit),
      cursor_(cursor),
      done_(std::move(done)) {
  states_.reserve(limit);
}

bool ListOrder::Step(const WorkerView& view) {
  const uint64_t room = limit_ - states_.size();
  const auto budget =
      static_cast<uint32_t>(std::min<uint64_t>(room, kSlotsAStep));
  more_ = view.states->entries().Visit(&cursor_, budget, [&](StateIndex state) {
    const StateRecord record = view.states->Record(state, view.now);
    if (matcher_->Matches(record)) states_.push_back(record);
  });
  return !more_ || states_.size() == limit_;
}

void ListOrder::Done() {
  done_(more_ ? std::optional(cursor_) : std::nullopt, std::move(states_));
}

bool KillOrder::Step(const WorkerView& view) {
  const StateEntries& entries = view.states->entries();
  return !entries.Visit(&cursor_, kSlotsAStep, [&](StateIndex state) {
    const StateRecord record = view.states->Record(state, view.now);
    if (!matcher_->Matches(record)) return;
    if (record.proto == protocol::kSctp && !record.parent.IsSet() &&
        associations_.size() < kMaxAssociations) {
      associations_.push_back(record.id);
    }
    view.states->Remove(state);
    ++killed_;
  });
}

bool KillThoseOrder::Step(const WorkerView& view) {
  const size_t end = std::min<size_t>(next_ + kSlotsAStep, states_.size());
  for (; next_ < end; ++next_) {
    const StateIndex state = view.states->entries().Resolve(states_[next_]);
    if (state == kNoState) continue;
    view.states->Remove(state);
    ++killed_;
  }
  return next_ == states_.size();
}

NumbersOrder::NumbersOrder(std::optional<uint16_t> tags_of, Finish done)
    : tags_of_(tags_of),
      numbers_((size_t{UINT16_MAX} + 1) / 64),
      done_(std::move(done)) {}

bool NumbersOrder::Step(const WorkerView& view) {
  const StateEntries& entries = view.states->entries();
  return !entries.Visit(&cursor_, kSlotsAStep, [&](StateIndex state) {
    const StateCold& cold = entries.cold(state);
    if (tags_of_ && entries.hot(state).key.filter != *tags_of_) return;
    const uint16_t number = tags_of_ ? cold.tag : cold.interface;
    numbers_[number / 64] |= uint64_t{1} << number % 64;
  });
}

bool FoldOrder::Step(const WorkerView& view) {
  const StateEntries& entries = view.states->entries();
  const bool more =
      entries.Visit(&cursor_, kSlotsAStep, [&](StateIndex state) {
        if (entries.hot(state).key.filter != filter_) return;
        view.states->Fold(state);
        if (IsHalfOpen(entries.hot(state))) ++snapshot_.half_open;
      });
  if (more) return false;
  for (const PortCounters& port : view.ports) {
    snapshot_.received += port.received_packets.value();
    snapshot_.forwarded += port.forwarded_packets.value();
    snapshot_.refragmented += port.made_here();
    for (const Counter& drops : port.drops) {
      snapshot_.dropped += drops.value();
    }
  }
  snapshot_.steered = view.totals->handed_out.value();
  snapshot_.handed_out =
      view.totals->handed_out.value() + view.totals->transmit_out.value();
  snapshot_.handed_in =
      view.totals->handed_in.value() + view.totals->transmit_in.value();
  snapshot_.held = view.held;
  return true;
}

bool ForgetOrder::Step(const WorkerView& view) {
  if (!filter_.holds[view.worker]->empty()) return false;
  const StateEntries& entries = view.states->entries();
  const bool more =
      entries.Visit(&cursor_, kSlotsAStep, [&](StateIndex state) {
        if (entries.hot(state).key.filter != filter_.number) return;
        view.states->Remove(state);
      });
  if (more) return false;
  view.states->SetFilter(filter_.number, nullptr, {});
  return true;
}

}  // namespace sluice
