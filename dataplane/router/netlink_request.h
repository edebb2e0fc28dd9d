// What is asked of the kernel by rtnetlink, as bytes to be sent.
#ifndef SLUICE_DATAPLANE_ROUTER_NETLINK_REQUEST_H_
#define SLUICE_DATAPLANE_ROUTER_NETLINK_REQUEST_H_

#include <cstdint>
#include <vector>

#include "packet/address.h"

namespace sluice {

// All that there is of a kind: RTM_GETLINK, RTM_GETADDR, RTM_GETNEXTHOP,
// RTM_GETNEIGH (of both families with kNone), RTM_GETROUTE.
std::vector<uint8_t> DumpRequest(uint16_t type, Family family,
                                 uint32_t sequence);
// As if there were a packet for the neighbour (NTF_USE): the kernel asks the
// link for it, or confirms what it knows before long.
std::vector<uint8_t> NeighborUseRequest(uint32_t link, const Address& address,
                                        uint32_t sequence);
// The kernel forgets the neighbour, and asks for it no more.
std::vector<uint8_t> NeighborEndRequest(uint32_t link, const Address& address,
                                        uint32_t sequence);
// What the kernel knows of one neighbour.
std::vector<uint8_t> NeighborGetRequest(uint32_t link, const Address& address,
                                        uint32_t sequence);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_NETLINK_REQUEST_H_
