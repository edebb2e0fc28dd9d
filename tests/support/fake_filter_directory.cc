#include "tests/support/fake_filter_directory.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/function_job.h"

namespace sluice {
namespace {

PortListing MakePort(const std::string& name, const std::string& wire) {
  PortListing port;
  port.name = name;
  port.filter = kMainFilterName;
  port.wire = wire;
  port.device = absl::StrCat("net_null_", name);
  port.driver = "net_null";
  port.mac = "00:00:5e:00:53:01";
  port.link_up = true;
  port.speed = 10000;
  port.incarnation = 1;
  port.rx_queues = 1;
  port.tx_queues = 1;
  return port;
}

absl::Status NoPort(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no port \"", std::string(name), "\""));
}

}  // namespace

FakeFilterDirectory::FakeFilterDirectory(FakeFilterControl* main)
    : main_(main) {
  main_listing.name = kMainFilterName;
  main_listing.status = {.incarnation = 1, .flags = kFilterEnabled};
  main_listing.loaded = true;
  ports = {{"inside", MakePort("inside", "outside")},
           {"outside", MakePort("outside", "inside")}};
}

void FakeFilterDirectory::Later(std::function<void()> call) {
  hold_done ? held.push_back(std::move(call)) : call();
}

FilterControl* FakeFilterDirectory::Find(std::string_view name) {
  if (name == kMainFilterName) return main_;
  const auto it = made.find(std::string(name));
  return it == made.end() ? nullptr : it->second.filter.get();
}

FilterListing FakeFilterDirectory::ListingOf(const std::string& name,
                                             const Made& of) const {
  FilterListing listing = of.listing;
  listing.name = name;
  listing.ports = of.spec.ports;
  listing.fail_policy = of.spec.fail_policy;
  listing.source = of.spec.source;
  listing.rules = of.filter->rules.size();
  listing.states = of.filter->states.size();
  listing.tables = of.filter->tables.size();
  listing.generation = of.filter->generation;
  return listing;
}

std::vector<FilterListing> FakeFilterDirectory::Filters(std::string_view after,
                                                        size_t limit) {
  std::vector<FilterListing> listings;
  if (after.empty() && limit > 0) listings.push_back(main_listing);
  for (const auto& [name, of] : made) {
    if (after != kMainFilterName && name <= after) continue;
    if (listings.size() == limit) break;
    listings.push_back(ListingOf(name, of));
  }
  return listings;
}

absl::StatusOr<FilterListing> FakeFilterDirectory::Filter(
    std::string_view name) {
  if (name == kMainFilterName) return main_listing;
  const auto it = made.find(std::string(name));
  if (it == made.end()) return absl::NotFoundError("there is no such filter");
  return ListingOf(it->first, it->second);
}

std::unique_ptr<BuildJob<LoadResult>> FakeFilterDirectory::BeginCreateFilter(
    FilterSpec spec) {
  last_filter = spec;
  auto filter = std::make_shared<std::unique_ptr<FakeFilterControl>>(
      std::make_unique<FakeFilterControl>());
  std::vector<std::shared_ptr<BuildJob<LoadResult>>> loads;
  if (spec.emergency) {
    LoadRequest trial = *spec.emergency;
    trial.dry_run = true;
    loads.push_back((*filter)->Rules().BeginLoad(std::move(trial)));
  }
  if (spec.ruleset) {
    loads.push_back((*filter)->Rules().BeginLoad(*spec.ruleset));
  }
  return std::make_unique<FunctionJob<LoadResult>>(
      [=, this] {
        if (on_build) on_build();
        for (const auto& load : loads) load->Build();
      },
      [=, this]() -> absl::StatusOr<LoadResult> {
        LoadResult all;
        for (const auto& load : loads) {
          absl::StatusOr<LoadResult> result = load->Publish();
          if (!result.ok()) return result.status();
          all.rules = result->rules;
          all.generation = result->generation;
          std::move(result->diagnostics.begin(), result->diagnostics.end(),
                    std::back_inserter(all.diagnostics));
        }
        return Publish(spec, std::move(*filter), std::move(all));
      });
}

absl::StatusOr<LoadResult> FakeFilterDirectory::Publish(
    const FilterSpec& spec, std::unique_ptr<FakeFilterControl> filter,
    LoadResult result) {
  if (result.HasErrors()) return result;
  if (Find(spec.name) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a filter \"", spec.name, "\" already"));
  }
  for (const std::string& name : spec.ports) {
    const auto port = ports.find(name);
    if (port != ports.end() && port->second.filter != kMainFilterName) {
      return absl::FailedPreconditionError(
          absl::StrCat("port \"", name, "\" is of filter \"",
                       port->second.filter, "\" already"));
    }
  }
  for (const std::string& name : spec.ports) {
    ports[name].name = name;
    ports[name].filter = spec.name;
  }
  Made& of = made[spec.name];
  of.spec = spec;
  of.filter = std::move(filter);
  of.listing.loaded = spec.ruleset.has_value();
  of.listing.status = {
      .incarnation = 1,
      .state =
          spec.expect_restore ? RestoreState::kExpect : RestoreState::kNone,
      .flags = static_cast<uint16_t>(kFilterEnabled |
                                     (spec.expect_restore ? kFilterExpects
                                                          : 0))};
  return result;
}

void FakeFilterDirectory::ChangeFilter(const FilterChange& change,
                                       DoneStatus done) {
  last_change = change;
  if (!made.contains(change.name)) {
    return done(absl::NotFoundError("there is no such filter"));
  }
  Later([done = std::move(done)] { done(absl::OkStatus()); });
}

void FakeFilterDirectory::DestroyFilter(std::string_view name,
                                        DoneStatus done) {
  if (name == kMainFilterName) {
    return done(absl::FailedPreconditionError("main cannot be destroyed"));
  }
  const auto it = made.find(std::string(name));
  if (it == made.end()) {
    return done(absl::NotFoundError("there is no such filter"));
  }
  for (const std::string& port : it->second.spec.ports) {
    ports[port].filter = kMainFilterName;
  }
  it->second.filter->destroyed = true;
  gone_.push_back(std::move(it->second.filter));
  made.erase(it);
  Later([done = std::move(done)] { done(absl::OkStatus()); });
}

std::vector<PortListing> FakeFilterDirectory::Ports(std::string_view after,
                                                    size_t limit) {
  std::vector<PortListing> listings;
  for (auto it = ports.upper_bound(std::string(after));
       it != ports.end() && listings.size() < limit; ++it) {
    listings.push_back(it->second);
  }
  return listings;
}

std::unique_ptr<BuildJob<PortListing>> FakeFilterDirectory::BeginAddPort(
    PortSpec spec) {
  last_port = spec;
  return std::make_unique<FunctionJob<PortListing>>(
      [this] {
        if (on_build) on_build();
      },
      [this, spec]() -> absl::StatusOr<PortListing> {
        if (ports.contains(spec.name) && !ports[spec.name].device.empty()) {
          return absl::AlreadyExistsError("there is such a port already");
        }
        PortListing port = MakePort(spec.name, spec.wire);
        port.device = spec.device;
        port.enabled = !spec.disabled;
        return ports[spec.name] = port;
      });
}

void FakeFilterDirectory::RemovePort(std::string_view name, DoneStatus done) {
  if (ports.erase(std::string(name)) == 0) return done(NoPort(name));
  Later([done = std::move(done)] { done(absl::OkStatus()); });
}

absl::Status FakeFilterDirectory::EnablePort(std::string_view name) {
  const auto it = ports.find(std::string(name));
  if (it == ports.end()) return NoPort(name);
  if (it->second.enabled) {
    return absl::FailedPreconditionError("the port is enabled already");
  }
  it->second.enabled = true;
  ++it->second.incarnation;
  return absl::OkStatus();
}

void FakeFilterDirectory::DisablePort(std::string_view name, DoneStatus done) {
  const auto it = ports.find(std::string(name));
  if (it == ports.end()) return done(NoPort(name));
  if (!it->second.enabled) {
    return done(absl::FailedPreconditionError("the port is not enabled"));
  }
  it->second.enabled = false;
  ++it->second.incarnation;
  Later([done = std::move(done)] { done(absl::OkStatus()); });
}

absl::Status FakeFilterDirectory::ExcludePort(std::string_view name,
                                              bool excluded) {
  const auto it = ports.find(std::string(name));
  if (it == ports.end()) return NoPort(name);
  if (it->second.excluded == excluded) {
    return absl::FailedPreconditionError("it is so already");
  }
  it->second.excluded = excluded;
  return absl::OkStatus();
}

absl::Status FakeFilterDirectory::BindPort(
    std::string_view name, const std::vector<std::string>& bindings,
    uint8_t learn) {
  const auto it = ports.find(std::string(name));
  if (it == ports.end()) return NoPort(name);
  it->second.guarded = !bindings.empty() || learn != 0;
  bound[it->first].bindings = bindings;
  bound[it->first].learn = learn;
  return absl::OkStatus();
}

absl::StatusOr<PortBindings> FakeFilterDirectory::Bindings(
    std::string_view name) {
  if (!ports.contains(std::string(name))) return NoPort(name);
  return bound[std::string(name)];
}

absl::StatusOr<std::vector<NamedCounter>> FakeFilterDirectory::PortStatistics(
    std::string_view name) {
  if (!ports.contains(std::string(name))) return NoPort(name);
  return std::vector<NamedCounter>{{"rx_good_packets", 7},
                                   {"tx_good_packets", 9}};
}

std::unique_ptr<BuildJob<CommitSetResult>> FakeFilterDirectory::BeginCommit(
    CommitSetRequest request) {
  last_set = std::move(request);
  return std::make_unique<FunctionJob<CommitSetResult>>(
      [this] {
        if (on_build) on_build();
      },
      [this] { return set_result; });
}

std::unique_ptr<BuildJob<CommitSetResult>>
FakeFilterDirectory::BeginRollbackTogether(std::vector<std::string> filters,
                                           uint32_t, int32_t) {
  rolled_back = std::move(filters);
  return std::make_unique<FunctionJob<CommitSetResult>>(
      [] {}, [this] { return set_result; });
}

std::vector<RouterListing> FakeFilterDirectory::Routers(std::string_view after,
                                                        size_t limit) {
  std::vector<RouterListing> listings;
  for (auto at = routers.upper_bound(std::string(after));
       at != routers.end() && listings.size() < limit; ++at) {
    listings.push_back(at->second);
  }
  return listings;
}

absl::StatusOr<RouterListing> FakeFilterDirectory::Router(
    std::string_view name) {
  const auto router = routers.find(std::string(name));
  if (router == routers.end()) return absl::NotFoundError("no router");
  return router->second;
}

// Two pages: the first route, and the others.
absl::StatusOr<RoutePage> FakeFilterDirectory::Routes(const RouteQuery& query) {
  route_queries.push_back(query);
  if (!routers.contains(query.router)) return absl::NotFoundError("no router");
  RoutePage page;
  const bool first = query.after.empty();
  for (size_t i = first ? 0 : 1; i < (first ? 1 : routes.size()); ++i) {
    page.routes.push_back(routes[i]);
  }
  if (first && routes.size() > 1) page.next = routes.front().prefix;
  return page;
}

absl::StatusOr<RouterNeighborPage> FakeFilterDirectory::RouterNeighbors(
    std::string_view name, std::string_view, size_t) {
  if (!routers.contains(std::string(name))) {
    return absl::NotFoundError("no router");
  }
  return RouterNeighborPage{.neighbors = router_neighbors};
}

std::vector<SegmentListing> FakeFilterDirectory::Segments(
    std::string_view after, size_t limit) {
  std::vector<SegmentListing> listings;
  for (const auto& [name, spec] : segments) {
    if (name <= after || listings.size() >= limit) continue;
    listings.push_back({.spec = spec, .known = spec.fixed.size()});
  }
  return listings;
}

absl::StatusOr<std::vector<MacListing>> FakeFilterDirectory::SegmentMacs(
    std::string_view name, std::string_view after, size_t limit) {
  const auto segment = segments.find(std::string(name));
  if (segment == segments.end()) return absl::NotFoundError("no segment");
  std::vector<MacListing> listings;
  for (const FixedMac& fixed : segment->second.fixed) {
    if (fixed.mac <= after || listings.size() >= limit) continue;
    listings.push_back({.mac = fixed.mac, .port = fixed.port, .fixed = true});
  }
  return listings;
}

absl::Status FakeFilterDirectory::AddSegment(const SegmentSpec& spec) {
  if (!segments.try_emplace(spec.name, spec).second) {
    return absl::AlreadyExistsError("that segment is there");
  }
  return absl::OkStatus();
}

absl::Status FakeFilterDirectory::RemoveSegment(std::string_view name) {
  if (segments.erase(std::string(name)) == 0) {
    return absl::NotFoundError("no segment");
  }
  return absl::OkStatus();
}

absl::Status FakeFilterDirectory::AttachPort(std::string_view segment,
                                             std::string_view port) {
  const auto found = segments.find(std::string(segment));
  if (found == segments.end()) return absl::NotFoundError("no segment");
  found->second.ports.emplace_back(port);
  return absl::OkStatus();
}

absl::Status FakeFilterDirectory::DetachPort(std::string_view segment,
                                             std::string_view port) {
  const auto found = segments.find(std::string(segment));
  if (found == segments.end()) return absl::NotFoundError("no segment");
  if (std::erase(found->second.ports, std::string(port)) == 0) {
    return absl::FailedPreconditionError("it is not there");
  }
  return absl::OkStatus();
}

absl::Status FakeFilterDirectory::FixMac(std::string_view segment,
                                         std::string_view mac,
                                         std::string_view port) {
  const auto found = segments.find(std::string(segment));
  if (found == segments.end()) return absl::NotFoundError("no segment");
  auto& fixed = found->second.fixed;
  std::erase_if(fixed, [&](const FixedMac& other) { return other.mac == mac; });
  if (!port.empty()) {
    fixed.push_back({.mac = std::string(mac), .port = std::string(port)});
  }
  return absl::OkStatus();
}

absl::Status FakeFilterDirectory::ForgetMacs(std::string_view segment) {
  return segments.contains(std::string(segment))
             ? absl::OkStatus()
             : absl::NotFoundError("no segment");
}

}  // namespace sluice
