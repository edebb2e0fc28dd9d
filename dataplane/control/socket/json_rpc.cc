#include "dataplane/control/socket/json_rpc.h"

#include <functional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace sluice {
using nlohmann::json;

json ParseJson(std::string_view text, std::string* twice) {
  // Of the objects that the parser is in, the outermost first; arrays do not
  // count. The key that was read last is where the next object is.
  struct Open {
    std::set<std::string, std::less<>> keys;
    std::string last;
  };
  std::vector<Open> open;
  twice->clear();
  const auto see = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      open.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      open.pop_back();
    } else if (event == json::parse_event_t::key && twice->empty()) {
      Open& object = open.back();
      object.last = parsed.get_ref<const std::string&>().substr(0, 64);
      if (!object.keys.insert(parsed.get_ref<const std::string&>()).second) {
        for (const Open& outer : open) {
          absl::StrAppend(twice, twice->empty() ? "" : ".", outer.last);
        }
      }
    }
    return true;
  };
  return json::parse(text, see, /*allow_exceptions=*/false);
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

RpcError CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return RpcError::kInvalidParams;
    case absl::StatusCode::kNotFound:
      return RpcError::kNotFound;
    case absl::StatusCode::kUnavailable:
      return RpcError::kBusy;
    case absl::StatusCode::kAborted:
      return RpcError::kMoved;
    case absl::StatusCode::kInternal:
      return RpcError::kInternal;
    default:
      return RpcError::kRefused;
  }
}

std::string ErrorLine(RpcError code, std::string_view message) {
  return ErrorLine(json(nullptr), code, message);
}

std::string ErrorLine(const json& id, RpcError code, std::string_view message,
                      const std::vector<Diagnostic>& diagnostics) {
  json error = {{"code", static_cast<int32_t>(code)},
                {"message", std::string(message)}};
  if (!diagnostics.empty()) {
    json data = json::array();
    for (const Diagnostic& d : diagnostics) data.push_back(ToJson(d));
    error["data"] = std::move(data);
  }
  return Dump(
      json{{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(error)}});
}

std::string ResultLine(const json& id, json result) {
  json answer = {{"jsonrpc", "2.0"}, {"id", id}};
  answer["result"] = std::move(result);
  return Dump(answer);
}

json ToJson(const Diagnostic& diagnostic) {
  json value = {{"severity",
                 diagnostic.severity == Severity::kError ? "error" : "warning"},
                {"file", diagnostic.file},
                {"line", diagnostic.line},
                {"column", diagnostic.column},
                {"message", diagnostic.message}};
  if (!diagnostic.source_line.empty()) {
    value["source_line"] = diagnostic.source_line;
  }
  if (!diagnostic.hint.empty()) value["hint"] = diagnostic.hint;
  return value;
}

}  // namespace sluice
