// One request in work: what its action is given, and how it answers.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_CALL_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/api/filter_control.h"
#include "dataplane/control/api/filter_directory.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/control/methods/operations.h"
#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/control/socket/message.h"
#include "nlohmann/json.hpp"

namespace sluice {

// Answered exactly once; shared by whoever works on it.
class Call : public std::enable_shared_from_this<Call> {
 public:
  // `filter` is the name of the filter that is asked. `wants_answer` is false
  // for notifications.
  Call(Operations* operations, std::string method, std::string filter,
       nlohmann::json id, bool wants_answer, const PeerCredentials& peer,
       UniqueFd descriptor, Reply reply)
      : operations_(operations),
        method_(std::move(method)),
        filter_(std::move(filter)),
        id_(std::move(id)),
        wants_answer_(wants_answer),
        peer_(peer),
        descriptor_(std::move(descriptor)),
        reply_(std::move(reply)) {
    generation_before_ = Generation();
  }

  // The filter that is asked. Null, and that was the answer, if there is none
  // of this name, or none any more: ask again after everything that may have
  // taken time.
  FilterControl* filter();
  const std::string& filter_name() const { return filter_; }
  const std::string& method() const { return method_; }
  // How long the control lcore is busy. Null: nobody measures.
  const TurnWatch* turns() const { return operations_->turns_; }
  FilterDirectory& directory() { return *operations_->directory_; }
  // Null: the daemon has none.
  TransferControl* transfer() { return operations_->transfer_; }
  // Null: nobody knows of the process.
  ProcessControl* process() { return operations_->process_; }
  const Operations& operations() const { return *operations_; }
  // Null: the daemon keeps no packets of `log` rules.
  LogControl* log() { return operations_->log_; }
  const PeerCredentials& peer() const { return peer_; }
  // For methods that ask several filters: whether whoever asks may use this
  // one. False, and that was the answer, if not.
  bool MayAsk(const std::string& filter);
  // What came with the request beside its parameters; once.
  UniqueFd TakeDescriptor() { return std::move(descriptor_); }

  void Result(nlohmann::json result) {
    Audit("done");
    Answer([&] { return ResultLine(id_, std::move(result)); });
  }
  void Done() { Result(nlohmann::json::object()); }
  // The same for a result that may have any size: `make` runs on the builder
  // thread.
  void LargeResult(absl::AnyInvocable<nlohmann::json()> make);
  void Error(RpcError code, std::string_view message,
             const std::vector<Diagnostic>& diagnostics = {}) {
    Audit(message);
    Answer([&] { return ErrorLine(id_, code, message, diagnostics); });
  }
  void Error(const absl::Status& status) {
    Error(CodeOf(status),
          std::string_view(status.message().data(), status.message().size()));
  }
  void StatusOnly(const absl::Status& status) {
    status.ok() ? Done() : Error(status);
  }

  // Puts a change in its lane: when its turn comes, `begin(call)` makes the
  // job, or answers and returns null, and `answer(call, result)` answers when
  // it is published.
  template <typename R>
  static void RunJob(
      std::shared_ptr<Call> call,
      absl::AnyInvocable<std::unique_ptr<BuildJob<R>>(Call&)> begin,
      absl::AnyInvocable<void(Call&, absl::StatusOr<R>)> answer) {
    Operations* const operations = call->operations_;
    auto begin_job = [call, begin = std::move(begin),
                      answer = std::move(answer)]() mutable {
      std::shared_ptr<BuildJob<R>> job = begin(*call);
      if (job == nullptr) return false;
      const bool submitted =
          Submit<R>(call, std::move(job), std::move(answer));
      if (!submitted) call->Busy();
      return submitted;
    };
    if (!operations->Enqueue(std::move(begin_job))) call->Busy();
  }

 private:
  // Builds, publishes, answers.
  template <typename R>
  static bool Submit(
      std::shared_ptr<Call> call, std::shared_ptr<BuildJob<R>> job,
      absl::AnyInvocable<void(Call&, absl::StatusOr<R>)> answer) {
    Operations* const lane = call->operations_;
    auto built = std::make_shared<uint64_t>();
    return lane->builder_->Submit(
        [job, built] {
          const uint64_t began = MonotonicMicroseconds();
          job->Build();
          *built = MonotonicMicroseconds() - began;
        },
        [call, job, lane, built, answer = std::move(answer)]() mutable {
          if (job->Outdated()) {
            // Never refused: the builder has the place of the first attempt.
            Submit<R>(call, std::move(job), std::move(answer));
            return;
          }
          {
            const TurnWatch::Part part(lane->turns_, call->method_);
            const uint64_t began = MonotonicMicroseconds();
            absl::StatusOr<R> result = job->Publish();
            job.reset();
            call->CountChange(*built, MonotonicMicroseconds() - began);
            answer(*call, std::move(result));
          }
          lane->EndJob();
        });
  }

  template <typename MakeLine>
  void Answer(MakeLine make_line) {
    wants_answer_ ? reply_.Send(make_line()) : reply_.Skip();
  }
  void Busy() {
    Error(RpcError::kBusy, "too many changes are waiting; try again");
  }

  // Of the filter that is asked, if it is there and the method changes
  // something.
  std::optional<uint64_t> Generation() const;
  void CountChange(uint64_t build, uint64_t publish) const;
  static uint64_t MonotonicMicroseconds();
  // One line of the log for each change, and for each that was refused: who
  // asked for what, and what came of it.
  void Audit(std::string_view outcome) const;

  Operations* const operations_;
  const std::string method_;
  const std::string filter_;
  const nlohmann::json id_;
  const bool wants_answer_;
  const PeerCredentials peer_;
  UniqueFd descriptor_;
  Reply reply_;
  std::optional<uint64_t> generation_before_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_CALL_H_
