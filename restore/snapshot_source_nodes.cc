// Sources that are carried by themselves: their records, what of a filter's
// sources goes into a snapshot, and how they come into another filter.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "conntrack/source_nodes.h"
#include "pftable/policy/no_memory.h"
#include "restore/export.h"
#include "restore/import.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_records.h"

namespace sluice {

static_assert(static_cast<uint8_t>(SourceUse::kRoute) ==
              static_cast<uint8_t>(SnapshotSourceUse::kRoute));

absl::Status SnapshotRecords::ReadSourceNode(const SnapshotTlv& tlv) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  auto& nodes = result_->snapshot.source_nodes;
  SnapshotSourceNode& node = nodes.emplace_back();
  node.rule = from.Get<uint64_t>();
  node.remaining = from.Get<uint32_t>();
  node.age = from.Get<uint32_t>();
  node.packets = from.Get<uint64_t>();
  node.bytes = from.Get<uint64_t>();
  const auto outer = from.Get<uint16_t>();
  const auto inner = from.Get<uint16_t>();
  node.vlan = VlanId::Of(outer, inner);
  const auto family = from.Get<uint8_t>();
  node.use = static_cast<SnapshotSourceUse>(from.Get<uint8_t>());
  const auto has_states = from.Get<uint8_t>();
  node.has_states = has_states == 1;
  const auto attributes = from.Get<uint8_t>();
  node.source = from.GetAddress(family);
  if (from.failed() || has_states > 1 || node.vlan.outer() != outer ||
      node.vlan.inner() != inner) {
    return Bad(tlv.offset, "a source of another form");
  }
  uint16_t last = 0;
  for (uint8_t i = 0; i < attributes; ++i) {
    SnapshotTlv one;
    if (!GetTlv(from, &one)) {
      return Bad(one.offset, "an attribute that is truncated");
    }
    const auto order = static_cast<uint16_t>(one.type & ~kCriticalType);
    if (order <= last) return Bad(one.offset, "attributes out of order");
    last = order;
    SnapshotCursor value(one.value, one.value_offset);
    if (one.IsKnownForm() &&
        one.type == static_cast<uint16_t>(AttributeType::kPoolTarget)) {
      // Only of routes it may be of the other family.
      const bool wide = node.use == SnapshotSourceUse::kRoute &&
                        one.value.size() == sizeof(Address::bytes);
      node.target = value.GetAddress(
          wide ? static_cast<uint8_t>(Family::kIpv6) : family);
    } else if (one.IsKnownForm() &&
               one.type == static_cast<uint16_t>(AttributeType::kRate)) {
      node.rate = value.Get<uint32_t>();
      node.rate_seconds = value.Get<uint32_t>();
    } else if (one.critical()) {
      return absl::UnimplementedError(
          absl::StrCat("snapshot, offset ", one.offset,
                       ": an attribute that is not known (type ", one.type,
                       ", version ", one.version, ") and must not be skipped"));
    } else {
      ++result_->skips.attributes;
      continue;
    }
    if (!value.done() || (order == (static_cast<uint16_t>(AttributeType::kRate) &
                                    ~kCriticalType) &&
                          node.rate == 0)) {
      return Bad(one.offset, "an attribute of another form");
    }
  }
  if (!from.done()) return Bad(tlv.offset, "a source of another form");
  if (const char* wrong = WhatIsWrong(node)) return Bad(tlv.offset, wrong);
  if (nodes.size() > 1 && !IsBefore(nodes[nodes.size() - 2], node)) {
    return Bad(tlv.offset, "sources out of order, or one of them twice");
  }
  return absl::OkStatus();
}

// ---- Out of a filter ---------------------------------------------------------

void StateExporter::Add(const SourceRecord& record) {
  try {
    AddSource(record);
  } catch (const std::bad_alloc&) {
    status_ = NoMemory("export a source");
  }
}

// What has states comes with them; they know nothing of its rate.
void StateExporter::AddSource(const SourceRecord& record) {
  const bool of_filter = record.key.use == SourceUse::kFilter;
  SnapshotSourceNode node;
  node.has_states = record.states != 0;
  if (of_filter && record.rate != 0) {
    node.rate = record.rate;
    node.rate_seconds = record.rate_seconds;
  }
  if (node.has_states ? node.rate == 0 : record.expires_in == 0) return;
  node.rule = IdOf(record.key.rule_slot);
  // A rule that is gone tracks nobody.
  if (node.rule == 0 && record.key.rule_slot != kNoRuleSlot) return;
  node.use = static_cast<SnapshotSourceUse>(record.key.use);
  node.vlan = record.key.vlan;
  node.source =
      Address::FromBytes(record.key.family, record.key.address.data());
  node.remaining = node.has_states ? 0 : record.expires_in;
  node.age = record.age;
  node.packets = record.packets;
  node.bytes = record.bytes;
  if (!of_filter) node.target = record.target;
  if (WhatIsWrong(node) == nullptr) source_nodes_.push_back(node);
}

// A source that has ended and come again while they were listed is there twice:
// the later one goes.
void StateExporter::HandOverSources(Snapshot* snapshot) {
  std::stable_sort(source_nodes_.begin(), source_nodes_.end(),
                   [](const SnapshotSourceNode& a,
                      const SnapshotSourceNode& b) { return IsBefore(a, b); });
  const auto same = [](const SnapshotSourceNode& a,
                       const SnapshotSourceNode& b) {
    return !IsBefore(a, b) && !IsBefore(b, a);
  };
  source_nodes_.erase(
      std::unique(source_nodes_.begin(), source_nodes_.end(), same),
      source_nodes_.end());
  statistics_.sources += source_nodes_.size();
  snapshot->source_nodes = std::move(source_nodes_);
  source_nodes_.clear();
}

// ---- Into a filter -----------------------------------------------------------

absl::Status StateImporter::ReserveSources() {
  if (target_.sources == nullptr) return absl::OkStatus();
  source_nodes_.reserve(snapshot_.source_nodes.size());
  for (const SnapshotSourceNode& node : snapshot_.source_nodes) {
    SourceRecord record;
    SourceOwner owner = {.budget = target_.source_budget};
    record.key = {.address = node.source.bytes,
                  .vlan = node.vlan,
                  .filter = target_.filter,
                  .family = node.source.family,
                  .use = static_cast<SourceUse>(node.use)};
    if (node.rule != 0) {
      const auto slot = slots_.find(node.rule);
      if (slot == slots_.end()) {
        // Neither its limits nor its pool are here.
        ++report_.sources_left_out;
        continue;
      }
      record.key.rule_slot = slot->second;
      owner.rule_nodes =
          &target_.store->rule_slots().record(slot->second).source_nodes;
    }
    record.target = node.target;
    record.rate = node.rate;
    record.rate_seconds = node.rate_seconds;
    record.age = node.age;
    record.expires_in = node.remaining;
    record.packets = node.packets;
    record.bytes = node.bytes;
    SourceNodeIndex place = kNoSourceNode;
    if (!node.has_states) {
      place = target_.sources->Reserve(record, owner);
      if (place == kNoSourceNode) {
        return absl::ResourceExhaustedError(
            absl::StrCat("no room for the ", snapshot_.source_nodes.size(),
                         " sources of the snapshot: set limit src-nodes ",
                         target_.source_budget == nullptr
                             ? 0
                             : target_.source_budget->nodes.limit(),
                         " of the filter, or [memory] source_nodes of sluice.toml"));
      }
    }
    source_nodes_.push_back({record, place});
  }
  return absl::OkStatus();
}

void StateImporter::PublishSources(Tick now, size_t most) {
  const size_t end = EndOfSources(most);
  for (; next_source_ < end; ++next_source_) {
    const SourceOnItsWay& one = source_nodes_[next_source_];
    if (one.place != kNoSourceNode) {
      target_.sources->Publish(one.place, one.record, now);
      ++report_.sources_imported;
    } else if (target_.sources->Raise(one.record, now)) {
      ++report_.sources_imported;
    } else {
      // The states that had it did not come.
      ++report_.sources_left_out;
    }
  }
}

void StateImporter::DiscardSources(size_t most) {
  const size_t end = EndOfSources(most);
  for (; next_source_ < end; ++next_source_) {
    const SourceOnItsWay& one = source_nodes_[next_source_];
    if (one.place != kNoSourceNode) target_.sources->Discard(one.place);
  }
}

}  // namespace sluice
