#include "dataplane/transfer/transfer_orders.h"

#include <rte_cycles.h>

#include <chrono>
#include <utility>

#include "conntrack/state_import.h"
#include "conntrack/state_table.h"
#include "pftable/engine/generation.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

// What a step takes before it lets packets in again: 2 to 5 microseconds on
// processors of today. Looked at after each slice.
constexpr uint64_t kStepCycles = 8'000;
constexpr uint32_t kSlotsASlice = 64;
constexpr uint32_t kStatesASlice = 16;
constexpr uint32_t kCommitsASlice = 64;

// The length of one step, measured from its first to its last instruction.
class StepTimer {
 public:
  explicit StepTimer(OrderTime* time) : time_(time), start_(rte_rdtsc()) {}
  ~StepTimer() { time_->Add(rte_rdtsc() - start_); }
  bool IsSpent() const { return rte_rdtsc() - start_ >= kStepCycles; }

 private:
  OrderTime* const time_;
  const uint64_t start_;
};

bool IsStopped(const ImportOrderParts& parts) {
  return parts.stop->load(std::memory_order_relaxed);
}

void CountStep(const ImportOrderParts& parts) {
  if (parts.steps == nullptr) return;
  parts.steps->store(parts.steps->load(std::memory_order_relaxed) + 1,
                     std::memory_order_relaxed);
}

void SetTimeouts(const WorkerView& view, const ImportOrderParts& parts,
                 const TimeoutProfile& timeouts) {
  view.states->SetFilter(parts.arena->filter, parts.budget, timeouts,
                         parts.sources, parts.handshakes,
                         parts.counts_handshakes);
}

double MeasureNanosecondsPerCycle() {
  if (const uint64_t hertz = rte_get_tsc_hz(); hertz != 0) {
    return 1e9 / static_cast<double>(hertz);
  }
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const uint64_t first = rte_rdtsc();
  Clock::time_point end;
  do {
    end = Clock::now();
  } while (end - begin < std::chrono::milliseconds(10));
  const std::chrono::duration<double, std::nano> time = end - begin;
  return time.count() / static_cast<double>(rte_rdtsc() - first);
}

}  // namespace

uint64_t CyclesToNanoseconds(uint64_t cycles) {
  static const double per_cycle = MeasureNanosecondsPerCycle();
  return static_cast<uint64_t>(static_cast<double>(cycles) * per_cycle);
}

RecordOrder::RecordOrder(uint32_t filter, std::shared_ptr<RecordCursor> cursor,
                         std::vector<StateRecord> records, Finish done)
    : filter_(filter), cursor_(std::move(cursor)), done_(std::move(done)) {
  chunk_.records = std::move(records);
}

bool RecordOrder::Step(const WorkerView& view) {
  if (view.packets > 0 && rte_rdtsc() < cursor_->rests_until) return false;
  const uint64_t before = chunk_.time.total;
  const bool done = Walk(view);
  cursor_->rests_until =
      rte_rdtsc() + kRest * (chunk_.time.total - before);
  return done;
}

bool RecordOrder::Walk(const WorkerView& view) {
  const StepTimer timer(&chunk_.time);
  std::vector<StateRecord>& records = chunk_.records;
  while (cursor_->more) {
    const uint64_t room = records.capacity() - records.size();
    if (room == 0) break;
    const auto slots =
        static_cast<uint32_t>(std::min<uint64_t>(room, kSlotsASlice));
    const StateEntries& entries = view.states->entries();
    cursor_->more =
        entries.Visit(&cursor_->slot, slots, [&](StateIndex state) {
          if (filter_ != kAllFilters &&
              entries.hot(state).key.filter != filter_) {
            return;
          }
          // Its rule's counters go along, and what is recorded here counts
          // as theirs where it is imported.
          view.states->Fold(state);
          records.push_back(view.states->Record(state, view.now));
        });
    if (cursor_->more && timer.IsSpent()) return false;
  }
  chunk_.more = cursor_->more;
  return true;
}

bool NewestIdOrder::Step(const WorkerView& view) {
  newest_ = StateIntake(view.states).last_id();
  return true;
}

bool ReserveOrder::Step(const WorkerView& view) {
  const StepTimer timer(&time_);
  CountStep(parts_);
  if (IsStopped(parts_)) return true;
  if (!begun_) {
    // The shard may not have met the filter yet, which may have no ruleset.
    SetTimeouts(view, parts_, parts_.policy->current()->options().timeouts);
    begun_ = true;
  }
  do {
    result_ = StateIntake(view.states).Reserve(parts_.arena, kStatesASlice);
    if (result_ != ReserveResult::kMore) return true;
  } while (!timer.IsSpent());
  return false;
}

bool CommitOrder::Step(const WorkerView& view) {
  const StepTimer timer(&time_);
  CountStep(parts_);
  if (IsStopped(parts_)) return true;
  if (!begun_) {
    begun_ = true;
    SetTimeouts(view, parts_, timeouts_);
  }
  StateIntake intake(view.states);
  do {
    if (!states_in_) {
      states_in_ = intake.Commit(parts_.arena, view.now, kCommitsASlice);
    }
    // After them, so that theirs are the rules that are kept.
    all_ = states_in_ &&
           (adoption_ == nullptr ||
            intake.Adopt(adoption_, view.now, kSlotsASlice));
    if (all_) return true;
  } while (!timer.IsSpent());
  return false;
}

bool AdoptOrder::Step(const WorkerView& view) {
  // In this round the worker may still judge by what it saw before.
  if (!std::exchange(round_over_, true)) return false;
  OrderTime time;
  const StepTimer timer(&time);
  do {
    if (StateIntake(view.states).Adopt(&adoption_, view.now, kSlotsASlice)) {
      return true;
    }
  } while (!timer.IsSpent());
  return false;
}

bool UndoOrder::Step(const WorkerView& view) {
  const StepTimer timer(&time_);
  StateTable& states = *view.states;
  StateImport& arena = *parts_.arena;
  if (!begun_) {
    begun_ = true;
    if (arena.done > 0) {
      SetTimeouts(view, parts_,
                  parts_.policy->current()->options().timeouts);
    }
  }
  do {
    if (!StateIntake(&states).Cancel(&arena, kStatesASlice)) continue;
    if (removed_ == arena.done) {
      if (adoption_ == nullptr ||
          StateIntake(&states).Disown(*adoption_, &disowned_, kSlotsASlice)) {
        return true;
      }
      continue;
    }
    const uint32_t end = std::min(removed_ + kStatesASlice, arena.done);
    for (; removed_ < end; ++removed_) {
      const StateRecord& record = arena.states[removed_].record;
      // One that a live state had the place of, or that has ended, is gone.
      const StateIndex state =
          states.entries().Resolve({record.id, record.slot});
      if (state != kNoState) states.Remove(state);
    }
  } while (!timer.IsSpent());
  return false;
}

}  // namespace sluice
