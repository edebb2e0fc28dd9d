// The control side of one filter's policy: who may change it, in which steps,
// and when what it was can be freed.
//
// A change is: Begin() a ticket, Define() a policy under it (slow, compiles),
// Commit() it (short, publishes with one release store). A commit is refused
// unless its ticket is the newest that was begun and has not ended. Edits of
// tables are generations of their own that share everything else. Nothing
// here ever waits for a worker.
//
// Safe from several threads, but meant for one control thread and one builder
// thread, which calls Define().
//
// Cheap enough for thousands: a store takes memory for the rules and tables
// that it has, and shares with others what is equal (policy_pool.h). What has
// no memory for its work answers ResourceExhausted and has changed nothing;
// only the constructor and listings throw std::bad_alloc.
#ifndef SLUICE_PFTABLE_STORE_POLICY_STORE_H_
#define SLUICE_PFTABLE_STORE_POLICY_STORE_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/compile/compile.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/policy/policy.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/engine/table_slots.h"
#include "pftable/engine/tag_registry.h"

namespace sluice {

using Ticket = uint64_t;

struct PolicyStoreConfig {
  uint32_t workers = 1;
  // Rules of all live generations and of states whose rules are gone.
  uint32_t rule_slots = 65536;
  uint16_t table_slots = 4096;
  // Not owned; of all filters that are to share what is equal. Null: none.
  PolicyPool* pool = nullptr;
};

// What an edit of a table did: pfctl's "added/total addresses added" and so
// on.
struct TableChange {
  bool table_created = false;
  uint32_t total = 0;  // addresses in the request
  uint32_t added = 0;
  uint32_t deleted = 0;
  uint32_t changed = 0;  // negation turned round by a replace
};

struct TableTestResult {
  uint32_t total = 0;
  uint32_t matched = 0;
  std::vector<bool> matches;  // by address of the request
};

struct RuleStatus {
  ListedRule rule;
  RuleCounts counts;
};

struct TableStatus {
  TableKey key;
  bool active = false;
  bool persist = false;
  bool is_const = false;
  bool counters = false;
  uint32_t references = 0;  // rules of the main ruleset and of anchors
  size_t addresses = 0;
  int64_t cleared_at = 0;  // seconds since the epoch
  TableCounts counts;
};

class PolicyStore {
 public:
  // In force from the start: the empty policy, which passes without state.
  // `interfaces` and `reclaimer` are not owned.
  PolicyStore(const PolicyStoreConfig& config,
              const InterfaceRegistry* interfaces, Reclaimer* reclaimer);
  // No worker may read any more.
  ~PolicyStore();
  PolicyStore(const PolicyStore&) = delete;
  PolicyStore& operator=(const PolicyStore&) = delete;

  // For workers: once a burst. Never null; valid until the worker's next
  // quiescent state.
  const Generation* current() const {
    return current_.load(std::memory_order_acquire);
  }
  const RuleSlots& rule_slots() const { return rule_slots_; }
  WorkerCounters& worker_counters(uint32_t worker) {
    return counters_.worker(worker);
  }

  // Never fails. What older tickets have defined is dropped when theirs or
  // this one ends.
  Ticket Begin();
  // Compiles the policy under the ticket; replaces what the ticket had. The
  // ticket lives on after an error, with nothing defined.
  absl::Status Define(Ticket ticket, Policy policy);
  // Aborted ("generation moved") unless the ticket is the newest and has not
  // ended; FailedPrecondition if nothing is defined. The ticket ends in any
  // case but the last.
  absl::Status Commit(Ticket ticket);
  // Whether a Commit() of it would not be refused for the ticket's sake now.
  bool IsNewest(Ticket ticket) const;
  // NotFound unless the ticket was begun and has not ended.
  absl::Status Rollback(Ticket ticket);
  // Begin, Define, Commit; on an error nothing has changed.
  absl::Status Load(Policy policy);
  // Compiles the policy in force again if interfaces have changed since.
  absl::Status Refresh();
  // Frees what no worker reads any more. To be called now and then; the other
  // functions do it too. Nothing is freed and no large table is built while
  // the mutex is held: only a short section of any of these functions can
  // make another thread wait.
  void Poll();

  // Edits of tables, as `pfctl -t NAME -T ...` does them. A table is refused
  // when it is const (FailedPrecondition), unknown (NotFound), or when a limit
  // would be passed (ResourceExhausted); then nothing has changed. With
  // `dry_run` nothing changes either, but the counts are those of the edit.
  //
  // Makes the table, with persist, if there is none.
  absl::StatusOr<TableChange> AddAddresses(const TableKey& key,
                                           std::span<const TableEntry> entries,
                                           bool dry_run = false);
  absl::StatusOr<TableChange> DeleteAddresses(
      const TableKey& key, std::span<const TableEntry> entries,
      bool dry_run = false);
  // Makes the table, with persist, if there is none.
  absl::StatusOr<TableChange> ReplaceAddresses(
      const TableKey& key, std::span<const TableEntry> entries,
      bool dry_run = false);
  // Deletes all addresses.
  absl::StatusOr<TableChange> FlushTable(const TableKey& key,
                                         bool dry_run = false);
  // Takes the table out of force: it goes, or, while rules name it, is only
  // referenced and matches nothing.
  absl::Status KillTable(const TableKey& key);
  // The same for all tables of the anchor that are not const; returns how
  // many.
  absl::StatusOr<uint32_t> KillTables(std::string_view anchor);
  // Hosts only: InvalidArgument for networks.
  absl::StatusOr<TableTestResult> TestAddresses(
      const TableKey& key, std::span<const Prefix> hosts) const;
  // IPv4 before IPv6, ascending.
  absl::StatusOr<std::vector<TableEntry>> ShowTable(const TableKey& key) const;
  absl::Status ZeroTable(const TableKey& key);
  // TableSlots::Raise() of a table, if there is such a one.
  void RaiseTable(const TableKey& key, const TableCounts& least,
                  int64_t cleared_at);

  // Listings. Rules in order of evaluation within their anchor; `anchor` ""
  // is the main ruleset. NotFound for an anchor that is not there.
  absl::StatusOr<std::vector<RuleStatus>> ListRules(
      std::string_view anchor) const;
  // All rulesets.
  std::vector<RuleStatus> ListAllRules() const;
  // Those of all anchors, ascending by anchor and name.
  std::vector<TableStatus> ListTables() const;
  void ZeroRules();

  std::shared_ptr<const Policy> policy() const;
  uint64_t generation_number() const;
  uint64_t generation_hash() const;
  // Generations that are not freed yet, the one in force included.
  size_t live_generations() const;

  const TagRegistry& tags() const { return tags_; }
  TagRegistry& tags() { return tags_; }
  RuleSlots& rule_slots() { return rule_slots_; }
  PolicyCounters& counters() { return counters_; }

  // For tests: counts all references anew and compares, and checks that all
  // indexes and pointers of the generation in force resolve inside it. The
  // status says what is wrong.
  absl::Status CheckInvariants() const;

 private:
  struct Retired {
    uint64_t grace_period = 0;
    std::unique_ptr<const Generation> generation;
  };
  struct Draft {
    Ticket ticket = 0;
    std::shared_ptr<const CompiledPolicy> compiled;
  };

  // Holds the mutex; at its end takes what can be freed off the list and
  // frees it after the mutex is given back, because a large table takes long.
  class Section {
   public:
    explicit Section(PolicyStore& store) : store_(store), lock_(store.mutex_) {}
    ~Section();

   private:
    PolicyStore& store_;
    std::unique_lock<std::mutex> lock_;
  };

  // The request of an edit: ascending by prefix, each once.
  using Request = std::vector<TableEntry>;
  // What an edit means for a table that holds `before`.
  struct EditPlan {
    std::vector<AddressTable::Edit> edits;
    size_t more_entries = 0;  // for the limit
    TableChange change;
  };
  using Planner = EditPlan (*)(const AddressTable& before,
                               const Request& request);

  CompileContext Context();
  absl::Status DefineCompiled(Ticket ticket,
                              std::shared_ptr<const Policy> policy);
  absl::Status CommitDraft(Ticket ticket);
  absl::Status RefreshCompiled();
  void EndTicket(Ticket ticket) noexcept;
  absl::StatusOr<std::vector<RuleStatus>> RulesOf(
      std::string_view anchor) const;
  absl::StatusOr<TableChange> EmptyTable(const TableKey& key, bool dry_run);
  absl::StatusOr<uint32_t> DeactivateTables(std::string_view anchor);
  absl::StatusOr<TableTestResult> Match(const TableKey& key,
                                        std::span<const Prefix> hosts) const;
  absl::StatusOr<TableChange> EditTable(const TableKey& key,
                                        std::span<const TableEntry> entries,
                                        bool create, Planner planner,
                                        bool dry_run);
  absl::StatusOr<TableChange> EditContents(const TableKey& key,
                                           std::span<const TableEntry> entries,
                                           bool create, Planner planner,
                                           bool dry_run);

  // All of these under the mutex.
  std::list<Retired> Collect();
  // The release store, and the old one's retirement. Throws std::bad_alloc
  // before anything has changed, if at all.
  void Publish(std::unique_ptr<Generation> next);
  // A copy of the generation in force, to be edited and published.
  std::unique_ptr<Generation> Next() const;
  Draft* FindDraft(Ticket ticket);
  absl::Status CommitCompiled(std::shared_ptr<const CompiledPolicy> compiled);
  absl::Status CheckRoom(size_t more_entries, bool new_table) const;
  // The table of `next`, made if there is none and `create` says so.
  absl::StatusOr<GenerationTable*> EditableTable(Generation& next,
                                                 const TableKey& key,
                                                 bool create, bool* created);
  static void Deactivate(GenerationTable& table);
  // Drops tables that nothing defines or names, then publishes.
  void PublishWithoutUnused(std::unique_ptr<Generation> next);

  const InterfaceRegistry* const interfaces_;
  Reclaimer* const reclaimer_;
  PolicyPool* const pool_;
  PolicyCounters counters_;
  TagRegistry tags_;
  TableSlots table_slots_;
  RuleSlots rule_slots_;

  // Writer: the control side, under the mutex, release. Readers: workers,
  // acquire, once a burst.
  alignas(128) std::atomic<const Generation*> current_{nullptr};
  alignas(128) mutable std::mutex mutex_;
  std::unique_ptr<const Generation> owned_current_;
  // A list, so that what is in it can be taken off without memory.
  std::list<Retired> retired_;
  Ticket newest_ticket_ = 0;
  std::optional<Draft> draft_;  // of the newest ticket until that has ended
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_POLICY_STORE_H_
