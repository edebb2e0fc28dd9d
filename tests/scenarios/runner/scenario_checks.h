// What a scenario may ask of the firewall, and what has to hold whether it
// asks or not.
#ifndef SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_CHECKS_H_
#define SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_CHECKS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/replay/simulation.h"
#include "tests/scenarios/runner/scenario.h"

namespace sluice {

using DropCounts = std::array<uint64_t, kDropReasonCount>;
// Drops of packets that arrived at the port, by reason.
// Of all ports together.
DropCounts AllDrops(const Simulation& simulation);
DropCounts Drops(const Simulation& simulation, uint16_t port);

// The value of one counter by its name; `port` is kNoPort unless the step is
// about a port.
absl::StatusOr<uint64_t> ReadCounter(Simulation& simulation,
                                     const CountersStep& step, uint16_t port,
                                     const std::string& name);

// `table NAME VERB ARGUMENTS` as words: "added 2", "no match", ...
absl::StatusOr<std::string> EditTable(
    Simulation& simulation, const std::string& table, const std::string& verb,
    const std::vector<std::string>& arguments);

// After every step: received = forwarded + dropped; states counted = states
// listed = states of the budget = states of their rules; parents are older
// than children; the policy's references are right.
absl::Status CheckConsistency(Simulation& simulation);

// At the end: when no packet comes any more, all states and expectations end.
absl::Status CheckEnding(Simulation& simulation);

}  // namespace sluice

#endif  // SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_CHECKS_H_
