// Where datagrams of flows go.
#ifndef SLUICE_DATAPLANE_PACKETLOG_FLOW_SOCKET_H_
#define SLUICE_DATAPLANE_PACKETLOG_FLOW_SOCKET_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "packet/address.h"

namespace sluice {

struct FlowEndpoint {
  Address address;  // kNone: any
  uint16_t port = 0;

  friend bool operator==(const FlowEndpoint&, const FlowEndpoint&) = default;
};

// "192.0.2.1:4739", "[2001:db8::1]:4739"; with `port` false also an address
// alone. Nothing if it is none.
bool ParseFlowEndpoint(std::string_view text, bool port, FlowEndpoint* out);

class FlowSocket {
 public:
  // Errors: an address that is not this machine's, and the like; `source`
  // has the collector's family, or none.
  static absl::StatusOr<FlowSocket> Open(const FlowEndpoint& collector,
                                         const FlowEndpoint& source);

  // Never waits. False: the datagram is lost.
  bool Send(std::string_view datagram);

 private:
  explicit FlowSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_FLOW_SOCKET_H_
