// What can be asked of a filter's tables of addresses.
#ifndef SLUICE_DATAPLANE_CONTROL_API_TABLE_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_TABLE_CONTROL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/control/api/build_job.h"
#include "packet/address.h"
#include "pftable/policy/policy.h"

namespace sluice {

enum class TableCounter : uint8_t { kBlock, kMatch, kPass, kXPass };
inline constexpr size_t kTableCounterCount = 4;

struct TableTraffic {
  // By direction ([0] in, [1] out) and TableCounter.
  std::array<std::array<uint64_t, kTableCounterCount>, 2> packets{};
  std::array<std::array<uint64_t, kTableCounterCount>, 2> bytes{};
};

struct TableListing {
  std::string name;
  std::string anchor;  // path; empty: the main one
  bool is_const = false;
  bool persist = false;
  bool active = false;
  bool referenced = false;
  bool counters = false;
  uint64_t addresses = 0;
  uint64_t rules = 0;   // that name it
  int64_t cleared = 0;  // when its counters were zeroed, Unix time
  uint64_t match = 0;
  uint64_t no_match = 0;
  TableTraffic traffic;
};

struct TableAddressListing {
  TableEntry entry;
  int64_t cleared = 0;  // Unix time
  // Set when the table counts by address.
  std::optional<TableTraffic> traffic;
};

struct TableSlice {
  std::vector<TableAddressListing> addresses;
  std::string next;
};

enum class TableCommand : uint8_t {
  kAdd,  // makes the table if there is none, persistent
  kDelete,
  kReplace,  // makes the table too
  kFlush,    // removes all addresses
  kKill,     // removes the table
  kZero,     // its counters and those of its entries; with entries, theirs
  kReset,    // those of entries that have counted anything
  kExpire,   // removes what is in it for more than TableEdit::age seconds
};

struct TableEdit {
  TableCommand command = TableCommand::kAdd;
  std::string table;
  std::string anchor;
  std::vector<TableEntry> entries;  // kAdd, kDelete, kReplace, kZero
  uint64_t age = 0;                 // kExpire
  bool dry_run = false;
  bool feedback = false;  // fill TableEditResult::changes
};

// What became of one address.
enum class TableFeedback : uint8_t {
  kNone,
  kAdded,
  kDeleted,
  kChanged,    // its negation
  kCleared,    // its counters
  kDuplicate,  // named twice in one edit, ignored
  kConflict,   // named both ways in one edit, ignored
};

struct TableEditResult {
  uint64_t added = 0;
  uint64_t deleted = 0;
  uint64_t changed = 0;
  bool table_created = false;
  uint64_t tables_deleted = 0;
  uint64_t tables_zeroed = 0;
  uint64_t addresses_zeroed = 0;
  uint64_t addresses = 0;  // kReset: that were looked at
  std::vector<std::pair<TableEntry, TableFeedback>> changes;
};

struct TableMatch {
  Address address;
  bool match = false;
  // The most specific entry that holds the address, negated ones too.
  std::optional<TableEntry> entry;
};

class TableControl {
 public:
  virtual ~TableControl() = default;

  virtual std::vector<TableListing> ListTables() = 0;
  // Whether there is such a table and it counts by address: then
  // CollectCounters() comes before its listing and its zeroing.
  virtual bool CountsByAddress(const std::string& table,
                               const std::string& anchor) {
    static_cast<void>(table);
    static_cast<void>(anchor);
    return false;
  }
  virtual absl::StatusOr<TableSlice> ListTable(const std::string& table,
                                               const std::string& anchor,
                                               const std::string& cursor,
                                               size_t limit) = 0;
  // NotFoundError for a table that is not there (but for kAdd and kReplace),
  // FailedPreconditionError for a `const` one, ResourceExhaustedError over a
  // limit; from Publish() as well as by the counts of its result.
  virtual std::unique_ptr<BuildJob<TableEditResult>> BeginTableEdit(
      TableEdit edit) = 0;
  // Takes all tables of the anchor out of force that are not const, with
  // `below` those of the anchors below it too; the result counts them.
  virtual std::unique_ptr<BuildJob<uint64_t>> BeginFlushTables(
      const std::string& anchor, bool below) = 0;
  virtual absl::StatusOr<std::vector<TableMatch>> TestTable(
      const std::string& table, const std::string& anchor,
      const std::vector<Address>& addresses) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_TABLE_CONTROL_H_
