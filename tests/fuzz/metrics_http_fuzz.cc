// Any bytes from a client of the metrics: the HTTP server must answer or close,
// and give the metrics to nobody who has not asked for them as HTTP has it.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/exporter/listen.h"
#include "dataplane/exporter/metrics_server.h"

namespace {

constexpr char kSecret[] = "sluice_fuzz_sample 1\n";

const std::string& Path() {
  static const std::string path =
      "/tmp/sluice_metrics_fuzz_" + std::to_string(::getpid());
  return path;
}

void StartServer() {
  static const bool started = [] {
    auto listener = sluice::ListenForMetrics({.listen = Path()});
    if (!listener.ok()) std::abort();
    auto made = sluice::MetricsServer::Start(
        *std::move(listener),
        {.clients = 8, .timeout = std::chrono::seconds(5), .request = 4096},
        []() -> absl::StatusOr<std::string> { return std::string(kSecret); });
    if (!made.ok()) std::abort();
    static_cast<void>(made->release());
    std::atexit([] { ::unlink(Path().c_str()); });
    return true;
  }();
  static_cast<void>(started);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  StartServer();
  const sluice::UniqueFd ours(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, Path().c_str());
  if (::connect(ours.get(), reinterpret_cast<sockaddr*>(&address),
                sizeof address) != 0) {
    std::abort();
  }
  const bool sent = ::send(ours.get(), data, size, MSG_NOSIGNAL) ==
                    static_cast<ssize_t>(size);
  ::shutdown(ours.get(), SHUT_WR);
  std::string answer;
  char bytes[4096];
  for (;;) {
    pollfd event = {.fd = ours.get(), .events = POLLIN, .revents = 0};
    // A server that neither answers nor closes is an error.
    if (::poll(&event, 1, 30'000) != 1) std::abort();
    const ssize_t n = ::read(ours.get(), bytes, sizeof bytes);
    if (n <= 0) break;
    answer.append(bytes, static_cast<size_t>(n));
    if (answer.size() > (size_t{1} << 20)) std::abort();
  }
  const std::string_view asked(reinterpret_cast<const char*>(data), size);
  // The library takes the method as far as its first zero.
  if (sent && answer.find(kSecret) != std::string::npos &&
      asked.find("GET") == std::string_view::npos) {
    std::abort();
  }
  return 0;
}
