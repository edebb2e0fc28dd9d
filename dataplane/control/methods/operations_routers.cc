// Methods on routers: router.*.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kRoutersAPage = 16;
constexpr size_t kRoutesAPage = 1024;
constexpr size_t kNeighborsAPage = 1024;
// A prefix, or a port and an address.
constexpr size_t kMaxCursor = 64;

std::string ReadRouterName(Params& params) {
  std::string name;
  params.Name("router", kMaxPortName, &name, Params::Need::kRequired);
  return name;
}

json ToJson(const RouterPortListing& port) {
  return {{"port", port.port},
          {"tap", port.tap},
          {"present", port.present},
          {"carrier", port.carrier},
          {"addresses", port.addresses},
          {"to_host", port.to_host},
          {"from_host", port.from_host},
          {"limited",
           {{"arp", port.limited_arp},
            {"discovery", port.limited_discovery},
            {"other", port.limited_other}}},
          {"refused", port.refused},
          {"lost", port.lost},
          {"taken_away", port.taken_away}};
}

json ToJson(const RouterListing& router) {
  json ports = json::array();
  for (const RouterPortListing& port : router.ports) {
    ports.push_back(ToJson(port));
  }
  json value = {{"name", router.name},
                {"routes", router.routes},
                {"max_routes", router.max_routes},
                {"neighbors", router.neighbors},
                {"max_neighbors", router.max_neighbors},
                {"memory", router.memory},
                {"synced", router.synced},
                {"questions", router.questions},
                {"dumps", router.dumps},
                {"lost_events", router.lost_events},
                {"skipped", router.skipped},
                {"refused", router.refused},
                {"ports", std::move(ports)}};
  if (!router.netns.empty()) value["netns"] = router.netns;
  return value;
}

json ToJson(const RouteListing& route) {
  json hops = json::array();
  for (const RouteHopListing& hop : route.hops) {
    json value = {{"port", hop.port}, {"weight", hop.weight}};
    if (!hop.gateway.empty()) value["gateway"] = hop.gateway;
    hops.push_back(std::move(value));
  }
  return {{"prefix", route.prefix},
          {"type", route.type},
          {"hops", std::move(hops)}};
}

Action ParseListRouters(Params& params) {
  std::string cursor;
  size_t limit = kRoutersAPage;
  params.Name("cursor", kMaxPortName, &cursor);
  params.PageSize("limit", kRoutersAPage, &limit);
  return [cursor, limit](std::shared_ptr<Call> call) {
    std::vector<RouterListing> routers =
        call->directory().Routers(cursor, limit + 1);
    const bool more = routers.size() > limit;
    if (more) routers.resize(limit);
    json list = json::array();
    for (const RouterListing& router : routers) list.push_back(ToJson(router));
    json result = {{"routers", std::move(list)}};
    if (more) result["next"] = routers.back().name;
    call->Result(std::move(result));
  };
}

Action ParseShowRouter(Params& params) {
  return [name = ReadRouterName(params)](std::shared_ptr<Call> call) {
    absl::StatusOr<RouterListing> router = call->directory().Router(name);
    if (!router.ok()) return call->Error(router.status());
    call->Result(ToJson(*router));
  };
}

Action ParseRoutes(Params& params) {
  RouteQuery query;
  std::string family;
  query.limit = kRoutesAPage;
  query.router = ReadRouterName(params);
  params.Name("family", 5, &family);
  params.Prefix("prefix", &query.overlaps);
  params.String("cursor", kMaxCursor, &query.after);
  params.PageSize("limit", kRoutesAPage, &query.limit);
  if (family == "inet") query.family = Family::kIpv4;
  if (family == "inet6") query.family = Family::kIpv6;
  const bool wrong = !family.empty() && !query.family;
  return [query = std::move(query), wrong](std::shared_ptr<Call> call) {
    if (wrong) {
      return call->Error(RpcError::kInvalidParams,
                         "parameter \"family\" must be \"inet\" or \"inet6\"");
    }
    absl::StatusOr<RoutePage> page = call->directory().Routes(query);
    if (!page.ok()) return call->Error(page.status());
    json list = json::array();
    for (const RouteListing& route : page->routes) {
      list.push_back(ToJson(route));
    }
    json result = {{"routes", std::move(list)}};
    if (!page->next.empty()) result["next"] = std::move(page->next);
    call->Result(std::move(result));
  };
}

Action ParseNeighbors(Params& params) {
  std::string cursor;
  size_t limit = kNeighborsAPage;
  std::string name = ReadRouterName(params);
  params.String("cursor", kMaxCursor, &cursor);
  params.PageSize("limit", kNeighborsAPage, &limit);
  return [name, cursor, limit](std::shared_ptr<Call> call) {
    absl::StatusOr<RouterNeighborPage> page =
        call->directory().RouterNeighbors(name, cursor, limit);
    if (!page.ok()) return call->Error(page.status());
    json list = json::array();
    for (const RouterNeighborListing& neighbor : page->neighbors) {
      json value = {{"port", neighbor.port},
                    {"address", neighbor.address},
                    {"state", neighbor.state}};
      if (!neighbor.mac.empty()) value["mac"] = neighbor.mac;
      list.push_back(std::move(value));
    }
    json result = {{"neighbors", std::move(list)}};
    if (!page->next.empty()) result["next"] = std::move(page->next);
    call->Result(std::move(result));
  };
}

}  // namespace

const std::vector<Method> kRouterMethods = {
    {"router.list", ParseListRouters, Access::kRead, /*asks_filter=*/false},
    {"router.neighbors", ParseNeighbors, Access::kRead,
     /*asks_filter=*/false},
    {"router.routes", ParseRoutes, Access::kRead, /*asks_filter=*/false},
    {"router.show", ParseShowRouter, Access::kRead, /*asks_filter=*/false},
};

}  // namespace sluice
