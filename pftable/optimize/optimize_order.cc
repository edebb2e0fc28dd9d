// The order of the rules of one block: those with a field in common stand
// beside each other, the largest such group first, and within it the same
// again by the other fields. It is what lets a linear scan skip most rules, and
// it is pfctl's to the rule, since the numbers of rules go by it.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "pftable/optimize/optimize.h"
#include "pftable/print/print_internal.h"

namespace sluice {
namespace {

// In the order in which a scan compares them; the earlier is preferred.
enum class Field : uint8_t {
  kInterface,
  kDirection,
  kRdomain,
  kFamily,
  kProtocol,
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
};
constexpr size_t kFields = 9;

// As pfctl compares them: ranges, labels of routes and networks of the zero
// address are like no other, and modifiers of an interface make no difference.
std::string AddressValue(const AddressMatch& match, Family family) {
  const std::string sign = match.negated ? "!" : "";
  switch (match.kind) {
    case AddressKind::kAny:
    case AddressKind::kRange:
    case AddressKind::kRouteLabel:
      return "";
    case AddressKind::kPrefix:
      if (match.address == Address{.family = match.address.family}) return "";
      return sign + AddressText(match) + "/" + ToString(match.mask);
    case AddressKind::kDynamicInterface: {
      const int most = family == Family::kIpv4 ? 32 : 128;
      return sign + "(" + match.name + ")/" +
             std::to_string(std::min<int>(match.dynamic_prefix, most));
    }
    case AddressKind::kNoRoute:
    case AddressKind::kUrpfFailed:
    case AddressKind::kTable:
      return sign + AddressText(match);
  }
  return "";
}

std::string PortValue(const PortMatch& port) {
  if (port.op != CompareOperator::kRange) return PortLabelText(port);
  return std::to_string(port.low) + ":" + std::to_string(port.high);
}

// Empty: the rule does not look at the field.
std::string ValueOf(const Rule& rule, Field field) {
  switch (field) {
    case Field::kInterface:
      if (!rule.on.IsSet()) return "";
      return (rule.on.negated ? "!" : " ") + rule.on.name;
    case Field::kDirection:
      if (rule.direction == Direction::kBoth) return "";
      return rule.direction == Direction::kIn ? "in" : "out";
    case Field::kRdomain:
      if (rule.foreign.on_rdomain < 0) return "";
      return std::to_string(rule.foreign.on_rdomain);
    case Field::kFamily:
      if (rule.family == Family::kNone) return "";
      return rule.family == Family::kIpv4 ? "4" : "6";
    case Field::kProtocol:
      return rule.protocol == 0 ? "" : std::to_string(rule.protocol);
    case Field::kSource:
      return AddressValue(rule.source.address, rule.family);
    case Field::kDestination:
      return AddressValue(rule.destination.address, rule.family);
    case Field::kSourcePort:
      return PortValue(rule.source.port);
    case Field::kDestinationPort:
      return PortValue(rule.destination.port);
  }
  return "";
}

constexpr size_t kNone = ~size_t{0};

// Rules with the same value in a field.
struct FieldGroup {
  std::vector<size_t> rules;  // places in the block, ascending
  size_t left = 0;            // of them that have no place yet
  // Its neighbours among those with as many left.
  size_t before = kNone;
  size_t behind = kNone;
};

// The groups of one field by how many rules they have left, and among equal
// ones as pfctl's sorting has them: a group that grows goes behind those of
// its new size, one that shrinks before them.
class SortedGroups {
 public:
  explicit SortedGroups(size_t rules) : ends_(rules + 1, {kNone, kNone}) {}

  void Append(size_t value, size_t rule) {
    const auto [at, made] = by_value_.try_emplace(value, groups_.size());
    if (made) groups_.emplace_back();
    const size_t g = at->second;
    if (!made) Unlink(g);
    groups_[g].rules.push_back(rule);
    ++groups_[g].left;
    auto& [first, last] = ends_[groups_[g].left];
    groups_[g].before = last;
    (last == kNone ? first : groups_[last].behind) = g;
    last = g;
    largest_ = std::max(largest_, groups_[g].left);
  }
  // Of a rule that has got its place.
  void Remove(size_t value) {
    const auto at = by_value_.find(value);
    if (at == by_value_.end() || groups_[at->second].left == 0) return;
    const size_t g = at->second;
    Unlink(g);
    --groups_[g].left;
    auto& [first, last] = ends_[groups_[g].left];
    groups_[g].behind = first;
    (first == kNone ? last : groups_[first].before) = g;
    first = g;
  }
  // The size of the largest group.
  size_t Largest() {
    while (largest_ > 0 && ends_[largest_].first == kNone) --largest_;
    return largest_;
  }
  // Takes that one out.
  std::vector<size_t> TakeLargest() {
    FieldGroup& group = groups_[ends_[Largest()].first];
    Unlink(ends_[largest_].first);
    group.left = 0;
    return std::move(group.rules);
  }

 private:
  void Unlink(size_t g) {
    FieldGroup& group = groups_[g];
    auto& [first, last] = ends_[group.left];
    (group.before == kNone ? first : groups_[group.before].behind) =
        group.behind;
    (group.behind == kNone ? last : groups_[group.behind].before) =
        group.before;
    group.before = group.behind = kNone;
  }

  absl::flat_hash_map<size_t, size_t> by_value_;
  std::vector<FieldGroup> groups_;
  std::vector<std::pair<size_t, size_t>> ends_;  // by what is left
  size_t largest_ = 0;
};

class Orderer {
 public:
  explicit Orderer(const std::vector<Rule>& rules) {
    values_.resize(rules.size());
    for (size_t i = 0; i < rules.size(); ++i) {
      for (size_t f = 0; f < kFields; ++f) {
        const std::string value = ValueOf(rules[i], static_cast<Field>(f));
        // 0: the rule does not look.
        if (value.empty()) continue;
        values_[i][f] =
            numbers_[f].try_emplace(value, numbers_[f].size() + 1)
                .first->second;
      }
    }
  }

  // Appends the rules of `block` to `out`. With each level at least one field
  // is the same in the whole block, so there are as many levels as fields.
  void Order(const std::vector<size_t>& block, std::vector<size_t>& out) {
    std::vector<SortedGroups> fields;
    for (size_t f = 0; f < kFields; ++f) {
      SortedGroups& groups = fields.emplace_back(block.size());
      for (size_t r = 0; r < block.size(); ++r) {
        const size_t value = values_[block[r]][f];
        if (value != 0) groups.Append(value, r);
      }
      // What all rules of the block share is no reason to move any.
      if (groups.Largest() == block.size()) groups.TakeLargest();
    }
    std::vector<bool> placed(block.size(), false);
    std::vector<size_t> rest;
    while (true) {
      size_t largest = 1;
      size_t field = kNone;
      for (size_t f = 0; f < kFields; ++f) {
        if (fields[f].Largest() <= largest) continue;
        largest = fields[f].Largest();
        field = f;
      }
      if (field == kNone) break;
      std::vector<size_t> taken;
      for (const size_t r : fields[field].TakeLargest()) {
        if (placed[r]) continue;
        placed[r] = true;
        taken.push_back(block[r]);
        for (size_t f = 0; f < kFields; ++f) {
          const size_t value = values_[block[r]][f];
          if (value != 0) fields[f].Remove(value);
        }
      }
      if (taken.size() > 2) {
        Order(taken, out);
      } else {
        rest.insert(rest.end(), taken.begin(), taken.end());
      }
    }
    for (size_t r = 0; r < block.size(); ++r) {
      if (!placed[r]) rest.push_back(block[r]);
    }
    out.insert(out.end(), rest.begin(), rest.end());
  }

 private:
  std::vector<std::array<size_t, kFields>> values_;
  std::array<absl::flat_hash_map<std::string, size_t>, kFields> numbers_;
};

}  // namespace

std::vector<Rule> OrderByCommonFields(std::vector<Rule> rules) {
  if (rules.size() < 3) return rules;
  std::vector<size_t> all(rules.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  std::vector<size_t> order;
  order.reserve(rules.size());
  Orderer(rules).Order(all, order);
  std::vector<Rule> ordered;
  ordered.reserve(rules.size());
  for (const size_t i : order) ordered.push_back(std::move(rules[i]));
  return ordered;
}

}  // namespace sluice
