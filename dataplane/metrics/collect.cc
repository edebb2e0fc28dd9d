#include "dataplane/metrics/collect.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/metrics/json_read.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

class Collector {
 public:
  Collector(const MetricsBounds& bounds, Caller* caller)
      : bounds_(bounds), caller_(*caller) {}

  absl::StatusOr<json> Collect();

 private:
  // Null after an error, which is kept.
  std::unique_ptr<json> Ask(const std::string& method, json params);
  // At most `most` elements; the others are counted in `*left_out`.
  bool Pages(const std::string& method, json params, const std::string& name,
             size_t most, json* elements, uint64_t* left_out);
  // Adds to a filter what is asked of it alone; null: it is gone.
  bool AddTo(json* filter);
  bool AddLabels(json* filter);
  bool AddTables(json* filter);

  const MetricsBounds bounds_;
  Caller& caller_;
  absl::Status status_;
  CallError error_;
  size_t labels_ = 0;
  size_t tables_ = 0;
  uint64_t filters_left_out_ = 0;
  uint64_t labels_left_out_ = 0;
  uint64_t tables_left_out_ = 0;
};

std::unique_ptr<json> Collector::Ask(const std::string& method, json params) {
  error_ = {};
  auto answer = caller_.Call(method, std::move(params), &error_);
  if (answer == nullptr) {
    status_ = absl::UnavailableError(error_.message);
  }
  return answer;
}

bool Collector::Pages(const std::string& method, json params,
                      const std::string& name, size_t most, json* elements,
                      uint64_t* left_out) {
  *elements = json::array();
  for (;;) {
    const auto page = Ask(method, params);
    if (page == nullptr) return false;
    for (const json& element : Member(*page, name.c_str())) {
      if (elements->size() < most) {
        elements->push_back(element);
      } else {
        ++*left_out;
      }
    }
    std::string next = Text(*page, "next");
    if (next.empty()) return true;
    params["cursor"] = std::move(next);
  }
}

// Several rules of one label count together.
bool Collector::AddLabels(json* filter) {
  json listed;
  uint64_t unseen = 0;
  // Their counters are those of the last look at all states, which
  // process.show took.
  if (!Pages("labels.show",
             {{"filter", Text(*filter, "name")}, {"exact", false}}, "labels",
             // Rules are what takes time.
             100 * bounds_.labels, &listed, &unseen)) {
    return false;
  }
  labels_left_out_ += unseen;
  std::map<std::string, json> sums;
  for (const json& label : listed) {
    const std::string name = Text(label, "label");
    if (!sums.contains(name)) {
      if (labels_ == bounds_.labels) {
        ++labels_left_out_;
        continue;
      }
      ++labels_;
      sums[name] = json{{"label", name}};
    }
    json& sum = sums[name];
    for (const char* counter : {"evaluations", "states", "state_creations"}) {
      sum[counter] = Number(sum, counter) + Number(label, counter);
    }
    for (const char* counter : {"packets", "bytes"}) {
      sum[counter] = Number(sum, counter) +
                     Number(Member(label, "in"), counter) +
                     Number(Member(label, "out"), counter);
    }
  }
  json& labels = (*filter)["labels"] = json::array();
  for (auto& [name, sum] : sums) labels.push_back(std::move(sum));
  return true;
}

bool Collector::AddTables(json* filter) {
  json& tables = (*filter)["table_list"];
  if (!Pages("tables.list",
             {{"filter", Text(*filter, "name")}, {"exact", false}}, "tables",
             bounds_.tables - tables_, &tables, &tables_left_out_)) {
    return false;
  }
  tables_ += tables.size();
  return true;
}

bool Collector::AddTo(json* filter) {
  const std::string name = Text(*filter, "name");
  // Main has the sums of all packets, which have to be of one moment.
  const auto info =
      Ask("info.show", {{"filter", name}, {"exact", name == "main"}});
  if (info == nullptr) return false;
  (*filter)["info"] = *info;
  const auto limits = Ask("limits.show", {{"filter", name}});
  if (limits == nullptr) return false;
  (*filter)["limits"] = Member(*limits, "limits");
  const auto limiters = Ask("limiters.show", {{"filter", name}});
  if (limiters == nullptr) return false;
  (*filter)["limiters"] = Member(*limiters, "limiters");
  const auto commits = Ask("commits.show", {{"filter", name}});
  if (commits == nullptr) return false;
  const json& list = Member(*commits, "commits");
  if (list.is_array() && !list.empty()) (*filter)["commit"] = list[0];
  return AddLabels(filter) && AddTables(filter);
}

absl::StatusOr<json> Collector::Collect() {
  json answers = json::object();
  for (const auto& [name, method] :
       {std::pair{"version", "control.version"},
        {"process", "process.show"},
        {"restore", "restore.metrics"}}) {
    auto answer = Ask(method, json::object());
    if (answer != nullptr) {
      answers[name] = std::move(*answer);
    } else if (error_.code !=
               static_cast<int32_t>(RpcError::kMethodNotFound)) {
      return status_;
    }
  }
  json listed;
  if (!Pages("filter.list", json::object(), "filters", bounds_.filters,
             &listed, &filters_left_out_)) {
    return status_;
  }
  json& filters = answers["filters"] = json::array();
  for (json& filter : listed) {
    if (AddTo(&filter)) {
      filters.push_back(std::move(filter));
    } else if (error_.code != static_cast<int32_t>(RpcError::kNotFound)) {
      return status_;
    }
  }
  uint64_t none = 0;
  if (!Pages("port.list", json::object(), "ports", SIZE_MAX,
             &answers["ports"], &none)) {
    return status_;
  }
  // Daemons of before have none.
  if (!Pages("router.list", json::object(), "routers", SIZE_MAX,
             &answers["routers"], &none) &&
      error_.code != static_cast<int32_t>(RpcError::kMethodNotFound)) {
    return status_;
  }
  answers["left_out"] = {{"filters", filters_left_out_},
                         {"labels", labels_left_out_},
                         {"tables", tables_left_out_}};
  return answers;
}

}  // namespace

absl::StatusOr<json> CollectMetrics(const MetricsBounds& bounds,
                                    Caller* caller) {
  return Collector(bounds, caller).Collect();
}

}  // namespace sluice
