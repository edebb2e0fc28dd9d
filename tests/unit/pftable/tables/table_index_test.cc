// An index of tables against the tables themselves.
#include "pftable/tables/table_index.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "pftable/policy/policy.h"

namespace sluice {
namespace {

class TableIndexTest : public testing::Test {
 protected:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }

  // Near one another, so that entries cover entries, and at the ends.
  Address RandomAddress(bool v6) {
    if (!v6) {
      if (Below(20) == 0) return Address::V4(Below(2) == 0 ? 0 : 0xffffffff);
      return Address::V4(0x0a000000 | Below(4) << 16 | Below(600));
    }
    Address a = *ParseAddress(Below(20) == 0 ? "ffff:ffff::" : "2001:db8::");
    if (a.bytes[0] == 0xff) a.bytes.fill(Below(2) == 0 ? 0 : 0xff);
    a.bytes[7] = static_cast<uint8_t>(Below(3));
    a.bytes[14] = static_cast<uint8_t>(Below(3));
    a.bytes[15] = static_cast<uint8_t>(Below(256));
    if (Below(30) == 0) a.bytes.fill(0xff);
    return a;
  }
  AddressTable::Edit RandomEdit() {
    const bool v6 = Below(3) == 0;
    const uint32_t bits = v6 ? 128 : 32;
    const uint32_t length = Below(3) == 0    ? bits
                            : Below(12) == 0 ? Below(bits + 1)
                                             : bits - Below(12);
    return {.prefix = Prefix{.address = RandomAddress(v6),
                             .length = static_cast<uint8_t>(length)}
                          .Masked(),
            .negated = Below(4) == 0,
            .erase = false};
  }
  std::vector<AddressTable> RandomTables(uint32_t count, uint32_t entries) {
    std::vector<AddressTable> tables;
    for (uint32_t t = 0; t < count; ++t) {
      std::vector<AddressTable::Edit> edits(Below(entries + 1));
      for (AddressTable::Edit& edit : edits) edit = RandomEdit();
      tables.push_back(AddressTable().With(edits));
    }
    return tables;
  }
  void ExpectSame(const TableIndex& index, const Address& address) {
    const uint64_t* const set = index.Find(address.family, address.bytes);
    for (size_t t = 0; t < index.tables().size(); ++t) {
      ASSERT_TRUE(index.Has(t));
      ASSERT_EQ(TableIndex::InSet(set, static_cast<uint16_t>(t)),
                index.tables()[t].Contains(address))
          << ToString(address) << " table " << t;
    }
  }

  std::mt19937 random_{11};
};

TEST_F(TableIndexTest, SaysWhatTheTablesSay) {
  for (uint32_t round = 0; round < 150; ++round) {
    const auto index = TableIndex::Build(
        RandomTables(1 + Below(round % 3 == 0 ? 200 : 8), 1 + round % 70));
    for (int i = 0; i < 300; ++i) {
      ExpectSame(*index, RandomAddress(Below(3) == 0));
      if (HasFatalFailure()) return;
    }
    // At the ends of entries, and one beside them.
    for (const AddressTable& table : index->tables()) {
      for (const TableEntry& entry : table.Entries()) {
        Address address = entry.prefix.address;
        ExpectSame(*index, address);
        const int bytes = AddressBits(address.family) / 8;
        for (int i = bytes; i-- > 0 && address.bytes[i]-- == 0;) {
        }
        ExpectSame(*index, address);
        if (HasFatalFailure()) return;
      }
      if (Below(4) != 0) break;
    }
  }
}

TEST_F(TableIndexTest, EqualSetsAreStoredOnce) {
  std::vector<AddressTable::Edit> edits;
  for (uint32_t i = 0; i < 1000; ++i) {
    edits.push_back({.prefix = {.address = Address::V4(i * 1000),
                                .length = 32}});
  }
  const AddressTable table = AddressTable().With(edits);
  const auto index = TableIndex::Build({table, table, AddressTable()});
  EXPECT_EQ(index->sets(), 2u);
  EXPECT_EQ(index->entries(), 2000u);
}

TEST_F(TableIndexTest, TablesAboveABoundHaveNoBit) {
  const std::vector<AddressTable> tables = RandomTables(6, 40);
  const size_t largest =
      std::ranges::max(tables, {}, &AddressTable::size).size();
  const auto index =
      TableIndex::Build(tables, {.most_entries_each = largest - 1});
  size_t with = 0;
  for (size_t t = 0; t < tables.size(); ++t) {
    EXPECT_EQ(index->Has(t), tables[t].size() < largest);
    if (!index->Has(t)) continue;
    ++with;
    for (int i = 0; i < 300; ++i) {
      const Address address = RandomAddress(Below(3) == 0);
      EXPECT_EQ(TableIndex::InSet(index->Find(address.family, address.bytes),
                                  static_cast<uint16_t>(t)),
                tables[t].Contains(address));
    }
  }
  EXPECT_GT(with, 1u);
  const auto none = TableIndex::Build(tables, {.most_words = 2});
  for (size_t t = 0; t < tables.size(); ++t) EXPECT_FALSE(none->Has(t));
  EXPECT_EQ(none->entries(), 0u);
}

TEST_F(TableIndexTest, OfNoTablesAndOfEmptyOnes) {
  EXPECT_EQ(TableIndex::Build({})->entries(), 0u);
  const auto index = TableIndex::Build(std::vector<AddressTable>(70));
  EXPECT_EQ(index->sets(), 1u);
  ExpectSame(*index, Address::V4(1));
  ExpectSame(*index, *ParseAddress("::1"));
}

}  // namespace
}  // namespace sluice
