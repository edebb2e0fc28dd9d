// What the transfers of clients may take: of threads, of memory, of time. Each
// limit is a key of [transfer] in the configuration, and whoever is refused or
// ended by one is told which.
#ifndef SLUICE_DATAPLANE_TRANSFER_TRANSFER_LIMITS_H_
#define SLUICE_DATAPLANE_TRANSFER_TRANSFER_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"

namespace sluice {

struct TransferLimits {
  uint32_t parallel = 32;    // of all clients
  uint32_t per_client = 16;  // of one user
  uint32_t per_filter = 4;
  // Bytes a second that move at least, over each `patience`.
  uint64_t min_rate = 64 * 1024;
  uint64_t patience = 10'000;       // milliseconds
  uint64_t total_time = 1'800'000;  // milliseconds
  // Bytes of all snapshots that are read or written at once.
  uint64_t memory = uint64_t{512} << 20;

  friend bool operator==(const TransferLimits&,
                         const TransferLimits&) = default;
};

// Whether a transfer moves as fast as it has to. The last piece of it may take
// less than the rate: what is at its end is not slow.
class TransferPace {
 public:
  // `now` in milliseconds of a clock that does not stand still.
  TransferPace(const TransferLimits& limits, uint64_t now)
      : limits_(limits), begun_(now), mark_(now) {}

  // DeadlineExceeded if it is too slow, or has taken too long. To be asked
  // often, with the bytes that have been moved so far.
  absl::Status Look(uint64_t bytes, uint64_t now);

 private:
  const TransferLimits limits_;
  const uint64_t begun_;
  uint64_t mark_;  // when the rate was last looked at
  uint64_t bytes_ = 0;  // at that time
};

// Milliseconds of the clock that paces are measured with.
uint64_t TransferClock();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_TRANSFER_LIMITS_H_
