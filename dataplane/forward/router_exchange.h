// Between workers and the host's side of routers, which is one thread
// (dataplane/router/): packets for the routers' own addresses, what the host
// sends by their ports, and questions for neighbours. A bounded ring for each
// worker and way, with one writer and one reader.
#ifndef SLUICE_DATAPLANE_FORWARD_ROUTER_EXCHANGE_H_
#define SLUICE_DATAPLANE_FORWARD_ROUTER_EXCHANGE_H_

#include <cstdint>
#include <memory>
#include <span>

#include "packet/address.h"

struct rte_mbuf;

namespace sluice {

// A neighbour whose link address a worker wants.
struct NeighborQuestion {
  uint16_t port = 0;
  Address address;
};

class RouterExchange {
 public:
  // Rings of `capacity` packets, a power of two.
  RouterExchange(uint16_t workers, uint32_t capacity);
  // Frees the packets that are still in a ring.
  ~RouterExchange();
  RouterExchange(const RouterExchange&) = delete;
  RouterExchange& operator=(const RouterExchange&) = delete;

  // Called by that worker: hands the first packets to the host, as many as
  // there is room for, and returns how many. mbuf->port is the port by which
  // each arrived. The others stay the caller's.
  uint32_t ToHost(uint16_t worker, std::span<rte_mbuf* const> mbufs);
  // Called by that worker: frames that the host sends; mbuf->port is the port
  // by which each is to leave.
  uint32_t FromHost(uint16_t worker, std::span<rte_mbuf*> mbufs);
  // Called by that worker. False: there is no room, and it may ask again.
  bool Ask(uint16_t worker, const NeighborQuestion& question);

  // Called by the host's thread: the other ends.
  uint32_t TakeForHost(uint16_t worker, std::span<rte_mbuf*> mbufs);
  uint32_t SendToWorker(uint16_t worker, std::span<rte_mbuf* const> mbufs);
  bool NextQuestion(uint16_t worker, NeighborQuestion* question);

  uint16_t workers() const;

 private:
  struct Parts;
  const std::unique_ptr<Parts> parts_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_ROUTER_EXCHANGE_H_
