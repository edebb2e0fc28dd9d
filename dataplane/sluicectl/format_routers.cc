// Routers, their routes and neighbours, as people read them. Routes and
// neighbours are written as iproute2 writes them.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

std::string Hop(const json& hop) {
  const std::string gateway = Text(hop, "gateway");
  return absl::StrCat(gateway.empty() ? "" : absl::StrCat("via ", gateway, " "),
                      "dev ", Text(hop, "port"));
}

uint64_t Limited(const json& port) {
  const json& limited = Member(port, "limited");
  return Number(limited, "arp") + Number(limited, "discovery") +
         Number(limited, "other");
}

}  // namespace

std::string FormatRouterTitle() {
  return absl::StrFormat("%-15s %-15s %5s %10s %10s %12s %12s %8s\n", "ROUTER",
                         "NETNS", "PORTS", "ROUTES", "NEIGHBORS", "TO HOST",
                         "FROM HOST", "DROPPED");
}

std::string FormatRouterLine(const json& router) {
  uint64_t to_host = 0, from_host = 0, dropped = 0;
  for (const json& port : Member(router, "ports")) {
    to_host += Number(port, "to_host");
    from_host += Number(port, "from_host");
    dropped += Limited(port) + Number(port, "refused") + Number(port, "lost");
  }
  const std::string netns = Text(router, "netns");
  return absl::StrFormat("%-15s %-15s %5d %10d %10d %12d %12d %8d\n",
                         Text(router, "name"), netns.empty() ? "-" : netns,
                         Member(router, "ports").size(),
                         Number(router, "routes"), Number(router, "neighbors"),
                         to_host, from_host, dropped);
}

std::string FormatRouter(const json& router) {
  const std::string netns = Text(router, "netns");
  std::string text = absl::StrFormat(
      "router %s\n"
      "  network namespace   %s\n"
      "  routes              %d of %d, %s\n"
      "  neighbors           %d of %d\n"
      "  memory              %d bytes\n"
      "  neighbors asked for %d\n"
      "  read of the kernel  %d times, %d because news were lost\n"
      "  not followed        %d routes; beyond the limits %d\n",
      Text(router, "name"), netns.empty() ? "the process's own" : netns,
      Number(router, "routes"), Number(router, "max_routes"),
      Truth(router, "synced") ? "as the kernel has them" : "being read",
      Number(router, "neighbors"), Number(router, "max_neighbors"),
      Number(router, "memory"), Number(router, "questions"),
      Number(router, "dumps"), Number(router, "lost_events"),
      Number(router, "skipped"), Number(router, "refused"));
  for (const json& port : Member(router, "ports")) {
    std::string addresses;
    for (const json& address : Member(port, "addresses")) {
      absl::StrAppend(&addresses, " ", address.get<std::string>());
    }
    const json& limited = Member(port, "limited");
    absl::StrAppend(&text, absl::StrFormat(
        "  port %s: interface %s, %s\n"
        "    addresses        %s\n"
        "    to the kernel    %d, %d refused; too many: %d ARP, %d discovery, "
        "%d others\n"
        "    from the kernel  %d, %d lost\n",
        Text(port, "port"), Text(port, "tap"),
        !Truth(port, "present")   ? "taken away"
        : Truth(port, "carrier") ? "up"
                                 : "no carrier",
        addresses.empty() ? " none" : addresses, Number(port, "to_host"),
        Number(port, "refused"), Number(limited, "arp"),
        Number(limited, "discovery"), Number(limited, "other"),
        Number(port, "from_host"), Number(port, "lost")));
  }
  return text;
}

std::string FormatRoute(const json& route) {
  const std::string type = Text(route, "type");
  std::string prefix = Text(route, "prefix");
  if (prefix == "0.0.0.0/0" || prefix == "::/0") prefix = "default";
  std::string text =
      type == "forward" ? prefix : absl::StrCat(type, " ", prefix);
  const json& hops = Member(route, "hops");
  if (hops.size() == 1) {
    absl::StrAppend(&text, " ", Hop(hops[0]));
  } else {
    for (const json& hop : hops) {
      absl::StrAppend(&text, "\n        nexthop ", Hop(hop), " weight ",
                      Number(hop, "weight"));
    }
  }
  return absl::StrCat(text, "\n");
}

std::string FormatNeighbor(const json& neighbor) {
  const std::string mac = Text(neighbor, "mac");
  return absl::StrCat(Text(neighbor, "address"), " dev ",
                      Text(neighbor, "port"),
                      mac.empty() ? "" : absl::StrCat(" lladdr ", mac), " ",
                      Text(neighbor, "state"), "\n");
}

}  // namespace sluice
