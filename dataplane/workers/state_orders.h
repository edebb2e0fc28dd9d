// What the control lcore asks of a worker's states: listings, removals,
// counters. Each order walks the shard by slices.
#ifndef SLUICE_DATAPLANE_WORKERS_STATE_ORDERS_H_
#define SLUICE_DATAPLANE_WORKERS_STATE_ORDERS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "conntrack/state.h"
#include "conntrack/state_table.h"
#include "dataplane/control/api/filter_control.h"
#include "dataplane/workers/mailbox.h"

namespace sluice {

struct FilterPlane;

// A StateQuery with its names resolved, as workers compare it. Shared,
// immutable.
struct StateMatcher {
  uint16_t filter = 0;
  StateQuery query;
  bool by_interface = false;
  uint16_t interface = 0;  // number of the name, 0: nothing has it
  bool by_rule_slots = false;
  std::vector<uint32_t> rule_slots;  // ascending
  bool by_tag = false;
  uint16_t tag = 0;  // number of the name, kNoTag: nothing has it
  // Only the other paths of these SCTP associations, ascending.
  bool by_association = false;
  std::vector<StateId> associations;

  bool Matches(const StateRecord& state) const;
};

// Collects matching states from *cursor on until there are `limit`.
class ListOrder final : public WorkerOrder {
 public:
  // `cursor` is a slot, 0 at first. `done` is told where the next one begins,
  // or nothing at the end, and gets the states.
  using Finish = std::function<void(std::optional<uint32_t> next,
                                    std::vector<StateRecord> states)>;
  ListOrder(std::shared_ptr<const StateMatcher> matcher, uint32_t cursor,
            size_t limit, Finish done);

  bool Step(const WorkerView& view) override;
  void Done() override;

 private:
  const std::shared_ptr<const StateMatcher> matcher_;
  const size_t limit_;
  uint32_t cursor_;
  bool more_ = true;
  std::vector<StateRecord> states_;  // reserved, so that it never grows
  Finish done_;
};

// Removes matching states.
class KillOrder final : public WorkerOrder {
 public:
  // `associations`: the first paths of SCTP associations among them, no more
  // than kMaxAssociations; the others may be on other workers.
  using Finish = std::function<void(uint64_t killed,
                                    std::vector<StateId> associations)>;
  static constexpr size_t kMaxAssociations = 4096;
  KillOrder(std::shared_ptr<const StateMatcher> matcher, Finish done)
      : matcher_(std::move(matcher)), done_(std::move(done)) {
    associations_.reserve(kMaxAssociations);
  }

  bool Step(const WorkerView& view) override;
  void Done() override { done_(killed_, std::move(associations_)); }

 private:
  const std::shared_ptr<const StateMatcher> matcher_;
  uint32_t cursor_ = 0;
  uint64_t killed_ = 0;
  std::vector<StateId> associations_;  // reserved, so that it never grows
  Finish done_;
};

// Removes these, as far as they are still there.
class KillThoseOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void(uint64_t killed)>;
  KillThoseOrder(std::vector<StateHandle> states, Finish done)
      : states_(std::move(states)), done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(killed_); }

 private:
  const std::vector<StateHandle> states_;
  size_t next_ = 0;
  uint64_t killed_ = 0;
  Finish done_;
};

// What one worker has counted, all at one moment between two rounds.
struct WorkerSnapshot {
  uint64_t received = 0;
  uint64_t forwarded = 0;
  uint64_t dropped = 0;
  uint64_t steered = 0;     // of those handed out, for judgement
  uint64_t handed_out = 0;  // for judgement or transmission
  uint64_t handed_in = 0;
  int64_t refragmented = 0;  // made of others, less those that were
  uint64_t held = 0;  // waiting for a restore
  uint64_t half_open = 0;  // the filter's TCP states without a handshake

  // Packets that are neither sent on, dropped, held nor given to another
  // worker.
  // Anything but zero is an error of the program.
  int64_t unaccounted() const {
    return static_cast<int64_t>(received + handed_in - forwarded - dropped -
                                handed_out - held) +
           refragmented;
  }
};

// Finds the numbers that states remember: of interfaces, those of any filter;
// of tags, those of one.
class NumbersOrder final : public WorkerOrder {
 public:
  // Bit n of word m: number 64 * m + n is remembered.
  using Numbers = std::vector<uint64_t>;
  using Finish = std::function<void(const Numbers&)>;
  // `tags_of`: the number of a filter; nothing: interfaces.
  NumbersOrder(std::optional<uint16_t> tags_of, Finish done);

  bool Step(const WorkerView& view) override;
  void Done() override { done_(numbers_); }

 private:
  const std::optional<uint16_t> tags_of_;
  uint32_t cursor_ = 0;
  Numbers numbers_;
  Finish done_;
};

// Brings the counters of a filter's states to their rules and takes a
// snapshot.
class FoldOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void(const WorkerSnapshot&)>;
  FoldOrder(uint16_t filter, Finish done)
      : filter_(filter), done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(snapshot_); }

 private:
  const uint16_t filter_;
  uint32_t cursor_ = 0;
  WorkerSnapshot snapshot_;
  Finish done_;
};

// Takes a filter that nothing is judged by any more away from a worker: waits
// until nothing is held for it, removes its states, and forgets it.
class ForgetOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void()>;
  ForgetOrder(FilterPlane* filter, Finish done)
      : filter_(*filter), done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(); }

 private:
  FilterPlane& filter_;
  uint32_t cursor_ = 0;
  Finish done_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_STATE_ORDERS_H_
