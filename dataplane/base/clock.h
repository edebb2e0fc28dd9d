// The clock of the process: milliseconds since its start.
#ifndef SLUICE_DATAPLANE_BASE_CLOCK_H_
#define SLUICE_DATAPLANE_BASE_CLOCK_H_

#include <rte_cycles.h>

#include <cstdint>

#include "packet/packet.h"

namespace sluice {

// Reads the processor's time stamp counter, which all lcores share. EAL must
// run before the first one is made.
class TickClock {
 public:
  TickClock()
      : start_(rte_rdtsc()),
        // 2^32 / cycles per millisecond: a division by multiplication.
        per_cycle_((uint64_t{1} << 32) / (rte_get_tsc_hz() / 1000)) {}

  Tick Now() const { return static_cast<Tick>(Milliseconds()); }
  // Does not wrap.
  uint64_t Milliseconds() const {
    const auto cycles = rte_rdtsc() - start_;
    return static_cast<uint64_t>(
        static_cast<unsigned __int128>(cycles) * per_cycle_ >> 32);
  }

 private:
  uint64_t start_;
  uint64_t per_cycle_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_CLOCK_H_
