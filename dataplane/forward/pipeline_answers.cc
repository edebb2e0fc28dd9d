// The part of Pipeline that tells others of a packet: the log, and the sender
// of one that was refused.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "conntrack/state_table.h"
#include "dataplane/forward/log_ring.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/pipeline_answer.h"
#include "packet/answer.h"
#include "pftable/engine/generation.h"

namespace sluice {

void Pipeline::LogVerdict(uint32_t i, const Verdict& verdict, bool passed,
                          DropReason reason, const Judgement& judgement) {
  if (config_.log == nullptr) return;
  for (uint32_t k = 0; k < verdict.logged_count; ++k) {
    LoggedRule rule = verdict.logged[k];
    const bool last = k + 1 == verdict.logged_count;
    if (last && rule.action != RuleAction::kMatch) {
      rule.action = passed ? RuleAction::kPass : RuleAction::kBlock;
    }
    Log(i, rule, last ? reason : DropReason::kMatch, judgement);
  }
  // pf logs what it drops for its options whether the rule says so or not.
  if (reason == DropReason::kIpOption && !verdict.log) {
    Log(i, {.rule_slot = verdict.state.rule_slot,
            .anchor_slot = verdict.state.anchor_slot,
            .action = RuleAction::kBlock,
            .log_slot = verdict.state.rule_slot},
        reason, judgement);
  }
}

void Pipeline::Log(uint32_t i, const LoggedRule& rule, DropReason reason,
                   const Judgement& judgement) {
  if (config_.log == nullptr) return;
  LogRecord* const record = config_.log->Begin();
  if (record == nullptr) return;
  const PacketInfo& info = burst_->infos[i];
  const rte_mbuf& mbuf = *burst_->mbufs[i];
  record->now = judgement.now;
  record->rule_slot = rule.rule_slot;
  record->anchor_slot = rule.anchor_slot;
  record->log_slot = rule.log_slot;
  record->filter = judgement.where.filter;
  record->interface = judgement.at.interface.id;
  record->length = info.ip_length;
  record->action = rule.action;
  record->reason = reason;
  record->direction = judgement.where.direction;
  record->family = info.family;
  const size_t length = std::min<size_t>(info.ip_length, kLogBytes);
  const void* const bytes =
      rte_pktmbuf_read(&mbuf, info.l3_offset, static_cast<uint32_t>(length),
                       record->bytes.data());
  if (bytes == nullptr) {
    record->captured = 0;
  } else {
    if (bytes != record->bytes.data()) {
      std::memcpy(record->bytes.data(), bytes, length);
    }
    record->captured = static_cast<uint8_t>(length);
  }
  config_.log->Commit();
}

void Pipeline::AnswerBlocked(uint32_t i, const AnswerChoice& choice) {
  const rte_mbuf& mbuf = *burst_->mbufs[i];
  const PacketInfo& info = burst_->infos[i];
  switch (choice.answer) {
    case BlockAnswer::kNone:
      return;
    case BlockAnswer::kTcpReset:
      Answer(i, [&](rte_mbuf* answer) {
        return BuildTcpReset(mbuf, info, choice.rst_ttl, answer);
      });
      return;
    case BlockAnswer::kSctpAbort:
      Answer(i, [&](rte_mbuf* answer) {
        return BuildSctpAbort(mbuf, info, answer);
      });
      return;
    case BlockAnswer::kIcmpUnreachable:
      Answer(i, [&](rte_mbuf* answer) {
        return BuildUnreachable(mbuf, info, choice.icmp_code, answer);
      });
      return;
  }
}

void Pipeline::AnswerState(uint32_t i, const StepResult& step) {
  if (step.verdict != StepVerdict::kChallengeAck &&
      step.verdict != StepVerdict::kReset) {
    return;
  }
  const uint8_t flags =
      step.verdict == StepVerdict::kReset ? kTcpRst : kTcpAck;
  Answer(i, [&](rte_mbuf* answer) {
    return BuildTcpSegment(*burst_->mbufs[i], burst_->infos[i], flags,
                           step.sequence, step.acknowledgment, answer);
  });
}

}  // namespace sluice
