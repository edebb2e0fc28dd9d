// Packets of a filter whose restore is under way: kept for a short time, in
// order, and then judged by what was restored, or dropped.
//
// One queue a filter and worker, owned by that worker; no call allocates. The
// share of the mbuf pool that all of them may keep is one counter.
#ifndef SLUICE_RESTORE_HOLD_QUEUE_H_
#define SLUICE_RESTORE_HOLD_QUEUE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/packet.h"
#include "restore/filter_status.h"

struct rte_mbuf;

namespace sluice {

inline constexpr uint32_t kMaxHeldPackets = 256;  // a power of two
inline constexpr Tick kMaxHoldTime = 200;         // milliseconds

// How many mbufs may be held over all filters. Written by all workers; nothing
// is ordered by it, so relaxed is enough.
class HoldBudget {
 public:
  explicit HoldBudget(uint32_t limit) : limit_(limit) {}
  // A twentieth of a pool of that many mbufs, at least one.
  static uint32_t ShareOf(uint32_t pool_size) {
    return pool_size / 20 + (pool_size < 20 ? 1 : 0);
  }

  bool Take() {
    if (used_.fetch_add(1, std::memory_order_relaxed) < limit_) return true;
    used_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void GiveBack(uint32_t count) {
    used_.fetch_sub(count, std::memory_order_relaxed);
  }
  uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  uint32_t limit() const { return limit_; }

 private:
  const uint32_t limit_;
  alignas(128) std::atomic<uint32_t> used_{0};
};

// Written by the worker, read by any; held = replayed + dropped + in the queue.
struct HoldStatistics {
  std::atomic<uint64_t> held{0};
  std::atomic<uint64_t> replayed{0};
  std::atomic<uint64_t> bypassed{0};
  std::atomic<uint64_t> dropped_expired{0};    // waited too long
  std::atomic<uint64_t> dropped_failed{0};     // by the fail policy
  std::atomic<uint64_t> dropped_cancelled{0};  // the incarnation ended
  // Not taken, and so not among those held:
  std::atomic<uint64_t> refused_full{0};
  std::atomic<uint64_t> refused_budget{0};
  std::atomic<uint64_t> longest{0};  // milliseconds that one has waited
};

// What is to become of the packets that are held.
enum class HoldEnd : uint8_t {
  kWait,       // nothing yet
  kReplay,     // through the policy in force, before the filter's next packet
  kEmergency,  // the same, through the emergency ruleset
  kDrop,
};

class HoldQueue {
 public:
  // `budget` is not owned.
  explicit HoldQueue(HoldBudget* budget) : budget_(budget) {}
  // Must be empty: see TakeDropped().
  ~HoldQueue() = default;
  HoldQueue(const HoldQueue&) = delete;
  HoldQueue& operator=(const HoldQueue&) = delete;

  // Keeps a packet of that incarnation. False: full, and the packet, the
  // newest one, is still the caller's, to be dropped. What is held of another
  // incarnation has been taken before.
  bool Hold(rte_mbuf* mbuf, uint32_t incarnation, Tick now);

  // What the filter's status means for what is held. Never kWait for packets of
  // another incarnation, or when the restore has ended. `fail_open`: the
  // filter's fail policy.
  HoldEnd EndOf(const FilterStatus& status, bool fail_open) const;

  // Moves up to out.size() packets out, oldest first, to be judged. They are
  // the caller's now. Returns how many.
  uint32_t TakeReplayed(std::span<rte_mbuf*> out, Tick now);
  // The same, to be dropped and counted: all of them, for what `status` says.
  uint32_t TakeDropped(const FilterStatus& status, std::span<rte_mbuf*> out,
                       Tick now);
  // The same for those that have waited for kMaxHoldTime.
  uint32_t TakeExpired(std::span<rte_mbuf*> out, Tick now);

  uint32_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  uint32_t incarnation() const { return incarnation_; }
  const HoldStatistics& statistics() const { return statistics_; }
  void CountBypass() { Add(&statistics_.bypassed, 1); }

 private:
  struct Held {
    rte_mbuf* mbuf;
    Tick since;
  };

  static void Add(std::atomic<uint64_t>* counter, uint64_t n) {
    counter->store(counter->load(std::memory_order_relaxed) + n,
                   std::memory_order_relaxed);
  }
  uint32_t Take(std::span<rte_mbuf*> out, Tick now, bool only_expired);

  HoldBudget* const budget_;
  uint32_t incarnation_ = 0;
  uint32_t head_ = 0;  // the oldest
  uint32_t count_ = 0;
  std::array<Held, kMaxHeldPackets> packets_;
  HoldStatistics statistics_;
};

// ARP, IPv6 neighbour discovery (RFC 4861: ICMPv6 133 to 137, hop limit 255)
// and DHCP (RFC 2131, RFC 8415): what a host needs to be a neighbour at all.
// Such packets may be let past the hold, to be judged by nothing.
// `info` describes `mbuf`.
bool MayBypassHold(const PacketInfo& info, const rte_mbuf& mbuf);

}  // namespace sluice

#endif  // SLUICE_RESTORE_HOLD_QUEUE_H_
