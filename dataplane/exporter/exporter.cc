#include "dataplane/exporter/exporter.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "dataplane/metrics/collect.h"
#include "dataplane/metrics/metrics.h"
#include "nlohmann/json.hpp"

namespace sluice {

absl::StatusOr<std::unique_ptr<Exporter>> Exporter::Start(
    const MetricsConfig& config, bool telemetry, MessageHandler* handler) {
  std::unique_ptr<Exporter> exporter(new Exporter(handler));
  if (!config.listen.empty()) {
    absl::StatusOr<UniqueFd> listener = ListenForMetrics(config);
    if (!listener.ok()) return listener.status();
    if (config.is_unix()) exporter->socket_ = config.listen;
    const MetricsBounds bounds = {.filters = config.filters,
                                  .labels = config.labels,
                                  .tables = config.tables};
    absl::StatusOr<std::unique_ptr<MetricsServer>> server =
        MetricsServer::Start(
            *std::move(listener), {.clients = config.clients},
            [bounds, caller = &exporter->caller_]()
                -> absl::StatusOr<std::string> {
              absl::StatusOr<nlohmann::json> answers =
                  CollectMetrics(bounds, caller);
              if (!answers.ok()) return answers.status();
              return FormatPrometheus(*answers);
            });
    if (!server.ok()) return server.status();
    exporter->server_ = *std::move(server);
  }
  if (telemetry) exporter->telemetry_.emplace(&exporter->caller_);
  return exporter;
}

Exporter::~Exporter() {
  // First of all, so that no thread waits.
  caller_.Stop();
  telemetry_.reset();
  server_.reset();
  if (!socket_.empty()) ::unlink(socket_.c_str());
}

}  // namespace sluice
