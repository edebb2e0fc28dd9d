// The index of a generation's tables: when there is one, and that what has been
// edited since is not asked of it.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_store.h"
#include "pftable/store/table_edits.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

// Rules that name `tables` tables, of which each has `entries` hosts.
std::string Text(int tables, int entries, int first = 0) {
  std::string text = "set limit table-entries 1000000\n";
  for (int t = 0; t < tables; ++t) {
    absl::StrAppend(&text, "table <t", t, "> { 192.0.2.1");
    for (int i = 0; i < entries; ++i) {
      absl::StrAppend(&text, ", 10.", t, ".", (first + i) / 250, ".",
                      (first + i) % 250);
    }
    text += ", !192.0.2.0/24, 2001:db8::/64 }\n";
    absl::StrAppend(&text, "block in from <t", t, ">\n");
  }
  return text;
}

class TableIndexStoreTest : public testing::Test {
 protected:
  std::unique_ptr<PolicyStore> Store(PolicyPool* pool = nullptr) {
    return std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 1, .pool = pool}, &interfaces_,
        &reclaimer_);
  }
  static size_t Bits(const PolicyStore& store) {
    size_t bits = 0;
    for (const TableView& table : store.current()->tables) {
      bits += table.bit != TableIndex::kNoBit;
    }
    return bits;
  }
  void Add(PolicyStore& store, int table, std::string_view address) {
    const TableEntry entry = {.prefix = *ParsePrefix(address)};
    auto staged = StageAddAddresses(
        store, {.anchor = "", .name = absl::StrCat("t", table)},
        std::span(&entry, 1));
    ASSERT_TRUE(staged.ok()) << staged.status();
    ASSERT_TRUE(store.Publish(std::move(staged->generation)).ok());
  }
  // What a worker sees of each table is what it holds.
  static void ExpectTrue(const PolicyStore& store) {
    ASSERT_TRUE(CheckInvariants(store).ok());
    const Generation& now = *store.current();
    std::mt19937 random(3);
    for (int i = 0; i < 400; ++i) {
      Address address = Address::V4(0x0a000000 | (random() % 12) << 16 |
                                    (random() % 600));
      if (i % 5 == 0) address = Address::V4(0xc0000200 + i % 4);
      if (i % 7 == 0) address = *ParseAddress("2001:db8::1");
      for (size_t t = 0; t < now.tables.size(); ++t) {
        const TableView& view = now.tables[t];
        if (view.bit == TableIndex::kNoBit) continue;
        const uint64_t* const set =
            now.index->index().Find(address.family, address.bytes);
        ASSERT_EQ(TableIndex::InSet(set, view.bit),
                  now.Resolve(t)->contents.Contains(address))
            << t;
      }
    }
  }

  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
};

TEST_F(TableIndexStoreTest, FewTablesHaveNone) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(Parsed(Text(7, 5))).ok());
  EXPECT_EQ(store->current()->index, nullptr);
  EXPECT_FALSE(store->WantsIndex());
}

TEST_F(TableIndexStoreTest, ALoadOfSmallTablesMakesIt) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(Parsed(Text(10, 20))).ok());
  EXPECT_EQ(Bits(*store), 10u);
  EXPECT_FALSE(store->WantsIndex());
  ExpectTrue(*store);
  // Fewer tables: it goes.
  ASSERT_TRUE(store->Load(Parsed(Text(3, 20))).ok());
  EXPECT_EQ(store->current()->index, nullptr);
}

TEST_F(TableIndexStoreTest, EditedTablesAreAskedByThemselves) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(Parsed(Text(20, 20))).ok());
  const IndexedTables* const first = store->current()->index.get();
  Add(*store, 3, "10.5.0.1");
  Add(*store, 3, "10.5.0.2");
  EXPECT_EQ(Bits(*store), 19u);
  EXPECT_FALSE(store->WantsIndex());
  ExpectTrue(*store);
  Add(*store, 4, "10.5.0.1");
  Add(*store, 6, "10.5.0.1");
  EXPECT_EQ(Bits(*store), 17u);
  EXPECT_TRUE(store->WantsIndex());
  EXPECT_EQ(store->current()->index.get(), first);
  const uint64_t number = store->current()->number;
  auto staged = store->StageIndex();
  ASSERT_TRUE(staged.ok() && staged->next != nullptr);
  ASSERT_TRUE(store->Publish(*std::move(staged)).ok());
  EXPECT_EQ(store->current()->number, number) << "it is the same policy";
  EXPECT_EQ(Bits(*store), 20u);
  EXPECT_FALSE(store->WantsIndex());
  ExpectTrue(*store);
}

TEST_F(TableIndexStoreTest, AnEditThatComesBetweenIsNotLost) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(Parsed(Text(10, 20))).ok());
  for (int t = 0; t < 4; ++t) Add(*store, t, "10.5.0.1");
  auto staged = store->StageIndex();
  ASSERT_TRUE(staged.ok());
  Add(*store, 7, "10.5.0.9");
  EXPECT_FALSE(store->IsUpToDate(*staged));
  EXPECT_EQ(store->Publish(*std::move(staged)).code(),
            absl::StatusCode::kAborted);
  ExpectTrue(*store);
  // One that was built before it and comes behind it goes on with the old one.
  const TableEntry entry = {.prefix = *ParsePrefix("10.5.0.10")};
  auto edit = StageAddAddresses(*store, {.anchor = "", .name = "t8"},
                                std::span(&entry, 1));
  staged = store->StageIndex();
  ASSERT_TRUE(staged.ok() && edit.ok());
  ASSERT_TRUE(store->Publish(*std::move(staged)).ok());
  EXPECT_EQ(Bits(*store), 10u);
  ASSERT_TRUE(store->Publish(std::move(edit->generation)).ok());
  EXPECT_TRUE(store->current()->Resolve(8)->contents.Contains(
      *ParseAddress("10.5.0.10")));
  EXPECT_TRUE(store->WantsIndex());
  ExpectTrue(*store);
}

TEST_F(TableIndexStoreTest, ALoadOfLargeTablesDoesNotWaitForIt) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(Parsed(Text(10, 4000))).ok());
  EXPECT_EQ(Bits(*store), 0u);
  EXPECT_TRUE(store->WantsIndex());
  auto staged = store->StageIndex();
  ASSERT_TRUE(staged.ok());
  ASSERT_TRUE(store->Publish(*std::move(staged)).ok());
  EXPECT_EQ(Bits(*store), 10u);
  ExpectTrue(*store);
  // The same text again: the same tables, and the index that there is.
  const IndexedTables* const index = store->current()->index.get();
  ASSERT_TRUE(store->Load(Parsed(Text(10, 4000))).ok());
  EXPECT_EQ(store->current()->index.get(), index);
  EXPECT_EQ(Bits(*store), 10u);
}

// One table is not many, but what it held is held by the index.
TEST_F(TableIndexStoreTest, ALargeTableThatIsReplacedDoesNotStay) {
  const auto hosts = [](int net, uint32_t count) {
    std::vector<TableEntry> entries;
    for (uint32_t i = 0; i < count; ++i) {
      entries.push_back(
          {.prefix = {.address = Address::V4(static_cast<uint32_t>(net) << 24 |
                                             i),
                      .length = 32}});
    }
    return entries;
  };
  constexpr uint32_t kLarge = IndexedTables::kMostAtOnce + 1;
  const auto store = Store();
  const auto replace = [&](const char* table,
                           const std::vector<TableEntry>& entries) {
    auto staged = StageReplaceAddresses(
        *store, {.anchor = "", .name = table}, entries);
    ASSERT_TRUE(staged.ok()) << staged.status();
    ASSERT_TRUE(store->Publish(std::move(staged->generation)).ok());
  };
  ASSERT_TRUE(store->Load(Parsed(Text(20, 20))).ok());
  // The index holds nothing of it: it is asked by itself.
  replace("t0", hosts(20, kLarge));
  EXPECT_FALSE(store->WantsIndex());
  replace("t1", hosts(21, 5));
  replace("t2", hosts(22, 5));
  for (int net = 23; net < 26; ++net) {
    ASSERT_TRUE(store->WantsIndex()) << net;
    auto staged = store->StageIndex();
    ASSERT_TRUE(staged.ok() && staged->next != nullptr);
    ASSERT_TRUE(store->Publish(*std::move(staged)).ok());
    EXPECT_EQ(Bits(*store), 20u);
    EXPECT_FALSE(store->WantsIndex());
    // A small one holds little.
    replace("t1", hosts(net, 6));
    EXPECT_FALSE(store->WantsIndex());
    replace("t0", hosts(net, kLarge));
  }
  // By few, too: what counts is what it held.
  for (const uint32_t count : {kLarge, 3u}) {
    replace("t0", hosts(30, count));
    ASSERT_TRUE(store->WantsIndex());
    auto staged = store->StageIndex();
    ASSERT_TRUE(staged.ok());
    ASSERT_TRUE(store->Publish(*std::move(staged)).ok());
  }
  EXPECT_FALSE(store->WantsIndex());
  EXPECT_EQ(Bits(*store), 20u);
  EXPECT_LT(store->current()->index->entries(), 1000u);
  ExpectTrue(*store);
}

TEST_F(TableIndexStoreTest, FiltersWithEqualTablesShareIt) {
  PolicyPool pool;
  auto one = Store(&pool);
  auto two = Store(&pool);
  ASSERT_TRUE(one->Load(Parsed(Text(10, 20))).ok());
  ASSERT_TRUE(two->Load(Parsed("pass\n" + Text(10, 20))).ok());
  EXPECT_EQ(&one->current()->index->index(), &two->current()->index->index());
  EXPECT_EQ(pool.indexes(), 1u);
  Add(*two, 0, "10.5.0.1");
  ExpectTrue(*one);
  ExpectTrue(*two);
  ASSERT_TRUE(two->Load(Parsed(Text(10, 30))).ok());
  EXPECT_EQ(pool.indexes(), 2u);
  ExpectTrue(*two);
  one = nullptr;
  EXPECT_EQ(pool.indexes(), 1u);
  two = nullptr;
  EXPECT_EQ(pool.indexes(), 0u);
}

// An anchor's name may stand for the main ruleset's table, and later not.
TEST_F(TableIndexStoreTest, AnchorsFallBackToMainTables) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(Parsed(Text(9, 20) +
                                 "anchor a {\nblock in from <t2>\n"
                                 "block in from <own>\n}\n"))
                  .ok());
  EXPECT_EQ(Bits(*store), 10u) << "t2 twice, <own> not there";
  ExpectTrue(*store);
  const TableEntry entry = {.prefix = *ParsePrefix("10.7.0.1")};
  auto staged = StageAddAddresses(*store, {.anchor = "a", .name = "t2"},
                                  std::span(&entry, 1));
  ASSERT_TRUE(staged.ok());
  ASSERT_TRUE(store->Publish(std::move(staged->generation)).ok());
  EXPECT_EQ(Bits(*store), 9u) << "the anchor's own is asked by itself";
  ExpectTrue(*store);
}

}  // namespace
}  // namespace sluice
