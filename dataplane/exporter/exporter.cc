#include "dataplane/exporter/exporter.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "dataplane/exporter/listen.h"
#include "dataplane/metrics/collect.h"
#include "dataplane/metrics/metrics.h"
#include "nlohmann/json.hpp"

namespace sluice {

absl::StatusOr<std::unique_ptr<Exporter>> Exporter::Start(
    const MetricsConfig& metrics, const WebConfig& web, bool telemetry,
    MessageHandler* handler) {
  std::unique_ptr<Exporter> exporter(new Exporter(handler));
  if (!metrics.listen.empty()) {
    if (absl::Status s = exporter->StartMetrics(metrics); !s.ok()) return s;
  }
  if (!web.listen.empty()) {
    if (absl::Status s = exporter->StartWeb(web); !s.ok()) return s;
  }
  if (telemetry) exporter->telemetry_.emplace(&exporter->caller_);
  return exporter;
}

absl::Status Exporter::StartMetrics(const MetricsConfig& config) {
  absl::StatusOr<UniqueFd> listener = ListenForMetrics(config);
  if (!listener.ok()) return listener.status();
  if (config.is_unix()) sockets_.push_back(config.listen);
  const MetricsBounds bounds = {.filters = config.filters,
                                .labels = config.labels,
                                .tables = config.tables};
  absl::StatusOr<std::unique_ptr<MetricsServer>> server =
      MetricsServer::Start(
          *std::move(listener), {.clients = config.clients},
          [bounds, caller = &caller_]() -> absl::StatusOr<std::string> {
            absl::StatusOr<nlohmann::json> answers =
                CollectMetrics(bounds, caller);
            if (!answers.ok()) return answers.status();
            return FormatPrometheus(*answers);
          });
  if (!server.ok()) return server.status();
  metrics_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status Exporter::StartWeb(const WebConfig& config) {
  absl::StatusOr<UniqueFd> listener = ListenForWeb(config);
  if (!listener.ok()) return listener.status();
  if (config.is_unix()) sockets_.push_back(config.listen);
  absl::StatusOr<std::unique_ptr<WebServer>> server = WebServer::Start(
      *std::move(listener),
      {.http = {.clients = config.clients}, .hosts = config.hosts}, &caller_);
  if (!server.ok()) return server.status();
  web_ = *std::move(server);
  return absl::OkStatus();
}

Exporter::~Exporter() {
  // First of all, so that no thread waits.
  caller_.Stop();
  telemetry_.reset();
  web_.reset();
  metrics_.reset();
  for (const std::string& socket : sockets_) ::unlink(socket.c_str());
}

}  // namespace sluice
