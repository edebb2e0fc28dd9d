// Methods that change several filters at once: commit.*.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"
#include "dataplane/control/methods/ruleset_call.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kMostFilters = 4096;
constexpr size_t kMostRulesets = 256;
constexpr size_t kMostTables = 4096;
constexpr uint64_t kLongestWait = 86400;  // seconds
constexpr size_t kMostMessages = 200;
constexpr size_t kMostStates = 1000;
constexpr size_t kWordSize = 16;

enum class OfStates : uint8_t { kNothing, kShow, kKill };

// A commit that has succeeded, and what is still to be done for its answer.
struct Done {
  CommitSetResult result;
  bool dry_run = false;
  OfStates of_states = OfStates::kNothing;
  json filters = json::array();  // of the first ones of the result
  bool in_loop = false;          // of AnswerRest()
};

void ReadTable(Params& params, TableEdit* edit, bool* is_wrong) {
  std::string word;
  params.TableName("table", &edit->table);
  params.String("anchor", kMaxAnchorPath, &edit->anchor);
  params.String("do", kWordSize, &word, Params::Need::kRequired);
  params.Entries("addresses", &edit->entries);
  if (word == "add") {
    edit->command = TableCommand::kAdd;
  } else if (word == "delete") {
    edit->command = TableCommand::kDelete;
  } else {
    edit->command = TableCommand::kReplace;
    *is_wrong = *is_wrong || word != "replace";
  }
}

void ReadChange(Params& params, CommitSetRequest* request, bool* is_wrong) {
  FilterCommit& change = request->filters.emplace_back();
  params.Name("filter", kMaxFilterName, &change.filter,
              Params::Need::kRequired);
  params.Number("only_if", UINT64_MAX, &change.only_if);
  params.Objects("rulesets", kMostRulesets, [&](Params& ruleset) {
    LoadRequest& load = change.rulesets.emplace_back();
    ReadLoadRequest(ruleset, &load);
    ruleset.Bool("lint", &load.lint);
    ruleset.Bool("diff", &load.diff);
  });
  params.Objects("tables", kMostTables, [&](Params& table) {
    ReadTable(table, &change.tables.emplace_back(), is_wrong);
  });
  *is_wrong =
      *is_wrong || (change.rulesets.empty() && change.tables.empty());
}

// Whose file or table it is stands before each message.
void AnswerFailure(Call& call, const CommitSetResult& result, bool dry_run) {
  std::vector<Diagnostic> messages;
  const absl::Status* first = nullptr;
  std::string first_filter;
  bool in_rulesets = false;
  for (const FilterOutcome& outcome : result.filters) {
    const std::string where = "filter " + outcome.filter + ": ";
    for (Diagnostic message : outcome.load.diagnostics) {
      in_rulesets = in_rulesets || message.severity == Severity::kError;
      message.file.insert(0, where);
      messages.push_back(std::move(message));
    }
    if (outcome.status.ok()) continue;
    Diagnostic message;
    message.file = "filter " + outcome.filter;
    message.message = std::string(outcome.status.message());
    messages.push_back(std::move(message));
    if (first == nullptr) {
      first = &outcome.status;
      first_filter = where;
    }
  }
  if (messages.size() > kMostMessages) messages.resize(kMostMessages);
  std::string what = in_rulesets || first == nullptr
                         ? "the rulesets have errors"
                         : absl::StrCat(first_filter, first->message());
  if (!dry_run) {
    absl::StrAppend(&what, "; nothing was changed, the old rules are in force "
                           "at all of the filters");
    LogWarning("control: uid {} pid {}: a commit of {} filters was refused: {}",
               call.peer().uid, call.peer().pid, result.filters.size(), what);
  }
  call.Error(in_rulesets || first == nullptr ? RpcError::kRuleset
                                             : CodeOf(*first),
             what, messages);
}

void AnswerRest(const std::shared_ptr<Call>& call,
                const std::shared_ptr<Done>& done);

void AddFilter(const std::shared_ptr<Call>& call,
               const std::shared_ptr<Done>& done,
               const BlockedStates* blocked) {
  const FilterOutcome& outcome = done->result.filters[done->filters.size()];
  if (!done->dry_run) {
    LogInfo("control: uid {} pid {}: filter {}: {} rules, generation {}, "
            "together with {} others",
            call->peer().uid, call->peer().pid, outcome.filter,
            outcome.load.rules, outcome.load.generation,
            done->result.filters.size() - 1);
  }
  json filter = LoadToJson(outcome.load);
  filter["filter"] = outcome.filter;
  if (blocked != nullptr) filter["blocked"] = BlockedToJson(*blocked);
  done->filters.push_back(std::move(filter));
  AnswerRest(call, done);
}

// The next filter: AddFilter(), now or later, or an error.
void AnswerNext(const std::shared_ptr<Call>& call,
                const std::shared_ptr<Done>& done) {
  const size_t index = done->filters.size();
  FilterOutcome& outcome = done->result.filters[index];
  FilterControl* const filter = call->directory().Find(outcome.filter);
  // One that was destroyed since is of no more interest.
  if (filter == nullptr) return AddFilter(call, done, nullptr);
  auto states = [call, done, index] {
    FilterOutcome& its = done->result.filters[index];
    FilterControl* const again = call->directory().Find(its.filter);
    if (again == nullptr || done->of_states == OfStates::kNothing) {
      return AddFilter(call, done, nullptr);
    }
    again->States().FindBlocked(
        std::exchange(its.load.judge, {}), done->of_states == OfStates::kKill,
        kMostStates,
        [call, done](absl::StatusOr<BlockedStates> found) {
          if (!found.ok()) return call->Error(found.status());
          AddFilter(call, done, &*found);
        });
  };
  if (done->dry_run) return states();
  // New rules begin at 0, without what older states have counted.
  filter->States().CollectCounters([call, done, index, states] {
    FilterControl* const again =
        call->directory().Find(done->result.filters[index].filter);
    if (again != nullptr) again->Rules().ClearLoadedCounters();
    states();
  });
}

// One after the other. What is there at once is taken by the loop, and not by
// calls within calls: there may be thousands of filters.
void AnswerRest(const std::shared_ptr<Call>& call,
                const std::shared_ptr<Done>& done) {
  if (done->in_loop) return;  // it goes on there
  const size_t all = done->result.filters.size();
  done->in_loop = true;
  while (done->filters.size() < all) {
    const size_t before = done->filters.size();
    AnswerNext(call, done);
    if (done->filters.size() != before) continue;
    done->in_loop = false;  // AddFilter() will begin another one
    return;
  }
  call->Result({{"filters", std::move(done->filters)}});
}

void Answer(const std::shared_ptr<Call>& call, bool dry_run, OfStates of_states,
            absl::StatusOr<CommitSetResult> result) {
  if (!result.ok()) return call->Error(result.status());
  if (result->Failed()) return AnswerFailure(*call, *result, dry_run);
  auto done = std::make_shared<Done>();
  done->result = *std::move(result);
  done->dry_run = dry_run;
  done->of_states = of_states;
  AnswerRest(call, done);
}

Action ParseCommitLoad(Params& params) {
  CommitSetRequest request;
  bool is_wrong = false;
  std::string blocked;
  std::optional<uint64_t> confirm;
  params.Objects("filters", kMostFilters,
                 [&](Params& filter) {
                   ReadChange(filter, &request, &is_wrong);
                 },
                 Params::Need::kRequired);
  params.Bool("dry_run", &request.dry_run);
  params.String("blocked", kWordSize, &blocked);
  params.Number("confirm_within", 1, kLongestWait, &confirm);
  request.confirm_within = static_cast<uint32_t>(confirm.value_or(0));
  const OfStates of_states = blocked == "show"   ? OfStates::kShow
                             : blocked == "kill" ? OfStates::kKill
                                                 : OfStates::kNothing;
  request.judge_states = of_states != OfStates::kNothing;
  std::string error;
  if (is_wrong) {
    error = "each filter has \"rulesets\" or \"tables\", and each table's "
            "\"do\" is \"add\", \"delete\" or \"replace\"";
  } else if (request.filters.empty()) {
    error = "\"filters\" names none";
  } else if ((of_states == OfStates::kNothing && !blocked.empty()) ||
             (of_states == OfStates::kKill && request.dry_run)) {
    error = "\"blocked\" is \"show\" or, of what is loaded, \"kill\"";
  }
  return [request = std::move(request), of_states,
          error = std::move(error)](std::shared_ptr<Call> call) mutable {
    if (!error.empty()) return call->Error(RpcError::kInvalidParams, error);
    for (const FilterCommit& change : request.filters) {
      if (!call->MayAsk(change.filter)) return;
    }
    request.uid = call->peer().uid;
    request.pid = call->peer().pid;
    const bool dry_run = request.dry_run;
    Call::RunJob<CommitSetResult>(
        call,
        [request = std::move(request)](Call& c) mutable {
          return c.directory().BeginCommit(std::move(request));
        },
        [call, dry_run, of_states](Call&,
                                   absl::StatusOr<CommitSetResult> result) {
          Answer(call, dry_run, of_states, std::move(result));
        });
  };
}

Action ParseCommitRollback(Params& params) {
  std::vector<std::string> filters;
  params.Names("filters", kMostFilters, kMaxFilterName, &filters,
               Params::Need::kRequired);
  return [filters = std::move(filters)](std::shared_ptr<Call> call) mutable {
    for (const std::string& filter : filters) {
      if (!call->MayAsk(filter)) return;
    }
    Call::RunJob<CommitSetResult>(
        call,
        [filters = std::move(filters)](Call& c) mutable {
          return c.directory().BeginRollbackTogether(
              std::move(filters), c.peer().uid, c.peer().pid);
        },
        [call](Call&, absl::StatusOr<CommitSetResult> result) {
          Answer(call, /*dry_run=*/false, OfStates::kNothing,
                 std::move(result));
        });
  };
}

}  // namespace

const std::vector<Method> kCommitMethods = {
    {"commit.load", ParseCommitLoad, Access::kCommit, /*asks_filter=*/false},
    {"commit.rollback", ParseCommitRollback, Access::kCommit,
     /*asks_filter=*/false},
};

}  // namespace sluice
