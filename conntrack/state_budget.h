// `set limit states` of one filter, counted over all workers.
#ifndef SLUICE_CONNTRACK_STATE_BUDGET_H_
#define SLUICE_CONNTRACK_STATE_BUDGET_H_

#include <atomic>
#include <cstdint>

namespace sluice {

// Exact: a worker takes one unit for each state that it makes and gives it
// back when the state ends. One atomic addition a creation is small beside the
// rest of it; shares per worker would refuse states while others have room.
// The limit may be set below what is in use: nothing is taken away, new states
// are refused until enough have ended.
//
// `used_` is written by all workers, `limit_` by the control side; nothing else
// is ordered by them, so relaxed is enough.
class StateBudget {
 public:
  explicit StateBudget(uint32_t limit) : limit_(limit) {}

  bool Take() {
    if (used_.fetch_add(1, std::memory_order_relaxed) <
        limit_.load(std::memory_order_relaxed)) {
      return true;
    }
    used_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void GiveBack() { used_.fetch_sub(1, std::memory_order_relaxed); }

  void SetLimit(uint32_t limit) {
    limit_.store(limit, std::memory_order_relaxed);
  }
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  uint32_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  alignas(128) std::atomic<uint32_t> used_{0};
  alignas(128) std::atomic<uint32_t> limit_;
};

// TCP handshakes of one filter that are under way, over all workers: what
// adaptive SYN cookies go by. Written by all workers, relaxed.
struct HandshakeLoad {
  alignas(128) std::atomic<uint32_t> half_open{0};
  // There are too many of them: new ones get cookies.
  std::atomic<bool> flood{false};
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_BUDGET_H_
