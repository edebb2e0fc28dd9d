// The commands in words: routers.
#include <string>
#include <utility>

#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

bool Tool::ShowRouter() {
  const auto result =
      Ask("router.show", {{"router", arguments_.command->name}});
  if (result == nullptr) return false;
  output_.Put("router.show", *result);
  output_.Print(FormatRouter(*result));
  return true;
}

bool Tool::ShowRoutes() {
  const Command& c = *arguments_.command;
  json params = {{"router", c.name}};
  if (!c.family.empty()) params["family"] = c.family;
  if (!c.prefix.empty()) params["prefix"] = c.prefix;
  return List("router.routes", std::move(params), "routes",
              [this](const json& route, const json&) {
                output_.Print(FormatRoute(route));
              });
}

bool Tool::ShowNeighbors() {
  return List("router.neighbors", {{"router", arguments_.command->name}},
              "neighbors", [this](const json& neighbor, const json&) {
                output_.Print(FormatNeighbor(neighbor));
              });
}

}  // namespace sluice
