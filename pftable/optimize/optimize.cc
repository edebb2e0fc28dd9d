#include "pftable/optimize/optimize.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
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

// Numbers texts from 1, equal ones alike. The empty text is 0.
class TextNumbers {
 public:
  uint32_t Of(std::string text) {
    if (text.empty()) return 0;
    const auto next = static_cast<uint32_t>(numbers_.size() + 1);
    return numbers_.try_emplace(std::move(text), next).first->second;
  }

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

struct AddressKey {
  std::array<uint8_t, 16> bytes{};  // of a network, the rest of them zero
  uint32_t other = 0;               // the number of what is no network
  Family family = Family::kNone;    // of a network; all zero: any address
  uint8_t length = 0;

  friend bool operator==(const AddressKey&, const AddressKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const AddressKey& k) {
    return H::combine(std::move(h), k.bytes, k.other, k.family, k.length);
  }
};

// A rule's conditions. Two rules of one block with equal keys match the same
// packets; what a rule does not look at is zero.
struct Key {
  uint32_t on = 0;    // numbers of texts
  uint32_t rest = 0;  // of all that is not here
  AddressKey source;
  AddressKey destination;
  PortMatch source_port;
  PortMatch destination_port;
  TcpFlagsMatch flags;
  Direction direction = Direction::kBoth;
  Family family = Family::kNone;
  uint8_t protocol = 0;

  friend bool operator==(const Key&, const Key&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Key& k) {
    return H::combine(std::move(h), k.on, k.rest, k.source, k.destination,
                      k.source_port.op, k.source_port.low, k.source_port.high,
                      k.destination_port.op, k.destination_port.low,
                      k.destination_port.high, k.flags.set, k.flags.mask,
                      k.direction, k.family, k.protocol);
  }
};

AddressKey KeyOf(const AddressMatch& match, TextNumbers& numbers) {
  AddressKey key;
  if (match.kind == AddressKind::kAny && !match.negated) return key;
  TableEntry entry;
  if (TableEntryOf(match, entry)) {
    key.bytes = entry.prefix.Masked().address.bytes;
    key.family = entry.prefix.address.family;
    key.length = entry.prefix.length;
    return key;
  }
  std::string text;
  const auto add = [&text](const auto& bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  text += static_cast<char>(match.kind);
  text += static_cast<char>(match.negated);
  text += static_cast<char>(match.dynamic_prefix);
  text += static_cast<char>(match.modifiers.network |
                            match.modifiers.broadcast << 1 |
                            match.modifiers.peer << 2 |
                            match.modifiers.no_alias << 3);
  for (const Address* address :
       {&match.address, &match.mask, &match.range_end}) {
    text += static_cast<char>(address->family);
    add(address->bytes);
  }
  add(match.name);
  key.other = numbers.Of(std::move(text));
  return key;
}

Key KeyOf(const Rule& r, TextNumbers& numbers) {
  std::string rest;
  const auto number = [&rest](uint64_t value) {
    rest.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const auto optional = [&number](const std::optional<uint8_t>& value) {
    number(value ? *value + 1u : 0u);
  };
  number(r.on.negated);
  number(r.tagged.size());
  rest += r.tagged;
  number(r.tagged_negated);
  number(r.os.size());
  rest += r.os;
  for (const IdMatch& id : {r.user, r.group}) {
    number(static_cast<uint64_t>(id.op));
    number(id.low | uint64_t{id.high} << 32);
  }
  optional(r.icmp_type);
  optional(r.icmp_code);
  optional(r.tos);
  number(static_cast<uint64_t>(r.foreign.rtable) << 32 |
         static_cast<uint32_t>(r.foreign.on_rdomain));
  return {.on = numbers.Of(r.on.name),
          .rest = numbers.Of(std::move(rest)),
          .source = KeyOf(r.source.address, numbers),
          .destination = KeyOf(r.destination.address, numbers),
          .source_port = r.source.port,
          .destination_port = r.destination.port,
          .flags = r.flags,
          .direction = r.direction,
          .family = r.family,
          .protocol = r.protocol};
}

std::vector<Key> KeysOf(const std::vector<Rule>& rules) {
  TextNumbers numbers;
  std::vector<Key> keys;
  keys.reserve(rules.size());
  for (const Rule& rule : rules) keys.push_back(KeyOf(rule, numbers));
  return keys;
}

void Cut(AddressKey& key, int bits) {
  if (bits == Shape::kWhole) return;
  if (bits == Shape::kNothing) {
    key = {};
    return;
  }
  key.length = static_cast<uint8_t>(bits);
  for (int i = 0; i < 16; ++i) {
    const int left = std::clamp(bits - 8 * i, 0, 8);
    key.bytes[static_cast<size_t>(i)] &=
        static_cast<uint8_t>(0xff00 >> left);
  }
}

// What is left of a key that a shape does not have is none.
Key Cut(Key key, const Shape& shape) {
  if (!shape.on) key.on = 0;
  if (!shape.direction) key.direction = Direction::kBoth;
  if (!shape.family) key.family = Family::kNone;
  if (!shape.protocol) key.protocol = 0;
  if (!shape.flags) key.flags = {};
  if (!shape.source_port) key.source_port = {};
  if (!shape.destination_port) key.destination_port = {};
  Cut(key.source, shape.source);
  Cut(key.destination, shape.destination);
  return key;
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
  const std::vector<Key> keys = KeysOf(rules);
  // Shapes by number, and the keys of the rules that have it.
  absl::flat_hash_map<Shape, size_t> numbers;
  std::vector<Shape> shapes;
  std::vector<absl::flat_hash_set<Key>> of_shape;
  std::vector<size_t> shape_of(rules.size());
  std::vector<bool> keep(rules.size(), true);
  for (size_t i = 0; i < rules.size(); ++i) {
    const Shape shape = ShapeOf(rules[i]);
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
  absl::flat_hash_map<Key, size_t> numbers;
  std::vector<Group> groups;
  std::vector<size_t> of;  // by rule; kNoGroup if its address is no network
};
constexpr size_t kNoGroup = ~size_t{0};

Side GroupBy(const std::vector<Rule>& rules, const std::vector<Key>& keys,
             bool by_source) {
  Side side;
  side.of.resize(rules.size(), kNoGroup);
  const Shape shape = {.source = by_source ? Shape::kNothing : Shape::kWhole,
                       .destination =
                           by_source ? Shape::kWhole : Shape::kNothing};
  for (size_t i = 0; i < rules.size(); ++i) {
    const AddressMatch& address = by_source ? rules[i].source.address
                                            : rules[i].destination.address;
    if (Length(address) < 0) continue;
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
  if (rules.size() < kTableThreshold) return;
  const std::vector<Key> keys = KeysOf(rules);
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
