#include "dataplane/workers/mailbox.h"

#include <utility>

namespace sluice {

Mailbox::~Mailbox() {
  delete current_;
  void* pointer;
  while (orders_.Pop({&pointer, 1}) == 1) {
    delete static_cast<WorkerOrder*>(pointer);
  }
  while (done_.Pop({&pointer, 1}) == 1) {
    delete static_cast<WorkerOrder*>(pointer);
  }
}

void Mailbox::Post(std::unique_ptr<WorkerOrder> order) {
  waiting_.push_back(std::move(order));
  Feed();
}

void Mailbox::Feed() {
  // No more than kCapacity are out, so that `done_` has room for all.
  while (!waiting_.empty() && in_work_ < kCapacity) {
    void* pointer = waiting_.front().get();
    if (orders_.Push({&pointer, 1}) == 0) return;
    static_cast<void>(waiting_.front().release());
    waiting_.pop_front();
    ++in_work_;
  }
}

uint32_t Mailbox::Collect() {
  uint32_t count = 0;
  void* pointer;
  while (done_.Pop({&pointer, 1}) == 1) {
    --in_work_;
    ++count;
    // Done() may post again.
    const std::unique_ptr<WorkerOrder> order(
        static_cast<WorkerOrder*>(pointer));
    order->Done();
  }
  Feed();
  return count;
}

bool Mailbox::Step(const WorkerView& view) {
  if (current_ == nullptr) {
    void* pointer;
    if (orders_.Pop({&pointer, 1}) == 0) return false;
    current_ = static_cast<WorkerOrder*>(pointer);
  }
  if (current_->Step(view)) {
    void* pointer = std::exchange(current_, nullptr);
    done_.Push({&pointer, 1});
  }
  return true;
}

}  // namespace sluice
