// The tables of a running filter.
#ifndef SLUICE_DATAPLANE_FILTERS_FILTER_TABLES_H_
#define SLUICE_DATAPLANE_FILTERS_FILTER_TABLES_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/api/table_control.h"
#include "dataplane/filters/entry_times.h"
#include "dataplane/filters/filter_core.h"

namespace sluice {

// Belongs to the control lcore; only BuildJob::Build() runs elsewhere.
class FilterTables final : public TableControl {
 public:
  explicit FilterTables(std::shared_ptr<FilterCore> core)
      : core_(std::move(core)) {}

  std::vector<TableListing> ListTables() override;
  bool CountsByAddress(const std::string& table,
                       const std::string& anchor) override;
  absl::StatusOr<TableSlice> ListTable(const std::string& table,
                                       const std::string& anchor,
                                       const std::string& cursor,
                                       size_t limit) override;
  std::unique_ptr<BuildJob<TableEditResult>> BeginTableEdit(
      TableEdit edit) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushTables(
      const std::string& anchor, bool below) override;
  absl::StatusOr<std::vector<TableMatch>> TestTable(
      const std::string& table, const std::string& anchor,
      const std::vector<Address>& addresses) override;

  // An edit that others have staged is in force: since when its entries are in
  // the table.
  void Edited(const TableKey& key, const AddressTable& before,
              const std::vector<TableEntry>& entries);

 private:
  const std::shared_ptr<FilterCore> core_;
  const std::shared_ptr<EntryTimes> times_ = std::make_shared<EntryTimes>();
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_TABLES_H_
