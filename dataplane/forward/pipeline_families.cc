// The part of Pipeline that sends packets on in the other family (af-to).
#include <rte_mbuf.h>

#include <bit>

#include "conntrack/state_table.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/pipeline_answer.h"
#include "dataplane/forward/pipeline_hops.h"
#include "packet/answer.h"
#include "packet/family.h"
#include "packet/icmp_family.h"

namespace sluice {

void Pipeline::NoteHowItCame(uint32_t i) {
  crossed_here_ |= Bit(i);
  came_with_[i] = burst_->infos[i].ip_length;
}

bool Pipeline::CrossBy(StateIndex state, uint32_t i,
                       const Judgement& judgement) {
  NoteHowItCame(i);
  // Extension headers that filled a fragment are gone with it, whatever has
  // become of the packet.
  const uint32_t before = CountFragments(*burst_->mbufs[i]);
  const CrossResult result = states_.Cross(
      state, &burst_->mbufs[i], &burst_->infos[i], judgement.where.direction,
      {.mtu = judgement.departure.mtu,
       .id = SecretBits(),
       .pool = config_.pool},
      &forms_[i]);
  CountRefragmented(before, CountFragments(*burst_->mbufs[i]));
  return FinishCrossing(i, state, result, judgement);
}

bool Pipeline::CrossErrorBy(StateIndex state, uint32_t i,
                            const PacketInfo& inner,
                            const Judgement& judgement) {
  forms_[i] = CrossedForm();
  NoteHowItCame(i);
  const uint32_t before = CountFragments(*burst_->mbufs[i]);
  const CrossResult result = states_.CrossError(
      state, &burst_->mbufs[i], &burst_->infos[i], inner,
      judgement.where.direction,
      {.mtu = judgement.departure.mtu,
       .id = SecretBits(),
       .pool = config_.pool});
  CountRefragmented(before, CountFragments(*burst_->mbufs[i]));
  return FinishCrossing(i, state, result, judgement);
}

bool Pipeline::FinishCrossing(uint32_t i, StateIndex state,
                              CrossResult result,
                              const Judgement& judgement) {
  switch (result) {
    case CrossResult::kDone:
      NoteTranslation(state, i, judgement);
      crossed_ |= Bit(i);
      return true;
    case CrossResult::kTooBig: {
      // What its sender may send is what fits once it has crossed.
      const PacketInfo& info = burst_->infos[i];
      const uint32_t mtu = info.family == Family::kIpv4
                               ? judgement.departure.mtu - kFamilyGrowth
                               : judgement.departure.mtu + kFamilyGrowth;
      Answer(i, [&](rte_mbuf* answer) {
        return BuildTooBig(*burst_->mbufs[i], info, mtu, answer);
      });
      Drop(i, DropReason::kTranslate);
      return false;
    }
    case CrossResult::kMemory:
      Drop(i, DropReason::kMemory);
      return false;
    case CrossResult::kRefused:
      break;
  }
  // To cross is the hop that a router's packet makes: it has somebody to say
  // that there was none left.
  if (judgement.where.direction == Direction::kIn &&
      judgement.at.router != kNoRouter && burst_->infos[i].ttl <= 1) {
    TellSender(i, kTimeExceeded.For(burst_->infos[i].family),
               judgement.arrival);
    Drop(i, DropReason::kTtlExceeded);
    return false;
  }
  Drop(i, DropReason::kTranslate);
  return false;
}

void Pipeline::CountRefragmented(uint32_t before, uint32_t now) {
  if (now > before) port_->fragments_made.Add(now - before);
  if (now < before) port_->fragments_joined.Add(before - now);
}

Pipeline::Mask Pipeline::FragmentCrossed(Mask crossed) {
  Mask left = 0;
  for (; crossed != 0; crossed &= crossed - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(crossed));
    const uint32_t before = CountFragments(*burst_->mbufs[i]);
    rte_mbuf* made = MakeFragments(burst_->mbufs[i], burst_->infos[i],
                                   forms_[i], config_.pool);
    if (made == nullptr) {
      Drop(i, DropReason::kMemory);
      continue;
    }
    CountRefragmented(before, CountFragments(*made));
    burst_->mbufs[i] = made;
    left |= Bit(i);
  }
  return left;
}

}  // namespace sluice
