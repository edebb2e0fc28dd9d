// For fuzzers of the HTTP servers: asks one over a Unix socket with any bytes.
// A server that neither answers nor closes is an error, and so is an answer
// without an end.
#ifndef SLUICE_TESTS_FUZZ_HTTP_FUZZ_H_
#define SLUICE_TESTS_FUZZ_HTTP_FUZZ_H_

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "dataplane/base/unique_fd.h"

namespace sluice {

struct HttpExchange {
  bool sent = false;  // all that was asked
  std::string answer;
};

inline HttpExchange AskOverSocket(const std::string& path,
                                  std::string_view asked) {
  constexpr size_t kLargest = size_t{1} << 20;
  const UniqueFd ours(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  if (::connect(ours.get(), reinterpret_cast<sockaddr*>(&address),
                sizeof address) != 0) {
    std::abort();
  }
  HttpExchange done;
  done.sent = ::send(ours.get(), asked.data(), asked.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(asked.size());
  ::shutdown(ours.get(), SHUT_WR);
  char bytes[4096];
  for (;;) {
    pollfd event = {.fd = ours.get(), .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, 30'000) != 1) std::abort();
    const ssize_t n = ::read(ours.get(), bytes, sizeof bytes);
    if (n <= 0) break;
    done.answer.append(bytes, static_cast<size_t>(n));
    if (done.answer.size() > kLargest) std::abort();
  }
  return done;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_FUZZ_HTTP_FUZZ_H_
