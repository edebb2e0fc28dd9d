// Edits of tables at run time.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/policy/no_memory.h"
#include "pftable/store/policy_store.h"
#include "pftable/policy/name.h"

namespace sluice {
namespace {

std::string NameOf(const TableKey& key) {
  return key.anchor.empty()
             ? absl::StrCat("table <", key.name, ">")
             : absl::StrCat("table <", key.name, "> of anchor ", key.anchor);
}

absl::Status NoSuchTable(const TableKey& key) {
  return absl::NotFoundError(absl::StrCat(NameOf(key), " does not exist"));
}

// Ascending by masked prefix, the first of several entries for one prefix.
absl::StatusOr<std::vector<TableEntry>> SortedRequest(
    std::span<const TableEntry> entries) {
  std::vector<TableEntry> request(entries.begin(), entries.end());
  for (TableEntry& entry : request) {
    const int bits = AddressBits(entry.prefix.address.family);
    if (bits == 0 || entry.prefix.length > bits) {
      return absl::InvalidArgumentError(absl::StrCat(
          "not an address: ", ToString(entry.prefix.address), "/",
          entry.prefix.length));
    }
    entry.prefix = entry.prefix.Masked();
  }
  std::stable_sort(request.begin(), request.end(),
                   [](const TableEntry& a, const TableEntry& b) {
                     return a.prefix < b.prefix;
                   });
  request.erase(std::unique(request.begin(), request.end(),
                            [](const TableEntry& a, const TableEntry& b) {
                              return a.prefix == b.prefix;
                            }),
                request.end());
  return request;
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
  if (!IsName(key.name, kMaxTableName)) {
    return absl::InvalidArgumentError(absl::StrCat(
        NameOf(key), ": a table's name has letters, digits and _ . : - only"));
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

absl::StatusOr<TableChange> PolicyStore::EditTable(
    const TableKey& key, std::span<const TableEntry> entries, bool create,
    Planner planner, bool dry_run) {
  return OrNoMemory("edit the table", [&] {
    return EditContents(key, entries, create, planner, dry_run);
  });
}

absl::StatusOr<TableChange> PolicyStore::EditContents(
    const TableKey& key, std::span<const TableEntry> entries, bool create,
    Planner planner, bool dry_run) {
  absl::StatusOr<Request> request = SortedRequest(entries);
  if (!request.ok()) return request.status();
  // Planned and built without the mutex, on what the table held then; again if
  // somebody else has changed it meanwhile. Each round lets one edit through.
  while (true) {
    EditPlan plan;
    AddressTable before;
    {
      const Section section(*this);
      std::unique_ptr<Generation> next = Next();
      absl::StatusOr<GenerationTable*> table =
          EditableTable(*next, key, create, &plan.change.table_created);
      if (!table.ok()) return table.status();
      before = (*table)->contents;
    }
    const bool created = plan.change.table_created;
    plan = planner(before, *request);
    plan.change.table_created = created;
    plan.change.total = static_cast<uint32_t>(entries.size());
    {
      const Section section(*this);
      if (absl::Status s = CheckRoom(plan.more_entries, /*new_table=*/false);
          !s.ok()) {
        return s;
      }
    }
    if (dry_run || (plan.edits.empty() && !created)) return plan.change;
    AddressTable after = before.With(plan.edits);
    // Many filters may have been given the same edit.
    if (pool_ != nullptr) after = pool_->Share(std::move(after));

    const Section section(*this);
    std::unique_ptr<Generation> next = Next();
    bool created_now = false;
    absl::StatusOr<GenerationTable*> table =
        EditableTable(*next, key, create, &created_now);
    if (!table.ok()) return table.status();
    if (created_now != created ||
        (*table)->contents.view() != before.view()) {
      continue;
    }
    if (absl::Status s = CheckRoom(plan.more_entries, /*new_table=*/false);
        !s.ok()) {
      return s;
    }
    (*table)->contents = std::move(after);
    FinishGeneration(*next);
    Publish(std::move(next));
    return plan.change;
  }
}

absl::StatusOr<TableChange> PolicyStore::AddAddresses(
    const TableKey& key, std::span<const TableEntry> entries, bool dry_run) {
  auto planner = [](const AddressTable& before, const Request& request) {
    EditPlan plan;
    for (const TableEntry& entry : request) {
      // An entry that is there stays, whether it is negated or not.
      if (before.Find(entry.prefix)) continue;
      plan.edits.push_back({.prefix = entry.prefix, .negated = entry.negated});
    }
    plan.change.added = static_cast<uint32_t>(plan.edits.size());
    plan.more_entries = plan.edits.size();
    return plan;
  };
  return EditTable(key, entries, /*create=*/true, planner, dry_run);
}

absl::StatusOr<TableChange> PolicyStore::DeleteAddresses(
    const TableKey& key, std::span<const TableEntry> entries, bool dry_run) {
  auto planner = [](const AddressTable& before, const Request& request) {
    EditPlan plan;
    for (const TableEntry& entry : request) {
      if (before.Find(entry.prefix) != entry.negated) continue;
      plan.edits.push_back({.prefix = entry.prefix, .erase = true});
    }
    plan.change.deleted = static_cast<uint32_t>(plan.edits.size());
    return plan;
  };
  return EditTable(key, entries, /*create=*/false, planner, dry_run);
}

absl::StatusOr<TableChange> PolicyStore::ReplaceAddresses(
    const TableKey& key, std::span<const TableEntry> entries, bool dry_run) {
  auto planner = [](const AddressTable& before, const Request& request) {
    EditPlan plan;
    plan.more_entries = request.size();
    // Both are in the same order.
    const std::vector<TableEntry> old = before.Entries();
    auto at = old.begin();
    auto erase_until = [&](auto end) {
      for (; at != end; ++at) {
        plan.edits.push_back({.prefix = at->prefix, .erase = true});
        ++plan.change.deleted;
      }
    };
    for (const TableEntry& entry : request) {
      auto next = at;
      while (next != old.end() && next->prefix < entry.prefix) ++next;
      erase_until(next);
      const bool there = at != old.end() && at->prefix == entry.prefix;
      if (!there || at->negated != entry.negated) {
        ++(there ? plan.change.changed : plan.change.added);
        plan.edits.push_back(
            {.prefix = entry.prefix, .negated = entry.negated});
      }
      if (there) ++at;
    }
    erase_until(old.end());
    return plan;
  };
  return EditTable(key, entries, /*create=*/true, planner, dry_run);
}

absl::StatusOr<TableChange> PolicyStore::FlushTable(const TableKey& key,
                                                    bool dry_run) {
  return OrNoMemory("flush the table",
                    [&] { return EmptyTable(key, dry_run); });
}

absl::StatusOr<TableChange> PolicyStore::EmptyTable(const TableKey& key,
                                                    bool dry_run) {
  const Section section(*this);
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
  return OrNoMemory("kill the table", [&]() -> absl::Status {
    const Section section(*this);
    std::unique_ptr<Generation> next = Next();
    bool created = false;
    absl::StatusOr<GenerationTable*> table =
        EditableTable(*next, key, /*create=*/false, &created);
    if (!table.ok()) return table.status();
    Deactivate(**table);
    PublishWithoutUnused(std::move(next));
    return absl::OkStatus();
  });
}

absl::StatusOr<uint32_t> PolicyStore::KillTables(std::string_view anchor) {
  return OrNoMemory("kill the tables",
                    [&] { return DeactivateTables(anchor); });
}

absl::StatusOr<uint32_t> PolicyStore::DeactivateTables(
    std::string_view anchor) {
  const Section section(*this);
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
  return OrNoMemory("test the addresses", [&] { return Match(key, hosts); });
}

absl::StatusOr<TableTestResult> PolicyStore::Match(
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
  using Entries = absl::StatusOr<std::vector<TableEntry>>;
  return OrNoMemory("show the table", [&]() -> Entries {
    AddressTable contents;
    {
      const std::lock_guard lock(mutex_);
      const GenerationTable* table = owned_current_->FindTable(key);
      if (table == nullptr || !table->active) return NoSuchTable(key);
      contents = table->contents;
    }
    return contents.Entries();
  });
}

absl::Status PolicyStore::ZeroTable(const TableKey& key) {
  const std::lock_guard lock(mutex_);
  const GenerationTable* table = owned_current_->FindTable(key);
  if (table == nullptr) return NoSuchTable(key);
  table_slots_.Zero(table->handle->slot());
  return absl::OkStatus();
}

void PolicyStore::RaiseTable(const TableKey& key, const TableCounts& least,
                             int64_t cleared_at) {
  const std::lock_guard lock(mutex_);
  const GenerationTable* table = owned_current_->FindTable(key);
  if (table == nullptr) return;
  table_slots_.Raise(table->handle->slot(), least, cleared_at);
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
