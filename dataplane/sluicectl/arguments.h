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
#include "dataplane/sluicectl/state_arguments.h"
#include "pftable/policy/policy.h"
#include "pftable/print/printer.h"

namespace sluice {

// -s
enum class Show : uint8_t {
  kEther,
  kNat,
  kRules,
  kStates,
  kSources,
  kLimiterStates,
  kLimiterSources,
  kInfo,
  kInterfaces,
  kLabels,
  kTimeouts,
  kMemory,
  kTables,
  kFingerprints,
  kCommits,
  kAnchors,
  kRunning,
  kAll,
};

// -F
enum class Flush : uint8_t {
  kEther,
  kNat,
  kRules,
  kStates,
  kSources,
  kInfo,
  kTables,
  kReset,  // the options
  kAll,
};

// -T
enum class TableAction : uint8_t {
  kLoad,  // FreeBSD: the tables of a file, without -t
  kKill,
  kFlush,
  kAdd,
  kDelete,
  kReplace,
  kShow,
  kTest,
  kZero,
  kReset,
  kExpire,
};

// Commands in words, beside pfctl's flags.
enum class Verb : uint8_t {
  kFilterChange,
  kFilterCreate,
  kFilterDestroy,
  kFilterList,
  kFilterShow,
  kPortAdd,
  kPortBind,
  kPortBindings,
  kPortDisable,
  kPortEnable,
  kPortExclude,
  kPortInclude,
  kPortList,
  kPortRemove,
  kPortStats,
  kPortUnbind,
  kRouterList,
  kRouterNeighbors,
  kRouterRoutes,
  kRouterShow,
  kSegmentAdd,
  kSegmentAttach,
  kSegmentDetach,
  kSegmentFix,
  kSegmentFlush,
  kSegmentFree,
  kSegmentList,
  kSegmentMacs,
  kSegmentRemove,
  kMetrics,
  kExplain,
  kTrace,
  kLog,
  kTest,
  kCapture,
  kTop,
};

// `filter create NAME --ports A,B ...`. The general options (-D, --json, ...)
// are in Arguments.
struct Command {
  Verb verb = Verb::kFilterList;
  // Of the filter, port, segment or router, of the file of test.
  std::string name;
  // filter create
  std::vector<std::string> ports;        // --ports
  std::optional<std::string> ruleset;    // --ruleset; "-" is standard input
  bool expect_restore = false;           // --expect-restore
  std::string source;                    // --source
  bool no_wait = false;                  // --no-wait
  std::string from_filter;               // --from-filter
  std::optional<uint32_t> give_up;       // --restore-give-up, seconds
  bool fail_open = false;                // --fail open
  bool fail_given = false;               // --fail
  std::optional<std::string> emergency;  // --emergency; as --ruleset
  std::optional<bool> hold_bypass;       // --hold-bypass
  // port add
  std::string device;                  // --device
  std::string vhost;                   // --vhost
  bool vhost_client = false;           // --vhost-client
  std::string parent;                  // --parent
  std::optional<uint32_t> vlan;        // --vlan
  std::optional<uint32_t> inner_vlan;  // --inner-vlan
  std::string wire;                    // --wire
  std::string segment;                 // --segment
  std::string router;                  // --router
  std::string tap;                     // --tap
  std::vector<std::string> groups;     // --groups
  std::vector<std::string> addresses;  // --addresses
  std::optional<uint32_t> queues;      // --queues
  std::optional<uint32_t> mtu;         // --mtu
  bool block_non_ip = false;           // --non-ip block
  bool disabled = false;               // --disabled
  // segment add, beside --ports and --non-ip
  std::optional<std::vector<std::string>> flood;          // --flood
  std::optional<uint32_t> macs, macs_per_port, age;       // --macs, ...
  // router routes
  std::string family;  // --family
  std::string prefix;  // behind the name
  // segment attach, detach, fix, free
  std::string port;  // --port
  std::string mac;   // --mac
  std::vector<std::string> bindings;   // --bindings, of port bind too
  std::optional<uint32_t> learn;       // --learn-bindings
  // explain: the packet, as it was typed
  std::string in;         // --in, the port of arrival
  std::string proto;      // --proto
  std::string from, to;   // --from, --to: ADDRESS[:PORT]
  std::string flags;      // --flags
  std::string tag;        // --tag
  std::optional<uint32_t> icmp_type, icmp_code, tos, ttl, length;
  bool fragment = false;    // --fragment
  bool ip_options = false;  // --ip-options
  std::string capture;      // --pcap, "FILE:N"
  // trace, beside --in, --proto, --from and --to, of which any may be missing
  std::string trace_filter;  // --filter; of test, too
  std::optional<bool> fate;  // --passed, --dropped
  std::string reason;        // --reason
  std::optional<uint32_t> sample, count, seconds;  // --sample, --count, --for
  // log
  std::vector<std::string> words;  // of the expression
  std::string write;               // -w
  std::string level, module;       // --level, --module
  // capture, beside --filter, --count, --for, --write and an expression, which
  // the name of a port stands before
  bool arriving = false;  // --in
  bool leaving = false;   // --out
  bool dropped = false;   // --dropped; `reason` may be set
  std::optional<uint32_t> snap_length;  // --snaplen
  // top: the name is a view's; --filter, --interval (seconds)
  bool once = false;               // --once
  std::string sort;                // --sort
  std::string match;               // --match
  std::optional<uint32_t> limit;   // --limit
};

// With --filter more than once: what stands between one of them and the next,
// for that filter. All of it becomes one commit.
struct FilterPart {
  std::string filter;               // --filter
  std::string anchor;               // -a
  std::optional<std::string> file;  // -f
  std::optional<uint64_t> only_if;  // --only-if
  std::string table;                // -t
  std::optional<TableAction> table_action;  // -T: add, delete, replace
};

struct Arguments {
  // Empty: there is one filter, and the others are of it.
  std::vector<FilterPart> set;
  std::optional<std::string> file;  // -f; "-" is standard input
  std::optional<Show> show;
  std::optional<Flush> flush;
  std::optional<TableAction> table_action;
  std::string table;                  // -t
  std::vector<std::string> operands;  // after the flags: addresses for -T
  std::vector<std::string> kill;      // -k, once or twice
  std::vector<std::string> kill_sources;  // -K, once or twice
  // -a PATH, without a leading '/' and without "*" or "/*" behind, which mean
  // the anchors below it, too; of "/*" their rules stand as if called.
  std::string anchor;
  bool below = false;
  bool children = false;
  std::string interface;              // -i
  std::vector<std::pair<std::string, std::string>> macros;  // -D
  std::optional<Dialect> dialect;                           // --dialect
  std::string facts;                                        // --facts
  std::string filter;                                       // --filter
  std::string socket;                                       // -p, --socket
  std::optional<RulesetOptimization> optimization;          // -o
  std::optional<uint32_t> rule_number;  // -R of OpenBSD
  // -A, -N, -O, -R of FreeBSD and -T load: only these parts of a file.
  std::optional<PrintParts> parts;
  std::optional<uint32_t> confirm;    // --confirm, seconds
  std::optional<uint64_t> only_if;    // --only-if, a generation
  std::optional<uint32_t> rollback;   // --rollback
  bool confirm_commit = false;        // --confirm-commit
  // What -f FILE would change, and which states its rules would block;
  // nothing is loaded then.
  bool diff = false;          // --diff
  bool show_blocked = false;  // --show-blocked
  bool kill_blocked = false;  // --kill-blocked
  bool merge_options = false;                               // -m of FreeBSD
  std::vector<std::string> without;                         // --without
  bool language_only = false;                               // --language-only
  int verbose = 0;                                          // -v, at most 2
  bool no_action = false;                                   // -n
  bool quiet = false;                                       // -q
  bool debug = false;                                       // -g
  bool enable = false;                                      // -e
  bool disable = false;                                     // -d
  bool zero = false;                                        // -z
  std::string debug_level;                                  // -x
  bool kill_match = false;                                  // -M
  bool no_dns = false;  // -N of OpenBSD, -S of FreeBSD
  bool flip_port_names = false;                             // -P
  bool json = false;                                        // --json
  bool help = false;                                        // -h, --help
  bool version = false;                                     // --version
  StateConditions states;  // of -s states
  std::optional<Command> command;
};

// `words` without the program's name. --dialect, wherever it stands, decides
// what -A, -m, -N, -O, -R and -S mean. An error's message is for the user; the
// usage follows it.
absl::StatusOr<Arguments> ParseArguments(std::span<const std::string> words);
// Of flags that were read: whether they go together.
absl::Status CheckTogether(const Arguments& a);

// A line for each form; after an error.
std::string_view Usage();
// The lines of it that are of what these words begin with: a command, or
// flags.
std::string UsageFor(std::span<const std::string> words,
                     std::string_view error = {});
// What everything means; for --help.
std::string_view Help();
// The same of one command or flag, or what a topic's section says: `filter
// create`, `-s`, `commits`. An error says what there is.
absl::StatusOr<std::string> HelpFor(std::span<const std::string> words);
// Long options that are not a command's own.
std::vector<std::string_view> GeneralOptions();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_ARGUMENTS_H_
