// Where a worker tells of packets that somebody wants to see. None of it is
// touched while nobody does.
#ifndef SLUICE_DATAPLANE_FORWARD_TRACE_TAP_H_
#define SLUICE_DATAPLANE_FORWARD_TRACE_TAP_H_

#include <bitset>
#include <cstdint>
#include <optional>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/record_ring.h"
#include "packet/address.h"
#include "packet/drop_reason.h"
#include "packet/packet.h"

namespace sluice {

// Which packets: all conditions that are there have to hold.
struct TraceConditions {
  std::bitset<kMaxPorts> ports;  // of arrival
  std::optional<Prefix> source, destination;  // as they came
  std::optional<uint16_t> source_port, destination_port;
  std::optional<uint8_t> protocol;
  std::optional<bool> passed;
  std::optional<DropReason> reason;  // of those that did not
  uint32_t sample = 1;  // one of so many
};

struct TraceRecord {
  PacketInfo packet{};  // as it came
  Tick now = 0;
  uint32_t rule = 0;    // as PacketVerdict has these
  uint32_t rule_slot = 0;
  uint16_t port = 0;    // of arrival
  DropReason reason = DropReason::kMatch;
  bool passed = false;
  bool held = false;
  std::optional<Direction> judged;
};

// One worker's.
class TraceTap {
 public:
  // Packets between two looks of the control side.
  static constexpr uint32_t kRecords = 2048;

  // The conditions outlive it.
  explicit TraceTap(const TraceConditions* conditions)
      : conditions_(*conditions), ring_(kRecords) {}

  // Worker.
  void Offer(const TraceRecord& record) {
    if (!Wants(record)) return;
    matched_.Add(1);
    if (matched_.value() % conditions_.sample != 0) return;
    TraceRecord* const slot = ring_.Begin();
    if (slot == nullptr) return;
    *slot = record;
    ring_.Commit();
  }

  // Control lcore.
  RecordRing<TraceRecord>& ring() { return ring_; }
  uint64_t matched() const { return matched_.value(); }

 private:
  bool Wants(const TraceRecord& record) const {
    const TraceConditions& c = conditions_;
    const PacketInfo& packet = record.packet;
    if (!c.ports[record.port]) return false;
    if (c.passed && *c.passed != record.passed) return false;
    if (packet.kind != Kind::kIp &&
        (c.protocol || c.source_port || c.destination_port || c.source ||
         c.destination)) {
      return false;
    }
    if (c.reason &&
        (record.passed || record.held || *c.reason != record.reason)) {
      return false;
    }
    if (c.protocol && *c.protocol != packet.proto) return false;
    if (c.source_port && *c.source_port != packet.source_port.host()) {
      return false;
    }
    if (c.destination_port &&
        *c.destination_port != packet.destination_port.host()) {
      return false;
    }
    return Within(c.source, packet, packet.source) &&
           Within(c.destination, packet, packet.destination);
  }
  static bool Within(const std::optional<Prefix>& prefix,
                     const PacketInfo& packet,
                     const std::array<uint8_t, 16>& address) {
    return !prefix ||
           (prefix->address.family == packet.family &&
            prefix->Contains(Address::FromBytes(packet.family,
                                                address.data())));
  }

  const TraceConditions& conditions_;
  Counter matched_;
  RecordRing<TraceRecord> ring_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_TRACE_TAP_H_
