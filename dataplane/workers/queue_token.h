// Who may call the burst function of a port's queue at this moment.
//
// With several workers, a queue whose worker does not run is polled by another
// one. The first may wake at any point of its loop: so each takes the queue's
// token for the length of the call, and a queue whose worker sleeps in the
// middle of one is nobody's until it wakes. tests/models/queue_takeover.pml is
// searched for two in a queue at once.
#ifndef SLUICE_DATAPLANE_WORKERS_QUEUE_TOKEN_H_
#define SLUICE_DATAPLANE_WORKERS_QUEUE_TOKEN_H_

#include <atomic>
#include <cstdint>
#include <vector>

namespace sluice {

// Writers and readers: all workers. Order: taking acquires what the one before
// has released.
class alignas(64) QueueToken {
 public:
  bool TryTake(uint16_t worker) {
    uint16_t nobody = kNobody;
    return owner_.compare_exchange_strong(nobody, worker,
                                          std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void Release() { owner_.store(kNobody, std::memory_order_release); }

 private:
  static constexpr uint16_t kNobody = 0xffff;
  std::atomic<uint16_t> owner_{kNobody};
};

// One for each queue of each port, by number.
class QueueTokens {
 public:
  QueueTokens(size_t ports, size_t queues)
      : queues_(queues), tokens_(ports * queues) {}

  QueueToken* at(uint16_t port, uint16_t queue) {
    return &tokens_[port * queues_ + queue];
  }

 private:
  const size_t queues_;
  std::vector<QueueToken> tokens_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_QUEUE_TOKEN_H_
