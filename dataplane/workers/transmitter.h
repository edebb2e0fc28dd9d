// How a worker's packets leave: by its own transmit queue of the port, or
// through the worker that has one; or not at all, and counted.
#ifndef SLUICE_DATAPLANE_WORKERS_TRANSMITTER_H_
#define SLUICE_DATAPLANE_WORKERS_TRANSMITTER_H_

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/port_counters.h"
#include "dataplane/forward/topology.h"
#include "packet/frame_tags.h"

struct rte_mbuf;

namespace sluice {

struct Plane;
class QueueToken;
class VhostChannel;
struct WorkerTotals;

// How a worker leaves by a port.
struct TransmitPath {
  uint16_t ethdev = kNoPort;  // none: the port is not there
  uint16_t queue = 0;  // its own, if `via` is itself
  uint16_t via = 0;    // the worker that transmits for it
  QueueToken* token = nullptr;  // to be taken for it
  bool sends_segments = true;
  VlanTags tags = {};  // of a logical port: what its frames have on the device
  VhostChannel* vhost = nullptr;  // in place of an ethdev
};

// Belongs to one worker. It owns no packet between two calls.
class Transmitter {
 public:
  // All outlive it; `counters` are by port.
  Transmitter(uint16_t worker, Plane* plane, std::span<PortCounters> counters,
              WorkerTotals* totals)
      : worker_(worker), plane_(*plane), counters_(counters),
        totals_(*totals) {}
  Transmitter(const Transmitter&) = delete;
  Transmitter& operator=(const Transmitter&) = delete;

  // To be called when the topology has changed, or which of the other workers
  // do not run.
  void Adopt(const Topology& topology, uint32_t stalled);

  // Takes packets that arrived at one port and leave by another, or, made for
  // the port of arrival, are answers and leave by that.
  void Send(uint16_t arrival, uint16_t departure, std::span<rte_mbuf*> mbufs) {
    Send(Way{.arrival = arrival,
             .departure = departure,
             .answers = arrival == departure},
         mbufs);
  }
  // Packets that leave by the port that they arrived by, because who they are
  // for is on that side.
  void Return(uint16_t port, std::span<rte_mbuf*> mbufs) {
    Send(Way{.arrival = port, .departure = port, .answers = false}, mbufs);
  }
  // Transmits what another worker has no queue for. Returns how many.
  uint32_t Receive(uint16_t from);
  // Frees packets that arrived at `port` and counts them.
  void Drop(uint16_t port, std::span<rte_mbuf*> mbufs, DropReason reason);
  // Frees answers that nobody takes, and counts them.
  void LoseAnswers(uint16_t port, std::span<rte_mbuf*> mbufs) {
    Lose({.arrival = port, .departure = port, .answers = true}, mbufs,
         DropReason::kTransmitFull);
  }

 private:
  struct Way {
    uint16_t arrival;
    uint16_t departure;
    bool answers;  // made here: they have never arrived
  };
  static uint32_t Pack(const Way& way);
  static Way Unpack(uint32_t packed);
  void Send(const Way& way, std::span<rte_mbuf*> mbufs);
  void Transmit(const TransmitPath& path, const Way& way,
                std::span<rte_mbuf*> mbufs);
  // The same by a port that is no ethdev, or not there.
  void TransmitElsewhere(const TransmitPath& path, const Way& way,
                         std::span<rte_mbuf*> mbufs);
  void CountSent(const TransmitPath& path, const Way& way, uint64_t packets,
                 uint64_t bytes);
  // What is left of packets that leave by a logical port, with its tags.
  std::span<rte_mbuf*> Tag(const TransmitPath& path, const Way& way,
                           std::span<rte_mbuf*> mbufs);
  std::span<rte_mbuf*> Join(const Way& way, std::span<rte_mbuf*> mbufs);
  // Those that do not leave after all.
  void Lose(const Way& way, std::span<rte_mbuf*> mbufs, DropReason reason);

  const uint16_t worker_;
  Plane& plane_;
  const std::span<PortCounters> counters_;
  WorkerTotals& totals_;
  std::array<TransmitPath, kMaxPorts> paths_;  // by port
  uint16_t end_ = 0;  // paths beyond it lead nowhere
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_TRANSMITTER_H_
