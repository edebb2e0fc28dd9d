// Work with a slow part, which a builder thread does.
#ifndef SLUICE_DATAPLANE_CONTROL_API_BUILD_JOB_H_
#define SLUICE_DATAPLANE_CONTROL_API_BUILD_JOB_H_

#include "absl/status/statusor.h"

namespace sluice {

// One change of the policy. Begun on the control lcore, built on the builder
// thread, published on the control lcore. There is one job at a time: the next
// is begun after this one is published or dropped. Dropped unpublished, it
// leaves no trace. What is not a job may change the policy in between, a
// restore or a port that comes or goes: then the job is built again.
template <typename Result>
class BuildJob {
 public:
  virtual ~BuildJob() = default;
  // On the builder thread, once, and again whenever it was Outdated(). Changes
  // nothing that is live.
  virtual void Build() = 0;
  // On the control lcore, after Build() and right before Publish(): whether
  // what it was built on is not in force any more.
  virtual bool Outdated() const { return false; }
  // On the control lcore, once: done, or nothing was changed.
  virtual absl::StatusOr<Result> Publish() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_BUILD_JOB_H_
