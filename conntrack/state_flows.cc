// The part of StateTable that tells of states which are made and which end.
#include "conntrack/state_table.h"

namespace sluice {

// Of a state that no packet prolongs any more.
FlowEnd StateTable::EndOfAged(const StateHot& hot) {
  if ((hot.flags & kEntryFinished) != 0) return FlowEnd::kFinished;
  const bool tcp = hot.key.proto == protocol::kTcp;
  if (!tcp && hot.key.proto != protocol::kSctp) return FlowEnd::kTimeout;
  constexpr auto kClosed = static_cast<uint8_t>(TcpPhase::kFinWait2);
  constexpr auto kBroken = static_cast<uint8_t>(TcpPhase::kTimeWait);
  if (hot.phase[0] == kBroken && hot.phase[1] == kBroken) {
    return FlowEnd::kReset;
  }
  if (hot.phase[0] >= kClosed && hot.phase[1] >= kClosed) {
    return FlowEnd::kFinished;
  }
  // Both FINs were seen, and the last acknowledgment was not.
  const bool closing = hot.timeout == Timeout::kTcpFinWait;
  return closing ? FlowEnd::kFinished : FlowEnd::kTimeout;
}

void StateTable::RecordFlow(StateIndex state, FlowEnd end) {
  const StateHot& hot = entries_.hot(state);
  const bool exported =
      hot.has_side() && (entries_.side(state).flags & kSidePflow) != 0;
  if (!all_flows_ && (!exported || end == FlowEnd::kNone)) return;
  FlowRecord* const out = flows_->Begin();
  if (out == nullptr) return;
  const StateRecord record = Record(state, now_);
  const StateCold& cold = entries_.cold(state);
  *out = {.id = record.id,
          .parent = record.parent.id,
          .packets = record.packets,
          .bytes = record.bytes,
          .address = record.address,
          .translated = record.translated_address,
          .port = record.port,
          .translated_port = record.translated_port,
          .rule_slot = cold.rule_slot,
          .anchor_slot = cold.anchor_slot,
          .created = cold.created,
          .last_seen = hot.last_seen,
          .now = now_,
          .vlan = record.vlan,
          .filter = record.filter,
          .interface = record.interface,
          .direction = record.direction,
          .proto = record.proto,
          .end = end,
          .exported = exported};
  flows_->Commit();
}

}  // namespace sluice
