// Changes of a policy store in one call, for tests that have a single thread:
// built and published.
#ifndef SLUICE_TESTS_SUPPORT_TABLE_CHANGES_H_
#define SLUICE_TESTS_SUPPORT_TABLE_CHANGES_H_

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/store/policy_store.h"
#include "pftable/store/table_edits.h"

namespace sluice {

inline absl::StatusOr<TableChange> Publish(PolicyStore& store,
                                           absl::StatusOr<StagedEdit> edit) {
  if (!edit.ok()) return edit.status();
  const absl::Status status = store.Publish(std::move(edit->generation));
  if (!status.ok()) return status;
  return edit->change;
}

inline absl::StatusOr<TableChange> AddAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run = false) {
  return Publish(store, StageAddAddresses(store, key, entries, dry_run));
}

inline absl::StatusOr<TableChange> DeleteAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run = false) {
  return Publish(store, StageDeleteAddresses(store, key, entries, dry_run));
}

inline absl::StatusOr<TableChange> ReplaceAddresses(
    PolicyStore& store, const TableKey& key,
    std::span<const TableEntry> entries, bool dry_run = false) {
  return Publish(store, StageReplaceAddresses(store, key, entries, dry_run));
}

inline absl::StatusOr<TableChange> FlushTable(PolicyStore& store,
                                              const TableKey& key,
                                              bool dry_run = false) {
  return Publish(store, StageFlushTable(store, key, dry_run));
}

inline absl::Status KillTable(PolicyStore& store, const TableKey& key) {
  absl::StatusOr<StagedGeneration> staged = StageKillTable(store, key);
  return staged.ok() ? store.Publish(*std::move(staged)) : staged.status();
}

inline absl::StatusOr<uint32_t> KillTables(PolicyStore& store,
                                           std::string_view anchor) {
  absl::StatusOr<StagedKills> staged = StageKillTables(store, anchor);
  if (!staged.ok()) return staged.status();
  const absl::Status status = store.Publish(std::move(staged->generation));
  if (!status.ok()) return status;
  return staged->killed;
}

inline absl::Status Refresh(PolicyStore& store) {
  absl::StatusOr<StagedGeneration> staged = store.StageRefresh();
  return staged.ok() ? store.Publish(*std::move(staged)) : staged.status();
}

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_TABLE_CHANGES_H_
