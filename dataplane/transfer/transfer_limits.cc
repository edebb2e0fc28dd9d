#include "dataplane/transfer/transfer_limits.h"

#include <chrono>

#include "absl/strings/str_cat.h"

namespace sluice {

absl::Status TransferPace::Look(uint64_t bytes, uint64_t now) {
  if (now - begun_ >= limits_.total_time) {
    return absl::DeadlineExceededError(absl::StrCat(
        "it did not end within ", limits_.total_time / 1000,
        " s ([transfer] total_time of sluice.toml)"));
  }
  const uint64_t elapsed = now - mark_;
  if (elapsed < limits_.patience) return absl::OkStatus();
  const uint64_t moved = bytes - bytes_;
  // In milliseconds and bytes a second; neither is near 2^32.
  if (moved * 1000 < limits_.min_rate * elapsed) {
    return absl::DeadlineExceededError(absl::StrCat(
        moved, " bytes were moved in ", elapsed, " ms, and ", limits_.min_rate,
        " a second are the least ([transfer] min_rate of sluice.toml)"));
  }
  mark_ = now;
  bytes_ = bytes;
  return absl::OkStatus();
}

uint64_t TransferClock() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

}  // namespace sluice
