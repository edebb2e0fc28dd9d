// A mirror's socket.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dataplane/router/route_mirror_parts.h"

namespace sluice {
namespace {

// Room for what comes while we do something else: some hundred thousand
// changes, which the kernel counts with its own overhead.
constexpr int kReceiveBuffer = 64 << 20;

absl::Status SystemError(const char* what) {
  const int error = errno;
  return absl::ErrnoToStatus(error, absl::StrCat("routes of the kernel: ", what));
}

}  // namespace

absl::StatusOr<UniqueFd> RouteMirror::OpenSocket() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           NETLINK_ROUTE));
  if (!socket.valid()) return SystemError("no netlink socket");
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof address) != 0) {
    return SystemError("the netlink socket gets no address");
  }
  // Without the capability as much as everybody may have: gaps are mended.
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer,
                 sizeof kReceiveBuffer) != 0) {
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer,
               sizeof kReceiveBuffer);
  }
  return socket;
}

absl::Status RouteMirror::Parts::Join() {
  sockaddr_nl address = {};
  socklen_t length = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address),
                  &length) != 0 ||
      address.nl_family != AF_NETLINK) {
    return SystemError("that is no netlink socket");
  }
  own_port = address.nl_pid;
  for (const int group :
       {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
        RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP}) {
    if (setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof group) == 0) {
      continue;
    }
    // Kernels before 5.3 have no next hop objects.
    if (group != RTNLGRP_NEXTHOP) {
      return SystemError("the kernel does not tell of changes");
    }
  }
  return absl::OkStatus();
}

bool RouteMirror::Parts::Send(const std::vector<uint8_t>& bytes) {
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  return sendto(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT,
                reinterpret_cast<const sockaddr*>(&kernel),
                sizeof kernel) == static_cast<ssize_t>(bytes.size());
}

int RouteMirror::Parts::Receive() {
  sockaddr_nl from = {};
  iovec piece = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr header = {};
  header.msg_name = &from;
  header.msg_namelen = sizeof from;
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  const ssize_t size = recvmsg(socket.get(), &header, MSG_DONTWAIT);
  if (size < 0) {
    if (errno == EINTR) return 0;
    if (errno != ENOBUFS) return -1;
    Gap();
    return 0;
  }
  // Other processes may write to us, and are not believed.
  if (from.nl_pid != 0) return 0;
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    Gap();
    return 0;
  }
  int messages = 0;
  NetlinkBytes bytes(buffer.data(), static_cast<size_t>(size));
  while (!bytes.empty()) {
    const auto message = NextNetlinkMessage(&bytes);
    if (!message.has_value()) {
      ++counted.malformed;
      break;
    }
    ++messages;
    ++counted.messages;
    Handle(*message);
  }
  return messages;
}

}  // namespace sluice
