// What the restore queue and those who work for it say to each other: jobs,
// the validator, the committer, the listener. The queue itself does no I/O; it
// asks these, and they never call it back.
#ifndef SLUICE_RESTORE_RESTORE_JOB_H_
#define SLUICE_RESTORE_RESTORE_JOB_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "restore/filter_status.h"
#include "restore/snapshot_source.h"

namespace sluice {

// Microseconds of a monotonic clock.
using RestoreTime = uint64_t;

// The 16 bytes in a snapshot's header that name it. All zero: none is named.
using SnapshotId = std::array<uint8_t, 16>;
inline constexpr SnapshotId kNoSnapshotId{};

// A filter as the queue knows it. Never given out twice, so that an order for a
// filter that was removed meets no other one.
using RestoreFilterId = uint32_t;

// One restore of one filter into one incarnation.
struct RestoreJob {
  RestoreFilterId filter = 0;
  uint32_t incarnation = 0;
  uint8_t attempt = 0;   // from 1
  bool replace = false;  // of a policy and states that are in force
  SnapshotId snapshot = kNoSnapshotId;
  // Null: the filter's own source.
  std::shared_ptr<SnapshotSource> source = nullptr;
  const FilterStatusWord* word = nullptr;

  // The filter's incarnation has ended: stop working. For any thread; to be
  // asked at each chunk of work.
  bool IsDead() const { return word->Load().incarnation != incarnation; }
};

enum class ValidateOutcome : uint8_t {
  kRunning,
  kReady,      // built, every place reserved: the commit cannot fail
  kTransient,  // it may do better later
  kAbsent,     // there is no snapshot
  kRefused,    // the snapshot is not acceptable
  kLost,       // the thread that works at it is gone
};

struct ValidateResult {
  ValidateOutcome outcome = ValidateOutcome::kRunning;
  // With kReady: the one that was read.
  SnapshotId snapshot = kNoSnapshotId;
  // Why, for the operator; empty with kRunning and kReady.
  std::string detail;
  // With kRunning: another number than before means that the work gets on.
  uint64_t progress = 0;
};

// Builds beside what is live, on a thread of its own. Called by the control
// lcore; no call blocks.
class RestoreValidator {
 public:
  virtual ~RestoreValidator() = default;
  // Begins with a job. False: it has no room now and is asked again.
  virtual bool Start(const RestoreJob& job) = 0;
  // After any result but kRunning it is not asked again; what it built for
  // kReady lives until the committer is done, or one of them is to abandon it.
  virtual ValidateResult Poll(const RestoreJob& job) = 0;
  // The job has ended before its commit, running or ready: frees everything,
  // if need be when the thread next looks at IsDead().
  virtual void Abandon(const RestoreJob& job) = 0;
};

// What a commit did.
struct RestoreReport {
  uint64_t states_imported = 0;
  uint64_t states_merged = 0;   // a live state had the place and won
  uint64_t states_orphaned = 0;  // the rule is not in the new ruleset
  uint64_t states_refused = 0;  // dropped: a binding was taken meanwhile
  uint64_t sources_imported = 0;
  uint64_t sources_left_out = 0;  // their rule or their states are not there
  uint64_t tables = 0;
  uint64_t rules = 0;

  friend bool operator==(const RestoreReport&, const RestoreReport&) = default;
};

struct CommitResult {
  bool done = false;
  // It cannot be done now: the policy was changed by somebody else meanwhile.
  // What was done so far is undone by Abandon().
  bool failed = false;
  std::string detail = {};  // why
  RestoreReport report;
  // As that of a validation.
  uint64_t progress = 0;
};

// Publishes what was built, on the control lcore and by messages to workers.
class RestoreCommitter {
 public:
  virtual ~RestoreCommitter() = default;
  // A bounded step. At a filter that waits for it nothing of the snapshot
  // judges a packet before the step that says `done`, and everything does after
  // it. Elsewhere states and policy may do so some steps earlier than many
  // sources.
  virtual CommitResult Step(const RestoreJob& job) = 0;
  // Undoes the steps of a commit that did not end; frees everything.
  virtual void Abandon(const RestoreJob& job) = 0;
  // The number of the policy's generation that is in force at the filter.
  virtual uint64_t Generation(RestoreFilterId filter) = 0;
};

// Why a restore, or an attempt at it, did not succeed.
enum class RestoreFailure : uint8_t {
  kNone,
  // Not tried again until another snapshot comes:
  kRefused,     // the snapshot is not acceptable
  kAbsent,      // there is none, and the filter needs one
  kNotBrought,  // nobody has brought one in time
  // Tried again:
  kTransient,      // the source could not be read, no memory
  kQueueDeadline,  // no builder was free in time
  kValidateDeadline,
  kCommitDeadline,
  kBuilderLost,  // no thread that could validate it lives
  kPolicyMoved,  // somebody changed the policy during the commit
};
inline constexpr size_t kRestoreFailureCount = 10;
// "refused", "queue deadline", ...
std::string_view Name(RestoreFailure failure);

// The answer to a request.
enum class RestoreCode : uint8_t {
  // The waiter will be told of the end:
  kStarted,
  kJoined,
  // The end:
  kRestored,
  kFailed,
  kSkipped,
  kCancelled,
  // At once:
  kAlreadyApplied,   // this snapshot, or some one, in this incarnation
  kConflict,         // another one was applied in this incarnation
  kBusy,             // another one is under way, or too many wait: poll
  kStale,            // the incarnation is over
  kDisabled,         // the filter is not enabled
  kGenerationMoved,  // a replace named a generation that is not in force
  kUnknownFilter,
};
inline constexpr size_t kRestoreCodeCount = 13;
// "started", "already applied", ...
std::string_view Name(RestoreCode code);

struct RestoreAnswer {
  RestoreCode code = RestoreCode::kUnknownFilter;
  // Of the filter when it was answered; for kCancelled the job's.
  FilterStatus status;
  SnapshotId snapshot = kNoSnapshotId;  // the one that was applied
  RestoreFailure failure = RestoreFailure::kNone;
  std::string detail;
  RestoreReport report;
};

// Whom to tell; 0 is nobody.
using RestoreWaiter = uint64_t;

// Hears of ends. No call may call the queue.
class RestoreListener {
 public:
  virtual ~RestoreListener() = default;
  // Once for each waiter whose request was started or joined, unless it was
  // withdrawn.
  virtual void Answer(RestoreWaiter waiter, const RestoreAnswer& answer) = 0;
  // An attempt has failed, and another one is to be made.
  virtual void Retried(RestoreFilterId filter, const FilterStatus& status,
                       RestoreFailure failure, const std::string& detail) = 0;
  // A restore has ended. With kFailed of a filter that expected it, its fail
  // policy holds from here on, until something is restored after all.
  virtual void Ended(RestoreFilterId filter, const RestoreAnswer& answer) = 0;
  // What had to wait for a commit has been done: an incarnation has ended, and
  // then, if that was wanted by now, another one has begun.
  virtual void Disabled(RestoreFilterId filter, const FilterStatus& status) = 0;
  virtual void Enabled(RestoreFilterId filter, const FilterStatus& status) = 0;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_RESTORE_JOB_H_
