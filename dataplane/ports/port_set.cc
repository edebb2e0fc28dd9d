#include "dataplane/ports/port_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"

namespace sluice {
namespace {

constexpr uint64_t kLinkInterval = 500;  // milliseconds

// Those of the configuration, and the kernel's that are not among them.
std::vector<Prefix> AddressesOf(const PortSet::Entry& entry) {
  std::vector<Prefix> all = entry.config.addresses;
  for (const Prefix& prefix : entry.kernel_addresses) {
    if (std::ranges::find(all, prefix) == all.end()) all.push_back(prefix);
  }
  return all;
}

std::pair<std::string, std::string> EndsOf(const std::string& one,
                                           const std::string& other) {
  return one < other ? std::pair(one, other) : std::pair(other, one);
}

}  // namespace

PortSet::PortSet(const Port::Options& options,
                 std::atomic<const Topology*>* topology,
                 InterfaceRegistry* interfaces, GraceList* grace)
    : options_(options),
      published_(topology),
      interfaces_(interfaces),
      grace_(grace),
      by_number_(kMaxPorts),
      topology_(std::make_unique<Topology>()) {
  for (uint16_t number = 0; number < kMaxPorts; ++number) {
    (number < kMaxDevicePorts     ? free_numbers_
     : number < kFirstLogicalPort ? free_vhosts_
                                  : free_logical_)
        .push_back(number);
  }
  for (uint16_t number = 0; number < kMaxSegments; ++number) {
    free_segments_.push_back(number);
  }
  std::random_device random;
  mac_seed_ = uint64_t{random()} << 32 | random();
}

PortSet::~PortSet() = default;

// ---- Names -----------------------------------------------------------------

absl::Status PortSet::CheckName(const std::string& name) {
  if (!IsPortName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a port cannot be named '", name.substr(0, kMaxPortName),
        "': use a letter, then letters, digits, '_', '-' and '.', at most ",
        kMaxPortName, " bytes"));
  }
  if (IsReservedName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a port cannot be named '", name, "', which has a meaning in rules"));
  }
  return absl::OkStatus();
}

absl::Status PortSet::Register(Entry* entry) {
  std::vector<InterfaceRegistry::PortAddress> addresses;
  for (const Prefix& prefix : AddressesOf(*entry)) addresses.push_back({prefix});
  absl::StatusOr<InterfaceView> view = interfaces_->AddPort(
      entry->config.name, entry->config.groups, addresses);
  if (!view.ok()) {
    return absl::Status(view.status().code(),
                        absl::StrCat("port '", entry->config.name, "': ",
                                     view.status().message()));
  }
  entry->interface = *view;
  return absl::OkStatus();
}

absl::StatusOr<bool> PortSet::SetAddresses(
    std::string_view name, std::span<const Prefix> addresses) {
  Entry* const entry = Find(name);
  if (entry == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no port ", std::string(name)));
  }
  std::vector<Prefix>& known = entry->kernel_addresses;
  if (std::equal(known.begin(), known.end(), addresses.begin(),
                 addresses.end())) {
    return false;
  }
  known.assign(addresses.begin(), addresses.end());
  std::vector<InterfaceRegistry::PortAddress> all;
  for (const Prefix& prefix : AddressesOf(*entry)) all.push_back({prefix});
  if (absl::Status s = interfaces_->SetAddresses(name, all); !s.ok()) return s;
  RefreshFacts(entry->config.name);
  return true;
}

void PortSet::RefreshFacts(const std::string& name) {
  const auto entry = entries_.find(name);
  const std::lock_guard lock(facts_mutex_);
  if (entry == entries_.end()) {
    facts_of_.erase(name);
  } else {
    PortConfig config = entry->second.config;
    config.addresses = AddressesOf(entry->second);
    facts_of_[name] = std::move(config);
  }
  facts_ = nullptr;
}

std::shared_ptr<const HostFacts> PortSet::facts() const {
  const std::lock_guard lock(facts_mutex_);
  if (facts_ == nullptr) {
    std::vector<PortConfig> ports;
    ports.reserve(facts_of_.size());
    for (const auto& [name, config] : facts_of_) ports.push_back(config);
    facts_ = std::make_shared<const HostFacts>(FactsOf(ports));
  }
  return facts_;
}

absl::Status PortSet::Declare(std::span<const PortConfig> ports,
                              std::span<const WireConfig> wires,
                              std::span<const SegmentConfig> segments,
                              std::span<const RouterConfig> routers) {
  for (const PortConfig& port : ports) {
    Entry& entry = entries_[port.name];
    entry.config = port;
    if (absl::Status status = Register(&entry); !status.ok()) {
      return absl::FailedPreconditionError(status.message());
    }
    entry.number = TakeNumber(port);
    if (entry.number == kNoPort) {
      return absl::FailedPreconditionError("there are too many ports");
    }
    by_number_[entry.number] = &entry;
    if (port.guard.IsSet()) {
      entry.guard = std::make_unique<SpoofGuard>(port.guard);
    }
    RefreshFacts(port.name);
  }
  for (const PortConfig& port : ports) {
    if (port.is_logical()) ChangeChildren(port.parent);
  }
  for (const WireConfig& wire : wires) {
    const auto [a, b] = wire.ports;
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      Entry& entry = entries_[ports[from].name];
      entry.wire = ports[to].name;
      entry.pass_non_ip = wire.pass_non_ip;
      entry.answer_arp = wire.answer_arp;
    }
    if (wire.answer_arp) {
      answering_.insert(EndsOf(ports[a].name, ports[b].name));
    }
  }
  for (const SegmentConfig& segment : segments) {
    if (absl::Status status = AddSegment(segment, /*configured=*/true);
        !status.ok()) {
      return absl::FailedPreconditionError(status.message());
    }
  }
  for (const RouterConfig& router : routers) {
    if (absl::Status status = DeclareRouter(router); !status.ok()) {
      return absl::FailedPreconditionError(status.message());
    }
  }
  return absl::OkStatus();
}

void PortSet::SettleAnswers(Entry* entry) {
  Entry* const other = Find(entry->wire);
  entry->answer_arp =
      answering_.contains(EndsOf(entry->config.name, entry->wire)) ||
      (other != nullptr && other->answer_arp);
  if (other != nullptr) other->answer_arp = entry->answer_arp;
}

PortSet::Entry* PortSet::Find(std::string_view name) {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

absl::StatusOr<PortSet::Entry*> PortSet::Name(const std::string& name) {
  if (Entry* entry = Find(name)) return entry;
  if (absl::Status status = CheckName(name); !status.ok()) return status;
  Entry entry;
  entry.config.name = name;
  if (absl::Status status = Register(&entry); !status.ok()) return status;
  Entry& made = entries_.emplace(name, std::move(entry)).first->second;
  RefreshFacts(name);
  return &made;
}

void PortSet::Forget(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  if (entry.number != kNoPort || !entry.wire.empty() ||
      !entry.segment.empty() || !entry.router.empty() || entry.children > 0 ||
      entry.filter != kMainFilter || entry.claims > 0) {
    return;
  }
  static_cast<void>(interfaces_->RemovePort(name));
  entries_.erase(found);
  RefreshFacts(name);
}

// ---- Devices ---------------------------------------------------------------

std::deque<uint16_t>& PortSet::FreeNumbers(const PortConfig& config) {
  return config.is_logical() ? free_logical_
         : config.is_vhost() ? free_vhosts_
                             : free_numbers_;
}

uint16_t PortSet::TakeNumber(const PortConfig& config) {
  std::deque<uint16_t>& free = FreeNumbers(config);
  if (free.empty()) return kNoPort;
  const uint16_t number = free.front();
  free.pop_front();
  end_ = std::max<uint16_t>(end_, number + 1);
  return number;
}

const PortSet::Entry* PortSet::DeviceOf(const Entry& entry) const {
  if (entry.number == kNoPort) return nullptr;
  if (!entry.config.is_logical()) {
    return entry.device != nullptr ? &entry : nullptr;
  }
  const auto parent = entries_.find(entry.config.parent);
  return parent != entries_.end() && parent->second.device != nullptr
             ? &parent->second
             : nullptr;
}

bool PortSet::Present(const Entry& entry) const {
  return DeviceOf(entry) != nullptr;
}

// The logical ports of that parent are others than before.
void PortSet::ChangeChildren(std::string_view parent) {
  std::vector<LogicalPorts::Child> children;
  for (const auto& [name, entry] : entries_) {
    if (entry.number == kNoPort || entry.config.parent != parent) continue;
    children.push_back({.tags = entry.config.tags, .port = entry.number});
  }
  if (Entry* of = Find(parent)) of->children = children.size();
  if (children.empty()) {
    logical_.erase(std::string(parent));
  } else {
    logical_[std::string(parent)] =
        std::make_shared<const LogicalPorts>(children);
  }
}

// A queue keeps its worker for as long as there is the device: two workers may
// never poll one queue, not even while one hears of a change before the other.
void PortSet::AssignPollers(Entry* entry) {
  entry->pollers = PollersOf(entry->device->rx_queues(), options_.workers,
                             &turn_);
}

absl::Status PortSet::Open() {
  // In the order of their numbers, which is the configuration's.
  std::vector<Entry*> entries;
  for (auto& [name, entry] : entries_) entries.push_back(&entry);
  std::ranges::sort(entries, {}, &Entry::number);
  const Steering steering(options_.workers);
  for (Entry* entry : entries) {
    entry->serial = next_serial_++;
    if (entry->config.is_logical()) continue;
    absl::StatusOr<std::unique_ptr<Port>> port =
        Port::Open(entry->config, options_, steering);
    if (!port.ok()) return port.status();
    entry->device = *std::move(port);
    AssignPollers(entry);
  }
  return absl::OkStatus();
}

absl::Status PortSet::Start() {
  for (auto& [name, entry] : entries_) {
    if (entry.device == nullptr) continue;
    Port& port = *entry.device;
    if (absl::Status status = port.Start(); !status.ok()) return status;
    for (const std::string& warning : port.warnings()) {
      LogWarning("{}", warning);
    }
    LogInfo("port {}: {} ({}), {} receive and {} transmit queue(s){}, {}",
                 name, port.config().device_name(), port.driver(),
                 port.rx_queues(), port.tx_queues(),
                 port.rss() ? ", symmetric RSS" : "",
                 port.link().up ? "link up" : "link down");
  }
  return absl::OkStatus();
}

// ---- What the workers know -------------------------------------------------

void PortSet::Guard(Entry* entry, SpoofSettings settings) {
  std::unique_ptr<SpoofGuard> old = std::move(entry->guard);
  if (settings.IsSet()) entry->guard = std::make_unique<SpoofGuard>(settings);
  entry->config.guard = std::move(settings);
  Publish();
  grace_->After([old = std::move(old)] {});
}

void PortSet::PollLinks(uint64_t milliseconds) {
  const bool all = milliseconds - last_link_poll_ >= kLinkInterval;
  bool any_changed = false;
  for (auto& [name, entry] : entries_) {
    if (entry.device == nullptr) continue;
    Port& port = *entry.device;
    if (!port.TakeLinkInterrupt() && !all) continue;
    bool changed = false;
    const LinkState link = port.PollLink(&changed);
    if (!changed) continue;
    any_changed = true;
    LogInfo("port {}: link {}{}", name, link.up ? "up" : "down",
                 link.up && link.speed > 0
                     ? fmt::format(", {} Mbit/s", link.speed)
                     : "");
  }
  if (all) last_link_poll_ = milliseconds;
  if (any_changed) Publish();
}

void PortSet::Publish() {
  auto next = std::make_unique<Topology>();
  next->serial = topology_->serial + 1;
  for (const auto& [name, entry] : entries_) {
    if (entry.number == kNoPort) continue;
    const auto other = entries_.find(entry.wire);
    const Entry* const device = DeviceOf(entry);
    const auto logical = entry.children > 0 ? logical_.find(name)
                                            : logical_.end();
    if (logical != logical_.end()) {
      next->logical_ports.push_back(logical->second);
    }
    next->ports[entry.number] = {
        .interface = entry.interface,
        .peer = other != entries_.end() ? other->second.number : kNoPort,
        .port = entry.number,
        .filter = entry.filter,
        .mtu = entry.config.mtu,
        .pass_non_ip = entry.pass_non_ip,
        .up = device != nullptr && device->device->link().up,
        .enabled = entry.enabled,
        .excluded = entry.excluded,
        .parent = entry.config.is_logical()
                      ? entries_.find(entry.config.parent)->second.number
                      : kNoPort,
        .tags = entry.config.tags,
        .children = logical != logical_.end() ? logical->second.get()
                                              : nullptr,
        .own = device != nullptr ? entry.own.get() : nullptr,
        .mac = device != nullptr &&
                       (entry.own != nullptr || !entry.router.empty())
                   ? device->device->link_address()
                   : MacAddress{},
        .guard = entry.guard.get()};
    // Taken out: nothing can be sent there or come from there.
    if (entry.device == nullptr) continue;
    if (VhostChannel* const channel = entry.device->vhost()) {
      next->vhosts[entry.number - kMaxDevicePorts] = {
          .channel = channel, .poller = entry.pollers[0]};
      continue;
    }
    next->devices[entry.number] = {.ethdev = entry.device->ethdev(),
                                   .rx_queues = entry.device->rx_queues(),
                                   .tx_queues = entry.device->tx_queues(),
                                   .sends_segments =
                                       entry.device->sends_segments(),
                                   .pollers = entry.pollers};
  }
  PublishSegments(next.get());
  PublishRouters(next.get());
  next->end = end_;
  published_->store(next.get(), std::memory_order_release);
  // Moved into the list, which frees it with the function.
  grace_->After([old = std::move(topology_),
                 own = std::exchange(retired_own_, {})] {});
  topology_ = std::move(next);
}

void PortSet::SetOwn(Entry* entry, std::vector<Address> addresses,
                     std::vector<Address> leaving) {
  auto next = std::make_shared<OwnAddresses>(
      std::move(addresses), entry->own.get(), std::move(leaving));
  Entry* const other = Find(entry->wire);
  for (Entry* end : {entry, other}) {
    if (end == nullptr) continue;
    retired_own_.push_back(std::exchange(end->own, next));
  }
}

PortSums PortSet::SumOf(uint16_t number) const {
  PortSums sums;
  for (const auto& counters : counters_) sums.Add(counters[number]);
  return sums;
}

PortSums PortSet::Counters(const Entry& entry) const {
  if (entry.number == kNoPort) return {};
  return SumOf(entry.number) - entry.base;
}

}  // namespace sluice
