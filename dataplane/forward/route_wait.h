// Packets of routers that wait for a next hop to say where it is, and the
// questions for it. They have been judged: what waits here leaves as it is, or
// not at all.
//
// One worker's. It never allocates. Few wait for one hop, the newest (RFC 4861
// section 7.2.2), and few for all together, the newest, too: whoever scans a
// network behind a router (RFC 6583) gets no more than that, and keeps nobody
// from being asked for.
#ifndef SLUICE_DATAPLANE_FORWARD_ROUTE_WAIT_H_
#define SLUICE_DATAPLANE_FORWARD_ROUTE_WAIT_H_

#include <array>
#include <cstdint>

#include "packet/address.h"
#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

struct WaitingHop {
  rte_mbuf* mbuf = nullptr;
  rte_mbuf* error = nullptr;  // for its sender, if nobody answers; or null
  Address next_hop;
  Tick since = 0;
  uint16_t port = 0;  // of arrival
  uint16_t to = 0;
  uint16_t router = 0;
  uint16_t pieces = 1;  // CountFragments()
};

class RouteWait {
 public:
  static constexpr uint32_t kRoom = 64;
  static constexpr uint32_t kForOne = 4;

  bool empty() const { return count_ == 0; }
  uint32_t count() const { return count_; }
  const WaitingHop& at(uint32_t k) const { return waiting_[k]; }
  // As so many packets as they came.
  uint32_t packets() const;

  // Takes a packet. True: for that *displaced waits no longer, which is the
  // caller's.
  bool Add(const WaitingHop& one, WaitingHop* displaced);
  // Takes it out; those behind it move up.
  WaitingHop Take(uint32_t k);

  // A hop that is to be asked for. False: there is none. Each is asked for when
  // its first packet comes and, while some wait, again after a second.
  bool NextQuestion(uint16_t* port, Address* address);
  void AskAgain(Tick now);

 private:
  uint32_t CountOf(uint16_t to, const Address& next_hop) const;
  void Ask(uint16_t to, const Address& next_hop);

  std::array<WaitingHop, kRoom> waiting_;
  uint32_t count_ = 0;
  struct Question {
    uint16_t port = 0;
    Address address;
  };
  std::array<Question, kRoom> questions_;
  uint32_t questions_count_ = 0;
  Tick asked_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_ROUTE_WAIT_H_
