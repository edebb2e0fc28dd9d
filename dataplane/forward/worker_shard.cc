#include "dataplane/forward/worker_shard.h"

#include <utility>

namespace sluice {

absl::StatusOr<std::unique_ptr<WorkerShard>> WorkerShard::Build(
    const Options& options, const FilterTable* filters,
    ExpectationTable* expectations, SourceNodes* sources,
    TranslationDirectory* translations) {
  absl::StatusOr<std::unique_ptr<StateTable>> states =
      StateTable::Build(options.states);
  if (!states.ok()) return states.status();
  return std::unique_ptr<WorkerShard>(new WorkerShard(
      options, filters, expectations, sources, translations,
      *std::move(states)));
}

WorkerShard::WorkerShard(const Options& options, const FilterTable* filters,
                         ExpectationTable* expectations, SourceNodes* sources,
                         TranslationDirectory* translations,
                         std::unique_ptr<StateTable> states)
    : sink_(options.states.worker, filters),
      states_(std::move(states)),
      counter_storage_(LazyMemory::BytesFor<PortCounters>(options.ports)),
      counters_(counter_storage_.ArrayAt<PortCounters>(0), options.ports),
      pipeline_(options.pipeline, options.states.worker, *states_,
                *expectations, translations, counters_) {
  states_->SetSink(&sink_);
  states_->SetExpectations(expectations);
  states_->SetTranslations(translations);
  states_->SetSourceNodes(sources);
  states_->SetFlows(options.flows, options.all_flows);
}

}  // namespace sluice
