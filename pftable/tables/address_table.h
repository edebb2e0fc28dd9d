// Tables of addresses: networks and hosts of both families, some of them
// negated; the most specific entry decides.
//
// An AddressTable is an immutable value. Its nodes are shared between values
// that grew from one another: an edit of n entries makes O(n * depth) new
// nodes and leaves the rest where it is. The control side makes, copies and
// drops values (reference counts, safe from several threads); a worker reads
// through a View, which touches no count.
#ifndef SLUICE_PFTABLE_TABLES_ADDRESS_TABLE_H_
#define SLUICE_PFTABLE_TABLES_ADDRESS_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "packet/address.h"

namespace sluice {

struct TableEntry;

class AddressTable {
 public:
  // An entry to set (added, or its negation changed) or to erase.
  struct Edit {
    Prefix prefix;  // masked
    bool negated = false;
    bool erase = false;
  };

  // What a worker needs. Valid while the table it came from, or a copy of it,
  // lives. A default View is that of an empty table.
  struct View {
    uint64_t root4 = 0;
    uint64_t root6 = 0;

    // Whether the longest entry that covers the address exists and is not
    // negated. Never for Family::kNone.
    bool Contains(Family family, const uint8_t* bytes) const;
    bool Contains(const Address& address) const {
      return Contains(address.family, address.bytes.data());
    }

    // That entry, negated or not; false if there is none.
    bool Longest(Family family, const uint8_t* bytes, Prefix* entry,
                 bool* negated) const;

    // The same nodes, which is more than the same entries.
    friend bool operator==(const View&, const View&) = default;
  };

  AddressTable() = default;
  AddressTable(const AddressTable& other);
  AddressTable(AddressTable&& other) noexcept;
  AddressTable& operator=(AddressTable other) noexcept;
  ~AddressTable();

  // A copy of a table that others hold too (PolicyPool), and a hold on it for as
  // long as the copy is not edited.
  static AddressTable Shared(std::shared_ptr<const AddressTable> original);

  // This table with the edits applied, the last one of several for one prefix
  // taking effect. Erasing what is not there changes nothing.
  AddressTable With(std::span<const Edit> edits) const;

  View view() const { return view_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool Contains(const Address& address) const {
    return view_.Contains(address);
  }
  // Exactly this prefix: nothing, or whether it is negated.
  std::optional<bool> Find(const Prefix& prefix) const;
  // The longest entry that covers the address, negated or not; what Contains()
  // goes by. None for Family::kNone.
  std::optional<TableEntry> Longest(const Address& address) const;
  // IPv4 before IPv6, then ascending by address, then by length.
  std::vector<TableEntry> Entries() const;
  // The first `limit` of those that come after `after` (null: all do), which
  // need not be an entry. The time depends on `limit` and the depth of the
  // trie, not on how many there are.
  std::vector<TableEntry> EntriesAfter(const Prefix* after,
                                       size_t limit) const;

  // Equal for tables with equal entries, however they came about; the same in
  // every process. The sum of those of the entries.
  uint64_t hash() const { return hash_; }
  static uint64_t HashOf(const Prefix& prefix, bool negated);
  // The same entries.
  friend bool operator==(const AddressTable& a, const AddressTable& b);
  // Whether size and hash are those of the entries; for tests.
  bool IsSound() const;
  // Bytes of all nodes below; those shared with other tables count too.
  size_t MemoryUse() const;

 private:
  View view_;
  size_t size_ = 0;
  uint64_t hash_ = 0;
  std::shared_ptr<const AddressTable> original_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_TABLES_ADDRESS_TABLE_H_
