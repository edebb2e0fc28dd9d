// Segments, as the control socket asks for them.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/forward/mac_table.h"
#include "dataplane/workers/plane.h"
#include "packet/link_address.h"

namespace sluice {
namespace {

SegmentSpec SpecOf(const SegmentConfig& config) {
  SegmentSpec spec = {.name = config.name,
                      .ports = config.ports,
                      .pass_non_ip = config.pass_non_ip,
                      .flood_unknown = config.flood_unknown,
                      .flood_multicast = config.flood_multicast,
                      .flood_broadcast = config.flood_broadcast,
                      .macs = config.macs,
                      .macs_per_port = config.macs_per_port,
                      .age = config.age};
  for (const SegmentConfig::Fixed& fixed : config.fixed) {
    spec.fixed.push_back({.mac = ToString(fixed.mac), .port = fixed.port});
  }
  return spec;
}

absl::StatusOr<LinkAddress> MacOf(std::string_view text) {
  const std::optional<LinkAddress> mac = ParseLinkAddress(text);
  if (mac) return *mac;
  return absl::InvalidArgumentError(absl::StrCat(
      "'", View(text.substr(0, 32)),
      "' is no link address: write it as 00:53:00:00:00:01"));
}

}  // namespace

std::vector<SegmentListing> FilterRegistry::Segments(std::string_view after,
                                                     size_t limit) {
  std::vector<SegmentListing> listings;
  const auto& segments = ports_.segments();
  for (auto at = segments.upper_bound(after);
       at != segments.end() && listings.size() < limit; ++at) {
    const MacTable& macs = *at->second.macs;
    const MacTable::Counts counts = macs.counts();
    listings.push_back({.spec = SpecOf(at->second.config),
                        .known = macs.size(),
                        .capacity = macs.capacity(),
                        .learnt = counts.learnt,
                        .moved = counts.moved,
                        .aged = counts.aged,
                        .refused_full = counts.full,
                        .refused_limit = counts.limit,
                        .refused_fixed = counts.fixed});
  }
  return listings;
}

absl::StatusOr<std::vector<MacListing>> FilterRegistry::SegmentMacs(
    std::string_view name, std::string_view after, size_t limit) {
  const auto segment = ports_.segments().find(name);
  if (segment == ports_.segments().end()) {
    return absl::NotFoundError(
        absl::StrCat("there is no segment '", View(name), "'"));
  }
  std::optional<LinkAddress> last;
  if (!after.empty()) {
    const absl::StatusOr<LinkAddress> mac = MacOf(after);
    if (!mac.ok()) return mac.status();
    last = *mac;
  }
  // Of those that have left the segment none.
  const auto name_of = [&](uint16_t number) -> std::string {
    std::string port = ports_.NameOf(number);
    const PortSet::Entry* const entry = ports_.Find(port);
    return entry != nullptr && entry->segment == name ? port : std::string();
  };
  std::vector<MacListing> listings;
  for (const MacTable::Entry& entry : segment->second.macs->EntriesAfter(
           last, limit, environment_.plane->clock.Now())) {
    listings.push_back({.mac = ToString(entry.mac),
                        .port = name_of(entry.port),
                        .fixed = entry.fixed,
                        .age = entry.age});
  }
  return listings;
}

absl::Status FilterRegistry::AddSegment(const SegmentSpec& spec) {
  SegmentConfig config = {.name = spec.name,
                          .ports = spec.ports,
                          .pass_non_ip = spec.pass_non_ip,
                          .flood_unknown = spec.flood_unknown,
                          .flood_multicast = spec.flood_multicast,
                          .flood_broadcast = spec.flood_broadcast,
                          .macs = spec.macs,
                          .macs_per_port = spec.macs_per_port,
                          .age = spec.age};
  for (const FixedMac& fixed : spec.fixed) {
    const absl::StatusOr<LinkAddress> mac = MacOf(fixed.mac);
    if (!mac.ok()) return mac.status();
    config.fixed.push_back({.mac = *mac, .port = fixed.port});
  }
  if (absl::Status s = ports_.AddSegment(config, /*configured=*/false);
      !s.ok()) {
    return s;
  }
  LogInfo("segment {}: made, {} ports", spec.name, spec.ports.size());
  return absl::OkStatus();
}

absl::Status FilterRegistry::RemoveSegment(std::string_view name) {
  if (absl::Status s = ports_.RemoveSegment(std::string(name)); !s.ok()) {
    return s;
  }
  LogInfo("segment {}: removed", name);
  return absl::OkStatus();
}

absl::Status FilterRegistry::AttachPort(std::string_view segment,
                                        std::string_view port) {
  if (absl::Status s =
          ports_.Attach(std::string(segment), std::string(port));
      !s.ok()) {
    return s;
  }
  const auto added = added_ports_.find(std::string(port));
  if (added != added_ports_.end()) added->second.segment = segment;
  LogInfo("segment {}: port {} attached", segment, port);
  return absl::OkStatus();
}

absl::Status FilterRegistry::DetachPort(std::string_view segment,
                                        std::string_view port) {
  if (absl::Status s =
          ports_.Detach(std::string(segment), std::string(port));
      !s.ok()) {
    return s;
  }
  const auto added = added_ports_.find(std::string(port));
  if (added != added_ports_.end()) added->second.segment.clear();
  LogInfo("segment {}: port {} detached", segment, port);
  return absl::OkStatus();
}

absl::Status FilterRegistry::FixMac(std::string_view segment,
                                    std::string_view mac,
                                    std::string_view port) {
  const absl::StatusOr<LinkAddress> address = MacOf(mac);
  if (!address.ok()) return address.status();
  if (port.empty()) return ports_.UnfixMac(std::string(segment), *address);
  return ports_.FixMac(std::string(segment), *address, std::string(port));
}

absl::Status FilterRegistry::ForgetMacs(std::string_view segment) {
  return ports_.ForgetMacs(std::string(segment));
}

std::vector<SegmentSpec> FilterRegistry::added_segments() const {
  std::vector<SegmentSpec> segments;
  for (const auto& [name, segment] : ports_.segments()) {
    if (segment.configured) continue;
    SegmentSpec spec = SpecOf(segment.config);
    // Ports that orders have added say themselves where they are, as they come
    // after it.
    std::erase_if(spec.ports, [this](const std::string& port) {
      return added_ports_.contains(port);
    });
    segments.push_back(std::move(spec));
  }
  return segments;
}

}  // namespace sluice
