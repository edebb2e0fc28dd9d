// What the control socket asks of a filter. The operations of the socket
// (operations.h) know a filter only by this interface: the daemon implements
// it over its workers, a test over a fake.
//
// Every function is called on the control lcore, unless it says otherwise, and
// returns within a few milliseconds whatever the size of the policy: what is
// long is either a BuildJob, whose slow part runs on the builder thread, or
// asynchronous (states), or given out by slices with a cursor.
//
// A cursor is the text with which a slice says where the next one starts. Only
// the filter that made it knows its form. Empty: the beginning when asked, the
// end when answered. A client may send any text: what is not a cursor of this
// filter is an InvalidArgumentError.
#ifndef SLUICE_DATAPLANE_CONTROL_API_FILTER_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_FILTER_CONTROL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "packet/address.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/rule.h"

namespace sluice {

// ---- Work with a slow part -------------------------------------------------

// One change of the policy. Begun on the control lcore, built on the builder
// thread, published on the control lcore. There is one job at a time: the next
// is begun after this one is published or dropped. Dropped unpublished, it
// leaves no trace. What is not a job may change the policy in between, a
// restore or a port that comes or goes: then the job is built again.
template <typename Result>
class BuildJob {
 public:
  virtual ~BuildJob() = default;
  // On the builder thread, once, and again whenever it was Outdated(). Changes
  // nothing that is live.
  virtual void Build() = 0;
  // On the control lcore, after Build() and right before Publish(): whether
  // what it was built on is not in force any more.
  virtual bool Outdated() const { return false; }
  // On the control lcore, once: done, or nothing was changed.
  virtual absl::StatusOr<Result> Publish() = 0;
};

// ---- Rules -----------------------------------------------------------------

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
  // None: the dialect of the daemon's configuration.
  std::optional<Dialect> dialect{};
  // None: what the ruleset says.
  std::optional<RulesetOptimization> optimization{};
  // Options that the text does not set stay as they are in force.
  bool merge_options = false;
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
};

struct RuleQuery {
  std::string anchor;     // path; empty: the main ruleset
  std::string interface;  // only rules that name it, or none; empty: all
  // -P: the other way of printing ports and ICMP types than the dialect's.
  bool flip_port_names = false;
};

struct RuleSlice {
  std::vector<RuleListing> rules;
  std::string next;
  uint64_t generation = 0;
  // Who loaded the ruleset in force.
  uint32_t uid = 0;
  int32_t pid = 0;
};

// ---- States ----------------------------------------------------------------

// One side of a state.
struct StatePeerListing {
  // The name of its state ("ESTABLISHED", "SINGLE", ...) or, where the
  // protocol has none (ICMP), its number: pf prints the same.
  std::string state;
  // TCP only: the next sequence number expected and the edge of the window.
  uint32_t sequence_low = 0;
  uint32_t sequence_high = 0;
  uint32_t sequence_difference = 0;  // modulation
  uint8_t window_scale = 0;
};

// The addresses and ports of the packet that made a state. ICMP: the
// identifier is the source's port, the type of the request the destination's.
struct StateEndpoints {
  Address source;
  Address destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;

  friend bool operator==(const StateEndpoints&,
                         const StateEndpoints&) = default;
};

struct StateListing {
  uint64_t id = 0;
  uint32_t creator_id = 0;
  std::string interface = "all";  // that it is bound to, or "all"
  uint8_t protocol = 0;
  Direction direction = Direction::kIn;  // in which its first packet went
  StateEndpoints before;                 // translation
  StateEndpoints after;  // translation; equal to `before` without
  StatePeerListing source;
  StatePeerListing destination;
  uint64_t age = 0;      // seconds
  uint64_t expires = 0;  // seconds from now
  // [0] from the source, [1] from the destination.
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  // The rule that made it, if that is still in force; none for states of the
  // default rule.
  std::optional<uint32_t> rule;
  std::string tag;
  bool sloppy = false;
  bool no_sync = false;
  uint64_t parent_id = 0;  // the state that it belongs to (TFTP); 0: none
};

// Which states. What is not set does not narrow; the empty one is all of them.
struct StateQuery {
  std::string interface;
  std::optional<Prefix> source;  // of the packet that made the state
  std::optional<Prefix> destination;
  std::optional<uint16_t> source_port;
  std::optional<uint16_t> destination_port;
  std::optional<uint8_t> protocol;
  std::optional<Direction> direction;
  std::string label;  // of the rule that made it
  std::optional<uint32_t> rule;
  std::optional<uint64_t> id;
  std::optional<uint32_t> creator_id;
};

struct StateSlice {
  std::vector<StateListing> states;
  std::string next;
};

// ---- Tables ----------------------------------------------------------------

enum class TableCounter : uint8_t { kBlock, kMatch, kPass, kXPass };
inline constexpr size_t kTableCounterCount = 4;

struct TableTraffic {
  // By direction ([0] in, [1] out) and TableCounter.
  std::array<std::array<uint64_t, kTableCounterCount>, 2> packets{};
  std::array<std::array<uint64_t, kTableCounterCount>, 2> bytes{};
};

struct TableListing {
  std::string name;
  std::string anchor;  // path; empty: the main one
  bool is_const = false;
  bool persist = false;
  bool active = false;
  bool referenced = false;
  bool counters = false;
  uint64_t addresses = 0;
  uint64_t rules = 0;   // that name it
  int64_t cleared = 0;  // when its counters were zeroed, Unix time
  uint64_t match = 0;
  uint64_t no_match = 0;
  TableTraffic traffic;
};

struct TableAddressListing {
  TableEntry entry;
  int64_t cleared = 0;  // Unix time
  // Set when the table counts by address.
  std::optional<TableTraffic> traffic;
};

struct TableSlice {
  std::vector<TableAddressListing> addresses;
  std::string next;
};

enum class TableCommand : uint8_t {
  kAdd,  // makes the table if there is none, persistent
  kDelete,
  kReplace,  // makes the table too
  kFlush,    // removes all addresses
  kKill,     // removes the table
  kZero,     // its counters
};

struct TableEdit {
  TableCommand command = TableCommand::kAdd;
  std::string table;
  std::string anchor;
  std::vector<TableEntry> entries;  // kAdd, kDelete, kReplace
  bool dry_run = false;
  bool feedback = false;  // fill TableEditResult::changes
};

// What became of one address.
enum class TableFeedback : uint8_t {
  kNone,
  kAdded,
  kDeleted,
  kChanged,    // its negation
  kDuplicate,  // named twice in one edit, ignored
  kConflict,   // named both ways in one edit, ignored
};

struct TableEditResult {
  uint64_t added = 0;
  uint64_t deleted = 0;
  uint64_t changed = 0;
  bool table_created = false;
  uint64_t tables_deleted = 0;
  uint64_t tables_zeroed = 0;
  std::vector<std::pair<TableEntry, TableFeedback>> changes;
};

struct TableMatch {
  Address address;
  bool match = false;
  // The most specific entry that holds the address, negated ones too.
  std::optional<TableEntry> entry;
};

// ---- Counters and settings -------------------------------------------------

struct NamedCounter {
  std::string name;
  uint64_t value = 0;
};

struct InterfaceTraffic {
  // By family ([0] IPv4, [1] IPv6), direction ([0] in, [1] out) and verdict
  // ([0] pass, [1] block).
  std::array<std::array<std::array<uint64_t, 2>, 2>, 2> packets{};
  std::array<std::array<std::array<uint64_t, 2>, 2>, 2> bytes{};
};

struct FilterInfo {
  bool enabled = false;
  // Seconds since it was enabled or disabled; none: it never was.
  std::optional<uint64_t> since;
  std::string debug = "err";
  uint32_t host_id = 0;
  std::string checksum;  // of the ruleset, hexadecimal
  uint64_t generation = 0;
  uint64_t states = 0;
  uint64_t half_open_states = 0;
  std::vector<NamedCounter> state_counters;   // searches, inserts, removals
  std::vector<NamedCounter> source_counters;  // of the source tracking table
  uint64_t source_nodes = 0;
  std::vector<NamedCounter> drop_counters;   // by DropReason, in its order
  std::vector<NamedCounter> limit_counters;  // "max states per rule", ...
  // All packets since the start, at the last CollectCounters(): received,
  // transmitted, dropped; "unaccounted" is zero unless the program errs.
  std::vector<NamedCounter> packet_counters;
  // `set loginterface`.
  std::string log_interface;
  InterfaceTraffic log_traffic;
};

struct InterfaceListing {
  std::string name;
  std::vector<std::string> groups;
  bool skip = false;  // `set skip on`
  bool is_group = false;
  std::optional<bool> link_up;  // ports only
  // Ports only: grows each time that the port is enabled or disabled.
  std::optional<uint32_t> incarnation;
  int64_t cleared = 0;          // Unix time
  uint64_t states = 0;          // bound to it
  uint64_t rules = 0;           // that name it
  InterfaceTraffic traffic;
};

struct TimeoutListing {
  Timeout timeout;
  uint32_t value = 0;
};
struct LimitListing {
  Limit limit;
  uint32_t value = 0;
  uint64_t in_use = 0;
  // How often 80 percent of it were reached, of states.
  uint64_t alarms = 0;
};

// ---- The interface ---------------------------------------------------------

class FilterControl {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  virtual ~FilterControl() = default;

  // Rules and tables of the text become the policy, in one step, or nothing
  // changes and the result's diagnostics say why.
  virtual std::unique_ptr<BuildJob<LoadResult>> BeginLoad(
      LoadRequest request) = 0;
  // No rules and no options are left; persistent tables stay. The result is
  // the generation.
  virtual std::unique_ptr<BuildJob<uint64_t>> BeginFlushRules() = 0;
  // At most `limit` rules from `cursor` on. A generation published between
  // two slices ends the listing with an AbortedError.
  virtual absl::StatusOr<RuleSlice> ListRules(const RuleQuery& query,
                                              const std::string& cursor,
                                              size_t limit) = 0;
  // Zeroes the counters of all rules.
  virtual void ClearRuleCounters() = 0;

  // Brings what living states have counted to their rules and tables, so that
  // the listings that follow are exact. `done` is called once, on the control
  // lcore, now or later.
  virtual void CollectCounters(std::function<void()> done) { done(); }

  // About `limit` states, gathered from the workers between their bursts.
  // `done` is called once, on the control lcore, now or later. States that
  // live all the while are listed exactly once.
  virtual void ListStates(const StateQuery& query, const std::string& cursor,
                          size_t limit, Done<StateSlice> done) = 0;
  // Removes the states that match, without an answer to their hosts. The
  // result counts them.
  virtual void KillStates(const StateQuery& query, Done<uint64_t> done) = 0;

  virtual std::vector<TableListing> ListTables() = 0;
  virtual absl::StatusOr<TableSlice> ListTable(const std::string& table,
                                               const std::string& anchor,
                                               const std::string& cursor,
                                               size_t limit) = 0;
  // NotFoundError for a table that is not there (but for kAdd and kReplace),
  // FailedPreconditionError for a `const` one, ResourceExhaustedError over a
  // limit; from Publish() as well as by the counts of its result.
  virtual std::unique_ptr<BuildJob<TableEditResult>> BeginTableEdit(
      TableEdit edit) = 0;
  // Removes all tables that no rule holds; the result counts them.
  virtual std::unique_ptr<BuildJob<uint64_t>> BeginFlushTables() = 0;
  virtual absl::StatusOr<std::vector<TableMatch>> TestTable(
      const std::string& table, const std::string& anchor,
      const std::vector<Address>& addresses) = 0;

  virtual FilterInfo Info() = 0;
  // Zeroes what Info() counts, but not the states.
  virtual void ClearInfo() = 0;
  virtual std::vector<InterfaceListing> Interfaces() = 0;
  virtual std::vector<TimeoutListing> Timeouts() = 0;
  virtual std::vector<LimitListing> Limits() = 0;

  // FailedPreconditionError if it is so already. A disabled filter passes
  // everything and makes no states; those it has stay.
  virtual absl::Status Enable() = 0;
  virtual absl::Status Disable() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_FILTER_CONTROL_H_
