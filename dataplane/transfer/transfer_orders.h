// What the transfer of a filter's states asks of a worker: to record them, and
// to take in, commit or give back states from elsewhere. Every order works by
// slices of a few microseconds between bursts and measures what it takes.
#ifndef SLUICE_DATAPLANE_TRANSFER_TRANSFER_ORDERS_H_
#define SLUICE_DATAPLANE_TRANSFER_TRANSFER_ORDERS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "conntrack/state.h"
#include "conntrack/state_import.h"
#include "dataplane/workers/mailbox.h"
#include "pftable/policy/timeouts.h"

namespace sluice {

class PolicyStore;
class StateBudget;

// Cycles of the time stamp counter that a worker gave to orders instead of
// packets.
struct OrderTime {
  uint64_t longest = 0;  // one step: for so long no packet was looked at
  uint64_t total = 0;

  void Add(uint64_t cycles) {
    longest = std::max(longest, cycles);
    total += cycles;
  }
  // Of an order of the same worker.
  void Append(const OrderTime& later) {
    longest = std::max(longest, later.longest);
    total += later.total;
  }
};

// Nanoseconds of so many cycles. Control side; the first call may measure for
// 10 ms if EAL does not run.
uint64_t CyclesToNanoseconds(uint64_t cycles);

// A worker's place in its shard while it is exported; the worker's own.
struct RecordCursor {
  uint32_t slot = 0;
  bool more = true;
  // Cycle of the time stamp counter before which nothing is recorded while
  // there are packets.
  uint64_t rests_until = 0;
};

// Records the states of one filter, or of all, from the cursor on until there
// are as many as `records` has room for. Several of a worker may be in its
// mailbox: each goes on where the one before has ended. Nobody waits for an
// export as packets do: while there are some, it has one part in kRest + 1 of
// the worker's time.
class RecordOrder final : public WorkerOrder {
 public:
  static constexpr uint64_t kRest = 31;
  static constexpr uint32_t kAllFilters = UINT32_MAX;
  struct Chunk {
    std::vector<StateRecord> records;
    bool more = true;  // the shard has not been walked to its end
    OrderTime time;
  };
  using Finish = std::function<void(Chunk)>;
  // `records` is empty, and its capacity the length of a chunk.
  RecordOrder(uint32_t filter, std::shared_ptr<RecordCursor> cursor,
              std::vector<StateRecord> records, Finish done);

  bool Step(const WorkerView& view) override;
  void Done() override { done_(std::move(chunk_)); }

 private:
  bool Walk(const WorkerView& view);

  const uint32_t filter_;
  const std::shared_ptr<RecordCursor> cursor_;
  Chunk chunk_;
  Finish done_;
};

// The counter of the worker's newest state id.
class NewestIdOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void(uint64_t)>;
  explicit NewestIdOrder(Finish done) : done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(newest_); }

 private:
  uint64_t newest_ = 0;
  Finish done_;
};

// What the three orders of an import share. The arena and what it belongs to
// are kept by `done`.
struct ImportOrderParts {
  StateImport* arena = nullptr;
  PolicyStore* policy = nullptr;
  StateBudget* budget = nullptr;
  // As the worker has them of the filter already, if it knows it.
  SourceBudget* sources = nullptr;
  HandshakeLoad* handshakes = nullptr;
  bool counts_handshakes = false;
  // Set: nobody wants the result any more.
  const std::atomic<bool>* stop = nullptr;
  // Grows with each step; the worker's to write, anybody's to read. May be
  // null.
  std::atomic<uint64_t>* steps = nullptr;
};

// Takes a place for each state of the arena: StateIntake::Reserve().
class ReserveOrder final : public WorkerOrder {
 public:
  // kMore: it was stopped.
  using Finish = std::function<void(ReserveResult, const OrderTime&)>;
  ReserveOrder(ImportOrderParts parts, Finish done)
      : parts_(parts), done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(result_, time_); }

 private:
  const ImportOrderParts parts_;
  bool begun_ = false;
  ReserveResult result_ = ReserveResult::kMore;
  OrderTime time_;
  Finish done_;
};

// Makes them states: StateIntake::Commit(). From here on the shard's states of
// the filter have `timeouts`, those of the policy that is about to be in force.
class CommitOrder final : public WorkerOrder {
 public:
  // Whether all are in; not if it was stopped.
  using Finish = std::function<void(bool, const OrderTime&)>;
  // Not null: what it adopts then, to be kept by `done` too.
  CommitOrder(ImportOrderParts parts, const TimeoutProfile& timeouts,
              StateAdoption* adoption, Finish done)
      : parts_(parts),
        timeouts_(timeouts),
        adoption_(adoption),
        done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(all_, time_); }

 private:
  const ImportOrderParts parts_;
  const TimeoutProfile timeouts_;
  StateAdoption* const adoption_;
  bool begun_ = false;
  bool states_in_ = false;
  bool all_ = false;
  OrderTime time_;
  Finish done_;
};

// What an emergency ruleset has let through becomes the filter's own, now that
// it is restored.
class AdoptOrder final : public WorkerOrder {
 public:
  AdoptOrder(uint16_t from, uint16_t to)
      : adoption_{.from = from, .to = to, .moves = true} {}

  bool Step(const WorkerView& view) override;
  void Done() override {}

 private:
  StateAdoption adoption_;
  bool round_over_ = false;
};

// Undoes both: gives places back and removes what was committed. What live
// states have taken over from imported ones they keep.
class UndoOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void(const OrderTime&)>;
  UndoOrder(ImportOrderParts parts, const StateAdoption* adoption, Finish done)
      : parts_(parts), adoption_(adoption), done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(time_); }

 private:
  const ImportOrderParts parts_;
  const StateAdoption* const adoption_;  // may be null
  uint32_t disowned_ = 0;                // slots looked at
  bool begun_ = false;
  uint32_t removed_ = 0;  // of those that were committed
  OrderTime time_;
  Finish done_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_TRANSFER_ORDERS_H_
