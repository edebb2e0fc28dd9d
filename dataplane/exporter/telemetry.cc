#include "dataplane/exporter/telemetry.h"

#include <rte_telemetry.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/metrics/json_read.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

// DPDK gives its callbacks nothing of ours.
std::mutex caller_mutex;
Caller* telemetry_caller = nullptr;

std::unique_ptr<json> AskHere(const char* method, json params) {
  const std::lock_guard<std::mutex> lock(caller_mutex);
  if (telemetry_caller == nullptr) return nullptr;
  CallError error;
  return telemetry_caller->Call(method, std::move(params), &error);
}

// Names of members may have letters, digits, '_' and '/'.
std::string KeyOf(std::string name) {
  std::ranges::replace_if(
      name,
      [](char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return !letter && !(c >= '0' && c <= '9') && c != '_' && c != '/';
      },
      '_');
  return name.substr(0, RTE_TEL_MAX_STRING_LEN / 2 - 1);
}

void AddFlat(const std::string& name, const json& value, rte_tel_data* data);

// Lists of names and values become members; of others there are commands of
// their own.
void AddList(const std::string& name, const json& list, rte_tel_data* data) {
  std::string words;
  for (const json& element : list) {
    if (Has(element, "name") && Has(element, "value")) {
      AddFlat(name + "_" + Text(element, "name"), Member(element, "value"),
              data);
    } else if (element.is_string()) {
      words += (words.empty() ? "" : " ") + element.get<std::string>();
    }
  }
  if (!words.empty()) AddFlat(name, words, data);
}

void AddFlat(const std::string& name, const json& value, rte_tel_data* data) {
  if (value.is_object()) {
    for (const auto& [member, inner] : value.items()) {
      AddFlat(name.empty() ? member : name + "_" + member, inner, data);
    }
  } else if (value.is_array()) {
    AddList(name, value, data);
  } else if (value.is_boolean()) {
    rte_tel_data_add_dict_u64(data, KeyOf(name).c_str(), value.get<bool>());
  } else if (value.is_number_integer()) {
    rte_tel_data_add_dict_u64(data, KeyOf(name).c_str(),
                              value.get<uint64_t>());
  } else if (value.is_string()) {
    rte_tel_data_add_dict_string(data, KeyOf(name).c_str(),
                                 value.get<std::string>().c_str());
  }
}

int AnswerFlat(const json& value, rte_tel_data* data) {
  rte_tel_data_start_dict(data);
  AddFlat("", value, data);
  return 0;
}

// At most so many names fit into an answer of DPDK's.
int AnswerNames(const char* method, const char* list, rte_tel_data* data) {
  rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
  json params = json::object();
  for (;;) {
    const auto page = AskHere(method, params);
    if (page == nullptr) return -EAGAIN;
    for (const json& element : Member(*page, list)) {
      const std::string name = Text(element, "name");
      if (rte_tel_data_add_array_string(data, name.c_str()) != 0) return 0;
    }
    std::string next = Text(*page, "next");
    if (next.empty()) return 0;
    params["cursor"] = std::move(next);
  }
}

std::string FilterOf(const char* params) {
  return params == nullptr || *params == '\0' ? "main" : params;
}

int OnInfo(const char*, const char*, rte_tel_data* data) {
  const auto version = AskHere("control.version", json::object());
  const auto process = AskHere("process.show", json::object());
  const auto info =
      AskHere("info.show", {{"filter", "main"}, {"exact", false}});
  if (version == nullptr || process == nullptr || info == nullptr) {
    return -EAGAIN;
  }
  json all = {{"version", Text(*version, "version")},
              {"workers", Member(*process, "workers").size()},
              {"mbufs", Member(*process, "mbufs")}};
  for (const char* member :
       {"enabled", "generation", "states", "packet_counters", "control"}) {
    if (Has(*info, member)) all[member] = Member(*info, member);
  }
  return AnswerFlat(all, data);
}

int OnFilters(const char*, const char*, rte_tel_data* data) {
  return AnswerNames("filter.list", "filters", data);
}

int OnFilter(const char*, const char* params, rte_tel_data* data) {
  const auto filter = AskHere("filter.show", {{"filter", FilterOf(params)}});
  return filter == nullptr ? -ENOENT : AnswerFlat(*filter, data);
}

int OnPorts(const char*, const char*, rte_tel_data* data) {
  return AnswerNames("port.list", "ports", data);
}

int OnPort(const char*, const char* params, rte_tel_data* data) {
  const std::string wanted = params == nullptr ? "" : params;
  json cursor = json::object();
  for (;;) {
    const auto page = AskHere("port.list", cursor);
    if (page == nullptr) return -EAGAIN;
    for (const json& port : Member(*page, "ports")) {
      if (Text(port, "name") == wanted) return AnswerFlat(port, data);
    }
    std::string next = Text(*page, "next");
    if (next.empty()) return -ENOENT;
    cursor["cursor"] = std::move(next);
  }
}

int OnDrops(const char*, const char* params, rte_tel_data* data) {
  const auto info =
      AskHere("info.show", {{"filter", FilterOf(params)}, {"exact", false}});
  if (info == nullptr) return -ENOENT;
  rte_tel_data_start_dict(data);
  for (const json& counter : Member(*info, "drop_counters")) {
    AddFlat(Text(counter, "name"), Member(counter, "value"), data);
  }
  return 0;
}

int OnWorkers(const char*, const char* params, rte_tel_data* data) {
  const auto process = AskHere("process.show", json::object());
  if (process == nullptr) return -EAGAIN;
  const std::string wanted = params == nullptr ? "" : params;
  if (wanted.empty()) {
    rte_tel_data_start_array(data, RTE_TEL_U64_VAL);
    for (const json& worker : Member(*process, "workers")) {
      rte_tel_data_add_array_u64(data, Number(worker, "worker"));
    }
    return 0;
  }
  for (const json& worker : Member(*process, "workers")) {
    if (std::to_string(Number(worker, "worker")) == wanted) {
      return AnswerFlat(worker, data);
    }
  }
  return -ENOENT;
}

struct TelemetryCommand {
  const char* name;
  telemetry_cb answer;
  const char* help;
};
constexpr std::array<TelemetryCommand, 7> kCommands = {{
    {"/sluice/info", OnInfo, "The daemon: packets, states, buffers."},
    {"/sluice/filters", OnFilters, "Names of the filters."},
    {"/sluice/filter", OnFilter, "A filter. Parameter: its name (main)"},
    {"/sluice/ports", OnPorts, "Names of the ports."},
    {"/sluice/port", OnPort, "A port. Parameter: its name"},
    {"/sluice/drops", OnDrops,
     "Packets dropped, by reason. Parameter: a filter (main)"},
    {"/sluice/workers", OnWorkers,
     "Workers, or what one counts. Parameter: its number (none)"},
}};

}  // namespace

Telemetry::Telemetry(Caller* caller) {
  {
    const std::lock_guard<std::mutex> lock(caller_mutex);
    telemetry_caller = caller;
  }
  for (const TelemetryCommand& command : kCommands) {
    const int result = rte_telemetry_register_cmd(command.name, command.answer,
                                                  command.help);
    if (result != 0 && result != -EEXIST) {
      LogWarning("DPDK takes no telemetry command {}: error {}", command.name,
                 -result);
    }
  }
}

Telemetry::~Telemetry() {
  const std::lock_guard<std::mutex> lock(caller_mutex);
  telemetry_caller = nullptr;
}

}  // namespace sluice
