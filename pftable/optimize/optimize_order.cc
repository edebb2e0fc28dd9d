// The order of the rules of one block: those with a field in common stand
// beside each other, the largest such group first, and within it the same
// again by the other fields. It is what lets a linear scan skip most rules.
#include <array>
#include <cstddef>
#include <cstdint>
#include <queue>
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

std::string AddressValue(const AddressMatch& match) {
  if (match.kind == AddressKind::kAny) return "";
  std::string text = match.negated ? "!" : "";
  return text + AddressText(match) +
         (match.kind == AddressKind::kPrefix ? "/" + ToString(match.mask)
                                             : std::string());
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
      return AddressValue(rule.source.address);
    case Field::kDestination:
      return AddressValue(rule.destination.address);
    case Field::kSourcePort:
      return PortLabelText(rule.source.port);
    case Field::kDestinationPort:
      return PortLabelText(rule.destination.port);
  }
  return "";
}

struct FieldGroup {
  size_t field = 0;
  std::vector<size_t> rules;  // ascending
  size_t left = 0;            // of them that have no place yet
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
    std::vector<FieldGroup> groups = GroupsOf(block);
    std::array<std::vector<size_t>, kFields> of;  // by place in the block
    for (auto& list : of) list.assign(block.size(), kNone);
    using Candidate = std::pair<size_t, size_t>;  // rules left, ~group
    std::priority_queue<Candidate> queue;
    for (size_t g = 0; g < groups.size(); ++g) {
      for (const size_t r : groups[g].rules) of[groups[g].field][r] = g;
      queue.emplace(groups[g].left, ~g);
    }
    std::vector<bool> placed(block.size(), false);
    std::vector<size_t> rest;
    while (!queue.empty()) {
      const auto [left, inverse] = queue.top();
      queue.pop();
      const size_t g = ~inverse;
      if (left != groups[g].left) {
        // Others have taken rules of it since.
        if (groups[g].left > 1) queue.emplace(groups[g].left, inverse);
        continue;
      }
      if (left < 2) break;
      std::vector<size_t> taken;
      for (const size_t r : groups[g].rules) {
        if (placed[r]) continue;
        placed[r] = true;
        taken.push_back(block[r]);
        for (size_t f = 0; f < kFields; ++f) {
          if (of[f][r] != kNone) --groups[of[f][r]].left;
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
  static constexpr size_t kNone = ~size_t{0};

  // Rules with the same value in a field, by field and then by first rule.
  // Left out: what all rules of the block share, and what only one rule has.
  std::vector<FieldGroup> GroupsOf(const std::vector<size_t>& block) const {
    std::vector<FieldGroup> groups;
    for (size_t f = 0; f < kFields; ++f) {
      absl::flat_hash_map<size_t, size_t> by_value;
      const size_t first = groups.size();
      for (size_t r = 0; r < block.size(); ++r) {
        const size_t value = values_[block[r]][f];
        if (value == 0) continue;
        const auto [at, made] = by_value.try_emplace(value, groups.size());
        if (made) groups.push_back({.field = f, .rules = {}, .left = 0});
        groups[at->second].rules.push_back(r);
      }
      for (size_t g = first; g < groups.size(); ++g) {
        const size_t count = groups[g].rules.size();
        groups[g].left = count < block.size() ? count : 0;
      }
    }
    std::erase_if(groups, [](const FieldGroup& g) { return g.left < 2; });
    return groups;
  }

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
