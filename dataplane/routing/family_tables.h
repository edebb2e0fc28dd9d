// The routes of one family: what the writer knows, and what of it workers look
// up.
#ifndef SLUICE_DATAPLANE_ROUTING_FAMILY_TABLES_H_
#define SLUICE_DATAPLANE_ROUTING_FAMILY_TABLES_H_

#include <cstddef>
#include <cstdint>

#include "dataplane/routing/address_key.h"
#include "dataplane/routing/freed_list.h"
#include "dataplane/routing/prefix_list.h"
#include "dataplane/routing/prefix_trie.h"
#include "packet/address.h"

namespace sluice {

inline bool IsGroup(const Address& address) {
  return address.family == Family::kIpv4 ? (address.bytes[0] & 0xf0) == 0xe0
                                         : address.bytes[0] == 0xff;
}
// All of it, which a shorter prefix is not.
inline bool IsGroup(const Prefix& prefix) {
  const int least = prefix.address.family == Family::kIpv4 ? 4 : 8;
  return prefix.length >= least && IsGroup(prefix.address);
}

// What there is of each family.
template <typename Key, int kRootBits>
struct FamilyTables {
  using Trie = PrefixTrie<Key, kRootBits>;
  using Entry = typename PrefixList<Key>::Entry;

  // As many prefixes, and what can be taken out of them without HasRoom().
  FamilyTables(size_t prefixes, size_t removals, size_t node_bytes,
               FreedKind kind)
      : trie(node_bytes, removals, kind), list(prefixes) {}

  // For what is new or replaced. What only goes needs none.
  bool HasRoom(size_t times) const {
    return trie.HasRoom(times) && list.HasRoom(times);
  }

  // What is entered for a prefix, in the list and the trie. What is asked for
  // within groups is listed only: they are the router's.
  void Set(const Prefix& prefix, const Entry& entry, FreedList* freed) {
    const Key key = KeyOf<Key>(prefix.address);
    const int length = prefix.length;
    const bool group = IsGroup(prefix);
    const auto chosen = [&](const Entry& which) {
      return group ? which.own : which.chosen();
    };
    const uint32_t before = chosen(list.Get(key, length));
    const uint32_t number = chosen(entry);
    list.Set(key, length, entry);
    if (number == before) return;
    int above_length = 0;
    uint32_t word = TrieWord::Make(number, length);
    if (number == 0) {
      const uint32_t above = list.Above(key, length, &above_length);
      word = TrieWord::Make(above, above_length);
    }
    trie.Assign(key, length, word, freed);
  }

  Trie trie;
  PrefixList<Key> list;
};

// The first bits of IPv4 are such that a /24 ends in the first node below; those
// of IPv6 take one node less for the /32 of a provider than for its customers.
using Tables4 = FamilyTables<Key4, 18>;
using Tables6 = FamilyTables<Key6, 20>;

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_FAMILY_TABLES_H_
