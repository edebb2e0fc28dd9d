#include "pftable/optimize.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

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

// A rule that is neither moved nor merged.
bool IsBarrier(const Rule& r) {
  const StateOptions& o = r.state_options;
  return r.IsAnchorCall() || !r.labels.empty() || r.probability != 0 ||
         r.once || r.max_pkt_rate.IsSet() || r.nat || r.rdr || r.route_pool ||
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

int Length(const AddressMatch& match) {
  TableEntry entry;
  return TableEntryOf(match, entry) ? entry.prefix.length : -1;
}

// What of a rule's conditions goes into a key; what does not is `any`. An
// address of a network may be cut to fewer bits.
struct Shape {
  bool on = true;
  bool direction = true;
  bool family = true;
  bool protocol = true;
  bool flags = true;
  bool source_port = true;
  bool destination_port = true;
  // Bits of the network; kWhole: the address as it is, kNothing: any.
  int source = kWhole;
  int destination = kWhole;

  static constexpr int kWhole = -1;
  static constexpr int kNothing = -2;

  friend bool operator==(const Shape&, const Shape&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Shape& s) {
    return H::combine(std::move(h), s.on, s.direction, s.family, s.protocol,
                      s.flags, s.source_port, s.destination_port, s.source,
                      s.destination);
  }
};

class Key {
 public:
  void Number(uint64_t value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Text(std::string_view value) {
    Number(value.size());
    text_ += value;
  }
  void Bits(const Address& address) {
    text_.append(reinterpret_cast<const char*>(address.bytes.data()),
                 address.bytes.size());
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void AddAddress(const AddressMatch& match, int bits, Key& key) {
  if (bits == Shape::kNothing) {
    key.Number(255);
    return;
  }
  key.Number(static_cast<uint64_t>(match.kind));
  if (bits != Shape::kWhole) {
    const Address mask = MaskOf(match.mask.family, bits);
    key.Number(static_cast<uint64_t>(mask.family));
    key.Bits(And(match.address, mask));
    key.Bits(mask);
    return;
  }
  if (match.kind == AddressKind::kPrefix) {
    key.Number(static_cast<uint64_t>(match.mask.family));
    key.Bits(match.address);
    key.Bits(match.mask);
  } else {
    key.Bits(match.address);
    key.Bits(match.range_end);
    key.Text(match.name);
    key.Number(match.dynamic_prefix);
    key.Number(match.modifiers.network + 2u * match.modifiers.broadcast +
               4u * match.modifiers.peer + 8u * match.modifiers.no_alias);
  }
  key.Number(match.negated);
}

void AddPort(const PortMatch& port, Key& key) {
  key.Number(static_cast<uint64_t>(port.op));
  key.Number(port.low | uint64_t{port.high} << 16);
}

void AddId(const IdMatch& id, Key& key) {
  key.Number(static_cast<uint64_t>(id.op));
  key.Number(id.low | uint64_t{id.high} << 32);
}

// Two rules of one block with equal keys match the same packets.
std::string KeyOf(const Rule& r, const Shape& shape = {}) {
  Key key;
  key.Text(shape.on ? r.on.name : "");
  key.Number(r.on.negated);
  key.Number(shape.direction ? static_cast<uint64_t>(r.direction)
                             : static_cast<uint64_t>(Direction::kBoth));
  key.Number(shape.family ? static_cast<uint64_t>(r.family)
                          : static_cast<uint64_t>(Family::kNone));
  key.Number(shape.protocol ? r.protocol : 0);
  key.Number(shape.flags ? r.flags.set | uint64_t{r.flags.mask} << 8 : 0);
  AddPort(shape.source_port ? r.source.port : PortMatch(), key);
  AddPort(shape.destination_port ? r.destination.port : PortMatch(), key);
  AddAddress(r.source.address, shape.source, key);
  AddAddress(r.destination.address, shape.destination, key);
  key.Text(r.tagged);
  key.Number(r.tagged_negated);
  key.Text(r.os);
  AddId(r.user, key);
  AddId(r.group, key);
  key.Number(r.icmp_type ? *r.icmp_type + 1u : 0u);
  key.Number(r.icmp_code ? *r.icmp_code + 1u : 0u);
  key.Number(r.tos ? *r.tos + 1u : 0u);
  key.Number(static_cast<uint64_t>(r.foreign.rtable) << 32 |
             static_cast<uint32_t>(r.foreign.on_rdomain));
  return key.Take();
}

int AddressShape(const AddressMatch& match) {
  if (match.kind == AddressKind::kAny && !match.negated) {
    return Shape::kNothing;
  }
  const int length = Length(match);
  return length >= 0 ? length : Shape::kWhole;
}

Shape ShapeOf(const Rule& r) {
  return {.on = r.on.IsSet(),
          .direction = r.direction != Direction::kBoth,
          .family = r.family != Family::kNone,
          .protocol = r.protocol != 0,
          .flags = r.flags.mask != 0,
          .source_port = r.source.port.IsSet(),
          .destination_port = r.destination.port.IsSet(),
          .source = AddressShape(r.source.address),
          .destination = AddressShape(r.destination.address)};
}

bool AddressContains(int super, int sub) {
  if (super == Shape::kNothing) return true;
  if (super == Shape::kWhole) return sub == Shape::kWhole;
  return sub >= super;
}

// Whether a rule of shape `super` may contain one of shape `sub`.
bool MayContain(const Shape& super, const Shape& sub) {
  return super.on <= sub.on && super.direction <= sub.direction &&
         super.family <= sub.family && super.protocol <= sub.protocol &&
         super.flags <= sub.flags && super.source_port <= sub.source_port &&
         super.destination_port <= sub.destination_port &&
         AddressContains(super.source, sub.source) &&
         AddressContains(super.destination, sub.destination);
}

// Step 1. Of equal rules the first stays.
void RemoveContained(std::vector<Rule>& rules) {
  absl::flat_hash_map<Shape, absl::flat_hash_set<std::string>> by_shape;
  std::vector<bool> keep(rules.size(), true);
  std::vector<Shape> shapes;
  for (size_t i = 0; i < rules.size(); ++i) {
    const Shape shape = ShapeOf(rules[i]);
    const auto [at, made] = by_shape.try_emplace(shape);
    if (made) shapes.push_back(shape);
    keep[i] = at->second.insert(KeyOf(rules[i], shape)).second;
  }
  if (shapes.size() > 1 && shapes.size() <= kMostShapes) {
    absl::flat_hash_map<Shape, std::vector<Shape>> supers;
    for (const Shape& sub : shapes) {
      for (const Shape& super : shapes) {
        if (!(super == sub) && MayContain(super, sub)) {
          supers[sub].push_back(super);
        }
      }
    }
    for (size_t i = 0; i < rules.size(); ++i) {
      const auto found = supers.find(ShapeOf(rules[i]));
      if (!keep[i] || found == supers.end()) continue;
      for (const Shape& super : found->second) {
        if (by_shape[super].contains(KeyOf(rules[i], super))) {
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
  absl::flat_hash_map<std::string, Group> groups;
  std::vector<Group*> of;  // by rule; null if its address is no network
};

Side GroupBy(const std::vector<Rule>& rules, bool by_source) {
  Side side;
  std::vector<std::string> keys(rules.size());
  const Shape shape = {.source = by_source ? Shape::kNothing : Shape::kWhole,
                       .destination =
                           by_source ? Shape::kWhole : Shape::kNothing};
  for (size_t i = 0; i < rules.size(); ++i) {
    const AddressMatch& address = by_source ? rules[i].source.address
                                            : rules[i].destination.address;
    if (Length(address) < 0) continue;
    keys[i] = KeyOf(rules[i], shape);
    side.groups[keys[i]].rules.push_back(i);
  }
  side.of.resize(rules.size(), nullptr);
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!keys[i].empty()) side.of[i] = &side.groups[keys[i]];
  }
  return side;
}

constexpr size_t kNoRule = ~size_t{0};

// The nearest rule behind `rule` that is in its group and still free. Asked in
// ascending order of rules.
size_t NextFree(Group* group, size_t rule, const std::vector<bool>& taken) {
  if (group == nullptr) return kNoRule;
  size_t& at = group->first_free;
  while (at < group->rules.size() &&
         (group->rules[at] <= rule || taken[group->rules[at]])) {
    ++at;
  }
  return at < group->rules.size() ? group->rules[at] : kNoRule;
}

// Step 2.
void CombineIntoTables(std::vector<Rule>& rules, AutomaticTables& tables) {
  if (rules.size() < kTableThreshold) return;
  Side sources = GroupBy(rules, true);
  Side destinations = GroupBy(rules, false);
  std::vector<bool> taken(rules.size(), false);
  std::vector<bool> keep(rules.size(), true);
  for (size_t i = 0; i < rules.size(); ++i) {
    if (taken[i]) continue;
    // As in pfctl the nearest rule that fits decides which address it is.
    const size_t by_source = NextFree(sources.of[i], i, taken);
    const size_t by_destination = NextFree(destinations.of[i], i, taken);
    if (by_source == by_destination) continue;  // none
    const bool source = by_source < by_destination;
    const Group& group = source ? *sources.of[i] : *destinations.of[i];
    std::vector<size_t> members;
    for (size_t at = group.first_free; at < group.rules.size(); ++at) {
      if (!taken[group.rules[at]]) members.push_back(group.rules[at]);
    }
    for (const size_t m : members) taken[m] = true;
    if (members.size() + 1 < kTableThreshold ||
        !tables.HasRoom(members.size() + 1)) {
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
  for (Anchor& child : anchor.children) {
    OptimizeAnchor(child, path.empty() ? child.name : path + "/" + child.name,
                   profile, tables);
  }
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
