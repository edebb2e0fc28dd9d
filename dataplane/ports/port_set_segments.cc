// Segments: which ports are on them, and what is known of their hosts.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/ports/port_set.h"

namespace sluice {
namespace {

// A call of AgeMacs() looks at so much: the largest table takes some seconds.
constexpr uint32_t kBucketsALook = 1024;

absl::Status NoSegment(const std::string& name) {
  return absl::NotFoundError(
      absl::StrCat("there is no segment '", name, "'; `sluicectl segment list` "
                   "shows those that there are"));
}

}  // namespace

std::string PortSet::NameOf(uint16_t number) const {
  const Entry* const entry =
      number < by_number_.size() ? by_number_[number] : nullptr;
  return entry != nullptr ? entry->config.name : "";
}

absl::Status PortSet::CheckAttach(const std::string& segment,
                                  const std::string& port) const {
  if (!segments_.contains(segment)) return NoSegment(segment);
  if (!IsPortName(port) || IsReservedName(port)) {
    return absl::InvalidArgumentError(
        absl::StrCat("segment ", segment, ": '", port.substr(0, kMaxPortName),
                     "' cannot name a port"));
  }
  const auto known = entries_.find(port);
  // A port's wire may lead to one that is to come, which gets it then.
  if (known == entries_.end() || known->second.wire.empty()) {
    for (const auto& [name, other] : entries_) {
      if (other.wire != port) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "segment ", segment, ": port ", name, " has a wire to ", port,
          ", and a port is on a wire or on a segment; remove ", name,
          " and add it without --wire"));
    }
  }
  if (known == entries_.end()) return absl::OkStatus();
  if (!known->second.segment.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "segment ", segment, ": port ", port, " is on segment ",
        known->second.segment, known->second.segment == segment
                                   ? " already"
                                   : " already; detach it there first"));
  }
  if (!known->second.wire.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "segment ", segment, ": port ", port, " is on a wire to ",
        known->second.wire,
        ", and a port is on a wire or on a segment; remove and add it without "
        "--wire"));
  }
  if (!known->second.router.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "segment ", segment, ": port ", port, " belongs to router ",
        known->second.router,
        ", and a port is on a segment or of a router; remove and add it "
        "without --router"));
  }
  return absl::OkStatus();
}

absl::Status PortSet::AddSegment(const SegmentConfig& config,
                                 bool configured) {
  if (!IsPortName(config.name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a segment cannot be named '", config.name.substr(0, kMaxPortName),
        "': use a letter, then letters, digits, '_', '-' and '.', at most ",
        kMaxPortName, " bytes"));
  }
  if (segments_.contains(config.name)) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a segment ", config.name, " already"));
  }
  if (free_segments_.empty()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kMaxSegments, " segments already"));
  }
  SegmentEntry& made = segments_[config.name];
  const auto undo = [&](absl::Status status) {
    segments_.erase(config.name);
    return status;
  };
  made.config = config;
  made.config.ports.clear();
  for (size_t i = 0; i < config.ports.size(); ++i) {
    const std::string& port = config.ports[i];
    if (std::find(config.ports.begin(), config.ports.begin() + i, port) !=
        config.ports.begin() + i) {
      return undo(absl::InvalidArgumentError(absl::StrCat(
          "segment ", config.name, ": port ", port, " is named twice")));
    }
    const auto known = entries_.find(port);
    if (known == entries_.end() || known->second.number == kNoPort) {
      return undo(absl::NotFoundError(absl::StrCat(
          "segment ", config.name, ": there is no port ", port,
          "; add it first, or with --segment later")));
    }
    if (absl::Status s = CheckAttach(config.name, port); !s.ok()) {
      return undo(s);
    }
  }
  for (const SegmentConfig::Fixed& fixed : config.fixed) {
    if (fixed.mac.IsGroup() || fixed.mac.value == 0) {
      return undo(absl::InvalidArgumentError(absl::StrCat(
          "segment ", config.name, ": ", ToString(fixed.mac),
          " is no address of a host")));
    }
    // The port itself may come later.
    if (!IsPortName(fixed.port)) {
      return undo(absl::InvalidArgumentError(absl::StrCat(
          "segment ", config.name, ": ", ToString(fixed.mac),
          " has to be behind a port")));
    }
  }
  made.configured = configured;
  made.number = free_segments_.front();
  free_segments_.pop_front();
  made.macs = std::make_shared<MacTable>(
      MacTable::Options{.capacity = config.macs,
                        .age = config.age * 1000,
                        .per_port = config.macs_per_port,
                        .seed = mac_seed_});
  for (const std::string& port : config.ports) {
    Entry& entry = *Find(port);
    entry.segment = config.name;
    entry.pass_non_ip = config.pass_non_ip;
    made.config.ports.push_back(port);
    Fix(made, port);
  }
  Publish();
  return absl::OkStatus();
}

// The addresses that are fixed behind a port that has just come.
void PortSet::Fix(const SegmentEntry& segment, const std::string& port) {
  for (const SegmentConfig::Fixed& fixed : segment.config.fixed) {
    if (fixed.port != port) continue;
    if (segment.macs->Fix(fixed.mac, Find(port)->number)) continue;
    LogWarning("segment {}: no room for {}", segment.config.name,
               ToString(fixed.mac));
  }
}

absl::Status PortSet::RemoveSegment(const std::string& name) {
  const auto found = segments_.find(name);
  if (found == segments_.end()) return NoSegment(name);
  for (const std::string& port : found->second.config.ports) {
    Entry& entry = *Find(port);
    entry.segment.clear();
    entry.pass_non_ip = true;
  }
  const uint16_t number = found->second.number;
  segments_.erase(found);
  Publish();
  grace_->After([this, number] { free_segments_.push_back(number); });
  return absl::OkStatus();
}

absl::Status PortSet::Attach(const std::string& segment,
                             const std::string& port) {
  if (absl::Status s = CheckAttach(segment, port); !s.ok()) return s;
  Entry* const entry = Find(port);
  if (entry == nullptr || entry->number == kNoPort) {
    return absl::NotFoundError(absl::StrCat(
        "segment ", segment, ": there is no port ", port,
        "; add it first, or with --segment"));
  }
  SegmentEntry& of = segments_.find(segment)->second;
  of.config.ports.push_back(port);
  entry->segment = segment;
  entry->pass_non_ip = of.config.pass_non_ip;
  Fix(of, port);
  Publish();
  return absl::OkStatus();
}

absl::Status PortSet::Detach(const std::string& segment,
                             const std::string& port) {
  const auto found = segments_.find(segment);
  if (found == segments_.end()) return NoSegment(segment);
  Entry* const entry = Find(port);
  if (entry == nullptr || entry->segment != segment) {
    return absl::FailedPreconditionError(absl::StrCat(
        "segment ", segment, ": port ", port, " is not on it"));
  }
  std::erase(found->second.config.ports, port);
  entry->segment.clear();
  entry->pass_non_ip = true;
  Publish();
  found->second.macs->ForgetPort(entry->number);
  // Workers that have the topology before still learn there.
  grace_->After([this, segment, port, macs = found->second.macs,
                 number = entry->number] {
    const Entry* const again = Find(port);
    if (again != nullptr && again->number == number &&
        again->segment == segment) {
      return;
    }
    macs->ForgetPort(number);
  });
  return absl::OkStatus();
}

absl::Status PortSet::FixMac(const std::string& segment, LinkAddress mac,
                             const std::string& port) {
  const auto found = segments_.find(segment);
  if (found == segments_.end()) return NoSegment(segment);
  if (mac.IsGroup() || mac.value == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "segment ", segment, ": ", ToString(mac),
        " is no address of a host"));
  }
  Entry* const entry = Find(port);
  if (entry == nullptr || entry->segment != segment ||
      entry->number == kNoPort) {
    return absl::FailedPreconditionError(absl::StrCat(
        "segment ", segment, ": port ", port, " is not on it; attach it first"));
  }
  auto& all = found->second.config.fixed;
  const auto known = std::ranges::find(all, mac, &SegmentConfig::Fixed::mac);
  if (known == all.end() && all.size() >= kMaxFixedMacs) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "segment ", segment, ": ", kMaxFixedMacs,
        " addresses are fixed already; free some"));
  }
  if (!found->second.macs->Fix(mac, entry->number)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "segment ", segment, ": its table has no room for ", ToString(mac),
        "; give it more `macs`"));
  }
  if (known != all.end()) {
    known->port = port;
  } else {
    all.push_back({.mac = mac, .port = port});
  }
  return absl::OkStatus();
}

absl::Status PortSet::UnfixMac(const std::string& segment, LinkAddress mac) {
  const auto found = segments_.find(segment);
  if (found == segments_.end()) return NoSegment(segment);
  if (std::erase_if(found->second.config.fixed,
                    [&](const SegmentConfig::Fixed& fixed) {
                      return fixed.mac == mac;
                    }) == 0) {
    return absl::NotFoundError(absl::StrCat("segment ", segment, ": ",
                                            ToString(mac), " is not fixed"));
  }
  static_cast<void>(found->second.macs->Unfix(mac));
  return absl::OkStatus();
}

absl::Status PortSet::ForgetMacs(const std::string& segment) {
  const auto found = segments_.find(segment);
  if (found == segments_.end()) return NoSegment(segment);
  found->second.macs->ForgetLearnt();
  return absl::OkStatus();
}

void PortSet::AgeMacs(Tick now) {
  auto at = segments_.find(aged_);
  if (at == segments_.end()) {
    at = segments_.upper_bound(aged_);
    age_cursor_ = 0;
  }
  size_t left = segments_.size();
  for (uint32_t budget = kBucketsALook; budget > 0 && left > 0;) {
    if (at == segments_.end()) {
      at = segments_.begin();
      age_cursor_ = 0;
    }
    MacTable& macs = *at->second.macs;
    const uint32_t some =
        std::min(budget, macs.buckets() - std::min(age_cursor_, macs.buckets()));
    macs.Age(now, some, &age_cursor_);
    aged_ = at->first;
    budget -= some;
    if (age_cursor_ < macs.buckets()) break;
    ++at;
    age_cursor_ = 0;
    --left;
    if (at != segments_.end()) aged_ = at->first;
  }
}

void PortSet::PublishSegments(Topology* next) const {
  for (const auto& [name, segment] : segments_) {
    if (next->segments.size() <= segment.number) {
      next->segments.resize(segment.number + size_t{1});
    }
    Segment& of = next->segments[segment.number];
    of.macs = segment.macs;
    of.flood_unknown = segment.config.flood_unknown;
    of.flood_multicast = segment.config.flood_multicast;
    of.flood_broadcast = segment.config.flood_broadcast;
    for (const std::string& port : segment.config.ports) {
      const auto entry = entries_.find(port);
      if (entry == entries_.end() || entry->second.number == kNoPort) continue;
      of.ports.push_back(entry->second.number);
      next->ports[entry->second.number].segment = segment.number;
    }
  }
}

}  // namespace sluice
