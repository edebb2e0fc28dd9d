// What the parts of a filter share (live_filter.h), and what its jobs keep
// alive: its policy, its budget of states, and what its workers have of it.
#ifndef SLUICE_DATAPLANE_FILTERS_FILTER_CORE_H_
#define SLUICE_DATAPLANE_FILTERS_FILTER_CORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/control/api/status_control.h"
#include "dataplane/filters/rule_index.h"
#include "dataplane/forward/bare_filter.h"
#include "dataplane/ports/port_set.h"
#include "dataplane/ports/run_time_devices.h"
#include "dataplane/workers/state_orders.h"
#include "pftable/store/policy_store.h"

namespace sluice {

struct Plane;
class RestoreService;
class RouterHost;
class Worker;

// What all filters of the process have in common. All of it outlives them.
struct FilterEnvironment {
  InterfaceRegistry* interfaces = nullptr;
  Reclaimer* reclaimer = nullptr;
  Plane* plane = nullptr;
  PortSet* ports = nullptr;
  RouterHost* routers = nullptr;  // null: there are no routers
  HoldBudget* hold_budget = nullptr;
  std::vector<Worker*> workers;
  PolicyStoreConfig store;
  Dialect dialect = Dialect::kOpenBsd;
  std::vector<std::string> without;  // that the daemon's own file is loaded
  RunTimeDevices run_time_devices;  // that orders may plug in
  uint32_t state_capacity = 0;  // over all workers
  SourceNodes* sources = nullptr;
  uint32_t host_id = 0;         // unless the ruleset has one
  bool ftp_helper = false;
  bool tftp_helper = false;
  // Of the session log and the export of flows; null: there is neither.
  std::function<std::vector<NamedCounter>()> flow_counters = nullptr;
  // Sees to what filters expect; null: nothing is ever restored.
  RestoreService* restores = nullptr;
};

struct FilterCore : BareFilter {
  // `environment` outlives it.
  FilterCore(const FilterEnvironment* environment, std::string name,
             uint16_t number);

  // NotFound once the filter is destroyed.
  absl::Status CheckAlive() const;
  // Milliseconds of the plane's clock.
  uint64_t SinceStart() const;

  const FilterEnvironment& environment;
  const std::string name;
  const uint16_t number;
  RuleIndex rules_by_slot;
  // Jobs that are still under way end with an error.
  bool destroyed = false;
  // When it was enabled or disabled, if it ever was.
  std::optional<uint64_t> switched_at;
  // Of the last CollectCounters(), by worker.
  std::vector<WorkerSnapshot> snapshots;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_CORE_H_
