// `sluicectl metrics`: asks for all that there is to count.
#include <string>
#include <utility>

#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/metrics.h"
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

bool Tool::AskFilter(json* filter) {
  const json params = {{"filter", Text(*filter, "name")}};
  for (const auto& [name, method] :
       {std::pair{"info", "info.show"},
        {"limits", "limits.show"},
        {"limiters", "limiters.show"}}) {
    CallError error;
    const auto answer = caller_->Call(method, params, &error);
    if (answer != nullptr) {
      (*filter)[name] = name == std::string("info")
                            ? *answer
                            : Member(*answer, name);
    } else if (error.code == static_cast<int32_t>(RpcError::kNotFound)) {
      *filter = nullptr;
      return true;
    } else {
      return Fail(error.message);
    }
  }
  return true;
}

bool Tool::ShowMetrics() {
  json answers = json::object();
  json listed;
  const auto version = Ask("control.version", json::object());
  if (version == nullptr) return false;
  answers["version"] = *version;
  if (!Collect("filter.list", "filters", &listed)) return false;
  json& filters = answers["filters"] = json::array();
  for (json& filter : listed) {
    if (!AskFilter(&filter)) return false;
    if (!filter.is_null()) filters.push_back(std::move(filter));
  }
  if (!Collect("port.list", "ports", &answers["ports"])) return false;
  const auto restore = Ask("restore.metrics", json::object());
  if (restore == nullptr) return false;
  answers["restore"] = *restore;
  for (const auto& [name, value] : answers.items()) output_.Put(name, value);
  // Whole, or nothing: half of the samples would look like a change.
  output_.Print(FormatPrometheus(answers));
  return true;
}

}  // namespace sluice
