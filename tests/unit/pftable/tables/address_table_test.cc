#include "pftable/tables/address_table.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "pftable/policy/policy.h"
#include "pftable/tables/address_trie.h"

namespace sluice {
namespace {

Prefix P(std::string_view text) { return ParsePrefix(text)->Masked(); }
Address A(std::string_view text) { return *ParseAddress(text); }

AddressTable::Edit Set(std::string_view text, bool negated = false) {
  return {.prefix = P(text), .negated = negated, .erase = false};
}
AddressTable::Edit Erase(std::string_view text) {
  return {.prefix = P(text), .negated = false, .erase = true};
}

AddressTable Table(std::vector<AddressTable::Edit> edits) {
  return AddressTable().With(edits);
}

void CollectNodes(trie::Word word, std::set<trie::Word>& nodes) {
  if (word == 0 || trie::IsLeaf(word)) return;
  nodes.insert(word);
  const trie::Node<uint32_t>* node = trie::AsNode<uint32_t>(word);
  for (unsigned v = 0; v < 64; ++v) CollectNodes(node->Child(v), nodes);
}

TEST(AddressTable, IsEmptyAtFirst) {
  const AddressTable table;
  EXPECT_TRUE(table.empty());
  EXPECT_FALSE(table.Contains(A("192.0.2.1")));
  EXPECT_FALSE(table.Contains(A("2001:db8::1")));
  EXPECT_FALSE(table.Contains(Address()));
  EXPECT_TRUE(table.Entries().empty());
}

TEST(AddressTable, MostSpecificEntryDecides) {
  const AddressTable table =
      Table({Set("10.0.0.0/8"), Set("10.1.0.0/16", true), Set("10.1.2.0/24"),
             Set("10.1.2.3", true)});
  EXPECT_TRUE(table.Contains(A("10.0.0.1")));
  EXPECT_FALSE(table.Contains(A("10.1.0.1")));
  EXPECT_TRUE(table.Contains(A("10.1.2.4")));
  EXPECT_FALSE(table.Contains(A("10.1.2.3")));
  EXPECT_FALSE(table.Contains(A("11.0.0.0")));
}

TEST(AddressTable, EverythingAndHostsAtTheEnds) {
  for (const char* all : {"0.0.0.0/0", "::/0"}) {
    const AddressTable table = Table({Set(all)});
    const bool v4 = P(all).address.family == Family::kIpv4;
    EXPECT_EQ(table.Contains(A("0.0.0.0")), v4);
    EXPECT_EQ(table.Contains(A("255.255.255.255")), v4);
    EXPECT_EQ(table.Contains(A("::")), !v4);
    EXPECT_EQ(table.Contains(A("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
              !v4);
  }
  const AddressTable hosts =
      Table({Set("255.255.255.255"), Set("255.255.255.254", true),
             Set("0.0.0.0"), Set("::"), Set("::1", true),
             Set("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")});
  EXPECT_EQ(hosts.size(), 6u);
  EXPECT_TRUE(hosts.Contains(A("255.255.255.255")));
  EXPECT_FALSE(hosts.Contains(A("255.255.255.254")));
  EXPECT_TRUE(hosts.Contains(A("0.0.0.0")));
  EXPECT_FALSE(hosts.Contains(A("0.0.0.1")));
  EXPECT_TRUE(hosts.Contains(A("::")));
  EXPECT_FALSE(hosts.Contains(A("::1")));
  EXPECT_TRUE(
      hosts.Contains(A("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
}

TEST(AddressTable, EditsLeaveTheOldValueAlone) {
  const AddressTable before = Table({Set("192.0.2.0/24"), Set("2001:db8::1")});
  const uint64_t hash = before.hash();
  const std::vector<AddressTable::Edit> edits = {
      Erase("192.0.2.0/24"), Set("198.51.100.7"), Set("2001:db8::1", true)};
  const AddressTable after = before.With(edits);
  EXPECT_TRUE(before.Contains(A("192.0.2.9")));
  EXPECT_FALSE(before.Contains(A("198.51.100.7")));
  EXPECT_EQ(before.hash(), hash);
  EXPECT_FALSE(after.Contains(A("192.0.2.9")));
  EXPECT_TRUE(after.Contains(A("198.51.100.7")));
  EXPECT_FALSE(after.Contains(A("2001:db8::1")));
  EXPECT_EQ(after.size(), 2u);
}

TEST(AddressTable, TheLastOfSeveralEditsCounts) {
  const AddressTable table = Table(
      {Set("192.0.2.1"), Erase("192.0.2.1"), Set("192.0.2.2", true),
       Set("192.0.2.2"), Set("192.0.2.3"), Erase("192.0.2.4")});
  EXPECT_FALSE(table.Find(P("192.0.2.1")).has_value());
  EXPECT_EQ(table.Find(P("192.0.2.2")), false);
  EXPECT_EQ(table.size(), 2u);
}

TEST(AddressTable, NothingDoneSharesEverything) {
  const AddressTable table =
      Table({Set("10.0.0.0/8"), Set("10.1.0.0/16"), Set("2001:db8::/32"),
             Set("2001:db8::1")});
  const std::vector<AddressTable::Edit> edits = {
      Set("10.1.0.0/16"), Erase("172.16.0.0/12"), Set("2001:db8::1"),
      Erase("::/0")};
  const AddressTable same = table.With(edits);
  EXPECT_EQ(same.view().root4, table.view().root4);
  EXPECT_EQ(same.view().root6, table.view().root6);
}

TEST(AddressTable, AnEditCopiesOnlyItsPath) {
  std::vector<AddressTable::Edit> edits;
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    edits.push_back({.prefix = {Address::V4(random()), 32}});
  }
  const AddressTable table = Table(edits);
  std::set<trie::Word> old_nodes;
  CollectNodes(table.view().root4, old_nodes);
  const std::vector<AddressTable::Edit> one = {Set("192.0.2.77")};
  const AddressTable more = table.With(one);
  std::set<trie::Word> nodes;
  CollectNodes(more.view().root4, nodes);
  std::erase_if(nodes, [&](trie::Word node) {
    return old_nodes.contains(node);
  });
  EXPECT_GT(old_nodes.size(), 500u);
  // One node a level of six bits at the most.
  EXPECT_LE(nodes.size(), 6u);
  EXPECT_GE(nodes.size(), 1u);
  EXPECT_EQ(more.size(), table.size() + 1);
}

TEST(AddressTable, EntriesAreSortedFamilyByFamily) {
  const AddressTable table =
      Table({Set("2001:db8::/32"), Set("10.0.0.0/8"), Set("10.0.0.0/9", true),
             Set("9.255.255.255"), Set("10.0.0.0"), Set("::1"),
             Set("10.128.0.0/9")});
  std::vector<Prefix> shown;
  for (const TableEntry& e : table.Entries()) shown.push_back(e.prefix);
  const std::vector<Prefix> expected = {
      P("9.255.255.255"), P("10.0.0.0/8"), P("10.0.0.0/9"), P("10.0.0.0"),
      P("10.128.0.0/9"),  P("::1"),        P("2001:db8::/32")};
  EXPECT_EQ(shown, expected);
  EXPECT_TRUE(table.Entries()[2].negated);
}

// The model: all entries, searched one by one.
class Model {
 public:
  void Apply(const AddressTable::Edit& edit) {
    if (edit.erase) {
      entries_.erase(edit.prefix);
    } else {
      entries_[edit.prefix] = edit.negated;
    }
  }
  bool Contains(const Address& address) const {
    int best = -1;
    bool found = false;
    for (const auto& [prefix, negated] : entries_) {
      if (prefix.length > best && prefix.Contains(address)) {
        best = prefix.length;
        found = !negated;
      }
    }
    return found;
  }
  const std::map<Prefix, bool>& entries() const { return entries_; }

 private:
  std::map<Prefix, bool> entries_;
};

// Addresses that lie close together, so that prefixes nest.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return random_() % n; }
  Address RandomAddress() {
    Address a;
    const bool v4 = Below(2) == 0;
    a.family = v4 ? Family::kIpv4 : Family::kIpv6;
    const int bytes = v4 ? 4 : 16;
    for (int i = 0; i < bytes; ++i) {
      static constexpr uint8_t kFew[] = {0x00, 0xff, 0x80, 0x01};
      a.bytes[i] = Below(8) == 0 ? static_cast<uint8_t>(random_())
                                 : kFew[Below(i % 5 == 0 ? 2 : 4)];
    }
    return a;
  }
  AddressTable::Edit RandomEdit(uint32_t erase_percent) {
    const Address a = RandomAddress();
    const int bits = AddressBits(a.family);
    const uint8_t length = Below(4) == 0 ? bits : Below(bits + 1);
    return {.prefix = Prefix{a, length}.Masked(),
            .negated = Below(3) == 0,
            .erase = Below(100) < erase_percent};
  }

 private:
  std::mt19937 random_;
};

TEST(AddressTable, AgreesWithAPlainSearch) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Generator generate(seed);
    Model model;
    AddressTable table;
    // Kept and compared at the end: later edits must not reach them.
    std::vector<std::pair<AddressTable, std::map<Prefix, bool>>> kept;
    for (int step = 0; step < 60; ++step) {
      std::vector<AddressTable::Edit> edits(generate.Below(12));
      for (AddressTable::Edit& edit : edits) {
        edit = generate.RandomEdit(step < 40 ? 25 : 75);
        if (!model.entries().empty() && generate.Below(2) == 0) {
          // An entry that is there.
          auto it = model.entries().begin();
          std::advance(it, generate.Below(model.entries().size()));
          edit.prefix = it->first;
        }
      }
      for (const AddressTable::Edit& edit : edits) model.Apply(edit);
      table = table.With(edits);

      ASSERT_EQ(table.size(), model.entries().size());
      std::map<Prefix, bool> shown;
      std::vector<Prefix> order;
      for (const TableEntry& entry : table.Entries()) {
        shown[entry.prefix] = entry.negated;
        order.push_back(entry.prefix);
      }
      ASSERT_EQ(shown, model.entries());
      ASSERT_TRUE(std::is_sorted(order.begin(), order.end()));
      for (const auto& [prefix, negated] : model.entries()) {
        ASSERT_EQ(table.Find(prefix), negated) << ToString(prefix);
      }
      for (int i = 0; i < 50; ++i) {
        const Address a = generate.RandomAddress();
        ASSERT_EQ(table.Contains(a), model.Contains(a)) << ToString(a);
        std::optional<Prefix> longest;
        for (const auto& [prefix, negated] : model.entries()) {
          if (prefix.Contains(a) &&
              (!longest || longest->length < prefix.length)) {
            longest = prefix;
          }
        }
        const std::optional<TableEntry> entry = table.Longest(a);
        ASSERT_EQ(entry.has_value(), longest.has_value()) << ToString(a);
        if (!entry) continue;
        ASSERT_EQ(entry->prefix, *longest) << ToString(a);
        ASSERT_EQ(entry->negated, model.entries().at(*longest));
      }
      // Pages from the beginning, from entries and from what is none.
      for (int i = 0; i < 20; ++i) {
        const Prefix after =
            i % 2 == 0 && !order.empty()
                ? order[generate.Below(order.size())]
                : generate.RandomEdit(0).prefix;
        const Prefix* const from = i == 0 ? nullptr : &after;
        const size_t limit = generate.Below(12);
        std::vector<Prefix> page;
        for (const TableEntry& entry : table.EntriesAfter(from, limit)) {
          page.push_back(entry.prefix);
          ASSERT_EQ(entry.negated, model.entries().at(entry.prefix));
        }
        const auto begin =
            from == nullptr
                ? order.begin()
                : std::upper_bound(order.begin(), order.end(), after);
        const auto end =
            begin + std::min<ptrdiff_t>(limit, order.end() - begin);
        ASSERT_EQ(page, std::vector<Prefix>(begin, end));
      }
      // One shape for one set of entries.
      std::vector<AddressTable::Edit> anew;
      for (const auto& [prefix, negated] : model.entries()) {
        anew.push_back({.prefix = prefix, .negated = negated});
      }
      const AddressTable rebuilt = Table(anew);
      ASSERT_EQ(rebuilt.hash(), table.hash());
      ASSERT_EQ(rebuilt.MemoryUse(), table.MemoryUse());
      if (step % 10 == 0) kept.emplace_back(table, model.entries());
    }
    for (const auto& [old, entries] : kept) {
      std::map<Prefix, bool> shown;
      for (const TableEntry& entry : old.Entries()) {
        shown[entry.prefix] = entry.negated;
      }
      EXPECT_EQ(shown, entries);
    }
  }
}

}  // namespace
}  // namespace sluice
