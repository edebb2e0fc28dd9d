// Where a worker tells of packets that somebody wants to see. None of it is
// touched while nobody does.
#ifndef SLUICE_DATAPLANE_FORWARD_TRACE_TAP_H_
#define SLUICE_DATAPLANE_FORWARD_TRACE_TAP_H_

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/frame_tap.h"
#include "dataplane/forward/record_ring.h"
#include "dataplane/forward/trace_record.h"
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

// One worker's.
class TraceTap {
 public:
  // Packets between two looks of the control side.
  static constexpr uint32_t kRecords = 2048;

  // The conditions outlive it. `frames`: those of the packets are wanted, and
  // records come with them instead; null: they are not.
  explicit TraceTap(const TraceConditions* conditions,
                    const FrameConditions* frames = nullptr)
      : conditions_(*conditions), ring_(frames == nullptr ? kRecords : 1) {
    if (frames != nullptr) frames_ = std::make_unique<FrameTap>(frames);
  }

  // Worker: of packet i of a burst.
  void Offer(uint32_t i, const TraceRecord& record) {
    if (frames_ != nullptr) {
      OfferFrame(i, record);
      return;
    }
    if (!Wants(record) || !Sampled()) return;
    TraceRecord* const slot = ring_.Begin();
    if (slot == nullptr) return;
    *slot = record;
    ring_.Commit();
  }

  // The same, if frames are wanted: of one that has arrived and is not published
  // yet.
  void OfferFrame(uint32_t i, const TraceRecord& record) {
    if (frames_ == nullptr || !frames_->IsOpen(i)) return;
    const bool wanted = Wants(record) && Sampled();
    frames_->Decide(i, record, wanted);
  }

  // Control lcore.
  RecordRing<TraceRecord>& ring() { return ring_; }
  uint64_t matched() const { return matched_.value(); }

  // Null: none are wanted.
  FrameTap* frames() { return frames_.get(); }
  // Worker: whether what leaves is wanted, by what it was when it came.
  bool WantsLeaving(const TraceRecord& record) const {
    return Fits(record);
  }

 private:
  bool Sampled() {
    matched_.Add(1);
    return matched_.value() % conditions_.sample == 0;
  }
  bool Wants(const TraceRecord& record) const {
    return conditions_.ports[record.port] && Fits(record);
  }
  // All but where it came.
  bool Fits(const TraceRecord& record) const {
    const TraceConditions& c = conditions_;
    const PacketInfo& packet = record.packet;
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
  std::unique_ptr<FrameTap> frames_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_TRACE_TAP_H_
