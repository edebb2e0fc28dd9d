// Flows as collectors read them: IPFIX (RFC 7011) with the templates of
// FlowTemplate, and NetFlow version 5, as pflow(4) sends both.
//
// A state is two flows, one each way, each with what went that way; the way
// back is left out if nothing went. NetFlow 5 knows IPv4 alone: a flow goes out
// as it came, without its translation, and not at all if that is IPv6.
#ifndef SLUICE_DATAPLANE_PACKETLOG_FLOW_MESSAGES_H_
#define SLUICE_DATAPLANE_PACKETLOG_FLOW_MESSAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "conntrack/flow_record.h"

namespace sluice {

// The moment at which records are sent, by both clocks.
struct FlowTime {
  Tick now = 0;
  uint64_t wall = 0;  // microseconds since 1970

  // Milliseconds since 1970 of a moment that is not later, and not 49 days ago.
  uint64_t WallOf(Tick moment) const {
    const uint64_t ago = TicksUntil(now, moment);
    const uint64_t milliseconds = wall / 1000;
    return milliseconds - (ago < milliseconds ? ago : milliseconds);
  }
};

// Which templates there are: by the family of a flow, and by the family that a
// translation gives it, if it has one.
inline constexpr size_t kFlowTemplates = 6;
inline constexpr uint16_t kFirstFlowTemplate = 256;

// Bytes of a datagram's payload: what fits into a frame of 1500 with IPv6.
inline constexpr size_t kFlowDatagram = 1400;

// Makes datagrams of flows, and hands each over as soon as it is full.
class FlowMessages {
 public:
  using Send = std::function<void(std::string_view datagram, uint32_t flows)>;
  virtual ~FlowMessages() = default;
  // The flows of a state that has ended.
  virtual void Add(const FlowRecord& record, const FlowTime& time) = 0;
  // What waits goes.
  virtual void Flush(const FlowTime& time) = 0;
  // Records that the protocol has no form for.
  uint64_t unfit() const { return unfit_; }

 protected:
  uint64_t unfit_ = 0;
};

class IpfixMessages final : public FlowMessages {
 public:
  // Templates go again after so much time, with the next flows.
  static constexpr uint64_t kTemplateInterval = 30'000'000;  // microseconds

  IpfixMessages(uint32_t domain, Send send)
      : domain_(domain), send_(std::move(send)) {}

  void Add(const FlowRecord& record, const FlowTime& time) override;
  void Flush(const FlowTime& time) override;

 private:
  void Put(const FlowRecord& record, size_t from, const FlowTime& time);
  void PutTemplates();
  void EndSet();

  const uint32_t domain_;
  const Send send_;
  std::string message_;  // begins with room for the header
  size_t set_ = 0;       // where the open set begins; 0: there is none
  uint16_t template_ = 0;  // of the open set
  uint32_t flows_ = 0;     // in the message
  uint32_t sequence_ = 0;  // flows sent before it
  uint64_t templates_at_ = 0;  // when they were sent; 0: never
};

class NetflowMessages final : public FlowMessages {
 public:
  // `started`: the moment of which the exporter's up time counts.
  NetflowMessages(uint8_t engine, Tick started, Send send)
      : engine_(engine), heard_(started), send_(std::move(send)) {}

  void Add(const FlowRecord& record, const FlowTime& time) override;
  void Flush(const FlowTime& time) override;

 private:
  static constexpr uint16_t kMostFlows = 30;

  // Milliseconds of it: however long the exporter runs, ticks are told apart. It
  // has to hear of the time once in 49 days.
  void Pass(Tick now) {
    const Tick passed = TicksUntil(now, heard_);
    if (passed == 0) return;
    up_ += passed;
    heard_ = now;
  }
  // As Pass() has heard of it. States from elsewhere are older than this
  // exporter.
  uint32_t UpTime(Tick moment) const {
    const uint64_t ago = TicksUntil(heard_, moment);
    return static_cast<uint32_t>(ago < up_ ? up_ - ago : 0);
  }

  const uint8_t engine_;
  Tick heard_;
  uint64_t up_ = 0;  // until then
  const Send send_;
  std::string message_;
  uint16_t flows_ = 0;
  uint32_t sequence_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_FLOW_MESSAGES_H_
