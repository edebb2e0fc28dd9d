#include "pftable/classify/transport.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "pftable/engine/scan.h"

namespace sluice::classify {
namespace {

// What a build may take: about a second.
constexpr size_t kMostTests = 100'000'000;

bool Holds(const TransportCondition& c, const PacketInfo& packet) {
  const bool fragment = packet.has(kFragment);
  if (!c.any_protocol && c.protocol != packet.proto) return false;
  if (fragment) {
    return !c.ports && !c.icmp_type && !c.icmp_code && !c.owner &&
           (c.flags_mask == 0 || packet.proto != protocol::kTcp);
  }
  if (c.fragments_only) return false;
  if (packet.proto == protocol::kTcp &&
      (packet.tcp_flags & c.flags_mask) != c.flags_set) {
    return false;
  }
  if (c.ports && !HasPorts(packet)) return false;
  const bool icmp = IsIcmp(packet);
  if (c.icmp_type && (!icmp || *c.icmp_type != packet.icmp_type)) return false;
  if (c.icmp_code && (!icmp || *c.icmp_code != packet.icmp_code)) return false;
  return !c.keeps_state || !IsIcmpReply(packet);
}

// Makes classes of packets by what conditions hold for them.
class Sorter {
 public:
  Sorter(std::span<const std::vector<TransportCondition>> conditions,
         std::span<const uint32_t> numbers, RowBuilder& rows,
         HoldBits& bits)
      : conditions_(conditions),
        rules_(conditions.size()),
        rows_(rows),
        bits_(bits) {
    bits_.Start(conditions.size());
    for (uint32_t rule = 0; rule < numbers.size(); ++rule) {
      if (!conditions[numbers[rule]].empty()) {
        rules_[numbers[rule]].push_back(rule);
      }
    }
  }

  uint16_t ClassOf(const PacketInfo& packet) {
    std::vector<bool> holds(conditions_.size());
    for (size_t i = 0; i < conditions_.size(); ++i) {
      holds[i] = std::ranges::all_of(
          conditions_[i],
          [&](const TransportCondition& c) { return Holds(c, packet); });
    }
    const auto [it, fresh] = known_.try_emplace(holds, 0);
    if (fresh) {
      Toggle(holds);
      // Combinations that differ in lists of no rule are one class.
      it->second = rows_.Class();
      Toggle(holds);
      if (it->second == classes_) {
        bits_.Add(holds);
        ++classes_;
      }
      most_ = std::max(most_, it->second);
    }
    return static_cast<uint16_t>(it->second);
  }
  // Conditions may name so many different things that classes have no number.
  bool fits() const { return most_ <= std::numeric_limits<uint16_t>::max(); }

 private:
  void Toggle(const std::vector<bool>& holds) {
    for (size_t i = 0; i < holds.size(); ++i) {
      if (!holds[i]) continue;
      for (const uint32_t rule : rules_[i]) rows_.Toggle(rule);
    }
  }

  const std::span<const std::vector<TransportCondition>> conditions_;
  std::vector<std::vector<uint32_t>> rules_;  // by number of conditions
  RowBuilder& rows_;
  HoldBits& bits_;
  uint32_t classes_ = 0;
  std::map<std::vector<bool>, uint32_t> known_;
  uint32_t most_ = 0;
};

}  // namespace

bool TransportClasses::Build(
    Family family,
    std::span<const std::vector<TransportCondition>> conditions,
    std::span<const uint32_t> numbers, RowBuilder& rows) {
  icmp_protocol_ =
      family == Family::kIpv4 ? protocol::kIcmp : protocol::kIcmp6;
  Sorter sorter(conditions, numbers, rows, holds_);
  // Types and codes that no condition names are all alike, but for what is an
  // answer to something.
  std::array<bool, 256> types{}, codes{};
  for (const std::vector<TransportCondition>& list : conditions) {
    for (const TransportCondition& c : list) {
      if (c.icmp_type) types[*c.icmp_type] = true;
      if (c.icmp_code) codes[*c.icmp_code] = true;
    }
  }
  const size_t points = 1000 + (std::ranges::count(types, true) + 2) *
                                   (std::ranges::count(codes, true) + 1);
  if (points * conditions.size() > kMostTests) return false;
  std::map<std::vector<uint16_t>, uint16_t> pages;
  std::map<bool, uint16_t> unnamed;  // pages, by whether it is an answer
  for (uint32_t n = 0; n < 256; ++n) {
    const uint8_t value = static_cast<uint8_t>(n);
    PacketInfo packet{};
    packet.kind = Kind::kIp;
    packet.family = family;
    packet.proto = value;
    others_[n] = sorter.ClassOf(packet);
    packet.flags = kFragment;
    fragments_[n] = sorter.ClassOf(packet);
    packet.flags = 0;
    packet.proto = protocol::kTcp;
    packet.tcp_flags = value;
    tcp_[n] = sorter.ClassOf(packet);
    packet.tcp_flags = 0;
    packet.proto = icmp_protocol_;
    packet.icmp_type = value;
    const bool answer = IsIcmpReply(packet);
    if (!types[n] && unnamed.contains(answer)) {
      icmp_pages_[n] = unnamed[answer];
      continue;
    }
    std::vector<uint16_t> page(256);
    std::optional<uint16_t> other;
    for (uint32_t code = 0; code < 256; ++code) {
      if (!codes[code] && other) {
        page[code] = *other;
        continue;
      }
      packet.icmp_code = static_cast<uint8_t>(code);
      page[code] = sorter.ClassOf(packet);
      if (!codes[code]) other = page[code];
    }
    const auto [it, fresh] = pages.try_emplace(
        std::move(page), static_cast<uint16_t>(pages.size()));
    if (fresh) icmp_.insert(icmp_.end(), it->first.begin(), it->first.end());
    icmp_pages_[n] = it->second;
    if (!types[n]) unnamed[answer] = it->second;
  }
  return sorter.fits();
}

}  // namespace sluice::classify
