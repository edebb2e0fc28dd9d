// What a scenario says of a router's routes, neighbours and questions, in the
// words of iproute2.
#ifndef SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_ROUTES_H_
#define SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_ROUTES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/replay/simulation.h"
#include "tests/scenarios/runner/scenario.h"

namespace sluice {

// Makes the routers' addresses, and the routes to their networks, as the kernel
// does. Errors say which.
absl::Status BeginRouters(const Scenario& scenario, Simulation& simulation);

// One of these, as words, with the router that the port is of, or the first:
//   route [blackhole|unreachable|prohibit] PREFIX|default
//         [via ADDRESS] [dev PORT] [weight N] [nexthop ...]
//   route delete PREFIX|default
//   neighbor PORT ADDRESS lladdr MAC|failed|incomplete|delete
//   asked [PORT ADDRESS]...      what has been asked for since the last time
absl::Status ApplyRouteWords(const Scenario& scenario,
                             const std::vector<std::string>& words,
                             Simulation& simulation);

}  // namespace sluice

#endif  // SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_ROUTES_H_
