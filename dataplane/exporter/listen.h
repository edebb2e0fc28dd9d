// The listening ends of what is served over HTTP.
#ifndef SLUICE_DATAPLANE_EXPORTER_LISTEN_H_
#define SLUICE_DATAPLANE_EXPORTER_LISTEN_H_

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/config/config.h"

namespace sluice {

// A socket that listens at what `listen` of [metrics] or [web] says. Errors say
// which key to change.
absl::StatusOr<UniqueFd> ListenForMetrics(const MetricsConfig& config);
absl::StatusOr<UniqueFd> ListenForWeb(const WebConfig& config);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_LISTEN_H_
