// The part of Pipeline that follows SCTP associations over all addresses that
// their hosts have told of each other (RFC 9260 section 6.4, RFC 5061).
//
// Each other path is expected (conntrack/expectation.h), from either side, with
// the association's tags and with what the rules say of it: those that the
// policy has when the address is told, or with `allow-related` the rule of the
// association's own state. Its first packet makes it a state of its own.
#include <rte_mbuf.h>

#include <algorithm>

#include "conntrack/expectation.h"
#include "conntrack/sctp_chunks.h"
#include "conntrack/state_table.h"
#include "conntrack/tcp_tracker.h"
#include "dataplane/forward/pipeline.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/translation.h"

namespace sluice {
namespace {

// Whether packets may have it as their source and as their destination.
bool IsOrdinary(Family family, const std::array<uint8_t, 16>& address) {
  if (family == Family::kIpv4) {
    return address[0] != 0 && address[0] != 127 && address[0] < 0xe0;
  }
  const bool upper_zero = std::all_of(address.begin(), address.begin() + 15,
                                      [](uint8_t byte) { return byte == 0; });
  return address[0] != 0xff && !(upper_zero && address[15] <= 1);
}

// What packets of this peer bear, once what is being set up is done; 0: that
// is not known.
uint32_t TagOfPeer(const StateHot& hot, uint32_t peer) {
  if ((hot.scale[peer] & kPeerRestarts) != 0) return hot.window[peer].high;
  return (hot.scale[peer] & kPeerSeen) != 0 ? hot.window[peer].low : 0;
}

}  // namespace

bool Pipeline::AskForPath(const PacketInfo& path, uint32_t i,
                          const Judgement& judgement, StateTemplate* values) {
  const Generation& generation = *judgement.filter.generation;
  Translation translation;
  const TranslatorTurn turn(translator_);  // nothing that is chosen is kept
  EvaluationInput input{.packet = path,
                        .direction = judgement.where.direction,
                        .interface = judgement.at.interface,
                        .received_on = judgement.arrival.interface,
                        .tag = tags_[i],
                        .now = judgement.now,
                        .random = Random(),
                        .translation = nullptr,
                        .routes = judgement.routes};
  if (!generation.pools.empty()) {
    translator_.Begin(*burst_->mbufs[i], judgement.where, judgement.now);
    translation.chooser = &translator_;
    input.translation = &translation;
    if (!generation.policy->translations[0].empty() &&
        ApplyTranslationRules(generation, input, *judgement.filter.counters)
                .rule != nullptr) {
      return false;
    }
  }
  const Verdict verdict = Classify(generation, input, verdict_cache_,
                                   *judgement.filter.counters);
  // What is to be translated, or counted for its source or a limiter, is left
  // to its own first packet.
  const bool limited =
      (verdict.state.state_limiter | verdict.state.source_limiter) != 0;
  if (verdict.action == VerdictAction::kBlock || !verdict.keep_state ||
      verdict.state.side != 0 || limited || translation.translated ||
      translation.failed) {
    return false;
  }
  *values = verdict.state;
  if (scrubbing_) {
    values->actions = scrubs_[i];
    values->actions.Add(verdict.state.actions);
  }
  return true;
}

bool Pipeline::ArmSctp(const PacketInfo& path, StateIndex state, uint32_t i,
                       const std::array<uint32_t, 2>& tag,
                       ParentReference* parent, const Judgement& judgement) {
  StateTemplate values;
  if (states_.AllowsRelated(state)) {
    values = states_.entries().TemplateOf(state);
  } else if (!AskForPath(path, i, judgement, &values)) {
    return true;
  }
  uint16_t record = kNoFamilyRecord;
  const ExpectResult result =
      expectations_.Arm({.proto = protocol::kSctp,
                         .family = path.family,
                         .direction = judgement.where.direction,
                         .source = path.source,
                         .destination = path.destination,
                         .source_port = path.source_port.raw(),
                         .destination_port = path.destination_port.raw(),
                         .owner = burst_->infos[i].source,
                         .tag = tag},
                        *parent, values, judgement.now, &record);
  if (result != ExpectResult::kArmed && result != ExpectResult::kRearmed) {
    return false;
  }
  parent->record = record;
  return true;
}

void Pipeline::FollowSctp(StateIndex state, uint32_t i,
                          const Judgement& judgement) {
  const StateEntries& entries = states_.entries();
  const StateHot& hot = entries.hot(state);
  // Behind a translation hosts know each other by other addresses than those
  // that they tell; each path has its own there, given by the rules.
  if (!judgement.filter.generation->options().follows_sctp ||
      hot.translated()) {
    return;
  }
  const PacketInfo info = burst_->infos[i];
  const SctpAddressChanges said = ReadSctpAddresses(
      ReadSctpChunks(info, *burst_->mbufs[i]), info, *burst_->mbufs[i]);
  if (said.count == 0) return;

  // All paths are children of the one that came first.
  const StateCold& cold = entries.cold(state);
  ParentReference parent = entries.ReferenceTo(state);
  const bool is_child = parent.has_parent;
  if (is_child) {
    parent.handle = {.id = cold.parent_id, .slot = cold.parent_slot};
    parent.record = cold.family_record;
    parent.has_parent = false;
  }
  const int near = judgement.where.direction == Direction::kIn ? 0 : 1;
  const uint32_t from = judgement.where.direction == hot.direction() ? 0 : 1;
  const std::array<uint32_t, 2> tag = {TagOfPeer(hot, from),
                                       TagOfPeer(hot, from ^ 1)};
  for (const int side : {0, 1}) {
    const uint32_t known = tag[static_cast<size_t>(side)];
    if (known == 0) continue;
    expectations_.LearnTag(parent.record, parent.handle.id,
                           side == 0 ? near : near ^ 1, known);
  }
  std::array<std::array<uint8_t, 16>, kMaxSctpAddresses> peers;
  peers[0] = info.destination;
  uint32_t peer_count = 1;
  std::array<std::array<uint8_t, 16>, kMaxSctpAddresses> expected;
  const uint32_t expected_count = expectations_.AddressesOf(
      parent.record, parent.handle.id, near ^ 1, expected);
  for (uint32_t k = 0; k < expected_count && peer_count < peers.size(); ++k) {
    if (expected[k] != info.destination) peers[peer_count++] = expected[k];
  }

  bool room = true;
  for (uint32_t k = 0; k < said.count; ++k) {
    const SctpAddressChange& change = said.changes[k];
    if (!IsOrdinary(info.family, change.address) ||
        change.address == info.source) {
      continue;
    }
    PacketInfo path = info;
    path.source = change.address;
    if (!change.added) {
      expectations_.Forget(parent.record, parent.handle.id, near,
                           change.address);
    }
    for (uint32_t p = 0; p < peer_count; ++p) {
      path.destination = peers[p];
      const StateIndex there =
          states_.Find(path, *burst_->mbufs[i], judgement.where);
      if (!change.added && there != kNoState) {
        states_.CloseSctp(there,
                          judgement.where.direction ==
                                  entries.hot(there).direction()
                              ? Peer::kOriginator
                              : Peer::kResponder,
                          judgement.now);
      } else if (change.added && there == kNoState && room) {
        room = ArmSctp(path, state, i, tag, &parent, judgement);
      }
    }
  }
  if (!is_child && parent.record != cold.family_record) {
    states_.SetFamilyRecord(state, parent.record);
  }
}

}  // namespace sluice
