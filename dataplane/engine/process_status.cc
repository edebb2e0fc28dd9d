#include "dataplane/engine/process_status.h"

#include <rte_cycles.h>
#include <rte_log.h>
#include <rte_mempool.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/log_format.h"
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

// DPDK's for ours.
constexpr std::array<std::pair<std::string_view, uint32_t>, 7> kDpdkLevels = {{
    {"trace", RTE_LOG_DEBUG},
    {"debug", RTE_LOG_DEBUG},
    {"info", RTE_LOG_INFO},
    {"warning", RTE_LOG_WARNING},
    {"error", RTE_LOG_ERR},
    {"critical", RTE_LOG_CRIT},
    {"off", RTE_LOG_EMERG},
}};

// The names of DPDK's log types that begin with the text before a '*'.
bool HasDpdkModule(const std::string& pattern) {
  char* text = nullptr;
  size_t size = 0;
  FILE* const stream = ::open_memstream(&text, &size);
  if (stream == nullptr) return false;
  rte_log_list_types(stream, "");
  std::fclose(stream);
  const std::string types = "\n" + std::string(text, size);
  std::free(text);
  const size_t star = pattern.find('*');
  const std::string begin = pattern.substr(0, star);
  return types.find(star == std::string::npos ? "\n" + begin + "\n"
                                              : "\n" + begin) !=
         std::string::npos;
}

}  // namespace

absl::Status ProcessStatus::SetLogLevel(const std::string& level,
                                        const std::string& module) {
  if (module.empty()) {
    if (::sluice::SetLogLevel(level)) return absl::OkStatus();
  } else {
    for (const auto& [word, number] : kDpdkLevels) {
      if (word != level) continue;
      if (!HasDpdkModule(module)) {
        return absl::NotFoundError(
            "DPDK has no log type '" + module +
            "': they are called lib.eal, pmd.net.virtio.init and the like, and "
            "'*' stands for the rest of a name");
      }
      rte_log_set_level_pattern(module.c_str(), number);
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      "'" + level +
      "' is no level: trace, debug, info, warning, error, critical, off");
}

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
