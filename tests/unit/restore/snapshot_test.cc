#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "restore/snapshot_cursor.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/allocation_count.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes Write(const Snapshot& snapshot) {
  const auto bytes = WriteSnapshot(snapshot);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : Bytes();
}

// Accepted means that writing it again gives the same values, and the same
// bytes unless something was skipped.
void ExpectCanonical(const Bytes& bytes, const ReadResult& result) {
  const auto again = WriteSnapshot(result.snapshot);
  ASSERT_TRUE(again.ok()) << again.status();
  const auto read = ReadSnapshot(*again);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->snapshot, result.snapshot);
  if (result.skips == SnapshotSkips{} && result.minor == kSnapshotMinor) {
    EXPECT_EQ(*again, bytes);
  }
}

TEST(SnapshotTest, ReadsWhatItWrites) {
  for (const NamedSnapshot& sample : GoldenSnapshots()) {
    const Bytes bytes = Write(sample.snapshot);
    const auto read = ReadSnapshot(bytes);
    ASSERT_TRUE(read.ok()) << sample.name << ": " << read.status();
    EXPECT_EQ(read->snapshot, sample.snapshot) << sample.name;
    EXPECT_EQ(read->skips, SnapshotSkips{});
    ExpectCanonical(bytes, *read);
    const auto header = ReadSnapshotHeader(std::span(bytes).first(96));
    ASSERT_TRUE(header.ok());
    EXPECT_EQ(*header, sample.snapshot.header);
  }
}

TEST(SnapshotTest, LeastBytesOfRecordsAreTheLeast) {
  Snapshot with = EmptySnapshot();
  const size_t without = Write(with).size();
  with.parents = {SampleState(1, 47, "10.0.0.1", 0, "10.0.0.2", 0)};
  EXPECT_EQ(Write(with).size() - without, kLeastStateBytes);
  with = EmptySnapshot();
  with.tables = {{.anchor = "", .name = "a", .flags = 0, .entries = {}}};
  EXPECT_EQ(Write(with).size() - without, kLeastTableBytes);
  with.tables[0].entries = {{*ParsePrefix("10.0.0.1"), 0, 0}};
  EXPECT_EQ(Write(with).size() - without - kLeastTableBytes,
            kLeastEntryBytes + 8);
  with = EmptySnapshot();
  with.rulesets = {{.anchor = "", .options = {}, .rules = {}}};
  EXPECT_EQ(Write(with).size() - without, kLeastRulesetBytes);
  with.rulesets[0].options = {"a"};
  EXPECT_EQ(Write(with).size() - without - kLeastRulesetBytes,
            kLeastOptionBytes);
  with.rulesets[0].options = {};
  with.rulesets[0].rules = {{SnapshotRuleKind::kFilter, 1, "a"}};
  EXPECT_EQ(Write(with).size() - without - kLeastRulesetBytes,
            kLeastRuleBytes);
  with = EmptySnapshot();
  with.rule_counters = {{}};
  EXPECT_EQ(Write(with).size() - without, kLeastRuleCountersBytes);
  with = EmptySnapshot();
  with.table_counters = {{.anchor = "", .name = "a"}};
  EXPECT_EQ(Write(with).size() - without, kLeastTableCountersBytes);
  with = EmptySnapshot();
  with.parents = {SampleState(1, protocol::kUdp, "10.0.0.2", 5, "10.0.0.1",
                              69)};
  with.parents[0].helper = SnapshotHelper::kTftp;
  SnapshotExpectation expectation;
  expectation.parent = 1;
  expectation.proto = protocol::kUdp;
  expectation.helper = SnapshotHelper::kTftp;
  expectation.client_port = 5;
  expectation.client = with.parents[0].peers[0].address;
  expectation.server = with.parents[0].peers[1].address;
  with.expectations = {expectation};
  EXPECT_EQ(Write(with).size() - without - kLeastStateBytes,
            kLeastExpectationBytes);
}

TEST(SnapshotTest, EveryTruncationIsRefused) {
  const Bytes bytes = Write(FullSnapshot());
  for (size_t length = 0; length < bytes.size(); ++length) {
    Bytes cut(bytes.begin(), bytes.begin() + static_cast<long>(length));
    EXPECT_FALSE(ReadSnapshot(cut).ok()) << length;
    // Also when the length in the header is made to fit.
    FixSnapshot(cut);
    EXPECT_FALSE(ReadSnapshot(cut).ok()) << length;
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(ReadSnapshot(longer).ok());
}

TEST(SnapshotTest, EveryFlippedBitIsRefused) {
  Bytes bytes = Write(TransferSnapshot());
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    bytes[i / 8] ^= static_cast<uint8_t>(1 << i % 8);
    EXPECT_FALSE(ReadSnapshot(bytes).ok()) << i;
    bytes[i / 8] ^= static_cast<uint8_t>(1 << i % 8);
  }
  EXPECT_TRUE(ReadSnapshot(bytes).ok());
}

// Bytes that somebody changed and then signed again.
TEST(SnapshotTest, ChangedOnPurposeItIsRefusedOrSound) {
  const Bytes bytes = Write(FullSnapshot());
  std::mt19937 random(5);
  size_t accepted = 0;
  size_t refused = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int round = 0; round < 6; ++round) {
      Bytes changed = bytes;
      changed[at] = static_cast<uint8_t>(
          round == 0 ? bytes[at] + 1 : round == 1 ? 0xff : random());
      if (changed[at] == bytes[at]) continue;
      FixSnapshot(changed);
      ResetAllocationPeak();
      const auto read = ReadSnapshot(changed);
      EXPECT_LE(AllocationPeak(), 8 * changed.size() + 4096) << at;
      if (read.ok()) {
        ++accepted;
        ExpectCanonical(changed, *read);
      } else {
        ++refused;
      }
    }
  }
  EXPECT_GT(accepted, 100u);  // counters, times, ...
  EXPECT_GT(refused, 100u);
}

TEST(SnapshotTest, MemoryIsBoundedByTheInput) {
  for (const NamedSnapshot& sample : GoldenSnapshots()) {
    const Bytes bytes = Write(sample.snapshot);
    ResetAllocationPeak();
    EXPECT_TRUE(ReadSnapshot(bytes).ok());
    EXPECT_LE(AllocationPeak(), 8 * bytes.size() + 4096) << sample.name;
  }
  Snapshot small;  // many of the smallest records of each kind
  small = EmptySnapshot();
  for (int i = 0; i < 5000; ++i) {
    std::string name = std::to_string(100000 + i);
    small.tables.push_back({.anchor = "", .name = name, .flags = 0,
                            .entries = {}});
    small.rulesets.push_back({.anchor = name, .options = {"x"},
                              .rules = {{SnapshotRuleKind::kFilter, 1, "y"}}});
    small.rule_counters.push_back({.rule = static_cast<RuleId>(i)});
  }
  const Bytes bytes = Write(small);
  ResetAllocationPeak();
  EXPECT_TRUE(ReadSnapshot(bytes).ok());
  EXPECT_LE(AllocationPeak(), 8 * bytes.size());
  const Bytes states = Write(ManyStatesSnapshot(20000));
  ResetAllocationPeak();
  EXPECT_TRUE(ReadSnapshot(states).ok());
  EXPECT_LE(AllocationPeak(), 8 * states.size());
}

TEST(SnapshotTest, CountsThatLieCostNothing) {
  Bytes bytes = Write(FullSnapshot());
  // Every 32-bit word that could be a count or a length.
  for (size_t at = kSnapshotHeaderBytes; at + 4 <= bytes.size(); at += 4) {
    for (const uint32_t lie : {0xffffffffu, 0x7fffffffu, 0x01000000u, 0u}) {
      Bytes changed = bytes;
      for (size_t i = 0; i < 4; ++i) {
        changed[at + i] = static_cast<uint8_t>(lie >> (8 * i));
      }
      FixSnapshot(changed);
      ResetAllocationPeak();
      const auto read = ReadSnapshot(changed);
      EXPECT_LE(AllocationPeak(), 8 * changed.size() + 4096) << at;
      if (read.ok()) ExpectCanonical(changed, *read);
    }
  }
}

TEST(SnapshotTest, CountsThatJustFitCostNoMoreThanTheirBytes) {
  // As many records as eight bytes each would be, of 136.
  Bytes bytes = Write(ManyStatesSnapshot(2000));
  const uint8_t type[] = {0x60, 0x80};
  const auto at = std::search(bytes.begin() + kSnapshotHeaderBytes,
                              bytes.end(), std::begin(type), std::end(type));
  ASSERT_NE(at, bytes.end());
  const auto length = SnapshotCursor(std::span(at + 12, 4)).Get<uint32_t>();
  for (size_t i = 0; i < 4; ++i) {
    at[8 + static_cast<long>(i)] =
        static_cast<uint8_t>(length / 8 >> (8 * i));
  }
  FixSnapshot(bytes);
  ResetAllocationPeak();
  EXPECT_FALSE(ReadSnapshot(bytes).ok());
  EXPECT_LE(AllocationPeak(), 8 * bytes.size());

  // And so many records of nothing.
  SnapshotWriter writer(EmptySnapshot().header);
  writer.Begin(SectionKind::kMeta);
  writer.Add(EmptySnapshot().meta);
  writer.End();
  writer.Begin(SectionKind::kParentStates);
  for (int i = 0; i < 20000; ++i) writer.AddRaw(0x8001, "");
  writer.End();
  bytes = writer.Finish();
  ResetAllocationPeak();
  EXPECT_FALSE(ReadSnapshot(bytes).ok());
  EXPECT_LE(AllocationPeak(), 8 * bytes.size());
}

// Writes the empty snapshot with one thing more in it.
struct Extra {
  uint16_t section = 0;    // a section of that type behind LIMITS
  uint16_t record = 0;     // a record of that type in LIMITS
};
Bytes WriteWith(const Extra& extra) {
  const Snapshot snapshot = EmptySnapshot();
  SnapshotWriter writer(snapshot.header);
  for (const SectionKind kind :
       {SectionKind::kMeta, SectionKind::kLimits, SectionKind::kTables,
        SectionKind::kRules, SectionKind::kParentStates,
        SectionKind::kChildStates, SectionKind::kExpectations,
        SectionKind::kCounters}) {
    writer.Begin(kind);
    if (kind == SectionKind::kMeta) writer.Add(snapshot.meta);
    if (kind == SectionKind::kLimits && extra.record != 0) {
      writer.AddRaw(extra.record, "something new");
    }
    writer.End();
    if (kind == SectionKind::kLimits && extra.section != 0) {
      writer.Begin(static_cast<SectionKind>(extra.section));
      writer.AddRaw(1, "anything");
      writer.End();
    }
  }
  return writer.Finish();
}

TEST(SnapshotTest, WhatIsNotKnownIsSkippedUnlessItIsCritical) {
  auto read = ReadSnapshot(WriteWith({}));
  ASSERT_TRUE(read.ok()) << read.status();

  read = ReadSnapshot(WriteWith({.section = 0x0025}));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->skips.sections, 1u);
  EXPECT_EQ(read->snapshot, EmptySnapshot());
  EXPECT_TRUE(absl::IsUnimplemented(
      ReadSnapshot(WriteWith({.section = 0x8025})).status()));
  // Out of order, or a known kind in another guise.
  EXPECT_FALSE(ReadSnapshot(WriteWith({.section = 0x0005})).ok());
  EXPECT_FALSE(ReadSnapshot(WriteWith({.section = 0x0030})).ok());

  read = ReadSnapshot(WriteWith({.record = 0x0007}));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->skips.records, 1u);
  EXPECT_TRUE(absl::IsUnimplemented(
      ReadSnapshot(WriteWith({.record = 0x8007})).status()));
}

TEST(SnapshotTest, AttributesThatAreNotKnown) {
  Snapshot snapshot = EmptySnapshot();
  snapshot.parents = {SampleState(1, protocol::kUdp, "10.0.0.1", 1,
                                  "10.0.0.2", 2)};
  snapshot.parents[0].binding.tag = "TAG";
  Bytes bytes = Write(snapshot);
  const uint8_t tag[] = {0x02, 0x80, 0x01, 0x00, 3, 0, 0, 0, 'T', 'A', 'G'};
  const auto at = std::search(bytes.begin(), bytes.end(), std::begin(tag),
                              std::end(tag));
  ASSERT_NE(at, bytes.end());
  at[0] = 0x42;
  FixSnapshot(bytes);
  EXPECT_TRUE(absl::IsUnimplemented(ReadSnapshot(bytes).status()));
  at[1] = 0x00;
  FixSnapshot(bytes);
  const auto read = ReadSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->skips.attributes, 1u);
  EXPECT_EQ(read->snapshot.parents[0].binding.tag, "");
  ExpectCanonical(bytes, *read);
}

TEST(SnapshotTest, PoisonedParentsAreRefused) {
  using Poison = std::function<void(Snapshot&)>;
  const std::pair<const char*, Poison> poisons[] = {
      {"itself", [](Snapshot& s) { s.children[0].parent = s.children[0].id; }},
      {"a later one",
       [](Snapshot& s) {
         s.expectations.clear();
         s.parents[1].peers = s.parents[0].peers;
         s.parents[1].peers[0].port = 5001;
         s.children[0].parent = s.parents[1].id;
       }},
      {"unknown", [](Snapshot& s) { s.children[0].parent = 0x102; }},
      {"none", [](Snapshot& s) { s.children[0].parent = 0; }},
      {"one among those without",
       [](Snapshot& s) { s.parents[1].parent = s.parents[0].id; }},
      {"a grandchild",
       [](Snapshot& s) {
         SnapshotState more = s.children[0];
         more.id += 0x100;
         more.parent = s.children[0].id;
         more.peers[0].port = 3001;
         s.children.push_back(more);
       }},
      {"a cycle of two",
       [](Snapshot& s) {
         SnapshotState more = s.children[0];
         more.id += 0x100;
         more.peers[0].port = 3001;
         more.parent = s.children[0].id;
         s.children[0].parent = more.id;
         s.children.push_back(more);
       }},
      {"without a helper",
       [](Snapshot& s) { s.parents[0].helper = SnapshotHelper::kNone; }},
      {"of another family",
       [](Snapshot& s) {
         s.children[0].peers = s.parents[1].peers;
         s.children[0].peers[1].port = 99;
       }},
      {"with an id twice",
       [](Snapshot& s) {
         s.parents[1].id = s.children[0].id;
         s.expectations[0].parent = s.parents[1].id;
       }},
      {"with too many children",
       [](Snapshot& s) {
         for (uint16_t i = 1; i < 5; ++i) {
           SnapshotState more = s.children[0];
           more.id += i;
           more.peers[0].port = static_cast<uint16_t>(3000 + i);
           s.children.push_back(more);
         }
       }},
      {"of an expectation: unknown",
       [](Snapshot& s) { s.expectations[0].parent = 0x999; }},
      {"of an expectation: a child",
       [](Snapshot& s) { s.expectations[0].parent = s.children[0].id; }},
      {"of an expectation: of another flow",
       [](Snapshot& s) { s.expectations[0].client_port = 4; }},
      {"of an expectation: twice",
       [](Snapshot& s) { s.expectations.push_back(s.expectations[0]); }},
  };
  EXPECT_TRUE(ReadSnapshot(WriteUnchecked(TransferSnapshot())).ok());
  for (const auto& [name, poison] : poisons) {
    Snapshot snapshot = TransferSnapshot();
    poison(snapshot);
    EXPECT_FALSE(ReadSnapshot(WriteUnchecked(snapshot)).ok()) << name;
    EXPECT_FALSE(WriteSnapshot(snapshot).ok()) << name;
  }
}

TEST(SnapshotTest, ValuesThatAreNotAllowed) {
  using Change = std::function<void(Snapshot&)>;
  const std::pair<const char*, Change> changes[] = {
      {"no snapshot id", [](Snapshot& s) { s.header.id = {}; }},
      {"no filter", [](Snapshot& s) { s.meta.filter = ""; }},
      {"a long name", [](Snapshot& s) { s.meta.filter.assign(32, 'a'); }},
      {"a name with a slash", [](Snapshot& s) { s.meta.filter = "a/b"; }},
      {"limits", [](Snapshot& s) { std::swap(s.limits[0], s.limits[1]); }},
      {"limit", [](Snapshot& s) { s.limits[1].code = 8; }},
      {"tables", [](Snapshot& s) { std::swap(s.tables[0], s.tables[1]); }},
      {"two tables", [](Snapshot& s) { s.tables[1] = s.tables[0]; }},
      {"table flags", [](Snapshot& s) { s.tables[0].flags = 16; }},
      {"host bits",
       [](Snapshot& s) { s.tables[0].entries[0].prefix.address.bytes[3] = 1; }},
      {"length",
       [](Snapshot& s) { s.tables[0].entries[2].prefix.length = 33; }},
      {"entries",
       [](Snapshot& s) {
         std::swap(s.tables[0].entries[0], s.tables[0].entries[1]);
       }},
      {"anchors",
       [](Snapshot& s) { std::swap(s.rulesets[0], s.rulesets[1]); }},
      {"anchor path", [](Snapshot& s) { s.rulesets[1].anchor = "a//b"; }},
      {"anchor end", [](Snapshot& s) { s.rulesets[1].anchor = "a/"; }},
      {"a control character",
       [](Snapshot& s) { s.rulesets[0].rules[0].text = "block\nall"; }},
      {"a rule without identity",
       [](Snapshot& s) { s.rulesets[0].rules[0].id = 0; }},
      {"a rule that is too long",
       [](Snapshot& s) { s.rulesets[0].rules[0].text.assign(4096, 'x'); }},
      {"kinds of rules",
       [](Snapshot& s) {
         std::swap(s.rulesets[0].rules[0], s.rulesets[0].rules[3]);
       }},
      {"id zero", [](Snapshot& s) { s.parents[0].id = 0; }},
      {"states", [](Snapshot& s) { std::swap(s.parents[0], s.parents[1]); }},
      {"window scale", [](Snapshot& s) { s.parents[2].peers[0].scale = 15; }},
      {"phase", [](Snapshot& s) { s.parents[2].peers[1].phase = 11; }},
      {"UDP phase", [](Snapshot& s) { s.parents[0].peers[1].phase = 3; }},
      {"UDP window",
       [](Snapshot& s) { s.parents[0].peers[1].max_window = 1; }},
      {"GRE port", [](Snapshot& s) { s.parents[4].peers[1].port = 1; }},
      {"timeout",
       [](Snapshot& s) { s.parents[0].timeout = Timeout::kTcpFirst; }},
      {"remaining", [](Snapshot& s) { s.parents[0].remaining = 1u << 31; }},
      {"idle", [](Snapshot& s) { s.parents[0].idle = 62'000; }},
      {"direction",
       [](Snapshot& s) { s.parents[0].direction = Direction::kBoth; }},
      {"flags", [](Snapshot& s) { s.parents[0].binding.flags = 1u << 7; }},
      {"helper of TCP",
       [](Snapshot& s) { s.parents[2].helper = SnapshotHelper::kTftp; }},
      {"self",
       [](Snapshot& s) { s.parents[2].peers[1] = s.parents[2].peers[0]; }},
      {"from multicast",
       [](Snapshot& s) {
         s.parents[2].peers[0].address = *ParseAddress("224.0.0.1");
       }},
      {"to nowhere",
       [](Snapshot& s) {
         s.parents[2].peers[1].address = *ParseAddress("0.0.0.0");
       }},
      {"two families",
       [](Snapshot& s) {
         s.parents[2].peers[1].address = *ParseAddress("::1");
       }},
      {"one flow twice",
       [](Snapshot& s) {
         s.parents[4].peers = s.parents[2].peers;
         s.parents[4].interface = s.parents[2].interface;
         s.parents[4].proto = protocol::kTcp;
         s.parents[4].timeout = Timeout::kTcpClosed;
       }},
      {"its mirror image",
       [](Snapshot& s) {
         s.parents[4].peers = s.parents[2].peers;
         s.parents[4].interface = s.parents[2].interface;
         std::swap(s.parents[4].peers[0], s.parents[4].peers[1]);
         s.parents[4].direction = Direction::kOut;
         s.parents[4].proto = protocol::kTcp;
         s.parents[4].timeout = Timeout::kTcpClosed;
       }},
      {"tag", [](Snapshot& s) { s.parents[2].binding.tag = "a\x01"; }},
      {"interface", [](Snapshot& s) { s.parents[2].interface = "a b"; }},
      {"match rules",
       [](Snapshot& s) { s.parents[2].binding.match_rules.assign(9, 1); }},
      {"timeouts of the rule",
       [](Snapshot& s) {
         std::swap(s.parents[2].binding.timeouts[0],
                   s.parents[2].binding.timeouts[1]);
       }},
      {"counters",
       [](Snapshot& s) { s.rule_counters[1] = s.rule_counters[0]; }},
      {"table counters",
       [](Snapshot& s) { s.table_counters[0].name = "a b"; }},
  };
  for (const auto& [name, change] : changes) {
    Snapshot snapshot = FullSnapshot();
    change(snapshot);
    EXPECT_FALSE(ReadSnapshot(WriteUnchecked(snapshot)).ok()) << name;
  }
}

TEST(SnapshotTest, LimitsOfTheReceiver) {
  const Bytes bytes = Write(FullSnapshot());
  const auto refused = [&bytes](const SnapshotLimits& limits) {
    return absl::IsResourceExhausted(ReadSnapshot(bytes, limits).status());
  };
  SnapshotLimits limits = {.bytes = bytes.size(), .states = 6, .tables = 2,
                           .table_entries = 4, .rulesets = 2, .rules = 5,
                           .expectations = 1};
  EXPECT_TRUE(ReadSnapshot(bytes, limits).ok());
  for (const auto member :
       {&SnapshotLimits::states, &SnapshotLimits::tables,
        &SnapshotLimits::table_entries, &SnapshotLimits::rulesets,
        &SnapshotLimits::rules, &SnapshotLimits::expectations}) {
    --(limits.*member);
    EXPECT_TRUE(refused(limits));
    ++(limits.*member);
  }
  --limits.bytes;
  EXPECT_TRUE(refused(limits));
}

TEST(SnapshotTest, ADigestThatIsNotKnownIsRefused) {
  const Bytes good = Write(FullSnapshot());
  for (const uint8_t algorithm : {0, 2, 3}) {
    Bytes bytes = good;
    bytes[bytes.size() - kEndBytes] = algorithm;
    FixSnapshot(bytes);
    EXPECT_TRUE(absl::IsUnimplemented(ReadSnapshot(bytes).status()))
        << int{algorithm};
  }
}

TEST(SnapshotTest, ItCanBeCalledOff) {
  const Bytes bytes = Write(ManyStatesSnapshot(10000));
  int asked = 0;
  const auto read = ReadSnapshot(bytes, {.go_on = [&asked] {
                                   return ++asked < 2;
                                 }});
  EXPECT_TRUE(absl::IsCancelled(read.status()));
  EXPECT_EQ(asked, 2);
}

TEST(SnapshotTest, WhatIsRefusedIsSaidWithItsPlace) {
  Bytes bytes = Write(FullSnapshot());
  EXPECT_THAT(std::string(ReadSnapshot(std::span(bytes).first(50))
                              .status().message()),
              ::testing::HasSubstr("offset 50: truncated"));
  bytes[0] = 'X';
  EXPECT_THAT(std::string(ReadSnapshot(bytes).status().message()),
              ::testing::HasSubstr("no snapshot of sluice"));
}

}  // namespace
}  // namespace sluice
