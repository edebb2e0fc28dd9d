// Restores: the queue, with all who work for it. What the queue says is law:
// the desk validates on threads, commits by orders to the workers, tells who
// waits, and keeps what came of it.
#ifndef SLUICE_DATAPLANE_TRANSFER_RESTORE_DESK_H_
#define SLUICE_DATAPLANE_TRANSFER_RESTORE_DESK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/thread_watch.h"
#include "dataplane/transfer/known_filter.h"
#include "dataplane/transfer/restore_task.h"
#include "restore/restore_queue.h"

namespace sluice {

// Control lcore. Filters are known by AddFilter() until RemoveFilter().
class RestoreDesk final : private RestoreValidator,
                          private RestoreCommitter,
                          private RestoreListener {
 public:
  // Nothing is owned.
  RestoreDesk(const RestoreServiceOptions* options, TransferLedger* ledger);
  ~RestoreDesk();
  RestoreDesk(const RestoreDesk&) = delete;
  RestoreDesk& operator=(const RestoreDesk&) = delete;

  void AddFilter(KnownFilter* filter);
  // FailedPrecondition while it is enabled. It stays known until Forget().
  absl::Status RemoveFilter(const KnownFilter& filter);
  void SetFailPolicy(const KnownFilter& filter, FailPolicy policy) {
    queue_.SetFailPolicy(filter.id, policy);
  }
  void Forget(const KnownFilter& filter) { filters_.erase(filter.id); }
  // Whether a task still has something of it.
  bool Uses(const KnownFilter& filter) const;

  // As those of RestoreService.
  FilterStatus Enable(KnownFilter& filter, bool expect,
                      std::shared_ptr<TransferSource> once);
  void Disable(KnownFilter& filter,
               std::function<void(absl::StatusOr<FilterStatus>)> done);
  RestoreAnswer Submit(const KnownFilter& filter, const RestoreOrder& order,
                       std::function<void(const RestoreAnswer&)> done);
  // Orders what is in the filter's directory.
  void SubmitFolder(KnownFilter& filter, RequestSource source);
  // As those of the queue.
  void Arriving(const KnownFilter& filter, bool begins) {
    queue_.Arriving(filter.id, begins);
  }
  RestoreWait Waiting(const KnownFilter& filter) const {
    return queue_.Waiting(filter.id);
  }

  // Moves everything as far as it goes.
  void Poll();
  bool is_busy() const { return queue_.jobs() > 0 || !leaving_.empty(); }
  const RestoreMetrics& metrics() const { return queue_.metrics(); }

 private:
  // A thread that validates, and whom it works for.
  struct Validator {
    Builder builder;
    BuilderWatch watch;
    std::shared_ptr<RestoreTask> task;
  };

  bool Start(const RestoreJob& job) override;
  ValidateResult Poll(const RestoreJob& job) override;
  // Of the validator and of the committer: the task knows how far it is.
  void Abandon(const RestoreJob& job) override;
  CommitResult Step(const RestoreJob& job) override;
  uint64_t Generation(RestoreFilterId id) override;
  void Answer(RestoreWaiter waiter, const RestoreAnswer& answer) override;
  void Retried(RestoreFilterId id, const FilterStatus& status,
               RestoreFailure failure, const std::string& detail) override;
  void Ended(RestoreFilterId id, const RestoreAnswer& answer) override;
  void Disabled(RestoreFilterId id, const FilterStatus& status) override;
  void Enabled(RestoreFilterId id, const FilterStatus& status) override;

  RestoreTime Now() const;
  // What the filter's emergency ruleset has let through becomes its own.
  void Adopt(const FilterPlane& plane);
  // A restore has ended without a commit: another snapshot may be there.
  void LookInFolder(RestoreFilterId id);
  KnownFilter* Find(RestoreFilterId id) const;
  // An incarnation that expects a restore has begun: asks for it if there is
  // a source.
  void AskFor(KnownFilter& filter, uint32_t incarnation);

  const RestoreServiceOptions& options_;
  TransferLedger& ledger_;
  std::map<RestoreFilterId, KnownFilter*> filters_;
  std::map<RestoreFilterId, std::shared_ptr<RestoreTask>> tasks_;
  // Those that the queue is done with and workers are not.
  std::vector<std::shared_ptr<RestoreTask>> leaving_;
  RestoreWaiter next_waiter_ = 1;
  std::map<RestoreWaiter, std::function<void(const RestoreAnswer&)>> waiters_;
  RestoreQueue queue_;
  // Last, so that no thread works on what is gone.
  std::vector<std::unique_ptr<Validator>> validators_;
  uint64_t last_look_ = 0;  // at them, milliseconds
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_RESTORE_DESK_H_
