// What the daemon says of itself beside the control socket: metrics and the web
// page over HTTP, and DPDK's telemetry. All have threads of their own, ask
// through a LocalCaller, and touch nothing else of the process.
#ifndef SLUICE_DATAPLANE_EXPORTER_EXPORTER_H_
#define SLUICE_DATAPLANE_EXPORTER_EXPORTER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/config/config.h"
#include "dataplane/exporter/local_caller.h"
#include "dataplane/exporter/metrics_server.h"
#include "dataplane/exporter/telemetry.h"
#include "dataplane/exporter/web_server.h"

namespace sluice {

class Exporter {
 public:
  // `handler` answers on the thread that calls Serve(). Errors say which key of
  // [metrics] or [web] to change.
  static absl::StatusOr<std::unique_ptr<Exporter>> Start(
      const MetricsConfig& metrics, const WebConfig& web, bool telemetry,
      MessageHandler* handler);
  // Ends what is under way, unanswered, and waits for the threads.
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  int event_fd() const { return caller_.event_fd(); }
  void Serve() { caller_.Serve(); }

 private:
  explicit Exporter(MessageHandler* handler) : caller_(handler) {}

  absl::Status StartMetrics(const MetricsConfig& config);
  absl::Status StartWeb(const WebConfig& config);

  LocalCaller caller_;
  std::vector<std::string> sockets_;  // Unix sockets' files, to be removed
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<WebServer> web_;
  std::optional<Telemetry> telemetry_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_EXPORTER_H_
