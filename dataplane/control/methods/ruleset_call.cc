#include "dataplane/control/methods/ruleset_call.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/methods/encode.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kMaxFiles = 4096;
constexpr size_t kMaxMacros = 4096;
constexpr size_t kMaxWithout = 256;
constexpr size_t kMaxFileName = 4096;
// Together with the names of files and lines of the source, under 1 MiB.
constexpr size_t kMaxDiagnostics = 200;

}  // namespace

void ReadLoadRequest(Params& params, LoadRequest* request) {
  params.String("name", kMaxFileName, &request->name);
  params.Text("text", &request->text, Params::Need::kRequired);
  params.Files("files", kMaxFiles, [&](std::string name, std::string text) {
    request->files.push_back({std::move(name), std::move(text)});
  });
  params.StringMap("macros", kMaxMacros, &request->macros);
  params.Hosts("hosts", kMaxMacros, &request->hosts);
  params.Dialect("dialect", &request->dialect);
  params.Optimization("optimization", &request->optimization);
  params.Bool("merge_options", &request->merge_options);
  params.String("anchor", kMaxAnchorPath, &request->anchor);
  params.Object("parts", [&](Params& parts) {
    LoadParts& p = request->parts;
    p = {.options = false, .tables = false, .queues = false, .ether = false,
         .translation = false, .filter = false};
    parts.Bool("options", &p.options);
    parts.Bool("tables", &p.tables);
    parts.Bool("queues", &p.queues);
    parts.Bool("ether", &p.ether);
    parts.Bool("translation", &p.translation);
    parts.Bool("filter", &p.filter);
  });
  params.Strings("without", kMaxWithout, kMaxFileName, &request->without);
  std::optional<uint64_t> print;
  params.Number("print", 2, &print);
  request->print = static_cast<int>(print.value_or(0));
  params.Bool("flip_port_names", &request->flip_port_names);
}

bool AnswerFailedLoad(Call& call, absl::StatusOr<LoadResult>& result,
                      std::string_view consequence) {
  const PeerCredentials& peer = call.peer();
  if (!result.ok()) {
    LogWarning("control: uid {} pid {}: load failed: {}", peer.uid, peer.pid,
                 result.status().ToString());
    call.Error(result.status());
    return true;
  }
  if (result->diagnostics.size() > kMaxDiagnostics) {
    result->diagnostics.resize(kMaxDiagnostics);
  }
  if (!result->HasErrors()) return false;
  if (!consequence.empty()) {
    LogWarning("control: uid {} pid {}: ruleset refused, {} messages",
                 peer.uid, peer.pid, result->diagnostics.size());
  }
  std::string message = "the ruleset has errors";
  if (!consequence.empty()) message.append("; ").append(consequence);
  call.Error(RpcError::kRuleset, message, result->diagnostics);
  return true;
}

json LoadToJson(const LoadResult& result) {
  json diagnostics = json::array();
  for (const Diagnostic& d : result.diagnostics) {
    diagnostics.push_back(ToJson(d));
  }
  json value = {{"generation", result.generation},
                {"rules", result.rules},
                {"diagnostics", std::move(diagnostics)}};
  if (!result.text.empty()) value["text"] = result.text;
  if (result.diff_removed + result.diff_added > 0) {
    value["diff"] = {{"text", result.diff},
                     {"removed", result.diff_removed},
                     {"added", result.diff_added}};
  }
  return value;
}

json BlockedToJson(const BlockedStates& blocked) {
  json states = json::array();
  for (const StateListing& state : blocked.states) {
    states.push_back(ToJson(state));
  }
  return {{"looked_at", blocked.looked_at},
          {"blocked", blocked.blocked},
          {"killed", blocked.killed},
          {"states", std::move(states)}};
}

}  // namespace sluice
