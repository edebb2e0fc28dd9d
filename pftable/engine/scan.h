// What one packet gathers on its way over the rules: the conditions of a rule,
// and what a rule that matches does. The plain interpreter (evaluate.cc) and
// the classifier (pftable/classify/) differ only in which rules they try.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PFTABLE_ENGINE_SCAN_H_
#define SLUICE_PFTABLE_ENGINE_SCAN_H_

#include "packet/family.h"
#include "pftable/engine/address_match.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/limiters.h"
#include "pftable/engine/translation.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {

// ICMP in its own family.
inline bool IsIcmp(const PacketInfo& packet) {
  return (packet.family == Family::kIpv4 &&
          packet.proto == protocol::kIcmp) ||
         (packet.family == Family::kIpv6 &&
          packet.proto == protocol::kIcmp6);
}

inline bool HasPorts(const PacketInfo& packet) {
  return packet.proto == protocol::kTcp || packet.proto == protocol::kUdp ||
         packet.proto == protocol::kSctp;
}

class Scan {
 public:
  // `index`: the generation's, or null: tables are asked one by one.
  Scan(const Generation& generation, const EvaluationInput& input,
       WorkerCounters& counters, Verdict& verdict,
       const IndexedTables* index = nullptr)
      : generation_(generation),
        index_(index),
        policy_(*generation.policy),
        input_(input),
        packet_(&input.packet),
        counters_(counters),
        verdict_(verdict),
        fragment_(packet_->has(kFragment)),
        icmp_(IsIcmp(*packet_)),
        icmp_reply_(icmp_ && !fragment_ && IsIcmpReply(*packet_)),
        has_ports_(HasPorts(*packet_)),
        tag_(input.tag) {}

  // Whether all conditions of the rule hold, with the tag of now.
  [[gnu::always_inline]] bool Matches(const CompiledRule& rule) {
    if (rule.never) return false;
    if (!rule.on.Matches(input_.interface)) return false;
    if (rule.direction != Direction::kBoth &&
        rule.direction != input_.direction) {
      return false;
    }
    if (rule.family != Family::kNone && rule.family != packet_->family) {
      return false;
    }
    if (!rule.any_protocol && rule.protocol != packet_->proto) return false;
    if (!AddressMatches(rule.source, packet_->source) &&
        !HeldOnce(rule, rule.source)) {
      return false;
    }
    if (!AddressMatches(rule.destination, packet_->destination) &&
        !HeldOnce(rule, rule.destination)) {
      return false;
    }
    if (!TransportMatches(rule)) return false;
    if (rule.fragments_only && !fragment_) return false;
    if (rule.has_priority && !PriorityMatches(rule)) return false;
    if (rule.has_tos && rule.tos != (packet_->tos & ~kEcnBits)) return false;
    if (rule.os != 0 && !IsOf(rule)) return false;
    if (rule.probability != 0 &&
        static_cast<uint32_t>(MixBits(input_.random + rule.slot) >> 32) >=
            rule.probability) {
      return false;
    }
    if (rule.tagged != kNoTag &&
        (rule.tagged == tag_) == rule.tagged_negated) {
      return false;
    }
    return rule.received_on.Matches(input_.received_on) &&
           (!rule.is_limited() || Admits(rule)) &&
           (!rule.counts_when_met() || Meet(rule));
  }
  // A packet has been the rule's one: it is skipped, and not counted.
  bool IsExpired(const CompiledRule& rule) const {
    return rule.once != 0 && rule.record->HasEnded(rule.once) &&
           rule.slot != input_.made_by;
  }
  // A limiter has blocked the packet: no rule is asked any more.
  bool is_over() const { return is_over_; }

  // Of a scrub rule, the conditions that hold for whole packets and fragments
  // alike: all that it has but ports.
  bool NetworkMatches(const CompiledRule& rule) {
    return !rule.never && rule.on.Matches(input_.interface) &&
           (rule.direction == Direction::kBoth ||
            rule.direction == input_.direction) &&
           (rule.family == Family::kNone || rule.family == packet_->family) &&
           (rule.any_protocol || rule.protocol == packet_->proto) &&
           AddressMatches(rule.source, packet_->source) &&
           AddressMatches(rule.destination, packet_->destination) &&
           (rule.tagged == kNoTag ||
            (rule.tagged == tag_) != rule.tagged_negated);
  }
  // And these.
  bool PortsMatch(const CompiledRule& rule) const {
    return (!rule.source_port.is_set ||
            rule.source_port.Matches(packet_->source_port.host())) &&
           (!rule.destination_port.is_set ||
            rule.destination_port.Matches(packet_->destination_port.host()));
  }

  // What a rule that matches does; a call only sets its tag. `anchor_slot`:
  // of the innermost call around it, or kNoRuleSlot.
  void Take(const CompiledRule& rule, uint32_t anchor_slot) {
    if (rule.tag != kNoTag) tag_ = rule.tag;
    if (rule.is_call) return;
    if (rule.action == RuleAction::kMatch) {
      AddMatchRule(rule, anchor_slot);
      if (rule.translates()) [[unlikely]] Translate(rule);
      return;
    }
    if (log_matches_) Log(rule, anchor_slot);
    winner_ = &rule;
    winner_anchor_ = anchor_slot;
    ++decisions_;
  }

  uint16_t tag() const { return tag_; }
  // The address condition alone, of a rule that is no candidate as a whole.
  bool AddressMatches(const AddressCondition& condition,
                      const std::array<uint8_t, 16>& address) {
    return MatchesAddress(condition, address);
  }
  // Pass and block rules that matched so far.
  uint32_t decisions() const { return decisions_; }

  // The packet as the next rule sees it, and how often that has changed.
  const PacketInfo& packet() const { return *packet_; }
  uint32_t translations() const { return translations_; }

  // After the last rule: writes the verdict.
  [[gnu::always_inline]] void Decide() {
    StateTemplate& state = verdict_.state;
    state.tag = tag_;
    if (is_over_) [[unlikely]] {
      verdict_.action = VerdictAction::kBlock;
      verdict_.reason = limited_;
      verdict_.quick = true;
      return;
    }
    if (log_matches_) state.flags |= kStateLogMatches;
    if (winner_ == nullptr) {  // pf's default rule: pass, no state
      if (ByRule()) {
        verdict_.keep_state = MayKeepState();
        if (policy_.options.if_bound_states) state.flags |= kStateIfBound;
      }
      if (match_options_) AllowOptions();
      if (translations_ != 0 || ByRule()) DropUntranslated();
      return;
    }
    const CompiledRule& rule = *winner_;
    verdict_.rule = &rule;
    verdict_.quick = rule.quick;
    verdict_.log |= rule.log || log_matches_;
    // With `log (matches)` before it, it was logged when it matched.
    if (rule.log && !log_matches_) Log(rule, winner_anchor_);
    state.rule_slot = rule.slot;
    state.anchor_slot = winner_anchor_;

    if (rule.action == RuleAction::kBlock) {
      Block(DropReason::kMatch, rule.block_return);
      return;
    }
    verdict_.allow_options = rule.allow_options;
    state.actions.Add(rule.actions);
    state.flags |= rule.state_flags;
    state.side |= rule.side_flags;
    state.state_limiter = rule.state_limiter;
    state.source_limiter = rule.source_limiter;
    if (verdict_.log) state.flags |= kStateLog;
    if (match_log_all_) state.flags |= kStateLogAll;
    if (match_options_) AllowOptions();
    verdict_.keep_state =
        (rule.state != StateKind::kNone || ByRule()) && MayKeepState();
    if (verdict_.keep_state && rule.record->StateLimitReached()) {
      verdict_.keep_state = false;
      counters_.limit(LimitCounter::kMaxStates).Add(1);
      Block(DropReason::kStateLimit, policy_.options.fail_policy);
      return;
    }
    if (rule.translates()) [[unlikely]] Translate(rule);
    if (translations_ != 0 || ByRule()) [[unlikely]] DropUntranslated();
    if (rule.route != RouteKind::kNone) [[unlikely]] Route(rule);
  }

 private:
  // The last condition of a rule.
  bool Admits(const CompiledRule& rule) {
    // What makes no state takes nothing of any limiter.
    if (input_.limiters == nullptr || !MayKeepState()) return true;
    bool by_source = false;
    if (input_.limiters->Ask(rule, &by_source) ==
        LimiterAnswer::kAdmits) {
      return true;
    }
    is_over_ = by_source ? rule.source_limiter_blocks
                         : rule.state_limiter_blocks;
    limited_ = by_source ? DropReason::kSrcLimit : DropReason::kStateLimit;
    return false;
  }
  // What routes were when a state was made nobody knows any more, but that its
  // rule was for it.
  bool HeldOnce(const CompiledRule& rule,
                const AddressCondition& condition) const {
    using Kind = AddressCondition::Kind;
    return (condition.kind == Kind::kNoRoute ||
            condition.kind == Kind::kUrpfFailed) &&
           input_.rehearsal == Rehearsal::kOfState &&
           rule.slot == input_.made_by;
  }
  // `os`: of TCP's first packets, fragments aside. What kind of SYN has made a
  // state nobody knows any more, but that its rule was for it.
  bool IsOf(const CompiledRule& rule) {
    if (packet_->proto != protocol::kTcp || fragment_) return false;
    if (input_.rehearsal == Rehearsal::kOfState) {
      return rule.slot == input_.made_by;
    }
    if (!system_known_) {
      system_ = policy_.fingerprints->Find(input_.syn);
      system_known_ = true;
    }
    return policy_.IsOfSystem(rule.os, system_);
  }
  // The very last one: that the rule is met counts.
  bool Meet(const CompiledRule& rule) {
    const RuleRecord& record = *rule.record;
    if (IsExpired(rule)) return false;
    if (input_.rehearsal != Rehearsal::kNo) {
      return !rule.rated || input_.rehearsal == Rehearsal::kOfState ||
             record.WouldAcquirePacket(input_.now);
    }
    return (!rule.rated || record.AcquirePacket(input_.now)) &&
           (rule.once == 0 || record.EndLife(rule.once));
  }
  // What a rule translates, the rules after it see translated.
  void Translate(const CompiledRule& rule) {
    ++translations_;
    Translation* const translation = input_.translation;
    if (translation == nullptr || translation->failed) return;
    if (!translation->translated) {
      translation->packet = *packet_;
      translation->translated = true;
      packet_ = &translation->packet;
    }
    // Of a fragment or an error without a state nothing can be chosen: what
    // could not be translated is not sent as it is.
    if (fragment_ || packet_->has(kIcmpError)) return;
    if (rule.af_to != Family::kNone && !MayCross(*packet_)) {
      translation->unfit = true;
      return;
    }
    translation->failed = !translation->chooser->Choose(
        generation_, rule, input_.direction, &translation->packet);
    sets_ = {};
    asked_ = {};
  }

  // Where the rule sends the packet. One for which its pool has nothing goes
  // nowhere.
  void Route(const CompiledRule& rule) {
    if (verdict_.action == VerdictAction::kBlock) return;
    PacketRoute& route = verdict_.state.route;
    route.kind = rule.route;
    if (input_.translation == nullptr ||
        input_.translation->chooser->ChooseRoute(
            generation_, rule, input_.packet, packet_->family, &route)) {
      return;
    }
    verdict_.keep_state = false;
    verdict_.action = VerdictAction::kBlock;
    verdict_.reason = DropReason::kNoRoute;
  }

  bool ByRule() const {
    return input_.translation != nullptr && input_.translation->by_rule;
  }
  bool MayKeepState() const {
    return !fragment_ && !packet_->has(kIcmpError);
  }

  // A packet that was to be translated and is not goes nowhere: a pool was
  // empty, or there is no state that would do it.
  void DropUntranslated() {
    const bool failed =
        input_.translation != nullptr && input_.translation->failed;
    const bool unfit =
        input_.translation != nullptr && input_.translation->unfit;
    if (!failed && !unfit && verdict_.keep_state) return;
    verdict_.keep_state = false;
    verdict_.action = VerdictAction::kBlock;
    verdict_.reason = failed ? DropReason::kMapFailed : DropReason::kTranslate;
  }

  void AddMatchRule(const CompiledRule& rule, uint32_t anchor_slot) {
    StateTemplate& state = verdict_.state;
    if (state.match_count < kMaxMatchRules) {
      state.match_slots[state.match_count++] = rule.slot;
    } else {
      counters_.match_rules_lost.Add(1);
    }
    state.actions.Add(rule.actions);
    if (rule.log || log_matches_) Log(rule, anchor_slot);
    if (rule.log) verdict_.log = true;
    if (rule.log_all) match_log_all_ = true;
    if (rule.allow_options) match_options_ = true;
    if (rule.log_matches) {
      log_matches_ = true;
      matches_slot_ = rule.slot;
    }
  }

  // Of FreeBSD's dialect: a match rule has `allow-opts`.
  void AllowOptions() {
    verdict_.allow_options = true;
    verdict_.state.flags |= kStateAllowOptions;
  }

  void Log(const CompiledRule& rule, uint32_t anchor_slot) {
    if (verdict_.logged_count == kMaxLoggedRules) return;
    verdict_.logged[verdict_.logged_count++] = {.rule_slot = rule.slot,
                                                .anchor_slot = anchor_slot,
                                                .action = rule.action,
                                                .log_slot = log_matches_
                                                                ? matches_slot_
                                                                : rule.slot};
  }

  bool PriorityMatches(const CompiledRule& rule) const {
    if (!packet_->has(kVlanTagged) && !packet_->has(kPrioritySet)) {
      return rule.priority_of_untagged;
    }
    return packet_->vlan_priority() == rule.priority;
  }

  [[gnu::always_inline]] bool TransportMatches(const CompiledRule& rule) const {
    const bool ports = rule.source_port.is_set || rule.destination_port.is_set;
    if (fragment_) {
      // Nothing behind the IP header can be asked for.
      return !ports && !rule.has_icmp_type && !rule.has_icmp_code &&
             !rule.owner &&
             (rule.flags_mask == 0 || packet_->proto != protocol::kTcp);
    }
    if (packet_->proto == protocol::kTcp &&
        (packet_->tcp_flags & rule.flags_mask) != rule.flags_set) {
      return false;
    }
    if (ports) {
      if (!has_ports_) return false;
      if (!rule.source_port.Matches(packet_->source_port.host()) ||
          !rule.destination_port.Matches(packet_->destination_port.host())) {
        return false;
      }
    }
    if (rule.has_icmp_type &&
        (!icmp_ || rule.icmp_type != packet_->icmp_type)) {
      return false;
    }
    if (rule.has_icmp_code &&
        (!icmp_ || rule.icmp_code != packet_->icmp_code)) {
      return false;
    }
    // No state comes from a reply.
    return !icmp_reply_ || rule.state == StateKind::kNone ||
           (rule.state_flags & kStateSloppy) != 0;
  }

  [[gnu::always_inline]] bool MatchesAddress(const AddressCondition& condition,
                      const std::array<uint8_t, 16>& address) {
    if (condition.kind == AddressCondition::Kind::kAny) {
      return !condition.negated;
    }
    if (condition.kind == AddressCondition::Kind::kTable &&
        index_ != nullptr) {
      return IsInTable(condition, address) != condition.negated;
    }
    return sluice::AddressMatches(generation_, condition, packet_->family,
                                  address, input_.routes, counters_);
  }

  // The first tables that are asked for an address are asked by themselves; all
  // further ones are bits of one set.
  bool IsInTable(const AddressCondition& condition,
                 const std::array<uint8_t, 16>& address) {
    const TableView& table = generation_.tables[condition.index];
    const size_t end = &address == &packet_->source ? 0 : 1;
    bool is_in = false;
    if (table.bit == TableIndex::kNoBit || asked_[end] < index_->alone()) {
      asked_[end] += table.bit != TableIndex::kNoBit;
      is_in = table.addresses.Contains(packet_->family, address.data());
    } else {
      if (sets_[end] == nullptr) {
        sets_[end] = index_->index().Find(packet_->family, address);
      }
      is_in = TableIndex::InSet(sets_[end], table.bit);
    }
    CountLook(table, is_in, counters_);
    return is_in;
  }

  void Block(DropReason reason, BlockReturn block_return) {
    const AnswerChoice choice =
        ResolveAnswer(block_return, winner_->rst_ttl,
                      winner_->icmp_return_code, winner_->icmp6_return_code,
                      policy_.options, *packet_);
    verdict_.action = VerdictAction::kBlock;
    verdict_.reason = reason;
    verdict_.answer = choice.answer;
    verdict_.rst_ttl = choice.rst_ttl;
    verdict_.icmp_code = choice.icmp_code;
  }

  const Generation& generation_;
  const IndexedTables* const index_;
  const CompiledPolicy& policy_;
  const EvaluationInput& input_;
  // As it came, or as rules so far have translated it.
  const PacketInfo* packet_;
  WorkerCounters& counters_;
  Verdict& verdict_;
  const bool fragment_;
  const bool icmp_;
  const bool icmp_reply_;
  const bool has_ports_;

  uint16_t tag_;
  // Of source and destination: how many tables have been asked one by one, and
  // the set of those that they are in once that was asked for.
  std::array<uint8_t, 2> asked_{};
  std::array<const uint64_t*, 2> sets_{};
  const CompiledRule* winner_ = nullptr;
  uint32_t winner_anchor_ = kNoRuleSlot;
  uint32_t decisions_ = 0;
  uint32_t translations_ = 0;  // rules that translate, so far
  bool match_log_all_ = false;
  bool match_options_ = false;
  bool log_matches_ = false;
  uint32_t matches_slot_ = 0;  // of the last rule that set it
  bool system_known_ = false;
  FingerprintTable::Group system_ = 0;
  bool is_over_ = false;
  DropReason limited_ = DropReason::kStateLimit;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_SCAN_H_
