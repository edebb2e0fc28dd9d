// The command line of sluice-replay.
#ifndef SLUICE_DATAPLANE_REPLAY_REPLAY_OPTIONS_H_
#define SLUICE_DATAPLANE_REPLAY_REPLAY_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "packet/address.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct ReplayOptions {
  std::string rules_file{};  // "-": the standard input
  // --compare: the ruleset that rules_file is compared with; empty: none is.
  std::string compare_file{};
  std::vector<std::pair<std::string, std::string>> macros{};
  Dialect dialect = Dialect::kOpenBsd;
  // Nothing: the rules are judged by as they are written, with the numbers
  // that they have there.
  std::optional<RulesetOptimization> optimization{};
  std::string facts_file{};  // empty: the ports, services and protocols only

  // Port names; each port is in one wire.
  struct Wire {
    std::string outside{};
    std::string inside{};
  };
  std::vector<Wire> wires{};
  bool block_non_ip = false;

  struct File {
    std::string port{};  // empty in an input: by source address
    std::string path{};
  };
  std::vector<File> inputs{};
  std::vector<File> outputs{};
  // For inputs by source address: what comes from these arrives at the inside
  // port.
  std::vector<Prefix> inside_nets{};

  std::string report_file{};    // empty: none; "-": the standard output
  std::string verdicts_file{};  // the same
  bool ignore_checksums = false;
  bool strict = false;  // a packet that the capture has cut is an error
  uint32_t state_capacity = 0;  // 0: as many as the ruleset's limit
  bool quiet = false;
};

// Errors are complete messages for the user. `exit_early` is set, with the
// text to print, for --help and --version.
absl::StatusOr<ReplayOptions> ParseReplayArguments(int argc, char** argv,
                                                   std::string* exit_early);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_REPLAY_OPTIONS_H_
