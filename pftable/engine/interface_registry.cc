#include "pftable/engine/interface_registry.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "pftable/engine/route_view.h"

namespace sluice {
namespace {

absl::Status CheckName(std::string_view what, std::string_view name) {
  if (name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("an empty name for ", std::string(what)));
  }
  if (name.size() > InterfaceRegistry::kMaxNameLength) {
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(what), " name too long, max ",
        InterfaceRegistry::kMaxNameLength, " chars: ", std::string(name)));
  }
  if (name == "any" || name == "self") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(name),
                     "\" has a meaning in rules and cannot name ",
                     std::string(what)));
  }
  return absl::OkStatus();
}

bool Before(const InterfaceRegistry::PortAddress& a,
            const InterfaceRegistry::PortAddress& b) {
  if (a.prefix != b.prefix) return a.prefix < b.prefix;
  return a.primary && !b.primary;
}

std::vector<InterfaceRegistry::PortAddress> WithPrimaries(
    std::span<const InterfaceRegistry::PortAddress> addresses) {
  std::vector<InterfaceRegistry::PortAddress> all(addresses.begin(),
                                                  addresses.end());
  bool seen4 = false;
  bool seen6 = false;
  for (InterfaceRegistry::PortAddress& one : all) {
    const Address& address = one.prefix.address;
    bool& seen = address.family == Family::kIpv4 ? seen4 : seen6;
    one.primary = !seen && !IsOfOneLink(address);
    seen = seen || one.primary;
  }
  return all;
}

}  // namespace

absl::StatusOr<InterfaceView> InterfaceRegistry::AddPort(
    std::string_view name, std::span<const std::string> groups,
    std::span<const PortAddress> addresses) {
  if (absl::Status s = CheckName("an interface", name); !s.ok()) return s;
  for (const std::string& group : groups) {
    if (absl::Status s = CheckName("a group", group); !s.ok()) return s;
  }

  const std::lock_guard lock(mutex_);
  auto known = ports_.find(name);
  if (known == ports_.end() && ports_.size() >= max_interfaces_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no number left for interface ", std::string(name), ": ", gone_,
        " are those of interfaces that are no more but that states remember"));
  }
  std::vector<std::string> fresh;
  for (const std::string& group : groups) {
    if (!groups_.contains(group) &&
        std::find(fresh.begin(), fresh.end(), group) == fresh.end()) {
      fresh.push_back(group);
    }
  }
  size_t room = FreeBits();
  for (const std::string& group : fresh) {
    // What it had before is its own in any case.
    const bool kept = std::any_of(
        free_bits_.begin(), free_bits_.end(), [&](const FreeBit& free) {
          return free.name == group && free.version > OldestHeld();
        });
    if (kept) ++room;
  }
  if (fresh.size() > room) {
    const auto waiting = std::count_if(
        free_bits_.begin(), free_bits_.end(),
        [this](const FreeBit& free) { return free.version > OldestHeld(); });
    return absl::ResourceExhaustedError(absl::StrCat(
        "interface ", std::string(name), ": more than ", kMaxGroups, " groups",
        waiting == 0 ? ""
                     : absl::StrCat(", with ", waiting,
                                    " that no port is in any more but rules "
                                    "still know: try again")));
  }

  for (std::string& group : fresh) {
    const uint64_t bit = TakeBit(group);
    groups_.emplace(std::move(group), bit);
  }
  const bool is_new = known == ports_.end();
  if (is_new) {
    known = ports_.emplace(std::string(name), Port()).first;
    if (names_.size() < max_interfaces_) {
      names_.emplace_back(name);
      known->second.id = static_cast<uint16_t>(names_.size());
    } else {
      known->second.id = free_ids_.front();
      free_ids_.pop_front();
      names_[known->second.id - 1] = std::string(name);
    }
    known->second.present = true;
  }
  Port& port = known->second;
  uint64_t bits = 0;
  for (const std::string& group : groups) bits |= groups_.at(group);
  // Rules that name it stay as they are compiled if only addresses change.
  const bool same = !is_new && port.present && port.groups == bits;
  if (!port.present) --gone_;
  port.present = true;
  port.groups = bits;
  port.addresses = WithPrimaries(addresses);
  if (!same) ++version_;
  ++address_version_;
  FreeGroups();
  return InterfaceView{.id = port.id, .groups = port.groups};
}

absl::Status InterfaceRegistry::SetAddresses(
    std::string_view name, std::span<const PortAddress> addresses) {
  const std::lock_guard lock(mutex_);
  const auto port = ports_.find(name);
  if (port == ports_.end() || !port->second.present) {
    return absl::NotFoundError(
        absl::StrCat("no interface ", std::string(name)));
  }
  port->second.addresses = WithPrimaries(addresses);
  ++address_version_;
  return absl::OkStatus();
}

absl::Status InterfaceRegistry::RemovePort(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto port = ports_.find(name);
  if (port == ports_.end() || !port->second.present) {
    return absl::NotFoundError(
        absl::StrCat("no interface ", std::string(name)));
  }
  port->second.present = false;
  port->second.groups = 0;
  port->second.addresses.clear();
  port->second.gone_since = ++version_;
  ++address_version_;
  ++gone_;
  FreeGroups();
  return absl::OkStatus();
}

uint64_t InterfaceRegistry::OldestHeld() const {
  return epochs_.Oldest(version_);
}

size_t InterfaceRegistry::FreeBits() const {
  const uint64_t oldest = OldestHeld();
  return static_cast<size_t>(std::popcount(~given_bits_)) +
         static_cast<size_t>(std::count_if(
             free_bits_.begin(), free_bits_.end(),
             [oldest](const FreeBit& free) { return free.version <= oldest; }));
}

uint64_t InterfaceRegistry::TakeBit(const std::string& group) {
  auto found = std::find_if(
      free_bits_.begin(), free_bits_.end(),
      [&group](const FreeBit& free) { return free.name == group; });
  if (found == free_bits_.end() && ~given_bits_ != 0) {
    const uint64_t bit = ~given_bits_ & (given_bits_ + 1);
    given_bits_ |= bit;
    return bit;
  }
  if (found == free_bits_.end()) {
    // The one that is free for longest, and known to nobody.
    found = free_bits_.begin();
  }
  const uint64_t bit = found->bit;
  free_bits_.erase(found);
  return bit;
}

void InterfaceRegistry::FreeGroups() {
  uint64_t used = 0;
  for (const auto& [name, port] : ports_) used |= port.groups;
  for (auto group = groups_.begin(); group != groups_.end();) {
    if ((used & group->second) != 0) {
      ++group;
      continue;
    }
    free_bits_.push_back(
        {.bit = group->second, .name = group->first, .version = version_});
    group = groups_.erase(group);
  }
}

InterfaceName InterfaceRegistry::Resolve(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  InterfaceName result;
  if (const auto port = ports_.find(name);
      port != ports_.end() && port->second.present) {
    result.id = port->second.id;
  }
  if (const auto group = groups_.find(name); group != groups_.end()) {
    result.groups = group->second;
  }
  return result;
}

std::vector<InterfaceRegistry::PortAddress> InterfaceRegistry::Addresses(
    std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto group = groups_.find(name);
  const uint64_t bit = group != groups_.end() ? group->second : 0;
  std::vector<PortAddress> result;
  if (name != "self" && bit == 0) {
    // Very many rules may name very many ports.
    const auto port = ports_.find(name);
    if (port != ports_.end()) result = port->second.addresses;
  } else {
    for (const auto& [port_name, port] : ports_) {
      if (name != "self" && name != port_name && (port.groups & bit) == 0) {
        continue;
      }
      result.insert(result.end(), port.addresses.begin(),
                    port.addresses.end());
    }
  }
  std::sort(result.begin(), result.end(), Before);
  result.erase(std::unique(result.begin(), result.end(),
                           [](const PortAddress& a, const PortAddress& b) {
                             return a.prefix == b.prefix;
                           }),
               result.end());
  return result;
}

std::vector<InterfaceView> InterfaceRegistry::Views() const {
  const std::lock_guard lock(mutex_);
  std::vector<InterfaceView> views;
  for (const auto& [name, port] : ports_) {
    if (port.present) views.push_back({.id = port.id, .groups = port.groups});
  }
  return views;
}

std::string InterfaceRegistry::NameOf(uint16_t id) const {
  const std::lock_guard lock(mutex_);
  return id == 0 || id > names_.size() ? std::string() : names_[id - 1];
}

std::vector<InterfaceRegistry::GonePort> InterfaceRegistry::Gone() const {
  const std::lock_guard lock(mutex_);
  const uint64_t oldest = OldestHeld();
  std::vector<GonePort> gone;
  for (const auto& [name, port] : ports_) {
    if (!port.present && port.gone_since <= oldest) {
      gone.push_back({.id = port.id, .since = port.gone_since});
    }
  }
  return gone;
}

size_t InterfaceRegistry::gone_count() const {
  const std::lock_guard lock(mutex_);
  return gone_;
}

void InterfaceRegistry::Forget(std::span<const GonePort> ports) {
  const std::lock_guard lock(mutex_);
  for (const GonePort& gone : ports) {
    const auto port = ports_.find(names_[gone.id - 1]);
    if (port == ports_.end() || port->second.present ||
        port->second.gone_since != gone.since) {
      continue;
    }
    ports_.erase(port);
    names_[gone.id - 1].clear();
    free_ids_.push_back(gone.id);
    --gone_;
  }
}

uint64_t InterfaceRegistry::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

uint64_t InterfaceRegistry::address_version() const {
  const std::lock_guard lock(mutex_);
  return address_version_;
}

std::shared_ptr<const Epoch> InterfaceRegistry::Hold() const {
  const std::lock_guard lock(mutex_);
  return epochs_.Hold(version_);
}

}  // namespace sluice
