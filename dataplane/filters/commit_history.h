// The last rulesets of a filter: who loaded them, and the way back to them.
#ifndef SLUICE_DATAPLANE_FILTERS_COMMIT_HISTORY_H_
#define SLUICE_DATAPLANE_FILTERS_COMMIT_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/control/api/rule_control.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct CommitSet;

// Control lcore. Times are of any steady clock, in milliseconds.
class CommitHistory {
 public:
  // What is listed, and of these the ones whose rules are kept: as many as
  // there are, but for the one before the last no more than so many rules
  // together.
  static constexpr size_t kListed = 32;
  static constexpr uint64_t kKeptRules = 500'000;

  // `policy` is in force now, with `set` together with those of other filters.
  void Add(CommitListing commit, std::shared_ptr<const Policy> policy,
           std::shared_ptr<const CommitSet> set = nullptr);
  // What the last commit was a part of; null: of nothing.
  const std::shared_ptr<const CommitSet>& last_set() const { return last_set_; }

  // Newest first; the first is in force.
  std::vector<CommitListing> List() const;

  // What was in force `back` commits ago, from 1 on. OutOfRange if there is no
  // such any more.
  absl::StatusOr<std::shared_ptr<const Policy>> Before(size_t back) const;

  // What is in force now has to be confirmed within so many seconds, or
  // `fallback` comes back. Another one before that keeps the first fallback:
  // it is what somebody trusted last.
  void Expect(uint64_t now, uint32_t seconds,
              std::shared_ptr<const Policy> fallback,
              std::shared_ptr<const CommitSet> set = nullptr);
  bool IsExpected() const { return fallback_ != nullptr; }
  // What waits to be confirmed as a whole; null: no such.
  const std::shared_ptr<const CommitSet>& pending_set() const {
    return pending_set_;
  }
  // FailedPrecondition while there is one: nobody changes a part of it.
  absl::Status CheckAlone() const;
  // Whole seconds that are left, none if nothing is expected.
  std::optional<uint64_t> Left(uint64_t now) const;
  // What was in force stays so. False: nothing had to be confirmed.
  bool Confirm();
  // What has to come back, null: nothing has yet. It goes on being so until
  // Confirm().
  std::shared_ptr<const Policy> Overdue(uint64_t now) const;

 private:
  struct Kept {
    CommitListing commit;
    std::shared_ptr<const Policy> policy;  // null: not any more
  };

  std::deque<Kept> commits_;  // newest first
  std::shared_ptr<const CommitSet> last_set_;
  std::shared_ptr<const Policy> fallback_;
  std::shared_ptr<const CommitSet> pending_set_;
  uint64_t deadline_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_COMMIT_HISTORY_H_
