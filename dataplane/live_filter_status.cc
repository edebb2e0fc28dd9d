// Counters and settings, as the control socket asks for them.
#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/str_format.h"
#include "dataplane/live_filter.h"

namespace sluice {
namespace {

// pf's, in its order. Those that have no counter here never happen: their
// rules are refused.
constexpr std::array<std::string_view, 10> kLimitCounterNames = {
    "max states per rule",
    "max-src-states",
    "max-src-nodes",
    "max-src-conn",
    "max-src-conn-rate",
    "overload table insertion",
    "overload flush states",
    "synfloods detected",
    "syncookies sent",
    "syncookies validated"};

void AddTo(InterfaceTraffic* sum, const InterfaceTraffic& more) {
  for (const size_t family : {0, 1}) {
    for (const size_t direction : {0, 1}) {
      for (const size_t verdict : {0, 1}) {
        sum->packets[family][direction][verdict] +=
            more.packets[family][direction][verdict];
        sum->bytes[family][direction][verdict] +=
            more.bytes[family][direction][verdict];
      }
    }
  }
}

void Subtract(InterfaceTraffic* from, const InterfaceTraffic& what) {
  for (const size_t family : {0, 1}) {
    for (const size_t direction : {0, 1}) {
      for (const size_t verdict : {0, 1}) {
        from->packets[family][direction][verdict] -=
            what.packets[family][direction][verdict];
        from->bytes[family][direction][verdict] -=
            what.bytes[family][direction][verdict];
      }
    }
  }
}

bool IsMember(const PortConfig& port, std::string_view group) {
  return group == "all" ||
         std::ranges::find(port.groups, group) != port.groups.end();
}

uint64_t RulesThatName(const Anchor& anchor, std::string_view name) {
  auto count = static_cast<uint64_t>(
      std::ranges::count_if(anchor.rules.filter, [name](const Rule& rule) {
        return rule.on.name == name || rule.received_on.name == name;
      }));
  for (const Anchor& child : anchor.children) {
    count += RulesThatName(child, name);
  }
  return count;
}

bool Skips(const Options& options, const PortConfig& port) {
  return std::ranges::any_of(options.skip, [&](const InterfaceMatch& skip) {
    const bool named = skip.name == port.name || skip.name == "any" ||
                       IsMember(port, skip.name);
    return named != skip.negated;
  });
}

}  // namespace

InterfaceTraffic LiveFilter::RawTrafficOf(size_t port) const {
  InterfaceTraffic traffic;
  for (const Worker* worker : parts_.workers) {
    const auto& judged = worker->counters()[port].judged;
    for (const size_t direction : {0, 1}) {
      for (const size_t family : {0, 1}) {
        for (const size_t verdict : {0, 1}) {
          const PortCounters::Judged& counters =
              judged[direction][family][verdict];
          traffic.packets[family][direction][verdict] +=
              counters.packets.value();
          traffic.bytes[family][direction][verdict] += counters.bytes.value();
        }
      }
    }
  }
  return traffic;
}

InterfaceTraffic LiveFilter::TrafficOf(size_t port) const {
  InterfaceTraffic traffic = RawTrafficOf(port);
  Subtract(&traffic, baseline_.ports[port]);
  return traffic;
}

uint64_t LiveFilter::Drops(DropReason reason) const {
  uint64_t drops = 0;
  for (const Worker* worker : parts_.workers) {
    for (const PortCounters& port : worker->counters()) {
      drops += port.drops[static_cast<size_t>(reason)].value();
    }
  }
  return drops;
}

uint64_t LiveFilter::States() const {
  uint64_t states = 0;
  for (const Worker* worker : parts_.workers) states += worker->states().size();
  return states;
}

std::array<uint64_t, 3> LiveFilter::RawStateCounters() const {
  std::array<uint64_t, 3> counters{};
  for (const Worker* worker : parts_.workers) {
    const StateStatistics& statistics = worker->states().statistics();
    counters[0] += statistics.searches.value();
    counters[1] += statistics.inserts.value();
    counters[2] += statistics.removals.value();
  }
  return counters;
}

FilterInfo LiveFilter::Info() {
  const std::shared_ptr<const Policy> policy = parts_.store->policy();
  FilterInfo info;
  info.enabled = parts_.filter->enabled.load(std::memory_order_relaxed);
  if (switched_at_) info.since = (SinceStart() - *switched_at_) / 1000;
  info.debug = policy->options.debug;
  info.host_id = policy->options.host_id != 0 ? policy->options.host_id
                                              : host_id_;
  info.checksum = absl::StrFormat("%016x", parts_.store->generation_hash());
  info.generation = parts_.store->generation_number();
  info.states = States();
  const std::array<uint64_t, 3> states = RawStateCounters();
  constexpr std::array<const char*, 3> kNames = {"searches", "inserts",
                                                 "removals"};
  for (size_t i = 0; i < states.size(); ++i) {
    info.state_counters.push_back(
        {.name = kNames[i], .value = states[i] - baseline_.states[i]});
    // The source tracking table, which nothing enters.
    info.source_counters.push_back({.name = kNames[i], .value = 0});
  }
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    info.drop_counters.push_back({.name = std::string(Name(reason)),
                                  .value = Drops(reason) -
                                           baseline_.drops[i]});
  }
  for (const std::string_view name : kLimitCounterNames) {
    info.limit_counters.push_back({.name = std::string(name), .value = 0});
  }
  WorkerSnapshot sum;
  int64_t unaccounted = 0;
  for (const WorkerSnapshot& snapshot : snapshots_) {
    sum.received += snapshot.received;
    sum.forwarded += snapshot.forwarded;
    sum.dropped += snapshot.dropped;
    info.half_open_states += snapshot.half_open;
    unaccounted += std::abs(snapshot.unaccounted());
  }
  info.packet_counters = {
      {.name = "received", .value = sum.received},
      {.name = "transmitted", .value = sum.forwarded},
      {.name = "dropped", .value = sum.dropped},
      {.name = "unaccounted", .value = static_cast<uint64_t>(unaccounted)}};
  info.log_interface = policy->options.log_interface;
  for (size_t i = 0; i < parts_.ports.size(); ++i) {
    if (parts_.ports[i]->name() == info.log_interface) {
      info.log_traffic = TrafficOf(i);
    }
  }
  return info;
}

void LiveFilter::ClearInfo() {
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    baseline_.drops[i] = Drops(static_cast<DropReason>(i));
  }
  baseline_.states = RawStateCounters();
  for (size_t i = 0; i < parts_.ports.size(); ++i) {
    baseline_.ports[i] = RawTrafficOf(i);
  }
  baseline_.cleared = std::time(nullptr);
}

std::vector<InterfaceListing> LiveFilter::Interfaces() {
  const std::shared_ptr<const Policy> policy = parts_.store->policy();
  std::vector<std::string> groups = {"all"};
  std::vector<InterfaceListing> listings;
  for (size_t i = 0; i < parts_.ports.size(); ++i) {
    const Port& port = *parts_.ports[i];
    for (const std::string& group : port.config().groups) {
      if (std::ranges::find(groups, group) == groups.end()) {
        groups.push_back(group);
      }
    }
    InterfaceListing listing;
    listing.name = port.name();
    listing.groups = port.config().groups;
    listing.skip = Skips(policy->options, port.config());
    listing.link_up = port.link().up;
    listing.incarnation = parts_.filter->status.Load().incarnation;
    listing.cleared = baseline_.cleared;
    listing.rules = RulesThatName(policy->main, port.name());
    listing.traffic = TrafficOf(i);
    listings.push_back(std::move(listing));
  }
  for (const std::string& group : groups) {
    InterfaceListing listing;
    listing.name = group;
    listing.is_group = true;
    listing.cleared = baseline_.cleared;
    listing.rules = RulesThatName(policy->main, group);
    // Floating states belong to all interfaces alike.
    if (group == "all") listing.states = States();
    for (size_t i = 0; i < parts_.ports.size(); ++i) {
      if (IsMember(parts_.ports[i]->config(), group)) {
        AddTo(&listing.traffic, TrafficOf(i));
      }
    }
    listings.push_back(std::move(listing));
  }
  std::ranges::sort(listings, {}, &InterfaceListing::name);
  return listings;
}

std::vector<TimeoutListing> LiveFilter::Timeouts() {
  const std::shared_ptr<const Policy> policy = parts_.store->policy();
  std::vector<TimeoutListing> timeouts;
  for (size_t i = 0; i < kTimeoutCount; ++i) {
    timeouts.push_back({.timeout = static_cast<Timeout>(i),
                        .value = policy->options.timeouts[i]});
  }
  return timeouts;
}

std::vector<LimitListing> LiveFilter::Limits() {
  const std::shared_ptr<const Policy> policy = parts_.store->policy();
  uint64_t entries = 0;
  const std::vector<TableStatus> tables = parts_.store->ListTables();
  for (const TableStatus& table : tables) entries += table.addresses;
  std::vector<LimitListing> limits;
  for (size_t i = 0; i < kLimitCount; ++i) {
    LimitListing listing{.limit = static_cast<Limit>(i),
                         .value = policy->options.limits[i],
                         .in_use = 0};
    switch (listing.limit) {
      case Limit::kStates:
        // Never above what the workers' tables hold.
        listing.value = std::min(listing.value, parts_.state_capacity);
        listing.in_use = States();
        break;
      case Limit::kTables:
        listing.in_use = tables.size();
        break;
      case Limit::kTableEntries:
        listing.in_use = entries;
        break;
      default:
        break;
    }
    limits.push_back(listing);
  }
  return limits;
}

}  // namespace sluice
