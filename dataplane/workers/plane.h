// What all workers of the process share, and what the control lcore tells them
// by it.
#ifndef SLUICE_DATAPLANE_WORKERS_PLANE_H_
#define SLUICE_DATAPLANE_WORKERS_PLANE_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/base/clock.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/steering.h"
#include "dataplane/forward/topology.h"
#include "dataplane/workers/handoff.h"
#include "dataplane/workers/queue_token.h"
#include "pftable/store/publication.h"

struct rte_rcu_qsbr;

namespace sluice {

class ExpectationTable;
class RouterExchange;
class TranslationDirectory;

// What workers are to do.
enum class RunState : uint8_t {
  kRun,
  kDrain,  // take no packets from ports, empty the rings
  kStop,
};

// Made by the control lcore before the workers start, gone after they have
// ended.
struct Plane {
  Plane(uint16_t workers, uint32_t handoff_ring);

  const Steering steering;
  // Packets for the owner of their flow; null with one worker.
  std::unique_ptr<Handoff> handoff;
  // Packets for a worker that has a transmit queue where another one has
  // none; null with one worker.
  std::unique_ptr<Handoff> transmit;
  // Of receive queues, and of transmit queues that may have to do for several
  // workers; null with one worker.
  std::unique_ptr<QueueTokens> receive_tokens;
  std::unique_ptr<QueueTokens> transmit_tokens;
  TickClock clock;
  rte_rcu_qsbr* quiescence = nullptr;
  ExpectationTable* expectations = nullptr;
  TranslationDirectory* translations = nullptr;  // null: nothing is translated
  // The way to the host and back; null: no router has ports.
  RouterExchange* router_exchange = nullptr;
  FilterTable filters;
  // Of the policies of all filters, so that several may change at once.
  Publication publication;

  // Writer of both: the control lcore, release. Readers: workers, acquire,
  // once a round.
  alignas(128) std::atomic<const Topology*> topology{nullptr};
  std::atomic<RunState> run{RunState::kRun};
  // Bit i: worker i does not run. The others poll its queues, and judge its
  // flows by the fail policy of their filters. Written and read as the two
  // above.
  std::atomic<uint32_t> stalled{0};
};

// The worker that stands in for `worker`: the next one whose bit in `stalled`
// is not set.
uint16_t SubstituteOf(uint16_t worker, uint16_t workers, uint32_t stalled);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_PLANE_H_
