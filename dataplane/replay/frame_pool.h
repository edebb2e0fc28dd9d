// Mbufs without NICs, hugepages or root: what a replay needs of DPDK.
#ifndef SLUICE_DATAPLANE_REPLAY_FRAME_POOL_H_
#define SLUICE_DATAPLANE_REPLAY_FRAME_POOL_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

// One a process: it starts the EAL.
class FramePool {
 public:
  static absl::StatusOr<std::unique_ptr<FramePool>> Create();
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  rte_mempool* get() const { return pool_; }

  // A copy of the frame, of at most 262144 bytes, in as many segments as it
  // needs; null when the pool is empty.
  rte_mbuf* Make(std::span<const uint8_t> frame);
  // Mbufs that are out.
  uint32_t InUse() const;

 private:
  explicit FramePool(rte_mempool* pool) : pool_(pool) {}
  rte_mempool* pool_;
};

// The bytes of all segments, in `buffer`.
std::span<const uint8_t> FrameBytes(const rte_mbuf& mbuf,
                                    std::vector<uint8_t>& buffer);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_FRAME_POOL_H_
