// Snapshots that mean harm, over real shards and stores: refused, nothing of
// the filter has changed; accepted, what comes out again is canonical.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "restore/snapshot_reader.h"
#include "tests/unit/restore/allocation_count.h"
#include "tests/unit/restore/import_node.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr char kRules[] =
    "set limit states 5000\n"
    "table <bad> persist { 10.9.0.0/16, 2001:db8:9::/48 }\n"
    "block in from <bad>\n"
    "pass in proto udp tag T keep state (udp.multiple 77)\n"
    "anchor inner {\n pass in proto udp to port 69\n}\n";

class ImportHostileTest : public testing::TestWithParam<Family> {
 protected:
  ImportHostileTest() : to_(GetParam()) {
    ImportNode from(GetParam());
    EXPECT_TRUE(LoadText(from.store, kRules).ok());
    Shard& shard = from.shard();
    shard.values.rule_slot =
        PolicyListing(from.store).AllRules().at(1).rule.slot;
    shard.values.flags = kStateRuleTimeouts;
    shard.values.tag = from.store.tags().Find("T");
    shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    shard.Out("udp $S:3000 > $C:5000 tftp oack blksize 1024");
    shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    shard.In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
    good_ = from.Export();
    bytes_ = *WriteSnapshot(good_);
    EXPECT_TRUE(LoadText(to_.store, "pass\n").ok());
    to_.shard().In("udp $A:1 > $B:2");
    before_ = to_.Export();
  }

  // What a refusal may not change.
  void ExpectUntouched() {
    ASSERT_EQ(to_.store.generation()->hash, before_.header.policy_hash);
    ASSERT_EQ(to_.Export(), before_);
    ASSERT_EQ(to_.shard().budget.used(), to_.states());
    ASSERT_EQ(to_.shard().expectations->size(), 0u);
    ASSERT_TRUE(CheckInvariants(to_.store).ok());
  }
  // Into a filter of its own; `what` that comes out goes in again as it is.
  static void ExpectCanonical(const Bytes& bytes) {
    ImportNode first(GetParam());
    ASSERT_TRUE(first.ImportBytes(bytes, WithPolicy(true)).ok());
    Snapshot out = first.Export();
    out.header.generation = 0;
    ImportNode second(GetParam());
    const auto again = second.Import(out, WithPolicy(true));
    ASSERT_TRUE(again.ok()) << again.status();
    Snapshot twice = second.Export();
    twice.header.generation = 0;
    ASSERT_EQ(*WriteSnapshot(twice), *WriteSnapshot(out));
  }
  // Whether it was accepted.
  bool Try(const Bytes& bytes) {
    StateImporter importer(to_.Target(), WithPolicy(true));
    absl::Status status = importer.Prepare(bytes);
    if (status.ok()) status = to_.Validate(&importer);
    const bool accepted = status.ok();
    to_.Cancel(&importer);
    ExpectUntouched();
    if (accepted) ExpectCanonical(bytes);
    return accepted;
  }

  ImportNode to_;
  Snapshot good_;
  Bytes bytes_;
  Snapshot before_;
};

INSTANTIATE_TEST_SUITE_P(Families, ImportHostileTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportHostileTest, TheGoodOneIsAccepted) {
  EXPECT_TRUE(Try(bytes_));
}

TEST_P(ImportHostileTest, TruncatedAtEveryByte) {
  for (size_t length = 0; length < bytes_.size(); ++length) {
    Bytes cut(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(length));
    ASSERT_FALSE(Try(cut)) << length;
    FixSnapshot(cut);
    ASSERT_FALSE(Try(cut)) << length << ", with sums";
  }
  Bytes longer = bytes_;
  longer.push_back(0);
  EXPECT_FALSE(Try(longer));
  FixSnapshot(longer);
  EXPECT_FALSE(Try(longer));
}

TEST_P(ImportHostileTest, FlippedAtEveryByte) {
  size_t accepted = 0;
  for (size_t at = 0; at < bytes_.size(); ++at) {
    for (const uint8_t mask : {0x01, 0x80}) {
      Bytes flipped = bytes_;
      flipped[at] = static_cast<uint8_t>(flipped[at] ^ mask);
      ASSERT_FALSE(Try(flipped)) << at;
      // As if somebody had written it so.
      FixSnapshot(flipped);
      accepted += Try(flipped);
      if (HasFatalFailure()) {
        FAIL() << "byte " << at << ", bit " << int{mask};
      }
    }
  }
  // Counters, times and the like.
  EXPECT_GT(accepted, 100u);
  EXPECT_LT(accepted, bytes_.size());
}

TEST_P(ImportHostileTest, PoisonedParents) {
  const uint64_t child = good_.children[0].id;
  const auto refused = [&](const char* what, auto&& change) {
    SCOPED_TRACE(what);
    Snapshot bad = good_;
    change(bad);
    const Bytes bytes = WriteUnchecked(bad);
    EXPECT_FALSE(Try(bytes));
    EXPECT_EQ(to_.ImportBytes(bytes, WithPolicy(true)).status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(to_.ImportBytes(bytes).status().code(),
              absl::StatusCode::kInvalidArgument);
    ExpectUntouched();
  };
  refused("self", [&](Snapshot& s) { s.children[0].parent = child; });
  refused("younger", [&](Snapshot& s) {
    s.children[0].parent = child + 0x100;
  });
  refused("unknown", [](Snapshot& s) { s.children[0].parent = 0x42; });
  refused("none", [](Snapshot& s) { s.children[0].parent = 0; });
  refused("two that are each other's", [&](Snapshot& s) {
    SnapshotState other = s.children[0];
    other.id = child + 0x100;
    other.parent = child;
    other.peers[0].port = 3999;
    s.children[0].parent = other.id;
    s.children.push_back(other);
  });
  refused("a child's child", [&](Snapshot& s) {
    SnapshotState other = s.children[0];
    other.id = child + 0x100;
    other.parent = child;
    other.peers[0].port = 3999;
    s.children.push_back(other);
  });
  refused("without a helper", [](Snapshot& s) {
    for (SnapshotState& state : s.parents) state.helper = SnapshotHelper::kNone;
    s.expectations.clear();
  });
  refused("an expectation of nobody's", [](Snapshot& s) {
    s.expectations[0].parent = 0x42;
  });
  refused("an expectation of a child's", [&](Snapshot& s) {
    s.expectations[0].parent = child;
  });
  // As of another filter: there the id is somebody's, here it is nobody's.
  refused("of a live state here", [&](Snapshot& s) {
    s.children[0].parent = before_.parents.at(0).id;
    std::erase_if(s.parents, [&](const SnapshotState& state) {
      return state.id == before_.parents[0].id;
    });
    s.expectations.clear();
  });
}

TEST_P(ImportHostileTest, IdsThatComeTwice) {
  const auto refused = [&](auto&& change) {
    Snapshot bad = good_;
    change(bad);
    EXPECT_FALSE(Try(WriteUnchecked(bad)));
    ExpectUntouched();
  };
  refused([](Snapshot& s) { s.parents[1].id = s.parents[0].id; });
  refused([](Snapshot& s) { s.parents[0].id = 0; });
  refused([](Snapshot& s) { std::swap(s.parents[0], s.parents[1]); });
  refused([](Snapshot& s) { s.parents.back().id = s.children[0].id; });
}

TEST_P(ImportHostileTest, SectionsThatNobodyKnows) {
  for (const bool critical : {false, true}) {
    SnapshotWriter writer(good_.header);
    writer.Begin(SectionKind::kMeta);
    writer.Add(good_.meta);
    writer.End();
    const auto type = static_cast<uint16_t>(0x0018 | (critical ? 0x8000 : 0));
    writer.Begin(static_cast<SectionKind>(type));
    writer.AddRaw(0x1234, "what a later version says");
    writer.End();
    for (const SectionKind kind :
         {SectionKind::kLimits, SectionKind::kTables, SectionKind::kRules,
          SectionKind::kParentStates, SectionKind::kChildStates,
          SectionKind::kExpectations, SectionKind::kCounters}) {
      writer.Begin(kind);
      writer.End();
    }
    EXPECT_EQ(Try(writer.Finish()), !critical);
  }
}

TEST_P(ImportHostileTest, VersionsBeforeAndAfter) {
  for (const uint8_t minor : {0, 1, 2, 255}) {
    Bytes bytes = bytes_;
    bytes[10] = minor;
    FixSnapshot(bytes);
    EXPECT_TRUE(Try(bytes)) << int{minor};
  }
  for (const uint8_t major : {0, 2}) {
    Bytes bytes = bytes_;
    bytes[8] = major;
    FixSnapshot(bytes);
    EXPECT_FALSE(Try(bytes)) << int{major};
  }
}

TEST_P(ImportHostileTest, TwoImportersAtOnce) {
  StateImporter first(to_.Target(), WithPolicy(true));
  ASSERT_TRUE(first.Prepare(bytes_).ok());
  StateImporter second(to_.Target(), WithPolicy(true));
  // One takes the ids that the other was told of: it is refused, or goes on
  // once it asks again.
  ASSERT_TRUE(second.Prepare(bytes_).ok());
  ASSERT_TRUE(to_.Validate(&first).ok());
  EXPECT_FALSE(to_.Validate(&second).ok());
  to_.Cancel(&second);
  EXPECT_EQ(to_.shard().budget.used(), to_.states() + 3);
  StateImporter third(to_.Target(), WithPolicy(true));
  ASSERT_TRUE(third.Prepare(bytes_).ok());
  ASSERT_TRUE(to_.Validate(&third).ok());
  // The first one's policy is not the newest any more.
  EXPECT_EQ(to_.Commit(&first).status().code(), absl::StatusCode::kAborted);
  const auto report = to_.Commit(&third);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_imported, 3u);
  EXPECT_EQ(to_.states(), 4u);
  EXPECT_EQ(to_.shard().budget.used(), 4u);
  EXPECT_EQ(to_.Export().expectations.size(), 1u);
}

TEST_P(ImportHostileTest, TwoImportersOfStatesAlone) {
  StateImporter first(to_.Target(), {});
  ASSERT_TRUE(first.Prepare(bytes_).ok());
  ASSERT_TRUE(to_.Validate(&first).ok());
  StateImporter second(to_.Target(), {});
  ASSERT_TRUE(second.Prepare(bytes_).ok());
  ASSERT_TRUE(to_.Validate(&second).ok());
  ASSERT_TRUE(to_.Commit(&second).ok());
  const auto report = to_.Commit(&first);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_imported, 0u);
  EXPECT_EQ(report->states_merged, 3u);
  EXPECT_EQ(to_.states(), 4u);
  EXPECT_EQ(to_.shard().budget.used(), 4u);
  EXPECT_EQ(to_.Export().expectations.size(), 1u);
}

TEST_P(ImportHostileTest, RefusalsTakeLittleMemory) {
  Bytes bytes = *WriteSnapshot(ManyStatesSnapshot(500));
  bytes[bytes.size() - 400] ^= 1;  // in the last states
  FixSnapshot(bytes);
  ImportOptions options;
  options.limits.states = 499;
  ResetAllocationPeak();
  EXPECT_FALSE(to_.ImportBytes(bytes, options).ok());
  EXPECT_LE(AllocationPeak(), 8 * bytes.size());
  // No room in the shard for all of them: refused at the very end.
  bytes = *WriteSnapshot(ManyStatesSnapshot(1001));
  ResetAllocationPeak();
  EXPECT_FALSE(to_.ImportBytes(bytes).ok());
  EXPECT_LE(AllocationPeak(), 8 * bytes.size());
  ExpectUntouched();
}

}  // namespace
}  // namespace sluice
