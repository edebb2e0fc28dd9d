// What the daemon says of itself beside the control socket: metrics over HTTP,
// and DPDK's telemetry. Both have threads of their own, ask through a
// LocalCaller, and touch nothing else of the process.
#ifndef SLUICE_DATAPLANE_EXPORTER_EXPORTER_H_
#define SLUICE_DATAPLANE_EXPORTER_EXPORTER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "dataplane/config/config.h"
#include "dataplane/exporter/local_caller.h"
#include "dataplane/exporter/metrics_server.h"
#include "dataplane/exporter/telemetry.h"

namespace sluice {

class Exporter {
 public:
  // `handler` answers on the thread that calls Serve(). Errors say which key of
  // [metrics] to change.
  static absl::StatusOr<std::unique_ptr<Exporter>> Start(
      const MetricsConfig& config, bool telemetry, MessageHandler* handler);
  // Ends what is under way, unanswered, and waits for the threads.
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  int event_fd() const { return caller_.event_fd(); }
  void Serve() { caller_.Serve(); }

 private:
  explicit Exporter(MessageHandler* handler) : caller_(handler) {}

  LocalCaller caller_;
  std::string socket_;  // a Unix socket's file, to be removed
  std::unique_ptr<MetricsServer> server_;
  std::optional<Telemetry> telemetry_;
};

// A socket that listens at what `listen` of [metrics] says.
absl::StatusOr<UniqueFd> ListenForMetrics(const MetricsConfig& config);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_EXPORTER_H_
