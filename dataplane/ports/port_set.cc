#include "dataplane/ports/port_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/host/pci_address.h"
#include "packet/vlan.h"

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

// The words of a port, as the configuration takes them.
absl::Status CheckWords(const PortConfig& config) {
  if (absl::Status status = CheckName(config.name); !status.ok()) {
    return status;
  }
  if (config.is_logical()) {
    if (config.is_vhost()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", config.name,
          ": a port has a socket for vhost or a parent, not both"));
    }
    const auto fits = [](uint16_t vlan) {
      return vlan >= kMinVlan && vlan <= kMaxVlan;
    };
    if (!config.device.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", config.name, ": a port has a device or a parent, not both"));
    }
    if (!fits(config.tags.outer) ||
        (config.tags.inner != 0 && !fits(config.tags.inner))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", config.name, ": a VLAN has a number from ", kMinVlan,
          " to ", kMaxVlan));
    }
  } else if (config.is_vhost()) {
    if (!config.device.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", config.name,
          ": a port has a device or a socket for vhost, not both"));
    }
    if (absl::Status status = CheckSocketPath(config.vhost.path);
        !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("port ", config.name, ": '",
                       PrintableName(config.vhost.path), "' ",
                       status.message()));
    }
  } else if (!IsPciAddress(config.device_name()) &&
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
      !entry.segment.empty() || !entry.router.empty() || entry.children > 0 || entry.filter != kMainFilter || entry.claims > 0) {
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
    if (name == config.name) continue;
    if (config.is_logical() && other.number != kNoPort &&
        other.config.parent == config.parent &&
        other.config.tags == config.tags) {
      return absl::AlreadyExistsError(absl::StrCat(
          "port ", name, " already has VLAN ",
          ToString(VlanId::Of(config.tags.outer, config.tags.inner)), " of ",
          config.parent, ": remove it, or give another VLAN"));
    }
    if (other.number == kNoPort) continue;
    if (other.device != nullptr &&
        other.config.device_name() == config.device_name()) {
      return absl::AlreadyExistsError(absl::StrCat(
          "port ", name,
          config.is_vhost() ? " already has socket " : " already has device ",
          std::string(config.device_name())));
    }
    if (!wire.empty() && other.wire == config.name && name != wire) {
      return absl::FailedPreconditionError(absl::StrCat(
          "port ", name, " has a wire to ", config.name, " already"));
    }
  }
  if (config.is_logical()) {
    if (absl::Status status = CheckLogical(config); !status.ok()) {
      return status;
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
  if (!other->second.segment.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "port ", wire, " is on segment ", other->second.segment,
        ", and a port is on a wire or on a segment; detach it first"));
  }
  if (!other->second.router.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "port ", wire, " belongs to router ", other->second.router,
        ", and a port is on a wire or of a router; remove and add it without "
        "--router"));
  }
  return absl::OkStatus();
}

absl::Status PortSet::CheckLogical(const PortConfig& config) const {
  const auto parent = entries_.find(config.parent);
  if (parent == entries_.end() || parent->second.number == kNoPort) {
    return absl::NotFoundError(absl::StrCat(
        "port ", config.name, ": there is no port '", config.parent,
        "' that could be its parent; add that one first"));
  }
  if (parent->second.config.is_logical()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "port ", config.name, ": its parent ", config.parent,
        " is a VLAN itself; give that one's parent, and both numbers"));
  }
  return absl::OkStatus();
}

absl::Status PortSet::CheckUnplug(const Entry& entry) const {
  if (entry.children == 0) return absl::OkStatus();
  const auto child = std::ranges::find_if(entries_, [&](const auto& other) {
    return other.second.number != kNoPort &&
           other.second.config.parent == entry.config.name;
  });
  return absl::FailedPreconditionError(absl::StrCat(
      "port ", entry.config.name, " is the parent of ", entry.children,
      " port(s): remove ",
      child != entries_.end() ? child->first : std::string("them"),
      entry.children > 1 ? " and the others first" : " first"));
}

absl::StatusOr<PortSet::Entry*> PortSet::Plug(std::unique_ptr<Port> device,
                                              const std::string& wire,
                                              bool pass_non_ip, bool enabled,
                                              bool wire_may_come) {
  const PortConfig config = device->config();
  return Enter(config, std::move(device), wire, pass_non_ip, enabled,
               wire_may_come);
}

absl::StatusOr<PortSet::Entry*> PortSet::PlugLogical(const PortConfig& config,
                                                     const std::string& wire,
                                                     bool pass_non_ip,
                                                     bool enabled,
                                                     bool wire_may_come) {
  return Enter(config, nullptr, wire, pass_non_ip, enabled, wire_may_come);
}

absl::StatusOr<PortSet::Entry*> PortSet::Enter(const PortConfig& config,
                                               std::unique_ptr<Port> device,
                                               const std::string& wire,
                                               bool pass_non_ip, bool enabled,
                                               bool wire_may_come) {
  if (absl::Status status = CheckPlug(config, wire, wire_may_come);
      !status.ok()) {
    return status;
  }
  const bool logical = config.is_logical();
  std::deque<uint16_t>& free = FreeNumbers(config);
  const uint16_t number = TakeNumber(config);
  if (number == kNoPort) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "there are ",
        logical             ? kMaxLogicalPorts
        : config.is_vhost() ? kMaxVhostPorts
                            : kMaxDevicePorts,
        logical             ? " logical"
        : config.is_vhost() ? " vhost"
                            : "",
        " ports already"));
  }
  const bool known = Find(config.name) != nullptr;
  absl::StatusOr<Entry*> named = Name(config.name);
  if (!named.ok()) {
    free.push_front(number);
    return named.status();
  }
  Entry& entry = **named;
  PortConfig before = std::exchange(entry.config, config);
  if (absl::Status status = Register(&entry); !status.ok()) {
    entry.config = std::move(before);
    free.push_front(number);
    Forget(config.name);
    return status;
  }
  entry.device = std::move(device);
  entry.serial = next_serial_++;
  entry.number = number;
  by_number_[number] = &entry;
  entry.base = SumOf(number);
  if (!known) entry.enabled = enabled;
  if (entry.device != nullptr) AssignPollers(&entry);
  if (logical) ChangeChildren(config.parent);
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
  if (!entry.wire.empty()) SettleAnswers(&entry);
  RefreshFacts(config.name);
  Guard(&entry, config.guard);
  return &entry;
}

void PortSet::SettleAnswers(Entry* entry) {
  Entry* const other = Find(entry->wire);
  entry->answer_arp =
      answering_.contains(EndsOf(entry->config.name, entry->wire)) ||
      (other != nullptr && other->answer_arp);
  if (other != nullptr) other->answer_arp = entry->answer_arp;
}

void PortSet::Unplug(
    Entry* entry, absl::AnyInvocable<void(std::unique_ptr<Port>)> release) {
  const uint16_t number = std::exchange(entry->number, kNoPort);
  by_number_[number] = nullptr;
  std::unique_ptr<Port> device = std::move(entry->device);
  // With the wire goes what is answered for there.
  for (Entry* end : {entry, Find(entry->wire)}) {
    if (end == nullptr) continue;
    retired_own_.push_back(std::exchange(end->own, nullptr));
  }
  // The other end remembers whether, for the one that comes in its place; of a
  // wire of sluice.toml answering_ does, if both go.
  entry->answer_arp = false;
  if (Entry* other = Find(entry->wire)) other->wire.clear();
  entry->wire.clear();
  std::shared_ptr<MacTable> macs;
  const auto segment = segments_.find(entry->segment);
  if (segment != segments_.end()) {
    std::erase(segment->second.config.ports, entry->config.name);
    macs = segment->second.macs;
  }
  entry->segment.clear();
  if (const auto router = routers_.find(entry->router);
      router != routers_.end()) {
    std::erase(router->second.config.ports, entry->config.name);
  }
  entry->router.clear();
  entry->kernel_addresses.clear();
  const bool logical = entry->config.is_logical();
  if (logical) ChangeChildren(entry->config.parent);
  // The name may be forgotten before the workers have heard of it.
  std::unique_ptr<SpoofGuard> guard = std::move(entry->guard);
  Publish();
  grace_->After([number, &free = FreeNumbers(entry->config),
                 macs = std::move(macs),
                 guard = std::move(guard), device = std::move(device),
                 release = std::move(release)]() mutable {
    // No worker learns there any more.
    if (macs != nullptr) macs->ForgetPort(number);
    free.push_back(number);
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
