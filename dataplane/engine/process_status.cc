#include "dataplane/engine/process_status.h"

#include <rte_cycles.h>
#include <rte_mempool.h>

#include <memory>
#include <utility>
#include <vector>

#include "dataplane/engine/engine.h"
#include "dataplane/filters/state_listing.h"
#include "dataplane/packetlog/packet_log.h"
#include "dataplane/workers/state_ranking.h"
#include "dataplane/workers/worker.h"

namespace sluice {
namespace {

uint64_t Microseconds(uint64_t cycles) {
  const uint64_t hz = rte_get_tsc_hz();
  return cycles / hz * 1'000'000 + cycles % hz * 1'000'000 / hz;
}

WorkerListing ListWorker(const Worker& worker, bool stalled, bool measured) {
  const WorkerTotals& totals = worker.totals();
  WorkerListing listing = {
      .worker = worker.index(),
      .stalled = stalled,
      .rounds = totals.rounds.value(),
      .idle_rounds = totals.idle_rounds.value(),
      .handed_out = totals.handed_out.value() + totals.transmit_out.value(),
      .handed_in = totals.handed_in.value() + totals.transmit_in.value(),
      .orphans = totals.orphans.value(),
      .states = worker.states().size(),
      .time = {},
      .busy = {}};
  for (const PortCounters& port : worker.counters()) {
    listing.received += port.received_packets.value();
  }
  if (measured) {
    listing.time = Microseconds(totals.cycles.value());
    listing.busy = Microseconds(totals.busy_cycles.value());
  }
  return listing;
}

}  // namespace

void ProcessStatus::Show(Done<ProcessListing> done) {
  struct Gathering {
    size_t left = 0;
    StateTally tally;
    ProcessListing listing;
    Done<ProcessListing> done;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  ProcessListing& listing = gathering->listing;
  const uint32_t stalled =
      engine_.plane().stalled.load(std::memory_order_relaxed);
  std::vector<Worker*> running;
  for (size_t i = 0; i < engine_.worker_count(); ++i) {
    Worker& worker = engine_.worker(i);
    const bool stands = (stalled & 1u << i) != 0;
    listing.workers.push_back(
        ListWorker(worker, stands, engine_.options().measure_load));
    if (!stands) running.push_back(&worker);
  }
  if (rte_mempool* const pool = engine_.options().pool) {
    listing.mbufs = pool->size;
    listing.mbufs_in_use = rte_mempool_in_use_count(pool);
  }
  if (const PacketLog* const log = engine_.packet_log()) {
    const PacketLogCounts counts = log->counts();
    listing.packet_log = {.written = counts.written,
                          .suppressed = counts.suppressed,
                          .lost = counts.lost};
  }
  // Who does not run would answer when it runs again.
  gathering->left = running.size();
  if (running.empty()) return gathering->done(std::move(listing));
  for (Worker* worker : running) {
    worker->mailbox().Post(std::make_unique<CountOrder>(
        nullptr, [gathering](const StateTally& tally) {
          gathering->tally.Add(tally);
          if (--gathering->left > 0) return;
          gathering->listing.phases = PhasesOf(gathering->tally);
          gathering->done(std::move(gathering->listing));
        }));
  }
}

}  // namespace sluice
