// What a worker tells the control side of packets, record by record. A full
// ring costs records, which are counted, and never a packet or the worker's
// time. One writer, one reader.
#ifndef SLUICE_DATAPLANE_FORWARD_RECORD_RING_H_
#define SLUICE_DATAPLANE_FORWARD_RECORD_RING_H_

#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

#include "packet/counter.h"

namespace sluice {

template <typename Record>
class RecordRing {
 public:
  // `capacity` is rounded up to a power of two.
  explicit RecordRing(uint32_t capacity)
      : records_(std::bit_ceil(capacity)), mask_(std::bit_ceil(capacity) - 1) {}
  RecordRing(const RecordRing&) = delete;
  RecordRing& operator=(const RecordRing&) = delete;

  // Worker: the next record to fill in, or null, which is counted. It is handed
  // over by Commit().
  Record* Begin() {
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
  const Record* Front() const {
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
  std::vector<Record> records_;
  const uint32_t mask_;
  alignas(128) std::atomic<uint32_t> head_{0};  // the writer's
  Counter lost_;
  alignas(128) std::atomic<uint32_t> tail_{0};  // the reader's
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_RECORD_RING_H_
