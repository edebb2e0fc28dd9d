#include "tests/scenarios/runner/scenario_routes.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "packet/link_address.h"
#include "tests/support/packet_words.h"

namespace sluice {
namespace {

absl::Status Wrong(const std::vector<std::string>& words,
                   absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("`", absl::StrJoin(words, " "), "`: ", what));
}

std::optional<uint16_t> PortNamed(const Scenario& scenario,
                                  const std::string& name) {
  for (size_t i = 0; i < scenario.ports.size(); ++i) {
    if (scenario.ports[i].name == name) return static_cast<uint16_t>(i);
  }
  return std::nullopt;
}

// The router of a port; none: the port is of none.
std::optional<size_t> RouterOf(const Scenario& scenario,
                               const std::string& port) {
  for (size_t i = 0; i < scenario.routers.size(); ++i) {
    const auto& ports = scenario.routers[i].ports;
    if (std::find(ports.begin(), ports.end(), port) != ports.end()) return i;
  }
  return std::nullopt;
}

std::optional<Prefix> PrefixOf(const Scenario& scenario,
                               const std::string& text) {
  if (text != "default") return ParsePrefix(text);
  Address zero;
  zero.family = scenario.family;
  return Prefix{.address = zero, .length = 0};
}

class RouteWords {
 public:
  RouteWords(const Scenario& scenario, const std::vector<std::string>& words,
             Simulation& simulation)
      : scenario_(scenario), words_(words), simulation_(simulation) {}

  absl::Status Apply() {
    if (scenario_.routers.empty()) return Wrong(words_, "there is no router");
    if (words_[0] == "route") return ApplyRoute();
    if (words_[0] == "neighbor") return ApplyNeighbor();
    return CheckAsked();
  }

 private:
  absl::Status ApplyRoute() {
    Route route;
    size_t at = 1;
    const auto next = [&] {
      return at < words_.size() ? words_[at++] : std::string();
    };
    std::string word = next();
    bool removes = false;
    for (const auto& [name, type] :
         {std::pair("blackhole", RouteType::kBlackhole),
          std::pair("unreachable", RouteType::kUnreachable),
          std::pair("prohibit", RouteType::kProhibit)}) {
      if (word == name) route.type = type;
    }
    if (word == "delete") removes = true;
    if (removes || route.type != RouteType::kForward) word = next();
    const std::optional<Prefix> prefix = PrefixOf(scenario_, word);
    if (!prefix) return Wrong(words_, "a prefix or `default` expected");
    route.prefix = *prefix;
    size_t router = 0;
    while (at < words_.size()) {
      word = next();
      if (word == "nexthop") {
        route.hops.emplace_back();
        continue;
      }
      if (route.hops.empty()) route.hops.emplace_back();
      NextHop& hop = route.hops.back();
      const std::string value = next();
      if (word == "via" && ParseAddress(value)) {
        hop.gateway = *ParseAddress(value);
      } else if (word == "dev" && RouterOf(scenario_, value)) {
        router = *RouterOf(scenario_, value);
        hop.port = *PortNamed(scenario_, value);
      } else if (word == "weight" && ParseNumber(value)) {
        hop.weight = static_cast<uint8_t>(*ParseNumber(value));
      } else {
        return Wrong(words_, "via ADDRESS, dev PORT, weight N expected");
      }
    }
    RoutingTables& tables = simulation_.tables(router);
    if (!removes) return tables.SetRoute(route);
    return tables.RemoveRoute(route.prefix)
               ? absl::OkStatus()
               : Wrong(words_, "there is no such route");
  }

  absl::Status ApplyNeighbor() {
    const auto usage = [&] {
      return Wrong(words_,
                   "neighbor PORT ADDRESS lladdr MAC|failed|incomplete|delete");
    };
    if (words_.size() < 4) return usage();
    const auto router = RouterOf(scenario_, words_[1]);
    const auto address = ParseAddress(words_[2]);
    if (!router || !address) return usage();
    const uint16_t port = *PortNamed(scenario_, words_[1]);
    RoutingTables& tables = simulation_.tables(*router);
    const std::string& what = words_[3];
    if (what == "lladdr" && words_.size() == 5) {
      const auto mac = ParseLinkAddress(words_[4]);
      if (!mac) return usage();
      MacAddress bytes;
      for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<uint8_t>(mac->value >> 8 * i);
      }
      return tables.SetNeighbor(port, *address, NeighborState::kKnown, bytes);
    }
    if (words_.size() != 4) return usage();
    if (what == "failed") {
      return tables.SetNeighbor(port, *address, NeighborState::kFailed, {});
    }
    if (what == "incomplete") {
      return tables.SetNeighbor(port, *address, NeighborState::kPending, {});
    }
    if (what != "delete") return usage();
    return tables.RemoveNeighbor(port, *address)
               ? absl::OkStatus()
               : Wrong(words_, "there is no such neighbour");
  }

  absl::Status CheckAsked() {
    std::vector<std::string> asked;
    for (const NeighborQuestion& question : simulation_.TakeQuestions()) {
      asked.push_back(scenario_.ports[question.port].name);
      asked.push_back(ToString(question.address));
    }
    const std::vector<std::string> expected(words_.begin() + 1, words_.end());
    if (asked == expected) return absl::OkStatus();
    return Wrong(words_, absl::StrCat("asked was for: ",
                                      absl::StrJoin(asked, " ")));
  }

  const Scenario& scenario_;
  const std::vector<std::string>& words_;
  Simulation& simulation_;
};

}  // namespace

absl::Status BeginRouters(const Scenario& scenario, Simulation& simulation) {
  for (size_t i = 0; i < scenario.routers.size(); ++i) {
    RoutingTables& tables = simulation.tables(i);
    for (const std::string& name : scenario.routers[i].ports) {
      const uint16_t port = *PortNamed(scenario, name);
      const std::vector<Prefix>& addresses = scenario.ports[port].addresses;
      tables.SetAddresses(port, addresses);
      for (const Prefix& prefix : addresses) {
        absl::Status set = tables.SetRoute(
            {.prefix = prefix.Masked(), .hops = {{.port = port}}});
        if (!set.ok()) return set;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyRouteWords(const Scenario& scenario,
                             const std::vector<std::string>& words,
                             Simulation& simulation) {
  return RouteWords(scenario, words, simulation).Apply();
}

}  // namespace sluice
