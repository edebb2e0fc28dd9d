#include "dataplane/filters/commit_history.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dataplane/filters/commit_set.h"

namespace sluice {

void CommitHistory::Add(CommitListing commit,
                        std::shared_ptr<const Policy> policy,
                        std::shared_ptr<const CommitSet> set) {
  last_set_ = std::move(set);
  commits_.push_front({std::move(commit), std::move(policy)});
  if (commits_.size() > kListed) commits_.pop_back();
  uint64_t rules = 0;
  for (size_t i = 1; i < commits_.size(); ++i) {
    rules += commits_[i].commit.rules;
    if (i > 1 && rules > kKeptRules) commits_[i].policy = nullptr;
  }
}

std::vector<CommitListing> CommitHistory::List() const {
  std::vector<CommitListing> list;
  for (const Kept& kept : commits_) {
    list.push_back(kept.commit);
    list.back().is_kept = kept.policy != nullptr;
  }
  return list;
}

absl::StatusOr<std::shared_ptr<const Policy>> CommitHistory::Before(
    size_t back) const {
  if (back == 0 || back >= commits_.size() ||
      commits_[back].policy == nullptr) {
    size_t most = 0;
    while (most + 1 < commits_.size() &&
           commits_[most + 1].policy != nullptr) {
      ++most;
    }
    return absl::OutOfRangeError(
        most == 0 ? std::string("there is no earlier ruleset to go back to")
                  : absl::StrCat("there are ", most,
                                 " earlier rulesets to go back to; -s commits "
                                 "shows them"));
  }
  return commits_[back].policy;
}

void CommitHistory::Expect(uint64_t now, uint32_t seconds,
                           std::shared_ptr<const Policy> fallback,
                           std::shared_ptr<const CommitSet> set) {
  if (fallback_ == nullptr) fallback_ = std::move(fallback);
  pending_set_ = std::move(set);
  deadline_ = now + uint64_t{seconds} * 1000;
}

std::optional<uint64_t> CommitHistory::Left(uint64_t now) const {
  if (fallback_ == nullptr) return std::nullopt;
  return now >= deadline_ ? 0 : (deadline_ - now + 999) / 1000;
}

absl::Status CommitHistory::CheckAlone() const {
  if (pending_set_ == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the commit of the filters ", pending_set_->Names(),
      " waits to be confirmed: confirm it or roll it back, both of all of "
      "them (--confirm-commit, --rollback 1)"));
}

bool CommitHistory::Confirm() {
  pending_set_ = nullptr;
  return std::exchange(fallback_, nullptr) != nullptr;
}

std::shared_ptr<const Policy> CommitHistory::Overdue(uint64_t now) const {
  return now >= deadline_ ? fallback_ : nullptr;
}

}  // namespace sluice
