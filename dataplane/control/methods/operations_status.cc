// Methods that show what the filter does and has: states.*, info.*,
// interfaces.*, timeouts.*, limits.*, control.*.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kMaxName = 1024;
constexpr size_t kStatesAPage = 512;
// The most that a sorted listing has: encoded in a few milliseconds.
constexpr size_t kSortedStates = 1000;
constexpr std::array<std::pair<std::string_view, StateOrder>, 4> kStateOrders =
    {{{"bytes", StateOrder::kBytes},
      {"packets", StateOrder::kPackets},
      {"age", StateOrder::kAge},
      {"rate", StateOrder::kRate}}};
// Of this description; a client refuses one that it does not know.
constexpr int kProtocolVersion = 1;

StateQuery ReadQuery(Params& params) {
  StateQuery query;
  std::optional<uint64_t> source_port, destination_port, protocol, rule,
      creator;
  params.String("interface", kMaxName, &query.interface);
  params.Vlan("vlan", &query.vlan);
  params.Prefix("source", &query.source);
  params.Prefix("destination", &query.destination);
  params.Bool("translated", &query.translated);
  params.Number("source_port", UINT16_MAX, &source_port);
  params.Number("destination_port", UINT16_MAX, &destination_port);
  params.Number("protocol", UINT8_MAX, &protocol);
  params.Direction("direction", &query.direction);
  params.String("label", kMaxName, &query.label);
  params.Number("rule", UINT32_MAX, &rule);
  params.Hex("id", 16, &query.id);
  params.Hex("creator", 8, &creator);
  std::optional<uint64_t> port;
  params.Prefix("host", &query.host);
  params.Number("port", UINT16_MAX, &port);
  params.String("tag", kMaxName, &query.tag);
  params.Number("min_age", UINT32_MAX, &query.min_age);
  params.Number("max_age", UINT32_MAX, &query.max_age);
  params.Helper("helper", &query.helper);
  params.Prefix("gateway", &query.gateway);
  query.port = Narrow<uint16_t>(port);
  query.source_port = Narrow<uint16_t>(source_port);
  query.destination_port = Narrow<uint16_t>(destination_port);
  query.protocol = Narrow<uint8_t>(protocol);
  query.rule = Narrow<uint32_t>(rule);
  query.creator_id = Narrow<uint32_t>(creator);
  return query;
}

bool IsEverything(const StateQuery& query) {
  return query.interface.empty() && !query.vlan && !query.source &&
         !query.destination &&
         !query.translated &&
         !query.source_port && !query.destination_port && !query.protocol &&
         !query.direction && query.label.empty() && !query.rule && !query.id &&
         !query.creator_id && !query.host && !query.port &&
         query.tag.empty() && !query.min_age && !query.max_age && !query.helper &&
         !query.gateway;
}

json ToJsonList(const std::vector<StateListing>& listings) {
  json states = json::array();
  for (const StateListing& s : listings) states.push_back(ToJson(s));
  return states;
}

// The first of all by a measure, at once: there are no pages of them.
void ShowTop(const std::shared_ptr<Call>& call, const StateQuery& query,
             StateOrder order, size_t limit) {
  auto done = [call](absl::StatusOr<std::vector<StateListing>> states) {
    if (!states.ok()) return call->Error(states.status());
    call->Result({{"states", ToJsonList(*states)}});
  };
  call->filter()->States().TopStates(query, order, limit, std::move(done));
}

Action ParseShowStates(Params& params) {
  StateQuery query = ReadQuery(params);
  std::string cursor, sort;
  std::optional<uint64_t> most;
  params.String("cursor", kMaxCursor, &cursor);
  params.String("sort", kMaxName, &sort);
  params.Number("limit", 1, UINT32_MAX, &most);
  std::optional<StateOrder> order;
  for (const auto& [word, meant] : kStateOrders) {
    if (word == sort) order = meant;
  }
  const size_t page = std::min<uint64_t>(most.value_or(UINT32_MAX),
                                         order ? kSortedStates : kStatesAPage);
  return [=](std::shared_ptr<Call> call) {
    if (!sort.empty()) {
      if (!order) {
        return call->Error(RpcError::kInvalidParams,
                           "parameter \"sort\" must be \"bytes\", "
                           "\"packets\", \"age\" or \"rate\"");
      }
      if (!cursor.empty()) {
        return call->Error(RpcError::kInvalidParams,
                           "parameter \"cursor\" does not go with \"sort\": "
                           "a sorted listing has one page");
      }
      return ShowTop(call, query, *order, page);
    }
    const size_t limit = page;
    call->filter()->States().ListStates(
        query, cursor, limit, [call](absl::StatusOr<StateSlice> slice) {
          if (!slice.ok()) return call->Error(slice.status());
          json result = {{"states", ToJsonList(slice->states)}};
          if (!slice->next.empty()) result["next"] = slice->next;
          call->Result(std::move(result));
        });
  };
}

Action ParseCountStates(Params& params) {
  return [query = ReadQuery(params)](std::shared_ptr<Call> call) {
    auto done = [call](absl::StatusOr<StateCount> count) {
      if (!count.ok()) return call->Error(count.status());
      json phases = json::array();
      for (const StateCount::OfPhase& phase : count->phases) {
        phases.push_back({{"protocol", phase.protocol},
                          {"phase", phase.phase},
                          {"states", phase.states}});
      }
      call->Result({{"states", count->states},
                    {"packets", count->packets},
                    {"bytes", count->bytes},
                    {"phases", std::move(phases)}});
    };
    call->filter()->States().CountStates(query, std::move(done));
  };
}

void Kill(const std::shared_ptr<Call>& call, const StateQuery& query) {
  auto done = [call](absl::StatusOr<uint64_t> killed) {
    if (!killed.ok()) return call->Error(killed.status());
    LogInfo("control: uid {} pid {}: filter {}: {} states killed",
                 call->peer().uid, call->peer().pid, call->filter_name(),
                 *killed);
    call->Result({{"killed", *killed}});
  };
  call->filter()->States().KillStates(query, std::move(done));
}

Action ParseKillStates(Params& params) {
  return [query = ReadQuery(params)](std::shared_ptr<Call> call) {
    if (IsEverything(query)) {
      return call->Error(RpcError::kInvalidParams,
                         "say which states: to kill all is another order");
    }
    Kill(call, query);
  };
}

Action ParseFlushStates(Params& params) {
  StateQuery query;
  params.String("interface", kMaxName, &query.interface);
  return [query](std::shared_ptr<Call> call) { Kill(call, query); };
}

Action ParseShowSources(Params& params) {
  std::string cursor;
  size_t limit = kStatesAPage;
  params.String("cursor", kMaxCursor, &cursor);
  params.PageSize("limit", kStatesAPage, &limit);
  return [=](std::shared_ptr<Call> call) {
    // What states have counted is their sources', too.
    call->filter()->States().CollectCounters([=] {
      FilterControl* const filter = call->filter();
      if (filter == nullptr) return;
      const absl::StatusOr<SourceSlice> slice =
          filter->States().ListSources(cursor, limit);
      if (!slice.ok()) return call->Error(slice.status());
      json sources = json::array();
      for (const SourceListing& source : slice->sources) {
        sources.push_back(ToJson(source));
      }
      json result = {{"sources", std::move(sources)}};
      if (!slice->next.empty()) result["next"] = slice->next;
      call->Result(std::move(result));
    });
  };
}

Action ParseShowLimiters(Params&) {
  return [](std::shared_ptr<Call> call) {
    json limiters = json::array();
    for (const LimiterListing& limiter :
         call->filter()->States().ListLimiters()) {
      limiters.push_back(ToJson(limiter));
    }
    call->Result({{"limiters", std::move(limiters)}});
  };
}

Action ParseKillSources(Params& params) {
  std::optional<Prefix> source, target;
  params.Prefix("source", &source);
  params.Prefix("target", &target);
  return [=](std::shared_ptr<Call> call) {
    if (!source && !target) {
      return call->Error(RpcError::kInvalidParams,
                         "say which sources: to kill all is another order");
    }
    const uint64_t killed =
        call->filter()->States().KillSources(source, target);
    call->Result({{"killed", killed}});
  };
}

Action ParseFlushSources(Params&) {
  return [](std::shared_ptr<Call> call) {
    const uint64_t killed = call->filter()->States().KillSources({}, {});
    call->Result({{"killed", killed}});
  };
}

Action ParseShowInfo(Params& params) {
  bool exact = true;
  params.Bool("exact", &exact);
  return [exact](std::shared_ptr<Call> call) {
    const auto show = [call, exact] {
      FilterControl* const filter = call->filter();
      if (filter == nullptr) return;
      json result = ToJson(filter->Status().Info());
      // Only who looks at all states knows.
      if (!exact) result.erase("half_open_states");
      if (const TurnWatch* turns = call->turns()) {
        result["control"] = {{"longest_turn_us", turns->totals().longest / 1000},
                             {"operation", turns->totals().operation},
                             {"slow_turns", turns->totals().slow}};
      }
      call->Result(std::move(result));
    };
    exact ? call->filter()->States().CollectCounters(show) : show();
  };
}

Action ParseClearInfo(Params&) {
  return [](std::shared_ptr<Call> call) {
    call->filter()->Status().ClearInfo();
    call->Done();
  };
}

template <typename Listing>
json List(const std::vector<Listing>& listings) {
  json list = json::array();
  for (const Listing& l : listings) list.push_back(ToJson(l));
  return list;
}

Action ParseShowInterfaces(Params&) {
  return [](std::shared_ptr<Call> call) {
    call->Result({{"interfaces", List(call->filter()->Status().Interfaces())}});
  };
}

Action ParseShowTimeouts(Params&) {
  return [](std::shared_ptr<Call> call) {
    call->Result({{"timeouts", List(call->filter()->Status().Timeouts())}});
  };
}

Action ParseShowLimits(Params&) {
  return [](std::shared_ptr<Call> call) {
    call->Result({{"limits", List(call->filter()->Status().Limits())}});
  };
}

Action ParseVersion(Params&) {
  return [](std::shared_ptr<Call> call) {
    call->Result({{"program", "sluiced"},
                  {"version", SLUICE_VERSION},
                  {"protocol", kProtocolVersion}});
  };
}

}  // namespace

const std::vector<Method> kStatusMethods = {
    {"control.version", ParseVersion, Access::kRead, /*asks_filter=*/false},
    {"info.clear", ParseClearInfo, Access::kOperate},
    {"info.show", ParseShowInfo, Access::kRead},
    {"interfaces.show", ParseShowInterfaces, Access::kRead},
    {"limiters.show", ParseShowLimiters, Access::kRead},
    {"limits.show", ParseShowLimits, Access::kRead},
    {"sources.flush", ParseFlushSources, Access::kOperate},
    {"sources.kill", ParseKillSources, Access::kOperate},
    {"sources.show", ParseShowSources, Access::kRead},
    {"states.count", ParseCountStates, Access::kRead},
    {"states.flush", ParseFlushStates, Access::kOperate},
    {"states.kill", ParseKillStates, Access::kOperate},
    {"states.show", ParseShowStates, Access::kRead},
    {"timeouts.show", ParseShowTimeouts, Access::kRead},
};

}  // namespace sluice
