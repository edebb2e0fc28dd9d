// The command line of sluicectl, which is pfctl's: one-letter flags that may
// be joined, words that may be cut short, and a few long options of our own.
#ifndef SLUICE_DATAPLANE_SLUICECTL_ARGUMENTS_H_
#define SLUICE_DATAPLANE_SLUICECTL_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "pftable/policy.h"

namespace sluice {

// -s
enum class Show : uint8_t {
  kRules,
  kStates,
  kInfo,
  kInterfaces,
  kLabels,
  kTimeouts,
  kMemory,
  kTables,
  kAll,
};

// -F
enum class Flush : uint8_t { kRules, kStates, kInfo, kTables, kAll };

// -T
enum class TableAction : uint8_t {
  kKill,
  kFlush,
  kAdd,
  kDelete,
  kReplace,
  kShow,
  kTest,
  kZero,
};

struct Arguments {
  std::optional<std::string> file;  // -f; "-" is standard input
  std::optional<Show> show;
  std::optional<Flush> flush;
  std::optional<TableAction> table_action;
  std::string table;                  // -t
  std::vector<std::string> operands;  // after the flags: addresses for -T
  std::vector<std::string> kill;      // -k, once or twice
  std::string anchor;                 // -a
  std::string interface;              // -i
  std::vector<std::pair<std::string, std::string>> macros;  // -D
  std::optional<Dialect> dialect;                           // --dialect
  std::string facts;                                        // --facts
  std::string socket;                                       // -p, --socket
  int verbose = 0;                                          // -v, at most 2
  bool no_action = false;                                   // -n
  bool quiet = false;                                       // -q
  bool debug = false;                                       // -g
  bool enable = false;                                      // -e
  bool disable = false;                                     // -d
  bool zero = false;                                        // -z
  bool no_dns = false;                                      // -N
  bool flip_port_names = false;                             // -P
  bool json = false;                                        // --json
  bool help = false;                                        // -h, --help
  bool version = false;                                     // --version
};

// `words` without the program's name. An error's message is for the user; the
// usage follows it.
absl::StatusOr<Arguments> ParseArguments(std::span<const std::string> words);

std::string_view Usage();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_ARGUMENTS_H_
