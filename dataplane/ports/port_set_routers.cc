// Routers: which ports belong to them, and where their packets go.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/ports/port_set.h"

namespace sluice {

absl::Status PortSet::DeclareRouter(const RouterConfig& config) {
  RouterEntry router = {.config = config,
                        .number = static_cast<uint16_t>(routers_.size()),
                        .tables = nullptr};
  if (routers_.size() >= kMaxRouters || !IsPortName(config.name) ||
      !routers_.try_emplace(config.name, std::move(router)).second) {
    return absl::InvalidArgumentError(absl::StrCat(
        "router ", config.name, ": there is one of that name, or too many"));
  }
  for (const std::string& port : config.ports) {
    Entry* const entry = Find(port);
    if (entry == nullptr || !entry->wire.empty() || !entry->segment.empty() ||
        !entry->router.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "router ", config.name, ": there is no port ", port,
          ", or it is on something else"));
    }
    entry->router = config.name;
  }
  return absl::OkStatus();
}

void PortSet::SetTables(const std::string& router,
                        std::shared_ptr<RoutingTables> tables) {
  routers_.find(router)->second.tables = std::move(tables);
}

absl::Status PortSet::CheckJoin(const std::string& router,
                                const std::string& port,
                                const std::string& tap) const {
  const auto found = routers_.find(router);
  if (found == routers_.end()) {
    return absl::NotFoundError(absl::StrCat(
        "port ", port, ": there is no router '", router,
        "'; `sluicectl router list` shows those that there are, and they are "
        "made in sluice.toml"));
  }
  for (const auto& [name, other] : entries_) {
    if (name != port && other.wire == port) {
      return absl::FailedPreconditionError(absl::StrCat(
          "router ", router, ": port ", name, " has a wire to ", port,
          ", and a port is on a wire or of a router; remove ", name,
          " and add it without --wire"));
    }
    if (name != port && other.router == router &&
        other.config.tap_name() == tap) {
      return absl::AlreadyExistsError(absl::StrCat(
          "router ", router, ": port ", name, " is the kernel's interface ",
          tap, " already; give another --tap"));
    }
  }
  const auto known = entries_.find(port);
  if (known == entries_.end()) return absl::OkStatus();
  const Entry& entry = known->second;
  if (!entry.segment.empty() || !entry.wire.empty() || !entry.router.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "router ", router, ": port ", port, " is on ",
        !entry.segment.empty() ? absl::StrCat("segment ", entry.segment)
        : !entry.wire.empty()  ? absl::StrCat("a wire to ", entry.wire)
                               : absl::StrCat("router ", entry.router),
        " already; remove it first"));
  }
  return absl::OkStatus();
}

absl::Status PortSet::Join(const std::string& router, const std::string& port) {
  Entry* const entry = Find(port);
  if (entry == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("router ", router, ": there is no port ", port));
  }
  if (absl::Status s = CheckJoin(router, port, entry->config.tap_name());
      !s.ok()) {
    return s;
  }
  entry->router = router;
  routers_.find(router)->second.config.ports.push_back(port);
  Publish();
  return absl::OkStatus();
}

// A router without tables forwards nothing yet: its ports are on nothing.
void PortSet::PublishRouters(Topology* next) const {
  for (const auto& [name, router] : routers_) {
    if (router.tables == nullptr) continue;
    if (next->routers.size() <= router.number) {
      next->routers.resize(router.number + size_t{1});
    }
    Router& of = next->routers[router.number];
    of.tables = router.tables;
    for (const std::string& port : router.config.ports) {
      const auto entry = entries_.find(port);
      if (entry == entries_.end() || entry->second.number == kNoPort) continue;
      of.ports.push_back(entry->second.number);
      next->ports[entry->second.number].router = router.number;
    }
  }
}

}  // namespace sluice
