// What can be asked of a filter's rules: that others are loaded, and which
// there are.
#ifndef SLUICE_DATAPLANE_CONTROL_API_RULE_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_RULE_CONTROL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/control/api/build_job.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/merge_policy.h"
#include "pftable/policy/policy.h"

namespace sluice {

// A file that a ruleset consists of, by content: the daemon opens no path for
// a client.
struct SourceFile {
  std::string name;  // as it stands in `include` or `file`
  std::string text;
};

struct LoadRequest {
  std::string name{};  // of the main file, for messages; "-" for standard input
  std::string text{};  // of the main file
  std::vector<SourceFile> files{};  // all that it includes or reads tables from
  // -D name=value, which win over the file's own.
  std::vector<std::pair<std::string, std::string>> macros{};
  // What host names mean: the daemon asks no resolver.
  std::vector<std::pair<std::string, std::vector<Address>>> hosts{};
  // None: the dialect of the daemon's configuration.
  std::optional<Dialect> dialect{};
  // None: what the ruleset says.
  std::optional<RulesetOptimization> optimization{};
  // Options that the text does not set stay as they are in force.
  bool merge_options = false;
  // The anchor that it is loaded into; empty: it is the main ruleset.
  std::string anchor{};
  // Not all: the others stay as they are in force.
  LoadParts parts{};
  // What may be left out of the text, by its names in messages: "divert-to".
  std::vector<std::string> without{};
  // Print what is loaded, as pfctl -v does; 2: with numbers.
  int print = 0;
  bool flip_port_names = false;  // for that
  bool dry_run = false;  // everything but the publishing
  // Who asked, by the kernel's word.
  uint32_t uid = 0;
  int32_t pid = 0;
};

struct LoadResult {
  // Any error in it: nothing was changed. Warnings may come with success.
  std::vector<Diagnostic> diagnostics;
  uint64_t generation = 0;  // now in force
  uint64_t rules = 0;       // of the loaded (or tried) ruleset
  std::string text{};       // LoadRequest::print

  bool HasErrors() const {
    for (const Diagnostic& d : diagnostics) {
      if (d.severity == Severity::kError) return true;
    }
    return false;
  }
};

// Packets and bytes by the direction of the packet: [0] in, [1] out.
struct RuleCounterValues {
  uint64_t evaluations = 0;
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  uint64_t states = 0;           // that live
  uint64_t state_creations = 0;  // ever
};

struct RuleListing {
  uint32_t number = 0;
  std::string text;  // canonical, in the dialect of the ruleset
  std::vector<std::string> labels;
  RuleCounterValues counters;
  // Of the call of an anchor: its path, whether it calls those below that, and
  // whether it is an unnamed one, whose rules are shown with the call.
  std::string calls{};
  bool calls_below = false;
  bool calls_unnamed = false;
};

struct RuleQuery {
  std::string anchor;     // path; empty: the main ruleset
  std::string interface;  // only rules that name it, or none; empty: all
  // -P: the other way of printing ports and ICMP types than the dialect's.
  bool flip_port_names = false;
  // -vv: how many addresses tables and interfaces in brackets have.
  bool members = false;
};

struct RuleSlice {
  std::vector<RuleListing> rules;
  std::string next;
  uint64_t generation = 0;
  // Who loaded the ruleset in force.
  uint32_t uid = 0;
  int32_t pid = 0;
};

class RuleControl {
 public:
  virtual ~RuleControl() = default;

  // Rules and tables of the text become the policy, in one step, or nothing
  // changes and the result's diagnostics say why.
  virtual std::unique_ptr<BuildJob<LoadResult>> BeginLoad(
      LoadRequest request) = 0;
  // What is loaded anew but for what is flushed; tables that no rule names
  // any more go, unless they are persistent. The result is the generation.
  virtual std::unique_ptr<BuildJob<uint64_t>> BeginFlushRules(
      PolicyFlush flush) = 0;
  // Paths of the anchors in `anchor` (empty: the main ruleset), in order; with
  // `below`, of all that are below it. NotFound for one that is not there.
  virtual absl::StatusOr<std::vector<std::string>> ListAnchors(
      const std::string& anchor, bool below) = 0;
  // At most `limit` rules from `cursor` on. A generation published between
  // two slices ends the listing with an AbortedError.
  virtual absl::StatusOr<RuleSlice> ListRules(const RuleQuery& query,
                                              const std::string& cursor,
                                              size_t limit) = 0;
  // Zeroes the counters of all rules.
  virtual void ClearRuleCounters() = 0;
  // The same for the rules of the last load, unless they are to keep them.
  virtual void ClearLoadedCounters() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_RULE_CONTROL_H_
