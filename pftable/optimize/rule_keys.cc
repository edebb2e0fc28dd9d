#include "pftable/optimize/rule_keys.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "pftable/optimize/automatic_tables.h"

namespace sluice {
namespace {

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

RuleKey KeyOf(const Rule& r, TextNumbers& numbers) {
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

void Cut(AddressKey& key, int bits) {
  if (bits == RuleShape::kWhole || bits == RuleShape::kNegated) return;
  if (bits == RuleShape::kNothing) {
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

int AddressShape(const AddressMatch& match) {
  if (match.kind == AddressKind::kAny && !match.negated) {
    return RuleShape::kNothing;
  }
  if (match.negated) return RuleShape::kNegated;
  const int length = NetworkLength(match);
  return length >= 0 ? length : RuleShape::kWhole;
}

bool AddressContains(int super, int sub) {
  // Not even "any" contains what is negated, for pfctl.
  if (super == RuleShape::kNegated || sub == RuleShape::kNegated) {
    return super == sub;
  }
  if (super == RuleShape::kNothing) return true;
  if (super == RuleShape::kWhole) return sub == RuleShape::kWhole;
  return sub >= super;
}

}  // namespace

int NetworkLength(const AddressMatch& match) {
  TableEntry entry;
  return TableEntryOf(match, entry) ? entry.prefix.length : -1;
}

std::vector<RuleKey> KeysOf(const std::vector<Rule>& rules) {
  TextNumbers numbers;
  std::vector<RuleKey> keys;
  keys.reserve(rules.size());
  for (const Rule& rule : rules) keys.push_back(KeyOf(rule, numbers));
  return keys;
}

RuleKey Cut(RuleKey key, const RuleShape& shape) {
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

RuleShape ShapeOf(const Rule& r) {
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

bool MayContain(const RuleShape& super, const RuleShape& sub) {
  return super.on <= sub.on && super.direction <= sub.direction &&
         super.family <= sub.family && super.protocol <= sub.protocol &&
         super.flags <= sub.flags && super.source_port <= sub.source_port &&
         super.destination_port <= sub.destination_port &&
         AddressContains(super.source, sub.source) &&
         AddressContains(super.destination, sub.destination);
}

}  // namespace sluice
