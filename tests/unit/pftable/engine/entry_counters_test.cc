// Counters by address of tables with `counters`, and what a table counts as
// XPass and as match.
#include "pftable/engine/entry_counters.h"

#include <gtest/gtest.h>

#include "pftable/store/table_edits.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class EntryCountersTest : public EngineTest {
 protected:
  static Prefix P(std::string_view text) { return *ParsePrefix(text); }
  const TableKey key_ = {.anchor = "", .name = "t"};

  // Of the entry of <t>.
  EntryCounts Of(std::string_view prefix) {
    const auto generation = store_->generation();
    const GenerationTable* const table = generation->FindTable(key_);
    EXPECT_NE(table, nullptr);
    EXPECT_NE(table->entries, nullptr);
    return table->entries->Counts(P(prefix));
  }
  TableCounts OfTable() {
    for (const TableStatus& table : PolicyListing(*store_).Tables()) {
      if (table.key == key_) return table.counts;
    }
    ADD_FAILURE() << "no table";
    return TableCounts();
  }
  // Judges and counts a packet without a state.
  void Send(const TestPacket& packet, Direction way = Direction::kIn) {
    const Verdict verdict = Judge(packet, way);
    CountPacket(*store_->current(), verdict, way, packet.Info(),
                verdict.action == VerdictAction::kPass, counters());
  }
  // What the states of the packet's flow have counted, both ways.
  void Fold(const TestPacket& packet, uint64_t in, uint64_t out) {
    const Verdict verdict = Judge(packet);
    const PacketInfo info = packet.Info();
    FoldTraffic(*store_->current(), store_->rule_slots(), verdict.state,
                {.packets = {in, out},
                 .bytes = {in * 100, out * 100},
                 .family = info.family,
                 .source = info.source,
                 .destination = info.destination},
                counters());
  }
  void Add(std::string_view prefix, bool negated = false) {
    const TableEntry entry = {.prefix = P(prefix), .negated = negated};
    auto edit = StageAddAddresses(*store_, key_, {&entry, 1});
    ASSERT_TRUE(edit.ok());
    ASSERT_TRUE(store_->Publish(std::move(edit->generation)).ok());
  }
  void Delete(std::string_view prefix) {
    const TableEntry entry = {.prefix = P(prefix)};
    auto edit = StageDeleteAddresses(*store_, key_, {&entry, 1});
    ASSERT_TRUE(edit.ok());
    ASSERT_TRUE(store_->Publish(std::move(edit->generation)).ok());
  }
};

constexpr size_t kBlockOp = static_cast<size_t>(TableOp::kBlock);
constexpr size_t kPassOp = static_cast<size_t>(TableOp::kPass);
constexpr size_t kMatchOp = static_cast<size_t>(TableOp::kMatch);
constexpr size_t kXPassOp = static_cast<size_t>(TableOp::kXPass);

TEST_F(EntryCountersTest, TheMostSpecificEntryCountsInBothFamilies) {
  ASSERT_TRUE(Load("table <t> counters { 192.0.2.0/24 192.0.2.1 "
                   "2001:db8::/32 }\nblock from <t>\n")
                  .ok());
  Send(Tcp());
  Send(Tcp());
  Send({.from = "192.0.2.9"});
  Send(Tcp6(), Direction::kOut);
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 2u);
  EXPECT_EQ(Of("192.0.2.1").bytes[0][kBlockOp], 120u);
  EXPECT_EQ(Of("192.0.2.0/24").packets[0][kBlockOp], 1u);
  EXPECT_EQ(Of("2001:db8::/32").packets[1][kBlockOp], 1u);
  EXPECT_EQ(Of("2001:db8::/32").packets[0][kBlockOp], 0u);
  EXPECT_EQ(OfTable().packets[0][kBlockOp], 3u);
}

TEST_F(EntryCountersTest, WithoutTheWordThereAreNone) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.0/24 }\nblock from <t>\n").ok());
  Send(Tcp());
  EXPECT_EQ(store_->generation()->FindTable(key_)->entries, nullptr);
  EXPECT_EQ(OfTable().packets[0][kBlockOp], 1u);
}

TEST_F(EntryCountersTest, StatesCountBothWaysForTheFirstPacketsAddresses) {
  ASSERT_TRUE(Load("table <t> counters { 192.0.2.0/24 }\n"
                   "table <u> counters { 198.51.100.2 }\n"
                   "pass from <t> to <u>\n")
                  .ok());
  Fold(Tcp(), 3, 2);
  EXPECT_EQ(Of("192.0.2.0/24").packets[0][kPassOp], 3u);
  EXPECT_EQ(Of("192.0.2.0/24").bytes[1][kPassOp], 200u);
  const auto generation = store_->generation();
  const GenerationTable* const u =
      generation->FindTable({.anchor = "", .name = "u"});
  EXPECT_EQ(u->entries->Counts(P("198.51.100.2")).packets[0][kPassOp], 3u);
}

TEST_F(EntryCountersTest, AnAddressThatHasLeftIsXPass) {
  ASSERT_TRUE(Load("table <t> counters { 192.0.2.1 192.0.2.2 }\n"
                   "pass from <t>\n")
                  .ok());
  const Verdict verdict = Judge(Tcp());
  const PacketInfo info = Tcp().Info();
  Delete("192.0.2.1");
  FoldTraffic(*store_->current(), store_->rule_slots(), verdict.state,
              {.packets = {4, 0},
               .bytes = {400, 0},
               .family = info.family,
               .source = info.source,
               .destination = info.destination},
              counters());
  EXPECT_EQ(OfTable().packets[0][kXPassOp], 4u);
  EXPECT_EQ(OfTable().packets[0][kPassOp], 0u);
  EXPECT_TRUE(Of("192.0.2.1").IsZero());
  EXPECT_TRUE(Of("192.0.2.2").IsZero());
}

TEST_F(EntryCountersTest, NegatedRulesCountForTheTableAndNegatedEntries) {
  ASSERT_TRUE(Load("table <t> counters { 192.0.2.0/24 !192.0.2.1 }\n"
                   "block from ! <t>\n")
                  .ok());
  Send(Tcp());
  Send({.from = "203.0.113.1"});
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 1u);
  EXPECT_TRUE(Of("192.0.2.0/24").IsZero());
  EXPECT_EQ(OfTable().packets[0][kBlockOp], 2u);
}

TEST_F(EntryCountersTest, EditsAndLoadsKeepWhatStays) {
  const char* const text =
      "table <t> persist counters { 192.0.2.1 192.0.2.2 }\nblock from <t>\n";
  ASSERT_TRUE(Load(text).ok());
  Send(Tcp());
  Send({.from = "192.0.2.2"});
  Add("192.0.2.3");
  Delete("192.0.2.2");
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 1u);
  EXPECT_TRUE(Of("192.0.2.2").IsZero());
  // What comes again begins at zero.
  Add("192.0.2.2");
  EXPECT_TRUE(Of("192.0.2.2").IsZero());
  Send({.from = "192.0.2.2"});
  ASSERT_TRUE(Load(std::string(text) + "pass proto udp\n").ok());
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 1u);
  EXPECT_EQ(Of("192.0.2.2").packets[0][kBlockOp], 1u);
  // The other way round is another entry.
  ASSERT_TRUE(Load("table <t> persist counters { 192.0.2.1 !192.0.2.2 }\n"
                   "block from <t>\n")
                  .ok());
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 1u);
  EXPECT_TRUE(Of("192.0.2.2").IsZero());
}

TEST_F(EntryCountersTest, CellsThatAreGivenToOthersBeginAtZero) {
  ASSERT_TRUE(Load("table <t> persist counters { 192.0.2.1 }\n"
                   "block from <t>\n")
                  .ok());
  for (int i = 0; i < 10; ++i) {
    Send(Tcp());
    Delete("192.0.2.1");
    store_->Poll();
    Add("192.0.2.1");
    ASSERT_TRUE(Of("192.0.2.1").IsZero()) << i;
    store_->Poll();
  }
  EXPECT_EQ(OfTable().packets[0][kBlockOp], 10u);
}

TEST_F(EntryCountersTest, ManyEntriesHaveACellEach) {
  AddressTable table;
  std::vector<AddressTable::Edit> edits;
  for (uint32_t i = 0; i < 10000; ++i) {
    edits.push_back({.prefix = {.address = Address::V4(0x0a000000 + i),
                                .length = 32}});
  }
  table = table.With(edits);
  const auto counters = EntryCounters::Make(table, 2, nullptr);
  for (uint32_t i = 0; i < 10000; ++i) {
    counters->Count(i % 2, edits[i].prefix, 0, TableOp::kPass, i, 1);
    counters->Count(1 - i % 2, edits[i].prefix, 0, TableOp::kPass, 1, 0);
  }
  for (uint32_t i = 0; i < 10000; ++i) {
    ASSERT_EQ(counters->Counts(edits[i].prefix).packets[0][kPassOp], i + 1);
  }
  EXPECT_TRUE(counters->Zero(edits[7].prefix));
  EXPECT_TRUE(counters->Counts(edits[7].prefix).IsZero());
  EXPECT_FALSE(counters->Counts(edits[8].prefix).IsZero());
  counters->ZeroAll();
  EXPECT_TRUE(counters->Counts(edits[8].prefix).IsZero());
  EXPECT_FALSE(counters->Zero(P("10.255.0.0")));
}

TEST_F(EntryCountersTest, CountersThatComeAndGo) {
  const std::string rule = "block from <t>\n";
  ASSERT_TRUE(Load("table <t> { 192.0.2.1 192.0.2.2 }\n" + rule).ok());
  EXPECT_EQ(store_->generation()->FindTable(key_)->entries, nullptr);
  const std::string counted = "table <t> counters { 192.0.2.1 192.0.2.2 }\n";
  ASSERT_TRUE(Load(counted + rule).ok());
  Send(Tcp());
  // A definition without a list keeps contents and counters.
  ASSERT_TRUE(Load("table <t> counters\n" + rule).ok());
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 1u);
  ASSERT_TRUE(Load("table <t> { 192.0.2.1 192.0.2.2 }\n" + rule).ok());
  EXPECT_EQ(store_->generation()->FindTable(key_)->entries, nullptr);
  ASSERT_TRUE(Load(counted + rule).ok());
  EXPECT_TRUE(Of("192.0.2.1").IsZero());
}

// What was edited between the making of a load and its commit counts on.
TEST_F(EntryCountersTest, AnEditBeforeTheCommitKeepsWhatStays) {
  ASSERT_TRUE(Load("table <t> persist counters { 192.0.2.1 192.0.2.2 }\n"
                   "block from <t>\n")
                  .ok());
  Send(Tcp());
  const Ticket ticket = store_->Begin();
  ASSERT_TRUE(store_->Define(ticket, Parsed("table <t> persist counters "
                                            "{ 192.0.2.1 192.0.2.3 }\n"
                                            "block from <t>\n"))
                  .ok());
  Add("192.0.2.4");
  Send({.from = "192.0.2.4"});
  Send(Tcp());
  ASSERT_TRUE(store_->Commit(ticket).ok());
  EXPECT_EQ(Of("192.0.2.1").packets[0][kBlockOp], 2u);
  EXPECT_TRUE(Of("192.0.2.3").IsZero());
}

// OpenBSD's pf counts a match rule's tables with a state only, and by
// themselves; FreeBSD's for every packet, as what was decided.
TEST_F(EntryCountersTest, MatchRulesCountForTheirTablesByDialect) {
  const std::string tables = "table <t> counters { 192.0.2.0/24 }\n";
  ASSERT_TRUE(Load(tables + "match from <t>\npass no state\n").ok());
  Send(Tcp());
  EXPECT_EQ(OfTable().packets[0], (std::array<uint64_t, 4>{0, 0, 0, 0}));
  ASSERT_TRUE(Load(tables + "match from <t>\npass\n").ok());
  Fold(Tcp(), 2, 1);
  EXPECT_EQ(OfTable().packets[0][kMatchOp], 2u);
  EXPECT_EQ(OfTable().packets[1][kMatchOp], 1u);
  EXPECT_EQ(Of("192.0.2.0/24").packets[0][kMatchOp], 2u);

  ASSERT_TRUE(ZeroTable(*store_, key_).ok());
  ASSERT_TRUE(Load(tables + "match from <t>\npass no state\n"
                            "block proto udp\n",
                   Dialect::kFreeBsd)
                  .ok());
  Send(Tcp());
  Send(Udp());
  EXPECT_EQ(OfTable().packets[0][kMatchOp], 1u);
  EXPECT_EQ(OfTable().packets[0][kBlockOp], 1u);
}

}  // namespace
}  // namespace sluice
