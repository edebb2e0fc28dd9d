// The part of Pipeline that asks the rules of a packet without a state, makes
// its state, and carries out what rules do to headers and addresses.
#include <rte_mbuf.h>

#include <bit>

#include "conntrack/expectation.h"
#include "conntrack/ftp.h"
#include "conntrack/sctp_chunks.h"
#include "conntrack/state_table.h"
#include "dataplane/forward/pipeline.h"
#include "packet/headers.h"
#include "packet/inner.h"
#include "packet/rewrite.h"
#include "packet/sequence.h"
#include "packet/syn_signature.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/translation.h"

namespace sluice {
namespace {

// Port unreachable, ICMP (RFC 792) and ICMPv6 (RFC 4443).
constexpr uint8_t kPortUnreachable = 3;
constexpr uint8_t kPortUnreachable6 = 4;

constexpr uint8_t kTosLowDelay = 0x10;

// Whether `set prio (a, b)` means its second value.
bool IsUrgent(const PacketInfo& info) {
  return (info.tos & kTosLowDelay) != 0 ||
         (info.proto == protocol::kTcp && !info.has(kFragment) &&
          (info.tcp_flags & kTcpAck) != 0 && info.payload_length() == 0);
}

}  // namespace

Verdict Pipeline::AskRules(uint32_t i, const Judgement& judgement,
                           Translation* translation) {
  const FilterView& filter = judgement.filter;
  const bool translated = translation != nullptr && translation->translated;
  if (limiting_) [[unlikely]] {
    limiters_.Begin(judgement.where.filter,
                    VlanOf(*burst_->mbufs[i], burst_->infos[i]),
                    burst_->infos[i].source_address(), judgement.now);
  }
  SynSignature syn;
  const bool is_syn = fingerprinting_ &&
                      ReadSyn(*burst_->mbufs[i], burst_->infos[i], &syn);
  const EvaluationInput input{.packet = translated ? translation->packet
                                                   : burst_->infos[i],
                              .direction = judgement.where.direction,
                              .interface = judgement.at.interface,
                              .received_on = judgement.arrival.interface,
                              .tag = tags_[i],
                              .now = judgement.now,
                              .random = Random(),
                              .translation = translation,
                              .limiters = limiting_ ? &limiters_ : nullptr,
                              .syn = is_syn ? &syn : nullptr,
                              .routes = judgement.routes};
  filter.counters->decided.Add(1);
  if ((classified_ & Bit(i)) == 0 || translated) {
    return Classify(*filter.generation, input, verdict_cache_,
                    *filter.counters);
  }
  // They lie in the order of the packets.
  const int place = std::popcount(classified_ & (Bit(i) - 1));
  return EvaluateCandidates(*filter.generation, input, candidates_[place],
                            *filter.counters);
}

// The filter's verdict on what the translation rules have left of a packet, or
// that of a translation rule with `pass`.
Verdict Pipeline::AskAll(uint32_t i, const TranslationMatch& match,
                         const Judgement& judgement,
                         Translation* translation) {
  if (match.rule == nullptr) return AskRules(i, judgement, translation);
  if (!match.rule->translation_pass) {
    Verdict verdict = AskRules(i, judgement, translation);
    StateTemplate& state = verdict.state;
    if (state.match_count < kMaxMatchRules) {
      state.match_slots[state.match_count++] = match.rule->slot;
    }
    return verdict;
  }
  return VerdictOfTranslation(*judgement.filter.generation, match,
                              {.packet = translation->packet,
                               .direction = judgement.where.direction,
                               .interface = judgement.at.interface,
                               .received_on = judgement.arrival.interface,
                               .tag = match.tag,
                               .translation = translation,
                               .routes = judgement.routes});
}

// What the rules say of packet i where some translate. A packet for which they
// found no address is blocked.
Verdict Pipeline::AskTranslated(uint32_t i, const Judgement& judgement,
                                Translation* translation) {
  const FilterView& filter = judgement.filter;
  translator_.Begin(*burst_->mbufs[i], judgement.where, judgement.now);
  translation->chooser = &translator_;
  TranslationMatch match;
  if (!filter.generation->policy->translations[0].empty()) {
    match = ApplyTranslationRules(
        *filter.generation,
        {.packet = burst_->infos[i],
         .direction = judgement.where.direction,
         .interface = judgement.at.interface,
         .received_on = judgement.arrival.interface,
         .tag = tags_[i],
         .now = judgement.now,
         .random = Random(),
         .translation = translation,
         .routes = judgement.routes},
        *filter.counters);
    tags_[i] = match.tag;
    if (translation->failed) {
      Verdict verdict;
      verdict.action = VerdictAction::kBlock;
      verdict.reason = DropReason::kMapFailed;
      verdict.quick = true;
      return verdict;
    }
  }
  return AskAll(i, match, judgement, translation);
}

// `translated`: the packet as the rules leave it, or null for as it came.
[[gnu::always_inline]] inline bool Pipeline::CarryOut(uint32_t i, const Verdict& verdict,
                        const PacketInfo* translated,
                        const Judgement& judgement) {
  const PacketInfo& info = burst_->infos[i];
  const FilterView& filter = judgement.filter;
  const Direction direction = judgement.where.direction;
  rules_[i] = verdict.rule;

  const bool blocked = verdict.action == VerdictAction::kBlock;
  if (!expectations_.empty() && !info.has(kFragment) &&
      (!blocked || !verdict.quick)) {
    ExpectedChild child;
    const VlanId vlan = VlanOf(*burst_->mbufs[i], info);
    if (expectations_.Take(info, vlan, judgement.where, judgement.now,
                           &child)) {
      rules_[i] = nullptr;
      if (child.values.tag != kNoTag) tags_[i] = child.values.tag;
      PacketInfo beyond = info;
      const bool translated = child.after.family != Family::kNone;
      if (translated) {
        translator_.Begin(*burst_->mbufs[i], judgement.where, judgement.now);
        if (!translator_.Follow(child.after, &beyond)) {
          expectations_.ChildGone(child.parent.record, child.parent.handle.id,
                                  0);
          Drop(i, DropReason::kMapFailed);
          return false;
        }
      }
      return Admit(i, child.values, &child, translated ? &beyond : nullptr,
                   judgement);
    }
  }

  const bool options = info.has(kIpOptions) && !verdict.allow_options;
  if (blocked || options) {
    CountPacket(*filter.generation, verdict, direction, info, false,
                *filter.counters);
    if (blocked) {
      AnswerBlocked(i, {verdict.answer, verdict.rst_ttl, verdict.icmp_code});
    }
    const DropReason reason = blocked ? verdict.reason : DropReason::kIpOption;
    LogVerdict(i, verdict, false, reason, judgement);
    Drop(i, reason);
    return false;
  }
  LogVerdict(i, verdict, true, DropReason::kMatch, judgement);
  tags_[i] = verdict.state.tag;
  // Further paths of an association that was translated, or whose rule has a
  // limiter, are not expected: their own first packets ask the rules.
  if (verdict.keep_state && info.proto == protocol::kSctp &&
      translated == nullptr &&
      (verdict.state.state_limiter | verdict.state.source_limiter) == 0 &&
      filter.generation->options().sctp_begins_with_init &&
      !ReadSctpChunks(info, *burst_->mbufs[i]).has(wire::kSctpInit))
      [[unlikely]] {
    RefuseState(i, verdict.state, DropReason::kMatch, judgement);
    return false;
  }
  // Nobody answers an advertisement.
  if (verdict.keep_state && !IsNeighborAdvertisement(info)) {
    if (!scrubbing_) [[likely]] {
      return Admit(i, verdict.state, nullptr, translated, judgement);
    }
    StateTemplate values = verdict.state;
    values.actions = scrubs_[i];
    values.actions.Add(verdict.state.actions);
    return Admit(i, values, nullptr, translated, judgement);
  }
  CountPacket(*filter.generation, verdict, direction, info, true,
              *filter.counters);
  if (verdict.state.actions.has(PacketActions::kRoute)) [[unlikely]] {
    NoteRoute(i, verdict.state.route, direction, judgement);
  }
  return Finish(i, verdict.state.actions);
}

bool Pipeline::ApplyRules(uint32_t i, const Judgement& judgement) {
  if (!translating_) [[likely]] {
    return CarryOut(i, AskRules(i, judgement, nullptr), nullptr, judgement);
  }
  Translation translation;
  const TranslatorTurn turn(translator_);
  const Verdict verdict = AskTranslated(i, judgement, &translation);
  return CarryOut(i, verdict,
                  translation.translated ? &translation.packet : nullptr,
                  judgement);
}

bool Pipeline::Act(uint32_t i, const PacketActions& actions) {
  PacketInfo& info = burst_->infos[i];
  rte_mbuf& mbuf = *burst_->mbufs[i];
  if (actions.max_packet_size != 0 &&
      info.ip_length > actions.max_packet_size) {
    Drop(i, DropReason::kNormalize);
    return false;
  }
  if (actions.has(PacketActions::kSetPriority)) {
    SetVlanPriority(mbuf, info, actions.priority[IsUrgent(info)]);
  }
  const bool v4 = info.family == Family::kIpv4;
  if (v4 && actions.has(PacketActions::kClearDontFragment)) {
    ClearDontFragment(mbuf, info);
  }
  if (info.ttl < actions.min_ttl) SetTtl(mbuf, info, actions.min_ttl);
  if (actions.has(PacketActions::kSetTos)) {
    SetTos(mbuf, info,
           static_cast<uint8_t>(actions.tos | (info.tos & kEcnBits)));
  }
  // Fragments of one datagram keep what they have in common.
  if (v4 && actions.has(PacketActions::kRandomId) && !info.has(kFragment)) {
    SetIpId(mbuf, info, Be16(static_cast<uint16_t>(SecretBits())));
  }
  if (actions.max_mss != 0) ClampMss(mbuf, info, actions.max_mss);
  return true;
}

// A packet that passes and whose state cannot be. It was logged as one that
// passes.
void Pipeline::RefuseState(uint32_t i, const StateTemplate& values,
                           DropReason reason, const Judgement& judgement) {
  if ((values.flags & kStateLog) != 0) {
    Log(i, {.rule_slot = values.rule_slot,
            .anchor_slot = values.anchor_slot,
            .action = RuleAction::kBlock,
            .log_slot = values.rule_slot},
        reason, judgement);
  }
  const EngineOptions& options = judgement.filter.generation->options();
  if (options.fail_policy != BlockReturn::kDrop) {
    AnswerBlocked(i, ResolveAnswer(options.fail_policy, 0, kPortUnreachable,
                                   kPortUnreachable6, options,
                                   burst_->infos[i]));
  }
  Drop(i, reason);
}

bool Pipeline::Admit(uint32_t i, const StateTemplate& values,
                     const ExpectedChild* child, const PacketInfo* translated,
                     const Judgement& judgement) {
  const PacketInfo& info = burst_->infos[i];
  const rte_mbuf& mbuf = *burst_->mbufs[i];
  const InsertResult inserted =
      states_.Insert(info, mbuf, judgement.where, values, judgement.now, child,
                     translated,
                     child == nullptr ? translator_.holds() : nullptr);
  if (inserted.state == kNoState) {
    RefuseState(i, values, inserted.reason, judgement);
    return false;
  }
  if (info.proto == protocol::kTcp &&
      values.actions.has(PacketActions::kScrubTcp)) [[unlikely]] {
    ScrubTcp(states_.mutable_entries().scrub(inserted.state), burst_->infos[i],
             *burst_->mbufs[i], MomentOf(inserted.state, judgement),
             SecretBits());
  }
  if (inserted.addresses) FollowSctp(inserted.state, i, judgement);
  if (states_.entries().hot(inserted.state).flags & kEntryHelper) {
    Help(inserted.state, i, judgement);
  }
  if (inserted.answer.has_value()) [[unlikely]] {
    return Proxy(i, {.answer = inserted.answer, .onward = std::nullopt},
                 judgement);
  }
  if (inserted.shift.IsSet()) [[unlikely]] {
    ShiftSequence(*burst_->mbufs[i], burst_->infos[i], inserted.shift);
  }
  // Before it crosses, as all that follow it by the state: what rules do to a
  // packet, and the size that they allow, is that of the one they have seen.
  if (!Finish(i, values.actions)) return false;
  NoteRouteOf(inserted.state, i, judgement);
  if (translated != nullptr &&
      states_.entries().hot(inserted.state).translated()) {
    return TranslateBy(inserted.state, i, judgement);
  }
  return true;
}

HelperVerdict Pipeline::Help(StateIndex state, uint32_t i,
                             const Judgement& judgement) {
  const PacketInfo& info = burst_->infos[i];
  if (info.proto != protocol::kTcp) {
    return RunTftpHelper(states_, state, info, *burst_->mbufs[i],
                         judgement.where, judgement.now, expectations_);
  }
  return RunFtpHelper(states_, state, &burst_->infos[i], *burst_->mbufs[i],
                      judgement.where, judgement.now, expectations_);
}

void Pipeline::NoteTranslation(StateIndex state, uint32_t i,
                               const Judgement& judgement) {
  if (judgement.where.direction != Direction::kIn) return;
  translated_ |= Bit(i);
  translated_by_[i] = states_.entries().HandleOf(state);
}

bool Pipeline::TranslateBy(StateIndex state, uint32_t i,
                           const Judgement& judgement) {
  if (routing_) [[unlikely]] NoteLinks(state, i, judgement);
  if (states_.Crosses(state)) [[unlikely]] {
    return CrossBy(state, i, judgement);
  }
  NoteTranslation(state, i, judgement);
  states_.Translate(state, *burst_->mbufs[i], &burst_->infos[i],
                    judgement.where.direction);
  return true;
}

bool Pipeline::UndoTranslation(uint32_t i, rte_mbuf** answer) {
  const StateIndex state = states_.entries().Resolve(translated_by_[i]);
  if (state == kNoState) return false;
  PacketInfo info;
  ParsePacket(**answer, {.verify_checksums = false}, &info);
  if (info.kind != Kind::kIp) return false;
  const bool crosses = states_.Crosses(state);
  const Crossing crossing = {.id = SecretBits(), .pool = config_.pool};
  if (!info.has(kIcmpError)) {
    CrossedForm form;
    if (crosses) {
      return states_.Cross(state, answer, &info, Direction::kOut, crossing,
                           &form) == CrossResult::kDone;
    }
    states_.Translate(state, **answer, &info, Direction::kOut);
    return true;
  }
  PacketInfo inner;
  DropReason reason;
  if (!ParseInner(**answer, info, &inner, &reason)) return false;
  if (crosses) {
    return states_.CrossError(state, answer, &info, inner, Direction::kOut,
                              crossing) == CrossResult::kDone;
  }
  states_.TranslateError(state, **answer, &info, inner, Direction::kOut);
  return true;
}

}  // namespace sluice
