// The vhost ports that a worker polls: its own, and those of workers that do
// not run and that it stands in for.
//
// There may be hundreds, most of which say nothing for long, and to look at one
// costs as much as a packet. So one from which nothing has come for some rounds
// is looked at in turn with its like: all of them within kLookInterval while the
// worker is busy, and many in each round while it is not.
#ifndef SLUICE_DATAPLANE_WORKERS_VHOST_QUEUES_H_
#define SLUICE_DATAPLANE_WORKERS_VHOST_QUEUES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "packet/packet.h"

namespace sluice {

class VhostChannel;
struct Plane;
struct Topology;

class VhostQueues {
 public:
  // What a frame may wait at a port that was silent, in microseconds.
  static constexpr uint64_t kLookInterval = 100;

  // `plane` outlives it.
  VhostQueues(uint16_t worker, Plane* plane);
  VhostQueues(const VhostQueues&) = delete;
  VhostQueues& operator=(const VhostQueues&) = delete;

  // To be called when the topology has changed, or which of the other workers
  // do not run (bits of `stalled`).
  void Adopt(const Topology& topology, uint32_t stalled);
  bool empty() const { return queues_.empty(); }

  // Which of them are to be looked at in this round: at each of Next()'s.
  // `idle`: the round before had no packets. `now` is the processor's clock.
  void BeginRound(bool idle, uint64_t now);
  // Fills burst.mbufs from the next one that has some, and says which port that
  // is. False: no more in this round.
  bool Next(uint16_t* port, PacketBurst& burst);

  // ---- For tests.
  size_t active() const { return active_; }
  size_t due() const { return looks_; }  // of the silent ones, in this round

 private:
  struct Queue {
    VhostChannel* channel = nullptr;
    uint16_t port = 0;
    uint16_t empty_rounds = 0;
  };
  uint32_t Look(Queue& queue, PacketBurst& burst);

  const uint16_t worker_;
  Plane& plane_;
  const uint64_t interval_;  // in cycles
  // The active ones first. Reserved, so that it never grows.
  std::vector<Queue> queues_;
  size_t active_ = 0;
  size_t next_active_ = 0;  // in this round, downwards
  size_t turn_ = 0;         // of the others, the next one
  size_t looks_ = 0;        // at them, left in this round
  uint64_t last_round_ = 0;
  uint64_t credit_ = 0;     // of looks, in cycles times ports
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_VHOST_QUEUES_H_
