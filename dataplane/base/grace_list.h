// What is to be done once no worker can still use what was replaced. Belongs to
// the control lcore.
#ifndef SLUICE_DATAPLANE_BASE_GRACE_LIST_H_
#define SLUICE_DATAPLANE_BASE_GRACE_LIST_H_

#include <cstdint>
#include <deque>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "pftable/engine/reclaimer.h"

namespace sluice {

class GraceList {
 public:
  // Not owned.
  explicit GraceList(Reclaimer* reclaimer) : reclaimer_(reclaimer) {}
  GraceList(const GraceList&) = delete;
  GraceList& operator=(const GraceList&) = delete;

  // Every worker that runs now has to come by once before `then` is called,
  // out of Poll(). What was published before this call is what they find.
  void After(absl::AnyInvocable<void()> then) {
    waiting_.emplace_back(reclaimer_->StartGracePeriod(), std::move(then));
  }
  void Poll() {
    while (!waiting_.empty() &&
           reclaimer_->HasPassed(waiting_.front().first)) {
      // Off the list first: it may put the next thing on it.
      absl::AnyInvocable<void()> then = std::move(waiting_.front().second);
      waiting_.pop_front();
      then();
    }
  }
  // Nothing of it is called any more; what it holds goes.
  void Drop() {
    // What goes may put the next thing on it.
    while (!waiting_.empty()) {
      const absl::AnyInvocable<void()> dropped =
          std::move(waiting_.front().second);
      waiting_.pop_front();
    }
  }
  bool empty() const { return waiting_.empty(); }

 private:
  Reclaimer* const reclaimer_;
  // Grace periods end in the order in which they began.
  std::deque<std::pair<uint64_t, absl::AnyInvocable<void()>>> waiting_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_GRACE_LIST_H_
