// Methods that change or show the policy: ruleset.*, rules.*, labels.*,
// filter.*.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"
#include "dataplane/control/methods/ruleset_call.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kRulesAPage = 256;
constexpr uint64_t kLongestConfirm = 86400;  // seconds
constexpr uint64_t kMostBack = 1000;
constexpr size_t kMaxDebugLevel = 16;
constexpr size_t kMostBlockedListed = 1000;

void AnswerLoad(Call& call, bool dry_run, absl::StatusOr<LoadResult> result,
                const BlockedStates* blocked = nullptr) {
  if (AnswerFailedLoad(call, result,
                       dry_run ? ""
                               : "nothing was loaded, the old rules are in "
                                 "force")) {
    return;
  }
  if (!dry_run) {
    LogInfo(
        "control: uid {} pid {}: filter {}: loaded {} rules, generation {}",
        call.peer().uid, call.peer().pid, call.filter_name(), result->rules,
        result->generation);
  }
  json answer = LoadToJson(*result);
  if (blocked != nullptr) {
    answer["blocked"] = BlockedToJson(*blocked);
  }
  call.Result(std::move(answer));
}

enum class Blocked : uint8_t { kNotAsked, kShow, kKill };

// Answers a load, with the states that the rules block.
void AnswerBlockedStates(const std::shared_ptr<Call>& call, bool dry_run,
                         Blocked blocked, LoadResult result) {
  FilterControl* const filter = call->filter();
  if (filter == nullptr) return;
  std::shared_ptr<const Generation> judge = std::exchange(result.judge, {});
  auto kept = std::make_shared<LoadResult>(std::move(result));
  filter->States().FindBlocked(
      std::move(judge), blocked == Blocked::kKill, kMostBlockedListed,
      [call, dry_run, kept](absl::StatusOr<BlockedStates> found) {
        if (!found.ok()) return call->Error(found.status());
        if (found->killed > 0) {
          LogInfo("control: uid {} pid {}: filter {}: {} states killed that "
                  "its rules block",
                  call->peer().uid, call->peer().pid, call->filter_name(),
                  found->killed);
        }
        AnswerLoad(*call, dry_run, std::move(*kept), &*found);
      });
}

Action ParseLoad(Params& params) {
  LoadRequest request;
  std::string blocked_word;
  ReadLoadRequest(params, &request);
  params.Bool("dry_run", &request.dry_run);
  params.Bool("lint", &request.lint);
  params.Bool("diff", &request.diff);
  params.String("blocked", kMaxDebugLevel, &blocked_word);
  params.Number("only_if", UINT64_MAX, &request.only_if);
  std::optional<uint64_t> confirm;
  params.Number("confirm_within", 1, kLongestConfirm, &confirm);
  request.confirm_within = static_cast<uint32_t>(confirm.value_or(0));
  const Blocked blocked = blocked_word == "show"   ? Blocked::kShow
                          : blocked_word == "kill" ? Blocked::kKill
                                                   : Blocked::kNotAsked;
  const bool is_wrong =
      (blocked == Blocked::kNotAsked && !blocked_word.empty()) ||
      (blocked == Blocked::kKill && request.dry_run);
  request.judge_states = blocked != Blocked::kNotAsked;
  return [request = std::move(request), blocked,
          is_wrong](std::shared_ptr<Call> call) mutable {
    if (is_wrong) {
      return call->Error(RpcError::kInvalidParams,
                         "\"blocked\" is \"show\" or, of what is loaded, "
                         "\"kill\"");
    }
    request.uid = call->peer().uid;
    request.pid = call->peer().pid;
    const bool dry_run = request.dry_run;
    Call::RunJob<LoadResult>(
        call,
        [request = std::move(request)](
            Call& c) mutable -> std::unique_ptr<BuildJob<LoadResult>> {
          FilterControl* const filter = c.filter();
          if (filter == nullptr) return nullptr;
          return filter->Rules().BeginLoad(std::move(request));
        },
        [dry_run, blocked, call](Call& c,
                                 absl::StatusOr<LoadResult> result) mutable {
          const bool good = result.ok() && !result->HasErrors();
          const bool loaded = !dry_run && good;
          if (dry_run && good && blocked != Blocked::kNotAsked) {
            return AnswerBlockedStates(call, dry_run, blocked,
                                       *std::move(result));
          }
          FilterControl* const filter = loaded ? c.filter() : nullptr;
          if (filter == nullptr) {
            if (!loaded) AnswerLoad(c, dry_run, std::move(result));
            return;
          }
          // New rules begin at 0, without what older states have counted.
          auto kept = std::make_shared<LoadResult>(*std::move(result));
          filter->States().CollectCounters([call, kept, blocked] {
            FilterControl* const again = call->filter();
            if (again == nullptr) return;
            again->Rules().ClearLoadedCounters();
            if (blocked == Blocked::kNotAsked) {
              return AnswerLoad(*call, /*dry_run=*/false, std::move(*kept));
            }
            AnswerBlockedStates(call, /*dry_run=*/false, blocked,
                                std::move(*kept));
          });
        });
  };
}

Action ParseRollback(Params& params) {
  std::optional<uint64_t> back;
  params.Number("back", 1, kMostBack, &back);
  return [back = back.value_or(1)](std::shared_ptr<Call> call) {
    Call::RunJob<LoadResult>(
        call,
        [back](Call& c) -> std::unique_ptr<BuildJob<LoadResult>> {
          FilterControl* const filter = c.filter();
          if (filter == nullptr) return nullptr;
          return filter->Rules().BeginRollback(back, c.peer().uid,
                                               c.peer().pid);
        },
        [](Call& c, absl::StatusOr<LoadResult> result) {
          AnswerLoad(c, /*dry_run=*/false, std::move(result));
        });
  };
}

Action ParseConfirm(Params&) {
  return [](std::shared_ptr<Call> call) {
    RuleControl& rules = call->filter()->Rules();
    for (const std::string& other : rules.PendingTogether()) {
      if (!call->MayAsk(other)) return;
    }
    const absl::Status status = rules.ConfirmCommit();
    if (status.ok()) {
      LogInfo("control: uid {} pid {}: filter {}: the ruleset is confirmed",
              call->peer().uid, call->peer().pid, call->filter_name());
    }
    call->StatusOnly(status);
  };
}

Action ParseShowCommits(Params&) {
  return [](std::shared_ptr<Call> call) {
    RuleControl& rules = call->filter()->Rules();
    json commits = json::array();
    for (const CommitListing& commit : rules.Commits()) {
      commits.push_back(ToJson(commit));
    }
    json result = {{"commits", std::move(commits)}};
    if (const std::optional<uint64_t> left = rules.ConfirmLeft()) {
      result["confirm_left"] = *left;
    }
    call->Result(std::move(result));
  };
}

Action ParseFlush(Params& params) {
  PolicyFlush flush;
  bool options_only = false;
  bool keeps_ether = false, keeps_translation = false, keeps_filter = false;
  params.String("anchor", kMaxAnchorPath, &flush.anchor);
  params.Bool("below", &flush.below);
  params.Bool("options", &flush.options);
  params.Bool("keep_ether", &keeps_ether);
  params.Bool("keep_translation", &keeps_translation);
  params.Bool("keep_filter", &keeps_filter);
  flush.ether = !keeps_ether;
  flush.translation = !keeps_translation;
  flush.filter = !keeps_filter;
  params.Bool("options_only", &options_only);
  if (options_only) {
    flush.options = true;
    flush.rules = false;
  }
  return [flush = std::move(flush)](std::shared_ptr<Call> call) mutable {
    Call::RunJob<uint64_t>(
        call,
        [flush = std::move(flush)](
            Call& c) mutable -> std::unique_ptr<BuildJob<uint64_t>> {
          FilterControl* const filter = c.filter();
          if (filter == nullptr) return nullptr;
          return filter->Rules().BeginFlushRules(std::move(flush));
        },
        [](Call& c, absl::StatusOr<uint64_t> generation) {
          if (!generation.ok()) return c.Error(generation.status());
          LogInfo("control: uid {} pid {}: filter {}: rules flushed",
                       c.peer().uid, c.peer().pid, c.filter_name());
          c.Result({{"generation", *generation}});
        });
  };
}

Action ParseShowAnchors(Params& params) {
  std::string anchor;
  bool below = false;
  params.String("anchor", kMaxAnchorPath, &anchor);
  params.Bool("below", &below);
  return [=](std::shared_ptr<Call> call) {
    absl::StatusOr<std::vector<std::string>> anchors =
        call->filter()->Rules().ListAnchors(anchor, below);
    if (!anchors.ok()) return call->Error(anchors.status());
    call->Result({{"anchors", *std::move(anchors)}});
  };
}

Action ParseSetDebug(Params& params) {
  PolicyFlush change;
  change.rules = false;
  params.String("level", kMaxDebugLevel, &change.debug,
                Params::Need::kRequired);
  return [change = std::move(change)](std::shared_ptr<Call> call) mutable {
    Call::RunJob<uint64_t>(
        call,
        [change = std::move(change)](
            Call& c) mutable -> std::unique_ptr<BuildJob<uint64_t>> {
          FilterControl* const filter = c.filter();
          if (filter == nullptr) return nullptr;
          return filter->Rules().BeginFlushRules(std::move(change));
        },
        [](Call& c, absl::StatusOr<uint64_t> generation) {
          if (!generation.ok()) return c.Error(generation.status());
          c.Done();
        });
  };
}

struct RulesPage {
  RuleQuery query;
  std::string cursor;
  size_t limit = kRulesAPage;
  // Whether what living states have counted is brought to their rules first.
  bool exact = true;
};

RulesPage ReadRulesPage(Params& params) {
  RulesPage page;
  params.String("anchor", kMaxAnchorPath, &page.query.anchor);
  params.String("interface", kMaxAnchorPath, &page.query.interface);
  params.Bool("flip_port_names", &page.query.flip_port_names);
  params.Bool("translation", &page.query.translation);
  params.Bool("ether", &page.query.ether);
  params.Bool("members", &page.query.members);
  params.Bool("exact", &page.exact);
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
          filter->Rules().ListRules(page.query, page.cursor, page.limit);
      if (!slice.ok()) return call->Error(slice.status());
      answer(*call, *slice);
    };
    if (page.cursor.empty() && page.exact) {
      call->filter()->States().CollectCounters(std::move(show));
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

Action ParseShowFingerprints(Params& params) {
  constexpr size_t kSystemsAPage = 1024;
  std::string cursor;
  size_t limit = kSystemsAPage;
  params.String("cursor", 64, &cursor);
  params.PageSize("limit", kSystemsAPage, &limit);
  return [=](std::shared_ptr<Call> call) {
    const absl::StatusOr<SystemSlice> slice =
        call->filter()->Rules().ListSystems(cursor, limit);
    if (!slice.ok()) return call->Error(slice.status());
    json systems = json::array();
    for (const SystemListing& system : slice->systems) {
      json& entry = systems.emplace_back(json{{"class", system.class_name}});
      if (!system.version.empty()) entry["version"] = system.version;
      if (!system.subtype.empty()) entry["subtype"] = system.subtype;
    }
    json result = {{"systems", std::move(systems)},
                   {"fingerprints", slice->fingerprints}};
    if (!slice->next.empty()) result["next"] = slice->next;
    call->Result(std::move(result));
  };
}

Action ParseZeroRules(Params&) {
  return [](std::shared_ptr<Call> call) {
    // What states have counted so far is zeroed with the rest.
    call->filter()->States().CollectCounters([call] {
      FilterControl* const filter = call->filter();
      if (filter == nullptr) return;
      filter->Rules().ClearRuleCounters();
      call->Done();
    });
  };
}

Action ParseEnablePolicy(Params&) {
  return [](std::shared_ptr<Call> call) {
    const absl::Status status = call->filter()->Status().Enable();
    if (status.ok()) {
      LogWarning("control: uid {} pid {}: filter {}: enabled",
                   call->peer().uid, call->peer().pid, call->filter_name());
    }
    call->StatusOnly(status);
  };
}

Action ParseDisablePolicy(Params&) {
  return [](std::shared_ptr<Call> call) {
    const absl::Status status = call->filter()->Status().Disable();
    if (status.ok()) {
      LogWarning("control: uid {} pid {}: filter {}: disabled",
                   call->peer().uid, call->peer().pid, call->filter_name());
    }
    call->StatusOnly(status);
  };
}

}  // namespace

const std::vector<Method> kPolicyMethods = {
    {"anchors.show", ParseShowAnchors, Access::kRead},
    {"commits.show", ParseShowCommits, Access::kRead},
    {"debug.set", ParseSetDebug, Access::kCommit},
    {"filter.disable", ParseDisablePolicy, Access::kAdmin},
    {"filter.enable", ParseEnablePolicy, Access::kAdmin},
    {"fingerprints.show", ParseShowFingerprints, Access::kRead},
    {"labels.show", ParseShowLabels, Access::kRead},
    {"rules.show", ParseShowRules, Access::kRead},
    {"rules.zero", ParseZeroRules, Access::kOperate},
    {"ruleset.confirm", ParseConfirm, Access::kCommit},
    {"ruleset.flush", ParseFlush, Access::kCommit},
    {"ruleset.load", ParseLoad, Access::kCommit},
    {"ruleset.rollback", ParseRollback, Access::kCommit},
};

}  // namespace sluice
