// `sluicectl metrics`: asks for all that there is to count.
#include <string>
#include <utility>

#include "dataplane/metrics/collect.h"
#include "dataplane/metrics/metrics.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

bool Tool::Collect(const std::string& method, const std::string& name,
                   json* elements) {
  *elements = json::array();
  json params = json::object();
  for (;;) {
    const auto page = Ask(method, params);
    if (page == nullptr) return false;
    for (const json& element : Member(*page, name.c_str())) {
      elements->push_back(element);
    }
    std::string next = Text(*page, "next");
    if (next.empty()) return true;
    params["cursor"] = std::move(next);
  }
}

bool Tool::ShowMetrics() {
  // Who cannot be asked is spoken of as ever.
  if (Ask("control.version", json::object()) == nullptr) return false;
  const absl::StatusOr<json> answers = CollectMetrics(
      {.filters = 65536, .labels = 1000, .tables = 1000}, caller_);
  if (!answers.ok()) return Fail(std::string(answers.status().message()));
  for (const auto& [name, value] : answers->items()) output_.Put(name, value);
  // Whole, or nothing: half of the samples would look like a change.
  output_.Print(FormatPrometheus(*answers));
  return true;
}

}  // namespace sluice
