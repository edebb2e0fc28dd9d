// A parsed policy: options, tables, and a tree of anchors with their rules.
#ifndef SLUICE_PFTABLE_POLICY_POLICY_H_
#define SLUICE_PFTABLE_POLICY_POLICY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "packet/address.h"
#include "pftable/policy/fingerprint.h"
#include "pftable/policy/rule.h"

namespace sluice {

// Whose defaults and whose printed form.
enum class Dialect : uint8_t { kOpenBsd, kFreeBsd };

// One entry of a table. `!` entries are exceptions: the most specific entry
// decides, and if it is negated the table does not match.
struct TableEntry {
  Prefix prefix;  // masked
  bool negated = false;
  uint16_t weight = 0;  // pools with least-states or round-robin

  friend bool operator==(const TableEntry&, const TableEntry&) = default;
};

// The names of tables that nobody wrote (pftable/optimize) begin with this.
inline constexpr std::string_view kAutomaticPrefix = "__automatic_";

// Macros, options and tables print in the order of the text, included files
// where they are included. For tables that no statement has made:
inline constexpr uint32_t kAfterStatements = 0xffffffff;

struct TableDefinition {
  std::string name;
  bool persist = false;    // stays without references
  bool is_const = false;   // only a load may change it
  bool counters = false;   // counts per address
  // True: a list or file was given, and `entries` replaces what the table
  // holds. False: a table of that name keeps what it has.
  bool has_contents = false;
  std::vector<TableEntry> entries;  // in order, without repetitions
  // More of them, which somebody had added at run time where the policy comes
  // from: they are loaded with it and not part of its text.
  std::vector<TableEntry> run_time_entries;
  // It comes from the policy that was in force (merge_policy.h): the table is
  // what it is there, whatever stands here, and not there if it is not there.
  bool in_force = false;
  // How it was written, if with files or repetitions: each file, by its name,
  // and what stood in braces, in order.
  struct Part {
    std::string file;
    std::vector<TableEntry> entries;
    friend bool operator==(const Part&, const Part&) = default;
  };
  std::vector<Part> parts;
  SourcePlace place;
  uint32_t order = kAfterStatements;

  friend bool operator==(const TableDefinition&,
                         const TableDefinition&) = default;
};

enum class Limit : uint8_t {
  kStates,
  kSourceNodes,
  kFragments,
  kTables,
  kTableEntries,
  kPacketDelayPackets,
  kAnchors,
  kEthernetAnchors,
};
inline constexpr size_t kLimitCount = 8;
// "states", "src-nodes", ...
extern const std::array<std::string_view, kLimitCount> kLimitNames;

enum class Optimization : uint8_t {
  kNormal,
  kHighLatency,
  kSatellite,
  kAggressive,
  kConservative,
};
enum class RulesetOptimization : uint8_t { kNone, kBasic, kProfile };
// "none", "basic", "profile", and back.
std::optional<RulesetOptimization> OptimizationByName(std::string_view name);
std::string_view Name(RulesetOptimization optimization);
enum class Reassembly : uint8_t { kNo, kYes, kYesNoDf };
enum class Syncookies : uint8_t { kNever, kAlways, kAdaptive };

// Everything that `set` sets. The values are those in force after the file;
// `given` holds what the file itself says, in its order, for printing.
struct Options {
  explicit Options(Dialect dialect = Dialect::kOpenBsd);

  Dialect dialect;
  BlockReturn block_policy = BlockReturn::kDrop;
  BlockReturn fail_policy = BlockReturn::kDrop;
  // Seconds by Timeout; adaptive.start and adaptive.end: numbers of states,
  // 60 % and 120 % of the state limit unless set.
  std::array<uint32_t, kTimeoutCount> timeouts;
  std::array<uint32_t, kLimitCount> limits;
  Optimization optimization = Optimization::kNormal;
  RulesetOptimization ruleset_optimization = RulesetOptimization::kBasic;
  Reassembly reassemble;
  bool state_policy_if_bound = false;
  std::optional<StateOptions> state_defaults;
  Syncookies syncookies = Syncookies::kNever;
  uint8_t syncookies_start_percent = 25;
  uint8_t syncookies_end_percent = 12;
  uint32_t host_id = 0;          // 0: chosen at random by the daemon
  std::string log_interface;     // empty: none
  std::string debug = "err";     // a word of the dialect
  std::string fingerprints_file;  // empty: not given
  std::vector<InterfaceMatch> skip;
  bool keep_counters = false;
  bool helpers = true;  // sluice's own word
  bool require_order = false;

  // One `set` in canonical text without the word `set`, and its place.
  struct Given {
    std::string text;
    SourcePlace place;
    uint32_t order = 0;
    friend bool operator==(const Given&, const Given&) = default;
  };
  std::vector<Given> given;

  uint32_t timeout(Timeout t) const {
    return timeouts[static_cast<size_t>(t)];
  }
  // In FreeBSD's pf a limit of 0 is none.
  uint32_t limit(Limit l) const {
    const uint32_t value = limits[static_cast<size_t>(l)];
    return value == 0 && dialect == Dialect::kFreeBsd ? UINT32_MAX : value;
  }
  // Neither adaptive timeout is given and there is no limit of states: they
  // follow the room that there is, which the ruleset does not know.
  bool adaptive_by_room = false;

  friend bool operator==(const Options&, const Options&) = default;
};

// FreeBSD's layer-2 rules.
struct MacMatch {
  std::array<uint8_t, 6> address{};
  std::array<uint8_t, 6> mask{};
  bool is_set = false;
  bool negated = false;

  friend bool operator==(const MacMatch&, const MacMatch&) = default;
};
struct EtherRule {
  bool block = false;
  bool quick = false;
  Direction direction = Direction::kBoth;
  InterfaceMatch on;
  InterfaceMatch bridge_to;
  uint16_t ether_type = 0;  // 0: any
  MacMatch source;
  MacMatch destination;
  AddressMatch l3_source;
  AddressMatch l3_destination;
  std::string tag;
  std::string tagged;
  bool tagged_negated = false;
  std::vector<std::string> labels;
  uint32_t ridentifier = 0;
  ForeignOptions foreign;
  std::string anchor_call;
  std::string anchor_path;
  bool anchor_wildcard = false;
  SourcePlace place;

  friend bool operator==(const EtherRule&, const EtherRule&) = default;
};

// The rules of one anchor, in the order in which they are numbered. `filter`
// holds pass, block, match and calls of anchors; the others are FreeBSD's
// first-match rulesets (and calls: nat-anchor and its like).
struct Ruleset {
  std::vector<Rule> filter;
  std::vector<Rule> scrub;
  std::vector<Rule> nat;
  std::vector<Rule> rdr;
  std::vector<Rule> binat;
  std::vector<EtherRule> ether;

  friend bool operator==(const Ruleset&, const Ruleset&) = default;
};

// An anchor; the root has an empty name and is the main ruleset.
struct Anchor {
  std::string name;  // the last component of its path; "_1" for unnamed ones
  Ruleset rules;
  std::vector<TableDefinition> tables;
  std::vector<Anchor> children;  // ascending by name
  // A load that did not have them left its filter rules as they are in force:
  // as they were, once another policy is (LoadAnew() in merge_policy.h).
  bool rules_in_force = false;

  // The anchor at `path` ("a/b", no leading slash; "" is this one), or null.
  const Anchor* Find(std::string_view path) const;
  // The same, made if it is not there.
  Anchor& FindOrCreate(std::string_view path);

  friend bool operator==(const Anchor&, const Anchor&) = default;
};

// `state limiter` or `source limiter`. Zeros: not given.
struct LimiterDefinition {
  std::string name;
  bool by_source = false;
  uint8_t id = 0;  // 1 to 255
  uint32_t limit = 0;
  RateLimit rate;
  // Of source limiters.
  uint32_t entries = 0;
  uint8_t mask4 = 32;
  uint8_t mask6 = 128;
  std::string table;  // that gets sources with more states than `above`
  uint32_t above = 0;
  uint32_t below = 0;

  friend bool operator==(const LimiterDefinition&,
                         const LimiterDefinition&) = default;
};

// A queue, ALTQ or limiter definition, kept as canonical text; queues a
// dataplane has none of.
struct ForeignDefinition {
  std::string kind;  // "queue", "altq", ...
  std::string text;
  std::optional<LimiterDefinition> limiter{};
  SourcePlace place;
  uint32_t order = kAfterStatements;  // among statements, for printing

  friend bool operator==(const ForeignDefinition& a,
                         const ForeignDefinition& b) {
    return a.kind == b.kind && a.text == b.text && a.limiter == b.limiter &&
           a.place == b.place;
  }
};

// A macro of the file with its value after expansion, for -v.
struct MacroDefinition {
  std::string name;
  std::string value;
  SourcePlace place;
  uint32_t order = 0;

  friend bool operator==(const MacroDefinition&,
                         const MacroDefinition&) = default;
};

struct Policy {
  explicit Policy(Dialect dialect = Dialect::kOpenBsd) : options(dialect) {}

  Options options;
  Anchor main;
  std::vector<ForeignDefinition> foreign;
  std::vector<MacroDefinition> macros;
  // Of `set fingerprints`; nothing: DefaultFingerprints() holds.
  std::optional<std::vector<Fingerprint>> fingerprints;
  std::vector<std::string> loaded_anchors;  // of `load anchor`: their paths
  std::vector<std::string> defined_anchors;  // with a body in the text
  // What was in the text and was taken away because somebody asked for that:
  // "NAME: what became of it" (pftable/compile/enforce.h).
  std::vector<std::string> left_out;
  std::vector<std::string> files;  // what SourcePlace::file counts
  // What they hold, for messages of later passes; null if not from text.
  std::shared_ptr<const std::vector<std::string>> texts;
};

inline const std::vector<Fingerprint>& FingerprintsOf(const Policy& policy) {
  return policy.fingerprints ? *policy.fingerprints : DefaultFingerprints();
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_POLICY_H_
