// The receive queues that a worker polls: its own, and those of workers that
// do not run and that it stands in for.
#ifndef SLUICE_DATAPLANE_WORKERS_RECEIVE_QUEUES_H_
#define SLUICE_DATAPLANE_WORKERS_RECEIVE_QUEUES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "packet/packet.h"

namespace sluice {

struct Plane;
class QueueToken;
struct Topology;

class ReceiveQueues {
 public:
  struct Queue {
    uint16_t ethdev = 0;
    uint16_t port = 0;
    uint16_t queue = 0;
    QueueToken* token = nullptr;  // to be taken for it
  };

  // `plane` outlives it.
  ReceiveQueues(uint16_t worker, Plane* plane);
  ReceiveQueues(const ReceiveQueues&) = delete;
  ReceiveQueues& operator=(const ReceiveQueues&) = delete;

  // To be called when the topology has changed, or which of the other workers
  // do not run (bits of `stalled`).
  void Adopt(const Topology& topology, uint32_t stalled);
  std::span<const Queue> all() const { return queues_; }
  // Fills burst.mbufs. Returns how many there are, none if another worker is
  // at the queue.
  uint32_t Receive(const Queue& queue, PacketBurst& burst) const;

 private:
  const uint16_t worker_;
  Plane& plane_;
  std::vector<Queue> queues_;  // reserved, so that it never grows
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_RECEIVE_QUEUES_H_
