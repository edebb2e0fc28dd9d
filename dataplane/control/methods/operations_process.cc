// The method that shows the process: process.show.
#include <memory>
#include <string>
#include <utility>

#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kMaxLogWord = 128;

json ToJson(const WorkerListing& worker) {
  json value = {{"worker", worker.worker},
                {"stalled", worker.stalled},
                {"rounds", worker.rounds},
                {"idle_rounds", worker.idle_rounds},
                {"received", worker.received},
                {"handed_out", worker.handed_out},
                {"handed_in", worker.handed_in},
                {"orphans", worker.orphans},
                {"states", worker.states}};
  if (worker.time) value["time_us"] = *worker.time;
  if (worker.busy) value["busy_us"] = *worker.busy;
  return value;
}

json OrdersToJson(const Operations& operations) {
  json orders = json::array();
  for (const auto& [method, counts] : operations.orders()) {
    json order = {{"method", method},
                  {"done", counts.done},
                  {"failed", counts.failed}};
    if (counts.changes > 0) {
      order["changes"] = counts.changes;
      order["build_us"] = counts.build;
      order["publish_us"] = counts.publish;
      order["longest_publish_us"] = counts.longest_publish;
    }
    orders.push_back(std::move(order));
  }
  return orders;
}

json ListingToJson(const ProcessListing& listing, const Operations& operations) {
  json workers = json::array();
  for (const WorkerListing& worker : listing.workers) {
    workers.push_back(ToJson(worker));
  }
  json phases = json::array();
  for (const StateCount::OfPhase& phase : listing.phases) {
    phases.push_back({{"protocol", phase.protocol},
                      {"phase", phase.phase},
                      {"states", phase.states}});
  }
  json result = {
      {"workers", std::move(workers)},
      {"mbufs", {{"size", listing.mbufs}, {"in_use", listing.mbufs_in_use}}},
      {"phases", std::move(phases)},
      {"orders", OrdersToJson(operations)}};
  if (listing.packet_log) {
    result["packet_log"] = {{"written", listing.packet_log->written},
                            {"suppressed", listing.packet_log->suppressed},
                            {"lost", listing.packet_log->lost}};
  }
  return result;
}

Action ParseShowProcess(Params&) {
  return [](std::shared_ptr<Call> call) {
    if (call->process() == nullptr) {
      return call->Result(ListingToJson({}, call->operations()));
    }
    call->process()->Show([call](absl::StatusOr<ProcessListing> listing) {
      if (!listing.ok()) return call->Error(listing.status());
      call->Result(ListingToJson(*listing, call->operations()));
    });
  };
}

Action ParseLogLevel(Params& params) {
  std::string level, module;
  params.String("level", kMaxLogWord, &level, Params::Need::kRequired);
  params.String("module", kMaxLogWord, &module);
  return [level, module](std::shared_ptr<Call> call) {
    call->StatusOnly(call->process() == nullptr
                         ? absl::FailedPreconditionError("nothing is logged")
                         : call->process()->SetLogLevel(level, module));
  };
}

}  // namespace

const std::vector<Method> kProcessMethods = {
    {"log.level", ParseLogLevel, Access::kAdmin, /*asks_filter=*/false},
    {"process.show", ParseShowProcess, Access::kRead, /*asks_filter=*/false},
};

}  // namespace sluice
