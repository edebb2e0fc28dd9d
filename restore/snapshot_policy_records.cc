// The records of a policy: who wrote it, limits, tables, rulesets, counters.
#include <string>
#include <tuple>
#include <utility>

#include "pftable/policy/name.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_records.h"

namespace sluice {

absl::Status SnapshotRecords::ReadMeta(const SnapshotTlv& tlv) {
  if (has_meta_) return Bad(tlv.offset, "the second META record");
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotMeta& meta = result_->snapshot.meta;
  meta.filter = from.GetString();
  meta.creator = from.GetString();
  if (!from.done()) return Bad(tlv.offset, "a META record of another form");
  if (!IsSnapshotName(meta.filter) || !IsSnapshotName(meta.creator)) {
    return Bad(tlv.offset, "a name that is not allowed");
  }
  has_meta_ = true;
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadDialect(const SnapshotTlv& tlv) {
  std::optional<Dialect>& dialect = result_->snapshot.meta.dialect;
  if (!has_meta_ || dialect) {
    return Bad(tlv.offset, "a dialect at another place, or the second one");
  }
  SnapshotCursor from(tlv.value, tlv.value_offset);
  const uint8_t code = from.Get<uint8_t>();
  if (!from.done() || code > static_cast<uint8_t>(Dialect::kFreeBsd)) {
    return Bad(tlv.offset, "a dialect that does not exist");
  }
  dialect = static_cast<Dialect>(code);
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadLimit(const SnapshotTlv& tlv) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotLimit limit;
  limit.code = from.Get<uint16_t>();
  from.GetZero(2);
  limit.value = from.Get<uint32_t>();
  if (!from.done()) return Bad(tlv.offset, "a limit of another form");
  if (const char* wrong = WhatIsWrong(limit)) return Bad(tlv.offset, wrong);
  auto& limits = result_->snapshot.limits;
  if (!limits.empty() && limits.back().code >= limit.code) {
    return Bad(tlv.offset, "limits out of order");
  }
  limits.push_back(limit);
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadTable(const SnapshotTlv& tlv, size_t left) {
  const absl::Status complete = CheckComplete(tlv.offset);
  if (!complete.ok()) return complete;
  SnapshotCursor from(tlv.value, tlv.value_offset);
  const auto count = from.Get<uint32_t>();
  SnapshotTable table;
  table.flags = from.Get<uint16_t>();
  table.anchor = from.GetString();
  table.name = from.GetString();
  if (!from.done()) return Bad(tlv.offset, "a table of another form");
  if (const char* wrong = WhatIsWrong(table)) return Bad(tlv.offset, wrong);
  auto& tables = result_->snapshot.tables;
  if (!tables.empty() && std::tie(tables.back().anchor, tables.back().name) >=
                             std::tie(table.anchor, table.name)) {
    return Bad(tlv.offset, "tables out of order");
  }
  if (tables.size() >= limits_.tables) {
    return TooMany("tables", limits_.tables);
  }
  if (entries_ + count > limits_.table_entries) {
    return TooMany("table entries", limits_.table_entries);
  }
  if (count > left / kLeastEntryBytes) {
    return Bad(tlv.offset, "a table says that it has more entries than fit");
  }
  entries_ += count;
  entries_left_ = count;
  table.entries.reserve(count);
  tables.push_back(std::move(table));
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadEntry(const SnapshotTlv& tlv) {
  if (entries_left_ == 0) {
    return Bad(tlv.offset, "an entry more than its table has");
  }
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotTableEntry entry;
  const auto family = from.Get<uint8_t>();
  entry.prefix.length = from.Get<uint8_t>();
  entry.flags = from.Get<uint8_t>();
  from.GetZero(1);
  entry.weight = from.Get<uint16_t>();
  entry.prefix.address = from.GetAddress(family);
  if (!from.done()) return Bad(tlv.offset, "an entry of another form");
  if (const char* wrong = WhatIsWrong(entry)) return Bad(tlv.offset, wrong);
  auto& entries = result_->snapshot.tables.back().entries;
  if (!entries.empty() && entries.back().prefix >= entry.prefix) {
    return Bad(tlv.offset, "entries of a table out of order");
  }
  entries.push_back(entry);
  --entries_left_;
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadRuleset(const SnapshotTlv& tlv,
                                          size_t left) {
  const absl::Status complete = CheckComplete(tlv.offset);
  if (!complete.ok()) return complete;
  SnapshotCursor from(tlv.value, tlv.value_offset);
  const auto options = from.Get<uint32_t>();
  const auto rules = from.Get<uint32_t>();
  SnapshotRuleset ruleset;
  ruleset.anchor = from.GetString();
  if (!from.done()) return Bad(tlv.offset, "a ruleset of another form");
  if (!IsAnchorPath(ruleset.anchor)) {
    return Bad(tlv.offset, "an anchor's path is not allowed");
  }
  auto& rulesets = result_->snapshot.rulesets;
  if (!rulesets.empty() && rulesets.back().anchor >= ruleset.anchor) {
    return Bad(tlv.offset, "rulesets out of order");
  }
  if (rulesets.size() >= limits_.rulesets) {
    return TooMany("rulesets", limits_.rulesets);
  }
  if (rules_ + rules > limits_.rules) return TooMany("rules", limits_.rules);
  if (uint64_t{options} * kLeastOptionBytes +
          uint64_t{rules} * kLeastRuleBytes > left) {
    return Bad(tlv.offset, "a ruleset says that it has more rules than fit");
  }
  rules_ += rules;
  options_left_ = options;
  rules_left_ = rules;
  ruleset.options.reserve(options);
  ruleset.rules.reserve(rules);
  rulesets.push_back(std::move(ruleset));
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadOption(const SnapshotTlv& tlv) {
  if (options_left_ == 0) {
    return Bad(tlv.offset, "an option more than its ruleset has");
  }
  SnapshotCursor from(tlv.value, tlv.value_offset);
  const std::string_view text = from.GetString();
  if (!from.done() || !IsSnapshotText(text, kMaxRecordBytes)) {
    return Bad(tlv.offset, "an option of another form");
  }
  result_->snapshot.rulesets.back().options.emplace_back(text);
  --options_left_;
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadRule(const SnapshotTlv& tlv) {
  if (options_left_ != 0 || rules_left_ == 0) {
    return Bad(tlv.offset, "a rule more than its ruleset has, or before its "
                           "options");
  }
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotRule rule;
  rule.id = from.Get<uint64_t>();
  rule.kind = static_cast<SnapshotRuleKind>(from.Get<uint16_t>());
  rule.text = from.GetString();
  if (!from.done()) return Bad(tlv.offset, "a rule of another form");
  if (const char* wrong = WhatIsWrong(rule)) return Bad(tlv.offset, wrong);
  auto& rules = result_->snapshot.rulesets.back().rules;
  if (!rules.empty() && rules.back().kind > rule.kind) {
    return Bad(tlv.offset, "kinds of rules out of order");
  }
  rules.push_back(std::move(rule));
  --rules_left_;
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadRuleCounters(const SnapshotTlv& tlv) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotRuleCounters counters;
  counters.rule = from.Get<uint64_t>();
  counters.occurrence = from.Get<uint32_t>();
  from.GetZero(4);
  counters.evaluations = from.Get<uint64_t>();
  for (uint64_t& value : counters.packets) value = from.Get<uint64_t>();
  for (uint64_t& value : counters.bytes) value = from.Get<uint64_t>();
  counters.states_created = from.Get<uint64_t>();
  if (!from.done() && result_->minor >= kMinorOfRuleLives) {
    counters.packet_rate = from.Get<uint32_t>();
    const auto expired = from.Get<uint32_t>();
    counters.expired = expired == 1;
    if (expired > 1 || (expired == 0 && counters.packet_rate == 0)) {
      return Bad(tlv.offset, "counters of another form");
    }
  }
  if (!from.done()) return Bad(tlv.offset, "counters of another form");
  if (const char* wrong = WhatIsWrong(counters)) {
    return Bad(tlv.offset, wrong);
  }
  auto& all = result_->snapshot.rule_counters;
  if (!result_->snapshot.table_counters.empty() ||
      (!all.empty() && std::tie(all.back().rule, all.back().occurrence) >=
                           std::tie(counters.rule, counters.occurrence))) {
    return Bad(tlv.offset, "counters out of order");
  }
  all.push_back(counters);
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadTableCounters(const SnapshotTlv& tlv) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotTableCounters counters;
  counters.match = from.Get<uint64_t>();
  counters.no_match = from.Get<uint64_t>();
  for (uint64_t& value : counters.packets) value = from.Get<uint64_t>();
  for (uint64_t& value : counters.bytes) value = from.Get<uint64_t>();
  counters.cleared_at = from.Get<int64_t>();
  counters.anchor = from.GetString();
  counters.name = from.GetString();
  if (!from.done() || !IsSnapshotName(counters.name) ||
      !IsAnchorPath(counters.anchor)) {
    return Bad(tlv.offset, "counters of another form");
  }
  if (const char* wrong = WhatIsWrong(counters)) {
    return Bad(tlv.offset, wrong);
  }
  auto& all = result_->snapshot.table_counters;
  if (!all.empty() && std::tie(all.back().anchor, all.back().name) >=
                          std::tie(counters.anchor, counters.name)) {
    return Bad(tlv.offset, "counters out of order");
  }
  all.push_back(std::move(counters));
  return absl::OkStatus();
}

}  // namespace sluice
