#include "pftable/store/table_edits.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/policy/name.h"
#include "pftable/policy/no_memory.h"
#include "pftable/store/table_name.h"

namespace sluice {
namespace {

// The request of an edit: ascending by prefix, each once.
using Request = std::vector<TableEntry>;

// What an edit means for a table.
struct EditPlan {
  std::vector<AddressTable::Edit> edits;
  size_t more_entries = 0;  // for the limit
  TableChange change;
};
using Planner = EditPlan (*)(const AddressTable& before,
                             const Request& request);

// Ascending by masked prefix, the first of several entries for one prefix.
absl::StatusOr<Request> SortedRequest(std::span<const TableEntry> entries) {
  Request request(entries.begin(), entries.end());
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

absl::Status CheckTableRoom(const Generation& generation) {
  const uint32_t limit = generation.options().limit(Limit::kTables);
  const size_t tables = generation.table_states.size();
  if (tables < limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "there are ", tables, " tables, which is the limit (set limit tables)"));
}

absl::Status CheckEntryRoom(const Generation& generation,
                            size_t more_entries) {
  const uint32_t limit = generation.options().limit(Limit::kTableEntries);
  uint64_t total = more_entries;
  for (const GenerationTable& table : generation.table_states) {
    total += table.contents.size();
  }
  if (total <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      total, " addresses in tables, old and new together; limit ", limit,
      " (set limit table-entries)"));
}

// A table of a generation in the making that may be edited.
absl::StatusOr<GenerationTable*> FindEditable(Generation& next,
                                              const TableKey& key,
                                              bool even_const = false) {
  for (GenerationTable& table : next.table_states) {
    if (table.key != key || !table.active) continue;
    if (table.is_const && !even_const) {
      return absl::FailedPreconditionError(absl::StrCat(
          NameOf(key), " is const: change it in the ruleset and load that"));
    }
    return &table;
  }
  return NoSuchTable(key);
}

// Makes the table, which is not there or not active, in it.
absl::StatusOr<GenerationTable*> CreateTable(PolicyStore& store,
                                             Generation& next,
                                             const TableKey& key) {
  if (key.name.empty() || key.name.size() > kMaxTableName) {
    return absl::InvalidArgumentError(absl::StrCat(
        "table name too long or empty, max ", kMaxTableName, " chars"));
  }
  if (!IsName(key.name, kMaxTableName)) {
    return absl::InvalidArgumentError(absl::StrCat(
        NameOf(key), ": a table's name has letters, digits and _ . : - only"));
  }
  // As in pf, a table may be there before its anchor has rules.
  if (!IsAnchorPath(key.anchor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", key.anchor, "\" is no path of an anchor"));
  }
  auto table = std::ranges::find(next.table_states, key,
                                 &GenerationTable::key);
  if (table == next.table_states.end()) {
    if (absl::Status s = CheckTableRoom(next); !s.ok()) return s;
    absl::StatusOr<TableHandlePtr> handle = store.table_slots().Acquire(key);
    if (!handle.ok()) return handle.status();
    table = next.table_states.emplace(table);
    table->key = key;
    table->handle = *std::move(handle);
    table->references = CountReferences(*next.policy, key);
  }
  table->active = true;
  table->persist = true;
  return &*table;
}

EditPlan PlanAdd(const AddressTable& before, const Request& request) {
  EditPlan plan;
  for (const TableEntry& entry : request) {
    // An entry that is there stays, whether it is negated or not.
    if (before.Find(entry.prefix)) continue;
    plan.edits.push_back({.prefix = entry.prefix, .negated = entry.negated});
  }
  plan.change.added = static_cast<uint32_t>(plan.edits.size());
  plan.more_entries = plan.edits.size();
  return plan;
}

EditPlan PlanDelete(const AddressTable& before, const Request& request) {
  EditPlan plan;
  for (const TableEntry& entry : request) {
    if (before.Find(entry.prefix) != entry.negated) continue;
    plan.edits.push_back({.prefix = entry.prefix, .erase = true});
  }
  plan.change.deleted = static_cast<uint32_t>(plan.edits.size());
  return plan;
}

EditPlan PlanReplace(const AddressTable& before, const Request& request) {
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
      plan.edits.push_back({.prefix = entry.prefix, .negated = entry.negated});
    }
    if (there) ++at;
  }
  erase_until(old.end());
  return plan;
}

// Makes the edit of a generation in the making, without finishing it. Whether
// there is anything to finish; not with `dry_run`.
absl::StatusOr<bool> ApplyEdit(PolicyStore& store, Generation& next,
                               const TableKey& key,
                               std::span<const TableEntry> entries, bool create,
                               Planner planner, bool dry_run, bool even_const,
                               StagedEdit* edit) {
  const absl::StatusOr<Request> request = SortedRequest(entries);
  if (!request.ok()) return request.status();
  absl::StatusOr<GenerationTable*> table = FindEditable(next, key, even_const);
  const bool created = create && absl::IsNotFound(table.status());
  if (created) table = CreateTable(store, next, key);
  if (!table.ok()) return table.status();

  edit->key = key;
  edit->before = (*table)->contents;
  const EditPlan plan = planner(edit->before, *request);
  edit->change = plan.change;
  edit->change.table_created = created;
  edit->change.total = static_cast<uint32_t>(entries.size());
  if (absl::Status s = CheckEntryRoom(next, plan.more_entries); !s.ok()) {
    return s;
  }
  if (dry_run || (plan.edits.empty() && !created)) return false;
  AddressTable after = edit->before.With(plan.edits);
  // Many filters may have been given the same edit.
  if (store.pool() != nullptr) after = store.pool()->Share(std::move(after));
  (*table)->contents = std::move(after);
  return true;
}

absl::StatusOr<StagedEdit> StageEdit(PolicyStore& store, const TableKey& key,
                                     std::span<const TableEntry> entries,
                                     bool create, Planner planner,
                                     bool dry_run, bool even_const = false) {
  StagedGeneration staged(*store.generation());
  StagedEdit edit;
  const absl::StatusOr<bool> edited =
      ApplyEdit(store, *staged.next, key, entries, create, planner, dry_run,
                even_const, &edit);
  if (!edited.ok()) return edited.status();
  if (!*edited) return edit;
  FinishGeneration(*staged.next);
  edit.generation = std::move(staged);
  return edit;
}

absl::StatusOr<StagedAdditions> AddToTables(
    PolicyStore& store, std::span<const TableAddition> additions) {
  StagedAdditions staged;
  staged.generation = StagedGeneration(*store.generation());
  Generation& next = *staged.generation.next;
  for (const TableAddition& addition : additions) {
    const absl::StatusOr<GenerationTable*> table =
        FindEditable(next, addition.key);
    if (!table.ok()) continue;
    const absl::StatusOr<Request> request = SortedRequest(addition.entries);
    if (!request.ok()) return request.status();
    const EditPlan plan = PlanAdd((*table)->contents, *request);
    if (plan.edits.empty()) continue;
    if (absl::Status s = CheckEntryRoom(next, plan.more_entries); !s.ok()) {
      return s;
    }
    AddressTable after = (*table)->contents.With(plan.edits);
    if (store.pool() != nullptr) after = store.pool()->Share(std::move(after));
    (*table)->contents = std::move(after);
    ++staged.tables;
  }
  if (staged.tables == 0) return StagedAdditions();
  FinishGeneration(next);
  return staged;
}

void Deactivate(GenerationTable& table) {
  table.active = false;
  table.persist = false;
  table.is_const = false;
  table.counters = false;
  table.contents = AddressTable();
}

bool IsAtOrBelow(std::string_view path, std::string_view anchor) {
  return anchor.empty() || path == anchor ||
         (path.substr(0, anchor.size()) == anchor &&
          path.substr(anchor.size(), 1) == "/");
}

// Ends an edit: without the tables that nothing defines or names.
void FinishWithoutUnused(Generation& next) {
  std::erase_if(next.table_states, [&](const GenerationTable& table) {
    const auto& named = next.policy->referenced_tables;
    return !table.active &&
           std::ranges::find(named, table.key) == named.end();
  });
  FinishGeneration(next);
}

}  // namespace

absl::StatusOr<StagedEdit> StageAddAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run) {
  return OrNoMemory("edit the table", [&] {
    return StageEdit(store, key, entries, /*create=*/true, PlanAdd, dry_run);
  });
}

absl::StatusOr<StagedEdit> StageOverload(PolicyStore& store,
                                         const TableKey& key,
                                         std::span<const TableEntry> entries) {
  return OrNoMemory("edit the table", [&] {
    const auto edit = [&](const TableKey& table) {
      return StageEdit(store, table, entries, /*create=*/false, PlanAdd,
                       /*dry_run=*/false, /*even_const=*/true);
    };
    absl::StatusOr<StagedEdit> staged = edit(key);
    if (absl::IsNotFound(staged.status()) && !key.anchor.empty()) {
      staged = edit({.anchor = "", .name = key.name});
    }
    if (absl::IsNotFound(staged.status())) staged = StagedEdit();
    return staged;
  });
}

absl::StatusOr<StagedEdit> StageUnload(PolicyStore& store, const TableKey& key,
                                       std::span<const TableEntry> entries) {
  return OrNoMemory("edit the table", [&] {
    absl::StatusOr<StagedEdit> staged =
        StageEdit(store, key, entries, /*create=*/false, PlanDelete,
                  /*dry_run=*/false, /*even_const=*/true);
    if (absl::IsNotFound(staged.status())) staged = StagedEdit();
    return staged;
  });
}

std::optional<LimiterTable> TableOfLimiter(const Generation& generation,
                                           uint8_t limiter,
                                           const Address& source) {
  for (const LimiterDefinition& made : generation.policy->limiters) {
    if (!made.by_source || made.id != limiter || made.table.empty()) continue;
    const uint8_t mask =
        source.family == Family::kIpv4 ? made.mask4 : made.mask6;
    return LimiterTable{
        .table = {.anchor = "", .name = made.table},
        .entry = {.prefix =
                      Prefix{.address = source, .length = mask}.Masked()}};
  }
  return std::nullopt;
}

absl::StatusOr<StagedEdit> StageDeleteAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run) {
  return OrNoMemory("edit the table", [&] {
    return StageEdit(store, key, entries, /*create=*/false, PlanDelete,
                     dry_run);
  });
}

absl::StatusOr<StagedEdit> StageReplaceAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run) {
  return OrNoMemory("edit the table", [&] {
    return StageEdit(store, key, entries, /*create=*/true, PlanReplace,
                     dry_run);
  });
}

absl::Status EditStaged(PolicyStore& store, StagedGeneration* staged,
                        std::span<const StagedTableEdit> edits) {
  return OrNoMemory("edit the tables", [&]() -> absl::Status {
    bool changed = false;
    for (const StagedTableEdit& edit : edits) {
      StagedEdit unused;
      const bool deletes = edit.kind == TableEditKind::kDelete;
      const Planner planner = edit.kind == TableEditKind::kAdd ? PlanAdd
                              : deletes                        ? PlanDelete
                                                               : PlanReplace;
      const absl::StatusOr<bool> done =
          ApplyEdit(store, *staged->next, edit.key, edit.entries, !deletes,
                    planner, /*dry_run=*/false, /*even_const=*/false, &unused);
      if (!done.ok()) return done.status();
      changed = changed || *done;
    }
    if (changed) FinishGeneration(*staged->next);
    return absl::OkStatus();
  });
}

TableBefore TableNow(const Generation& generation, const TableKey& key) {
  const GenerationTable* const table = generation.FindTable(key);
  TableBefore before = {.key = key, .contents = std::nullopt};
  if (table != nullptr && table->active) before.contents = table->contents;
  return before;
}

absl::Status PutBack(PolicyStore& store, StagedGeneration* staged,
                     std::span<const TableBefore> tables) {
  return OrNoMemory("put the tables back", [&]() -> absl::Status {
    Generation& next = *staged->next;
    for (const TableBefore& before : tables) {
      absl::StatusOr<GenerationTable*> table =
          FindEditable(next, before.key, /*even_const=*/true);
      if (!before.contents) {
        if (table.ok()) Deactivate(**table);
        continue;
      }
      if (!table.ok()) table = CreateTable(store, next, before.key);
      if (!table.ok()) return table.status();
      // Whatever has been added since, there was room for it.
      (*table)->contents = *before.contents;
    }
    FinishWithoutUnused(next);
    return absl::OkStatus();
  });
}

absl::StatusOr<StagedAdditions> StageAdditions(
    PolicyStore& store, std::span<const TableAddition> additions) {
  return OrNoMemory("add to the tables",
                    [&] { return AddToTables(store, additions); });
}

absl::StatusOr<StagedEdit> StageFlushTable(PolicyStore& store,
                                           const TableKey& key,
                                           bool dry_run) {
  return OrNoMemory("flush the table", [&]() -> absl::StatusOr<StagedEdit> {
    StagedGeneration staged(*store.generation());
    absl::StatusOr<GenerationTable*> table = FindEditable(*staged.next, key);
    if (!table.ok()) return table.status();
    StagedEdit edit;
    edit.key = key;
    edit.before = std::exchange((*table)->contents, AddressTable());
    edit.change.total = static_cast<uint32_t>(edit.before.size());
    edit.change.deleted = edit.change.total;
    if (dry_run || edit.before.empty()) return edit;
    FinishGeneration(*staged.next);
    edit.generation = std::move(staged);
    return edit;
  });
}

absl::StatusOr<StagedGeneration> StageKillTable(PolicyStore& store,
                                                const TableKey& key) {
  using Staged = absl::StatusOr<StagedGeneration>;
  return OrNoMemory("kill the table", [&]() -> Staged {
    StagedGeneration staged(*store.generation());
    absl::StatusOr<GenerationTable*> table = FindEditable(*staged.next, key);
    if (!table.ok()) return table.status();
    Deactivate(**table);
    FinishWithoutUnused(*staged.next);
    return staged;
  });
}

absl::StatusOr<StagedKills> StageKillTables(PolicyStore& store,
                                            std::string_view anchor,
                                            bool below) {
  return OrNoMemory("kill the tables", [&]() -> absl::StatusOr<StagedKills> {
    StagedGeneration staged(*store.generation());
    StagedKills kills;
    for (GenerationTable& table : staged.next->table_states) {
      // pf leaves const tables alone here.
      const bool in_it = below ? IsAtOrBelow(table.key.anchor, anchor)
                               : table.key.anchor == anchor;
      if (!in_it || !table.active || table.is_const) {
        continue;
      }
      Deactivate(table);
      ++kills.killed;
    }
    if (kills.killed == 0) return kills;
    FinishWithoutUnused(*staged.next);
    kills.generation = std::move(staged);
    return kills;
  });
}

}  // namespace sluice
