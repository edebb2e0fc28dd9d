#include "dataplane/workers/vhost_queues.h"

#include <rte_cycles.h>

#include <algorithm>
#include <span>
#include <utility>

#include "dataplane/ports/vhost_channel.h"
#include "dataplane/workers/plane.h"

namespace sluice {
namespace {

// Rounds in a row without a frame, after which a port is a silent one.
constexpr uint16_t kSilentRounds = 64;
// Silent ports that are looked at in a round with nothing else to do.
constexpr size_t kIdleLooks = 64;

}  // namespace

VhostQueues::VhostQueues(uint16_t worker, Plane* plane)
    : worker_(worker),
      plane_(*plane),
      interval_(rte_get_tsc_hz() / 1'000'000 * kLookInterval) {
  queues_.reserve(kMaxVhostPorts);
}

void VhostQueues::Adopt(const Topology& topology, uint32_t stalled) {
  const uint16_t workers = plane_.steering.workers();
  queues_.clear();
  for (uint16_t i = 0; i < kMaxVhostPorts; ++i) {
    const VhostDevice& device = topology.vhosts[i];
    if (device.channel == nullptr) continue;
    if (device.poller != worker_ &&
        ((stalled & 1u << device.poller) == 0 ||
         SubstituteOf(device.poller, workers, stalled) != worker_)) {
      continue;
    }
    queues_.push_back({.channel = device.channel,
                       .port = static_cast<uint16_t>(kMaxDevicePorts + i)});
  }
  // Who is silent turns out again.
  active_ = queues_.size();
  turn_ = 0;
  credit_ = 0;
}

void VhostQueues::BeginRound(bool idle, uint64_t now) {
  next_active_ = active_;
  const size_t silent = queues_.size() - active_;
  const uint64_t passed =
      std::min(now - std::exchange(last_round_, now), interval_);
  credit_ = std::min(credit_ + passed * silent, interval_ * silent);
  size_t looks = interval_ > 0 ? credit_ / interval_ : silent;
  credit_ -= looks * interval_;
  if (idle) looks = std::max(looks, kIdleLooks);
  looks_ = std::min(looks, silent);
}

uint32_t VhostQueues::Look(Queue& queue, PacketBurst& burst) {
  burst.count = queue.channel->Receive(std::span(burst.mbufs));
  return burst.count;
}

bool VhostQueues::Next(uint16_t* port, PacketBurst& burst) {
  // Downwards, because one that turns silent changes places with the last one.
  while (next_active_ > 0) {
    Queue& queue = queues_[--next_active_];
    if (Look(queue, burst) > 0) {
      queue.empty_rounds = 0;
      *port = queue.port;
      return true;
    }
    if (++queue.empty_rounds >= kSilentRounds) {
      std::swap(queue, queues_[--active_]);
    }
  }
  for (; looks_ > 0 && active_ < queues_.size(); --looks_) {
    if (turn_ < active_ || turn_ >= queues_.size()) turn_ = active_;
    Queue& queue = queues_[turn_++];
    if (Look(queue, burst) == 0) continue;
    queue.empty_rounds = 0;
    *port = queue.port;
    // The first of the silent ones takes its place.
    std::swap(queue, queues_[active_++]);
    --looks_;
    return true;
  }
  return false;
}

}  // namespace sluice
