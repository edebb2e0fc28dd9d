// What is told of a state to those who keep account of flows: once when it is
// made, once when it ends. A worker writes it, the control side reads it.
#ifndef SLUICE_CONNTRACK_FLOW_RECORD_H_
#define SLUICE_CONNTRACK_FLOW_RECORD_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "packet/address.h"
#include "packet/packet.h"
#include "packet/vlan.h"

namespace sluice {

// Why a state is no more.
enum class FlowEnd : uint8_t {
  kNone,      // it has just been made
  kTimeout,   // no packet came
  kFinished,  // both sides have closed it
  kReset,     // one of them has broken it off
  kReplaced,  // a new flow has the same addresses and ports
  kLimit,     // its source opens too many connections, or too fast
  kRemoved,   // by an order: killed, flushed, taken back, or its filter went
};
inline constexpr std::array<std::string_view, 7> kFlowEndNames = {
    "none", "timeout", "fin", "rst", "replaced", "limit", "removed"};
constexpr std::string_view FlowEndName(FlowEnd end) {
  return kFlowEndNames[static_cast<size_t>(end)];
}

// Ticks from `moment` to a later one. A worker's look at the clock may be
// somewhat older than what another, or its own sweep, has written: then it is 0.
inline constexpr Tick kTicksAhead = 60'000;
constexpr Tick TicksUntil(Tick now, Tick moment) {
  const Tick since = now - moment;
  return since > UINT32_MAX - kTicksAhead ? 0 : since;
}

// Arrays by Peer; host order. Of ICMP the originator's port is the query's
// identifier and the responder's the request's type.
struct FlowRecord {
  uint64_t id = 0;
  uint64_t parent = 0;  // 0: none
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  std::array<Address, 2> address;
  // Behind its translation; of the family kNone: it has none.
  std::array<Address, 2> translated;
  std::array<uint16_t, 2> port{};
  std::array<uint16_t, 2> translated_port{};
  uint32_t rule_slot = 0;
  uint32_t anchor_slot = 0;
  Tick created = 0;
  Tick last_seen = 0;
  Tick now = 0;  // of the event
  VlanId vlan;
  uint16_t filter = 0;
  uint16_t interface = 0;  // where it was made
  Direction direction = Direction::kIn;
  uint8_t proto = 0;
  FlowEnd end = FlowEnd::kNone;
  // Its rule says `pflow`.
  bool exported = false;

  bool is_translated() const { return translated[0].family != Family::kNone; }
};

// Who is told. One a worker, called by that worker only: it neither allocates
// nor blocks.
class FlowRecorder {
 public:
  virtual ~FlowRecorder() = default;
  // The record to fill in, of which nothing is set; null: there is no room. It
  // is handed over by Commit().
  virtual FlowRecord* Begin() = 0;
  virtual void Commit() = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FLOW_RECORD_H_
