// Words that people see for what a state is of.
#ifndef SLUICE_CONNTRACK_STATE_NAMES_H_
#define SLUICE_CONNTRACK_STATE_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

// "tcp", "ipv6-icmp"; the number of a protocol that has no tracker of its own.
std::string ProtocolName(uint8_t proto);
// "ESTABLISHED", "MULTIPLE". Empty: the protocol has no such phase, or (ICMP)
// none with a name.
std::string_view PhaseName(uint8_t proto, uint8_t phase);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_NAMES_H_
