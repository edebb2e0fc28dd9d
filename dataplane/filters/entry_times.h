// Since when an address is in a table, for `-T expire` and `-vT show`: of those
// that were added or zeroed at run time. For the others it is the table's own
// time.
//
// A table's times are sorted runs, of which a newer one is at most half as long
// as the one before it: an addition costs no more than a merge of short ones.
#ifndef SLUICE_DATAPLANE_FILTERS_ENTRY_TIMES_H_
#define SLUICE_DATAPLANE_FILTERS_ENTRY_TIMES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "packet/address.h"
#include "pftable/engine/table_slots.h"
#include "pftable/tables/address_table.h"

namespace sluice {

// Safe from several threads; changes are made one after the other.
class EntryTimes {
 public:
  using Run = std::vector<std::pair<Prefix, int64_t>>;  // ascending
  using Runs = std::vector<std::shared_ptr<const Run>>;  // the oldest first

  // The table's times with `prefixes` since `now`. Times of what is not in
  // `contents` may be dropped.
  Runs With(const TableKey& key, std::vector<Prefix> prefixes, int64_t now,
            const AddressTable& contents) const;
  void Set(const TableKey& key, Runs runs);
  Runs Get(const TableKey& key) const;

  // Unix time; 0: not known here.
  static int64_t Find(const Runs& runs, const Prefix& prefix);

 private:
  mutable std::mutex mutex_;
  std::map<TableKey, Runs> runs_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_ENTRY_TIMES_H_
