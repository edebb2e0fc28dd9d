#include "pftable/classify/flatten.h"

#include <bit>
#include <cstring>
#include <map>
#include <utility>

#include "pftable/classify/rule_fields.h"

namespace sluice::classify {
namespace {

Number TopOf(Family family) {
  return family == Family::kIpv4 ? Number{0xffffffff} : ~Number{0};
}

// Nothing if it is no set of addresses that the policy alone decides.
std::optional<IntervalSet> SetOf(const AddressCondition& condition,
                                 Family family) {
  using Kind = AddressCondition::Kind;
  const Number top = TopOf(family);
  IntervalSet set;
  switch (condition.kind) {
    case Kind::kAny:
      break;
    case Kind::kPrefix: {
      const Number low = NumberOf(family, condition.first);
      const Number mask = NumberOf(family, condition.second);
      const Number rest = top & ~mask;
      if ((rest & (rest + 1)) != 0) return std::nullopt;  // with gaps
      set = IntervalSet::Of(low, low | rest);
      break;
    }
    case Kind::kRange:
      set = IntervalSet::Of(NumberOf(family, condition.first),
                            NumberOf(family, condition.second));
      break;
    case Kind::kTable:
    case Kind::kList:
    case Kind::kNoRoute:
    case Kind::kUrpfFailed:
      return std::nullopt;
    case Kind::kNever:
      set = IntervalSet::None();
      break;
  }
  return condition.negated ? set.Complement(top) : set;
}

IntervalSet SetOf(const PortCondition& port) {
  if (!port.is_set) return IntervalSet();
  const IntervalSet set = IntervalSet::Of(port.low, port.high);
  return port.inverted ? set.Complement(65535) : set;
}

// The numbers of different values, in the order in which they came.
template <typename Value>
class Numbers {
 public:
  explicit Numbers(std::vector<Value>* values) : values_(values) {}
  uint32_t Of(const Value& value) {
    const auto [it, fresh] =
        known_.try_emplace(value, static_cast<uint32_t>(values_->size()));
    if (fresh) values_->push_back(value);
    return it->second;
  }

 private:
  std::vector<Value>* values_;
  std::map<Value, uint32_t> known_;
};

class Flattener {
 public:
  Flattener(const CompiledPolicy& policy, Direction direction, Family family,
            size_t most)
      : policy_(policy),
        direction_(direction),
        family_(family),
        most_(most),
        verified_(policy.rules.size()),
        transports_(&result_.transports) {}

  std::optional<FlatRules> Run(WalkReason* reason) {
    *reason = WalkReason::kUnknownField;
    if (!FindOrder()) return std::nullopt;
    Context outside;
    outside.transports = {};
    *reason = WalkReason::kAnchors;
    if (!Walk(0, outside)) return std::nullopt;
    *reason = WalkReason::kNone;
    return std::move(result_);
  }

 private:
  // What the calls around a ruleset ask for.
  struct Context {
    IntervalSet source, destination, source_port, destination_port;
    std::vector<TransportCondition> transports;
    std::vector<InterfaceCondition> links;
    uint32_t call = kNoIndex;
    uint32_t guard = kNoIndex;
  };

  // False: a rule may change what later ones are asked, and nobody has said
  // that it does not.
  bool FindOrder() {
    for (const CompiledRule& rule : policy_.rules) {
      if (rule.action != RuleAction::kPass &&
          rule.action != RuleAction::kBlock &&
          rule.action != RuleAction::kMatch) {
        continue;  // not among those that are flattened
      }
      if (!Applies(rule)) continue;
      const bool is_match = !rule.is_call && rule.action == RuleAction::kMatch;
      const RuleFields fields = FieldsOf(rule);
      verified_[IndexOf(rule)] = fields.verified;
      const bool unknown = fields.unknown;
      if (unknown && is_match) return false;
      if (fields.counted || rule.tag != kNoTag || rule.tagged != kNoTag ||
          (rule.is_call && rule.quick) || is_match || unknown) {
        result_.in_order = true;
      }
    }
    return true;
  }

  uint32_t IndexOf(const CompiledRule& rule) const {
    return static_cast<uint32_t>(&rule - policy_.rules.data());
  }

  bool Applies(const CompiledRule& rule) const {
    return !rule.never &&
           (rule.direction == Direction::kBoth ||
            rule.direction == direction_) &&
           (rule.family == Family::kNone || rule.family == family_);
  }

  // Adds the rule's conditions. False: it can never match.
  bool Narrow(const CompiledRule& rule, Context& context, bool* verify) const {
    *verify = verified_[IndexOf(rule)];
    const std::pair<const AddressCondition*, IntervalSet*> ends[] = {
        {&rule.source, &context.source},
        {&rule.destination, &context.destination}};
    for (const auto& [condition, set] : ends) {
      const bool literal =
          condition->kind == AddressCondition::Kind::kPrefix ||
          condition->kind == AddressCondition::Kind::kRange;
      std::optional<IntervalSet> own;
      if (!literal || rule.family != Family::kNone) {
        own = SetOf(*condition, family_);
      }
      if (!own) {
        *verify = true;
        continue;
      }
      *set = set->And(*own);
      if (set->empty()) return false;
    }
    context.source_port = context.source_port.And(SetOf(rule.source_port));
    context.destination_port =
        context.destination_port.And(SetOf(rule.destination_port));
    if (context.source_port.empty() || context.destination_port.empty()) {
      return false;
    }
    const TransportCondition transport = TransportCondition::Of(rule);
    if (transport != TransportCondition()) {
      context.transports.push_back(transport);
    }
    if (rule.on.kind != InterfaceCondition::Kind::kNone) {
      context.links.push_back(rule.on);
    }
    return true;
  }

  uint32_t LinkNumber(const std::vector<InterfaceCondition>& links) {
    LinkKey key;
    for (const InterfaceCondition& link : links) {
      key.push_back(static_cast<uint64_t>(link.kind) << 32 |
                    uint64_t{link.negated} << 16 | link.name.id);
      key.push_back(link.name.groups);
    }
    const auto [it, fresh] = link_numbers_.try_emplace(
        std::move(key), static_cast<uint32_t>(result_.links.size()));
    if (fresh) result_.links.push_back(links);
    return it->second;
  }

  // False: there are too many.
  bool Add(const CompiledRule& rule, const Context& outer, Context& own,
           bool verify) {
    if (result_.rules.size() >= most_) return false;
    FlatRule& flat = result_.rules.emplace_back();
    flat.rule = IndexOf(rule);
    flat.call = outer.call;
    flat.source = std::move(own.source);
    flat.destination = std::move(own.destination);
    flat.source_port = std::move(own.source_port);
    flat.destination_port = std::move(own.destination_port);
    flat.transport = transports_.Of(own.transports);
    flat.link = LinkNumber(own.links);
    flat.verify = verify;
    flat.guard = outer.guard;
    return true;
  }

  bool Walk(uint32_t ruleset, const Context& outer) {
    const auto [begin, end] = policy_.rulesets[ruleset];
    for (uint32_t i = begin; i < end; ++i) {
      const CompiledRule& rule = policy_.rules[i];
      if (!Applies(rule)) continue;
      Context own = outer;
      bool verify = false;
      if (!Narrow(rule, own, &verify)) continue;
      if (!rule.is_call) {
        if (!Add(rule, outer, own, verify)) return false;
      } else if (!Call(rule, outer, std::move(own), verify)) {
        return false;
      }
    }
    return true;
  }

  bool Call(const CompiledRule& call, const Context& outer, Context own,
            bool verify) {
    const size_t place = result_.rules.size();
    // Met in order, a call says itself whether it is entered and left.
    const bool listed = result_.in_order &&
                        (verify || call.quick || call.tag != kNoTag);
    if (listed) {
      Context copy = own;
      if (!Add(call, outer, copy, verify)) return false;
    }
    own.call = IndexOf(call);
    if (verify) {
      result_.guards.push_back(
          {.rule = IndexOf(call), .outer = outer.guard});
      own.guard = static_cast<uint32_t>(result_.guards.size() - 1);
    }
    for (uint32_t c = call.call_begin; c < call.call_end; ++c) {
      if (!Walk(policy_.calls[c], own)) return false;
    }
    if (listed) {
      result_.rules[place].end = static_cast<uint32_t>(result_.rules.size());
    }
    return true;
  }

  using LinkKey = std::vector<uint64_t>;

  const CompiledPolicy& policy_;
  const Direction direction_;
  const Family family_;
  const size_t most_;
  std::vector<bool> verified_;  // by rule: RuleFields
  FlatRules result_;
  Numbers<std::vector<TransportCondition>> transports_;
  std::map<LinkKey, uint32_t> link_numbers_;
};

}  // namespace

TransportCondition TransportCondition::Of(const CompiledRule& rule) {
  TransportCondition c;
  c.any_protocol = rule.any_protocol;
  c.protocol = rule.any_protocol ? 0 : rule.protocol;
  c.fragments_only = rule.fragments_only;
  c.flags_set = rule.flags_set;
  c.flags_mask = rule.flags_mask;
  if (rule.has_icmp_type) c.icmp_type = rule.icmp_type;
  if (rule.has_icmp_code) c.icmp_code = rule.icmp_code;
  c.ports = rule.source_port.is_set || rule.destination_port.is_set;
  c.owner = rule.owner;
  c.keeps_state = rule.state != StateKind::kNone &&
                  (rule.state_flags & kStateSloppy) == 0;
  return c;
}

std::string_view Explain(WalkReason reason) {
  switch (reason) {
    case WalkReason::kNone:
      return "";
    case WalkReason::kFew:
      return "few rules";
    case WalkReason::kAnchors:
      return "anchors call each other too often";
    case WalkReason::kUnknownField:
      return "match rules that change what later rules see";
    case WalkReason::kClasses:
      return "too many overlapping conditions";
  }
  return "";
}

std::optional<FlatRules> Flatten(const CompiledPolicy& policy,
                                 Direction direction, Family family,
                                 size_t most, WalkReason* reason) {
  return Flattener(policy, direction, family, most).Run(reason);
}

}  // namespace sluice::classify
