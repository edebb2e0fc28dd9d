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

#include "absl/status/statusor.h"
#include "dataplane/control/api/rule_control.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Control lcore. Times are of any steady clock, in milliseconds.
class CommitHistory {
 public:
  // What is listed, and of these the ones whose rules are kept: as many as
  // there are, but for the one before the last no more than so many rules
  // together.
  static constexpr size_t kListed = 32;
  static constexpr uint64_t kKeptRules = 500'000;

  // `policy` is in force now.
  void Add(CommitListing commit, std::shared_ptr<const Policy> policy);

  // Newest first; the first is in force.
  std::vector<CommitListing> List() const;

  // What was in force `back` commits ago, from 1 on. OutOfRange if there is no
  // such any more.
  absl::StatusOr<std::shared_ptr<const Policy>> Before(size_t back) const;

  // What is in force now has to be confirmed within so many seconds, or
  // `fallback` comes back. Another one before that keeps the first fallback:
  // it is what somebody trusted last.
  void Expect(uint64_t now, uint32_t seconds,
              std::shared_ptr<const Policy> fallback);
  bool IsExpected() const { return fallback_ != nullptr; }
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
  std::shared_ptr<const Policy> fallback_;
  uint64_t deadline_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_COMMIT_HISTORY_H_
