#include "restore/snapshot_records.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "packet/family.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_format.h"

namespace sluice {
namespace {

constexpr uint32_t kRecordsBetweenQuestions = 4096;

bool Is(const SnapshotTlv& tlv, RecordType type) {
  return tlv.type == static_cast<uint16_t>(type);
}

// The two ends of a flow as a key has them: from the side on which it is
// judged, so that a flow and its mirror image at one filter are one.
std::pair<const SnapshotPeer*, const SnapshotPeer*> Ends(
    const SnapshotState& state) {
  return state.direction == Direction::kIn
             ? std::pair(&state.peers[0], &state.peers[1])
             : std::pair(&state.peers[1], &state.peers[0]);
}

size_t HashOfFlow(const SnapshotState& state) {
  const auto [a, b] = Ends(state);
  return absl::HashOf(a->address.family, a->address.bytes, a->port,
                      b->address.bytes, b->port, state.proto,
                      state.vlan.value);
}

bool IsSameFlow(const SnapshotState& x, const SnapshotState& y) {
  const auto [xa, xb] = Ends(x);
  const auto [ya, yb] = Ends(y);
  return x.proto == y.proto && xa->port == ya->port && xb->port == yb->port &&
         xa->address == ya->address && xb->address == yb->address &&
         x.vlan == y.vlan && x.interface == y.interface;
}

// What a translated state has given out, whichever way its packets go.
struct GivenFlow {
  uint8_t proto = 0;
  VlanId vlan;
  std::array<std::pair<Address, uint16_t>, 2> ends;

  friend bool operator==(const GivenFlow&, const GivenFlow&) = default;
};
GivenFlow GivenFlowOf(const SnapshotState& state) {
  GivenFlow flow{.proto = state.translates_family()
                              ? ProtocolAcross(state.proto)
                              : state.proto,
                 .vlan = state.vlan,
                 .ends = {{{state.translated[0], state.translated_port[0]},
                           {state.translated[1], state.translated_port[1]}}}};
  if (flow.ends[1] < flow.ends[0]) std::swap(flow.ends[0], flow.ends[1]);
  return flow;
}

}  // namespace

absl::Status SnapshotRecords::Bad(size_t offset, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("snapshot, offset ", offset, ": ",
                   absl::string_view(what.data(), what.size())));
}

absl::Status SnapshotRecords::TooMany(std::string_view what,
                                      uint64_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the snapshot has more ",
                   absl::string_view(what.data(), what.size()), " than ",
                   limit, ", the limit of the filter that receives it"));
}

// Room for the records of a type, as many as there are and as their bytes may
// stand for: no vector grows later.
absl::Status SnapshotRecords::Reserve(SectionKind kind, uint32_t count,
                                      const SnapshotCursor& bytes) {
  Snapshot& out = result_->snapshot;
  const auto reserve = [&](auto& values, RecordType type, size_t least) {
    SnapshotCursor from = bytes;
    size_t found = 0;
    SnapshotTlv tlv;
    for (uint32_t i = 0; i < count && GetTlv(from, &tlv); ++i) {
      found += Is(tlv, type);
    }
    values.reserve(values.size() + std::min(found, bytes.left() / least));
  };
  switch (kind) {
    case SectionKind::kLimits:
      reserve(out.limits, RecordType::kLimit, kLeastLimitBytes);
      break;
    case SectionKind::kTables:
      reserve(out.tables, RecordType::kTable, kLeastTableBytes);
      break;
    case SectionKind::kRules:
      reserve(out.rulesets, RecordType::kRuleset, kLeastRulesetBytes);
      break;
    case SectionKind::kParentStates:
    case SectionKind::kChildStates:
      if (out.parents.size() + out.children.size() + count > limits_.states) {
        return TooMany("states", limits_.states);
      }
      reserve(kind == SectionKind::kParentStates ? out.parents : out.children,
              RecordType::kState, kLeastStateBytes);
      break;
    case SectionKind::kExpectations:
      if (count > limits_.expectations) {
        return TooMany("expectations", limits_.expectations);
      }
      // Of either type.
      out.expectations.reserve(
          std::min<size_t>(count, bytes.left() / kLeastExpectationBytes));
      break;
    case SectionKind::kSourceNodes:
      // One meaning has one form.
      if (count == 0) return Bad(bytes.offset(), "a section of no sources");
      if (count > limits_.source_nodes) {
        return TooMany("sources", limits_.source_nodes);
      }
      reserve(out.source_nodes, RecordType::kSourceNode,
              kLeastSourceNodeBytes);
      break;
    case SectionKind::kCounters:
      reserve(out.rule_counters, RecordType::kRuleCounters,
              kLeastRuleCountersBytes);
      reserve(out.table_counters, RecordType::kTableCounters,
              kLeastTableCountersBytes);
      break;
    default: break;
  }
  return absl::OkStatus();
}

absl::Status SnapshotRecords::Read(SectionKind kind, uint32_t count,
                                   SnapshotCursor bytes) {
  absl::Status status = Reserve(kind, count, bytes);
  for (uint32_t i = 0; i < count && status.ok(); ++i) {
    SnapshotTlv tlv;
    if (!GetTlv(bytes, &tlv) || tlv.value.size() > kMaxRecordBytes) {
      return Bad(tlv.offset, "a record that is truncated, padded wrongly or "
                             "too long");
    }
    status = ReadOne(kind, tlv, bytes.left());
    if (++since_asked_ == kRecordsBetweenQuestions) {
      since_asked_ = 0;
      if (limits_.go_on != nullptr && !limits_.go_on()) {
        return absl::CancelledError("reading the snapshot was called off");
      }
    }
  }
  if (!status.ok()) return status;
  if (bytes.left() != 0) {
    return Bad(bytes.offset(), "bytes behind the last record of a section");
  }
  if (kind == SectionKind::kParentStates) {
    children_of_.assign(result_->snapshot.parents.size(), 0);
  }
  return CheckComplete(bytes.offset());
}

absl::Status SnapshotRecords::CheckComplete(size_t offset) const {
  if (entries_left_ != 0) return Bad(offset, "a table lacks entries");
  if (options_left_ != 0 || rules_left_ != 0) {
    return Bad(offset, "a ruleset lacks options or rules");
  }
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadOne(SectionKind kind, const SnapshotTlv& tlv,
                                      size_t left) {
  if (tlv.IsKnownForm()) {
    switch (kind) {
      case SectionKind::kMeta:
        if (Is(tlv, RecordType::kMeta)) return ReadMeta(tlv);
        if (Is(tlv, RecordType::kDialect) &&
            result_->minor >= kMinorOfDialect) {
          return ReadDialect(tlv);
        }
        break;
      case SectionKind::kLimits:
        if (Is(tlv, RecordType::kLimit)) return ReadLimit(tlv);
        break;
      case SectionKind::kTables:
        if (Is(tlv, RecordType::kTable)) return ReadTable(tlv, left);
        if (Is(tlv, RecordType::kTableEntry)) return ReadEntry(tlv);
        break;
      case SectionKind::kRules:
        if (Is(tlv, RecordType::kRuleset)) return ReadRuleset(tlv, left);
        if (Is(tlv, RecordType::kOption)) return ReadOption(tlv);
        if (Is(tlv, RecordType::kRule)) return ReadRule(tlv);
        break;
      case SectionKind::kParentStates:
      case SectionKind::kChildStates:
        if (Is(tlv, RecordType::kState)) {
          return ReadState(tlv, kind == SectionKind::kChildStates);
        }
        break;
      case SectionKind::kExpectations:
        if (Is(tlv, RecordType::kExpectation)) return ReadExpectation(tlv);
        if (Is(tlv, RecordType::kExpectedFlow) &&
            result_->minor >= kMinorOfExpectedFlows) {
          return ReadExpectedFlow(tlv);
        }
        break;
      case SectionKind::kSourceNodes:
        if (Is(tlv, RecordType::kSourceNode)) return ReadSourceNode(tlv);
        break;
      case SectionKind::kCounters:
        if (Is(tlv, RecordType::kRuleCounters)) return ReadRuleCounters(tlv);
        if (Is(tlv, RecordType::kTableCounters)) return ReadTableCounters(tlv);
        break;
      default: break;
    }
  }
  if (tlv.critical()) {
    return absl::UnimplementedError(
        absl::StrCat("snapshot, offset ", tlv.offset,
                     ": a record that is not known (type ", tlv.type,
                     ", version ", tlv.version, ") and must not be skipped"));
  }
  ++result_->skips.records;
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadAttributes(SnapshotCursor& from,
                                             uint16_t count,
                                             std::string* interface,
                                             SnapshotBinding* binding,
                                             SnapshotState* state) {
  uint16_t last = 0;
  for (; count > 0; --count) {
    SnapshotTlv tlv;
    if (!GetTlv(from, &tlv)) {
      return Bad(tlv.offset, "an attribute that is truncated");
    }
    const auto order = static_cast<uint16_t>(tlv.type & ~kCriticalType);
    if (order <= last) return Bad(tlv.offset, "attributes out of order");
    last = order;
    if (tlv.value.empty()) return Bad(tlv.offset, "an attribute of nothing");
    SnapshotCursor value(tlv.value, tlv.value_offset);
    const bool known = tlv.IsKnownForm();
    if (known && interface != nullptr &&
        tlv.type == static_cast<uint16_t>(AttributeType::kInterface)) {
      *interface = value.GetRest();
      continue;
    }
    if (known && state != nullptr &&
        result_->minor >= kMinorOfTranslation &&
        tlv.type == static_cast<uint16_t>(AttributeType::kTranslation)) {
      const auto family = value.Get<uint8_t>();
      value.GetZero(1);
      for (uint16_t& port : state->translated_port) {
        port = value.Get<uint16_t>();
      }
      value.GetZero(2);
      for (Address& address : state->translated) {
        address = value.GetAddress(family);
      }
      const bool other = state->translated[0].family != state->family();
      if (!value.done() || !state->is_translated() ||
          (other && result_->minor < kMinorOfFamilies)) {
        return Bad(tlv.offset, "a translation of another form");
      }
      continue;
    }
    if (known && state != nullptr && result_->minor >= kMinorOfLinks &&
        tlv.type == static_cast<uint16_t>(AttributeType::kLinks)) {
      const auto which = value.Get<uint8_t>();
      const auto returns = value.Get<uint8_t>();
      value.GetZero(2);
      for (size_t peer = 0; peer < 2; ++peer) {
        const std::span<const uint8_t> mac = value.GetBytes(sizeof(MacAddress));
        std::copy(mac.begin(), mac.end(), state->links.mac[peer].begin());
        state->links.known[peer] = (which >> peer & 1) != 0;
        state->links.returns[peer] = (returns >> peer & 1) != 0;
      }
      if (!value.done() || which == 0 || which > 3 ||
          (returns & ~which) != 0) {
        return Bad(tlv.offset, "links of another form");
      }
      continue;
    }
    if (known && state != nullptr && result_->minor >= kMinorOfPools &&
        tlv.type == static_cast<uint16_t>(AttributeType::kPools)) {
      state->pool_marks = value.Get<uint8_t>();
      value.GetZero(7);
      for (RuleId& rule : state->sticky_rules) rule = value.Get<uint64_t>();
      // The last two are of routes.
      if (!value.done() || state->pool_marks == 0 ||
          (result_->minor < kMinorOfRoutes &&
           state->pool_marks >> kStickyRoute != 0)) {
        return Bad(tlv.offset, "marks of pools of another form");
      }
      continue;
    }
    if (known && state != nullptr && result_->minor >= kMinorOfPools &&
        tlv.type == static_cast<uint16_t>(AttributeType::kLimiters)) {
      state->state_limiter = value.Get<uint8_t>();
      state->source_limiter = value.Get<uint8_t>();
      if (!value.done() ||
          (state->state_limiter | state->source_limiter) == 0) {
        return Bad(tlv.offset, "limiters of another form");
      }
      continue;
    }
    if (known && state != nullptr && result_->minor >= kMinorOfFlowParents &&
        tlv.type == static_cast<uint16_t>(AttributeType::kParent)) {
      const bool has_one = state->parent != 0;
      state->parent = value.Get<uint64_t>();
      if (!value.done() || state->parent == 0 || has_one ||
          (state->proto != protocol::kTcp && state->proto != protocol::kSctp)) {
        return Bad(tlv.offset, "a parent of another form");
      }
      continue;
    }
    switch (known ? static_cast<AttributeType>(tlv.type) : AttributeType{}) {
      case AttributeType::kTag: binding->tag = value.GetRest(); continue;
      case AttributeType::kAnchorRule:
        binding->anchor_rule = value.Get<uint64_t>();
        if (!value.done() || binding->anchor_rule == 0) {
          return Bad(tlv.offset, "an anchor's rule of another form");
        }
        continue;
      case AttributeType::kMatchRules:
        if (value.left() > kMaxMatchRulesOfState * sizeof(RuleId)) {
          return Bad(tlv.offset, "too many match rules");
        }
        binding->match_rules.reserve(value.left() / sizeof(RuleId));
        while (value.left() > 0) {
          binding->match_rules.push_back(value.Get<uint64_t>());
        }
        if (!value.done()) return Bad(tlv.offset, "match rules cut short");
        continue;
      case AttributeType::kSequence:
        // Older ones have none.
        if (state == nullptr || result_->minor < kMinorOfSequence) break;
        for (uint32_t& offset : state->sequence_offset) {
          offset = value.Get<uint32_t>();
        }
        if (!value.done() ||
            (state->sequence_offset[0] | state->sequence_offset[1]) == 0) {
          return Bad(tlv.offset, "sequence offsets of another form");
        }
        continue;
      case AttributeType::kRoute: {
        if (result_->minor < kMinorOfRoutes) break;
        SnapshotRoute& route = binding->route.emplace();
        route.kind = static_cast<RouteKind>(value.Get<uint8_t>());
        const auto family = value.Get<uint8_t>();
        value.GetZero(6);
        route.sticky_rule = value.Get<uint64_t>();
        if (family != 0) route.gateway = value.GetAddress(family);
        route.interface = value.GetRest();
        if (!value.done()) return Bad(tlv.offset, "a route of another form");
        continue;
      }
      case AttributeType::kMarks:
        if (result_->minor < kMinorOfMarks) break;
        binding->marks = value.Get<uint8_t>();
        if (!value.done() || binding->marks == 0) {
          return Bad(tlv.offset, "marks of another form");
        }
        continue;
      case AttributeType::kVlan: {
        if (state == nullptr || result_->minor < kMinorOfVlan) break;
        const auto outer = value.Get<uint16_t>();
        const auto inner = value.Get<uint16_t>();
        state->vlan = VlanId::Of(outer, inner);
        if (!value.done() || outer == 0 || state->vlan.outer() != outer ||
            state->vlan.inner() != inner) {
          return Bad(tlv.offset, "a VLAN of another form");
        }
        continue;
      }
      case AttributeType::kTimeouts:
        if (value.left() > kTimeoutCount * 8) {
          return Bad(tlv.offset, "too many timeouts");
        }
        binding->timeouts.reserve(value.left() / 8);
        while (value.left() > 0) {
          const auto which = value.Get<uint32_t>();
          if (which >= kTimeoutCount) {
            return Bad(tlv.offset, "a timeout that does not exist");
          }
          binding->timeouts.push_back(
              {static_cast<Timeout>(which), value.Get<uint32_t>()});
        }
        if (!value.done()) return Bad(tlv.offset, "timeouts cut short");
        continue;
      case AttributeType::kActions: {
        PacketActions& actions = binding->actions;
        actions.flags = value.Get<uint8_t>();
        actions.min_ttl = value.Get<uint8_t>();
        actions.tos = value.Get<uint8_t>();
        for (uint8_t& priority : actions.priority) {
          priority = value.Get<uint8_t>();
        }
        value.GetZero(1);
        actions.max_mss = value.Get<uint16_t>();
        actions.max_packet_size = value.Get<uint16_t>();
        if (!value.done() || actions.empty()) {
          return Bad(tlv.offset, "actions of another form");
        }
        continue;
      }
      case AttributeType::kTcpScrub: {
        for (TcpScrubPeer& peer : binding->scrub.emplace().peers) {
          peer.modulation = value.Get<uint32_t>();
          peer.value = value.Get<uint32_t>();
          peer.echo = value.Get<uint32_t>();
          peer.lowest = value.Get<uint32_t>();
          peer.last = value.Get<uint32_t>();
          peer.flags = value.Get<uint8_t>();
          peer.ttl = value.Get<uint8_t>();
          value.GetZero(2);
        }
        if (!value.done()) return Bad(tlv.offset, "a scrub of another form");
        continue;
      }
      default: break;
    }
    if (tlv.critical()) {
      return absl::UnimplementedError(absl::StrCat(
          "snapshot, offset ", tlv.offset,
          ": an attribute that is not known (type ", tlv.type, ", version ",
          tlv.version, ") and must not be skipped"));
    }
    ++result_->skips.attributes;
  }
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadState(const SnapshotTlv& tlv, bool child) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  auto& states =
      child ? result_->snapshot.children : result_->snapshot.parents;
  SnapshotState& state = states.emplace_back();
  state.id = from.Get<uint64_t>();
  const auto seated_at = from.Get<uint64_t>();
  state.parent = seated_at;
  state.binding.rule = from.Get<uint64_t>();
  state.age = from.Get<uint64_t>();
  state.remaining = from.Get<uint32_t>();
  state.idle = from.Get<uint32_t>();
  state.binding.flags = from.Get<uint32_t>();
  const auto family = from.Get<uint8_t>();
  state.proto = from.Get<uint8_t>();
  state.direction = static_cast<Direction>(from.Get<uint8_t>());
  state.timeout = static_cast<Timeout>(from.Get<uint8_t>());
  state.helper = static_cast<SnapshotHelper>(from.Get<uint8_t>());
  state.log = from.Get<uint8_t>();
  const auto attributes = from.Get<uint16_t>();
  for (SnapshotPeer& peer : state.peers) {
    peer.packets = from.Get<uint64_t>();
    peer.bytes = from.Get<uint64_t>();
    peer.sequence_low = from.Get<uint32_t>();
    peer.sequence_high = from.Get<uint32_t>();
    peer.max_window = from.Get<uint16_t>();
    peer.port = from.Get<uint16_t>();
    peer.phase = from.Get<uint8_t>();
    peer.scale = from.Get<uint8_t>();
    from.GetZero(2);
  }
  for (SnapshotPeer& peer : state.peers) {
    peer.address = from.GetAddress(family);
  }
  const absl::Status status =
      ReadAttributes(from, attributes, &state.interface, &state.binding,
                     &state);
  if (!status.ok()) return status;
  if (!from.done()) return Bad(tlv.offset, "a state of another form");
  if ((state.binding.flags & kSnapshotStateNoSync) != 0 &&
      result_->minor < kMinorOfNoSync) {
    return Bad(tlv.offset, "unknown flags");
  }
  if (const char* wrong = WhatIsWrong(state)) return Bad(tlv.offset, wrong);
  if (states.size() > 1 && states[states.size() - 2].id >= state.id) {
    return Bad(tlv.offset, "states out of order");
  }
  const auto& parents = result_->snapshot.parents;
  if (!child) {
    if (seated_at != 0) {
      return Bad(tlv.offset, "a state with a parent among those without");
    }
    if (state.parent == 0) return absl::OkStatus();
    // It has been read if it is older, as it has to be.
    const char* wrong =
        WhatIsWrongWithLink(state, FindState(parents, state.parent));
    return wrong == nullptr ? absl::OkStatus() : Bad(tlv.offset, wrong);
  }
  if (seated_at == 0) return Bad(tlv.offset, "no parent");
  if (state.proto != protocol::kUdp) {
    return Bad(tlv.offset, "its parent has no helper");
  }
  if (FindState(parents, state.id) != nullptr) {
    return Bad(tlv.offset, "an id that another state has");
  }
  const SnapshotState* parent = FindState(parents, state.parent);
  if (const char* wrong = WhatIsWrongWithLink(state, parent)) {
    return Bad(tlv.offset, wrong);
  }
  uint8_t& children = children_of_[static_cast<size_t>(
      parent - parents.data())];
  if (children == UINT8_MAX || ++children > limits_.children_of_parent) {
    return Bad(tlv.offset, "its parent has too many children");
  }
  return absl::OkStatus();
}

absl::Status SnapshotRecords::CheckFlows() const {
  const Snapshot& snapshot = result_->snapshot;
  const size_t count = snapshot.parents.size() + snapshot.children.size();
  // A table of places, at most half full. (Abseil's do not survive a lack of
  // memory.)
  const size_t mask = std::bit_ceil(count * 2 + 1) - 1;
  std::vector<const SnapshotState*> flows(mask + 1);
  for (const auto* states : {&snapshot.parents, &snapshot.children}) {
    for (const SnapshotState& state : *states) {
      size_t at = HashOfFlow(state) & mask;
      while (flows[at] != nullptr && !IsSameFlow(*flows[at], state)) {
        at = (at + 1) & mask;
      }
      if (flows[at] != nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(
            "snapshot: state ", state.id, " has the flow of another state"));
      }
      flows[at] = &state;
    }
  }
  return CheckTranslations();
}

// No flow is given out twice.
absl::Status SnapshotRecords::CheckTranslations() const {
  const Snapshot& snapshot = result_->snapshot;
  size_t count = 0;
  for (const auto* states : {&snapshot.parents, &snapshot.children}) {
    count += static_cast<size_t>(
        std::ranges::count_if(*states, &SnapshotState::is_translated));
  }
  if (count == 0) return absl::OkStatus();
  const size_t mask = std::bit_ceil(count * 2 + 1) - 1;
  std::vector<const SnapshotState*> flows(mask + 1);
  for (const auto* states : {&snapshot.parents, &snapshot.children}) {
    for (const SnapshotState& state : *states) {
      if (!state.is_translated()) continue;
      const GivenFlow flow = GivenFlowOf(state);
      size_t at = absl::HashOf(flow.ends[0].first.bytes, flow.ends[0].second,
                               flow.ends[1].first.bytes, flow.ends[1].second,
                               flow.proto, flow.vlan.value) &
                  mask;
      while (flows[at] != nullptr && !(GivenFlowOf(*flows[at]) == flow)) {
        at = (at + 1) & mask;
      }
      if (flows[at] != nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(
            "snapshot: state ", state.id,
            " has the translated flow of another state"));
      }
      flows[at] = &state;
    }
  }
  return absl::OkStatus();
}

absl::Status SnapshotRecords::Finish() {
  if (!has_meta_) {
    return absl::InvalidArgumentError("snapshot: the META record is missing");
  }
  return CheckFlows();
}

}  // namespace sluice
