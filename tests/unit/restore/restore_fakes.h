// A validator, a committer and a listener that do as the test says.
#ifndef SLUICE_TESTS_UNIT_RESTORE_RESTORE_FAKES_H_
#define SLUICE_TESTS_UNIT_RESTORE_RESTORE_FAKES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "restore/restore_job.h"

namespace sluice {

class FakeValidator : public RestoreValidator {
 public:
  bool Start(const RestoreJob& job) override {
    if (!has_room) return false;
    running[job.filter] = job;
    ++started;
    return true;
  }
  ValidateResult Poll(const RestoreJob& job) override {
    if (!running.contains(job.filter)) ++unknown;
    ValidateResult result = std::exchange(next[job.filter], {});
    result.progress = progress;
    if (result.outcome != ValidateOutcome::kRunning) running.erase(job.filter);
    return result;
  }
  void Abandon(const RestoreJob& job) override {
    // Ready work that was never committed has left `running` already.
    running.erase(job.filter);
    ++abandoned;
  }

  bool has_room = true;
  std::map<RestoreFilterId, RestoreJob> running;
  // The result of the next Poll() of the filter, and how far it says to be.
  std::map<RestoreFilterId, ValidateResult> next;
  uint64_t progress = 0;
  int started = 0;
  int abandoned = 0;
  int unknown = 0;  // polls of jobs that were not running
};

class FakeCommitter : public RestoreCommitter {
 public:
  CommitResult Step(const RestoreJob& job) override {
    if (fails) return {.failed = true, .detail = "moved", .report = {}};
    if (steps_left > 0) {
      --steps_left;
      return {.report = {}, .progress = progress};
    }
    if (job.IsDead()) ++dead_commits;
    ++commits[{job.filter, job.incarnation}];
    ++generation;
    return {.done = true, .report = {.states_imported = 3}};
  }
  void Abandon(const RestoreJob&) override { ++abandoned; }
  uint64_t Generation(RestoreFilterId) override { return generation; }

  int steps_left = 0;  // before the one that publishes
  uint64_t progress = 0;
  bool fails = false;
  std::map<std::pair<RestoreFilterId, uint32_t>, int> commits;
  int dead_commits = 0;
  int abandoned = 0;
  uint64_t generation = 7;
};

class FakeListener : public RestoreListener {
 public:
  void Answer(RestoreWaiter waiter, const RestoreAnswer& answer) override {
    answers[waiter].push_back(answer);
  }
  void Retried(RestoreFilterId filter, const FilterStatus&,
               RestoreFailure failure, const std::string&) override {
    retries.emplace_back(filter, failure);
  }
  void Ended(RestoreFilterId filter, const RestoreAnswer& answer) override {
    ends.emplace_back(filter, answer);
  }
  void Disabled(RestoreFilterId filter, const FilterStatus& status) override {
    disabled.emplace_back(filter, status);
  }
  void Enabled(RestoreFilterId filter, const FilterStatus& status) override {
    enabled.emplace_back(filter, status);
  }

  std::map<RestoreWaiter, std::vector<RestoreAnswer>> answers;
  std::vector<std::pair<RestoreFilterId, RestoreFailure>> retries;
  std::vector<std::pair<RestoreFilterId, RestoreAnswer>> ends;
  std::vector<std::pair<RestoreFilterId, FilterStatus>> disabled;
  std::vector<std::pair<RestoreFilterId, FilterStatus>> enabled;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_RESTORE_FAKES_H_
