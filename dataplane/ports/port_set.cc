#include "dataplane/ports/port_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/host/pci_address.h"

namespace sluice {
namespace {

constexpr uint64_t kLinkInterval = 500;  // milliseconds

absl::Status CheckName(const std::string& name) {
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

// The words of a port, as the configuration takes them.
absl::Status CheckWords(const PortConfig& config) {
  if (absl::Status status = CheckName(config.name); !status.ok()) {
    return status;
  }
  if (!IsPciAddress(config.device_name()) &&
      !IsVdevName(config.device_name())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "port ", config.name, ": '", config.device,
        "' is no device: give a PCI address (0000:03:00.0) or a virtual "
        "device (net_af_packet0,iface=veth0), then its arguments after a "
        "comma"));
  }
  for (const std::string& group : config.groups) {
    if (IsGroupName(group)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "port ", config.name, ": a group cannot be named '", group,
        "': use a letter, then letters, digits, '_', '-' and '.', no digit "
        "at the end, at most ",
        kMaxPortName, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

PortSet::PortSet(const Port::Options& options,
                 std::atomic<const Topology*>* topology,
                 InterfaceRegistry* interfaces, GraceList* grace)
    : options_(options),
      published_(topology),
      interfaces_(interfaces),
      grace_(grace),
      facts_(std::make_shared<const HostFacts>()),
      topology_(std::make_unique<Topology>()) {
  for (uint16_t number = 0; number < kMaxPorts; ++number) {
    free_numbers_.push_back(number);
  }
}

PortSet::~PortSet() = default;

// ---- Names -----------------------------------------------------------------

absl::Status PortSet::Register(Entry* entry) {
  std::vector<InterfaceRegistry::PortAddress> addresses;
  for (const Prefix& prefix : entry->config.addresses) {
    addresses.push_back({prefix});
  }
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

void PortSet::RefreshFacts() {
  std::vector<PortConfig> ports;
  for (const auto& [name, entry] : entries_) ports.push_back(entry.config);
  auto facts = std::make_shared<const HostFacts>(FactsOf(ports));
  const std::lock_guard lock(facts_mutex_);
  facts_ = std::move(facts);
}

absl::Status PortSet::Declare(std::span<const PortConfig> ports,
                              std::span<const WireConfig> wires) {
  for (const PortConfig& port : ports) {
    Entry& entry = entries_[port.name];
    entry.config = port;
    if (absl::Status status = Register(&entry); !status.ok()) {
      return absl::FailedPreconditionError(status.message());
    }
    entry.number = TakeNumber();
    if (port.guard.IsSet()) {
      entry.guard = std::make_unique<SpoofGuard>(port.guard);
    }
  }
  for (const WireConfig& wire : wires) {
    const auto [a, b] = wire.ports;
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      Entry& entry = entries_[ports[from].name];
      entry.wire = ports[to].name;
      entry.pass_non_ip = wire.pass_non_ip;
    }
  }
  RefreshFacts();
  return absl::OkStatus();
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
  RefreshFacts();
  return &made;
}

void PortSet::Forget(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  if (entry.device != nullptr || !entry.wire.empty() ||
      entry.filter != kMainFilter || entry.claims > 0) {
    return;
  }
  static_cast<void>(interfaces_->RemovePort(name));
  entries_.erase(found);
  RefreshFacts();
}

// ---- Devices ---------------------------------------------------------------

uint16_t PortSet::TakeNumber() {
  if (free_numbers_.empty()) return kNoPort;
  const uint16_t number = free_numbers_.front();
  free_numbers_.pop_front();
  return number;
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
    absl::StatusOr<std::unique_ptr<Port>> port =
        Port::Open(entry->config, options_, steering);
    if (!port.ok()) return port.status();
    entry->device = *std::move(port);
    entry->serial = next_serial_++;
    AssignPollers(entry);
  }
  return absl::OkStatus();
}

absl::Status PortSet::Start() {
  for (auto& [name, entry] : entries_) {
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

absl::Status PortSet::CheckPlug(const PortConfig& config,
                                const std::string& wire,
                                bool wire_may_come) const {
  if (absl::Status status = CheckWords(config); !status.ok()) return status;
  const auto known = entries_.find(config.name);
  if (known != entries_.end() && known->second.number != kNoPort) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a port ", config.name, " already"));
  }
  for (const auto& [name, other] : entries_) {
    const auto& groups = other.config.groups;
    if (std::ranges::find(config.groups, name) != config.groups.end() ||
        std::ranges::find(groups, config.name) != groups.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "port ", config.name, ": a port and a group would have one name, "
          "and rules could not tell them apart"));
    }
    if (name == config.name || other.device == nullptr) continue;
    if (other.config.device_name() == config.device_name()) {
      return absl::AlreadyExistsError(absl::StrCat(
          "port ", name, " already has device ",
          std::string(config.device_name())));
    }
    if (!wire.empty() && other.wire == config.name && name != wire) {
      return absl::FailedPreconditionError(absl::StrCat(
          "port ", name, " has a wire to ", config.name, " already"));
    }
  }
  if (wire.empty()) return absl::OkStatus();
  if (wire == config.name) {
    return absl::InvalidArgumentError(
        absl::StrCat("the wire of ", config.name, " leads back to itself"));
  }
  if (absl::Status status = CheckName(wire); !status.ok()) return status;
  const auto other = entries_.find(wire);
  if (other == entries_.end()) {
    if (wire_may_come) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat(
        "port ", config.name, ": there is no port ", wire,
        " that its wire could lead to; add that one first, without --wire"));
  }
  if (!other->second.wire.empty() && other->second.wire != config.name) {
    return absl::FailedPreconditionError(
        absl::StrCat("port ", wire, " has a wire to ", other->second.wire));
  }
  return absl::OkStatus();
}

absl::StatusOr<PortSet::Entry*> PortSet::Plug(std::unique_ptr<Port> device,
                                              const std::string& wire,
                                              bool pass_non_ip, bool enabled,
                                              bool wire_may_come) {
  const PortConfig config = device->config();
  if (absl::Status status = CheckPlug(config, wire, wire_may_come);
      !status.ok()) {
    return status;
  }
  const uint16_t number = TakeNumber();
  if (number == kNoPort) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kMaxPorts, " ports already"));
  }
  const bool known = Find(config.name) != nullptr;
  absl::StatusOr<Entry*> named = Name(config.name);
  if (!named.ok()) {
    free_numbers_.push_front(number);
    return named.status();
  }
  Entry& entry = **named;
  PortConfig before = std::exchange(entry.config, config);
  if (absl::Status status = Register(&entry); !status.ok()) {
    entry.config = std::move(before);
    free_numbers_.push_front(number);
    Forget(config.name);
    return status;
  }
  entry.device = std::move(device);
  entry.serial = next_serial_++;
  entry.number = number;
  entry.base = SumOf(number);
  if (!known) entry.enabled = enabled;
  AssignPollers(&entry);
  if (!wire.empty()) {
    entry.wire = wire;
    entry.pass_non_ip = pass_non_ip;
    if (Entry* other = Find(wire)) {
      other->wire = config.name;
      other->pass_non_ip = pass_non_ip;
    }
  } else {
    // A port that waits for this one as its other end.
    for (const auto& [name, other] : entries_) {
      if (other.wire != config.name) continue;
      entry.wire = name;
      entry.pass_non_ip = other.pass_non_ip;
    }
  }
  RefreshFacts();
  Guard(&entry, config.guard);
  return &entry;
}

void PortSet::Unplug(
    Entry* entry, absl::AnyInvocable<void(std::unique_ptr<Port>)> release) {
  const uint16_t number = std::exchange(entry->number, kNoPort);
  std::unique_ptr<Port> device = std::move(entry->device);
  if (Entry* other = Find(entry->wire)) other->wire.clear();
  entry->wire.clear();
  Publish();
  grace_->After([this, number, device = std::move(device),
                 release = std::move(release)]() mutable {
    free_numbers_.push_back(number);
    release(std::move(device));
  });
}

std::vector<PortSet::Entry*> PortSet::RemovedByHand() {
  std::vector<Entry*> removed;
  for (auto& [name, entry] : entries_) {
    if (entry.device != nullptr && entry.device->TakeRemoval()) {
      removed.push_back(&entry);
      ++removed_;
    }
  }
  return removed;
}

void PortSet::TakeOut(
    Entry* entry, absl::AnyInvocable<void(std::unique_ptr<Port>)> release) {
  std::unique_ptr<Port> device = std::move(entry->device);
  Publish();
  grace_->After([device = std::move(device),
                 release = std::move(release)]() mutable {
    release(std::move(device));
  });
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
    next->ports[entry.number] = {
        .interface = entry.interface,
        .peer = other != entries_.end() ? other->second.number : kNoPort,
        .port = entry.number,
        .filter = entry.filter,
        .mtu = entry.device != nullptr ? entry.device->config().mtu
                                       : PortConfig().mtu,
        .pass_non_ip = entry.pass_non_ip,
        .up = entry.device != nullptr && entry.device->link().up,
        .enabled = entry.enabled,
        .excluded = entry.excluded,
        .guard = entry.guard.get()};
    // Taken out: nothing can be sent there or come from there.
    if (entry.device == nullptr) continue;
    next->devices[entry.number] = {.ethdev = entry.device->ethdev(),
                                   .rx_queues = entry.device->rx_queues(),
                                   .tx_queues = entry.device->tx_queues(),
                                   .sends_segments =
                                       entry.device->sends_segments(),
                                   .pollers = entry.pollers};
  }
  published_->store(next.get(), std::memory_order_release);
  // Moved into the list, which frees it with the function.
  grace_->After([old = std::move(topology_)] {});
  topology_ = std::move(next);
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
