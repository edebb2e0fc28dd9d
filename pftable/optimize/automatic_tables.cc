#include "pftable/optimize/automatic_tables.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "pftable/policy/digest.h"

namespace sluice {
namespace {

void Collect(const Anchor& anchor, absl::flat_hash_set<std::string>& names,
             uint64_t& tables, uint64_t& entries) {
  for (const TableDefinition& table : anchor.tables) {
    names.insert(table.name);
    ++tables;
    entries += table.entries.size();
  }
  for (const Anchor& child : anchor.children) {
    Collect(child, names, tables, entries);
  }
}

// A pool whose addresses fit into a table: several, and none with an interface
// of its own.
bool Collapses(const std::optional<Pool>& pool,
               std::vector<TableEntry>& entries) {
  if (!pool || pool->addresses.size() < 2) return false;
  entries.clear();
  for (const PoolAddress& address : pool->addresses) {
    TableEntry entry;
    if (!address.interface.empty() || !TableEntryOf(address.address, entry)) {
      return false;
    }
    entry.weight = address.weight;
    const auto same = [&](const TableEntry& e) {
      return e.prefix == entry.prefix;
    };
    if (std::none_of(entries.begin(), entries.end(), same)) {
      entries.push_back(entry);
    }
  }
  return true;
}

// As pfctl reads them: the bodies of anchors where they are called.
void CollapsePools(Anchor& anchor, AutomaticTables& tables) {
  std::vector<TableEntry> entries;
  std::vector<bool> seen(anchor.children.size(), false);
  for (Rule& rule : anchor.rules.filter) {
    if (const size_t child = CalledChild(anchor, rule); child < seen.size()) {
      if (!seen[child]) CollapsePools(anchor.children[child], tables);
      seen[child] = true;
      continue;
    }
    // In the order in which pfctl looks at them.
    for (std::optional<Pool>* pool :
         {&rule.rdr, &rule.nat, &rule.route_pool}) {
      if (!Collapses(*pool, entries) || !tables.HasRoom(entries.size())) {
        continue;
      }
      PoolAddress table;
      table.address.kind = AddressKind::kTable;
      table.address.name = tables.Add(entries, rule.place);
      (*pool)->addresses = {std::move(table)};
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!seen[i]) CollapsePools(anchor.children[i], tables);
  }
}

}  // namespace

AutomaticTables::AutomaticTables(Policy& policy, TableNaming naming)
    : policy_(policy), naming_(naming) {
  Collect(policy.main, taken_, tables_, entries_);
}

bool AutomaticTables::HasRoom(size_t entries) const {
  return 2 * (entries_ + entries) <=
             policy_.options.limit(Limit::kTableEntries) &&
         2 * (tables_ + 1) <= policy_.options.limit(Limit::kTables);
}

std::string AutomaticTables::Add(std::vector<TableEntry> entries,
                                 SourcePlace place) {
  std::string prefix(kAutomaticPrefix);
  if (naming_ == TableNaming::kByContents) {
    std::string text;
    for (const TableEntry& entry : entries) {
      text += ToString(entry.prefix) + ' ' + std::to_string(entry.weight) +
              '\n';
    }
    prefix += Md5Hex(text).substr(0, 8) + '_';
  }
  std::string name;
  do {
    name = prefix + std::to_string(next_[prefix]++);
  } while (!taken_.insert(name).second);
  ++tables_;
  entries_ += entries.size();
  policy_.main.tables.push_back({.name = name,
                                 .persist = false,
                                 .is_const = true,
                                 .counters = false,
                                 .has_contents = true,
                                 .entries = std::move(entries),
                                 .run_time_entries = {},
                                 .parts = {},
                                 .place = place});
  return name;
}

void AutomaticTables::SkipNumber() {
  if (naming_ == TableNaming::kNumbered) ++next_[std::string(kAutomaticPrefix)];
}

size_t CalledChild(const Anchor& anchor, const Rule& rule) {
  const std::string& call = rule.anchor_call;
  size_t child = 0;
  while (child < anchor.children.size() && anchor.children[child].name != call) {
    ++child;
  }
  return child;
}

void ForEachChild(Anchor& anchor, const std::function<void(Anchor&)>& then) {
  std::vector<bool> seen(anchor.children.size(), false);
  for (const Rule& rule : anchor.rules.filter) {
    const size_t child = CalledChild(anchor, rule);
    if (child == seen.size() || seen[child]) continue;
    seen[child] = true;
    then(anchor.children[child]);
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!seen[i]) then(anchor.children[i]);
  }
}

bool TableEntryOf(const AddressMatch& match, TableEntry& entry) {
  if (match.kind != AddressKind::kPrefix || match.negated) return false;
  int bits = 0;
  while (bits < AddressBits(match.mask.family) && match.mask.bit(bits)) {
    ++bits;
  }
  if (MaskOf(match.mask.family, bits) != match.mask) return false;
  entry = {.prefix = {.address = match.address,
                      .length = static_cast<uint8_t>(bits)}};
  return true;
}

void PoolsToTables(Policy& policy, AutomaticTables& tables) {
  CollapsePools(policy.main, tables);
}

}  // namespace sluice
