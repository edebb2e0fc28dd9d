// Tables that nobody wrote: pfctl makes one of the addresses of a pool and of
// rules that differ in one address. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_OPTIMIZE_AUTOMATIC_TABLES_H_
#define SLUICE_PFTABLE_OPTIMIZE_AUTOMATIC_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "pftable/policy/policy.h"

namespace sluice {

// How the tables are named.
enum class TableNaming : uint8_t {
  // "__automatic_0", "__automatic_1", ...: what pfctl -n prints.
  kNumbered,
  // "__automatic_1f2e3d4c_0": the middle is a hash of the contents, where
  // pfctl has a random number. So a table, and with it the identity of the
  // rules that name it, stays the same from one load to the next.
  kByContents,
};


// Adds tables to the main ruleset of one policy, as pfctl adds them to the
// anchor that is being loaded, whichever anchor refers to them.
class AutomaticTables {
 public:
  // `policy` outlives this.
  AutomaticTables(Policy& policy, TableNaming naming);

  // Whether a table of so many entries more leaves room for a reload, in which
  // the old and the new tables count together, under the limits `tables` and
  // `table-entries`.
  bool HasRoom(size_t entries) const;

  // The name of a new constant table with these entries.
  std::string Add(std::vector<TableEntry> entries, SourcePlace place);

  // pfctl numbers a table as soon as two rules could share it, whether or not
  // there come to be enough of them.
  void SkipNumber();

 private:
  Policy& policy_;
  const TableNaming naming_;
  absl::flat_hash_set<std::string> taken_;
  absl::flat_hash_map<std::string, uint32_t> next_;  // by what comes before it
  uint64_t entries_ = 0;
  uint64_t tables_ = 0;
};

// The child that a rule calls by its name; the number of children if none.
size_t CalledChild(const Anchor& anchor, const Rule& rule);

// Each child once, in the order of the calls; behind them those without one.
void ForEachChild(Anchor& anchor, const std::function<void(Anchor&)>& then);

// The table entry of a contiguous network; false for what has none.
bool TableEntryOf(const AddressMatch& match, TableEntry& entry);

// OpenBSD: the addresses of each pool that has several become a table.
void PoolsToTables(Policy& policy, AutomaticTables& tables);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_OPTIMIZE_AUTOMATIC_TABLES_H_
