// From values to what lives: a snapshot's policy and states, on their way into
// a filter. Control side; one importer a snapshot.
//
// VALIDATE is Prepare(), then StateIntake::Reserve() of each arena() on its
// worker until kReady, then Tie(). No packet is judged otherwise for any of
// it, and any error ends it: StateIntake::Cancel() of each arena on its worker
// and Abandon() leave the filter as it was.
//
// COMMIT is StateIntake::Commit() of each arena on its worker, then
// PublishPolicy(), then StepFinish() until it says that it is done, then
// Finish(). Only PublishPolicy() can fail, if somebody else has changed the
// policy meanwhile; the states are removed again then.
#ifndef SLUICE_RESTORE_IMPORT_H_
#define SLUICE_RESTORE_IMPORT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "conntrack/expectation.h"
#include "conntrack/source_nodes.h"
#include "conntrack/state_import.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/policy/policy.h"
#include "pftable/store/policy_store.h"
#include "restore/restore_job.h"
#include "restore/snapshot.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_source.h"

namespace sluice {

// What becomes of a state whose rule is not in the policy.
enum class OrphanPolicy : uint8_t {
  // It goes on, with the timeouts that its rule had, as a state of a rule that
  // is gone.
  kKeep,
  kDrop,  // it is left out
};

struct ImportOptions {
  SnapshotLimits limits;  // of the receiving filter
  OrphanPolicy orphans = OrphanPolicy::kKeep;
  // Whether rules, options and tables come from the snapshot too, and their
  // counters: each goes on from the greater of the snapshot's and its own. If
  // not, the policy in force stays, tables and counters included.
  bool policy = false;
  // Without `policy`: what had been added at run time to tables that the policy
  // in force has, too, and that are not const there.
  bool run_time_tables = false;
  // The name of the filter whose snapshot it has to be; empty: of any.
  std::string from_filter{};
  // Of a snapshot that does not say it.
  Dialect dialect = Dialect::kOpenBsd;
};

// Where the snapshot goes. Nothing is owned.
struct ImportTarget {
  PolicyStore* store = nullptr;
  InterfaceRegistry* interfaces = nullptr;
  ExpectationTable* expectations = nullptr;
  // Null: sources that are carried by themselves are left out.
  SourceNodes* sources = nullptr;
  SourceBudget* source_budget = nullptr;
  uint16_t filter = 0;
  uint8_t workers = 1;
  // The highest StateTable::last_id() of all workers.
  uint64_t last_id = 0;
  // The worker that will see the flow's packets; null: all are worker 0's.
  std::function<uint8_t(const SnapshotState&)> owner = nullptr;
};

class StateImporter {
 public:
  StateImporter(const ImportTarget& target, ImportOptions options)
      : target_(target),
        options_(std::move(options)),
        arenas_(target.workers) {
    for (StateImport& arena : arenas_) arena.filter = target.filter;
  }
  ~StateImporter() { Abandon(); }
  StateImporter(const StateImporter&) = delete;
  StateImporter& operator=(const StateImporter&) = delete;

  // Reads and resolves everything. Ids stay as they are unless a live state
  // might have one of them, or an owner is another worker than the id says:
  // then all are numbered anew in their order. Errors: those of ReadSnapshot()
  // and PolicyStore::Define(); InvalidArgument: a rule, a tie or an interface
  // that is not understood here; ResourceExhausted: no room for tags, rules
  // that are gone, or no memory. Names of tags that the filter did not know
  // stay, even if the import ends later.
  absl::Status Prepare(std::span<const uint8_t> bytes);
  // The same, and lets go of the bytes as soon as they are read: of many
  // states they are a good part of the memory that this takes.
  absl::Status Prepare(SharedBytes bytes);
  // Of each worker, from the start; empty until Prepare() has succeeded.
  StateImport* arena(size_t worker) { return &arenas_[worker]; }
  // Takes room for sources, families and expectations and ties children to parents.
  // ResourceExhausted if there is none.
  absl::Status Tie();
  // What was read, but for the states without a parent; after Prepare().
  const Snapshot& snapshot() const { return snapshot_; }
  // Whether the policy comes from the snapshot, too.
  bool has_policy() const { return options_.policy; }
  // Whether PublishPolicy() would find that nobody has begun another change.
  bool CanPublish() const {
    if (additions_.next != nullptr) {
      return target_.store->IsUpToDate(additions_);
    }
    return !ticket_.has_value() || target_.store->IsNewest(*ticket_);
  }
  // Aborted: the policy has been changed by somebody else. ResourceExhausted:
  // no room for its tables, or no memory.
  absl::Status PublishPolicy();
  // What else becomes the filter's, with at most so many of the families and
  // sources that are left. True: it is all there.
  bool StepFinish(Tick now, size_t most);
  // What StepFinish() has left, at once.
  RestoreReport Finish(Tick now);
  // Whether there are families or sources that are neither published nor given
  // back.
  bool has_more() const {
    return next_family_ < families_.size() ||
           next_source_ < source_nodes_.size();
  }
  // Gives back at most so many of them; true: none is left.
  bool Discard(size_t most);
  // Frees all that is not in a shard.
  void Abandon();

 private:
  struct Place {
    uint8_t worker = 0;
    uint32_t index = 0;  // in the arena
  };
  struct Family {
    StateId parent = 0;
    uint16_t record = kNoFamilyRecord;
  };
  // By ids in the snapshot.
  struct ChildTie {
    uint64_t child = 0;
    uint64_t parent = 0;
    uint8_t proto = 0;
    bool seated = false;  // has one of the places that its parent may have
  };
  // What a parent has to have room for.
  struct FamilyNeeds {
    uint32_t children = 0;
    bool expects = false;
  };

  // Without a place: of states, which have made it by the time it is raised.
  struct SourceOnItsWay {
    SourceRecord record;
    SourceNodeIndex place = kNoSourceNode;
  };

  // What `max-pkt-rate` and `once` have counted.
  struct RuleLife {
    uint32_t slot = 0;
    uint32_t packet_rate = 0;
    bool expired = false;
  };

  struct TableCounter {
    TableKey key;
    TableCounts counts;
    int64_t cleared_at = 0;
  };

  absl::Status ReadAll(std::span<const uint8_t> bytes);
  absl::Status PrepareAll();
  absl::Status TieAll();
  absl::Status CheckOrigin() const;
  absl::Status CheckInterfaces() const;
  absl::Status FindInterface(const std::string& name, std::string_view who,
                             uint64_t id, uint16_t* interface,
                             std::string_view how =
                                 " is bound to interface ") const;
  absl::StatusOr<Policy> BuildPolicy() const;
  absl::Status StageRunTimeTables();
  // Slots of the snapshot's rules, and what they are to be counted with.
  void FindRules();
  // Slots for rules that are not here any more but have states.
  absl::Status KeepOrphanRules();
  absl::Status InternTags();
  // Slots and flags of a binding; false: its rule is not there.
  bool Resolve(const SnapshotBinding& binding, StateTemplate* values) const;
  absl::Status AddStates();
  absl::Status AddState(const SnapshotState& state, StateId id,
                        uint8_t worker);
  const StateRecord& At(const Place& place) const {
    return arenas_[place.worker].states[place.index].record;
  }
  // Take of `left` what they have dealt with.
  void CommitFamilies(Tick now, size_t* left);
  void CancelFamilies(size_t* left);
  // snapshot_source_nodes.cc
  absl::Status ReserveSources();
  void PublishSources(Tick now, size_t most);
  void DiscardSources(size_t most);
  // Where at most so many that are left end.
  size_t EndOfSources(size_t most) const {
    return next_source_ + std::min(most, source_nodes_.size() - next_source_);
  }
  // Finds the states that are or will be tied to others.
  void FindFamilies();
  // Gives the youngest children of each parent its places.
  std::unordered_map<uint64_t, FamilyNeeds> SeatChildren();

  const ImportTarget target_;
  const ImportOptions options_;
  Snapshot snapshot_;
  std::optional<Ticket> ticket_;
  StagedGeneration additions_;  // to tables of the policy in force
  std::unordered_map<RuleId, uint32_t> slots_;
  std::unordered_map<RuleId, uint32_t> orphan_slots_;
  RuleSlotLease orphan_rules_;
  std::vector<std::pair<uint32_t, RuleCounts>> rule_counters_;
  std::vector<RuleLife> rule_lives_;
  std::vector<TableCounter> table_counters_;
  std::vector<StateImport> arenas_;
  // By id in the snapshot, of parents and children: where they are, once they
  // are anywhere.
  std::unordered_map<uint64_t, std::optional<Place>> places_;
  std::vector<ChildTie> ties_;  // ascending by child, TFTP's first
  std::vector<Family> families_;
  size_t next_family_ = 0;  // those before it are committed or given back
  std::vector<SourceOnItsWay> source_nodes_;
  size_t next_source_ = 0;  // those before it are published or given back
  std::shared_ptr<const Epoch> interfaces_;
  std::shared_ptr<const Epoch> tags_;
  RestoreReport report_;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_IMPORT_H_
