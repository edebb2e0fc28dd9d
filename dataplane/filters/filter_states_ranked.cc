// All of a filter's states together: the first of them, and how many.
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/state_names.h"
#include "dataplane/filters/filter_states.h"
#include "dataplane/filters/state_listing.h"
#include "dataplane/workers/state_ranking.h"
#include "dataplane/workers/worker.h"

namespace sluice {
namespace {

// What is told for the states of a phase.
std::string PhaseText(uint8_t proto, uint8_t phase) {
  const std::string_view name = PhaseName(proto, phase);
  return name.empty() ? absl::StrCat(phase) : std::string(name);
}

}  // namespace

std::vector<StateCount::OfPhase> PhasesOf(const StateTally& tally) {
  std::vector<StateCount::OfPhase> phases;
  tally.Visit([&](uint8_t proto, uint8_t phase, uint64_t states) {
    phases.push_back({.protocol = proto,
                      .phase = PhaseText(proto, phase),
                      .states = states});
  });
  return phases;
}

void FilterStates::TopStates(const StateQuery& query, StateOrder order,
                             size_t limit,
                             Done<std::vector<StateListing>> done) {
  absl::StatusOr<std::shared_ptr<const StateMatcher>> matcher =
      Resolve(*core_, query);
  if (!matcher.ok()) {
    done(matcher.status());
    return;
  }
  struct Merge {
    size_t left = 0;
    std::vector<StateRecord> states;
    Done<std::vector<StateListing>> done;
  };
  auto merge = std::make_shared<Merge>();
  merge->left = core_->environment.workers.size();
  merge->done = std::move(done);
  for (Worker* worker : core_->environment.workers) {
    worker->mailbox().Post(std::make_unique<TopOrder>(
        *matcher, order, limit,
        [merge, order, limit, alive = std::weak_ptr<FilterCore>(core_)](
            std::vector<StateRecord> states) {
          const std::shared_ptr<FilterCore> core = alive.lock();
          if (core == nullptr) return;
          std::ranges::move(states, std::back_inserter(merge->states));
          // Of equal ones the older id first, so that it is one order.
          const auto first = [order](const StateRecord& a,
                                     const StateRecord& b) {
            const uint64_t of_a = MeasureOf(a, order);
            const uint64_t of_b = MeasureOf(b, order);
            return of_a != of_b ? of_a > of_b : a.id < b.id;
          };
          const size_t kept = std::min(limit, merge->states.size());
          std::partial_sort(
              merge->states.begin(),
              merge->states.begin() + static_cast<std::ptrdiff_t>(kept),
              merge->states.end(), first);
          merge->states.resize(kept);
          if (--merge->left > 0) return;
          merge->done(ToListings(*core, merge->states));
        }));
  }
}

void FilterStates::CountStates(const StateQuery& query,
                               Done<StateCount> done) {
  absl::StatusOr<std::shared_ptr<const StateMatcher>> matcher =
      Resolve(*core_, query);
  if (!matcher.ok()) {
    done(matcher.status());
    return;
  }
  struct Sum {
    size_t left = 0;
    StateTally tally;
    Done<StateCount> done;
  };
  auto sum = std::make_shared<Sum>();
  sum->left = core_->environment.workers.size();
  sum->done = std::move(done);
  for (Worker* worker : core_->environment.workers) {
    worker->mailbox().Post(std::make_unique<CountOrder>(
        *matcher, [sum](const StateTally& tally) {
          sum->tally.Add(tally);
          if (--sum->left > 0) return;
          StateCount count = {.states = sum->tally.states(),
                              .packets = sum->tally.packets(),
                              .bytes = sum->tally.bytes(),
                              .phases = PhasesOf(sum->tally)};
          sum->done(std::move(count));
        }));
  }
}

}  // namespace sluice
