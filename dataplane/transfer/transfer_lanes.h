// Lanes: a thread for each transfer of a client, so that none waits for the
// descriptor of another, and the limits under which they are given out.
//
// The thread reads or writes and shows how far it is; the control lcore looks
// at it and decides when that is too slow, too long, or wanted by nobody any
// more. It then tells the thread to stop, and interrupts what it sleeps in. A
// thread that does not come back even so is left alone: its transfer has
// ended, and what it still has is its own.
#ifndef SLUICE_DATAPLANE_TRANSFER_TRANSFER_LANES_H_
#define SLUICE_DATAPLANE_TRANSFER_TRANSFER_LANES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/descriptor_io.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/transfer_limits.h"

namespace sluice {

struct FilterPlane;

// Memory that snapshots on their way take together. Any thread.
class TransferMemory {
 public:
  explicit TransferMemory(uint64_t limit) : limit_(limit) {}
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  friend class MemoryLease;
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// One snapshot's part of it; given back when it goes. One thread at a time.
class MemoryLease {
 public:
  explicit MemoryLease(std::shared_ptr<TransferMemory> memory)
      : memory_(std::move(memory)) {}
  ~MemoryLease() { memory_->used_ -= bytes_; }
  MemoryLease(const MemoryLease&) = delete;
  MemoryLease& operator=(const MemoryLease&) = delete;

  // To so many bytes in all. ResourceExhausted: there are not so many.
  absl::Status Grow(uint64_t bytes);

 private:
  const std::shared_ptr<TransferMemory> memory_;
  uint64_t bytes_ = 0;
};

// What the thread of a lane and the control lcore have in common, for one
// transfer.
class LaneIo {
 public:
  explicit LaneIo(std::shared_ptr<TransferMemory> memory)
      : lease_(std::make_shared<MemoryLease>(std::move(memory))) {}

  // The thread: around its calls of ReadDescriptor() and WriteDescriptor(),
  // to which the guard goes.
  void Enter() { inside_.store(true, std::memory_order_release); }
  void Leave() { inside_.store(false, std::memory_order_release); }
  absl::Status Guard(uint64_t moved);
  const std::shared_ptr<MemoryLease>& lease() const { return lease_; }

  // The control lcore.
  uint64_t moved() const { return moved_.load(std::memory_order_relaxed); }
  bool inside() const { return inside_.load(std::memory_order_acquire); }
  // Once: the thread's next question is answered so.
  void Stop(absl::Status why);
  // Not ok: what it was stopped for.
  absl::Status why() const {
    return stopped_.load(std::memory_order_acquire) ? why_ : absl::OkStatus();
  }

 private:
  std::atomic<uint64_t> moved_{0};
  std::atomic<bool> inside_{false};
  std::atomic<bool> stopped_{false};
  absl::Status why_;  // written before stopped_
  const std::shared_ptr<MemoryLease> lease_;
};

// Control lcore.
class TransferLanes {
 public:
  // A thread that sleeps in the kernel for so long after it was told to stop,
  // in milliseconds, is not waited for.
  static constexpr uint64_t kLost = 1'000;

  struct Counts {
    uint64_t over_limits = 0;
    uint64_t too_slow = 0;
    uint64_t abandoned = 0;
  };

  class Lane {
   public:
    // Has nothing else to do, until Release().
    Builder& builder() { return *builder_; }
    const std::shared_ptr<LaneIo>& io() const { return io_; }

   private:
    friend class TransferLanes;
    std::unique_ptr<Builder> builder_;
    std::shared_ptr<LaneIo> io_;  // null: the lane is free
    TransferClient client_;
    const FilterPlane* filter_ = nullptr;
    std::function<void()> stop_;
    std::function<void(const absl::Status&)> lost_;
    std::optional<TransferPace> pace_;  // from when bytes could move
    absl::Status why_;                  // not ok: it was told to stop
    uint64_t told_at_ = 0;
    uint64_t last_signal_ = 0;
  };

  // Null: TransferClock().
  explicit TransferLanes(const TransferLimits& limits,
                         std::function<uint64_t()> clock = nullptr);
  // Stops all; waits for those that come back.
  ~TransferLanes();
  TransferLanes(const TransferLanes&) = delete;
  TransferLanes& operator=(const TransferLanes&) = delete;

  // A free lane, or ResourceExhausted: which limit it is, and what to do.
  // `stop` is called when the transfer is told to stop, beside what the thread
  // hears; `lost` if its thread will not come back, and that is a Release().
  absl::StatusOr<Lane*> Take(const TransferClient& client,
                             const FilterPlane& filter,
                             std::string_view filter_name,
                             std::function<void()> stop,
                             std::function<void(const absl::Status&)> lost);
  // The transfer has ended. May be called from what its builder finishes.
  void Release(Lane* lane);

  // Finishes what threads have done, and looks after the others.
  void Poll();
  // Ends those of a filter, soon.
  void Cancel(const FilterPlane& filter);
  bool Uses(const FilterPlane& filter) const;
  uint64_t busy() const;
  const TransferMemory& memory() const { return *memory_; }
  const std::shared_ptr<TransferMemory>& shared_memory() const {
    return memory_;
  }
  const Counts& counts() const { return counts_; }

 private:
  // A thread that did not come back counts until it does.
  struct Lost {
    std::weak_ptr<LaneIo> io;
    uint32_t uid = 0;
  };

  void LookAfter(Lane& lane);
  void Stop(Lane& lane, absl::Status why);

  const TransferLimits limits_;
  const std::function<uint64_t()> clock_;
  const std::shared_ptr<TransferMemory> memory_;
  Counts counts_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Lost> lost_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_TRANSFER_LANES_H_
