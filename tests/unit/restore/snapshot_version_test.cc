// What older and newer programs write, and the golden corpus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "restore/snapshot_format.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes WriteVersion(const Snapshot& snapshot) {
  auto bytes = WriteSnapshot(snapshot);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *std::move(bytes) : Bytes();
}

TEST(SnapshotVersionTest, GoldenCorpus) {
  for (uint16_t minor = 0; minor <= kSnapshotMinor; ++minor) {
    for (const NamedSnapshot& sample : GoldenSnapshots()) {
      if (sample.since > minor) continue;
      const std::string name = std::string(SLUICE_GOLDEN_SNAPSHOTS) + "/1." +
                               std::to_string(minor) + "/" + sample.name +
                               ".snap";
      std::ifstream file(name, std::ios::binary);
      ASSERT_TRUE(file.is_open()) << name;
      const Bytes golden{std::istreambuf_iterator<char>(file), {}};
      const auto read = ReadSnapshot(golden);
      ASSERT_TRUE(read.ok()) << name << ": " << read.status();
      EXPECT_EQ(read->snapshot, sample.snapshot) << name;
      EXPECT_EQ(read->minor, minor);
      if (minor == kSnapshotMinor) {
        EXPECT_EQ(WriteVersion(sample.snapshot), golden) << name;
      }
    }
  }
}

TEST(SnapshotVersionTest, ExpectationsHaveAnInterfaceSinceMinorOne) {
  const Snapshot bound = BoundSnapshot();
  Bytes bytes = WriteVersion(bound);
  bytes[10] = 0;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kUnimplemented);
  // What was written before is met where its parent is bound to.
  Snapshot older = bound;
  older.expectations[0].interface.clear();
  bytes = WriteVersion(older);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, older);
  bytes[10] = 0;
  FixSnapshot(bytes);
  const auto read = ReadSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->snapshot.expectations[0].interface, "em0");
}

TEST(SnapshotVersionTest, SequenceOffsetsAreSaidSinceMinorFour) {
  const Snapshot modulated = ModulatedSnapshot();
  Bytes bytes = WriteVersion(modulated);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, modulated);
  bytes[10] = kMinorOfSequence - 1;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kUnimplemented);
  // No other protocol has any.
  Snapshot wrong = modulated;
  wrong.parents[0].proto = protocol::kUdp;
  wrong.parents[0].timeout = Timeout::kUdpMultiple;
  for (SnapshotPeer& peer : wrong.parents[0].peers) {
    peer.phase = 2;
    peer.sequence_low = peer.sequence_high = 0;
    peer.max_window = 0;
    peer.scale = 0;
  }
  EXPECT_STREQ(WhatIsWrong(wrong.parents[0]),
               "sequence offsets of another protocol");
}

TEST(SnapshotVersionTest, MarksAreSaidSinceMinorSix) {
  const Snapshot sound = MarksSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  Snapshot old = ManyStatesSnapshot(1);
  old.parents[0].binding.marks = kSnapshotMarkPflow;
  bytes = WriteVersion(old);
  bytes[10] = kMinorOfMarks - 1;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kUnimplemented);
  old.parents[0].binding.marks = 0x80;
  EXPECT_FALSE(ReadSnapshot(WriteUnchecked(old)).ok());
}

TEST(SnapshotVersionTest, RoutesAreSaidSinceMinorSeven) {
  const Snapshot sound = RoutesSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  Snapshot old = ManyStatesSnapshot(1);
  old.parents[0].binding.route = {.kind = RouteKind::kRouteTo,
                                  .gateway = *ParseAddress("192.0.2.1")};
  bytes = WriteVersion(old);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, old);
  bytes[10] = kMinorOfRoutes - 1;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kUnimplemented);
  // Nor had their pools any marks.
  old.parents[0].binding.route.reset();
  old.parents[0].pool_marks = 1 << kLoadOfTarget;
  bytes = WriteVersion(old);
  bytes[10] = kMinorOfRoutes - 1;
  FixSnapshot(bytes);
  EXPECT_TRUE(ReadSnapshot(bytes).ok());
  old.parents[0].pool_marks = 1 << kLoadOfRoute;
  bytes = WriteUnchecked(old);
  bytes[10] = kMinorOfRoutes - 1;
  FixSnapshot(bytes);
  EXPECT_FALSE(ReadSnapshot(bytes).ok());
}

TEST(SnapshotVersionTest, RoutesThatCannotBe) {
  const Snapshot sound = RoutesSnapshot();
  const auto wrong = [&](auto change) {
    Snapshot snapshot = sound;
    // One that no pool has bound.
    SnapshotState& state = *std::ranges::find_if(
        snapshot.parents, [](const SnapshotState& one) {
          return one.binding.route->sticky_rule == 0 &&
                 one.binding.route->gateway.family != Family::kNone;
        });
    change(state, *state.binding.route);
    EXPECT_FALSE(ReadSnapshot(WriteUnchecked(snapshot)).ok());
    const char* what = WhatIsWrong(state);
    return std::string(what == nullptr ? "" : what);
  };
  EXPECT_EQ(wrong([](auto&, SnapshotRoute& route) {
              route.kind = RouteKind::kNone;
            }),
            "a route of no kind");
  EXPECT_EQ(wrong([](auto&, SnapshotRoute& route) {
              route.kind = static_cast<RouteKind>(4);
            }),
            "a route of no kind");
  EXPECT_EQ(wrong([](auto&, SnapshotRoute& route) {
              route.gateway = Address();
              route.interface.clear();
            }),
            "a route that leads nowhere");
  EXPECT_EQ(wrong([](auto&, SnapshotRoute& route) { route.interface = "a b"; }),
            "an interface that is not allowed");
  EXPECT_EQ(wrong([](auto&, SnapshotRoute& route) { route.sticky_rule = 5; }),
            "marks of a route that it does not have");
  EXPECT_EQ(wrong([](SnapshotState& state, auto&) {
              state.pool_marks |= 1 << kStickyRoute;
            }),
            "marks of a route that it does not have");
}

TEST(SnapshotVersionTest, LivesOfRulesAreSaidSinceMinorSix) {
  const Snapshot sound = LivesSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  bytes[10] = kMinorOfRuleLives - 1;
  FixSnapshot(bytes);
  EXPECT_FALSE(ReadSnapshot(bytes).ok());
}

TEST(SnapshotVersionTest, SourcesAreSaidSinceMinorSeven) {
  const Snapshot sound = SourcesSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  // Who does not know them goes on without.
  bytes[10] = kMinorOfSourceNodes - 1;
  FixSnapshot(bytes);
  const auto read = ReadSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->skips.sections, 1u);
  Snapshot without = sound;
  without.source_nodes.clear();
  EXPECT_EQ(read->snapshot, without);
}

TEST(SnapshotVersionTest, OtherHelpersExpectSinceMinorSeven) {
  const Snapshot sound = HelpersSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  bytes[10] = kMinorOfExpectedFlows - 1;
  FixSnapshot(bytes);
  const auto read = ReadSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->skips.records, 8u);
  Snapshot without = sound;
  std::erase_if(without.expectations, [](const SnapshotExpectation& e) {
    return e.helper != SnapshotHelper::kTftp;
  });
  EXPECT_EQ(read->snapshot, without);
}

TEST(SnapshotVersionTest, ChildrenOfOtherHelpersNameParentsSinceMinorEight) {
  const Snapshot sound = FlowChildrenSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  // Who does not know it takes them as states of their own.
  bytes[10] = kMinorOfFlowParents - 1;
  FixSnapshot(bytes);
  const auto read = ReadSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->skips.attributes, 8u);
  Snapshot without = sound;
  for (SnapshotState& state : without.parents) state.parent = 0;
  EXPECT_EQ(read->snapshot, without);
}

// No state is its own ancestor, and no child has children.
TEST(SnapshotVersionTest, ChildrenOfOtherHelpersFitTheirParents) {
  const Snapshot sound = FlowChildrenSnapshot();
  struct Case {
    const char* what;
    std::function<void(Snapshot&, SnapshotState&)> spoil;
  };
  const Case cases[] = {
      {"it is its own parent",
       [](Snapshot&, SnapshotState& s) { s.parent = s.id; }},
      {"its parent is younger",
       [](Snapshot&, SnapshotState& s) { s.parent = s.id + 0x100; }},
      {"no state without a parent",
       [](Snapshot&, SnapshotState& s) { s.parent -= 1; }},
      {"of another protocol",
       [](Snapshot& all, SnapshotState& s) { s.parent = all.parents[0].id; }},
      {"not its parent's",
       [](Snapshot&, SnapshotState& s) {
         (s.proto == protocol::kTcp ? s.peers[0].address.bytes[3]
                                    : s.peers[0].address.bytes[0]) ^= 1;
         s.peers[0].port ^= 1;
       }},
      {"in another VLAN",
       [](Snapshot&, SnapshotState& s) { s.vlan = VlanId::Of(5); }},
      // A chain: of the same hosts, behind the child that it names.
      {"no state without a parent",
       [](Snapshot& all, SnapshotState& s) {
         SnapshotState other = s;
         other.parent = s.id;
         other.id = all.parents.back().id + 0x100;
         other.peers[0].port ^= 1;
         all.parents.push_back(other);
       }},
      {"no helper",
       [](Snapshot& all, SnapshotState& s) {
         for (SnapshotState& parent : all.parents) {
           if (parent.id != s.parent) continue;
           if (s.proto == protocol::kTcp) {
             parent.peers[1].port = parent.translated_port[1] = 22;
             if (!parent.is_translated()) parent.translated_port[1] = 0;
           } else {
             parent.translated = {parent.peers[0].address,
                                  parent.peers[1].address};
             parent.translated_port = {77, 80};
           }
         }
         all.expectations.clear();
       }},
  };
  for (const Case& one : cases) {
    for (size_t i = 0; i < sound.parents.size(); ++i) {
      if (sound.parents[i].parent == 0) continue;
      Snapshot spoiled = sound;
      // It may move.
      spoiled.parents.reserve(sound.parents.size() + 1);
      one.spoil(spoiled, spoiled.parents[i]);
      const auto read = ReadSnapshot(WriteUnchecked(spoiled));
      ASSERT_FALSE(read.ok()) << one.what << " " << i;
      EXPECT_THAT(std::string(read.status().message()),
                  testing::AllOf(testing::HasSubstr(one.what),
                                 testing::HasSubstr("offset")));
    }
  }
}

TEST(SnapshotVersionTest, VlansAreSaidSinceMinorFive) {
  const Snapshot sound = VlanSnapshot();
  Bytes bytes = WriteVersion(sound);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, sound);
  bytes[10] = kMinorOfVlan - 1;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kUnimplemented);
  // Twelve bits each, and an inner one only behind an outer one.
  for (const uint32_t value : {5u << 12, 0x1000005u, 0x5005005u}) {
    Snapshot wrong = sound;
    wrong.parents.back().vlan.value = value;
    EXPECT_FALSE(ReadSnapshot(WriteUnchecked(wrong)).ok()) << value;
  }
  // One flow, or one that was given out, is one state in one VLAN.
  Snapshot twice = sound;
  twice.parents.back().vlan = VlanId::Of(5, 7);
  EXPECT_FALSE(ReadSnapshot(WriteUnchecked(twice)).ok());
  twice.parents.back().peers[0].port ^= 1;
  EXPECT_THAT(ReadSnapshot(WriteUnchecked(twice)).status().message(),
              testing::HasSubstr("translated flow"));
  Snapshot apart = sound;
  apart.children[0].vlan = VlanId::Of(6);
  EXPECT_FALSE(ReadSnapshot(WriteUnchecked(apart)).ok());
}

TEST(SnapshotVersionTest, FamiliesChangeSinceMinorFive) {
  const Snapshot families = FamiliesSnapshot();
  Bytes bytes = WriteVersion(families);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, families);
  bytes[10] = kMinorOfFamilies - 1;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kInvalidArgument);
  SnapshotState wrong = families.parents[0];
  wrong.translated[1] = wrong.peers[1].address;
  EXPECT_STREQ(WhatIsWrong(wrong), "a translation to two families");
}

// What no state that changes its family has here, none brings along.
TEST(SnapshotVersionTest, HelpersAndPoolsStayWithinAFamily) {
  for (const SnapshotState& sound : FamiliesSnapshot().parents) {
    SnapshotState state = sound;
    ASSERT_TRUE(state.translates_family());
    ASSERT_EQ(WhatIsWrong(state), nullptr);
    state.pool_marks = 1 << kLoadOfTarget;
    EXPECT_STREQ(WhatIsWrong(state), "marks of pools across families");
    state = sound;
    state.proto = protocol::kUdp;
    state.timeout = Timeout::kUdpSingle;
    state.peers[1].port = state.translated_port[1] = 69;
    for (SnapshotPeer& peer : state.peers) {
      peer = {.port = peer.port, .address = peer.address};
    }
    ASSERT_EQ(WhatIsWrong(state), nullptr);
    state.helper = SnapshotHelper::kTftp;
    EXPECT_STREQ(WhatIsWrong(state), "a helper across families");
    SnapshotState parent = state;
    parent.translated = {};
    parent.translated_port = {};
    ASSERT_EQ(WhatIsWrong(parent), nullptr);
    SnapshotState child = state;
    child.id = parent.id + 0x100;
    child.parent = parent.id;
    child.helper = SnapshotHelper::kNone;
    ASSERT_EQ(WhatIsWrong(child), nullptr);
    EXPECT_STREQ(WhatIsWrongWithLink(child, &parent),
                 "it goes on in another family");
    child.translated = {};
    child.translated_port = {};
    EXPECT_EQ(WhatIsWrongWithLink(child, &parent), nullptr);
  }
}

// Where a pool gives a packet what it had, the state is not translated and has
// its place in the pool all the same.
TEST(SnapshotVersionTest, PoolsMayChangeNothing) {
  SnapshotState state = ManyStatesSnapshot(1).parents[0];
  state.pool_marks = 1 << kLoadOfTarget;
  EXPECT_EQ(WhatIsWrong(state), nullptr);
}

// Of ICMP only echo requests go on in the other family.
TEST(SnapshotVersionTest, MessagesOfTheOtherFamilyAreEchoRequests) {
  SnapshotState state = FamiliesSnapshot().parents[0];
  const bool v4 = state.family() == Family::kIpv4;
  state.proto = v4 ? protocol::kIcmp : protocol::kIcmp6;
  state.timeout = Timeout::kIcmpFirst;
  state.sequence_offset = {};
  state.helper = SnapshotHelper::kNone;
  for (SnapshotPeer& peer : state.peers) {
    peer.phase = 0;
    peer.sequence_low = peer.sequence_high = 0;
    peer.max_window = 0;
    peer.scale = 0;
  }
  state.peers[1].port = v4 ? 8 : 128;
  state.translated_port[1] = v4 ? 128 : 8;
  EXPECT_EQ(WhatIsWrong(state), nullptr);
  std::swap(state.peers[1].port, state.translated_port[1]);
  EXPECT_STREQ(WhatIsWrong(state),
               "a message that the other family does not have");
  state.proto = v4 ? protocol::kIcmp6 : protocol::kIcmp;
  EXPECT_STREQ(WhatIsWrong(state), "a protocol of the other family");
}

TEST(SnapshotVersionTest, DialectIsSaidSinceMinorTwo) {
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    Snapshot snapshot = DialectSnapshot();
    snapshot.meta.dialect = dialect;
    Bytes bytes = WriteVersion(snapshot);
    EXPECT_EQ(ReadSnapshot(bytes)->snapshot, snapshot);
    // Those before had no such record, and skip it.
    bytes[10] = kMinorOfDialect - 1;
    FixSnapshot(bytes);
    const auto older = ReadSnapshot(bytes);
    ASSERT_TRUE(older.ok()) << older.status();
    EXPECT_EQ(older->skips.records, 1u);
    snapshot.meta.dialect.reset();
    EXPECT_EQ(older->snapshot, snapshot);
  }
}

TEST(SnapshotVersionTest, DialectIsOneOfTwo) {
  Snapshot snapshot = EmptySnapshot();
  snapshot.meta.dialect = Dialect::kFreeBsd;
  Bytes bytes = WriteVersion(snapshot);
  const size_t meta = kSnapshotHeaderBytes + kTlvHeaderBytes;
  const size_t record = meta + kSectionHeadBytes +
                        PaddedBytes(kTlvHeaderBytes + 2 +
                                    snapshot.meta.filter.size() + 2 +
                                    snapshot.meta.creator.size());
  // Type, version, flags, length, the dialect.
  ASSERT_EQ(bytes[record], 2);
  ASSERT_EQ(bytes[record + 4], 1);
  ASSERT_EQ(bytes[record + kTlvHeaderBytes], 1);
  for (const auto& [offset, value] :
       {std::pair<size_t, uint8_t>{kTlvHeaderBytes, 2},
        {kTlvHeaderBytes, 255},
        {4, 0},
        {4, 2}}) {
    Bytes bad = bytes;
    bad[record + offset] = value;
    FixSnapshot(bad);
    EXPECT_EQ(ReadSnapshot(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << offset << " " << int{value};
  }
  // The second one, and one before the names.
  const auto with_records = [&](const std::vector<Bytes>& records) {
    Bytes made(bytes.begin(),
               bytes.begin() + static_cast<ptrdiff_t>(meta +
                                                      kSectionHeadBytes));
    size_t length = 0;
    for (const Bytes& one : records) {
      made.insert(made.end(), one.begin(), one.end());
      length += one.size();
    }
    made[meta] = static_cast<uint8_t>(records.size());
    made[meta + 4] = static_cast<uint8_t>(length);
    const size_t section = kSectionHeadBytes + length + kSectionTailBytes;
    made[meta - 4] = static_cast<uint8_t>(section);
    made.resize(meta + PaddedBytes(section));
    const size_t old_end = meta + PaddedBytes(bytes[meta - 4]);
    made.insert(made.end(),
                bytes.begin() + static_cast<ptrdiff_t>(old_end), bytes.end());
    uint8_t& all_records = made[made.size() - kEndBytes + 8];
    all_records = static_cast<uint8_t>(all_records + records.size() - 2);
    FixSnapshot(made);
    return ReadSnapshot(made);
  };
  const Bytes names(bytes.begin() + static_cast<ptrdiff_t>(
                                        meta + kSectionHeadBytes),
                    bytes.begin() + static_cast<ptrdiff_t>(record));
  const Bytes dialect(bytes.begin() + static_cast<ptrdiff_t>(record),
                      bytes.begin() + static_cast<ptrdiff_t>(record + 16));
  EXPECT_TRUE(with_records({names, dialect}).ok());
  EXPECT_FALSE(with_records({names, dialect, dialect}).ok());
  EXPECT_FALSE(with_records({dialect, names}).ok());
}

TEST(SnapshotVersionTest, MajorVersionsAreRefusedAndMinorOnesRead) {
  for (const uint8_t major : {0, 2, 255}) {
    Bytes bytes = WriteVersion(FullSnapshot());
    bytes[8] = major;
    FixSnapshot(bytes);
    EXPECT_TRUE(absl::IsUnimplemented(ReadSnapshot(bytes).status()));
  }
  Bytes newer = WriteVersion(FullSnapshot());
  newer[10] = kSnapshotMinor + 1;
  newer[14] = 4;  // a flag that this minor version does not have
  newer.insert(newer.begin() + kSnapshotHeaderBytes, 16, 0xee);
  newer[12] = kSnapshotHeaderBytes + 16;
  FixSnapshot(newer);
  const auto read = ReadSnapshot(newer);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->minor, kSnapshotMinor + 1);
  EXPECT_EQ(read->snapshot, FullSnapshot());
  // This version and those before it have neither.
  for (uint8_t minor = 0; minor <= kSnapshotMinor; ++minor) {
    newer[10] = minor;
    FixSnapshot(newer);
    EXPECT_FALSE(ReadSnapshot(newer).ok());
  }
}

}  // namespace
}  // namespace sluice
