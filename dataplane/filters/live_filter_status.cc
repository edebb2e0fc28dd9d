// Counters and settings, as the control socket asks for them.
#include <algorithm>
#include <ctime>
#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "dataplane/filters/live_filter.h"
#include "dataplane/workers/worker.h"
#include "spdlog/spdlog.h"

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

void LiveFilter::Join(const PortSet::Entry& port) {
  if (port.device == nullptr) return;
  members_.push_back({.port = port.config.name,
                      .serial = port.serial,
                      .base = environment_.ports->Counters(port)});
}

void LiveFilter::Leave(const PortSet::Entry& port) {
  const auto member =
      std::ranges::find(members_, port.serial, &Member::serial);
  if (member == members_.end()) return;
  former_ += CountersOf(*member);
  members_.erase(member);
}

PortSums LiveFilter::CountersOf(const Member& member) const {
  const PortSet::Entry* port = environment_.ports->Find(member.port);
  if (port == nullptr || port->serial != member.serial) return {};
  return environment_.ports->Counters(*port) - member.base;
}

PortSums LiveFilter::Counters() const {
  PortSums sums = former_;
  for (const Member& member : members_) sums += CountersOf(member);
  return sums;
}

std::array<uint64_t, 3> LiveFilter::RawStateCounters() const {
  std::array<uint64_t, 3> sums{};
  for (uint32_t i = 0; i < environment_.store.workers; ++i) {
    const WorkerCounters& counters = store_->worker_counters(i);
    sums[0] += counters.searches.value();
    sums[1] += counters.inserts.value();
    sums[2] += counters.removals.value();
  }
  return sums;
}

uint64_t LiveFilter::Inserts() const { return RawStateCounters()[1]; }
uint64_t LiveFilter::Removals() const { return RawStateCounters()[2]; }

FilterInfo LiveFilter::Info() {
  const std::shared_ptr<const Policy> policy = store_->policy();
  FilterInfo info;
  info.enabled = plane_.enabled.load(std::memory_order_relaxed);
  if (switched_at_) info.since = (SinceStart() - *switched_at_) / 1000;
  info.debug = policy->options.debug;
  info.host_id = policy->options.host_id != 0 ? policy->options.host_id
                                              : host_id_;
  info.checksum = absl::StrFormat("%016x", store_->generation()->hash);
  info.generation = store_->generation()->number;
  info.states = budget_.used();
  const std::array<uint64_t, 3> states = RawStateCounters();
  constexpr std::array<const char*, 3> kNames = {"searches", "inserts",
                                                 "removals"};
  for (size_t i = 0; i < states.size(); ++i) {
    info.state_counters.push_back(
        {.name = kNames[i], .value = states[i] - cleared_states_[i]});
    // The source tracking table, which nothing enters.
    info.source_counters.push_back({.name = kNames[i], .value = 0});
  }
  const PortSums counters = Counters();
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    info.drop_counters.push_back({.name = std::string(Name(reason)),
                                  .value = counters.drops[i]});
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
    sum.steered += snapshot.steered;
    sum.handed_out += snapshot.handed_out;
    info.half_open_states += snapshot.half_open;
    unaccounted += std::abs(snapshot.unaccounted());
  }
  if (number() != kMainFilter) {
    // What its ports have received; main has the sums of all ports.
    sum.received = counters.received_packets;
    sum.forwarded = counters.forwarded_packets;
    sum.dropped = std::accumulate(counters.drops.begin(),
                                  counters.drops.end(), uint64_t{0});
  }
  info.packet_counters = {
      {.name = "received", .value = sum.received},
      {.name = "transmitted", .value = sum.forwarded},
      {.name = "dropped", .value = sum.dropped},
      {.name = "unaccounted", .value = static_cast<uint64_t>(unaccounted)},
      {.name = "handed-on", .value = sum.steered},
      {.name = "handed-to-transmit", .value = sum.handed_out - sum.steered},
      {.name = "ports-removed", .value = environment_.ports->removed()}};
  info.log_interface = policy->options.log_interface;
  for (const Member& member : members_) {
    if (member.port == info.log_interface) {
      info.log_traffic = CountersOf(member).judged;
    }
  }
  return info;
}

void LiveFilter::ClearInfo() {
  former_ = {};
  for (Member& member : members_) member.base += CountersOf(member);
  cleared_states_ = RawStateCounters();
  cleared_ = std::time(nullptr);
}

std::vector<InterfaceListing> LiveFilter::Interfaces() {
  const std::shared_ptr<const Policy> policy = store_->policy();
  std::vector<std::string> groups = {"all"};
  std::vector<InterfaceListing> listings;
  for (const Member& member : members_) {
    const PortSet::Entry* const port = environment_.ports->Find(member.port);
    if (port == nullptr || port->serial != member.serial) continue;
    for (const std::string& group : port->config.groups) {
      if (std::ranges::find(groups, group) == groups.end()) {
        groups.push_back(group);
      }
    }
    InterfaceListing listing;
    listing.name = member.port;
    listing.groups = port->config.groups;
    listing.skip = Skips(policy->options, port->config);
    listing.link_up = port->device != nullptr && port->device->link().up;
    listing.incarnation = port->incarnation;
    listing.cleared = cleared_;
    listing.rules = RulesThatName(policy->main, member.port);
    listing.traffic = CountersOf(member).judged;
    listings.push_back(std::move(listing));
  }
  for (const std::string& group : groups) {
    InterfaceListing listing;
    listing.name = group;
    listing.is_group = true;
    listing.cleared = cleared_;
    listing.rules = RulesThatName(policy->main, group);
    // Floating states belong to all interfaces alike.
    if (group == "all") listing.states = budget_.used();
    for (const Member& member : members_) {
      const PortSet::Entry* port = environment_.ports->Find(member.port);
      if (port != nullptr && IsMember(port->config, group)) {
        AddTo(&listing.traffic, CountersOf(member).judged);
      }
    }
    listings.push_back(std::move(listing));
  }
  std::ranges::sort(listings, {}, &InterfaceListing::name);
  return listings;
}

std::vector<TimeoutListing> LiveFilter::Timeouts() {
  const std::shared_ptr<const Policy> policy = store_->policy();
  std::vector<TimeoutListing> timeouts;
  for (size_t i = 0; i < kTimeoutCount; ++i) {
    timeouts.push_back({.timeout = static_cast<Timeout>(i),
                        .value = policy->options.timeouts[i]});
  }
  return timeouts;
}

void LiveFilter::WatchLimits() {
  const uint32_t used = budget_.used();
  const uint32_t limit = budget_.limit();
  switch (states_alarm_.Look(used, limit)) {
    case LimitAlarm::Change::kRaised:
      spdlog::warn("filter {}: {} of {} states are in use: above the limit new "
                   "flows are dropped (state-limit)",
                   name(), used, limit);
      break;
    case LimitAlarm::Change::kCleared:
      spdlog::info("filter {}: {} of {} states are in use: the limit is far "
                   "again",
                   name(), used, limit);
      break;
    case LimitAlarm::Change::kNone:
      break;
  }
}

std::vector<LimitListing> LiveFilter::Limits() {
  const std::shared_ptr<const Policy> policy = store_->policy();
  uint64_t entries = 0;
  const std::vector<TableStatus> tables = PolicyListing(*store_).Tables();
  for (const TableStatus& table : tables) entries += table.addresses;
  std::vector<LimitListing> limits;
  for (size_t i = 0; i < kLimitCount; ++i) {
    LimitListing listing{.limit = static_cast<Limit>(i),
                         .value = policy->options.limits[i],
                         .in_use = 0};
    switch (listing.limit) {
      case Limit::kStates:
        // Never above what the workers' tables hold.
        listing.value = std::min(listing.value, environment_.state_capacity);
        listing.in_use = budget_.used();
        listing.alarms = states_alarm_.raised();
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
