// Ports that come and go: what is refused, and what becomes of their wires.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/host/pci_address.h"
#include "dataplane/ports/port_set.h"
#include "packet/vlan.h"

namespace sluice {

// The words of a port, as the configuration takes them.
absl::Status PortSet::CheckWords(const PortConfig& config) {
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

}  // namespace sluice
