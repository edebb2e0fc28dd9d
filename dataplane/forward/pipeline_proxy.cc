// The parts of Pipeline that speak for one host to the other: `synproxy state`
// and SYN cookies.
#include <rte_mbuf.h>

#include <utility>

#include "conntrack/state_budget.h"
#include "conntrack/state_table.h"
#include "conntrack/syncookie.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/pipeline_answer.h"
#include "packet/answer.h"
#include "packet/fragment.h"
#include "packet/sequence.h"
#include "pftable/engine/generation.h"

namespace sluice {

bool Pipeline::Proxy(uint32_t i, const ProxyOrder& order,
                     const Judgement& judgement) {
  if (order.answer.has_value()) AnswerArrival(i, *order.answer, judgement);
  if (!order.onward.has_value()) {
    Drop(i, order.reason);
    return false;
  }
  rte_mbuf* const made =
      config_.pool != nullptr ? rte_pktmbuf_alloc(config_.pool) : nullptr;
  if (made == nullptr ||
      !BuildProxied(*burst_->mbufs[i], burst_->infos[i], *order.onward,
                    made)) {
    rte_pktmbuf_free(made);
    Drop(i, DropReason::kMemory);
    return false;
  }
  ParsePacket(*made, config_.parse, &burst_->infos[i]);
  CountRefragmented(CountFragments(*burst_->mbufs[i]), 1);
  rte_pktmbuf_free(burst_->mbufs[i]);
  burst_->mbufs[i] = made;
  return true;
}

void Pipeline::AnswerArrival(uint32_t i, const TcpSegment& segment,
                             const Judgement& judgement) {
  Answer(i, [&](rte_mbuf* answer) {
    if (!BuildProxied(*burst_->mbufs[i], burst_->infos[i], segment, answer)) {
      return false;
    }
    // What is judged where it arrived is answered there, out of that state's
    // sight: it is the host's own packet, as far as that is concerned.
    if (judgement.where.direction == Direction::kIn) return true;
    const FilterView& filter = *(*filters_)[0];
    PacketInfo info;
    ParsePacket(*answer, config_.parse, &info);
    const JudgePoint where = {.direction = Direction::kOut,
                              .filter = filter.number,
                              .interface = judgement.arrival.interface.id};
    const StateIndex state = states_.Find(info, *answer, where);
    if (state == kNoState) return true;
    const StepResult step = states_.Step(state, info, *answer,
                                         Direction::kOut, judgement.now);
    if (step.verdict == StepVerdict::kPass && step.shift.IsSet()) {
      ShiftSequence(*answer, info, step.shift);
    }
    return true;
  });
}

// Whether new connections get cookies now.
bool Pipeline::GivesCookies(const Judgement& judgement) {
  const EngineOptions& options = judgement.filter.generation->options();
  if (options.syncookies == Syncookies::kAlways) return true;
  HandshakeLoad* const load = judgement.filter.filter->handshakes;
  if (load == nullptr) return false;
  const uint64_t half_open = load->half_open.load(std::memory_order_relaxed);
  const uint64_t limit = judgement.filter.filter->budget->limit();
  bool flood = load->flood.load(std::memory_order_relaxed);
  if (!flood &&
      half_open * 100 > limit * options.syncookies_start_percent) {
    // Whoever sees it first counts it.
    if (load->flood.compare_exchange_strong(flood, true,
                                            std::memory_order_relaxed)) {
      judgement.filter.counters->limit(LimitCounter::kSynFloods).Add(1);
    }
    return true;
  }
  if (flood && half_open * 100 < limit * options.syncookies_end_percent) {
    load->flood.store(false, std::memory_order_relaxed);
    return false;
  }
  return flood;
}

bool Pipeline::TrySyncookie(uint32_t i, const Judgement& judgement,
                            bool* passed) {
  const PacketInfo& info = burst_->infos[i];
  if (judgement.where.direction != Direction::kIn ||
      info.proto != protocol::kTcp || info.has(kFragment)) {
    return false;
  }
  const uint8_t flags =
      info.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst | kTcpFin);
  if (flags == kTcpSyn) {
    if (!GivesCookies(judgement)) return false;
    const uint16_t mss = ReadMss(*burst_->mbufs[i], info);
    const TcpSegment answer = {
        .flags = kTcpSyn | kTcpAck,
        .sequence =
            MakeSyncookie(config_.cookie_key, info,
                          VlanOf(*burst_->mbufs[i], info), mss, judgement.now),
        .acknowledgment = info.sequence + 1,
        .mss = mss};
    judgement.filter.counters->limit(LimitCounter::kSyncookiesSent).Add(1);
    *passed = Proxy(i, {.answer = answer, .onward = std::nullopt}, judgement);
    return true;
  }
  if (flags != kTcpAck) return false;
  const std::optional<uint16_t> mss =
      CheckSyncookie(config_.cookie_key, info,
                     VlanOf(*burst_->mbufs[i], info), judgement.now);
  if (!mss.has_value()) return false;
  judgement.filter.counters->limit(LimitCounter::kSyncookiesValidated).Add(1);
  *passed = AdmitCookie(i, *mss, judgement);
  return true;
}

// The rules see the SYN that nobody has kept, and a state made by it is the
// proxy's from then on.
bool Pipeline::AdmitCookie(uint32_t i, uint16_t mss,
                           const Judgement& judgement) {
  const PacketInfo info = burst_->infos[i];
  PacketInfo syn = info;
  syn.tcp_flags = kTcpSyn;
  syn.sequence = info.sequence - 1;
  syn.acknowledgment = 0;
  const uint32_t payload = info.payload_length();
  syn.l4_length = static_cast<uint16_t>(info.l4_length - payload);
  syn.ip_length = static_cast<uint16_t>(info.ip_length - payload);
  burst_->infos[i] = syn;
  // What was found for the ACK is not the SYN's.
  const Mask classified = std::exchange(classified_, 0);
  Translation translation;
  const TranslatorTurn turn(translator_);
  const Verdict verdict = AskTranslated(i, judgement, &translation);
  classified_ = classified;
  burst_->infos[i] = info;
  rules_[i] = verdict.rule;
  const bool options = info.has(kIpOptions) && !verdict.allow_options;
  if (verdict.action == VerdictAction::kBlock || options ||
      !verdict.keep_state) {
    CountPacket(*judgement.filter.generation, verdict,
                judgement.where.direction, info, false,
                *judgement.filter.counters);
    const DropReason reason =
        verdict.action == VerdictAction::kBlock ? verdict.reason
        : options                               ? DropReason::kIpOption
                                                : DropReason::kSynproxy;
    if (verdict.action == VerdictAction::kBlock) {
      AnswerBlocked(i, {verdict.answer, verdict.rst_ttl, verdict.icmp_code});
    }
    LogVerdict(i, verdict, false, reason, judgement);
    Drop(i, reason);
    return false;
  }
  LogVerdict(i, verdict, true, DropReason::kMatch, judgement);
  tags_[i] = verdict.state.tag;
  const InsertResult inserted = states_.InsertProxied(
      syn, info, *burst_->mbufs[i], judgement.where, verdict.state,
      info.acknowledgment - 1, mss, judgement.now,
      translation.translated ? &translation.packet : nullptr,
      translator_.holds());
  if (inserted.state == kNoState) {
    Drop(i, inserted.reason);
    return false;
  }
  if (!Proxy(i, states_.RunProxy(inserted.state, info,
                                 judgement.where.direction, judgement.now),
             judgement)) {
    return false;
  }
  NoteRouteOf(inserted.state, i, judgement);
  return !states_.entries().hot(inserted.state).translated() ||
         TranslateBy(inserted.state, i, judgement);
}

}  // namespace sluice
