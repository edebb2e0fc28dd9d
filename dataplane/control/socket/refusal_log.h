// Which refusals are worth a line of the log: somebody who is refused can ask
// again as often as he likes, and the log is everybody's.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_REFUSAL_LOG_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_REFUSAL_LOG_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice {

class RefusalLog {
 public:
  using Clock = std::chrono::steady_clock;
  // In each window so many are logged, the others are counted.
  static constexpr uint32_t kLines = 10;
  static constexpr std::chrono::seconds kWindow{10};

  struct Verdict {
    bool log = false;
    uint64_t left_out = 0;  // since the last line, to be said in this one

    // " (and 3 more that are not logged)", or nothing.
    std::string Suffix() const {
      if (left_out == 0) return "";
      return " (and " + std::to_string(left_out) +
             " more before it that were not logged)";
    }
  };
  Verdict Add(Clock::time_point now) {
    if (!begun_ || now - window_ >= kWindow) {
      begun_ = true;
      window_ = now;
      lines_ = 0;
    }
    if (lines_ == kLines) {
      ++left_out_;
      return {};
    }
    ++lines_;
    const Verdict verdict = {.log = true, .left_out = left_out_};
    left_out_ = 0;
    return verdict;
  }

 private:
  bool begun_ = false;
  Clock::time_point window_;
  uint32_t lines_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_REFUSAL_LOG_H_
