// From what lives to values: the states that workers hand over in slices, and
// a filter's policy, as parts of a snapshot. Control side.
#ifndef SLUICE_RESTORE_EXPORT_H_
#define SLUICE_RESTORE_EXPORT_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "conntrack/expectation.h"
#include "conntrack/source_nodes.h"
#include "conntrack/state.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_store.h"
#include "restore/snapshot.h"
#include "restore/snapshot_states.h"

namespace sluice {

// What did not go into the snapshot.
struct ExportStatistics {
  uint64_t states = 0;        // that did
  uint64_t no_sync = 0;       // `keep state (no-sync)`, in one for others
  uint64_t not_portable = 0;  // the reader would refuse it
  uint64_t ties_cut = 0;      // the parent is not in the snapshot
  uint64_t expectations = 0;  // that did; the others' parents did not
  uint64_t sources = 0;       // that are carried by themselves
};

// Takes the states of all shards in any order and at any pace; one exporter a
// snapshot.
class StateExporter {
 public:
  // Neither is owned. The filter is the store's. `no_sync`: the states that
  // are not for others are taken, too, because the snapshot is for the same
  // machine.
  StateExporter(PolicyStore* store, const InterfaceRegistry* interfaces,
                bool no_sync = false)
      : store_(store), interfaces_(interfaces), no_sync_(no_sync) {}

  // A state as its worker recorded it (StateTable::Record), after its traffic
  // was folded: what it has not handed to its rule yet would be in no counter.
  void Add(const StateRecord& record);
  // An expectation as ExpectationTable::List() has it.
  void Add(const ExpectationRecord& record);
  // A source as SourceNodes::Visit() has it.
  void Add(const SourceRecord& record);
  // Brings what was added into the order of a snapshot. Expectations and
  // sources go into `snapshot`; states() are to be written with it.
  void Finish(Snapshot* snapshot);
  const SnapshotStates& states() const { return states_; }
  // Of memory, so far.
  uint64_t bytes() const {
    return states_.bytes() +
           source_nodes_.capacity() * sizeof(SnapshotSourceNode);
  }
  // ResourceExhausted if there was no memory for something: then the snapshot
  // is not whole. To be asked after Finish().
  const absl::Status& status() const { return status_; }
  const ExportStatistics& statistics() const { return statistics_; }

 private:
  RuleId IdOf(uint32_t slot);
  void AddState(const StateRecord& record);
  void AddPools(const StateRecord& record, SnapshotState* state);
  void AddExpectation(const ExpectationRecord& record);
  void HandOver(Snapshot* snapshot);
  // snapshot_source_nodes.cc
  void AddSource(const SourceRecord& record);
  void HandOverSources(Snapshot* snapshot);
  SnapshotBinding BindingOf(const StateTemplate& values);

  PolicyStore* const store_;
  const InterfaceRegistry* const interfaces_;
  const bool no_sync_;
  std::unordered_map<uint32_t, RuleId> rule_ids_;
  SnapshotStates states_;
  std::vector<SnapshotExpectation> expectations_;
  std::vector<SnapshotSourceNode> source_nodes_;
  ExportStatistics statistics_;
  absl::Status status_;
};

// The identity of a rule with that text digest (RuleSlotInfo::identity).
RuleId RuleIdOf(std::string_view identity);

// The rulesets of an anchor that hold rules of the plain kind but not the
// filter's, ascending by kind.
std::array<std::pair<SnapshotRuleKind, const std::vector<Rule>*>, 4>
OtherRules(const Ruleset& rules);

// A line of `set fingerprints`, as an option.
std::string FingerprintOption(const Fingerprint& fingerprint);

// How the text of a rule is printed in a snapshot.
PrintOptions SnapshotPrintOptions(Dialect dialect);

// Fills in dialect, limits, tables with their contents of now, rules, options
// and counters as they are `now`, and the generation in the header. Every part is of one
// generation: Aborted if the policy changed meanwhile, and then it is to be
// called again; ResourceExhausted: no memory.
absl::Status ExportPolicy(PolicyStore* store, Tick now, Snapshot* snapshot);

}  // namespace sluice

#endif  // SLUICE_RESTORE_EXPORT_H_
