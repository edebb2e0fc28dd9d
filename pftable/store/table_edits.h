// Edits of tables at run time, as `pfctl -t NAME -T ...` does them.
//
// An edit makes the next generation aside, which shares everything else with
// the one in force; PolicyStore::Publish() makes it take effect, unless
// another generation came into force meanwhile. Any thread.
//
// A table is refused when it is const (FailedPrecondition), unknown
// (NotFound), or when a limit would be passed (ResourceExhausted). With
// `dry_run` there is nothing to publish, but the counts are those of the edit.
#ifndef SLUICE_PFTABLE_STORE_TABLE_EDITS_H_
#define SLUICE_PFTABLE_STORE_TABLE_EDITS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "pftable/policy/policy.h"
#include "pftable/store/policy_store.h"
#include "pftable/tables/address_table.h"

namespace sluice {

// What an edit does to a table: pfctl's "added/total addresses added" and so
// on.
struct TableChange {
  bool table_created = false;
  uint32_t total = 0;  // addresses in the request
  uint32_t added = 0;
  uint32_t deleted = 0;
  uint32_t changed = 0;  // negation turned round by a replace
};

struct StagedEdit {
  TableChange change;
  TableKey key;         // of the table that it is of
  AddressTable before;  // what the table holds until then
  StagedGeneration generation;
};

// Makes the table, with persist, if there is none.
absl::StatusOr<StagedEdit> StageAddAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run = false);
// What `overload` of a rule does: adds to the table that the name stands for in
// the rule's anchor, const or not. Nothing happens if that is not defined.
absl::StatusOr<StagedEdit> StageOverload(PolicyStore& store,
                                         const TableKey& key,
                                         std::span<const TableEntry> entries);
// And the other way about, for source limiters.
absl::StatusOr<StagedEdit> StageUnload(PolicyStore& store, const TableKey& key,
                                       std::span<const TableEntry> entries);
// The table of a source limiter of the policy in force and what it gets there
// for a source; nothing if it has none by now.
struct LimiterTable {
  TableKey table;
  TableEntry entry;
};
std::optional<LimiterTable> TableOfLimiter(const Generation& generation,
                                           uint8_t limiter,
                                           const Address& source);
absl::StatusOr<StagedEdit> StageDeleteAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run = false);
// Makes the table, with persist, if there is none.
absl::StatusOr<StagedEdit> StageReplaceAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run = false);
// Deletes all addresses.
absl::StatusOr<StagedEdit> StageFlushTable(PolicyStore& store,
                                           const TableKey& key,
                                           bool dry_run = false);
// Edits, one after the other, of what a transaction has staged
// (PublishTogether()). After an error the staged generation is of no use.
enum class TableEditKind : uint8_t { kAdd, kDelete, kReplace };
struct StagedTableEdit {
  TableEditKind kind = TableEditKind::kReplace;
  TableKey key;
  std::span<const TableEntry> entries;
};
absl::Status EditStaged(PolicyStore& store, StagedGeneration* staged,
                        std::span<const StagedTableEdit> edits);
// What a table was before such edits; none: it was not there. Tables that are
// gone meanwhile, and are not to be made, stay so. What was in force is not
// held to the limit of entries again: else there might be no way back.
struct TableBefore {
  TableKey key;
  std::optional<AddressTable> contents;
};
TableBefore TableNow(const Generation& generation, const TableKey& key);
absl::Status PutBack(PolicyStore& store, StagedGeneration* staged,
                     std::span<const TableBefore> tables);
// What is to be added to one table.
struct TableAddition {
  TableKey key;
  std::vector<TableEntry> entries;
};
struct StagedAdditions {
  uint32_t tables = 0;  // that get an entry
  StagedGeneration generation;
};
// Adds to several tables at once. Tables that are not there, or are const, are
// passed over.
absl::StatusOr<StagedAdditions> StageAdditions(
    PolicyStore& store, std::span<const TableAddition> additions);
// Takes the table out of force: it goes, or, while rules name it, is only
// referenced and matches nothing.
absl::StatusOr<StagedGeneration> StageKillTable(PolicyStore& store,
                                                const TableKey& key);

struct StagedKills {
  uint32_t killed = 0;
  StagedGeneration generation;
};
// The same for all tables of the anchor that are not const; with `below`, for
// those of the anchors below it too.
absl::StatusOr<StagedKills> StageKillTables(PolicyStore& store,
                                            std::string_view anchor,
                                            bool below = false);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_TABLE_EDITS_H_
