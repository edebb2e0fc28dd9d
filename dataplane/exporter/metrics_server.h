// The metrics over HTTP: GET /metrics. Clients share one text a second.
#ifndef SLUICE_DATAPLANE_EXPORTER_METRICS_SERVER_H_
#define SLUICE_DATAPLANE_EXPORTER_METRICS_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/exporter/http_server.h"

namespace sluice {

struct MetricsServerLimits {
  uint32_t clients = 8;
  std::chrono::seconds timeout{10};  // without movement
  size_t request = 16 << 10;         // bytes of a request's lines
  size_t text = size_t{16} << 20;    // bytes of an answer
};

class MetricsServer {
 public:
  // The text that is served; called on the server's thread, which waits.
  using Text = std::function<absl::StatusOr<std::string>()>;

  // `listener` listens.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      UniqueFd listener, const MetricsServerLimits& limits, Text text);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // What the method and the path get.
  HttpAnswer Answer(std::string_view method, std::string_view path);

 private:
  MetricsServer(const MetricsServerLimits& limits, Text text);

  HttpAnswer Metrics();

  const MetricsServerLimits limits_;
  const Text text_;
  // The server's thread.
  std::shared_ptr<const std::string> last_;
  std::chrono::steady_clock::time_point taken_;
  // The last member: it ends first, and waits for the thread, which may be in
  // `text`.
  std::unique_ptr<HttpServer> http_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_METRICS_SERVER_H_
