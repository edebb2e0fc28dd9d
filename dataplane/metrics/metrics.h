// What the daemon counts, in the text form that Prometheus reads: for
// `sluicectl metrics` and for whoever asks over HTTP. It is made of the answers
// to methods of the control socket, which the room only knows by a Caller.
#ifndef SLUICE_DATAPLANE_METRICS_METRICS_H_
#define SLUICE_DATAPLANE_METRICS_METRICS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nlohmann/json_fwd.hpp"

namespace sluice {

// Writes Prometheus' text exposition format, version 0.0.4: families one after
// the other, each with HELP and TYPE and then all of its samples.
class PrometheusText {
 public:
  enum class Kind : uint8_t { kCounter, kGauge, kHistogram };
  // Name and value; values are escaped here.
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  // `name` as it is printed: [a-z_]+, counters end in _total.
  void Begin(std::string_view name, Kind kind, std::string_view help);
  // Of the family that was begun last; `suffix` follows its name.
  void Sample(const Labels& labels, std::string_view value,
              std::string_view suffix = "");
  void Sample(const Labels& labels, uint64_t value,
              std::string_view suffix = "");

  const std::string& text() const { return text_; }

 private:
  std::string name_;
  std::string text_;
};

// `units` of which 10^digits are a second: 1500, 3 -> "1.500".
std::string DecimalSeconds(uint64_t units, int digits);

// What was asked: {"version": control.version, "filters": [filter, each with
// "info": info.show and "limits": of limits.show], "ports": [port], "restore":
// restore.metrics, "process": process.show, "left_out": {"labels": n, ...}}.
// A filter has "labels", "tables" and "commit", too. What is missing has no
// samples.
std::string FormatPrometheus(const nlohmann::json& answers);

// The part of restore.metrics, which `metrics` has after the others.
void AppendRestoreMetrics(const nlohmann::json& restore, PrometheusText* text);
// Of routers, as router.list has them.
void AppendRouterMetrics(const nlohmann::json& routers, PrometheusText* text);
// Workers, buffers, orders, states by phase.
void AppendProcessMetrics(const nlohmann::json& process, PrometheusText* text);
// Rules by label, tables, the last commit of each filter.
void AppendPolicyMetrics(const nlohmann::json& answers, PrometheusText* text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_METRICS_METRICS_H_
