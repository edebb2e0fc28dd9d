// What a worker tells of one packet that somebody wants to see.
#ifndef SLUICE_DATAPLANE_FORWARD_TRACE_RECORD_H_
#define SLUICE_DATAPLANE_FORWARD_TRACE_RECORD_H_

#include <cstdint>
#include <optional>

#include "dataplane/forward/topology.h"
#include "packet/drop_reason.h"
#include "packet/packet.h"
#include "pftable/policy/rule.h"

namespace sluice {

struct TraceRecord {
  PacketInfo packet{};  // as it came
  Tick now = 0;
  uint32_t rule = 0;    // as PacketVerdict has these
  uint32_t rule_slot = 0;
  uint16_t port = 0;    // of arrival
  uint16_t departure = kNoPort;  // where it was judged out, if it was
  DropReason reason = DropReason::kMatch;
  bool passed = false;
  bool held = false;
  std::optional<Direction> judged;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_TRACE_RECORD_H_
