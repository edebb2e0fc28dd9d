// What `log` rules leave behind: one record a packet and rule, from a worker to
// the control side. A full ring costs records, which are counted, and never a
// packet or the worker's time.
#ifndef SLUICE_DATAPLANE_FORWARD_LOG_RING_H_
#define SLUICE_DATAPLANE_FORWARD_LOG_RING_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/forward/record_ring.h"
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

class LogRing : public RecordRing<LogRecord> {
 public:
  using RecordRing::RecordRing;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_LOG_RING_H_
