// What the parts of RestoreService share.
#ifndef SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_INTERNAL_H_
#define SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_INTERNAL_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/transfer/restore_service.h"

namespace sluice {

inline absl::Status NoFilter(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no filter ", View(name)));
}

struct RestoreService::Filter {
  RestoreFilterOptions options;
  RestoreFilterId port = 0;
  // Not empty: the directory in which its snapshot appears.
  std::string directory;
  std::optional<RestoreAnswer> last;
  TransferTime last_time;
  SnapshotId applied = kNoSnapshotId;  // the last one, in any incarnation
  std::vector<std::function<void(absl::StatusOr<FilterStatus>)>> disabling;
  // Set when it is to go.
  std::function<void()> removed;

  const std::string& name() const { return options.filter.name; }
  FilterPlane& plane() const { return *options.filter.plane; }
  std::string snapshot_file() const { return name() + ".snap"; }
};

class RestoreService::Desk final : public RestoreValidator,
                                   public RestoreCommitter,
                                   public RestoreListener {
 public:
  explicit Desk(RestoreService* service) : service_(*service) {}

  bool Start(const RestoreJob& job) override { return service_.Start(job); }
  ValidateResult Poll(const RestoreJob& job) override {
    return service_.PollTask(job);
  }
  // Of the validator and of the committer: the task knows how far it is.
  void Abandon(const RestoreJob& job) override { service_.Abandon(job); }
  CommitResult Step(const RestoreJob& job) override {
    return service_.StepCommit(job);
  }
  uint64_t Generation(RestoreFilterId port) override;
  void Answer(RestoreWaiter waiter, const RestoreAnswer& answer) override {
    service_.Answer(waiter, answer);
  }
  void Ended(RestoreFilterId port, const RestoreAnswer& answer) override {
    service_.Ended(port, answer);
  }
  void Disabled(RestoreFilterId port, const FilterStatus& status) override {
    service_.Disabled(port, status);
  }

 private:
  RestoreService& service_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_INTERNAL_H_
