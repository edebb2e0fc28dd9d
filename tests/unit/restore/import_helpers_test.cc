// What FTP's control connections and SCTP's associations expect, and TFTP's
// requests behind a translation, from one filter to another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "conntrack/ftp.h"
#include "conntrack/translation_directory.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_format.h"
#include "tests/unit/restore/import_node.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class ImportHelpersTest : public testing::TestWithParam<Family> {
 protected:
  ImportHelpersTest() : directory_(HashSecret::FromSeed(9)) {
    EXPECT_TRUE(directory_.Build(4096).ok());
    from_ = Make();
    to_ = Make();
  }
  std::unique_ptr<ImportNode> Make() {
    auto node = std::make_unique<ImportNode>(GetParam());
    EXPECT_TRUE(LoadText(node->store, "pass\n").ok());
    node->shard().table->SetTranslations(&directory_);
    return node;
  }
  bool v4() const { return GetParam() == Family::kIpv4; }
  // A connection to the server's port 21 that comes in, with its greeting.
  void Login() {
    Shard& shard = from_->shard();
    ASSERT_EQ(shard.In("tcp $C:1025 > $S:21 S seq 1000").kind,
              Outcome::kCreated);
    shard.Out("tcp $S:21 > $C:1025 SA seq 5000 ack 1001 win 9000");
    shard.In("tcp $C:1025 > $S:21 A seq 1001 ack 5001 win 9000");
  }
  void Port() {
    from_->shard().In(absl::StrCat(
        "tcp $C:1025 > $S:21 PA seq 1001 ack 5001 win 9000 data \"",
        v4() ? "PORT 10,0,0,2,8,0\\r\\n" : "EPRT |2|2001:db8::2|2048|\\r\\n",
        "\""));
  }
  void Passive() {
    from_->shard().In(
        "tcp $C:1025 > $S:21 PA seq 1001 ack 5001 win 9000 data \"EPSV\\r\\n\"");
    from_->shard().Out(
        "tcp $S:21 > $C:1025 PA seq 5001 ack 1007 win 9000 data \"229 go "
        "(|||3000|)\\r\\n\"");
  }
  // A state that was made outwards and whose source has become another one.
  StateIndex Translated(ImportNode& node, std::string_view text,
                        const char* source, uint16_t port) {
    const TestPacket packet(GetParam(), text);
    PacketInfo after = packet.info;
    after.source = ParseAddress(source)->bytes;
    after.source_port = Be16(port);
    return node.shard()
        .table
        ->Insert(packet.info, *packet.mbuf, {.direction = Direction::kOut},
                 node.shard().values, node.shard().now, nullptr, &after)
        .state;
  }
  bool Take(ImportNode& node, std::string_view text, Direction direction,
            ExpectedChild* child) {
    const TestPacket packet(GetParam(), text);
    return node.shard().expectations->Take(packet.info, {},
                                           {.direction = direction},
                                           node.shard().now, child);
  }
  // Of all its states, ascending by id.
  std::vector<StateRecord> Records(ImportNode& node) {
    std::vector<StateRecord> records;
    uint32_t cursor = 0;
    node.shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
      records.push_back(node.shard().Record(state));
    });
    std::ranges::sort(records, {}, &StateRecord::id);
    return records;
  }
  void RemoveAll(ImportNode& node) {
    uint32_t cursor = 0;
    node.shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
      node.shard().table->Remove(state);
    });
  }
  // Forth, and the same again from there.
  void Move() {
    snapshot_ = from_->Export();
    const auto report = to_->Import(snapshot_);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(to_->Export().expectations, snapshot_.expectations);
  }

  TranslationDirectory directory_;
  std::unique_ptr<ImportNode> from_;
  std::unique_ptr<ImportNode> to_;
  Snapshot snapshot_;
};

INSTANTIATE_TEST_SUITE_P(Families, ImportHelpersTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportHelpersTest, AnActiveTransferBeginsThere) {
  Login();
  Port();
  Move();
  ASSERT_THAT(snapshot_.expectations, SizeIs(1));
  EXPECT_EQ(snapshot_.expectations[0].helper, SnapshotHelper::kFtp);
  EXPECT_EQ(snapshot_.expectations[0].client_port, 2048);
  Shard& shard = to_->shard();
  EXPECT_EQ(shard.Out("tcp $X:20 > $C:2048 S seq 1").kind, Outcome::kCreated);
  const Outcome child = shard.Out("tcp $S:20 > $C:2048 S seq 1");
  EXPECT_EQ(child.kind, Outcome::kChild);
  EXPECT_EQ(shard.Record(child.state).parent.id, snapshot_.parents[0].id);
  // Once.
  EXPECT_EQ(shard.Out("tcp $S:22 > $C:2048 S seq 1").kind, Outcome::kCreated);
}

TEST_P(ImportHelpersTest, APassiveTransferBeginsThere) {
  Login();
  Passive();
  Move();
  ASSERT_THAT(snapshot_.expectations, SizeIs(1));
  EXPECT_EQ(to_->shard().In("tcp $C:4000 > $S:3000 S seq 1").kind,
            Outcome::kChild);
}

// A data connection that is open knows whose it is afterwards, too.
TEST_P(ImportHelpersTest, OpenTransfersKnowTheirParent) {
  Login();
  Port();
  Passive();
  Shard& shard = from_->shard();
  ASSERT_EQ(shard.Out("tcp $S:20 > $C:2048 S seq 1").kind, Outcome::kChild);
  ASSERT_EQ(shard.In("tcp $C:4000 > $S:3000 S seq 1").kind, Outcome::kChild);
  Move();
  ASSERT_THAT(snapshot_.parents, SizeIs(3));
  const uint64_t control = snapshot_.parents[0].id;
  EXPECT_EQ(snapshot_.parents[1].parent, control);
  EXPECT_EQ(snapshot_.parents[2].parent, control);
  EXPECT_EQ(to_->Export().parents, snapshot_.parents);
  // Both have a place in its family.
  const auto families = [&] {
    return to_->shard().expectations->statistics(0, protocol::kTcp).families;
  };
  EXPECT_EQ(families(), 1u);
  const std::vector<StateRecord> records = Records(*to_);
  ASSERT_THAT(records, SizeIs(3));
  const StateTable& table = *to_->shard().table;
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(records[i].parent.id, control);
    EXPECT_EQ(table.entries().Resolve(records[i].parent), records[0].slot);
    EXPECT_NE(records[i].flags & kEntryRelated, 0);
  }
  // They outlive it, and are nobody's then; the last one frees the record.
  to_->shard().table->Remove(records[0].slot);
  EXPECT_EQ(table.entries().Resolve(records[1].parent), kNoState);
  EXPECT_EQ(to_->states(), 2u);
  EXPECT_EQ(families(), 1u);
  to_->shard().table->Remove(records[1].slot);
  to_->shard().table->Remove(records[2].slot);
  EXPECT_EQ(families(), 0u);
}

TEST_P(ImportHelpersTest, OneThatClosesHasNoPlaceInTheFamily) {
  Login();
  Port();
  Shard& shard = from_->shard();
  ASSERT_EQ(shard.Out("tcp $S:20 > $C:2048 S seq 1").kind, Outcome::kChild);
  shard.In("tcp $C:2048 > $S:20 SA seq 9000 ack 2 win 9000");
  shard.Out("tcp $S:20 > $C:2048 FA seq 2 ack 9001 win 9000");
  shard.In("tcp $C:2048 > $S:20 FA seq 9001 ack 3 win 9000");
  shard.Out("tcp $S:20 > $C:2048 A seq 3 ack 9002 win 9000");
  ASSERT_EQ(shard.expectations->statistics(0, protocol::kTcp).families, 0u);
  Move();
  ASSERT_THAT(snapshot_.parents, SizeIs(2));
  EXPECT_EQ(snapshot_.parents[1].parent, snapshot_.parents[0].id);
  const std::vector<StateRecord> records = Records(*to_);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[1].parent.id, records[0].id);
  EXPECT_EQ(to_->shard().expectations->statistics(0, protocol::kTcp).families,
            0u);
}

// Of children that were recorded at different times there may be more than a
// parent has at once: all are its own, and the youngest have its places.
TEST_P(ImportHelpersTest, OnlySoManyTransfersHaveAPlace) {
  Login();
  Snapshot snapshot = from_->Export();
  ASSERT_THAT(snapshot.parents, SizeIs(1));
  const SnapshotState control = snapshot.parents[0];
  for (uint16_t i = 0; i < kMaxFtpTransfers + 8; ++i) {
    SnapshotState child = control;
    child.id += uint64_t{i + 1u} << 8;
    child.parent = control.id;
    child.peers[0].port = static_cast<uint16_t>(2000 + i);
    child.peers[1].port = static_cast<uint16_t>(3000 + i);
    snapshot.parents.push_back(child);
  }
  const auto report = to_->Import(snapshot);
  ASSERT_TRUE(report.ok()) << report.status();
  size_t related = 0;
  const std::vector<StateRecord> records = Records(*to_);
  ASSERT_THAT(records, SizeIs(kMaxFtpTransfers + 9));
  for (size_t i = 1; i < records.size(); ++i) {
    EXPECT_EQ(records[i].parent.id, records[0].id);
    const bool has_place = (records[i].flags & kEntryRelated) != 0;
    EXPECT_EQ(has_place, i > 8) << i;
    related += has_place;
  }
  EXPECT_EQ(related, kMaxFtpTransfers);
  RemoveAll(*to_);
  EXPECT_EQ(to_->shard().expectations->statistics(0, protocol::kTcp).families,
            0u);
}

// Where families have no room, states still know whose they are.
TEST_P(ImportHelpersTest, ATieTakesNoRoom) {
  Login();
  Port();
  ASSERT_EQ(from_->shard().Out("tcp $S:20 > $C:2048 S seq 1").kind,
            Outcome::kChild);
  snapshot_ = from_->Export();
  ASSERT_THAT(snapshot_.expectations, SizeIs(0));
  ExpectationTable& table = *to_->shard().expectations;
  std::vector<std::pair<uint16_t, StateId>> taken;
  for (StateId id = 0x100'0000'0000;; id += 0x100) {
    uint16_t record = kNoFamilyRecord;
    ParentReference other;
    other.handle = {id, 1};
    if (table.ReserveFamily(other, protocol::kTcp, 1, &record) !=
        ExpectResult::kArmed) {
      break;
    }
    taken.push_back({record, id});
  }
  ASSERT_TRUE(to_->Import(snapshot_).ok());
  const std::vector<StateRecord> records = Records(*to_);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[1].parent.id, records[0].id);
  EXPECT_EQ(records[1].flags & kEntryRelated, 0);
  RemoveAll(*to_);
  for (const auto& [record, id] : taken) table.CancelFamily(record, id);
  EXPECT_EQ(table.statistics(0, protocol::kTcp).families, 0u);
}

// What the control lcore does of very many families at once is bounded, both
// ways.
TEST_P(ImportHelpersTest, FamiliesComeAndGoInSteps) {
  Login();
  Passive();
  Snapshot snapshot = from_->Export();
  ASSERT_THAT(snapshot.parents, SizeIs(1));
  ASSERT_THAT(snapshot.expectations, SizeIs(1));
  for (uint16_t i = 1; i < 9; ++i) {
    SnapshotState control = snapshot.parents[0];
    SnapshotExpectation expected = snapshot.expectations[0];
    control.id += uint64_t{i} << 8;
    control.peers[0].port = static_cast<uint16_t>(control.peers[0].port + i);
    expected.parent = control.id;
    snapshot.parents.push_back(control);
    snapshot.expectations.push_back(expected);
  }
  const auto bytes = WriteSnapshot(snapshot);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const ExpectationTable& table = *to_->shard().expectations;
  const auto families = [&] {
    return table.statistics(0, protocol::kTcp).families;
  };
  {
    StateImporter importer(to_->Target(), {});
    ASSERT_TRUE(importer.Prepare(std::span(*bytes)).ok());
    ASSERT_TRUE(to_->Validate(&importer).ok());
    EXPECT_EQ(families(), 9u);
    EXPECT_FALSE(importer.Discard(4));
    EXPECT_EQ(families(), 5u);
    EXPECT_FALSE(importer.Discard(4));
    EXPECT_EQ(families(), 1u);
    EXPECT_TRUE(importer.Discard(4));
    EXPECT_EQ(families(), 0u);
    to_->Cancel(&importer);
  }
  StateImporter importer(to_->Target(), {});
  ASSERT_TRUE(importer.Prepare(std::span(*bytes)).ok());
  ASSERT_TRUE(to_->Validate(&importer).ok());
  while (!StateIntake(to_->shard().table.get())
              .Commit(importer.arena(0), to_->shard().now, 4)) {
  }
  ASSERT_TRUE(importer.PublishPolicy().ok());
  EXPECT_FALSE(importer.StepFinish(to_->shard().now, 4));
  EXPECT_EQ(table.size(), 4u);
  EXPECT_FALSE(importer.StepFinish(to_->shard().now, 4));
  EXPECT_EQ(table.size(), 8u);
  // Half-way, it may still be undone: nothing stays of any.
  to_->Undo(&importer);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(families(), 0u);
  EXPECT_EQ(to_->states(), 0u);
  ASSERT_TRUE(to_->Import(snapshot).ok());
  EXPECT_EQ(table.size(), 9u);
}

TEST_P(ImportHelpersTest, ItsTimeGoesOnAndItEndsWithItsParent) {
  Login();
  Passive();
  from_->shard().now += 20'000;
  Move();
  EXPECT_EQ(snapshot_.expectations[0].remaining, 10'000u);
  to_->shard().Advance(10'001);
  EXPECT_TRUE(to_->shard().expectations->empty());
  auto other = Make();
  ASSERT_TRUE(other->Import(snapshot_).ok());
  ASSERT_EQ(other->shard().expectations->size(), 1u);
  uint32_t cursor = 0;
  other->shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
    other->shard().table->Remove(state);
  });
  EXPECT_TRUE(other->shard().expectations->empty());
}

TEST_P(ImportHelpersTest, TheLastPortsAreTheOnesThatStay) {
  Login();
  for (int i = 0; i < 12; ++i) {
    from_->shard().now += 1;
    from_->shard().In(absl::StrCat(
        "tcp $C:1025 > $S:21 PA seq 1001 ack 5001 win 9000 data \"",
        v4() ? absl::StrCat("PORT 10,0,0,2,", 20 - i, ",0\\r\\n")
             : absl::StrCat("EPRT |2|2001:db8::2|", (20 - i) * 256, "|\\r\\n"),
        "\""));
  }
  Move();
  ASSERT_THAT(snapshot_.expectations, SizeIs(kMaxFtpExpected));
  // Another one there displaces the oldest, which has the highest port.
  to_->shard().In(absl::StrCat(
      "tcp $C:1025 > $S:21 PA seq 1001 ack 5001 win 9000 data \"",
      v4() ? "PORT 10,0,0,2,100,0\\r\\n" : "EPRT |2|2001:db8::2|25600|\\r\\n",
      "\""));
  EXPECT_EQ(to_->shard().expectations->size(), kMaxFtpExpected);
  EXPECT_EQ(to_->shard().Out("tcp $S:20 > $C:4096 S seq 1").kind,
            Outcome::kCreated);
  EXPECT_EQ(to_->shard().Out("tcp $S:20 > $C:2304 S seq 1").kind,
            Outcome::kChild);
}

TEST_P(ImportHelpersTest, OfATranslatedControlConnection) {
  const char* const outside = v4() ? "192.0.2.7" : "2001:db9::7";
  const StateIndex parent =
      Translated(*from_, "tcp $C:1025 > $S:21 S seq 1000", outside, 6000);
  ASSERT_NE(parent, kNoState);
  const StateEnds near = from_->shard().table->EndsOf(parent);
  const StateEnds far = from_->shard().table->EndsBeyond(parent);
  ASSERT_NE(near.address[0], far.address[0]);
  const ParentReference reference =
      from_->shard().table->entries().ReferenceTo(parent);
  uint16_t record = kNoFamilyRecord;
  // The client waits at 2048, and the server was told of 2049.
  const ExpectedFlow active = {
      .proto = protocol::kTcp,
      .family = GetParam(),
      .direction = Direction::kIn,
      .source = far.address[1],
      .destination = far.address[0],
      .destination_port = Be16(2049).raw(),
      .alone = true,
      .owner = near.address[0],
      .after = {.family = GetParam(),
                .source = near.address[1],
                .destination = near.address[0],
                .destination_port = Be16(2048).raw()}};
  ASSERT_EQ(from_->shard().expectations->Arm(active, reference, {},
                                             from_->shard().now, &record),
            ExpectResult::kArmed);
  from_->shard().table->SetFamilyRecord(parent, record);
  snapshot_ = from_->Export();
  ASSERT_THAT(snapshot_.expectations, SizeIs(1));
  EXPECT_EQ(snapshot_.expectations[0].port_behind, 2048);
  // Two processes, two directories.
  TranslationDirectory there(HashSecret::FromSeed(9));
  ASSERT_TRUE(there.Build(64).ok());
  to_->shard().table->SetTranslations(&there);
  const auto report = to_->Import(snapshot_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(to_->Export().expectations, snapshot_.expectations);
  ExpectedChild child;
  const std::string first =
      absl::StrCat("tcp $S:20 > ", outside, ":2049 S seq 1");
  ASSERT_TRUE(Take(*to_, first, Direction::kIn, &child));
  EXPECT_EQ(child.after, active.after);
  uint32_t cursor = 0;
  to_->shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
    to_->shard().table->Remove(state);
  });
}

TEST_P(ImportHelpersTest, OfATranslatedTftpRequest) {
  const char* const outside = v4() ? "192.0.2.7" : "2001:db9::7";
  const StateIndex parent = Translated(
      *from_, "udp $C:1025 > $S:69 tftp rrq \"f\" octet", outside, 6000);
  ASSERT_NE(parent, kNoState);
  TestPacket request(GetParam(), "udp $C:1025 > $S:69 tftp rrq \"f\" octet");
  from_->shard().Help(parent, request, {.direction = Direction::kOut});
  ASSERT_EQ(from_->shard().expectations->size(), 1u);
  snapshot_ = from_->Export();
  ASSERT_THAT(snapshot_.expectations, SizeIs(1));
  TranslationDirectory there(HashSecret::FromSeed(9));
  ASSERT_TRUE(there.Build(64).ok());
  to_->shard().table->SetTranslations(&there);
  ASSERT_TRUE(to_->Import(snapshot_).ok());
  EXPECT_EQ(to_->Export().expectations, snapshot_.expectations);
  ExpectedChild child;
  EXPECT_TRUE(Take(*to_, absl::StrCat("udp $S:3000 > ", outside, ":6000"),
                   Direction::kIn, &child));
  EXPECT_EQ(child.after.destination_port, Be16(1025).raw());
  uint32_t cursor = 0;
  to_->shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
    to_->shard().table->Remove(state);
  });
}

TEST_P(ImportHelpersTest, AnotherPathOfAnAssociation) {
  Shard& shard = from_->shard();
  const Outcome made = shard.In("sctp $C:1 > $S:80 vtag 34 data 0x0a000004");
  ASSERT_EQ(made.kind, Outcome::kCreated);
  const ParentReference reference =
      shard.table->entries().ReferenceTo(made.state);
  const TestPacket path(GetParam(), "sctp $X:1 > $S:80 vtag 34");
  uint16_t record = kNoFamilyRecord;
  ASSERT_EQ(shard.expectations->Arm(
                {.proto = protocol::kSctp,
                 .family = GetParam(),
                 .direction = Direction::kIn,
                 .source = path.info.source,
                 .destination = path.info.destination,
                 .source_port = path.info.source_port.raw(),
                 .destination_port = path.info.destination_port.raw(),
                 .owner = path.info.source,
                 .tag = {34, 17}},
                reference, {}, shard.now, &record),
            ExpectResult::kArmed);
  shard.table->SetFamilyRecord(made.state, record);
  shard.now += 60'000;
  Move();
  ASSERT_THAT(snapshot_.expectations, SizeIs(1));
  // Longer than others.
  EXPECT_EQ(snapshot_.expectations[0].remaining, kSctpTimeToLive - 60'000);
  ExpectedChild child;
  EXPECT_FALSE(Take(*to_, "sctp $X:1 > $S:80 vtag 35", Direction::kIn,
                    &child));
  auto other = Make();
  ASSERT_TRUE(other->Import(snapshot_).ok());
  // Either may send first, with its own tag.
  EXPECT_TRUE(Take(*to_, "sctp $X:1 > $S:80 vtag 34", Direction::kIn,
                   &child));
  EXPECT_EQ(child.tag, (std::array<uint32_t, 2>{34, 17}));
  EXPECT_TRUE(Take(*other, "sctp $S:80 > $X:1 vtag 17", Direction::kOut,
                   &child));
  EXPECT_EQ(child.parent.handle.id, snapshot_.parents[0].id);
  // Once it is there, it is the association's there, too.
  ASSERT_EQ(shard.Out("sctp $S:80 > $X:1 vtag 17 data 0x0a000004").kind,
            Outcome::kChild);
  auto third = Make();
  snapshot_ = from_->Export();
  ASSERT_THAT(snapshot_.parents, SizeIs(2));
  EXPECT_EQ(snapshot_.parents[1].parent, snapshot_.parents[0].id);
  const auto report = third->Import(snapshot_);
  ASSERT_TRUE(report.ok()) << report.status();
  const std::vector<StateRecord> records = Records(*third);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[1].parent.id, records[0].id);
  EXPECT_EQ(third->Export().parents, snapshot_.parents);
}

TEST_P(ImportHelpersTest, WhatDoesNotFitItsParentIsRefused) {
  Login();
  Port();
  Passive();
  const Snapshot sound = from_->Export();
  ASSERT_THAT(sound.expectations, SizeIs(2));
  ASSERT_TRUE(ReadSnapshot(WriteUnchecked(sound)).ok());
  const uint64_t parent = sound.parents.at(0).id;
  struct Case {
    const char* what;
    std::function<void(Snapshot&)> spoil;
  };
  const auto first = [](Snapshot& s) -> SnapshotExpectation& {
    return s.expectations[0];
  };
  const Case cases[] = {
      // The port that the control connection itself has at that end.
      {"its own parent", [](Snapshot& s) {
         for (SnapshotExpectation& e : s.expectations) {
           e.client_port = e.direction == Direction::kIn ? 21 : 1025;
         }
       }},
      {"no state without a parent",
       [&](Snapshot& s) { first(s).parent = parent + 0x100; }},
      {"not its parent's",
       [&](Snapshot& s) { first(s).client.bytes[3] ^= 1; }},
      {"not its parent's",
       [&](Snapshot& s) { first(s).server.bytes[3] ^= 1; }},
      {"translated without its parent",
       [&](Snapshot& s) { first(s).port_behind = 9; }},
      {"another helper",
       [](Snapshot& s) { s.parents[0].peers[1].port = 22; }},
      {"of another helper", [&](Snapshot& s) { first(s).tag[0] = 1; }},
      {"of another helper", [&](Snapshot& s) { first(s).server_port = 1; }},
      {"another protocol",
       [&](Snapshot& s) { first(s).proto = protocol::kUdp; }},
      {"does not exist",
       [&](Snapshot& s) { first(s).direction = Direction::kBoth; }},
      {"does not exist",
       [&](Snapshot& s) {
         first(s).helper = static_cast<SnapshotHelper>(9);
       }},
      {"out of order",
       [](Snapshot& s) { std::swap(s.expectations[0], s.expectations[1]); }},
      {"two of a kind",
       [](Snapshot& s) {
         s.expectations.push_back(s.expectations.back());
       }},
      {"no client port", [&](Snapshot& s) { first(s).client_port = 0; }},
      {"expects too much",
       [](Snapshot& s) {
         SnapshotExpectation e = s.expectations.back();
         while (s.expectations.size() < kMaxFtpExpected + 1) {
           ++e.client_port;
           s.expectations.push_back(e);
         }
       }},
  };
  for (const Case& one : cases) {
    Snapshot spoiled = sound;
    one.spoil(spoiled);
    const auto read = ReadSnapshot(WriteUnchecked(spoiled));
    ASSERT_FALSE(read.ok()) << one.what;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(one.what));
  }
}

TEST(SnapshotHelpersTest, APathIsNotTheOneThatItsAssociationCameBy) {
  SnapshotState parent = SampleState(0x101, protocol::kSctp, "10.0.0.2", 1,
                                     "10.0.0.1", 80);
  SnapshotExpectation path;
  path.parent = parent.id;
  path.helper = SnapshotHelper::kSctp;
  path.proto = protocol::kSctp;
  path.client = *ParseAddress("10.0.0.3");
  path.server = *ParseAddress("10.0.0.1");
  path.client_port = 1;
  path.server_port = 80;
  EXPECT_EQ(WhatIsWrong(path), nullptr);
  EXPECT_EQ(WhatIsWrongWithLink(path, &parent), nullptr);
  SnapshotExpectation wrong = path;
  wrong.client = parent.peers[0].address;
  EXPECT_STREQ(WhatIsWrongWithLink(wrong, &parent), "it is its own parent");
  wrong = path;
  wrong.client_port = 2;
  EXPECT_STREQ(WhatIsWrongWithLink(wrong, &parent),
               "its flow is not its parent's");
  wrong = path;
  wrong.client = *ParseAddress("224.0.0.1");
  EXPECT_STREQ(WhatIsWrongWithLink(wrong, &parent),
               "an address that no host has");
  wrong = path;
  wrong.client = *ParseAddress("2001:db8::1");
  EXPECT_STREQ(WhatIsWrongWithLink(wrong, &parent),
               "an address that no host has");
  // Made outwards, its ends stand the other way round.
  parent.direction = Direction::kOut;
  EXPECT_STREQ(WhatIsWrongWithLink(path, &parent),
               "its flow is not its parent's");
  wrong = path;
  wrong.server_port = 0;
  EXPECT_NE(WhatIsWrong(wrong), nullptr);
}

}  // namespace
}  // namespace sluice
