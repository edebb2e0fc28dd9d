// The model's rules: rule-by-rule evaluation over the parsed policy.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/property/plain_model.h"

namespace sluice {
namespace {

bool IsQueryReply(const PacketInfo& info) {
  if (info.proto == protocol::kIcmp && info.family == Family::kIpv4) {
    switch (info.icmp_type) {
      case 0:
      case 9:
      case 14:
      case 16:
      case 18:
      case 34:
      case 36:
        return true;
      default:
        return false;
    }
  }
  return info.proto == protocol::kIcmp6 && info.family == Family::kIpv6 &&
         (info.icmp_type == 129 || info.icmp_type == 140 ||
          info.icmp_type == 200);
}

bool Meets(const PortMatch& condition, uint16_t port) {
  switch (condition.op) {
    case CompareOperator::kNone:
      return false;
    case CompareOperator::kEqual:
      return port == condition.low;
    case CompareOperator::kNotEqual:
      return port != condition.low;
    case CompareOperator::kLess:
      return port < condition.low;
    case CompareOperator::kLessOrEqual:
      return port <= condition.low;
    case CompareOperator::kGreater:
      return port > condition.low;
    case CompareOperator::kGreaterOrEqual:
      return port >= condition.low;
    case CompareOperator::kRange:
      return port >= condition.low && port <= condition.high;
    case CompareOperator::kExclusiveRange:
      return port > condition.low && port < condition.high;
    case CompareOperator::kExceptRange:
      return port < condition.low || port > condition.high;
  }
  return false;
}

bool HasPorts(uint8_t proto) {
  return proto == protocol::kTcp || proto == protocol::kUdp ||
         proto == protocol::kSctp;
}

const TableDefinition* FindTable(const Anchor& main, const std::string& name) {
  for (const TableDefinition& table : main.tables) {
    if (table.name == name) return &table;
  }
  return nullptr;
}

}  // namespace

absl::Status PlainModel::Supports(const Policy& policy) {
  const auto check = [](const auto& self, const Anchor& anchor)
      -> absl::Status {
    const Ruleset& rules = anchor.rules;
    if (!rules.scrub.empty() || !rules.nat.empty() || !rules.rdr.empty() ||
        !rules.binat.empty() || !rules.ether.empty()) {
      return absl::UnimplementedError("only filter rules are modelled");
    }
    for (const Rule& rule : rules.filter) {
      const bool dynamic =
          rule.source.address.kind > AddressKind::kTable ||
          rule.destination.address.kind > AddressKind::kTable;
      if (rule.probability != 0 || dynamic || rule.nat || rule.rdr ||
          rule.max_pkt_rate.IsSet() || rule.once || rule.prio ||
          rule.max_pkt_size != 0 || rule.scrub.IsSet() || rule.set_prio ||
          rule.set_tos ||
          rule.state == StateKind::kModulate ||
          rule.state == StateKind::kSynproxy ||
          rule.state_options.max_states != 0) {
        return absl::UnimplementedError(
            absl::StrCat("line ", rule.place.line, ": is not modelled"));
      }
    }
    if (!anchor.name.empty() && !anchor.tables.empty()) {
      return absl::UnimplementedError("tables of anchors are not modelled");
    }
    for (const Anchor& child : anchor.children) {
      if (absl::Status s = self(self, child); !s.ok()) return s;
    }
    return absl::OkStatus();
  };
  return check(check, policy.main);
}

bool PlainModel::On(const InterfaceMatch& match, size_t port) const {
  if (!match.IsSet()) return true;
  const ModelPort& p = ports_[port];
  const bool on = match.name == "any" || match.name == p.name ||
                  std::find(p.groups.begin(), p.groups.end(), match.name) !=
                      p.groups.end();
  return on != match.negated;
}

bool PlainModel::AddressFits(const AddressMatch& match,
                             const Address& address) const {
  bool fits = false;
  switch (match.kind) {
    case AddressKind::kAny:
      fits = true;
      break;
    case AddressKind::kPrefix:
      fits = match.address.family == address.family &&
             And(address, match.mask) == And(match.address, match.mask);
      break;
    case AddressKind::kRange:
      fits = match.address.family == address.family &&
             match.address <= address && address <= match.range_end;
      break;
    case AddressKind::kTable: {
      const TableDefinition* table = FindTable(policy_.main, match.name);
      int longest = -1;
      if (table == nullptr) break;
      for (const TableEntry& entry : table->entries) {
        if (entry.prefix.Contains(address) && entry.prefix.length > longest) {
          longest = entry.prefix.length;
          fits = !entry.negated;
        }
      }
      break;
    }
    default:
      break;
  }
  return fits != match.negated;
}

bool PlainModel::Matches(const Rule& rule, const Point& point,
                         const PacketInfo& info,
                         const std::string& tag) const {
  if (rule.direction != Direction::kBoth && rule.direction != point.direction) {
    return false;
  }
  if (!On(rule.on, point.port)) return false;
  if (rule.received_on.IsSet() && !On(rule.received_on, point.arrival)) {
    return false;
  }
  if (rule.family != Family::kNone && rule.family != info.family) return false;
  if (rule.protocol != 0 && rule.protocol != info.proto) return false;
  if (!AddressFits(rule.source.address, info.source_address()) ||
      !AddressFits(rule.destination.address, info.destination_address())) {
    return false;
  }
  if (rule.tos && *rule.tos != (info.tos & ~kEcnBits)) return false;
  if (!rule.tagged.empty() && (rule.tagged == tag) == rule.tagged_negated) {
    return false;
  }
  const bool ports = rule.source.port.IsSet() || rule.destination.port.IsSet();
  if (info.has(kFragment)) {
    return !ports && !rule.icmp_type &&
           (info.proto != protocol::kTcp || rule.flags.mask == 0);
  }
  if (rule.fragment) return false;
  if (ports && !HasPorts(info.proto)) return false;
  if (rule.source.port.IsSet() &&
      !Meets(rule.source.port, info.source_port.host())) {
    return false;
  }
  if (rule.destination.port.IsSet() &&
      !Meets(rule.destination.port, info.destination_port.host())) {
    return false;
  }
  if (info.proto == protocol::kTcp &&
      (info.tcp_flags & rule.flags.mask) != rule.flags.set) {
    return false;
  }
  if (rule.icmp_type &&
      (info.icmp_type != *rule.icmp_type ||
       (rule.icmp_code && info.icmp_code != *rule.icmp_code))) {
    return false;
  }
  // A reply is passed by its request's state, not by a rule that would make
  // a state of it.
  return !IsQueryReply(info) || rule.action != RuleAction::kPass ||
         rule.state == StateKind::kNone || rule.state_options.sloppy;
}

// True: the search is over.
bool PlainModel::Walk(const Anchor& anchor, const Point& point,
                      const PacketInfo& info, Evaluation& evaluation) const {
  for (size_t i = 0; i < anchor.rules.filter.size(); ++i) {
    const Rule& rule = anchor.rules.filter[i];
    if (!Matches(rule, point, info, evaluation.tag)) continue;
    if (rule.IsAnchorCall()) {
      const Anchor* called = policy_.main.Find(rule.anchor_path);
      const uint32_t hits = evaluation.hits;
      if (called != nullptr && rule.anchor_wildcard) {
        for (const Anchor& child : called->children) {
          if (Walk(child, point, info, evaluation)) return true;
        }
      } else if (called != nullptr &&
                 Walk(*called, point, info, evaluation)) {
        return true;
      }
      if (rule.quick && evaluation.hits != hits) return true;
      continue;
    }
    if (!rule.tag.empty()) evaluation.tag = rule.tag;
    if (rule.action != RuleAction::kMatch) {
      evaluation.winner = &rule;
      evaluation.number = static_cast<uint32_t>(i);
      ++evaluation.hits;
    }
    if (rule.quick) return true;
  }
  return false;
}

PlainModel::Decision PlainModel::Decide(size_t port, size_t arrival,
                                        Direction direction,
                                        const PacketInfo& info) const {
  const Point point{
      .port = port, .arrival = arrival, .direction = direction, .now = 0};
  Evaluation evaluation;
  Walk(policy_.main, point, info, evaluation);
  return {.rule = evaluation.winner, .tag = std::move(evaluation.tag)};
}

std::optional<DropReason> PlainModel::ByRules(const Point& point,
                                              std::span<const uint8_t> frame,
                                              const PacketInfo& info,
                                              std::string& tag,
                                              ModelVerdict& verdict) {
  Evaluation evaluation;
  evaluation.tag = tag;
  Walk(policy_.main, point, info, evaluation);
  const Rule* rule = evaluation.winner;
  verdict.rule = evaluation.number;
  const bool blocked = rule != nullptr && rule->action == RuleAction::kBlock;
  if (!info.has(kFragment) && !(blocked && rule->quick)) {
    State child;
    if (TakeExpectation(info, frame, point, child)) {
      verdict.rule.reset();
      tag = child.tag.empty() ? tag : child.tag;
      return Create(std::move(child), info, frame, point);
    }
  }
  if (blocked) return DropReason::kMatch;
  if (info.has(kIpOptions) && (rule == nullptr || !rule->allow_opts)) {
    return DropReason::kIpOption;
  }
  tag = evaluation.tag;
  if (rule == nullptr || rule->state == StateKind::kNone ||
      info.has(kFragment) || info.has(kIcmpError)) {
    return std::nullopt;
  }
  State state;
  state.tag = evaluation.tag;
  state.allow_options = rule->allow_opts;
  state.sloppy = rule->state_options.sloppy;
  state.own_timeouts = rule->state_options.timeouts;
  if (rule->state_options.if_bound) {
    state.interface = ports_[point.port].name;
  }
  return Create(std::move(state), info, frame, point);
}

ModelVerdict PlainModel::Judge(size_t port, std::span<const uint8_t> frame,
                               const PacketInfo& info, uint64_t now) {
  ModelVerdict verdict;
  Expire(now);
  if (info.kind == Kind::kMalformed) {
    verdict.reason = info.drop;
    return verdict;
  }
  if (info.kind == Kind::kNonIp) {
    verdict.passed = ports_[port].pass_non_ip;
    verdict.reason =
        verdict.passed ? DropReason::kMatch : DropReason::kNonIp;
    return verdict;
  }
  std::string tag;
  for (const Direction direction : {Direction::kIn, Direction::kOut}) {
    const Point point{
        .port = direction == Direction::kIn ? port : ports_[port].peer,
        .arrival = port,
        .direction = direction,
        .now = now};
    bool skipped = false;
    for (const InterfaceMatch& skip : policy_.options.skip) {
      skipped = skipped || On(skip, point.port);
    }
    if (skipped) continue;
    verdict.judged = direction;
    verdict.rule.reset();
    if (const auto drop = JudgeAt(point, frame, info, tag, verdict)) {
      verdict.reason = *drop;
      return verdict;
    }
  }
  verdict.passed = true;
  return verdict;
}

}  // namespace sluice
