#include "pftable/optimize/optimize.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "pftable/optimize/rule_keys.h"

namespace sluice {
namespace {

// From so many rules on, a table is faster than rules one by one.
constexpr size_t kTableThreshold = 6;

// Dropping rules that others contain asks once for each shape of a rule that
// the block has. Real blocks have a handful; hostile ones stop being searched.
constexpr size_t kMostShapes = 256;

bool HasDigitAtEnd(const std::string& name) {
  return name.back() >= '0' && name.back() <= '9';
}

// As pfctl tells them apart: interfaces end in a digit.
bool IsGroup(const InterfaceMatch& on) {
  return on.IsSet() && !HasDigitAtEnd(on.name);
}

// Pools are alike if they are written alike, but for the key that pf chooses
// for each statement.
bool HasOwnKey(const std::optional<Pool>& pool) {
  return pool && pool->method == PoolMethod::kSourceHash &&
         pool->hash_key.empty();
}

// A rule that is neither moved nor merged.
bool IsBarrier(const Rule& r) {
  const StateOptions& o = r.state_options;
  return r.IsAnchorCall() || !r.labels.empty() || r.probability != 0 ||
         r.once || r.max_pkt_rate.IsSet() || HasOwnKey(r.nat) ||
         HasOwnKey(r.rdr) || HasOwnKey(r.route_pool) ||
         o.max_states != 0 || o.max_src_nodes != 0 || o.max_src_states != 0 ||
         o.max_src_conn != 0 || o.max_src_conn_rate.IsSet() ||
         o.source_track == SourceTrack::kRule ||
         r.tag.find('$') != std::string::npos ||
         r.tagged.find('$') != std::string::npos;
}

// The rule without the conditions in which rules of one block may differ.
Rule Effects(const Rule& rule) {
  Rule r = rule;
  r.family = Family::kNone;
  r.on = {};
  r.direction = Direction::kBoth;
  r.tagged.clear();
  r.tagged_negated = false;
  r.os.clear();
  r.user = {};
  r.group = {};
  r.protocol = 0;
  r.icmp_type.reset();
  r.icmp_code.reset();
  r.flags = {};
  r.tos.reset();
  r.source = {};
  r.destination = {};
  r.foreign.rtable = -1;
  r.foreign.on_rdomain = -1;
  r.place = {};
  return r;
}

// Step 1. Of equal rules the first stays.
void RemoveContained(std::vector<Rule>& rules) {
  const std::vector<RuleKey> keys = KeysOf(rules);
  // Shapes by number, and the keys of the rules that have it.
  absl::flat_hash_map<RuleShape, size_t> numbers;
  std::vector<RuleShape> shapes;
  std::vector<absl::flat_hash_set<RuleKey>> of_shape;
  std::vector<size_t> shape_of(rules.size());
  std::vector<bool> keep(rules.size(), true);
  for (size_t i = 0; i < rules.size(); ++i) {
    const RuleShape shape = ShapeOf(rules[i]);
    const auto [at, made] = numbers.try_emplace(shape, shapes.size());
    if (made) {
      shapes.push_back(shape);
      of_shape.emplace_back();
    }
    shape_of[i] = at->second;
    keep[i] = of_shape[at->second].insert(keys[i]).second;
  }
  if (shapes.size() > 1 && shapes.size() <= kMostShapes) {
    std::vector<std::vector<size_t>> supers(shapes.size());
    for (size_t sub = 0; sub < shapes.size(); ++sub) {
      for (size_t super = 0; super < shapes.size(); ++super) {
        if (super != sub && MayContain(shapes[super], shapes[sub])) {
          supers[sub].push_back(super);
        }
      }
    }
    for (size_t i = 0; i < rules.size(); ++i) {
      if (!keep[i]) continue;
      for (const size_t super : supers[shape_of[i]]) {
        if (of_shape[super].contains(Cut(keys[i], shapes[super]))) {
          keep[i] = false;
          break;
        }
      }
    }
  }
  size_t at = 0;
  std::erase_if(rules, [&](const Rule&) { return !keep[at++]; });
}

// Rules that differ in one address, by what they have in common.
struct Group {
  std::vector<size_t> rules;  // ascending
  size_t first_free = 0;      // all before it are taken or passed
};

struct Side {
  absl::flat_hash_map<RuleKey, size_t> numbers;
  std::vector<Group> groups;
  std::vector<size_t> of;  // by rule; kNoGroup if its address is no network
};
constexpr size_t kNoGroup = ~size_t{0};

Side GroupBy(const std::vector<Rule>& rules, const std::vector<RuleKey>& keys,
             bool by_source) {
  Side side;
  side.of.resize(rules.size(), kNoGroup);
  RuleShape shape;
  (by_source ? shape.source : shape.destination) = RuleShape::kNothing;
  for (size_t i = 0; i < rules.size(); ++i) {
    const AddressMatch& address = by_source ? rules[i].source.address
                                            : rules[i].destination.address;
    if (NetworkLength(address) < 0) continue;
    const auto [at, made] = side.numbers.try_emplace(Cut(keys[i], shape),
                                                     side.groups.size());
    if (made) side.groups.emplace_back();
    side.of[i] = at->second;
    side.groups[at->second].rules.push_back(i);
  }
  return side;
}

constexpr size_t kNoRule = ~size_t{0};

// The nearest rule behind `rule` that is in its group and still free. Asked in
// ascending order of rules.
size_t NextFree(Side& side, size_t rule, const std::vector<bool>& taken) {
  if (side.of[rule] == kNoGroup) return kNoRule;
  Group& group = side.groups[side.of[rule]];
  size_t& at = group.first_free;
  while (at < group.rules.size() &&
         (group.rules[at] <= rule || taken[group.rules[at]])) {
    ++at;
  }
  return at < group.rules.size() ? group.rules[at] : kNoRule;
}

// Step 2.
void CombineIntoTables(std::vector<Rule>& rules, AutomaticTables& tables) {
  const std::vector<RuleKey> keys = KeysOf(rules);
  Side sources = GroupBy(rules, keys, true);
  Side destinations = GroupBy(rules, keys, false);
  std::vector<bool> taken(rules.size(), false);
  std::vector<bool> keep(rules.size(), true);
  for (size_t i = 0; i < rules.size(); ++i) {
    if (taken[i]) continue;
    // As in pfctl the nearest rule that fits decides which address it is.
    const size_t by_source = NextFree(sources, i, taken);
    const size_t by_destination = NextFree(destinations, i, taken);
    if (by_source == by_destination) continue;  // none
    const bool source = by_source < by_destination;
    const Group& group = source ? sources.groups[sources.of[i]]
                                : destinations.groups[destinations.of[i]];
    std::vector<size_t> members;
    for (size_t at = group.first_free; at < group.rules.size(); ++at) {
      if (!taken[group.rules[at]]) members.push_back(group.rules[at]);
    }
    for (const size_t m : members) taken[m] = true;
    if (members.size() + 1 < kTableThreshold ||
        !tables.HasRoom(members.size() + 1)) {
      tables.SkipNumber();
      continue;
    }
    std::vector<TableEntry> entries;
    const auto address = [&](size_t rule) -> AddressMatch& {
      return source ? rules[rule].source.address
                    : rules[rule].destination.address;
    };
    TableEntry entry;
    TableEntryOf(address(i), entry);
    entries.push_back(entry);
    for (const size_t m : members) {
      TableEntryOf(address(m), entry);
      entries.push_back(entry);
      keep[m] = false;
    }
    AddressMatch table;
    table.kind = AddressKind::kTable;
    table.name = tables.Add(std::move(entries), rules[i].place);
    address(i) = std::move(table);
  }
  size_t at = 0;
  std::erase_if(rules, [&](const Rule&) { return !keep[at++]; });
}

void OptimizeBlock(std::vector<Rule>& block, std::string_view path,
                   const RulePackets& profile, AutomaticTables& tables) {
  if (block.size() < 2) return;
  RemoveContained(block);
  CombineIntoTables(block, tables);
  if (profile && block[0].quick) {
    std::vector<std::pair<uint64_t, Rule>> counted;
    for (Rule& rule : block) {
      const uint64_t packets = profile(rule, path);
      counted.emplace_back(packets, std::move(rule));
    }
    std::stable_sort(counted.begin(), counted.end(),
                     [](const auto& a, const auto& b) {
                       return a.first > b.first;
                     });
    for (size_t i = 0; i < block.size(); ++i) {
      block[i] = std::move(counted[i].second);
    }
    return;
  }
  block = OrderByCommonFields(std::move(block));
}

void OptimizeAnchor(Anchor& anchor, const std::string& path,
                    const RulePackets& profile, AutomaticTables& tables) {
  std::vector<Rule> rules = std::move(anchor.rules.filter);
  anchor.rules.filter.clear();
  anchor.rules.filter.reserve(rules.size());
  std::vector<Rule> block;
  Rule effects;
  const auto flush = [&] {
    OptimizeBlock(block, path, profile, tables);
    for (Rule& rule : block) anchor.rules.filter.push_back(std::move(rule));
    block.clear();
  };
  for (Rule& rule : rules) {
    const bool barrier = IsBarrier(rule);
    Rule own;
    if (!barrier) own = Effects(rule);
    const bool joins =
        !block.empty() && !barrier && own == effects &&
        ((!IsGroup(rule.on) && !IsGroup(block[0].on)) ||
         rule.on.name == block[0].on.name);
    if (!joins) {
      flush();
      effects = std::move(own);
    }
    block.push_back(std::move(rule));
    // A barrier is a block of its own.
    if (barrier) flush();
  }
  flush();
  // The room of rules that are gone would stay with the policy.
  if (anchor.rules.filter.size() < rules.size() / 2) {
    anchor.rules.filter.shrink_to_fit();
  }
  ForEachChild(anchor, [&](Anchor& child) {
    OptimizeAnchor(child, path.empty() ? child.name : path + "/" + child.name,
                   profile, tables);
  });
}

}  // namespace

void OptimizePolicy(Policy& policy, RulesetOptimization level,
                    const RulePackets& profile, AutomaticTables& tables) {
  if (level == RulesetOptimization::kNone) return;
  OptimizeAnchor(policy.main, "",
                 level == RulesetOptimization::kProfile ? profile
                                                        : RulePackets(),
                 tables);
}

}  // namespace sluice
