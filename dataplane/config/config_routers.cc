// The section [[router]], and the interfaces by which the kernel has its ports.
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/config/config_ports.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 5> kRouterKeys = {
    "name", "ports", "netns", "max_routes", "max_neighbors"};

}  // namespace

void PortSections::ReadTap(const toml::table& table, PortConfig* port) {
  if (!reader_->String(table, "tap", &port->tap)) return;
  const toml::source_region& place = table.get("tap")->source();
  tap_places_[static_cast<uint16_t>(port_places_.size() - 1)] = place;
  if (IsTapName(port->tap)) return;
  reader_->Error(
      place, absl::StrCat("the kernel's interface cannot be named \"",
                          port->tap, "\""),
      absl::StrCat("use a letter, then letters, digits, '_', '-' and '.', at "
                   "most ",
                   kMaxTapName, " bytes"));
}

void PortSections::ReadRouters(const toml::table& root) {
  if (const toml::array* routers =
          reader_->Tables(root, "router", kMaxRouters)) {
    for (const toml::node& element : *routers) {
      RouterConfig router;
      ReadRouter(*element.as_table(), &router);
      config_->routers.push_back(std::move(router));
    }
  }
  CheckTaps();
}

void PortSections::ReadRouter(const toml::table& table, RouterConfig* router) {
  constexpr Holder kRouter = {
      .kind = "router",
      .name = "\"edge\"",
      .ports = "[\"lan\", \"wan\"], or ports = [] for those that are added "
               "later"};
  reader_->RefuseUnknownKeys(table, "[[router]]", kRouterKeys);
  ReadName(table, kRouter, config_->routers, &router->name);
  if (reader_->String(table, "netns", &router->netns)) {
    const toml::source_region& place = table.get("netns")->source();
    if (!IsNetns(router->netns)) {
      reader_->Error(place,
                     absl::StrCat("a network namespace cannot be named \"",
                                  router->netns, "\""),
                     "give the name of one that `ip netns list` shows, or the "
                     "absolute path of its file");
    }
    for (const RouterConfig& other : config_->routers) {
      if (other.netns.empty() ||
          NetnsPath(other.netns) != NetnsPath(router->netns)) {
        continue;
      }
      reader_->Error(place,
                     absl::StrCat("router '", other.name,
                                  "' already has the routes of ",
                                  "network namespace '", router->netns, "'"),
                     "give each router a network namespace of its own");
    }
  } else if (!table.contains("netns")) {
    for (const RouterConfig& other : config_->routers) {
      if (!other.netns.empty()) continue;
      reader_->Error(table.source(),
                     absl::StrCat("router '", other.name,
                                  "' already has the routes of this machine"),
                     "give all but one a network namespace of their own: "
                     "netns = \"blue\"");
    }
  }
  ReadPortNames(table, kRouter, router->name, &router->ports);
  reader_->Number(table, "max_routes", 1, kMaxRoutes, &router->max_routes);
  reader_->Number(table, "max_neighbors", 1, kMaxNeighbors,
                  &router->max_neighbors);
}

void PortSections::CheckTaps() {
  std::map<std::string, std::string, std::less<>> router_of;
  for (const RouterConfig& router : config_->routers) {
    // Interfaces of one namespace have names of their own.
    std::map<std::string, std::string, std::less<>> taken;
    for (const std::string& name : router.ports) {
      router_of[name] = router.name;
      const uint16_t index = by_name_.find(name)->second;
      const std::string& tap = config_->ports[index].tap_name();
      const auto [at, fresh] = taken.try_emplace(tap, name);
      if (fresh) continue;
      const auto place = tap_places_.find(index);
      reader_->Error(place != tap_places_.end() ? place->second
                                                : port_places_[index],
                     absl::StrCat("port '", name, "' and port '", at->second,
                                  "' would be one interface of the kernel, '",
                                  tap, "'"),
                     "give each port of a router a 'tap' of its own");
    }
  }
  for (const auto& [index, place] : tap_places_) {
    const std::string& name = config_->ports[index].name;
    if (router_of.contains(name)) continue;
    reader_->Error(place,
                   absl::StrCat("port '", name,
                                "' has a 'tap' and belongs to no router"),
                   "name it in the 'ports' of a [[router]], or remove 'tap'");
  }
}

}  // namespace sluice
