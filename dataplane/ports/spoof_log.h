// Frames that the guards of ports have dropped, in the log: some a second, and
// how many more there were.
#ifndef SLUICE_DATAPLANE_PORTS_SPOOF_LOG_H_
#define SLUICE_DATAPLANE_PORTS_SPOOF_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/forward/spoof_guard.h"

namespace sluice {

// "a frame from 02:00:00:00:00:09 in VLAN 42 was dropped: its IP address,
// 10.0.0.9, is not bound".
std::string SpoofText(const SpoofRecord& record);

// Belongs to the control lcore.
class SpoofLog {
 public:
  static constexpr uint32_t kLinesASecond = 10;

  explicit SpoofLog(uint16_t workers);

  SpoofRing* ring(uint16_t worker) { return rings_[worker].get(); }

  // Takes what the rings hold. `write` gets the port's number and a text, "" for
  // all ports. `now`: milliseconds.
  using Write = std::function<void(uint16_t port, const std::string& text)>;
  void Drain(uint64_t now, const Write& write);

 private:
  static constexpr uint32_t kRingRecords = 256;

  uint64_t Lost() const;

  std::vector<std::unique_ptr<SpoofRing>> rings_;
  uint64_t second_ = 0;   // of `lines_`, which were written in it
  uint32_t lines_ = 0;
  uint64_t untold_ = 0;   // frames, since the last line about them
  uint64_t lost_ = 0;     // of the rings, at the last look
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_SPOOF_LOG_H_
