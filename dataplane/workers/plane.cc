#include "dataplane/workers/plane.h"

namespace sluice {

Plane::Plane(uint16_t workers, uint32_t handoff_ring) : steering(workers) {
  if (workers == 1) return;
  handoff = std::make_unique<Handoff>(workers, handoff_ring);
  transmit = std::make_unique<Handoff>(workers, handoff_ring);
  receive_tokens = std::make_unique<QueueTokens>(kMaxDevicePorts, kMaxQueues);
  transmit_tokens = std::make_unique<QueueTokens>(kMaxDevicePorts, kMaxQueues);
}

uint16_t SubstituteOf(uint16_t worker, uint16_t workers, uint32_t stalled) {
  for (uint16_t i = 1; i < workers; ++i) {
    const auto next = static_cast<uint16_t>((worker + i) % workers);
    if ((stalled & 1u << next) == 0) return next;
  }
  return worker;
}

}  // namespace sluice
