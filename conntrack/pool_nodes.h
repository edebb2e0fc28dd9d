// What pools keep among the sources beside sources: endpoint-independent
// mappings. Both ends of one are nodes, so that no worker gives an outside port
// to two, and both live for as long as states hold them.
//
// The outside's node is taken before the inside's and given back after it:
// whoever holds the inside's knows the outside's as long as it lives.
#ifndef SLUICE_CONNTRACK_POOL_NODES_H_
#define SLUICE_CONNTRACK_POOL_NODES_H_

#include <cstdint>

#include "conntrack/source_nodes.h"

namespace sluice {

struct PoolMapping {
  Address inside;
  Address outside;
  uint16_t inside_port = 0;   // host order, as the other
  uint16_t outside_port = 0;
  VlanId vlan{};  // of both: no translation leads out of one
};

// Of all VLANs: one pool's addresses share its flows whoever has them.
SourceKey LoadKey(uint16_t filter, const Address& address);
SourceKey MappingKey(SourceUse use, uint16_t filter, VlanId vlan,
                     const Address& address, uint16_t port);

// Puts a node in its place, and gives back the one that was there.
void Hold(SourceNodes& nodes, PoolNode which, SourceNodeIndex node, Tick now,
          PoolHolds* holds);
// Gives back all that is held.
void GiveBack(SourceNodes& nodes, Tick now, PoolHolds* holds);

// Makes the mapping, or joins it if it is there. False: one of its ends is
// another mapping's, or there is no place.
bool TakeMapping(SourceNodes& nodes, const PoolMapping& mapping,
                 uint16_t filter, Tick now, PoolHolds* holds);
// Joins the mapping of `inside` and `inside_port` and writes the rest of it.
bool FindMapping(SourceNodes& nodes, uint16_t filter, Tick now,
                 PoolMapping* mapping, PoolHolds* holds);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_POOL_NODES_H_
