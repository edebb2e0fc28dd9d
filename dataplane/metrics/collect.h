// Asks the daemon for all that there is to count.
#ifndef SLUICE_DATAPLANE_METRICS_COLLECT_H_
#define SLUICE_DATAPLANE_METRICS_COLLECT_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "dataplane/metrics/caller.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

// What there may be many of. What is left out is counted.
struct MetricsBounds {
  size_t filters = 256;
  size_t labels = 100;  // of all filters together, each once
  size_t tables = 100;  // the same
};

// What FormatPrometheus() takes. An error is the first that a method answered
// with, but for filters that go meanwhile.
absl::StatusOr<nlohmann::json> CollectMetrics(const MetricsBounds& bounds,
                                              Caller* caller);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_METRICS_COLLECT_H_
