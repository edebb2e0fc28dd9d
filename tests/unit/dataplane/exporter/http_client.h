// A client of what is served at a Unix socket.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_EXPORTER_HTTP_CLIENT_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_EXPORTER_HTTP_CLIENT_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>

#include "dataplane/base/unique_fd.h"

namespace sluice {

// All that the peer says until it closes, or nothing moves for `patience`.
inline std::string ReadAll(int fd, std::chrono::milliseconds patience =
                               std::chrono::milliseconds(20'000)) {
  std::string all;
  for (;;) {
    pollfd event = {.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, static_cast<int>(patience.count())) != 1) break;
    char bytes[4096];
    const ssize_t n = ::read(fd, bytes, sizeof bytes);
    if (n <= 0) break;
    all.append(bytes, static_cast<size_t>(n));
  }
  return all;
}

inline UniqueFd ConnectTo(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address),
                      sizeof address),
            0);
  return socket;
}

inline void Write(int fd, const std::string& text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_EXPORTER_HTTP_CLIENT_H_
