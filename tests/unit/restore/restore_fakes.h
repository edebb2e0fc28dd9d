// A validator, a committer and a listener that do as the test says.
#ifndef SLUICE_TESTS_UNIT_RESTORE_RESTORE_FAKES_H_
#define SLUICE_TESTS_UNIT_RESTORE_RESTORE_FAKES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "restore/restore_job.h"

namespace sluice {

class FakeValidator : public RestoreValidator {
 public:
  bool Start(const RestoreJob& job) override {
    if (!has_room) return false;
    running[job.port] = job;
    ++started;
    return true;
  }
  ValidateResult Poll(const RestoreJob& job) override {
    if (!running.contains(job.port)) ++unknown;
    const ValidateResult result = std::exchange(next[job.port], {});
    if (result.outcome != ValidateOutcome::kRunning) running.erase(job.port);
    return result;
  }
  void Abandon(const RestoreJob& job) override {
    // Ready work that was never committed has left `running` already.
    running.erase(job.port);
    ++abandoned;
  }

  bool has_room = true;
  std::map<RestorePort, RestoreJob> running;
  // The result of the next Poll() of the port.
  std::map<RestorePort, ValidateResult> next;
  int started = 0;
  int abandoned = 0;
  int unknown = 0;  // polls of jobs that were not running
};

class FakeCommitter : public RestoreCommitter {
 public:
  CommitResult Step(const RestoreJob& job) override {
    if (steps_left > 0) {
      --steps_left;
      return {};
    }
    if (job.IsDead()) ++dead_commits;
    ++commits[{job.port, job.incarnation}];
    ++generation;
    return {.done = true, .report = {.states_imported = 3}};
  }
  void Abandon(const RestoreJob&) override { ++abandoned; }
  uint64_t Generation(RestorePort) override { return generation; }

  int steps_left = 0;  // before the one that publishes
  std::map<std::pair<RestorePort, uint32_t>, int> commits;
  int dead_commits = 0;
  int abandoned = 0;
  uint64_t generation = 7;
};

class FakeListener : public RestoreListener {
 public:
  void Answer(RestoreWaiter waiter, const RestoreAnswer& answer) override {
    answers[waiter].push_back(answer);
  }
  void Ended(RestorePort port, const RestoreAnswer& answer) override {
    ends.emplace_back(port, answer);
  }
  void Disabled(RestorePort port, const PortStatus& status) override {
    disabled.emplace_back(port, status);
  }

  std::map<RestoreWaiter, std::vector<RestoreAnswer>> answers;
  std::vector<std::pair<RestorePort, RestoreAnswer>> ends;
  std::vector<std::pair<RestorePort, PortStatus>> disabled;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_RESTORE_FAKES_H_
