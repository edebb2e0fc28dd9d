#include "dataplane/workers/receive_queues.h"

#include <rte_ethdev.h>

#include "dataplane/workers/plane.h"

namespace sluice {

ReceiveQueues::ReceiveQueues(uint16_t worker, Plane* plane)
    : worker_(worker), plane_(*plane) {
  queues_.reserve(kMaxDevicePorts * kMaxQueues);
}

void ReceiveQueues::Adopt(const Topology& topology, uint32_t stalled) {
  const uint16_t workers = plane_.steering.workers();
  const auto polls = [&](uint16_t poller) {
    return poller == worker_ ||
           ((stalled & 1u << poller) != 0 &&
            SubstituteOf(poller, workers, stalled) == worker_);
  };
  queues_.clear();
  for (uint16_t port = 0; port < kMaxDevicePorts; ++port) {
    const PortDevice& device = topology.devices[port];
    for (uint16_t queue = 0; queue < device.rx_queues; ++queue) {
      if (!polls(device.pollers[queue])) continue;
      queues_.push_back(
          {.ethdev = device.ethdev,
           .port = port,
           .queue = queue,
           .token = workers > 1 ? plane_.receive_tokens->at(port, queue)
                                : nullptr});
    }
  }
}

uint32_t ReceiveQueues::Receive(const Queue& queue, PacketBurst& burst) const {
  if (queue.token != nullptr && !queue.token->TryTake(worker_)) return 0;
  burst.count = rte_eth_rx_burst(queue.ethdev, queue.queue,
                                 burst.mbufs.data(), kMaxBurst);
  if (queue.token != nullptr) queue.token->Release();
  return burst.count;
}

}  // namespace sluice
