// What a worker counts beside ports.
#ifndef SLUICE_DATAPLANE_WORKERS_WORKER_TOTALS_H_
#define SLUICE_DATAPLANE_WORKERS_WORKER_TOTALS_H_

#include "packet/counter.h"

namespace sluice {

// All since the start. At any time between two rounds:
//   sum of ports' received and refragmented + handed_in + transmit_in
//     == sum of ports' forwarded and drops + handed_out + transmit_out
//        + what the worker holds
struct alignas(128) WorkerTotals {
  Counter handed_out;  // to the owner of their flow
  Counter handed_in;
  Counter strays;  // of translated flows, whose owner their hash does not say
  Counter transmit_out;  // to a worker with a transmit queue; answers apart
  Counter transmit_in;
  Counter rounds;
  Counter idle_rounds;
  Counter cycles;  // of rounds, and of those with packets, if it measures them
  Counter busy_cycles;
  Counter orphans;  // packets judged or dropped for a worker that does not run
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_WORKER_TOTALS_H_
