// What filters have in common. On a host with thousands of virtual NICs most
// policies are one of a few, and name the same large tables: a pool keeps one
// copy of each for all who hold it, and holds none itself.
#ifndef SLUICE_PFTABLE_COMPILE_POLICY_POOL_H_
#define SLUICE_PFTABLE_COMPILE_POLICY_POOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "pftable/policy/policy.h"
#include "pftable/tables/address_table.h"
#include "pftable/tables/table_index.h"

namespace sluice {

class Classifier;

// Control side, safe from several threads. What it gives out may outlive it.
// Everything shared is immutable: an edit of a filter's table makes another
// value, which the others do not see.
//
// Contents are compared, not only their hashes: strangers may choose them.
class PolicyPool {
 public:
  // Tables of fewer entries cost less than the sharing of them.
  static constexpr size_t kLeastEntries = 16;

  PolicyPool();
  ~PolicyPool();
  PolicyPool(const PolicyPool&) = delete;
  PolicyPool& operator=(const PolicyPool&) = delete;

  // The policy that somebody holds and that equals this one, texts and places
  // included, or else this one.
  std::shared_ptr<const Policy> Share(Policy policy);
  // The same for tables.
  AddressTable Share(AddressTable table);
  // The table with these entries, the last of several for one prefix counting.
  // If there is one already it is not built again.
  AddressTable Build(std::span<const TableEntry> entries);

  // The classifier of this very policy, under this version of the interfaces
  // (InterfaceRegistry::version()), that somebody holds; else `make()`'s.
  std::shared_ptr<const Classifier> Share(
      const std::shared_ptr<const Policy>& policy, uint64_t interface_version,
      const std::function<std::shared_ptr<const Classifier>()>& make);

  // The index of tables that equal these; if nobody holds one, it is made.
  std::shared_ptr<const TableIndex> Index(
      const std::vector<AddressTable>& tables);

  // What is held by anybody.
  size_t policies() const;
  size_t tables() const;
  size_t classifiers() const;
  size_t indexes() const;

 private:
  struct Shelves;
  const std::shared_ptr<Shelves> shelves_;
};

// Without a pool.
AddressTable BuildTable(std::span<const TableEntry> entries);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_POLICY_POOL_H_
