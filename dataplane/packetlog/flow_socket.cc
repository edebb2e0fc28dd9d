#include "dataplane/packetlog/flow_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "dataplane/base/text.h"

namespace sluice {
namespace {

socklen_t ToSockaddr(const FlowEndpoint& endpoint, sockaddr_storage* out) {
  *out = {};
  if (endpoint.address.family == Family::kIpv4) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.address.bytes.data(), 4);
    std::memcpy(out, &address, sizeof address);
    return sizeof address;
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.bytes.data(), 16);
  std::memcpy(out, &address, sizeof address);
  return sizeof address;
}

}  // namespace

bool ParseFlowEndpoint(std::string_view text, bool port, FlowEndpoint* out) {
  const auto alone = [&](std::string_view address) {
    const auto parsed = ParseAddress(address);
    if (parsed) out->address = *parsed;
    return parsed.has_value();
  };
  if (!port && alone(text)) {
    out->port = 0;
    return true;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view address = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed =
      address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  const auto [end, error] = std::from_chars(
      digits.data(), digits.data() + digits.size(), out->port);
  return error == std::errc() && end == digits.data() + digits.size() &&
         out->port != 0 && alone(address) &&
         bracketed == (out->address.family == Family::kIpv6);
}

absl::StatusOr<FlowSocket> FlowSocket::Open(const FlowEndpoint& collector,
                                            const FlowEndpoint& source) {
  const int family =
      collector.address.family == Family::kIpv4 ? AF_INET : AF_INET6;
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return SystemError("[pflow]: a socket", errno);
  sockaddr_storage address;
  if (source.address.family != Family::kNone) {
    const socklen_t length = ToSockaddr(source, &address);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
               length) != 0) {
      return SystemError("[pflow]: the address of 'source'", errno);
    }
  }
  const socklen_t length = ToSockaddr(collector, &address);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                length) != 0) {
    return SystemError("[pflow]: the way to 'collector'", errno);
  }
  return FlowSocket(std::move(fd));
}

bool FlowSocket::Send(std::string_view datagram) {
  // What a collector that was not there has answered is the error of the next
  // call, which then sends nothing.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const ssize_t sent = ::send(fd_.get(), datagram.data(), datagram.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(datagram.size())) return true;
    if (errno != ECONNREFUSED) return false;
  }
  return false;
}

}  // namespace sluice
