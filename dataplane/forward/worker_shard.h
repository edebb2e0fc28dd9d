// What a worker judges with, without its thread: its shard of the states, what
// these leave to the rules, its counters of ports, and its pipeline. Workers
// have one each; a simulation has one and moves its clock by hand.
#ifndef SLUICE_DATAPLANE_FORWARD_WORKER_SHARD_H_
#define SLUICE_DATAPLANE_FORWARD_WORKER_SHARD_H_

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "conntrack/state_table.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/port_counters.h"
#include "dataplane/forward/rule_sink.h"
#include "pftable/engine/lazy_memory.h"

namespace sluice {

class ExpectationTable;
class FilterTable;
class SourceNodes;
class TranslationDirectory;

class WorkerShard {
 public:
  struct Options {
    StateTableOptions states;  // the worker's number among them
    uint16_t ports = kMaxPorts;
    Pipeline::Config pipeline;
    // StateTable::SetFlows(); outlives the shard.
    FlowRecorder* flows = nullptr;
    bool all_flows = false;
  };

  // What it is given outlives the shard; without `sources` none is tracked, and
  // without `translations` nothing is translated. Errors: no memory for the
  // states.
  static absl::StatusOr<std::unique_ptr<WorkerShard>> Build(
      const Options& options, const FilterTable* filters,
      ExpectationTable* expectations, SourceNodes* sources = nullptr,
      TranslationDirectory* translations = nullptr);
  WorkerShard(const WorkerShard&) = delete;
  WorkerShard& operator=(const WorkerShard&) = delete;

  StateTable& states() { return *states_; }
  const StateTable& states() const { return *states_; }
  // By port number.
  std::span<PortCounters> counters() { return counters_; }
  std::span<const PortCounters> counters() const { return counters_; }
  Pipeline& pipeline() { return pipeline_; }
  // Control side.
  OverloadRing& overloads() { return sink_.overloads(); }
  const Pipeline& pipeline() const { return pipeline_; }

 private:
  WorkerShard(const Options& options, const FilterTable* filters,
              ExpectationTable* expectations, SourceNodes* sources,
              TranslationDirectory* translations,
              std::unique_ptr<StateTable> states);

  RuleSink sink_;
  const std::unique_ptr<StateTable> states_;
  const LazyMemory counter_storage_;  // thousands of ports, few in use
  const std::span<PortCounters> counters_;
  Pipeline pipeline_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_WORKER_SHARD_H_
