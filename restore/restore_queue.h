// The restore queue: of all the requests to restore a filter, by packets, by
// its enabling, by operators and agents, early, late or twice, exactly one
// takes effect in an incarnation of the filter, or none.
//
// The key is (filter, incarnation). What makes a restore single is not that it
// is in flight but that its commit is latched: kRestored stays until the next
// incarnation, and every step of the restore, the commit above all, is an
// exchange of the filter's status word which fails when the incarnation has
// moved. A failure is not latched. What may do better is tried again by
// itself, with growing delays, until the filter's time for that is over; then
// its fail policy holds, and whatever brings a snapshot later starts another
// attempt.
//
// Deadlines are about progress: they end an attempt that does not move, however
// fast it is. And they count only time in which somebody has looked, by a clock
// that Poll() and Step() move: a process that was stopped, or a control lcore
// that was busy, finds nobody late.
//
// Packets ask by one exchange of the word (FilterStatusWord::RequestRestore),
// which is the whole message: the queue finds the word in kQueued. Everything
// else here belongs to the control lcore, does no I/O, starts no thread and
// reads no clock.
#ifndef SLUICE_RESTORE_RESTORE_QUEUE_H_
#define SLUICE_RESTORE_RESTORE_QUEUE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

// Never derived from the sizes of tables.
struct RestoreLimits {
  // An attempt has failed when for so long no snapshot was brought and none was
  // on its way, or no builder has become free while none got on,
  RestoreTime queue = 1'000'000;
  // its validation has not moved (bytes read, states checked, places taken),
  RestoreTime validate = 5'000'000;
  // or no worker has got on with its commit.
  RestoreTime commit = 50'000;
  // An attempt that fails so long after the first one began is the last one,
  // in filters that say nothing else.
  RestoreTime give_up = 60'000'000;
  // Before the second, third and fourth attempt, and before all others.
  std::array<RestoreTime, 3> retry_delays = {50'000, 200'000, 800'000};
  RestoreTime last_retry_delay = 1'000'000;
  // The most that lies between two looks counts for.
  RestoreTime longest_gap = 10'000;
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
  std::optional<RestoreTime> give_up = std::nullopt;  // of its own
};

struct RestoreRequest {
  RestoreFilterId filter = 0;
  uint32_t incarnation = 0;  // 0: the present one
  RequestSource source = RequestSource::kOrder;
  SnapshotId snapshot = kNoSnapshotId;  // none: whatever there is
  std::shared_ptr<SnapshotSource> snapshot_source = nullptr;  // its own
  RestoreWaiter waiter = 0;
  // Restore although something was committed in this incarnation: if this is
  // the generation in force, the filter begins another incarnation with it. One
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

// What a filter's restore waits for.
enum class RestoreAwaits : uint8_t {
  kNothing,      // it was restored, or the filter is disabled or wants none
  kFirstPacket,  // which asks for it
  kSnapshot,     // that somebody brings, or that appears in its folder
  kReading,      // of the snapshot that is being brought
  kRetry,        // the time of the next attempt
  kBuilder,      // that is free
  kValidation,
  kCommit,
};
// "nothing", "the first packet", ...
std::string_view Name(RestoreAwaits awaits);

struct RestoreWait {
  RestoreAwaits awaits = RestoreAwaits::kNothing;
  // Of the attempt: for how long nothing has moved, and the deadline for that;
  // 0: there is none. With kRetry: how long it is to wait.
  RestoreTime quiet = 0;
  RestoreTime deadline = 0;
  // An attempt that fails after this time is the last one.
  RestoreTime until_give_up = 0;
  RestoreTime give_up = 0;  // as configured
  // Of the attempt before this one.
  RestoreFailure failure = RestoreFailure::kNone;
  std::string detail{};
};

namespace internal {

// A restore that is under way.
struct ActiveRestore {
  RestoreJob job;
  FilterStatus seen;
  SnapshotId asked_for = kNoSnapshotId;
  RestoreTime asked_at = 0;
  RestoreTime entered_at = 0;  // the present state
  // By the clock that only looks move: its beginning, when it was last seen to
  // move, and before when it is not tried again.
  RestoreTime begun = 0;
  RestoreTime moved = 0;
  RestoreTime not_before = 0;
  uint64_t progress = 0;  // the last that was told
  uint64_t turn = 0;      // of the validators, when it last moved
  uint32_t retries = 0;
  RestoreFailure failure = RestoreFailure::kNone;  // of the attempt before
  std::string detail;
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
  // From the next attempt on; false: there is no such filter.
  bool SetFailPolicy(RestoreFilterId filter, FailPolicy policy);

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
  // A snapshot for the filter is on its way to Submit() from now on, or is not
  // any more: while one is, nobody is late in bringing it.
  void Arriving(RestoreFilterId filter, bool begins);

  // Moves every restore as far as it goes now. To be called often: the
  // deadlines are as exact as the calls are frequent.
  void Poll(RestoreTime now);
  // One step of one filter's restore: what Poll() does for each.
  void Step(RestoreFilterId filter, RestoreTime now);

  // How the restore of the present incarnation has ended: kRestored, kFailed,
  // kSkipped; kBusy while it is under way; kDisabled; kStale when nobody has
  // asked for any.
  RestoreAnswer Result(RestoreFilterId filter) const;
  RestoreWait Waiting(RestoreFilterId filter) const;
  // Filters with a restore under way that the queue has seen.
  size_t jobs() const { return jobs_.size(); }
  const RestoreMetrics& metrics() const { return metrics_; }

 private:
  using Job = internal::ActiveRestore;
  // What the last restore of a filter came to, and of which incarnation.
  struct Last {
    uint32_t incarnation = 0;
    RestoreAnswer answer;
  };
  struct Filter {
    Filter(RestoreFilterId number, const QueuedFilterOptions& its)
        : id(number), options(its), lives(its.word) {}

    const RestoreFilterId id;
    QueuedFilterOptions options;
    FilterSwitch lives;
    bool watched = false;
    uint32_t arriving = 0;  // snapshots that are on their way
    std::optional<Job> job;
    Last last;
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
  // The job waits to try its snapshot again: tries this one in its place.
  void Supersede(Filter& filter, const RestoreRequest& request);
  static bool NeedsSource(const Filter& filter);
  RestoreAnswer Join(Filter& filter, const RestoreRequest& request,
                     RestoreCode code);
  // Something was committed in this incarnation.
  RestoreAnswer AnswerLatched(Filter& filter, const RestoreRequest& request,
                              const FilterStatus& status);
  RestoreAnswer Replace(Filter& filter, const RestoreRequest& request,
                        const FilterStatus& status, RestoreTime now);
  RestoreAnswer Start(Filter& filter, const RestoreRequest& request,
                      FilterStatus status, RestoreTime now);
  // A packet may have asked.
  void Notice(Filter& filter, RestoreTime now);
  void StepJob(Filter& filter, RestoreTime now);
  void StepQueued(Filter& filter, RestoreTime now);
  void StepValidating(Filter& filter, RestoreTime now);
  void StepCommitting(Filter& filter, RestoreTime now);
  // Another attempt after some time, or the end if that is over.
  void FailAttempt(Filter& filter, RestoreFailure failure, std::string detail,
                   RestoreTime now);
  RestoreTime GiveUpOf(const Filter& filter) const {
    return filter.options.give_up.value_or(limits_.give_up);
  }
  // Somebody looks.
  void Look(RestoreTime now);
  // Notes what the job's work tells of itself.
  void NoteProgress(Job& job, uint64_t progress);
  // It has not moved for that long; if it was to wait first, since then.
  RestoreTime QuietOf(const Job& job) const {
    const RestoreTime since = std::max(job.moved, job.not_before);
    return looked_ > since ? looked_ - since : 0;
  }
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
  // Counts what the validators get on with, whoever it is for.
  uint64_t turn_ = 0;
  // The clock of looks, and the last one by the caller's.
  RestoreTime looked_ = 0;
  std::optional<RestoreTime> last_look_;
  RestoreMetrics metrics_;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_RESTORE_QUEUE_H_
