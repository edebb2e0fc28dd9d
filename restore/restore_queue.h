// The restore queue: of all the requests to restore a filter, by packets, by
// its enabling, by operators and agents, early, late or twice, exactly one
// takes effect in an incarnation of the filter, or none.
//
// The key is (filter, incarnation). What makes a restore single is not that it
// is in flight but that its result is latched: the filter's status word stays
// in its final state until the next incarnation, and every step of the
// restore, the commit above all, is an exchange of that word which fails when
// the incarnation has moved.
//
// Packets ask by one exchange of the word (FilterStatusWord::RequestRestore),
// which is the whole message: the queue finds the word in kQueued. Everything
// else here belongs to the control lcore, does no I/O, starts no thread and
// reads no clock.
#ifndef SLUICE_RESTORE_RESTORE_QUEUE_H_
#define SLUICE_RESTORE_RESTORE_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "restore/filter_status.h"
#include "restore/filter_switch.h"
#include "restore/restore_job.h"
#include "restore/restore_metrics.h"

namespace sluice {

// Requests that may wait for one restore; further ones are to poll.
inline constexpr size_t kMaxRestoreWaiters = 16;
inline constexpr size_t kRestoreRetries = 3;

// Fixed, and never derived from the sizes of tables.
struct RestoreLimits {
  RestoreTime queue = 1'000'000;     // an attempt, without its delay
  RestoreTime validate = 5'000'000;  // an attempt
  RestoreTime commit = 50'000;
  RestoreTime total = 10'000'000;
  // Before the second, third and fourth attempt.
  std::array<RestoreTime, kRestoreRetries> retry_delays = {50'000, 200'000,
                                                           800'000};
  // Jobs that may be with the validator at once.
  uint32_t validating = 1;
};

// What holds at a filter whose expected restore has failed.
enum class FailPolicy : uint8_t {
  kClosed,  // nothing passes
  kOpen,    // the emergency ruleset holds
};

struct QueuedFilterOptions {
  FilterStatusWord* word = nullptr;  // outlives the filter's time in the queue
  FailPolicy fail_policy = FailPolicy::kClosed;
  // It has a source of its own. If not, a restore that a packet has asked for
  // waits in the queue for an order that brings one.
  bool has_source = true;
  // Without a snapshot the restore has failed, instead of being skipped.
  bool snapshot_required = false;
};

struct RestoreRequest {
  RestoreFilterId filter = 0;
  uint32_t incarnation = 0;  // 0: the present one
  RequestSource source = RequestSource::kOrder;
  SnapshotId snapshot = kNoSnapshotId;  // none: whatever there is
  std::shared_ptr<SnapshotSource> snapshot_source = nullptr;  // its own
  RestoreWaiter waiter = 0;
  // Restore although this incarnation has ended its restore: if this is the
  // generation in force, the filter begins another incarnation with it. One
  // that is judging goes on doing so until the commit, and if that does not
  // come, after it.
  std::optional<uint64_t> replace_generation = std::nullopt;
};

enum class WantResult : uint8_t {
  kDone,
  kUnchanged,      // it was wanted, and is so
  kDeferred,       // a commit is being published: done when it has ended
  kUnknownFilter,
};

namespace internal {

// A restore that is under way.
struct ActiveRestore {
  RestoreJob job;
  FilterStatus seen;
  RestoreTime asked_at = 0;
  RestoreTime entered_at = 0;  // the present state
  RestoreTime not_before = 0;  // of the next attempt
  bool at_validator = false;   // it owes us a result
  bool published = false;      // nothing is left to undo
  std::array<RestoreWaiter, kMaxRestoreWaiters> waiters{};
  size_t waiter_count = 0;
  std::list<RestoreFilterId>::iterator place;  // in the order
};

// An answer that says no more than how it is.
inline RestoreAnswer Plain(RestoreCode code, const FilterStatus& status = {}) {
  RestoreAnswer answer;
  answer.code = code;
  answer.status = status;
  return answer;
}

}  // namespace internal

class RestoreQueue {
 public:
  // None is owned; all outlive the queue.
  RestoreQueue(const RestoreLimits& limits, RestoreValidator* validator,
               RestoreCommitter* committer, RestoreListener* listener);
  // Abandons what is under way; waiters are not told.
  ~RestoreQueue();
  RestoreQueue(const RestoreQueue&) = delete;
  RestoreQueue& operator=(const RestoreQueue&) = delete;

  RestoreFilterId AddFilter(const QueuedFilterOptions& options);
  // FailedPrecondition while the filter is enabled; NotFound. What its last
  // incarnation left under way is cancelled.
  absl::Status RemoveFilter(RestoreFilterId filter, RestoreTime now);

  // Whether the filter is to be enabled from now on, and what its incarnation
  // is then to expect. With the end of an incarnation its restore is
  // cancelled, but never between the parts of a commit. The listener hears of
  // what was deferred.
  WantResult Want(RestoreFilterId filter, const WantedFilter& wanted);

  // Answers kStarted or kJoined if `waiter` will be told of the end, anything
  // else if this is the answer.
  RestoreAnswer Submit(const RestoreRequest& request, RestoreTime now);
  // Nobody waits there any more. Whether somebody did.
  bool Withdraw(RestoreFilterId filter, RestoreWaiter waiter);

  // No thread that validates lives: what waits for one fails at once, for
  // this reason, instead of by its deadline.
  void FailQueued(const std::string& detail);

  // Moves every restore as far as it goes now. To be called often: the
  // deadlines are as exact as the calls are frequent.
  void Poll(RestoreTime now);
  // One step of one filter's restore: what Poll() does for each.
  void Step(RestoreFilterId filter, RestoreTime now);

  // The latched result of the present incarnation: kRestored, kFailed,
  // kSkipped; kBusy while it is under way; kDisabled; kStale when nobody has
  // asked for any.
  RestoreAnswer Result(RestoreFilterId filter) const;
  // Filters with a restore under way that the queue has seen.
  size_t jobs() const { return jobs_.size(); }
  const RestoreMetrics& metrics() const { return metrics_; }

 private:
  using Job = internal::ActiveRestore;
  // What the last restore of a filter came to, and of which incarnation.
  struct Latch {
    uint32_t incarnation = 0;
    RestoreAnswer answer;
  };
  struct Filter {
    Filter(RestoreFilterId number, const QueuedFilterOptions& its)
        : id(number), options(its), lives(its.word) {}

    const RestoreFilterId id;
    const QueuedFilterOptions options;
    FilterSwitch lives;
    bool watched = false;
    std::optional<Job> job;
    Latch latch;
  };

  Filter* Find(RestoreFilterId filter);
  const Filter* Find(RestoreFilterId filter) const;
  void Watch(Filter& filter);
  // A commit has ended: does what has waited for that.
  void Settle(Filter& filter);
  void DropDeadJob(Filter& filter);
  void Begin(Filter& filter, const FilterStatus& status, RequestSource source,
             RestoreTime now);
  // Joins the job unless that is for another snapshot.
  RestoreAnswer JoinJob(Filter& filter, const RestoreRequest& request);
  static bool NeedsSource(const Filter& filter);
  RestoreAnswer Join(Filter& filter, const RestoreRequest& request,
                     RestoreCode code);
  RestoreAnswer AnswerLatched(Filter& filter, const RestoreRequest& request,
                              const FilterStatus& status);
  RestoreAnswer Replace(Filter& filter, const RestoreRequest& request,
                        const FilterStatus& status, RestoreTime now);
  RestoreAnswer Start(Filter& filter, const RestoreRequest& request,
                      FilterStatus status, RestoreTime now);
  void StepJob(Filter& filter, RestoreTime now);
  void StepQueued(Filter& filter, RestoreTime now);
  void StepValidating(Filter& filter, RestoreTime now);
  void StepCommitting(Filter& filter, RestoreTime now);
  void Retry(Filter& filter, const std::string& detail, RestoreTime now);
  bool Enter(Job& job, RestoreState next, RestoreTime now);
  void LeaveValidator(Job& job);
  void Fail(Filter& filter, RestoreFailure failure, std::string detail);
  void End(Filter& filter, RestoreState state, RestoreFailure failure,
           std::string detail, const RestoreReport& report = {});
  void Cancel(Filter& filter);
  // Tells everybody; the word is in its final state.
  void Finish(Filter& filter, RestoreAnswer answer);

  const RestoreLimits limits_;
  RestoreValidator* const validator_;
  RestoreCommitter* const committer_;
  RestoreListener* const listener_;
  absl::flat_hash_map<RestoreFilterId, std::unique_ptr<Filter>> filters_;
  RestoreFilterId next_filter_ = 1;
  // Filters whose first packet may ask, and filters with a job in the order in
  // which they are to reach the validator.
  std::vector<RestoreFilterId> watched_;
  std::list<RestoreFilterId> jobs_;
  uint32_t validating_ = 0;
  RestoreMetrics metrics_;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_RESTORE_QUEUE_H_
