// Writing and validating the snapshot of a filter with many states.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

void ReadStates(benchmark::State& state) {
  const auto bytes =
      WriteSnapshot(ManyStatesSnapshot(static_cast<uint32_t>(state.range(0))));
  if (!bytes.ok()) std::abort();
  for (auto _ : state) {
    auto read = ReadSnapshot(*bytes);
    if (!read.ok()) std::abort();
    benchmark::DoNotOptimize(read);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(bytes->size()));
}
BENCHMARK(ReadStates)->Arg(10'000)->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond);

void WriteStates(benchmark::State& state) {
  const Snapshot snapshot =
      ManyStatesSnapshot(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    SnapshotWriter writer(snapshot.header);
    writer.Begin(SectionKind::kParentStates);
    for (const SnapshotState& one : snapshot.parents) writer.Add(one);
    writer.End();
    benchmark::DoNotOptimize(writer.Finish());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(WriteStates)->Arg(10'000)->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
