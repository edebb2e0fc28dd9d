// What one worker counts of one port.
#ifndef SLUICE_DATAPLANE_FORWARD_PORT_COUNTERS_H_
#define SLUICE_DATAPLANE_FORWARD_PORT_COUNTERS_H_

#include <array>

#include "packet/counter.h"
#include "packet/drop_reason.h"

namespace sluice {

// For packets that arrived by the port:
//   received + from_host + fragments_made + copies
//     == forwarded + to_host + sum of drops + fragments_joined
// once they have been transmitted (kPortDown, kTransmitFull and kHandoffFull
// are counted by whoever finds that out).
struct alignas(64) PortCounters {
  Counter received_packets;
  Counter received_bytes;
  Counter forwarded_packets;  // arrived here, left by the peer
  Counter forwarded_bytes;
  Counter returned_packets;  // of these, left by this very port
  Counter transmitted_packets;  // left by this port, answers included
  Counter transmitted_bytes;
  Counter answers;              // made here: RST, ICMP errors, ACKs
  Counter answers_lost;         // no mbuf, or the port did not take it
  // What has changed its family leaves as other fragments than it came in: more
  // of them, or fewer. A segment in whose stead another goes on leaves whole.
  Counter fragments_made;
  Counter fragments_joined;
  // What a segment floods leaves more than once: each time but the first.
  Counter copies;
  Counter copies_lost;  // no mbuf for one: that port got nothing
  // Of a port of a router: given to the host, which the router's addresses
  // are, and what the host has sent by this port.
  Counter to_host;
  Counter from_host;
  // ICMP errors that were not sent, because there were too many.
  Counter errors_limited;
  // How many more there are than came.
  int64_t made_here() const {
    return static_cast<int64_t>(fragments_made.value() + copies.value() +
                                from_host.value() - fragments_joined.value() -
                                to_host.value());
  }
  Counter non_ip;               // frames that are not IP and passed
  // Times that somebody has turned out to have an address of the firewall's.
  Counter address_conflicts;
  std::array<Counter, kDropReasonCount> drops;

  // What pf counts for an interface: [direction][0: IPv4, 1: IPv6][0: passed,
  // 1: blocked], with IP lengths as bytes.
  struct Judged {
    Counter packets;
    Counter bytes;
  };
  std::array<std::array<std::array<Judged, 2>, 2>, 2> judged;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PORT_COUNTERS_H_
