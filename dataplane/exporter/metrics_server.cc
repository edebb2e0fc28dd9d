#include "dataplane/exporter/metrics_server.h"

#include <microhttpd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"

namespace sluice {
namespace {

// As version 0.0.4 of the format has it.
constexpr std::string_view kPrometheusType =
    "text/plain; version=0.0.4; charset=utf-8";
constexpr std::chrono::seconds kReadFresh{1};

}  // namespace

MetricsServer::MetricsServer(const MetricsServerLimits& limits, Text text)
    : limits_(limits), text_(std::move(text)) {}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    UniqueFd listener, const MetricsServerLimits& limits, Text text) {
  std::unique_ptr<MetricsServer> server(
      new MetricsServer(limits, std::move(text)));
  absl::StatusOr<std::unique_ptr<HttpServer>> http = HttpServer::Start(
      std::move(listener),
      {.clients = limits.clients,
       .timeout = limits.timeout,
       .request = limits.request},
      "[metrics]", [metrics = server.get()](const HttpRequest& request) {
        return metrics->Answer(request.method, request.path);
      });
  if (!http.ok()) return http.status();
  server->http_ = *std::move(http);
  return server;
}

HttpAnswer MetricsServer::Answer(std::string_view method,
                                 std::string_view path) {
  if (method != "GET" && method != "HEAD") return OnlyGetAndHead();
  if (path == "/metrics") return Metrics();
  if (path == "/") return {.body = HttpBody("sluice: see /metrics\n")};
  return {.status = MHD_HTTP_NOT_FOUND, .body = HttpBody("see /metrics\n")};
}

HttpAnswer MetricsServer::Metrics() {
  const auto now = std::chrono::steady_clock::now();
  if (last_ != nullptr && now - taken_ < kReadFresh) {
    return {.type = kPrometheusType, .body = last_};
  }
  absl::StatusOr<std::string> text = text_();
  if (text.ok() && text->size() > limits_.text) {
    text = absl::ResourceExhaustedError(
        absl::StrCat("the metrics have ", text->size(),
                     " bytes, more than ", limits_.text,
                     "; lower `filters`, `labels` or `tables` of [metrics]"));
  }
  if (!text.ok()) {
    LogWarning("metrics: {}", std::string(text.status().message()));
    last_ = nullptr;
    return {.status = MHD_HTTP_SERVICE_UNAVAILABLE,
            .body = HttpBody(std::string(text.status().message()) + "\n")};
  }
  last_ = HttpBody(*std::move(text));
  taken_ = now;
  return {.type = kPrometheusType, .body = last_};
}

}  // namespace sluice
