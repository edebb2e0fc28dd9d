// Edits of tables at run time.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/policy_store.h"

namespace sluice {
namespace {

constexpr size_t kMaxTableName = 31;

std::string NameOf(const TableKey& key) {
  return key.anchor.empty()
             ? absl::StrCat("table <", key.name, ">")
             : absl::StrCat("table <", key.name, "> of anchor ", key.anchor);
}

absl::Status NoSuchTable(const TableKey& key) {
  return absl::NotFoundError(absl::StrCat(NameOf(key), " does not exist"));
}

// The entries by masked prefix, the first of several for one prefix.
absl::StatusOr<std::map<Prefix, bool>> Requested(
    std::span<const TableEntry> entries) {
  std::map<Prefix, bool> result;
  for (const TableEntry& entry : entries) {
    const int bits = AddressBits(entry.prefix.address.family);
    if (bits == 0 || entry.prefix.length > bits) {
      return absl::InvalidArgumentError(absl::StrCat(
          "not an address: ", ToString(entry.prefix.address), "/",
          entry.prefix.length));
    }
    result.try_emplace(entry.prefix.Masked(), entry.negated);
  }
  return result;
}

}  // namespace

absl::Status PolicyStore::CheckRoom(size_t more_entries,
                                    bool new_table) const {
  const EngineOptions& options = owned_current_->options();
  const auto& tables = owned_current_->table_states;
  if (new_table && tables.size() >= options.limit(Limit::kTables)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", tables.size(),
                     " tables, which is the limit (set limit tables)"));
  }
  uint64_t total = more_entries;
  for (const GenerationTable& table : tables) total += table.contents.size();
  if (total > options.limit(Limit::kTableEntries)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        total, " addresses in tables, old and new together; limit ",
        options.limit(Limit::kTableEntries), " (set limit table-entries)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<GenerationTable*> PolicyStore::EditableTable(
    Generation& next, const TableKey& key, bool create, bool* created) {
  *created = false;
  GenerationTable* table = nullptr;
  for (GenerationTable& t : next.table_states) {
    if (t.key == key) table = &t;
  }
  if (table != nullptr && table->active) {
    if (table->is_const) {
      return absl::FailedPreconditionError(absl::StrCat(
          NameOf(key), " is const: change it in the ruleset and load that"));
    }
    return table;
  }
  if (!create) return NoSuchTable(key);
  if (key.name.empty() || key.name.size() > kMaxTableName) {
    return absl::InvalidArgumentError(absl::StrCat(
        "table name too long or empty, max ", kMaxTableName, " chars"));
  }
  if (owned_current_->policy->source->main.Find(key.anchor) == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("anchor \"", key.anchor, "\" does not exist"));
  }
  if (table == nullptr) {
    if (absl::Status s = CheckRoom(0, /*new_table=*/true); !s.ok()) return s;
    absl::StatusOr<TableHandlePtr> handle = table_slots_.Acquire(key);
    if (!handle.ok()) return handle.status();
    table = &next.table_states.emplace_back();
    table->key = key;
    table->handle = *std::move(handle);
    table->references = CountReferences(*next.policy, key);
  }
  table->active = true;
  table->persist = true;
  *created = true;
  return table;
}

absl::Status PolicyStore::FinishEdit(
    std::unique_ptr<Generation> next, GenerationTable& table,
    std::span<const AddressTable::Edit> edits, size_t more_entries,
    const TableChange& change, bool dry_run) {
  if (absl::Status s = CheckRoom(more_entries, /*new_table=*/false); !s.ok()) {
    return s;
  }
  if (dry_run || (edits.empty() && !change.table_created)) {
    return absl::OkStatus();
  }
  table.contents = table.contents.With(edits);
  FinishGeneration(*next);
  Publish(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<TableChange> PolicyStore::AddAddresses(
    const TableKey& key, std::span<const TableEntry> entries, bool dry_run) {
  auto requested = Requested(entries);
  if (!requested.ok()) return requested.status();
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Generation> next = Next();
  TableChange change{.total = static_cast<uint32_t>(entries.size())};
  absl::StatusOr<GenerationTable*> table =
      EditableTable(*next, key, /*create=*/true, &change.table_created);
  if (!table.ok()) return table.status();

  std::vector<AddressTable::Edit> edits;
  for (const auto& [prefix, negated] : *requested) {
    // An entry that is there stays, whether it is negated or not.
    if ((*table)->contents.Find(prefix)) continue;
    edits.push_back({.prefix = prefix, .negated = negated, .erase = false});
    ++change.added;
  }
  if (absl::Status s = FinishEdit(std::move(next), **table, edits,
                                  edits.size(), change, dry_run);
      !s.ok()) {
    return s;
  }
  return change;
}

absl::StatusOr<TableChange> PolicyStore::DeleteAddresses(
    const TableKey& key, std::span<const TableEntry> entries, bool dry_run) {
  auto requested = Requested(entries);
  if (!requested.ok()) return requested.status();
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Generation> next = Next();
  TableChange change{.total = static_cast<uint32_t>(entries.size())};
  absl::StatusOr<GenerationTable*> table =
      EditableTable(*next, key, /*create=*/false, &change.table_created);
  if (!table.ok()) return table.status();

  std::vector<AddressTable::Edit> edits;
  for (const auto& [prefix, negated] : *requested) {
    if ((*table)->contents.Find(prefix) != negated) continue;
    edits.push_back({.prefix = prefix, .negated = negated, .erase = true});
    ++change.deleted;
  }
  if (absl::Status s = FinishEdit(std::move(next), **table, edits, 0, change,
                                  dry_run);
      !s.ok()) {
    return s;
  }
  return change;
}

absl::StatusOr<TableChange> PolicyStore::ReplaceAddresses(
    const TableKey& key, std::span<const TableEntry> entries, bool dry_run) {
  auto requested = Requested(entries);
  if (!requested.ok()) return requested.status();
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Generation> next = Next();
  TableChange change{.total = static_cast<uint32_t>(entries.size())};
  absl::StatusOr<GenerationTable*> table =
      EditableTable(*next, key, /*create=*/true, &change.table_created);
  if (!table.ok()) return table.status();

  std::vector<AddressTable::Edit> edits;
  for (const auto& [prefix, negated] : *requested) {
    const std::optional<bool> before = (*table)->contents.Find(prefix);
    if (before == negated) continue;
    ++(before ? change.changed : change.added);
    edits.push_back({.prefix = prefix, .negated = negated, .erase = false});
  }
  for (const TableEntry& entry : (*table)->contents.Entries()) {
    if (requested->contains(entry.prefix)) continue;
    ++change.deleted;
    edits.push_back({.prefix = entry.prefix, .erase = true});
  }
  if (absl::Status s = FinishEdit(std::move(next), **table, edits,
                                  requested->size(), change, dry_run);
      !s.ok()) {
    return s;
  }
  return change;
}

absl::StatusOr<TableChange> PolicyStore::FlushTable(const TableKey& key,
                                                    bool dry_run) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Generation> next = Next();
  TableChange change;
  absl::StatusOr<GenerationTable*> table =
      EditableTable(*next, key, /*create=*/false, &change.table_created);
  if (!table.ok()) return table.status();
  change.total = static_cast<uint32_t>((*table)->contents.size());
  change.deleted = change.total;
  if (dry_run || change.total == 0) return change;
  (*table)->contents = AddressTable();
  FinishGeneration(*next);
  Publish(std::move(next));
  return change;
}

absl::Status PolicyStore::KillTable(const TableKey& key) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Generation> next = Next();
  bool created = false;
  absl::StatusOr<GenerationTable*> table =
      EditableTable(*next, key, /*create=*/false, &created);
  if (!table.ok()) return table.status();
  Deactivate(**table);
  PublishWithoutUnused(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> PolicyStore::KillTables(std::string_view anchor) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Generation> next = Next();
  uint32_t killed = 0;
  for (GenerationTable& table : next->table_states) {
    // pf leaves const tables alone here.
    if (table.key.anchor != anchor || !table.active || table.is_const) {
      continue;
    }
    Deactivate(table);
    ++killed;
  }
  if (killed != 0) PublishWithoutUnused(std::move(next));
  return killed;
}

void PolicyStore::Deactivate(GenerationTable& table) {
  table.active = false;
  table.persist = false;
  table.is_const = false;
  table.counters = false;
  table.contents = AddressTable();
}

void PolicyStore::PublishWithoutUnused(std::unique_ptr<Generation> next) {
  std::erase_if(next->table_states, [&](const GenerationTable& table) {
    const auto& named = next->policy->referenced_tables;
    return !table.active && std::find(named.begin(), named.end(), table.key) ==
                                named.end();
  });
  FinishGeneration(*next);
  Publish(std::move(next));
}

absl::StatusOr<TableTestResult> PolicyStore::TestAddresses(
    const TableKey& key, std::span<const Prefix> hosts) const {
  const std::lock_guard lock(mutex_);
  const GenerationTable* table = owned_current_->FindTable(key);
  if (table == nullptr || !table->active) return NoSuchTable(key);
  TableTestResult result;
  for (const Prefix& host : hosts) {
    if (host.address.family == Family::kNone || !host.IsHost()) {
      return absl::InvalidArgumentError(absl::StrCat(
          ToString(host), " is a network: only hosts can be tested"));
    }
    const bool matches = table->contents.Contains(host.address);
    ++result.total;
    result.matched += matches;
    result.matches.push_back(matches);
  }
  return result;
}

absl::StatusOr<std::vector<TableEntry>> PolicyStore::ShowTable(
    const TableKey& key) const {
  AddressTable contents;
  {
    const std::lock_guard lock(mutex_);
    const GenerationTable* table = owned_current_->FindTable(key);
    if (table == nullptr || !table->active) return NoSuchTable(key);
    contents = table->contents;
  }
  return contents.Entries();
}

absl::Status PolicyStore::ZeroTable(const TableKey& key) {
  const std::lock_guard lock(mutex_);
  const GenerationTable* table = owned_current_->FindTable(key);
  if (table == nullptr) return NoSuchTable(key);
  table_slots_.Zero(table->handle->slot());
  return absl::OkStatus();
}

std::vector<TableStatus> PolicyStore::ListTables() const {
  const std::lock_guard lock(mutex_);
  std::vector<TableStatus> result;
  for (const GenerationTable& table : owned_current_->table_states) {
    const uint16_t slot = table.handle->slot();
    result.push_back(TableStatus{.key = table.key,
                                 .active = table.active,
                                 .persist = table.persist,
                                 .is_const = table.is_const,
                                 .counters = table.counters,
                                 .references = table.references,
                                 .addresses = table.contents.size(),
                                 .cleared_at = table_slots_.cleared_at(slot),
                                 .counts = table_slots_.Counts(slot)});
  }
  std::sort(result.begin(), result.end(),
            [](const TableStatus& a, const TableStatus& b) {
              return a.key < b.key;
            });
  return result;
}

}  // namespace sluice
