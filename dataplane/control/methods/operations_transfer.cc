// Methods of transfers: state.export, state.import, restore.metrics,
// restore.status.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"
#include "restore/hold_queue.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, kRequestSourceCount> kSourceNames = {
    "packet", "enable", "order"};

json ToJson(const TransferTime& time) {
  return {{"longest_step_ns", time.longest_step},
          {"busiest_worker_ns", time.busiest}};
}

json ToJson(const RestoreReport& report) {
  return {{"states_imported", report.states_imported},
          {"states_merged", report.states_merged},
          {"states_orphaned", report.states_orphaned},
          {"states_refused", report.states_refused},
          {"tables", report.tables},
          {"rules", report.rules}};
}

// With the report only where something was committed.
json EndToJson(const RestoreAnswer& answer) {
  json result = ToJson(answer);
  if (answer.code != RestoreCode::kRestored &&
      answer.code != RestoreCode::kAlreadyApplied) {
    result.erase("report");
  }
  return result;
}

json ToJson(const TimeHistogram& histogram) {
  json buckets = json::array();
  for (const uint64_t count : histogram.buckets) buckets.push_back(count);
  return {{"count", histogram.count},
          {"sum_us", histogram.sum},
          {"longest_us", histogram.longest},
          {"buckets", std::move(buckets)}};
}

// The transfers and the descriptor of a call, or null, and that was answered.
TransferControl* Need(Call& call, UniqueFd* descriptor) {
  if (call.transfer() == nullptr) {
    call.Error(RpcError::kRefused, "this daemon transfers no states");
    return nullptr;
  }
  if (descriptor == nullptr) return call.transfer();
  *descriptor = call.TakeDescriptor();
  if (descriptor->valid()) return call.transfer();
  call.Error(RpcError::kInvalidParams,
             "a descriptor has to come with the request: a file or a pipe");
  return nullptr;
}

TransferClient ClientOf(const Call& call) {
  return {.uid = static_cast<uint32_t>(call.peer().uid),
          .connection = call.peer().connection};
}

Action ParseExport(Params&) {
  return [](std::shared_ptr<Call> call) {
    UniqueFd out;
    TransferControl* const transfer = Need(*call, &out);
    if (transfer == nullptr) return;
    transfer->Export(
        call->filter_name(), std::move(out), ClientOf(*call),
        [call](absl::StatusOr<ExportReport> report) {
          if (!report.ok()) return call->Error(report.status());
          json result = ToJson(report->time);
          result.update({{"snapshot", Hex(report->id)},
                         {"bytes", report->bytes},
                         {"generation", report->generation},
                         {"states", report->states},
                         {"expectations", report->expectations},
                         {"no_sync", report->no_sync},
                         {"not_portable", report->not_portable},
                         {"ties_cut", report->ties_cut},
                         {"duration_us", report->duration}});
          call->Result(std::move(result));
        });
  };
}

Action ParseImport(Params& params) {
  std::optional<uint64_t> replace;
  bool drop = false;
  bool policy = false;
  params.Number("replace", UINT64_MAX, &replace);
  params.Choice("orphans", "keep", "drop", &drop);
  params.Bool("policy", &policy);
  std::string from;
  params.Name("from_filter", kMaxFilterName, &from);
  return [replace, drop, policy, from](std::shared_ptr<Call> call) {
    ImportRequest request;
    TransferControl* const transfer = Need(*call, &request.snapshot);
    if (transfer == nullptr) return;
    request.filter = call->filter_name();
    request.client = ClientOf(*call);
    request.replace_generation = replace;
    request.keep_orphans = !drop;
    request.policy = policy;
    request.from_filter = from;
    transfer->Import(std::move(request),
                     [call](absl::StatusOr<ImportReport> report) {
                       if (!report.ok()) return call->Error(report.status());
                       LogInfo("filter {}: import: {}",
                                    call->filter_name(),
                                    Name(report->answer.code));
                       json result = EndToJson(report->answer);
                       result["joined"] = report->joined;
                       result.update(ToJson(report->time));
                       call->Result(std::move(result));
                     });
  };
}

json ToJson(const RestoreListing& listing) {
  json result = {{"filter", listing.filter},
                 {"incarnation", listing.status.incarnation},
                 {"state", Name(listing.status.state)},
                 {"attempt", listing.status.attempt},
                 {"enabled", listing.status.enabled()},
                 {"expects", listing.status.expects()},
                 {"fail", listing.fail_closed ? "closed" : "open"},
                 {"snapshot_required", listing.snapshot_required}};
  if (!listing.source.empty()) {
    result["source"] = listing.source;
    result["in_folder"] = listing.in_folder;
  }
  const RestoreWait& wait = listing.wait;
  result["give_up_ms"] = wait.give_up / 1000;
  if (wait.awaits != RestoreAwaits::kNothing) {
    json waits = {{"for", Name(wait.awaits)}};
    if (wait.awaits == RestoreAwaits::kRetry) {
      waits["in_ms"] = wait.deadline / 1000;
    } else if (wait.deadline != 0) {
      waits["quiet_ms"] = wait.quiet / 1000;
      waits["deadline_ms"] = wait.deadline / 1000;
    }
    if (listing.status.under_way()) {
      waits["gives_up_in_ms"] = wait.until_give_up / 1000;
    }
    if (wait.failure != RestoreFailure::kNone) {
      waits["failed_before"] = {{"failure", Name(wait.failure)},
                                {"detail", wait.detail}};
    }
    result["waits"] = std::move(waits);
  }
  if (listing.last.has_value()) {
    json last = EndToJson(*listing.last);
    last.update(ToJson(listing.time));
    last["ended"] = listing.ended;
    result["last"] = std::move(last);
  }
  return result;
}

Action ParseStatus(Params& params) {
  std::string filter;
  params.Name("filter", kMaxFilterName, &filter);
  return [filter](std::shared_ptr<Call> call) {
    TransferControl* const transfer = Need(*call, nullptr);
    if (transfer == nullptr) return;
    const absl::StatusOr<std::vector<RestoreListing>> listings =
        transfer->Restores(filter);
    if (!listings.ok()) return call->Error(listings.status());
    json list = json::array();
    for (const RestoreListing& listing : *listings) {
      list.push_back(ToJson(listing));
    }
    const RestoreLimits limits = transfer->Limits();
    call->Result({{"restores", std::move(list)},
                  {"limits",
                   {{"queue_ms", limits.queue / 1000},
                    {"validate_ms", limits.validate / 1000},
                    {"commit_ms", limits.commit / 1000},
                    {"give_up_ms", limits.give_up / 1000},
                    {"hold_ms", kMaxHoldTime}}}});
  };
}

template <size_t kSize, typename NameOf>
json ByName(const std::array<uint64_t, kSize>& counts, size_t first,
            NameOf name_of) {
  json result = json::object();
  for (size_t i = first; i < kSize; ++i) {
    result[std::string(name_of(i))] = counts[i];
  }
  return result;
}

json ToJson(const TransferMetrics& metrics) {
  const RestoreMetrics& queue = metrics.queue;
  const auto state_name = [](size_t i) {
    return Name(static_cast<RestoreState>(i));
  };
  return {
      {"requests",
       ByName(queue.requests, 0, [](size_t i) { return kSourceNames[i]; })},
      {"started", queue.started},
      {"joined", queue.joined},
      {"late_duplicates", queue.late_duplicates},
      {"stale", queue.stale},
      {"conflicts", queue.conflicts},
      {"busy", queue.busy},
      {"replaced", queue.replaced},
      {"retries", queue.retries},
      {"commits", queue.commits},
      {"ends", ByName(queue.ends,
                      static_cast<size_t>(RestoreState::kRestored),
                      state_name)},
      {"failures", ByName(queue.failures, 1,
                          [](size_t i) {
                            return Name(static_cast<RestoreFailure>(i));
                          })},
      {"fail_closed", queue.fail_closed},
      {"fail_open", queue.fail_open},
      {"disables_deferred", queue.disables_deferred},
      {"filters", ByName(metrics.filters, 0, state_name)},
      {"queue_time", ToJson(queue.queue_time)},
      {"validate_time", ToJson(queue.validate_time)},
      {"commit_time", ToJson(queue.commit_time)},
      {"total_time", ToJson(queue.total_time)},
      {"report", ToJson(queue.report)},
      {"exports", metrics.exports},
      {"exports_failed", metrics.exports_failed},
      {"exported_states", metrics.exported_states},
      {"longest_step_ns", metrics.longest_step},
      {"transfers",
       {{"under_way", metrics.under_way},
        {"memory", metrics.transfer_bytes},
        {"over_limits", metrics.over_limits},
        {"too_slow", metrics.too_slow},
        {"abandoned", metrics.abandoned}}},
      {"state_directory",
       {{"saved",
         {{"policy", metrics.keep.policies_saved},
          {"states", metrics.keep.states_saved},
          {"filters", metrics.keep.manifests_saved}}},
        {"failed",
         {{"policy", metrics.keep.policies_failed},
          {"states", metrics.keep.states_failed},
          {"filters", metrics.keep.manifests_failed}}}}},
      {"hold",
       {{"held", metrics.held},
        {"waiting", metrics.waiting},
        {"replayed", metrics.replayed},
        {"bypassed", metrics.bypassed},
        {"dropped",
         {{"expired", metrics.dropped_expired},
          {"failed", metrics.dropped_failed},
          {"cancelled", metrics.dropped_cancelled}}},
        {"refused", metrics.refused},
        {"longest_ms", metrics.longest_hold}}}};
}

Action ParseMetrics(Params&) {
  return [](std::shared_ptr<Call> call) {
    TransferControl* const transfer = Need(*call, nullptr);
    if (transfer != nullptr) call->Result(ToJson(transfer->Metrics()));
  };
}

}  // namespace

const std::vector<Method> kTransferMethods = {
    {"restore.metrics", ParseMetrics, Access::kRead, /*asks_filter=*/false},
    {"restore.status", ParseStatus, Access::kRead, /*asks_filter=*/false},
    {"state.export", ParseExport, Access::kOperate},
    {"state.import", ParseImport, Access::kCommit},
};

}  // namespace sluice
