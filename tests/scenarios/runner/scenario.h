// Scenario tests: text files that say what is sent to a firewall and what has
// to become of it. docs/scenarios.md describes the language. A file is read
// into Scenarios, one for each address family that it is for; scenario_run.h
// runs one on the pipeline in this process.
//
// This header: a scenario as it was read.
#ifndef SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_H_
#define SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/forward/spoof_guard.h"
#include "packet/address.h"
#include "packet/drop_reason.h"

namespace sluice {

// What one packet has to lead to: it is dropped for a reason, waits, or a
// packet leaves by a port.
struct ExpectedResult {
  std::optional<DropReason> drop;
  bool held = false;  // it waits for other fragments
  std::string port;
  std::string packet;  // empty: the one that was sent, unchanged
};

// Packets that arrive at one port in one burst.
struct SendStep {
  struct Packet {
    std::string text{};
    int line = 0;
    std::vector<ExpectedResult> results{};
  };
  std::string port{};
  std::vector<Packet> packets{};
  bool from_host = false;  // the host sends them by that port
};

// What has waited may leave or be dropped by then.
struct WaitStep {
  uint64_t milliseconds = 0;
  std::vector<ExpectedResult> results{};
};

// A route, a neighbour, or what was asked for: words as ApplyRouteWords() takes
// them. What has waited for that leaves.
struct RouteStep {
  std::vector<std::string> words{};
  std::vector<ExpectedResult> results{};
};

struct CommitStep {
  std::string rules;
  bool refused = false;
  std::vector<std::string> errors;  // how each of them begins
};

struct TableStep {
  std::string table{};
  std::string verb{};
  std::vector<std::string> arguments{};
  std::string expected{};  // words behind `=>`, or empty
};

// The number of states, and what they are in the form of `pfctl -ss`.
struct StatesStep {
  size_t count = 0;
  std::optional<std::vector<std::string>> lines;
};

// The number of source nodes, and what they are in the form of `pfctl -sS`.
struct SourcesStep {
  size_t count = 0;
  std::optional<std::vector<std::string>> lines;
};

// What was told of states since the last such step, as FlowText() has it.
struct FlowsStep {
  size_t count = 0;
  std::optional<std::vector<std::string>> lines;
};

// Ends source nodes: all, or those of an address or network.
struct KillSourcesStep {
  std::optional<Prefix> from;
};

// Counters of a rule, a port, a helper or of limits: name and value.
struct CountersStep {
  enum class Kind : uint8_t {
    kRule,
    kPort,
    kHelper,
    kLimit,
    kStateLimiter,
    kSourceLimiter
  };
  Kind kind = Kind::kRule;
  std::string subject;  // number of the rule or limiter, name of the port or helper
  std::vector<std::pair<std::string, uint64_t>> values;
};

// Ends states: all, or those from (and to) these addresses or networks.
struct KillStep {
  std::optional<Prefix> from;
  std::optional<Prefix> to;
};

struct LinkStep {
  std::string port;
  bool up = true;
};

// What a segment knows of its hosts, as "MAC PORT [fixed]"; sorted.
struct MacsStep {
  std::vector<std::string> lines;
};

struct FilterStep {
  bool enabled = true;
};

struct Step {
  int line = 0;
  std::variant<SendStep, WaitStep, CommitStep, TableStep, StatesStep,
               SourcesStep, FlowsStep, KillSourcesStep, CountersStep, KillStep, LinkStep, FilterStep,
               MacsStep, RouteStep>
      action;
};

struct ScenarioPort {
  std::string name{};
  std::vector<std::string> groups{};
  std::vector<Prefix> addresses{};  // its own ones, for `self` and antispoof
  std::string parent{};             // of a logical port
  uint16_t vlan = 0;
  uint16_t inner_vlan = 0;
  SpoofSettings guard{};
  uint16_t mtu = 1500;
};

struct ScenarioRouter {
  std::vector<std::string> ports{};
};

struct ScenarioWire {
  std::string first{};
  std::string second{};
  bool pass_non_ip = true;
  bool answer_arp = false;
};

struct ScenarioSegment {
  std::vector<std::string> ports{};
  bool flood_unknown = true;
  bool flood_multicast = true;
  bool flood_broadcast = true;
  uint32_t macs = 1024;
  uint32_t macs_per_port = 0;
  uint64_t age = 300'000;  // milliseconds
  std::vector<std::pair<std::string, std::string>> fixed{};  // MAC, port
};

struct Scenario {
  std::string name;  // the file's without folder and ending, "/inet"
  std::string path;
  std::string description;
  Family family = Family::kIpv4;
  std::vector<ScenarioPort> ports;
  std::vector<ScenarioWire> wires;
  std::vector<ScenarioSegment> segments;
  std::vector<ScenarioRouter> routers;
  uint32_t state_capacity = 1000;
  uint32_t expectations = 0;  // 0: as many as there are without the line
  bool verify_checksums = true;
  bool freebsd = false;
  bool sessions = false;  // each state is told of, and not only `pflow`'s
  std::map<std::string, std::string> files;  // for `include` and tables
  // The first commit is that of the `rules` block.
  std::vector<Step> steps;
};

// All scenarios of a file's text. Errors begin with "path:line: ".
absl::StatusOr<std::vector<Scenario>> ParseScenarioFile(
    const std::string& path, std::string_view text);

// "drop", "match", ... by name.
std::optional<DropReason> ParseDropReason(std::string_view name);

}  // namespace sluice

#endif  // SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_H_
