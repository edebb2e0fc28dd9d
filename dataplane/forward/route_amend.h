// What routes do not say of where a packet goes: for the pipeline, and for who
// explains what that does.
#ifndef SLUICE_DATAPLANE_FORWARD_ROUTE_AMEND_H_
#define SLUICE_DATAPLANE_FORWARD_ROUTE_AMEND_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "dataplane/routing/routing_tables.h"
#include "packet/packet.h"

namespace sluice {

// Addresses that no router sends on (RFC 1812 section 5.3.7, RFC 4291 section
// 2.5): of no host, of this one, of a link.
inline bool IsMartian(const PacketInfo& info) {
  const auto& from = info.source;
  const auto& to = info.destination;
  if (info.family == Family::kIpv4) {
    const auto wrong = [](uint8_t first) {
      return first == 0 || first == 127 || first >= 224;
    };
    return wrong(from[0]) || wrong(to[0]);
  }
  const auto wrong = [](const std::array<uint8_t, 16>& bytes) {
    // fe80::/10, ff00::/8.
    if (bytes[0] >= 0xfe) {
      return bytes[0] == 0xff || (bytes[1] & 0xc0) == 0x80;
    }
    // :: and ::1.
    return bytes[0] == 0 && bytes[15] <= 1 &&
           std::all_of(bytes.begin(), bytes.begin() + 15,
                       [](uint8_t byte) { return byte == 0; });
  };
  return wrong(from) || wrong(to);
}

// `answer` is what the tables say, and not that it is for the router itself.
// `port` is where it has come.
inline void AmendRoute(const PacketInfo& info, uint16_t port,
                       const RoutingTables& tables, RouteAnswer* answer) {
  constexpr uint16_t kDhcpServer = 67;
  constexpr uint16_t kDhcpClient = 68;
  // A server's offer is to an address that the client does not have yet.
  if (info.proto == protocol::kUdp && info.family == Family::kIpv4 &&
      info.destination_port.host() == kDhcpClient &&
      info.source_port.host() == kDhcpServer &&
      tables.SourceAt(port, Family::kIpv4).family == Family::kNone)
      [[unlikely]] {
    answer->type = RouteType::kLocal;
    return;
  }
  if (IsMartian(info)) [[unlikely]] answer->type = RouteType::kBlackhole;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_ROUTE_AMEND_H_
