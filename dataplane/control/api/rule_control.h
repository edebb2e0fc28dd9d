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
#include "packet/packet.h"
#include "packet/syn_signature.h"
#include "pftable/engine/packet_route.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/merge_policy.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct Generation;

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
  bool lint = false;  // warnings of rules that can do nothing
  bool diff = false;  // what is different from what is in force
  // The rules come back with the result, to judge living states by.
  bool judge_states = false;
  // Refused with FailedPrecondition unless this generation is in force.
  std::optional<uint64_t> only_if{};
  // Unless it is confirmed within so many seconds, what was in force before
  // comes back. 0: it stays.
  uint32_t confirm_within = 0;
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
  // LoadRequest::diff: unified hunks of the printed rulesets, and their lines.
  std::string diff{};
  uint64_t diff_removed = 0;
  uint64_t diff_added = 0;
  // LoadRequest::judge_states: in force now, or as it would be.
  std::shared_ptr<const Generation> judge{};

  bool HasErrors() const {
    for (const Diagnostic& d : diagnostics) {
      if (d.severity == Severity::kError) return true;
    }
    return false;
  }
};

// A ruleset that came into force.
struct CommitListing {
  uint64_t generation = 0;
  int64_t when = 0;   // Unix time
  std::string what{};  // "load", "flush", "rollback", "not confirmed", "restore"
  uint32_t uid = 0;   // who asked; of the daemon itself its own
  int32_t pid = 0;
  std::string hash{};  // of the rules, options and tables, hexadecimal
  uint64_t rules = 0;
  uint64_t build_ms = 0;
  bool is_kept = false;  // Rollback() can go back to it
  // The filters, this one included, that have changed with it at once; empty:
  // it alone.
  std::vector<std::string> together{};
};

// Packets and bytes by the direction of the packet: [0] in, [1] out.
struct RuleCounterValues {
  uint64_t evaluations = 0;
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  uint64_t states = 0;           // that live
  uint64_t state_creations = 0;  // ever
  uint64_t state_mismatches = 0;  // packets that its states dropped
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
  bool expired = false;  // `once`: a packet has been its one
};

struct RuleQuery {
  std::string anchor;     // path; empty: the main ruleset
  std::string interface;  // only rules that name it, or none; empty: all
  // -P: the other way of printing ports and ICMP types than the dialect's.
  bool flip_port_names = false;
  // FreeBSD's nat, rdr and binat rules instead of the filter's.
  bool translation = false;
  // FreeBSD's rules for layer 2, before which `translation` says nothing.
  bool ether = false;
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

// A packet that need not exist, and where it is judged.
struct ExplainRequest {
  Direction direction = Direction::kIn;
  std::string interface;    // of arrival for kIn, of departure for kOut
  std::string received_on;  // of arrival, for kOut
  // Addresses, protocol, ports, flags and the like; kind and offsets are not
  // looked at.
  PacketInfo packet{};
  std::optional<SynSignature> syn{};  // of a SYN that was captured, for `os`
  std::string tag;          // what an earlier judgement left
  size_t near = 0;          // how many rules that nearly match are wanted
  // Of what leaves by a router's port: whose link address it was to get, before
  // the judgement there.
  std::optional<Address> next_hop{};
  // Instead of the rules in force. Its dry_run and who asked do not matter.
  std::optional<LoadRequest> ruleset{};
};

struct ExplainedTableListing {
  std::string table{};
  std::string anchor{};
  bool is_source = false;           // asked for the packet's source
  std::optional<TableEntry> entry{};  // that decides it
};

struct ExplainedRuleListing {
  std::string anchor{};
  uint32_t number = 0;
  uint32_t depth = 0;  // of anchors
  std::string text{};
  // Empty: it matched. Else the condition that did not hold.
  std::string failed{};
  bool decides = false;
  std::string tag{};  // of the packet after it
  std::vector<std::string> labels{};
  std::vector<ExplainedTableListing> tables{};
};

// Where a router sends it.
struct ExplainedWayListing {
  std::string router{};
  std::string by{};      // "routes", "route-to", "dup-to"
  std::string type{};    // as of RouteListing; "none": there is no route
  std::string prefix{};  // of the route; empty: there is none
  std::string port{};    // with "forward", as what follows
  std::string next_hop{};
  bool gateway = false;    // it is not the destination itself
  std::string neighbor{};  // as of RouterNeighborListing
  std::string mac{};
  std::string reason{};  // of a drop; empty: it goes on
};

struct ExplainResult {
  std::vector<Diagnostic> diagnostics;  // of the request's ruleset
  uint64_t generation = 0;              // 0: of the request's ruleset
  bool skipped = false;                 // `set skip on`: nothing is asked
  bool passes = true;
  std::string reason;  // as drops are counted; empty if it passes
  bool keeps_state = false;
  std::string tag;
  // As rules have translated it, if they have, and whether another address, or
  // another source port, could have come out.
  std::optional<PacketInfo> translated;
  bool guessed_address = false;
  bool guessed_port = false;
  // Of the rule that decides, if it applies there.
  std::optional<PacketRoute> route;
  // At a port of a router, if it passes. Where it arrives: what becomes of it
  // behind that. Where it leaves: if that is another way than it was to go.
  std::optional<ExplainedWayListing> way;
  std::optional<ExplainedWayListing> copy;  // that a dup-to makes
  std::vector<ExplainedRuleListing> rules;
  uint64_t met = 0;       // rules that evaluation came by
  uint64_t left_out = 0;  // near ones beyond `near`
};

// A name of `-s osfp`.
struct SystemListing {
  std::string class_name;
  std::string version{};  // empty: the class
  std::string subtype{};
};
struct SystemSlice {
  std::vector<SystemListing> systems;  // each before those below it
  uint64_t fingerprints = 0;           // in force, ranges written out
  std::string next;
};

class RuleControl {
 public:
  virtual ~RuleControl() = default;

  // Rules and tables of the text become the policy, in one step, or nothing
  // changes and the result's diagnostics say why.
  virtual std::unique_ptr<BuildJob<LoadResult>> BeginLoad(
      LoadRequest request) = 0;
  // The ruleset that was in force `back` commits ago, from 1 on, comes back.
  virtual std::unique_ptr<BuildJob<LoadResult>> BeginRollback(size_t back,
                                                              uint32_t uid,
                                                              int32_t pid) = 0;
  // What was loaded with `confirm_within` stays, at all filters of a commit of
  // several. FailedPrecondition if nothing waits for that.
  virtual absl::Status ConfirmCommit() = 0;
  // The names of these; empty: no commit of several waits.
  virtual std::vector<std::string> PendingTogether() { return {}; }
  // Newest first; the first is in force.
  virtual std::vector<CommitListing> Commits() = 0;
  // Whole seconds until what is not confirmed goes; none: nothing waits.
  virtual std::optional<uint64_t> ConfirmLeft() = 0;
  // What the rules say of a packet, and why; changes nothing. Publish() only
  // hands the result over.
  virtual std::unique_ptr<BuildJob<ExplainResult>> BeginExplain(
      ExplainRequest request) = 0;
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
  // What rules may name with `os`.
  virtual absl::StatusOr<SystemSlice> ListSystems(const std::string& cursor,
                                                  size_t limit) {
    static_cast<void>(cursor);
    static_cast<void>(limit);
    return SystemSlice();
  }
  // Zeroes the counters of all rules.
  virtual void ClearRuleCounters() = 0;
  // The same for the rules of the last load, unless they are to keep them.
  virtual void ClearLoadedCounters() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_RULE_CONTROL_H_
