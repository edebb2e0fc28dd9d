// The one filter of a running daemon: its policy, what its workers have of it,
// and everything that the control socket may ask of it.
//
// Belongs to the control lcore; only BuildJob::Build() runs elsewhere.
#ifndef SLUICE_DATAPLANE_LIVE_FILTER_H_
#define SLUICE_DATAPLANE_LIVE_FILTER_H_

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
#include "dataplane/control/filter_control.h"
#include "dataplane/pipeline.h"
#include "dataplane/port.h"
#include "dataplane/state_orders.h"
#include "dataplane/worker.h"
#include "pftable/host_facts.h"
#include "pftable/policy_store.h"

namespace sluice {

class LiveFilter final : public FilterControl {
 public:
  // All but the values outlive the filter.
  struct Parts {
    PolicyStore* store = nullptr;
    InterfaceRegistry* interfaces = nullptr;
    StateBudget* budget = nullptr;
    FilterPlane* filter = nullptr;
    Plane* plane = nullptr;
    std::vector<Worker*> workers;
    std::vector<Port*> ports;
    const HostFacts* facts = nullptr;
    Dialect dialect = Dialect::kOpenBsd;
    uint32_t state_capacity = 0;  // over all workers
  };
  explicit LiveFilter(Parts parts);
  ~LiveFilter() override;

  // A load of a file of this machine, whose includes are read from it too: at
  // the start and on SIGHUP.
  std::unique_ptr<BuildJob<LoadResult>> BeginLoadFile(std::string path);

  // Now and then: collects what workers have done, frees old generations.
  void Poll();
  // Orders that workers have not done yet.
  size_t pending_orders() const;

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

  // What a commit changes beside the policy.
  void AfterCommit();
  absl::StatusOr<std::shared_ptr<const StateMatcher>> Resolve(
      const StateQuery& query) const;
  StateListing ToListing(const StateRecord& state);
  // The number of the rule in `slot`, if it is in force.
  std::optional<uint32_t> RuleNumber(uint32_t slot);

  uint64_t Drops(DropReason reason) const;
  uint64_t States() const;
  // Of one port over all workers since the counters were cleared.
  InterfaceTraffic TrafficOf(size_t port) const;
  InterfaceTraffic RawTrafficOf(size_t port) const;
  std::array<uint64_t, 3> RawStateCounters() const;
  uint64_t SinceStart() const { return parts_.plane->clock.Milliseconds(); }

  const Parts parts_;
  uint32_t loader_uid_ = 0;
  int32_t loader_pid_ = 0;
  std::optional<uint64_t> switched_at_;  // milliseconds of the plane's clock
  const uint32_t host_id_;

  // Counters as they were when they were cleared.
  struct Baseline {
    std::array<uint64_t, kDropReasonCount> drops{};
    std::array<uint64_t, 3> states{};  // searches, inserts, removals
    std::vector<InterfaceTraffic> ports;
    int64_t cleared = 0;  // Unix time
  };
  Baseline baseline_;

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
  // Numbers of rules by slot, of one generation.
  uint64_t numbers_generation_ = 0;
  std::unordered_map<uint32_t, uint32_t> numbers_;
  // Set while this lives; orders that come back later find it gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LIVE_FILTER_H_
