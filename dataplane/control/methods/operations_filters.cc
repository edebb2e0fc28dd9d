// Methods that make, show and remove filters: filter.create, filter.destroy,
// filter.list, filter.show.
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"
#include "dataplane/control/methods/ruleset_call.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kFiltersAPage = 256;
constexpr uint64_t kMaxGiveUp = 86'400;  // seconds

std::optional<LoadRequest> ReadRuleset(Params& params, std::string_view name) {
  LoadRequest request;
  if (!params.Object(
          name, [&](Params& inner) { ReadLoadRequest(inner, &request); })) {
    return std::nullopt;
  }
  return request;
}

// "" or what is wrong with the parameters together.
std::string_view WrongSpec(const FilterSpec& spec) {
  if (spec.ports.empty()) return "parameter \"ports\" must name a port";
  if (!spec.source.empty() && spec.source.front() != '/') {
    return "parameter \"source\" must be an absolute path: it is the daemon "
           "that reads it";
  }
  const bool has_source = !spec.source.empty() || spec.snapshot != nullptr;
  if (has_source && !spec.expect_restore) {
    return "parameter \"source\" needs \"expect_restore\": nothing else would "
           "read it";
  }
  if (!spec.from_filter.empty() && !has_source) {
    return "parameter \"from_filter\" says whose snapshot \"source\" is";
  }
  if (spec.restore_give_up && !spec.expect_restore) {
    return "parameter \"restore_give_up\" needs \"expect_restore\"";
  }
  if (spec.fail_policy == FailPolicy::kOpen && !spec.emergency) {
    return "\"fail\": \"open\" needs \"emergency\", the ruleset that holds "
           "then: a filter never passes everything";
  }
  if (spec.fail_policy == FailPolicy::kClosed && spec.emergency) {
    return "parameter \"emergency\" needs \"fail\": \"open\"";
  }
  return "";
}

// The snapshot that came with the call; false: there is none that can be read
// again and again, and that was answered.
bool TakeSnapshot(Call& call, FilterSpec* spec) {
  UniqueFd file = call.TakeDescriptor();
  struct stat status;
  if (!file.valid() || ::fstat(file.get(), &status) != 0 ||
      !S_ISREG(status.st_mode)) {
    call.Error(RpcError::kInvalidParams,
               "with \"snapshot\" a descriptor of a plain file has to come "
               "with the request");
    return false;
  }
  spec->snapshot = std::make_shared<UniqueFd>(std::move(file));
  spec->snapshot_name = std::exchange(spec->source, "");
  return true;
}

Action ParseCreate(Params& params) {
  FilterSpec spec;
  bool fail_open = false;
  params.Name("filter", kMaxFilterName, &spec.name, Params::Need::kRequired);
  params.Names("ports", kMaxPortsOfFilter, kMaxPortName, &spec.ports,
               Params::Need::kRequired);
  spec.ruleset = ReadRuleset(params, "ruleset");
  params.Bool("expect_restore", &spec.expect_restore);
  params.String("source", kMaxFilePath, &spec.source);
  bool snapshot = false;
  params.Bool("snapshot", &snapshot);
  params.Name("from_filter", kMaxFilterName, &spec.from_filter);
  std::optional<uint64_t> give_up;
  params.Number("restore_give_up", kMaxGiveUp, &give_up);
  if (give_up) spec.restore_give_up = static_cast<uint32_t>(*give_up);
  params.Choice("fail", "closed", "open", &fail_open);
  spec.emergency = ReadRuleset(params, "emergency");
  params.Bool("bypass_hold", &spec.bypass_hold);
  if (fail_open) spec.fail_policy = FailPolicy::kOpen;
  return [spec = std::move(spec),
          snapshot](std::shared_ptr<Call> call) mutable {
    if (snapshot && !TakeSnapshot(*call, &spec)) return;
    if (const std::string_view wrong = WrongSpec(spec); !wrong.empty()) {
      return call->Error(RpcError::kInvalidParams, wrong);
    }
    for (std::optional<LoadRequest>* request :
         {&spec.ruleset, &spec.emergency}) {
      if (!*request) continue;
      (*request)->uid = call->peer().uid;
      (*request)->pid = call->peer().pid;
    }
    const std::string name = spec.name;
    Call::RunJob<LoadResult>(
        call,
        [spec = std::move(spec)](Call& c) mutable {
          return c.directory().BeginCreateFilter(std::move(spec));
        },
        [name](Call& c, absl::StatusOr<LoadResult> result) {
          if (AnswerFailedLoad(c, result, "the filter was not made")) return;
          LogWarning("control: uid {} pid {}: filter {} created, {} rules",
                       c.peer().uid, c.peer().pid, name, result->rules);
          c.Result(LoadToJson(*result));
        });
  };
}

Action ParseChange(Params& params) {
  FilterChange change;
  params.Name("filter", kMaxFilterName, &change.name, Params::Need::kRequired);
  std::vector<std::string> ports;
  params.Names("ports", kMaxPortsOfFilter, kMaxPortName, &ports);
  if (!ports.empty()) change.ports = std::move(ports);
  std::string fail;
  params.String("fail", kMaxPortName, &fail);
  if (!fail.empty()) {
    change.fail_policy =
        fail == "open" ? FailPolicy::kOpen : FailPolicy::kClosed;
  }
  params.Bool("bypass_hold", &change.bypass_hold);
  return [change = std::move(change), fail](std::shared_ptr<Call> call) {
    if (!fail.empty() && fail != "open" && fail != "closed") {
      return call->Error(RpcError::kInvalidParams,
                         "parameter \"fail\" must be \"closed\" or \"open\"");
    }
    if (!change.ports && !change.fail_policy && !change.bypass_hold) {
      return call->Error(RpcError::kInvalidParams,
                         "say what to change: \"ports\", \"fail\" or "
                         "\"bypass_hold\"; the rest of a filter is fixed when "
                         "it is made");
    }
    call->directory().ChangeFilter(
        change, [call](absl::Status status) { call->StatusOnly(status); });
  };
}

Action ParseDestroy(Params& params) {
  std::string name;
  params.Name("filter", kMaxFilterName, &name, Params::Need::kRequired);
  return [name](std::shared_ptr<Call> call) {
    call->directory().DestroyFilter(name, [call, name](absl::Status status) {
      if (status.ok()) {
        LogWarning("control: uid {} pid {}: filter {} destroyed",
                     call->peer().uid, call->peer().pid, name);
      }
      call->StatusOnly(status);
    });
  };
}

Action ParseListFilters(Params& params) {
  std::string cursor;
  size_t limit = kFiltersAPage;
  params.Name("cursor", kMaxFilterName, &cursor);
  params.PageSize("limit", kFiltersAPage, &limit);
  return [cursor, limit](std::shared_ptr<Call> call) {
    // One more than the page, to know whether there are more.
    std::vector<FilterListing> filters =
        call->directory().Filters(cursor, limit + 1);
    const bool more = filters.size() > limit;
    if (more) filters.resize(limit);
    json list = json::array();
    for (const FilterListing& filter : filters) list.push_back(ToJson(filter));
    json result = {{"filters", std::move(list)}};
    if (more) result["next"] = filters.back().name;
    call->Result(std::move(result));
  };
}

Action ParseShow(Params&) {
  return [](std::shared_ptr<Call> call) {
    const absl::StatusOr<FilterListing> filter =
        call->directory().Filter(call->filter_name());
    if (!filter.ok()) return call->Error(filter.status());
    call->Result(ToJson(*filter));
  };
}

}  // namespace

const std::vector<Method> kFilterMethods = {
    {"filter.change", ParseChange, Access::kAdmin, /*asks_filter=*/false},
    {"filter.create", ParseCreate, Access::kAdmin, /*asks_filter=*/false},
    {"filter.destroy", ParseDestroy, Access::kAdmin, /*asks_filter=*/false},
    {"filter.list", ParseListFilters, Access::kRead, /*asks_filter=*/false},
    {"filter.show", ParseShow, Access::kRead},
};

}  // namespace sluice
