// A BuildJob from two functions, or three.
#ifndef SLUICE_TESTS_SUPPORT_FUNCTION_JOB_H_
#define SLUICE_TESTS_SUPPORT_FUNCTION_JOB_H_

#include <functional>
#include <utility>

#include "absl/status/statusor.h"
#include "dataplane/control/api/filter_control.h"

namespace sluice {

template <typename Result>
class FunctionJob : public BuildJob<Result> {
 public:
  FunctionJob(std::function<void()> build,
              std::function<absl::StatusOr<Result>()> publish,
              std::function<bool()> outdated = [] { return false; })
      : build_(std::move(build)),
        publish_(std::move(publish)),
        outdated_(std::move(outdated)) {}
  void Build() override { build_(); }
  bool Outdated() const override { return outdated_(); }
  absl::StatusOr<Result> Publish() override { return publish_(); }

 private:
  std::function<void()> build_;
  std::function<absl::StatusOr<Result>()> publish_;
  std::function<bool()> outdated_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_FUNCTION_JOB_H_
