// Any bytes from a client of the metrics: the HTTP server must answer or close,
// and give the metrics to nobody who has not asked for them as HTTP has it.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/exporter/listen.h"
#include "dataplane/exporter/metrics_server.h"
#include "tests/fuzz/http_fuzz.h"

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
  const std::string_view asked(reinterpret_cast<const char*>(data), size);
  const sluice::HttpExchange done = sluice::AskOverSocket(Path(), asked);
  // The library takes the method as far as its first zero.
  if (done.sent && done.answer.find(kSecret) != std::string::npos &&
      asked.find("GET") == std::string_view::npos) {
    std::abort();
  }
  return 0;
}
