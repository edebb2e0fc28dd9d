// From the workers' records of logged packets to files. Belongs to the control
// lcore, which empties the rings, limits the rate, and finds the names.
#ifndef SLUICE_DATAPLANE_PACKETLOG_PACKET_LOG_H_
#define SLUICE_DATAPLANE_PACKETLOG_PACKET_LOG_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/forward/log_ring.h"
#include "dataplane/packetlog/log_files.h"
#include "dataplane/packetlog/log_followers.h"
#include "dataplane/packetlog/pflog.h"

namespace sluice {

struct PacketLogCounts {
  uint64_t written = 0;
  uint64_t suppressed = 0;  // over the rate
  uint64_t lost = 0;        // no room in a ring, in memory or on the disk
};

class PacketLog {
 public:
  // Fills in what is known of a record but its time, and says which pflog it
  // goes to.
  using Resolver = std::function<uint8_t(const LogRecord&, PflogContext*)>;

  // `rate`: records a second that are written, with bursts of as many.
  PacketLog(std::string folder, uint32_t rate, uint16_t workers,
            Resolver resolve);

  LogRing* ring(uint16_t worker) { return rings_[worker].get(); }

  // Takes what the rings hold now, never more than fits into them. `now` and
  // `wall` (microseconds since 1970) are the same moment.
  void Drain(Tick now, uint64_t wall);
  void Reopen() { files_.Reopen(); }
  PacketLogCounts counts() const;
  LogControl& followers() { return followers_; }

 private:
  // Of each worker: 40 a millisecond between two looks.
  static constexpr uint32_t kRingRecords = 4096;

  struct Batch {
    std::string records;
    uint64_t count = 0;
  };

  const uint32_t rate_;
  const Resolver resolve_;
  std::vector<std::unique_ptr<LogRing>> rings_;
  LogFiles files_;
  LogFollowers followers_;
  uint64_t tokens_ = 0;    // records that may be written now, in millionths
  uint64_t last_wall_ = 0;
  uint64_t suppressed_ = 0;
  uint64_t warned_ = 0;  // suppressed and lost records that were spoken of
  uint64_t last_warning_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_PACKET_LOG_H_
