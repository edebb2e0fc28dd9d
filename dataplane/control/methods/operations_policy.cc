// Methods that change or show the policy: ruleset.*, rules.*, labels.*,
// filter.*.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kMaxFiles = 4096;
constexpr size_t kMaxMacros = 4096;
constexpr size_t kMaxFileName = 4096;
constexpr size_t kRulesAPage = 256;
// Together with the names of files and lines of the source, under 1 MiB.
constexpr size_t kMaxDiagnostics = 200;

void AnswerLoad(Call& call, bool dry_run, absl::StatusOr<LoadResult> result) {
  if (AnswerFailedLoad(call, result,
                       dry_run ? ""
                               : "nothing was loaded, the old rules are in "
                                 "force")) {
    return;
  }
  if (!dry_run) {
    spdlog::info(
        "control: uid {} pid {}: filter {}: loaded {} rules, generation {}",
        call.peer().uid, call.peer().pid, call.filter_name(), result->rules,
        result->generation);
  }
  call.Result(LoadToJson(*result));
}

Action ParseLoad(Params& params) {
  LoadRequest request;
  ReadLoadRequest(params, &request);
  params.Bool("dry_run", &request.dry_run);
  return [request = std::move(request)](std::shared_ptr<Call> call) mutable {
    request.uid = call->peer().uid;
    request.pid = call->peer().pid;
    const bool dry_run = request.dry_run;
    Call::RunFilterJob<LoadResult>(
        call,
        [request = std::move(request)](FilterControl& filter) mutable {
          return filter.BeginLoad(std::move(request));
        },
        [dry_run](Call& c, absl::StatusOr<LoadResult> result) {
          AnswerLoad(c, dry_run, std::move(result));
        });
  };
}

Action ParseFlush(Params&) {
  return [](std::shared_ptr<Call> call) {
    Call::RunFilterJob<uint64_t>(
        call, [](FilterControl& filter) { return filter.BeginFlushRules(); },
        [](Call& c, absl::StatusOr<uint64_t> generation) {
          if (!generation.ok()) return c.Error(generation.status());
          spdlog::info("control: uid {} pid {}: filter {}: rules flushed",
                       c.peer().uid, c.peer().pid, c.filter_name());
          c.Result({{"generation", *generation}});
        });
  };
}

struct RulesPage {
  RuleQuery query;
  std::string cursor;
  size_t limit = kRulesAPage;
};

RulesPage ReadRulesPage(Params& params) {
  RulesPage page;
  params.String("anchor", kMaxAnchorPath, &page.query.anchor);
  params.String("interface", kMaxAnchorPath, &page.query.interface);
  params.Bool("flip_port_names", &page.query.flip_port_names);
  params.String("cursor", kMaxCursor, &page.cursor);
  params.PageSize("limit", kRulesAPage, &page.limit);
  return page;
}

// Calls answer(call, slice) with a page whose counters are exact at its first
// page; the others show them as they were then.
template <typename Answer>
Action ShowPage(RulesPage page, Answer answer) {
  return [page = std::move(page), answer](std::shared_ptr<Call> call) {
    auto show = [page, answer, call] {
      FilterControl* const filter = call->filter();
      if (filter == nullptr) return;
      absl::StatusOr<RuleSlice> slice =
          filter->ListRules(page.query, page.cursor, page.limit);
      if (!slice.ok()) return call->Error(slice.status());
      answer(*call, *slice);
    };
    if (page.cursor.empty()) {
      call->filter()->CollectCounters(std::move(show));
    } else {
      show();
    }
  };
}

Action ParseShowRules(Params& params) {
  return ShowPage(ReadRulesPage(params), [](Call& call,
                                            const RuleSlice& slice) {
    json rules = json::array();
    for (const RuleListing& rule : slice.rules) rules.push_back(ToJson(rule));
    json result = {{"rules", std::move(rules)},
                   {"generation", slice.generation},
                   {"uid", slice.uid},
                   {"pid", slice.pid}};
    if (!slice.next.empty()) result["next"] = slice.next;
    call.Result(std::move(result));
  });
}

Action ParseShowLabels(Params& params) {
  return ShowPage(ReadRulesPage(params), [](Call& call,
                                            const RuleSlice& slice) {
    json labels = json::array();
    for (const RuleListing& rule : slice.rules) {
      for (const std::string& label : rule.labels) {
        json entry = ToJson(rule);
        entry.erase("text");
        entry.erase("labels");
        entry["label"] = label;
        labels.push_back(std::move(entry));
      }
    }
    json result = {{"labels", std::move(labels)},
                   {"generation", slice.generation}};
    if (!slice.next.empty()) result["next"] = slice.next;
    call.Result(std::move(result));
  });
}

Action ParseZeroRules(Params&) {
  return [](std::shared_ptr<Call> call) {
    call->filter()->ClearRuleCounters();
    call->Done();
  };
}

Action ParseEnablePolicy(Params&) {
  return [](std::shared_ptr<Call> call) {
    const absl::Status status = call->filter()->Enable();
    if (status.ok()) {
      spdlog::warn("control: uid {} pid {}: filter {}: enabled",
                   call->peer().uid, call->peer().pid, call->filter_name());
    }
    call->StatusOnly(status);
  };
}

Action ParseDisablePolicy(Params&) {
  return [](std::shared_ptr<Call> call) {
    const absl::Status status = call->filter()->Disable();
    if (status.ok()) {
      spdlog::warn("control: uid {} pid {}: filter {}: disabled",
                   call->peer().uid, call->peer().pid, call->filter_name());
    }
    call->StatusOnly(status);
  };
}

}  // namespace

void ReadLoadRequest(Params& params, LoadRequest* request) {
  params.String("name", kMaxFileName, &request->name);
  params.String("text", SIZE_MAX, &request->text, Params::Need::kRequired);
  params.Files("files", kMaxFiles, [&](std::string name, std::string text) {
    request->files.push_back({std::move(name), std::move(text)});
  });
  params.StringMap("macros", kMaxMacros, &request->macros);
  params.Dialect("dialect", &request->dialect);
  params.Optimization("optimization", &request->optimization);
  params.Bool("merge_options", &request->merge_options);
}

bool AnswerFailedLoad(Call& call, absl::StatusOr<LoadResult>& result,
                      std::string_view consequence) {
  const PeerCredentials& peer = call.peer();
  if (!result.ok()) {
    spdlog::warn("control: uid {} pid {}: load failed: {}", peer.uid, peer.pid,
                 result.status().ToString());
    call.Error(result.status());
    return true;
  }
  if (result->diagnostics.size() > kMaxDiagnostics) {
    result->diagnostics.resize(kMaxDiagnostics);
  }
  if (!result->HasErrors()) return false;
  if (!consequence.empty()) {
    spdlog::warn("control: uid {} pid {}: ruleset refused, {} messages",
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
  return {{"generation", result.generation},
          {"rules", result.rules},
          {"diagnostics", std::move(diagnostics)}};
}

const std::vector<Method> kPolicyMethods = {
    {"filter.disable", ParseDisablePolicy}, {"filter.enable", ParseEnablePolicy},
    {"labels.show", ParseShowLabels}, {"rules.show", ParseShowRules},
    {"rules.zero", ParseZeroRules},   {"ruleset.flush", ParseFlush},
    {"ruleset.load", ParseLoad},
};

}  // namespace sluice
