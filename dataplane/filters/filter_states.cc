#include "dataplane/filters/filter_states.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/state_names.h"
#include "dataplane/workers/worker.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

// ICMP has no phases; pf prints its zero.
std::string Phase(uint8_t proto, uint8_t phase) {
  if (proto == protocol::kIcmp || proto == protocol::kIcmp6) return "0";
  const std::string_view name = PhaseName(proto, phase);
  return name.empty() ? absl::StrCat(phase) : std::string(name);
}

StatePeerListing PeerOf(const StateRecord& state, size_t peer) {
  StatePeerListing listing;
  listing.state = Phase(state.proto, state.phase[peer]);
  if (state.proto == protocol::kTcp) {
    listing.sequence_difference = state.offset[peer];
    listing.sequence_low = state.window[peer].low;
    listing.sequence_high = state.window[peer].high;
    listing.window_scale = state.scale[peer] & kScaleMask;
  }
  return listing;
}

// "WORKER:SLOT"
struct StateCursor {
  uint32_t worker = 0;
  uint32_t slot = 0;
};
std::optional<StateCursor> ParseCursor(const std::string& text) {
  StateCursor cursor;
  if (text.empty()) return cursor;
  const char* const end = text.data() + text.size();
  auto [middle, error] = std::from_chars(text.data(), end, cursor.worker);
  if (error != std::errc() || middle == end || *middle != ':') {
    return std::nullopt;
  }
  auto [last, error2] = std::from_chars(middle + 1, end, cursor.slot);
  if (error2 != std::errc() || last != end) return std::nullopt;
  return cursor;
}

absl::StatusOr<std::shared_ptr<const StateMatcher>> Resolve(
    const FilterCore& core, const StateQuery& query) {
  auto matcher = std::make_shared<StateMatcher>();
  matcher->query = query;
  matcher->filter = core.number;
  if (!query.interface.empty()) {
    matcher->by_interface = true;
    matcher->interface =
        core.environment.interfaces->Resolve(query.interface).id;
  }
  if (!query.label.empty()) {
    matcher->by_rule_slots = true;
    matcher->rule_slots = core.store.rule_slots().WithLabel(query.label);
  }
  if (query.rule) {
    matcher->by_rule_slots = true;
    std::vector<uint32_t> slots;
    absl::StatusOr<std::vector<RuleStatus>> rules =
        PolicyListing(core.store).Rules("");
    if (!rules.ok()) return rules.status();
    for (const RuleStatus& status : *rules) {
      if (status.rule.number != *query.rule) continue;
      // With a label too, both have to fit.
      if (query.label.empty() ||
          std::ranges::binary_search(matcher->rule_slots, status.rule.slot)) {
        slots.push_back(status.rule.slot);
      }
    }
    matcher->rule_slots = std::move(slots);
  }
  return matcher;
}

StateListing ToListing(FilterCore& core, const StateRecord& state) {
  StateListing listing;
  listing.id = state.id;
  listing.creator_id = core.environment.host_id;
  if (state.values.has(kStateIfBound)) {
    listing.interface = core.environment.interfaces->NameOf(state.interface);
  }
  listing.vlan = state.vlan;
  listing.protocol = state.proto;
  listing.direction = state.direction;
  listing.before = {.source = state.address[0],
                    .destination = state.address[1],
                    .source_port = state.port[0],
                    .destination_port = state.port[1]};
  listing.after = listing.before;
  if (state.translated_family != Family::kNone) {
    listing.after = {.source = state.translated_address[0],
                     .destination = state.translated_address[1],
                     .source_port = state.translated_port[0],
                     .destination_port = state.translated_port[1]};
  }
  listing.source = PeerOf(state, 0);
  listing.destination = PeerOf(state, 1);
  // pf's form: the near and the far end together say how far it has come.
  if (state.proxy != ProxyPhase::kNone) {
    const bool out = state.direction == Direction::kOut;
    (out ? listing.source : listing.destination).state = "PROXY";
    (out ? listing.destination : listing.source).state =
        state.proxy == ProxyPhase::kClient ? "SRC" : "DST";
  }
  listing.age = state.age / 1000;
  listing.expires = state.expires_in / 1000;
  listing.packets = state.packets;
  listing.bytes = state.bytes;
  if (state.values.rule_slot != kDefaultRuleSlot) {
    const RuleIndex::Entry* const rule =
        core.rules_by_slot.Find(state.values.rule_slot);
    if (rule != nullptr) listing.rule = rule->number;
  }
  if (state.values.tag != kNoTag) {
    listing.tag = core.store.tags().NameOf(state.values.tag);
  }
  listing.sloppy = state.values.has(kStateSloppy);
  listing.no_sync = state.values.has(kStateNoSync);
  listing.parent_id = state.parent.id;
  return listing;
}

}  // namespace

void FilterStates::ListStates(const StateQuery& query,
                              const std::string& cursor, size_t limit,
                              Done<StateSlice> done) {
  const std::optional<StateCursor> from = ParseCursor(cursor);
  if (!from || from->worker >= core_->environment.workers.size()) {
    done(absl::InvalidArgumentError("not a cursor of this filter"));
    return;
  }
  if (query.creator_id && *query.creator_id != core_->environment.host_id) {
    done(StateSlice{});
    return;
  }
  absl::StatusOr<std::shared_ptr<const StateMatcher>> matcher =
      Resolve(*core_, query);
  if (!matcher.ok()) {
    done(matcher.status());
    return;
  }
  const uint32_t worker = from->worker;
  auto finish = [worker, alive = std::weak_ptr<FilterCore>(core_),
                 done = std::move(done)](std::optional<uint32_t> next,
                                         std::vector<StateRecord> states) {
    const std::shared_ptr<FilterCore> core = alive.lock();
    if (core == nullptr) return;
    StateSlice slice;
    slice.states.reserve(states.size());
    for (const StateRecord& state : states) {
      slice.states.push_back(ToListing(*core, state));
    }
    if (next) {
      slice.next = absl::StrCat(worker, ":", *next);
    } else if (worker + 1 < core->environment.workers.size()) {
      slice.next = absl::StrCat(worker + 1, ":0");
    }
    done(std::move(slice));
  };
  Worker& owner = *core_->environment.workers[worker];
  owner.mailbox().Post(std::make_unique<ListOrder>(
      *std::move(matcher), from->slot, limit, std::move(finish)));
}

void FilterStates::KillStates(const StateQuery& query, Done<uint64_t> done) {
  if (query.creator_id && *query.creator_id != core_->environment.host_id) {
    done(uint64_t{0});
    return;
  }
  absl::StatusOr<std::shared_ptr<const StateMatcher>> matcher =
      Resolve(*core_, query);
  if (!matcher.ok()) {
    done(matcher.status());
    return;
  }
  struct Sum {
    uint64_t killed = 0;
    size_t left = 0;
    Done<uint64_t> done;
  };
  auto sum = std::make_shared<Sum>();
  sum->left = core_->environment.workers.size();
  sum->done = std::move(done);
  for (Worker* worker : core_->environment.workers) {
    worker->mailbox().Post(std::make_unique<KillOrder>(
        *matcher, [sum](uint64_t killed) {
          sum->killed += killed;
          if (--sum->left == 0) sum->done(sum->killed);
        }));
  }
}

void FilterStates::CollectCounters(std::function<void()> done) {
  struct Wait {
    size_t left = 0;
    std::function<void()> done;
  };
  auto wait = std::make_shared<Wait>();
  wait->done = std::move(done);
  // What a worker that does not run has counted is what it said last.
  const uint32_t stalled =
      core_->environment.plane->stalled.load(std::memory_order_relaxed);
  std::vector<size_t> running;
  for (size_t i = 0; i < core_->environment.workers.size(); ++i) {
    if ((stalled & 1u << i) == 0) running.push_back(i);
  }
  wait->left = running.size();
  if (running.empty()) wait->done();
  for (const size_t i : running) {
    core_->environment.workers[i]->mailbox().Post(std::make_unique<FoldOrder>(
        core_->number,
        [i, wait, alive = std::weak_ptr<FilterCore>(core_)](
            const WorkerSnapshot& snapshot) {
          const std::shared_ptr<FilterCore> core = alive.lock();
          if (core == nullptr) return;
          core->snapshots[i] = snapshot;
          if (--wait->left == 0) wait->done();
        }));
  }
}

}  // namespace sluice
