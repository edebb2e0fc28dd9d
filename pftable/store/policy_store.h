// The control side of one filter's policy: what is in force, in which steps
// that changes, and when what it was can be freed.
//
// Every change is two steps. The first builds the next generation aside: slow,
// on any thread, and nothing in force changes by it. The second publishes it
// with one release store: short, on the control lcore, which alone decides the
// order. For a load the first is Define() under a ticket and the second
// Commit(), which is refused unless the ticket is the newest that was begun
// and has not ended. For edits of tables (table_edits.h) and for
// StageRefresh() the second is Publish(), which is refused if what they were
// built on is not in force any more: then they are built again. Nothing here
// ever waits for a worker.
//
// Safe from several threads. The mutex is held to publish and to look up what
// is in force, and while nothing is built, listed or freed.
//
// Cheap enough for thousands: a store takes memory for the rules and tables
// that it has, and shares with others what is equal (policy_pool.h). What has
// no memory for its work answers ResourceExhausted and has changed nothing;
// only the constructor throws std::bad_alloc.
#ifndef SLUICE_PFTABLE_STORE_POLICY_STORE_H_
#define SLUICE_PFTABLE_STORE_POLICY_STORE_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/compile/compile.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/engine/limiters.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/engine/table_slots.h"
#include "pftable/engine/tag_registry.h"
#include "pftable/policy/policy.h"
#include "pftable/store/publication.h"

namespace sluice {

struct PolicyStoreConfig {
  uint32_t workers = 1;
  // Rules of all live generations and of states whose rules are gone.
  uint32_t rule_slots = 65536;
  uint16_t table_slots = 4096;
  // Not owned; of all filters. Null: as many as there are slots.
  RuleBudget* rule_budget = nullptr;
  // Not owned; of all filters that are to share what is equal. Null: none.
  PolicyPool* pool = nullptr;
  // Not owned; of all filters that may change together. Null: its own.
  Publication* publication = nullptr;
  // Rules are compiled for the classifier; else walked one by one.
  bool classifier = true;
  // IndexedTables::alone().
  uint8_t tables_alone = IndexedTables::kAlone;
  // Whether old generations are freed by whoever calls; otherwise
  // TakeGarbage() has to be called.
  bool frees_itself = true;
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

  // ---- Workers -------------------------------------------------------------

  // Once a burst. Never null; valid until the worker's next quiescent state.
  const Generation* current() const {
    return current_.load(std::memory_order_acquire);
  }
  // The same at an epoch that the worker has read since its last quiescent
  // state: what was published later is passed over.
  const Generation* At(uint64_t epoch) const {
    const Generation* generation = current();
    while (generation->epoch > epoch) generation = generation->before;
    return generation;
  }
  const RuleSlots& rule_slots() const { return rule_slots_; }
  WorkerCounters& worker_counters(uint32_t worker) {
    return counters_.worker(worker);
  }

  // ---- Loads ---------------------------------------------------------------

  // Never fails. What older tickets have defined is dropped when theirs or
  // this one ends. With `comes_back` what it will define was in force before:
  // how many entries tables have then is not asked again.
  Ticket Begin(bool comes_back = false);
  // Compiles the policy under the ticket; replaces what the ticket had. The
  // ticket lives on after an error, with nothing defined.
  absl::Status Define(Ticket ticket, Policy policy);
  // Aborted ("generation moved") unless the ticket is the newest and has not
  // ended; FailedPrecondition if nothing is defined. The ticket ends in any
  // case but the last.
  absl::Status Commit(Ticket ticket);
  // What Commit() of it would put in force now, with the tables as they would
  // be then; nothing changes. Errors as Commit()'s; the ticket lives on.
  absl::StatusOr<std::shared_ptr<const Generation>> Preview(Ticket ticket);
  // What Commit() of it would put in force, for PublishTogether(); the ticket
  // lives on. *base: what it was built on. Any thread.
  absl::StatusOr<StagedGeneration> StageLoad(
      Ticket ticket, std::shared_ptr<const Generation>* base = nullptr);
  // Whether a Commit() of it would not be refused for the ticket's sake now.
  bool IsNewest(Ticket ticket) const;
  // Whether a Commit() of it would have to compile again, because interfaces
  // have come or gone: who may not wait for that defines it anew.
  bool IsOutdated(Ticket ticket) const;
  // NotFound unless the ticket was begun and has not ended.
  absl::Status Rollback(Ticket ticket);
  // Begin, Define, Commit; on an error nothing has changed.
  absl::Status Load(Policy policy);

  // ---- Other changes -------------------------------------------------------

  // Compiles the policy in force again, if interfaces have changed since. If
  // only their addresses have, it takes those, in no time.
  absl::StatusOr<StagedGeneration> StageRefresh();
  // Whether `(if)` stands for other addresses by now than in what is in force.
  bool HasOldAddresses() const;
  // Whether the tables of what is in force are to be indexed anew, and that.
  // It takes time for all of their entries; what it gives has the number of
  // what it was built on, because it is the same policy. Whatever is published
  // in between goes on with the index before it.
  bool WantsIndex() const;
  absl::StatusOr<StagedGeneration> StageIndex();
  // Whether Publish() would not refuse it for what it was built on now.
  bool IsUpToDate(const StagedGeneration& staged) const;
  // Aborted ("generation moved") if another generation than that which it was
  // built on is in force.
  absl::Status Publish(StagedGeneration staged);

  // ---- Listings ------------------------------------------------------------

  // What is in force, held for as long as the caller wants to look at it, but
  // not longer than the store is there (policy_listing.h).
  std::shared_ptr<const Generation> generation() const;
  std::shared_ptr<const Policy> policy() const {
    return generation()->policy->source;
  }

  // ---- Upkeep --------------------------------------------------------------

  // Frees what no worker reads any more. To be called now and then; what
  // changes something does it too. Nothing is freed while the mutex is held.
  void Poll();
  // The same, but what is to be freed goes to the caller, for a thread that
  // may take its time: it must go before the store does.
  std::vector<std::shared_ptr<const Generation>> TakeGarbage();
  // Generations that workers may still read, the one in force included.
  size_t live_generations() const;
  const Publication& publication() const { return publication_; }

  RuleSlots& rule_slots() { return rule_slots_; }
  // Null until a policy has some. Workers, too.
  Limiters* limiters() const {
    return limiters_in_use_.load(std::memory_order_acquire);
  }
  // Makes room for states that count for the limiters of a policy which is not
  // in force yet. Errors: no memory.
  absl::Status AnnounceLimiters(std::span<const LimiterDefinition> definitions);
  TableSlots& table_slots() { return table_slots_; }
  const TableSlots& table_slots() const { return table_slots_; }
  TagRegistry& tags() { return tags_; }
  const TagRegistry& tags() const { return tags_; }
  PolicyCounters& counters() { return counters_; }
  // Null: nothing is shared with other stores.
  PolicyPool* pool() const { return pool_; }

 private:
  friend absl::Status PublishTogether(std::span<StagedCommit> commits,
                                      size_t* culprit);

  // Of these contents (ContentsToIndex()).
  std::shared_ptr<const IndexedTables> MakeIndex(
      std::vector<AddressTable> tables) const;
  // For a load, if that takes no time to speak of.
  void AddIndex(Generation& next) const;

  struct Retired {
    uint64_t grace_period = 0;
    std::shared_ptr<const Generation> generation;
  };
  struct Draft {
    Ticket ticket = 0;
    std::shared_ptr<const CompiledPolicy> compiled;
    bool comes_back = false;
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

  CompileContext Context();
  bool HasOldAddresses(const Generation& generation) const;
  absl::Status DefineCompiled(Ticket ticket,
                              std::shared_ptr<const Policy> policy);
  absl::Status CommitDraft(Ticket ticket);
  // The ticket with what is defined under it, and what is in force.
  absl::Status LookUp(Ticket ticket, Draft* draft,
                      std::shared_ptr<const Generation>* base);
  void EndTicket(Ticket ticket) noexcept;

  // All of these under the mutex.
  std::list<Retired> Collect();
  // The release store, and the old one's retirement. Throws std::bad_alloc
  // before anything has changed, if at all.
  void PutInForce(std::unique_ptr<Generation> next);
  // The three parts of it. What may throw, before anything has changed:
  struct Incoming {
    PolicyStore* store;
    std::shared_ptr<Generation> now;
    std::list<Retired> retired;
  };
  Incoming Prepare(std::unique_ptr<Generation> next);
  // All of them at once, under the mutexes of all of their stores.
  static void Install(std::span<Incoming> set) noexcept;
  // Why the staged generation may not come into force.
  absl::Status CheckStaged(const StagedCommit& commit) const;
  void MakeLimiters();
  Draft* FindDraft(Ticket ticket);
  absl::Status GenerationMoved(Ticket ticket) const;

  const InterfaceRegistry* const interfaces_;
  Reclaimer* const reclaimer_;
  const bool frees_itself_;
  PolicyPool* const pool_;
  const std::unique_ptr<Publication> own_publication_;
  Publication& publication_;
  const bool classifier_;
  const uint8_t tables_alone_;
  PolicyCounters counters_;
  TagRegistry tags_;
  TableSlots table_slots_;
  RuleSlots rule_slots_;
  // Made under the mutex, and then there for as long as the store.
  std::unique_ptr<Limiters> limiters_;
  std::atomic<Limiters*> limiters_in_use_{nullptr};

  // Writer: the control side, under the mutex, release. Readers: workers,
  // acquire, once a burst.
  alignas(128) std::atomic<const Generation*> current_{nullptr};
  alignas(128) mutable std::mutex mutex_;
  std::shared_ptr<const Generation> in_force_;  // what current_ points to
  // A list, so that what is in it can be taken off without memory.
  std::list<Retired> retired_;
  // How many, for who asks thousands of stores in turn and takes no lock.
  std::atomic<size_t> retired_count_{0};
  Ticket newest_ticket_ = 0;
  std::optional<Draft> draft_;  // of the newest ticket until that has ended
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_POLICY_STORE_H_
