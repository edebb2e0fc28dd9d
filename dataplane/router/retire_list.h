// Memory of routing tables that workers may still read.
#ifndef SLUICE_DATAPLANE_ROUTER_RETIRE_LIST_H_
#define SLUICE_DATAPLANE_ROUTER_RETIRE_LIST_H_

#include <deque>
#include <functional>
#include <mutex>
#include <utility>

#include "pftable/engine/reclaimer.h"

namespace sluice {

// Any thread.
class RetireList {
 public:
  // Not owned; to be used no more after Drain().
  explicit RetireList(Reclaimer* reclaimer) : reclaimer_(reclaimer) {}

  // `free` is called out of Poll(), when every worker that runs now has come
  // by, or at once after Drain().
  void Retire(std::function<void()> free) {
    {
      const std::lock_guard lock(mutex_);
      if (reclaimer_ != nullptr) {
        waiting_.emplace_back(reclaimer_->StartGracePeriod(), std::move(free));
        return;
      }
    }
    free();
  }
  void Poll() {
    for (;;) {
      std::function<void()> free;
      {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty() || reclaimer_ == nullptr ||
            !reclaimer_->HasPassed(waiting_.front().first)) {
          return;
        }
        free = std::move(waiting_.front().second);
        waiting_.pop_front();
      }
      free();
    }
  }
  // No worker runs any more: all of it goes.
  void Drain() {
    std::deque<std::pair<uint64_t, std::function<void()>>> rest;
    {
      const std::lock_guard lock(mutex_);
      reclaimer_ = nullptr;
      rest.swap(waiting_);
    }
    for (auto& [period, free] : rest) free();
  }

 private:
  std::mutex mutex_;
  Reclaimer* reclaimer_;
  std::deque<std::pair<uint64_t, std::function<void()>>> waiting_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_RETIRE_LIST_H_
