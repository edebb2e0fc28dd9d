#include "pftable/compile/lint.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/classify/classify.h"
#include "pftable/classify/rule_fields.h"
#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

// Pairs of rules that are compared.
constexpr uint64_t kMostPairs = 50'000'000;

using Bytes = std::array<uint8_t, 16>;

Bytes Last(const AddressCondition& prefix) {
  Bytes last;
  for (size_t i = 0; i < last.size(); ++i) {
    last[i] = static_cast<uint8_t>(prefix.first[i] | ~prefix.second[i]);
  }
  return last;
}

bool AddressCovers(const AddressCondition& outer,
                   const AddressCondition& inner) {
  using Kind = AddressCondition::Kind;
  if (outer.kind == Kind::kAny && !outer.negated) return true;
  if (outer == inner) return true;
  if (outer.negated || inner.negated) return false;
  if (outer.kind != Kind::kPrefix && outer.kind != Kind::kRange) return false;
  if (inner.kind != Kind::kPrefix && inner.kind != Kind::kRange) return false;
  if (outer.kind == Kind::kPrefix && inner.kind == Kind::kPrefix) {
    // Masks may have gaps.
    for (size_t i = 0; i < outer.first.size(); ++i) {
      if ((outer.second[i] & ~inner.second[i]) != 0 ||
          (inner.first[i] & outer.second[i]) != outer.first[i]) {
        return false;
      }
    }
    return true;
  }
  // Of a mask with gaps these are not all between them, which is no harm to
  // an outer range, and an outer prefix is not asked.
  if (outer.kind == Kind::kPrefix) return false;
  const Bytes last =
      inner.kind == Kind::kPrefix ? Last(inner) : inner.second;
  return std::memcmp(outer.first.data(), inner.first.data(), last.size()) <=
             0 &&
         std::memcmp(outer.second.data(), last.data(), last.size()) >= 0;
}

bool PortCovers(const PortCondition& outer, const PortCondition& inner) {
  if (!outer.is_set) return true;
  if (!inner.is_set) return false;
  if (outer == inner) return true;
  return !outer.inverted && !inner.inverted && outer.low <= inner.low &&
         outer.high >= inner.high;
}

bool FlagsCover(const CompiledRule& outer, const CompiledRule& inner) {
  if (outer.flags_mask == 0) return true;
  // Other protocols have no flags. An inner rule that asks for none matches
  // fragments of TCP, too, which the outer does not.
  if (inner.flags_mask == 0) {
    return !inner.any_protocol && inner.protocol != protocol::kTcp;
  }
  return (outer.flags_mask & ~inner.flags_mask) == 0 &&
         (inner.flags_set & outer.flags_mask) == outer.flags_set;
}

bool IcmpCovers(const CompiledRule& outer, const CompiledRule& inner) {
  if (outer.has_icmp_type &&
      (!inner.has_icmp_type || inner.icmp_type != outer.icmp_type)) {
    return false;
  }
  return !outer.has_icmp_code ||
         (inner.has_icmp_code && inner.icmp_code == outer.icmp_code);
}

bool MakesStrictState(const CompiledRule& rule) {
  return rule.state != StateKind::kNone &&
         (rule.state_flags & kStateSloppy) == 0;
}

// Answers to ICMP queries do not match a rule that would make a state of them.
bool ReplyCovers(const CompiledRule& outer, const CompiledRule& inner) {
  if (!MakesStrictState(outer) || MakesStrictState(inner)) return true;
  return !inner.any_protocol && inner.protocol != protocol::kIcmp &&
         inner.protocol != protocol::kIcmp6;
}

class Linter {
 public:
  Linter(const CompiledPolicy& policy,
         std::span<const InterfaceView> interfaces, size_t limit)
      : policy_(policy), interfaces_(interfaces), limit_(limit) {
    for (const CompiledRule& rule : policy.rules) {
      const bool is_match = !rule.is_call && rule.action == RuleAction::kMatch;
      if (is_match && (rule.quick || rule.log_matches)) later_wins_ = false;
    }
  }

  std::vector<Diagnostic> Run() {
    CheckTables(policy_.source->main, "");
    for (const CompiledRuleset& ruleset : policy_.rulesets) {
      CheckRuleset(ruleset);
      if (found_.size() >= limit_) break;
    }
    return std::move(found_);
  }

 private:
  void CheckTables(const Anchor& anchor, const std::string& path) {
    for (const TableDefinition& table : anchor.tables) {
      if (table.persist ||
          CountReferences(policy_, {.anchor = path, .name = table.name}) > 0) {
        continue;
      }
      Warn(table.place,
           absl::StrCat("no rule names table <", table.name,
                        ">, which goes without `persist`"),
           "");
    }
    for (const Anchor& child : anchor.children) {
      CheckTables(child, path.empty() ? child.name
                                      : absl::StrCat(path, "/", child.name));
    }
  }

  void CheckRuleset(const CompiledRuleset& ruleset) {
    const uint64_t size = ruleset.end - ruleset.begin;
    // From here on rules may see other packets than those before.
    uint32_t seen_alike = ruleset.begin;
    for (uint32_t i = ruleset.begin; i < ruleset.end; ++i) {
      const CompiledRule& rule = policy_.rules[i];
      if (!rule.is_call && rule.action == RuleAction::kMatch &&
          classify::FieldsOf(rule).unknown) {
        seen_alike = i + 1;
      }
      if (found_.size() >= limit_) return;
      if (rule.never || rule.is_call) continue;
      if (size * size / 2 <= kMostPairs) {
        CheckAll(ruleset, seen_alike, i);
      } else {
        CheckCandidates(ruleset, seen_alike, i);
      }
    }
  }

  void CheckAll(const CompiledRuleset& ruleset, uint32_t first, uint32_t i) {
    for (uint32_t k = first; k < i; ++k) {
      if (Shadows(k, i)) return;
    }
    for (uint32_t k = i + 1; k < ruleset.end; ++k) {
      const CompiledRule& later = policy_.rules[k];
      if (!later.is_call && later.action == RuleAction::kMatch &&
          classify::FieldsOf(later).unknown) {
        return;
      }
      if (Overrules(k, i)) return;
    }
  }

  // Of those that a packet of the rule may match.
  void CheckCandidates(const CompiledRuleset& ruleset, uint32_t first,
                       uint32_t i) {
    if (policy_.classifier == nullptr || ruleset.begin != first) return;
    const std::optional<Sample> sample = SampleOf(policy_.rules[i]);
    if (!sample) return;
    const PacketInfo* packet = &sample->packet;
    Candidates candidates;
    FindCandidates(*policy_.classifier, sample->direction, sample->interface,
                   {&packet, 1}, cache_, {&candidates, 1});
    if (candidates.part == nullptr) return;
    for (uint32_t c = 0; c < candidates.list.count; ++c) {
      const uint32_t k =
          candidates.part->entries[candidates.list.entries[c]].rule;
      if (k < ruleset.begin || k >= ruleset.end || k == i) continue;
      if (k < i ? Shadows(k, i) : Overrules(k, i)) return;
    }
  }

  // Rule `earlier` ends evaluation before `i`.
  bool Shadows(uint32_t earlier, uint32_t i) {
    const CompiledRule& outer = policy_.rules[earlier];
    if (outer.is_call || !outer.quick || IsSamePlace(earlier, i) ||
        !Covers(outer, policy_.rules[i])) {
      return false;
    }
    Tell(i, earlier, "this rule is never reached: line ", " is quick and "
                     "matches all that it matches");
    return true;
  }
  // Rule `later` decides whatever `i` would have.
  bool Overrules(uint32_t later, uint32_t i) {
    const CompiledRule& rule = policy_.rules[i];
    const CompiledRule& outer = policy_.rules[later];
    // What it does beside deciding.
    if (!later_wins_ || rule.quick || rule.action == RuleAction::kMatch ||
        rule.tag != kNoTag || classify::FieldsOf(rule).unknown ||
        classify::FieldsOf(rule).counted) {
      return false;
    }
    if (outer.is_call || outer.action == RuleAction::kMatch ||
        IsSamePlace(later, i) || !Covers(outer, rule)) {
      return false;
    }
    Tell(i, later, "this rule never decides: line ",
         " comes later and matches all that it matches");
    return true;
  }

  const SourcePlace& PlaceOf(uint32_t i) const {
    return policy_.listed[i].rule->place;
  }
  // Made of the same line, by lists.
  bool IsSamePlace(uint32_t a, uint32_t b) const {
    return PlaceOf(a).file == PlaceOf(b).file &&
           PlaceOf(a).line == PlaceOf(b).line;
  }

  void Tell(uint32_t i, uint32_t other, std::string_view before,
            std::string_view after) {
    const SourcePlace& place = PlaceOf(other);
    std::string where = absl::StrCat(place.line);
    if (place.file != PlaceOf(i).file && place.file < policy_.source->files.size()) {
      absl::StrAppend(&where, " of ", policy_.source->files[place.file]);
    }
    const std::optional<Sample> sample = SampleOf(policy_.rules[i]);
    Warn(PlaceOf(i),
         absl::StrCat(std::string(before), where, std::string(after)),
         sample ? absl::StrCat("for example ", Describe(*sample)) : "");
  }

  void Warn(const SourcePlace& place, std::string message, std::string hint) {
    if (found_.size() >= limit_ || place.line == 0) return;
    const Policy& source = *policy_.source;
    Diagnostic d;
    d.severity = Severity::kWarning;
    if (place.file < source.files.size()) d.file = source.files[place.file];
    d.line = place.line;
    d.column = place.column;
    d.message = std::move(message);
    d.hint = std::move(hint);
    if (source.texts != nullptr && place.file < source.texts->size()) {
      const auto [lines, made] =
          lines_.try_emplace(place.file, (*source.texts)[place.file]);
      d.source_line = lines->second.Line(place.line);
    }
    // The rules of one list are one mistake.
    if (!found_.empty() && found_.back().file == d.file &&
        found_.back().line == d.line) {
      return;
    }
    found_.push_back(std::move(d));
  }

  // A packet that the rule matches, as far as that can be said.
  struct Sample {
    PacketInfo packet{};
    Direction direction = Direction::kIn;
    InterfaceView interface;
  };
  std::optional<Sample> SampleOf(const CompiledRule& rule) const {
    Sample sample;
    PacketInfo& packet = sample.packet;
    if (rule.direction == Direction::kOut) sample.direction = Direction::kOut;
    packet.kind = Kind::kIp;
    packet.family =
        rule.family == Family::kIpv6 ? Family::kIpv6 : Family::kIpv4;
    packet.proto = rule.any_protocol ? protocol::kTcp : rule.protocol;
    packet.tcp_flags =
        rule.flags_mask != 0 ? rule.flags_set : uint8_t{kTcpSyn};
    packet.icmp_type = rule.icmp_type;
    packet.icmp_code = rule.icmp_code;
    if (rule.fragments_only) packet.flags |= kFragment;
    if (!Pick(rule.source, packet.family, packet.source) ||
        !Pick(rule.destination, packet.family, packet.destination)) {
      return std::nullopt;
    }
    if (rule.source_port.inverted || rule.destination_port.inverted) {
      return std::nullopt;
    }
    packet.source_port =
        Be16(rule.source_port.is_set ? rule.source_port.low : uint16_t{1024});
    packet.destination_port = Be16(
        rule.destination_port.is_set ? rule.destination_port.low : uint16_t{80});
    if (rule.on.kind == InterfaceCondition::Kind::kNone) return sample;
    for (const InterfaceView& view : interfaces_) {
      if (!rule.on.Matches(view)) continue;
      sample.interface = view;
      return sample;
    }
    return std::nullopt;
  }
  static bool Pick(const AddressCondition& condition, Family family,
                   Bytes& address) {
    using Kind = AddressCondition::Kind;
    if (condition.negated) return false;
    if (condition.kind == Kind::kPrefix || condition.kind == Kind::kRange) {
      address = condition.first;
      return true;
    }
    if (condition.kind != Kind::kAny) return false;
    address = (family == Family::kIpv4 ? *ParseAddress("192.0.2.1")
                                       : *ParseAddress("2001:db8::1"))
                  .bytes;
    return true;
  }
  static std::string Describe(const Sample& sample) {
    const PacketInfo& p = sample.packet;
    const bool ports =
        !p.has(kFragment) &&
        (p.proto == protocol::kTcp || p.proto == protocol::kUdp ||
         p.proto == protocol::kSctp);
    const auto end = [&](const Address& address, Be16 port) {
      return ports ? absl::StrCat(ToString(address), " port ", port.host())
                   : ToString(address);
    };
    return absl::StrCat(
        "protocol ", int{p.proto}, " from ",
        end(p.source_address(), p.source_port), " to ",
        end(p.destination_address(), p.destination_port),
        sample.direction == Direction::kIn ? ", in" : ", out");
  }

  const CompiledPolicy& policy_;
  const std::span<const InterfaceView> interfaces_;
  const size_t limit_;
  // No `match quick` ends an evaluation, with the last one that matched as its
  // result, and no `match log (matches)` logs those that lose.
  bool later_wins_ = true;
  VerdictCache cache_;
  std::map<uint32_t, SourceLines> lines_;  // by file
  std::vector<Diagnostic> found_;
};

}  // namespace

bool Covers(const CompiledRule& outer, const CompiledRule& inner) {
  // Cheap ones first: most pairs end here.
  if (!outer.any_protocol &&
      (inner.any_protocol || inner.protocol != outer.protocol)) {
    return false;
  }
  if (!AddressCovers(outer.destination, inner.destination) ||
      !AddressCovers(outer.source, inner.source) ||
      !PortCovers(outer.destination_port, inner.destination_port) ||
      !PortCovers(outer.source_port, inner.source_port)) {
    return false;
  }
  if (outer.direction != Direction::kBoth &&
      outer.direction != inner.direction) {
    return false;
  }
  if (outer.family != Family::kNone && outer.family != inner.family) {
    return false;
  }
  if (outer.never || (outer.owner && !inner.owner) ||
      (outer.fragments_only && !inner.fragments_only)) {
    return false;
  }
  if (outer.on.kind != InterfaceCondition::Kind::kNone &&
      outer.on != inner.on) {
    return false;
  }
  return FlagsCover(outer, inner) && IcmpCovers(outer, inner) &&
         ReplyCovers(outer, inner) && !classify::FieldsOf(outer).verified;
}

std::vector<Diagnostic> LintPolicy(const CompiledPolicy& policy,
                                   std::span<const InterfaceView> interfaces,
                                   size_t limit) {
  return Linter(policy, interfaces, limit).Run();
}

}  // namespace sluice
