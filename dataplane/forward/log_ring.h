// What `log` rules leave behind: one record a packet and rule, from a worker to
// the control side. A full ring costs records, which are counted, and never a
// packet or the worker's time.
#ifndef SLUICE_DATAPLANE_FORWARD_LOG_RING_H_
#define SLUICE_DATAPLANE_FORWARD_LOG_RING_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "packet/counter.h"
#include "packet/drop_reason.h"
#include "packet/packet.h"
#include "pftable/policy/rule.h"

namespace sluice {

// Bytes of a packet that its record keeps, from the IP header on: what pflogd
// keeps.
inline constexpr size_t kLogBytes = 160;

struct alignas(64) LogRecord {
  Tick now = 0;
  uint32_t rule_slot = 0;
  uint32_t anchor_slot = 0;  // of the call, or kNoRuleSlot
  uint32_t log_slot = 0;     // LoggedRule::log_slot
  uint16_t filter = 0;
  uint16_t interface = 0;  // its number in the registry
  uint16_t length = 0;     // of the IP packet
  uint8_t captured = 0;    // bytes of it that are in `bytes`
  // What the rule says; of the last record of a packet, what became of it.
  RuleAction action = RuleAction::kPass;
  DropReason reason = DropReason::kMatch;
  Direction direction = Direction::kIn;
  Family family = Family::kIpv4;
  std::array<uint8_t, kLogBytes> bytes;
};
static_assert(sizeof(LogRecord) == 192);

// One writer, one reader.
class LogRing {
 public:
  // `capacity` is rounded up to a power of two.
  explicit LogRing(uint32_t capacity)
      : records_(std::bit_ceil(capacity)), mask_(std::bit_ceil(capacity) - 1) {}
  LogRing(const LogRing&) = delete;
  LogRing& operator=(const LogRing&) = delete;

  // Worker: the next record to fill in, or null, which is counted. It is handed
  // over by Commit().
  LogRecord* Begin() {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) > mask_) {
      lost_.Add(1);
      return nullptr;
    }
    return &records_[head & mask_];
  }
  void Commit() {
    head_.store(head_.load(std::memory_order_relaxed) + 1,
                std::memory_order_release);
  }

  // Reader: the oldest record, or null. It is the writer's again after Pop().
  const LogRecord* Front() const {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return nullptr;
    return &records_[tail & mask_];
  }
  void Pop() {
    tail_.store(tail_.load(std::memory_order_relaxed) + 1,
                std::memory_order_release);
  }

  // Records that found no room. Any lcore.
  uint64_t lost() const { return lost_.value(); }
  uint32_t capacity() const { return mask_ + 1; }

 private:
  std::vector<LogRecord> records_;
  const uint32_t mask_;
  alignas(128) std::atomic<uint32_t> head_{0};  // the writer's
  Counter lost_;
  alignas(128) std::atomic<uint32_t> tail_{0};  // the reader's
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_LOG_RING_H_
