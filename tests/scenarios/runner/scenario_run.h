// Runs one scenario on the pipeline, with a virtual clock, in this thread.
#ifndef SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_RUN_H_
#define SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_RUN_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tests/scenarios/runner/scenario.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {

struct RunOptions {
  // Packets arrive in segments of this many bytes; 0: in as few as possible.
  uint32_t segment_size = 0;
  // Where to write the packets of a failure; empty: nowhere.
  std::string capture_folder;
};

// The first thing that was not as the scenario says, with the packets as scapy
// lines, or that something is wrong after it: mbufs that did not come back,
// packets that nobody counted, states that are counted and not there.
absl::Status RunScenario(const Scenario& scenario, const RunOptions& options,
                         MbufPool& pool);

}  // namespace sluice

#endif  // SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_RUN_H_
