#include "pftable/engine/interface_registry.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"

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
  return a.prefix < b.prefix;
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
  if (known == ports_.end() && ports_.size() >= kMaxInterfaces) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no number left for interface ", std::string(name)));
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
  if (known == ports_.end()) {
    names_.emplace_back(name);
    known = ports_.emplace(std::string(name), Port()).first;
    known->second.id = static_cast<uint16_t>(names_.size());
  }
  Port& port = known->second;
  port.present = true;
  port.groups = 0;
  for (const std::string& group : groups) port.groups |= groups_.at(group);
  port.addresses.assign(addresses.begin(), addresses.end());
  ++version_;
  FreeGroups();
  return InterfaceView{.id = port.id, .groups = port.groups};
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
  ++version_;
  FreeGroups();
  return absl::OkStatus();
}

uint64_t InterfaceRegistry::OldestHeld() const {
  // Their owners let go on any thread and say nothing.
  while (!held_.empty()) {
    const std::shared_ptr<const InterfaceEpoch> oldest = held_.front().lock();
    if (oldest != nullptr) return oldest->version;
    held_.pop_front();
  }
  return version_;
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
  for (const auto& [port_name, port] : ports_) {
    if (name == "self" || name == port_name || (port.groups & bit) != 0) {
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

uint64_t InterfaceRegistry::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::shared_ptr<const InterfaceEpoch> InterfaceRegistry::Hold() const {
  const std::lock_guard lock(mutex_);
  if (!held_.empty()) {
    std::shared_ptr<const InterfaceEpoch> newest = held_.back().lock();
    if (newest != nullptr && newest->version == version_) return newest;
  }
  auto epoch =
      std::make_shared<const InterfaceEpoch>(InterfaceEpoch{version_});
  OldestHeld();  // lets go of what nobody holds
  held_.push_back(epoch);
  return epoch;
}

}  // namespace sluice
