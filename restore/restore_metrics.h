// What the restore queue counts.
#ifndef SLUICE_RESTORE_RESTORE_METRICS_H_
#define SLUICE_RESTORE_RESTORE_METRICS_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "restore/restore_job.h"

namespace sluice {

enum class RequestSource : uint8_t {
  kPacket,  // the first packet of an expecting filter
  kEnable,  // the enabling of a filter
  kOrder,   // an operator or an agent on the control socket
};
inline constexpr size_t kRequestSourceCount = 3;

// Times in microseconds, by powers of two: bucket i counts those below 2^i and
// not below 2^(i-1); the last one everything longer.
struct TimeHistogram {
  std::array<uint64_t, 28> buckets{};
  uint64_t count = 0;
  uint64_t sum = 0;
  uint64_t longest = 0;

  void Add(RestoreTime time) {
    const auto bucket = static_cast<size_t>(std::bit_width(time));
    ++buckets[std::min(bucket, buckets.size() - 1)];
    ++count;
    sum += time;
    longest = std::max(longest, time);
  }
};

// Written and read by the control lcore.
struct RestoreMetrics {
  std::array<uint64_t, kRequestSourceCount> requests{};
  uint64_t started = 0;
  uint64_t joined = 0;
  uint64_t late_duplicates = 0;  // answered from the latch
  uint64_t stale = 0;
  uint64_t conflicts = 0;
  uint64_t busy = 0;
  uint64_t replaced = 0;
  uint64_t retries = 0;
  uint64_t commits = 0;
  // Ends, by RestoreState; those that are not final stay zero.
  std::array<uint64_t, kRestoreStateCount> ends{};
  std::array<uint64_t, kRestoreFailureCount> failures{};
  uint64_t fail_closed = 0;  // how often each fail policy took hold
  uint64_t fail_open = 0;
  uint64_t disables_deferred = 0;
  TimeHistogram queue_time;     // an attempt's, from its request
  TimeHistogram validate_time;  // an attempt's
  TimeHistogram commit_time;
  TimeHistogram total_time;     // of those that were restored
  RestoreReport report;         // sums
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_RESTORE_METRICS_H_
