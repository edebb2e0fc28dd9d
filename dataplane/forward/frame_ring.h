// Frames that a worker hands to the control side, of any length, in a ring of
// bytes. A full ring costs frames, which are counted, and never a packet or the
// worker's time. One writer, one reader.
#ifndef SLUICE_DATAPLANE_FORWARD_FRAME_RING_H_
#define SLUICE_DATAPLANE_FORWARD_FRAME_RING_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "packet/counter.h"

namespace sluice {

class FrameRing {
 public:
  // Places begin at such a multiple.
  static constexpr size_t kLine = 64;

  // `bytes` is rounded up to a power of two.
  explicit FrameRing(size_t bytes)
      : lines_(std::bit_ceil(bytes) / kLine), mask_(std::bit_ceil(bytes) - 1) {}
  FrameRing(const FrameRing&) = delete;
  FrameRing& operator=(const FrameRing&) = delete;

  // Worker: so many bytes in one piece, or null, which is counted. The reader
  // sees nothing of them before Publish().
  void* Begin(size_t bytes) {
    const uint64_t size = Sized(bytes);
    uint64_t at = written_;
    // What is left before the end, where nothing may be divided.
    const uint64_t rest = capacity() - (at & mask_);
    const uint64_t skip = rest < size ? rest : 0;
    if (at + skip + size - tail_.load(std::memory_order_acquire) >
        capacity()) {
      lost_.Add(1);
      return nullptr;
    }
    if (skip != 0) {
      const Head gap{.size = skip, .is_gap = 1};
      std::memcpy(Place(at), &gap, sizeof gap);
      at += skip;
    }
    const Head head{.size = size, .is_gap = 0};
    std::memcpy(Place(at), &head, sizeof head);
    begun_ = at;
    written_ = at + size;
    return Place(at) + kLine;
  }
  // Gives back what Begin() gave last, or all of it but `bytes`.
  void Shorten(size_t bytes) {
    const Head head{.size = bytes == 0 ? 0 : Sized(bytes), .is_gap = 0};
    std::memcpy(Place(begun_), &head, sizeof head);
    written_ = begun_ + head.size;
  }
  void Publish() { head_.store(written_, std::memory_order_release); }

  // Reader: the oldest, or null. It is the writer's again after Pop().
  const void* Front() {
    uint64_t tail = tail_.load(std::memory_order_relaxed);
    const uint64_t head = head_.load(std::memory_order_acquire);
    Head first{};
    for (;; tail += first.size) {
      if (tail == head) {
        tail_.store(tail, std::memory_order_release);
        return nullptr;
      }
      std::memcpy(&first, Place(tail), sizeof first);
      if (first.is_gap == 0) break;
    }
    tail_.store(tail, std::memory_order_release);
    return Place(tail) + kLine;
  }
  // After a Front() that was not null.
  void Pop() {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    Head first{};
    std::memcpy(&first, Place(tail), sizeof first);
    tail_.store(tail + first.size, std::memory_order_release);
  }

  // Frames that found no room. Any lcore.
  uint64_t lost() const { return lost_.value(); }
  size_t capacity() const { return mask_ + 1; }

 private:
  struct alignas(kLine) Line {
    uint8_t bytes[kLine];
  };
  // In the line before each place.
  struct Head {
    uint64_t size;  // with that line
    uint64_t is_gap;
  };

  static uint64_t Sized(size_t bytes) {
    return kLine + (bytes + kLine - 1) / kLine * kLine;
  }
  uint8_t* Place(uint64_t at) { return lines_[(at & mask_) / kLine].bytes; }

  std::vector<Line> lines_;
  const size_t mask_;
  // All of them grow for ever.
  alignas(128) std::atomic<uint64_t> head_{0};  // the writer's
  uint64_t written_ = 0;                        // not all of it published
  uint64_t begun_ = 0;
  Counter lost_;
  alignas(128) std::atomic<uint64_t> tail_{0};  // the reader's
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_FRAME_RING_H_
