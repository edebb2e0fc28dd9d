// SYN cookies (RFC 4987 section 3.6): a SYN-ACK whose sequence number says all
// that has to be known of the connection, so that nothing is kept until the
// client has shown that it gets what is sent to it.
//
// A cookie has 24 bits of a keyed hash over the connection's ends and VLAN, the
// client's first number, the eight bits below and when they were made. Those name one of
// eight MSS values and whether the period was an even one; they are masked by
// the hash's upper bits. It holds for its period and the next one.
#ifndef SLUICE_CONNTRACK_SYNCOOKIE_H_
#define SLUICE_CONNTRACK_SYNCOOKIE_H_

#include <cstdint>
#include <optional>

#include "conntrack/keyed_hash.h"
#include "packet/packet.h"
#include "packet/vlan.h"

namespace sluice {

// Ticks of a period.
inline constexpr int kCookiePeriodBits = 14;  // 16.4 s

// Of a SYN with that MSS in that VLAN.
uint32_t MakeSyncookie(const HashKey& key, const PacketInfo& syn, VlanId vlan,
                       uint16_t mss, Tick now);

// The MSS of the SYN whose cookie the packet acknowledges as its third.
// Nothing if there is no such cookie.
std::optional<uint16_t> CheckSyncookie(const HashKey& key,
                                       const PacketInfo& ack, VlanId vlan,
                                       Tick now);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_SYNCOOKIE_H_
