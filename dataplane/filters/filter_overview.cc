#include "dataplane/filters/filter_overview.h"

#include <algorithm>
#include <ctime>
#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "dataplane/base/log.h"
#include "dataplane/workers/plane.h"
#include "dataplane/workers/worker.h"
#include "pftable/classify/classifier.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

constexpr auto kFragmentFields = FragmentStatistics::Fields();

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

ClassifierInfo InfoOf(const Classifier* classifier) {
  ClassifierInfo info;
  if (classifier == nullptr) return info;
  info.compiled = true;
  const Classifier::Report& report = classifier->report();
  for (const Direction direction : {Direction::kIn, Direction::kOut}) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      const classify::WalkReason walked =
          report.parts[static_cast<size_t>(direction)]
                      [family == Family::kIpv6].walked;
      info.parts.push_back(
          {.direction = direction,
           .family = family,
           .compiled = walked == classify::WalkReason::kNone,
           .why = std::string(Explain(walked)),
           .is_slow = walked != classify::WalkReason::kNone &&
                      walked != classify::WalkReason::kFew});
    }
  }
  info.counters = {{.name = "rules", .value = report.entries},
                   {.name = "listed", .value = report.listed},
                   {.name = "verified", .value = report.demoted},
                   {.name = "classes", .value = report.classes},
                   {.name = "blocks", .value = report.blocks},
                   {.name = "bytes", .value = report.bytes}};
  return info;
}

}  // namespace

void FilterOverview::Join(const PortSet::Entry& port) {
  if (port.number == kNoPort) return;
  members_.push_back({.port = port.config.name,
                      .serial = port.serial,
                      .base = core_->environment.ports->Counters(port)});
}

void FilterOverview::Leave(const PortSet::Entry& port) {
  const auto member =
      std::ranges::find(members_, port.serial, &Member::serial);
  if (member == members_.end()) return;
  former_ += CountersOf(*member);
  members_.erase(member);
}

PortSums FilterOverview::CountersOf(const Member& member) const {
  const PortSet::Entry* port = core_->environment.ports->Find(member.port);
  if (port == nullptr || port->serial != member.serial) return {};
  return core_->environment.ports->Counters(*port) - member.base;
}

PortSums FilterOverview::Counters() const {
  PortSums sums = former_;
  for (const Member& member : members_) sums += CountersOf(member);
  return sums;
}

std::array<uint64_t, 3> FilterOverview::RawStateCounters() const {
  std::array<uint64_t, 3> sums{};
  for (uint32_t i = 0; i < core_->environment.store.workers; ++i) {
    const WorkerCounters& counters = core_->store.worker_counters(i);
    sums[0] += counters.searches.value();
    sums[1] += counters.inserts.value();
    sums[2] += counters.removals.value();
  }
  return sums;
}

uint64_t FilterOverview::RawDecided() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < core_->environment.store.workers; ++i) {
    sum += core_->store.worker_counters(i).decided.value();
  }
  return sum;
}

std::array<uint64_t, 3> FilterOverview::RawSourceCounters() const {
  const SourceBudget& sources = core_->sources;
  return {sources.searches.load(std::memory_order_relaxed),
          sources.inserts.load(std::memory_order_relaxed),
          sources.removals.load(std::memory_order_relaxed)};
}

std::array<uint64_t, kLimitCounterCount> FilterOverview::RawLimitCounters()
    const {
  std::array<uint64_t, kLimitCounterCount> sums{};
  for (uint32_t i = 0; i < core_->environment.store.workers; ++i) {
    const WorkerCounters& counters = core_->store.worker_counters(i);
    for (size_t k = 0; k < kLimitCounterCount; ++k) {
      sums[k] += counters.limit(static_cast<LimitCounter>(k)).value();
    }
  }
  return sums;
}

ExpectationStatistics FilterOverview::RawHelperCounters(
    uint8_t proto) const {
  const ExpectationTable* const table =
      core_->environment.plane->expectations;
  return table == nullptr ? ExpectationStatistics{}
                          : table->statistics(core_->number, proto);
}

namespace {

std::vector<NamedCounter> SinceCleared(const ExpectationStatistics& now,
                                       const ExpectationStatistics& cleared) {
  std::vector<NamedCounter> counters;
  for (const auto& field : ExpectationStatistics::Fields()) {
    counters.push_back({.name = std::string(field.name),
                        .value = now.*field.value -
                                 (field.gauge ? 0 : cleared.*field.value)});
  }
  return counters;
}

}  // namespace

FilterOverview::FragmentCounters FilterOverview::RawFragmentCounters() const {
  FragmentCounters sums{};
  for (const Worker* worker : core_->environment.workers) {
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] += (worker->fragments().*kFragmentFields[i].value).value();
    }
  }
  return sums;
}

uint64_t FilterOverview::Generation() {
  return core_->store.generation()->number;
}

FilterInfo FilterOverview::Info() {
  const std::shared_ptr<const Policy> policy = core_->store.policy();
  FilterInfo info;
  info.enabled = core_->plane.enabled.load(std::memory_order_relaxed);
  if (core_->switched_at) {
    info.since = (core_->SinceStart() - *core_->switched_at) / 1000;
  }
  info.debug = policy->options.debug;
  info.host_id = policy->options.host_id != 0 ? policy->options.host_id
                                              : core_->environment.host_id;
  info.checksum = absl::StrFormat("%016x", core_->store.generation()->hash);
  info.generation = core_->store.generation()->number;
  info.states = core_->budget.used();
  const std::array<uint64_t, 3> states = RawStateCounters();
  const std::array<uint64_t, 3> sources = RawSourceCounters();
  constexpr std::array<const char*, 3> kNames = {"searches", "inserts",
                                                 "removals"};
  for (size_t i = 0; i < states.size(); ++i) {
    info.state_counters.push_back(
        {.name = kNames[i], .value = states[i] - cleared_states_[i]});
    info.source_counters.push_back(
        {.name = kNames[i], .value = sources[i] - cleared_sources_[i]});
  }
  info.source_nodes = core_->sources.nodes.used();
  const PortSums counters = Counters();
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    info.drop_counters.push_back({.name = std::string(Name(reason)),
                                  .value = counters.drops[i]});
  }
  info.decided = RawDecided() - cleared_decided_;
  const std::array<uint64_t, kLimitCounterCount> limits = RawLimitCounters();
  for (size_t i = 0; i < kLimitCounterCount; ++i) {
    info.limit_counters.push_back({.name = std::string(kLimitCounterNames[i]),
                                   .value = limits[i] - cleared_limits_[i]});
  }
  if (core_->environment.tftp_helper) {
    info.tftp_counters =
        SinceCleared(RawHelperCounters(protocol::kUdp), cleared_tftp_);
  }
  if (core_->environment.ftp_helper) {
    info.ftp_counters =
        SinceCleared(RawHelperCounters(protocol::kTcp), cleared_ftp_);
  }
  info.sctp_counters =
      SinceCleared(RawHelperCounters(protocol::kSctp), cleared_sctp_);
  if (core_->number == kMainFilter) {
    const FragmentCounters fragments = RawFragmentCounters();
    for (size_t i = 0; i < fragments.size(); ++i) {
      const FragmentStatistics::Field& field = kFragmentFields[i];
      info.fragment_counters.push_back(
          {.name = std::string(field.name),
           .value = fragments[i] -
                    (field.gauge ? 0 : cleared_fragments_[i])});
    }
  }
  if (core_->number == kMainFilter &&
      core_->environment.flow_counters != nullptr) {
    info.flow_counters = core_->environment.flow_counters();
  }
  WorkerSnapshot sum;
  int64_t unaccounted = 0;
  for (const WorkerSnapshot& snapshot : core_->snapshots) {
    sum.received += snapshot.received;
    sum.forwarded += snapshot.forwarded;
    sum.dropped += snapshot.dropped;
    sum.steered += snapshot.steered;
    sum.handed_out += snapshot.handed_out;
    info.half_open_states += snapshot.half_open;
    unaccounted += std::abs(snapshot.unaccounted());
  }
  if (core_->number != kMainFilter) {
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
      {.name = "ports-removed", .value = core_->environment.ports->removed()}};
  info.not_carried_out = core_->store.generation()->policy->not_carried_out;
  info.log_interface = policy->options.log_interface;
  for (const Member& member : members_) {
    if (member.port == info.log_interface) {
      info.log_traffic = CountersOf(member).judged;
    }
  }
  info.classifier =
      InfoOf(core_->store.generation()->policy->classifier.get());
  return info;
}

void FilterOverview::ClearInfo() {
  former_ = {};
  for (Member& member : members_) member.base += CountersOf(member);
  cleared_states_ = RawStateCounters();
  cleared_decided_ = RawDecided();
  cleared_sources_ = RawSourceCounters();
  cleared_limits_ = RawLimitCounters();
  cleared_tftp_ = RawHelperCounters(protocol::kUdp);
  cleared_ftp_ = RawHelperCounters(protocol::kTcp);
  cleared_sctp_ = RawHelperCounters(protocol::kSctp);
  cleared_fragments_ = RawFragmentCounters();
  cleared_fragments_ = RawFragmentCounters();
  cleared_ = std::time(nullptr);
}

std::vector<InterfaceListing> FilterOverview::Interfaces() {
  const std::shared_ptr<const Policy> policy = core_->store.policy();
  std::vector<std::string> groups = {"all"};
  std::vector<InterfaceListing> listings;
  for (const Member& member : members_) {
    const PortSet::Entry* const port =
        core_->environment.ports->Find(member.port);
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
    listing.link_up = core_->environment.ports->IsUp(*port);
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
    if (group == "all") listing.states = core_->budget.used();
    for (const Member& member : members_) {
      const PortSet::Entry* port = core_->environment.ports->Find(member.port);
      if (port != nullptr && IsMember(port->config, group)) {
        AddTo(&listing.traffic, CountersOf(member).judged);
      }
    }
    listings.push_back(std::move(listing));
  }
  std::ranges::sort(listings, {}, &InterfaceListing::name);
  return listings;
}

std::vector<TimeoutListing> FilterOverview::Timeouts() {
  std::vector<TimeoutListing> timeouts;
  const TimeoutProfile profile =
      core_->store.generation()->options().TimeoutsFor(core_->budget.limit());
  for (size_t i = 0; i < kTimeoutCount; ++i) {
    timeouts.push_back({.timeout = static_cast<Timeout>(i),
                        .value = profile.values[i]});
  }
  return timeouts;
}

void FilterOverview::WatchLimits() {
  const uint32_t used = core_->budget.used();
  const uint32_t limit = core_->budget.limit();
  switch (states_alarm_.Look(used, limit)) {
    case LimitAlarm::Change::kRaised:
      LogWarning("filter {}: {} of {} states are in use: above the limit new "
                   "flows are dropped (state-limit)",
                   core_->name, used, limit);
      break;
    case LimitAlarm::Change::kCleared:
      LogInfo("filter {}: {} of {} states are in use: the limit is far "
                   "again",
                   core_->name, used, limit);
      break;
    case LimitAlarm::Change::kNone:
      break;
  }
}

std::vector<LimitListing> FilterOverview::Limits() {
  const std::shared_ptr<const Policy> policy = core_->store.policy();
  uint64_t entries = 0;
  const std::vector<TableStatus> tables = PolicyListing(core_->store).Tables();
  for (const TableStatus& table : tables) entries += table.addresses;
  std::vector<LimitListing> limits;
  for (size_t i = 0; i < kLimitCount; ++i) {
    LimitListing listing{.limit = static_cast<Limit>(i),
                         .value = policy->options.limit(static_cast<Limit>(i)),
                         .in_use = 0};
    switch (listing.limit) {
      case Limit::kStates:
        // Never above what the workers' tables hold.
        listing.value =
            std::min(listing.value, core_->environment.state_capacity);
        listing.in_use = core_->budget.used();
        listing.alarms = states_alarm_.raised();
        break;
      case Limit::kSourceNodes:
        if (core_->environment.sources != nullptr) {
          listing.value = std::min(listing.value,
                                   core_->environment.sources->capacity());
        }
        listing.in_use = core_->sources.nodes.used();
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

absl::Status FilterOverview::Enable() {
  if (core_->plane.enabled.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError("pf already enabled");
  }
  core_->plane.enabled.store(true, std::memory_order_release);
  core_->switched_at = core_->SinceStart();
  return absl::OkStatus();
}

absl::Status FilterOverview::Disable() {
  if (!core_->plane.enabled.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError("pf not enabled");
  }
  core_->plane.enabled.store(false, std::memory_order_release);
  core_->switched_at = core_->SinceStart();
  return absl::OkStatus();
}

}  // namespace sluice
