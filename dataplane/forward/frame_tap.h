// The frames of packets that somebody captures: one worker's part of a trace
// with frames. What arrives is copied before anything is done to it, what
// leaves as it leaves, both as far as the capture wants; whether a frame is
// wanted is known once the burst is judged, and only then does the control side
// see it. None of it is touched while nobody captures.
#ifndef SLUICE_DATAPLANE_FORWARD_FRAME_TAP_H_
#define SLUICE_DATAPLANE_FORWARD_FRAME_TAP_H_

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/frame_ring.h"
#include "dataplane/forward/trace_record.h"
#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// An instruction of a classic BPF program, as bpf_filter() takes it.
struct FilterStep {
  uint16_t code = 0;
  uint8_t jump_true = 0;
  uint8_t jump_false = 0;
  uint32_t value = 0;

  friend bool operator==(const FilterStep&, const FilterStep&) = default;
};
inline constexpr size_t kMaxFilterSteps = 1024;
// Whether it ends on every way through it, without a step back or out of it.
bool IsGoodFilter(const std::vector<FilterStep>& steps);

inline constexpr uint32_t kMaxSnapLength = 65535;

struct FrameConditions {
  bool arriving = true;  // as they came
  bool leaving = true;   // as they went, and answers
  uint32_t snap_length = kMaxSnapLength;
  // Over frames; empty: all of them.
  std::vector<FilterStep> steps;
  std::bitset<kMaxPorts> ports;  // where they arrive or leave
};

struct FrameRecord {
  TraceRecord traced;   // of what leaves, as it leaves
  uint64_t cycles = 0;  // of the time-stamp counter
  uint32_t length = 0;  // of the frame
  uint32_t captured = 0;
  bool leaving = false;
  bool answer = false;   // the firewall's own
  bool wanted = false;   // else it is to be passed over
  uint16_t at = 0;       // the port that it arrived at or leaves by

  const uint8_t* bytes() const {
    return reinterpret_cast<const uint8_t*>(this) + sizeof(FrameRecord);
  }
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this) + sizeof *this; }
};
static_assert(alignof(FrameRecord) <= FrameRing::kLine);

// Memory is the ring's, and as much for each worker.
class FrameTap {
 public:
  static constexpr size_t kRingBytes = size_t{4} << 20;

  // The conditions outlive it.
  explicit FrameTap(const FrameConditions* conditions)
      : conditions_(*conditions), ring_(kRingBytes) {}

  // Worker. In this order, for a burst: what has come, what became of it, what
  // leaves.
  void Arrive(uint16_t port, const PacketBurst& burst);
  // Whether it is there, and nobody has said yet that it is wanted.
  bool IsOpen(uint32_t i) const {
    return arrived_[i] != nullptr && !arrived_[i]->wanted;
  }
  // Of packet i of the burst, if it has arrived; `wanted`: it is what the trace is of.
  void Decide(uint32_t i, const TraceRecord& record, bool wanted);
  // `record`: null of an answer.
  void Leave(uint16_t port, const rte_mbuf& mbuf, const TraceRecord* record);
  void Finish() {
    ring_.Publish();
    arrived_.fill(nullptr);
  }

  bool leaving() const { return conditions_.leaving; }

  // Control lcore.
  FrameRing& ring() { return ring_; }

 private:
  FrameRecord* Copy(uint16_t port, const rte_mbuf& mbuf);

  const FrameConditions& conditions_;
  FrameRing ring_;
  std::array<FrameRecord*, kMaxBurst> arrived_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_FRAME_TAP_H_
