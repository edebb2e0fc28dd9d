// Whether an address is what a rule's `from` or `to` asks for.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PFTABLE_ENGINE_ADDRESS_MATCH_H_
#define SLUICE_PFTABLE_ENGINE_ADDRESS_MATCH_H_

#include <array>
#include <cstdint>
#include <cstring>

#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/route_view.h"

namespace sluice {

// A look into a table.
inline void CountLook(const TableView& table, bool matches,
                      WorkerCounters& worker) {
  TableCounters& counters = worker.table(table.slot);
  (matches ? counters.match : counters.no_match).Add(1);
}

// For prefixes and ranges, whose family the caller has compared, the address
// is 16 bytes, IPv4 in the first four. A look into a table is counted.
// `routes` may be null.
inline bool AddressMatches(const Generation& generation,
                           const AddressCondition& condition, Family family,
                           const std::array<uint8_t, 16>& address,
                           const RouteView* routes, WorkerCounters& worker) {
  bool matches = false;
  switch (condition.kind) {
    case AddressCondition::Kind::kAny:
      matches = true;
      break;
    case AddressCondition::Kind::kPrefix: {
      uint64_t a[2], first[2], mask[2];
      std::memcpy(a, address.data(), sizeof a);
      std::memcpy(first, condition.first.data(), sizeof first);
      std::memcpy(mask, condition.second.data(), sizeof mask);
      matches = (a[0] & mask[0]) == first[0] && (a[1] & mask[1]) == first[1];
      break;
    }
    case AddressCondition::Kind::kRange:
      matches = std::memcmp(address.data(), condition.first.data(),
                            address.size()) >= 0 &&
                std::memcmp(address.data(), condition.second.data(),
                            address.size()) <= 0;
      break;
    case AddressCondition::Kind::kTable: {
      const TableView& table = generation.tables[condition.index];
      matches = table.addresses.Contains(family, address.data());
      CountLook(table, matches, worker);
      break;
    }
    case AddressCondition::Kind::kList:
      matches =
          generation.addresses.Contains(condition.index, family, address);
      break;
    case AddressCondition::Kind::kNever:
      break;
    case AddressCondition::Kind::kNoRoute:
    case AddressCondition::Kind::kUrpfFailed: {
      if (routes == nullptr) break;
      const Address a = Address::FromBytes(family, address.data());
      matches = !IsOfOneLink(a) &&
                !(condition.kind == AddressCondition::Kind::kNoRoute
                      ? routes->HasRoute(a)
                      : routes->LeadsBack(a));
      break;
    }
  }
  return matches != condition.negated;
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_ADDRESS_MATCH_H_
