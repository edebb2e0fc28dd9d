// What can be asked of packets of `log` rules: that they are told of as they
// are written. A follower belongs to nobody: who does not read any more is
// forgotten.
#ifndef SLUICE_DATAPLANE_CONTROL_API_LOG_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_LOG_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

struct LoggedPacket {
  uint64_t time_us = 0;   // Unix
  uint8_t pflog = 0;      // its number
  uint16_t filter = 0;    // its number
  uint32_t length = 0;    // of the IP packet
  std::string interface;
  std::string direction;  // "in", "out"
  std::string action;     // "pass", "block", "match"
  std::string reason;     // "match" for what passes
  int64_t rule = -1;      // in the main ruleset; -1: not in force any more
  int64_t subrule = -1;   // within the anchor; -1: in none
  std::string anchor;
  std::string record;     // pf's log header and the IP packet, cut
  uint32_t header = 0;    // bytes of the former
};

struct LogSlice {
  std::vector<LoggedPacket> packets;
  uint64_t lost = 0;  // since it was opened: for want of room
};

class LogControl {
 public:
  virtual ~LogControl() = default;

  // Its number. ResourceExhausted: there are as many as there may be.
  virtual absl::StatusOr<uint64_t> OpenLog() = 0;
  // What has come since the last time, at most `limit`. NotFound: it was
  // closed, or not read for long.
  virtual absl::StatusOr<LogSlice> ReadLog(uint64_t follower,
                                           size_t limit) = 0;
  virtual absl::Status CloseLog(uint64_t follower) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_LOG_CONTROL_H_
