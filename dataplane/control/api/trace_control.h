// What can be asked of packets as they pass: that some of them are told of. A
// trace belongs to nobody: who does not read it any more has it closed for him.
#ifndef SLUICE_DATAPLANE_CONTROL_API_TRACE_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_TRACE_CONTROL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "packet/address.h"
#include "packet/packet.h"

namespace sluice {

// That the frames are wanted, too.
struct FrameQuery {
  bool arriving = true;  // at the query's ports, as they come
  bool leaving = true;   // by them, as they go; and what the firewall answers
  uint32_t snap_length = 65535;
  // A classic BPF program over frames, {code, jt, jf, k} a step; empty: all.
  std::vector<std::array<uint32_t, 4>> program{};
};

// All that is set has to hold.
struct TraceQuery {
  std::string port;    // of arrival
  std::string filter;  // that judges at one end of the packet's wire
  std::optional<Prefix> source, destination;
  std::optional<uint16_t> source_port, destination_port;
  std::optional<uint8_t> protocol;
  std::optional<bool> passed;
  std::string reason;   // for which it was dropped
  uint32_t sample = 1;  // one of so many that fit
  std::optional<FrameQuery> frames{};
};

struct TracedFrame {
  bool leaving = false;  // else it arrived
  bool answer = false;   // it is the firewall's own
  uint32_t length = 0;   // of the whole
  std::string bytes{};
};

struct TracedPacket {
  int64_t time_us = 0;  // Unix
  // Of arrival; of a frame that leaves, where it does.
  std::string port;
  PacketInfo packet{};  // as it came, or leaves; of what is no IP only `kind` counts
  bool passed = false;
  bool held = false;    // waits for a restore or other fragments
  std::string reason;   // if it was dropped
  // The judgement that decided, or the last that it passed; none: it was judged
  // at neither port.
  std::optional<Direction> judged;
  // That decided there; none: a state, the default rule, or none was asked.
  std::optional<uint32_t> rule;
  std::string anchor;  // that the rule stands in
  std::optional<TracedFrame> frame{};
};

struct TraceSlice {
  std::vector<TracedPacket> packets;  // by time, of each worker
  uint64_t matched = 0;  // since it was opened, `sample` apart
  uint64_t lost = 0;     // that found no room
};

class TraceControl {
 public:
  virtual ~TraceControl() = default;

  // Its number. NotFound: no such port, filter or reason; ResourceExhausted:
  // there are as many as there may be.
  virtual absl::StatusOr<uint64_t> OpenTrace(const TraceQuery& query) = 0;
  // What has come since the last time, at most `limit`, and of frames about a
  // megabyte. NotFound: it was
  // closed, or not read for long.
  virtual absl::StatusOr<TraceSlice> ReadTrace(uint64_t trace,
                                               size_t limit) = 0;
  virtual absl::Status CloseTrace(uint64_t trace) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_TRACE_CONTROL_H_
