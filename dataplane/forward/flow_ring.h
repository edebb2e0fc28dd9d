// What a worker tells the control side of states. A full ring costs records,
// which are counted.
#ifndef SLUICE_DATAPLANE_FORWARD_FLOW_RING_H_
#define SLUICE_DATAPLANE_FORWARD_FLOW_RING_H_

#include "conntrack/flow_record.h"
#include "dataplane/forward/record_ring.h"

namespace sluice {

// One worker's; the other end is the control side's.
class FlowRing final : public FlowRecorder {
 public:
  explicit FlowRing(uint32_t capacity) : records_(capacity) {}

  FlowRecord* Begin() override { return records_.Begin(); }
  void Commit() override { records_.Commit(); }

  const FlowRecord* Front() const { return records_.Front(); }
  void Pop() { records_.Pop(); }
  uint64_t lost() const { return records_.lost(); }
  uint32_t capacity() const { return records_.capacity(); }

 private:
  RecordRing<FlowRecord> records_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_FLOW_RING_H_
