// A filter of a running daemon: its policy, its budget of states, what its
// workers have of it, and everything that the control socket may ask of it.
//
// Belongs to the control lcore; only BuildJob::Build() runs elsewhere. A job
// keeps the filter alive, so that one that is destroyed meanwhile is freed
// after its last job.
#ifndef SLUICE_DATAPLANE_FILTERS_LIVE_FILTER_H_
#define SLUICE_DATAPLANE_FILTERS_LIVE_FILTER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "conntrack/state_budget.h"
#include "dataplane/control/api/filter_control.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/filters/limit_alarm.h"
#include "dataplane/packetlog/pflog.h"
#include "dataplane/ports/port_set.h"
#include "dataplane/ports/port_sums.h"
#include "dataplane/workers/state_orders.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/policy_store.h"

namespace sluice {

struct Plane;
class RestoreService;
class Worker;

// What all filters of the process have in common. All of it outlives them.
struct FilterEnvironment {
  InterfaceRegistry* interfaces = nullptr;
  Reclaimer* reclaimer = nullptr;
  Plane* plane = nullptr;
  PortSet* ports = nullptr;
  HoldBudget* hold_budget = nullptr;
  std::vector<Worker*> workers;
  PolicyStoreConfig store;
  Dialect dialect = Dialect::kOpenBsd;
  uint32_t state_capacity = 0;  // over all workers
  uint32_t host_id = 0;         // unless the ruleset has one
  // Sees to what filters expect; null: nothing is ever restored.
  RestoreService* restores = nullptr;
};

class LiveFilter final : public FilterControl,
                         public std::enable_shared_from_this<LiveFilter> {
 public:
  struct Options {
    std::string name;
    uint16_t number = kMainFilter;
    uint64_t serial = 1;
    FailPolicy fail_policy = FailPolicy::kClosed;
    // With FailPolicy::kOpen: the filter that holds then.
    std::shared_ptr<LiveFilter> emergency = nullptr;
    bool bypass_hold = true;
  };
  // Any thread. Nothing passes until a ruleset is loaded. The workers get to
  // know it by plane(), when somebody publishes that.
  LiveFilter(const FilterEnvironment* environment, Options options);
  ~LiveFilter() override;

  const std::string& name() const { return options_.name; }
  uint16_t number() const { return options_.number; }
  LiveFilter* emergency() const { return options_.emergency.get(); }
  FilterPlane& plane() { return plane_; }
  const FilterPlane& plane() const { return plane_; }
  PolicyStore& store() { return *store_; }
  const StateBudget& budget() const { return budget_; }

  // A port begins or ceases to be judged by this filter.
  void Join(const PortSet::Entry& port);
  void Leave(const PortSet::Entry& port);
  // A policy came into force by a restore.
  void PolicyRestored() { AfterCommit(); }
  // Looks, about once a second, whether its states come near their limit.
  void WatchLimits();
  // Jobs that are still under way end with an error.
  void MarkDestroyed() { destroyed_ = true; }

  // For the packet log: which pflog the record goes to, and what is known of
  // its rule.
  uint8_t Describe(const LogRecord& record, PflogContext* context);

  // Counts of states that were made and that ended.
  uint64_t Inserts() const;
  uint64_t Removals() const;

  // A load of a file of this machine, whose includes are read from it too: at
  // the start and on SIGHUP.
  std::unique_ptr<BuildJob<LoadResult>> BeginLoadFile(std::string path);

  // Now and then: frees old generations.
  void Poll();

  std::unique_ptr<BuildJob<LoadResult>> BeginLoad(
      LoadRequest request) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushRules() override;
  absl::StatusOr<RuleSlice> ListRules(const RuleQuery& query,
                                      const std::string& cursor,
                                      size_t limit) override;
  void ClearRuleCounters() override;
  void CollectCounters(std::function<void()> done) override;

  void ListStates(const StateQuery& query, const std::string& cursor,
                  size_t limit, Done<StateSlice> done) override;
  void KillStates(const StateQuery& query, Done<uint64_t> done) override;

  std::vector<TableListing> ListTables() override;
  absl::StatusOr<TableSlice> ListTable(const std::string& table,
                                       const std::string& anchor,
                                       const std::string& cursor,
                                       size_t limit) override;
  std::unique_ptr<BuildJob<TableEditResult>> BeginTableEdit(
      TableEdit edit) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushTables() override;
  absl::StatusOr<std::vector<TableMatch>> TestTable(
      const std::string& table, const std::string& anchor,
      const std::vector<Address>& addresses) override;

  FilterInfo Info() override;
  void ClearInfo() override;
  std::vector<InterfaceListing> Interfaces() override;
  std::vector<TimeoutListing> Timeouts() override;
  std::vector<LimitListing> Limits() override;

  absl::Status Enable() override;
  absl::Status Disable() override;

 private:
  class LoadJob;
  class FlushRulesJob;
  class TableEditJob;
  class FlushTablesJob;

  // A port that it judges, and what that had counted when it began or was
  // cleared.
  struct Member {
    std::string port;
    uint64_t serial = 0;
    PortSums base;
  };

  absl::Status CheckAlive() const;
  // What a commit changes beside the policy.
  void AfterCommit();
  absl::StatusOr<std::shared_ptr<const StateMatcher>> Resolve(
      const StateQuery& query) const;
  StateListing ToListing(const StateRecord& state);
  // What is known of the rule in `slot`, or null if it is not in force.
  struct RuleFacts {
    uint32_t number = 0;
    std::string anchor;
    uint8_t pflog = 0;
    uint32_t identifier = 0;  // `ridentifier`
  };
  const RuleFacts* FactsOfRule(uint32_t slot);

  // Since the counters were cleared: of one port, and of all that are or were
  // judged by it.
  PortSums CountersOf(const Member& member) const;
  PortSums Counters() const;
  std::array<uint64_t, 3> RawStateCounters() const;
  uint64_t SinceStart() const;

  const FilterEnvironment& environment_;
  const Options options_;
  const uint32_t host_id_;
  StateBudget budget_;
  LimitAlarm states_alarm_;
  std::unique_ptr<PolicyStore> store_;
  FilterPlane plane_;
  bool destroyed_ = false;

  uint32_t loader_uid_ = 0;
  int32_t loader_pid_ = 0;
  std::optional<uint64_t> switched_at_;  // milliseconds of the plane's clock

  std::vector<Member> members_;
  PortSums former_;  // of ports that have left
  std::array<uint64_t, 3> cleared_states_{};  // searches, inserts, removals
  int64_t cleared_ = 0;  // Unix time

  // Of the last CollectCounters(), by worker.
  std::vector<WorkerSnapshot> snapshots_;

  // Rules as a listing began with them, so that its slices fit together.
  struct RuleCache {
    uint64_t generation = 0;
    std::string anchor;
    std::shared_ptr<const Policy> policy;  // that `rules` point into
    std::vector<RuleStatus> rules;
  };
  std::optional<RuleCache> rule_cache_;
  // Rules by slot, of one generation.
  uint64_t facts_generation_ = 0;
  std::unordered_map<uint32_t, RuleFacts> facts_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_LIVE_FILTER_H_
