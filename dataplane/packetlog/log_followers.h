// Who watches the packet log, and what each of them has not read yet.
#ifndef SLUICE_DATAPLANE_PACKETLOG_LOG_FOLLOWERS_H_
#define SLUICE_DATAPLANE_PACKETLOG_LOG_FOLLOWERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "dataplane/control/api/log_control.h"
#include "dataplane/packetlog/pflog.h"

namespace sluice {

// Control lcore.
class LogFollowers final : public LogControl {
 public:
  static constexpr size_t kMost = 4;
  // Packets that one may leave unread; the newest are lost beyond it.
  static constexpr size_t kUnread = 8192;
  // After so many microseconds without a look, one is forgotten.
  static constexpr uint64_t kPatience = 10'000'000;

  bool any() const { return !followers_.empty(); }
  // `record`: as AppendPflogRecord() makes it.
  void Add(const LogRecord& packet, const PflogContext& context, uint8_t pflog,
           std::string_view record);
  // Microseconds since 1970. Forgets those that do not read.
  void Poll(uint64_t wall);

  absl::StatusOr<uint64_t> OpenLog() override;
  absl::StatusOr<LogSlice> ReadLog(uint64_t follower, size_t limit) override;
  absl::Status CloseLog(uint64_t follower) override;

 private:
  struct Follower {
    uint64_t number = 0;
    uint64_t read_at = 0;
    uint64_t lost = 0;
    std::deque<LoggedPacket> unread{};
  };

  std::vector<Follower>::iterator Find(uint64_t number);

  std::vector<Follower> followers_;
  uint64_t last_number_ = 0;
  uint64_t now_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_LOG_FOLLOWERS_H_
