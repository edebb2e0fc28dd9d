// Snapshots of many states: collected in any order, written in pieces, and
// longer than a section or 32 bits can say.
#include "restore/snapshot_states.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "packet/checksum.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"
#include "tests/unit/restore/whole_snapshot.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

uint32_t SectionsOf(const Bytes& bytes) { return bytes[20]; }

std::vector<uint64_t> IdsOf(const std::vector<SnapshotState>& states) {
  std::vector<uint64_t> ids;
  for (const SnapshotState& state : states) ids.push_back(state.id);
  return ids;
}

// What is read of the states, written with nothing else.
Snapshot Written(const SnapshotStates& states) {
  VectorSink sink;
  EXPECT_TRUE(WriteSnapshot(EmptySnapshot(), states, &sink).ok());
  auto read = ReadSnapshot(sink.written);
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? read->snapshot : Snapshot();
}

SnapshotState Udp(uint64_t id, uint16_t port) {
  return SampleState(id, protocol::kUdp, "10.0.0.2", port, "10.0.0.1", 69);
}

TEST(SnapshotStatesTest, SectionsAreDividedAndReadAsOne) {
  for (Snapshot snapshot : {ManyStatesSnapshot(64), TransferSnapshot(),
                            FullSnapshot(), EmptySnapshot()}) {
    const auto whole = WriteSnapshot(snapshot);
    ASSERT_TRUE(whole.ok()) << whole.status();
    const auto divided = WriteSnapshot(snapshot, {.section_bytes = 700});
    ASSERT_TRUE(divided.ok()) << divided.status();
    EXPECT_EQ(SectionsOf(*divided) > SectionsOf(*whole),
              snapshot.parents.size() > 4);
    const auto read = ReadSnapshot(*divided);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->snapshot, snapshot);
    EXPECT_EQ(CheckWhole(*divided), absl::OkStatus());
  }
}

TEST(SnapshotStatesTest, DividedSectionsKeepTheRulesOfOne) {
  const Bytes good =
      *WriteSnapshot(ManyStatesSnapshot(16), {.section_bytes = 1200});
  // Who wrote before knew one section of a kind.
  Bytes older = good;
  older[10] = kMinorOfLongSnapshots - 1;
  FixSnapshot(older);
  EXPECT_THAT(ReadSnapshot(older).status().ToString(),
              HasSubstr("sections are out of order"));
  // A limit counts all of them together.
  SnapshotLimits limits = {.states = 15};
  EXPECT_TRUE(absl::IsResourceExhausted(ReadSnapshot(good, limits).status()));
  limits.states = 16;
  EXPECT_TRUE(ReadSnapshot(good, limits).ok());
  // Ids ascend over the sections.
  Snapshot swapped = ManyStatesSnapshot(16);
  std::swap(swapped.parents.front(), swapped.parents.back());
  EXPECT_FALSE(WriteSnapshot(swapped, {.section_bytes = 1200}).ok());
  // More than a snapshot has.
  EXPECT_TRUE(absl::IsResourceExhausted(
      WriteSnapshot(ManyStatesSnapshot(64), {.section_bytes = 100}).status()));
}

TEST(SnapshotStatesTest, TheLengthHas48Bits) {
  Bytes bytes = *WriteSnapshot(EmptySnapshot());
  const auto with = [&bytes](uint16_t upper, uint8_t minor) {
    Bytes changed = bytes;
    changed[10] = minor;
    changed[kSnapshotUpperLengthOffset] = static_cast<uint8_t>(upper);
    changed[kSnapshotUpperLengthOffset + 1] =
        static_cast<uint8_t>(upper >> 8);
    const uint32_t crc =
        ~Crc32c(0xffffffff, changed.data(), kSnapshotCrcOffset);
    for (size_t i = 0; i < 4; ++i) {
      changed[kSnapshotCrcOffset + i] = static_cast<uint8_t>(crc >> 8 * i);
    }
    return ReadSnapshot(changed).status().ToString();
  };
  EXPECT_THAT(with(1, 3), HasSubstr("truncated"));
  EXPECT_THAT(with(0xffff, 3), HasSubstr("truncated"));
  EXPECT_THAT(with(1, 2), HasSubstr("unknown flags in the header"));
  EXPECT_THAT(CheckWhole(std::span(bytes).first(bytes.size() - 1)).ToString(),
              HasSubstr("truncated"));
}

TEST(SnapshotStatesTest, TheyComeInAnyOrder) {
  Snapshot snapshot = ManyStatesSnapshot(40);
  SnapshotStates states;
  for (size_t i = 0; i < 40; ++i) {
    states.Add(snapshot.parents[(i * 17) % 40]);
  }
  EXPECT_EQ(states.Finish(), 0u);
  EXPECT_EQ(Written(states).parents, snapshot.parents);
}

// One that ended while the shard was walked, and the one that was made after
// it: a reader would refuse both.
TEST(SnapshotStatesTest, OfOneFlowTheYoungerStays) {
  for (const auto& [first, second] :
       {std::pair<uint64_t, uint64_t>{0x101, 0x201}, {0x201, 0x101}}) {
    SnapshotStates states;
    states.Add(Udp(first, 1000));
    states.Add(Udp(0x301, 2000));
    states.Add(Udp(second, 1000));
    // The same one from the other side, and one that is bound elsewhere.
    SnapshotState mirrored = Udp(0x401, 1000);
    mirrored.direction = Direction::kOut;
    std::swap(mirrored.peers[0], mirrored.peers[1]);
    SnapshotState bound = Udp(0x501, 2000);
    bound.interface = "em0";
    states.Add(bound);
    states.Finish();
    EXPECT_THAT(IdsOf(Written(states).parents),
                ElementsAre(0x201, 0x301, 0x501));
    SnapshotStates more;
    more.Add(Udp(0x101, 1000));
    more.Add(mirrored);
    more.Finish();
    EXPECT_THAT(IdsOf(Written(more).parents), ElementsAre(0x401));
  }
}

TEST(SnapshotStatesTest, AFlowIsOneInEachVlan) {
  const Snapshot sound = VlanSnapshot();
  SnapshotStates states;
  for (const auto* some : {&sound.children, &sound.parents}) {
    for (const SnapshotState& state : *some) states.Add(state);
  }
  // Older than one of them, and so gone.
  SnapshotState again = sound.parents.back();
  again.id = 0x402;
  states.Add(again);
  EXPECT_EQ(states.Finish(), 0u);
  const Snapshot read = Written(states);
  EXPECT_EQ(read.parents, sound.parents);
  EXPECT_EQ(read.children, sound.children);
  // A child in another VLAN than its parent is nobody's.
  SnapshotStates apart;
  SnapshotState child = sound.children[0];
  child.vlan = VlanId::Of(6);
  apart.Add(child);
  apart.Add(sound.parents[0]);
  EXPECT_EQ(apart.Finish(), 1u);
}

TEST(SnapshotStatesTest, TiesToWhatIsNotThereAreCut) {
  const Snapshot transfer = TransferSnapshot();
  ASSERT_FALSE(transfer.children.empty());
  const SnapshotState child = transfer.children[0];
  SnapshotStates whole;
  whole.Add(child);
  for (const SnapshotState& state : transfer.parents) whole.Add(state);
  EXPECT_EQ(whole.Finish(), 0u);
  EXPECT_EQ(Written(whole).children, transfer.children);
  SnapshotState parent;
  EXPECT_TRUE(whole.FindParent(child.parent, &parent));
  EXPECT_EQ(parent.helper, SnapshotHelper::kTftp);
  EXPECT_EQ(parent.peers[0].address, child.peers[1].address);
  EXPECT_FALSE(whole.FindParent(child.id, &parent));
  SnapshotStates alone;
  alone.Add(child);
  alone.Add(Udp(child.id + 256, 7));
  alone.Add(Udp(1, 8));
  EXPECT_EQ(alone.Finish(), 1u);
  const Snapshot read = Written(alone);
  EXPECT_THAT(IdsOf(read.parents), ElementsAre(1, child.id, child.id + 256));
  EXPECT_EQ(read.parents[1].parent, 0u);
}

// Those of FTP and SCTP stand among the others, whose records stay whole.
TEST(SnapshotStatesTest, TiesOfOtherHelpersAreCutInTheirPlace) {
  const Snapshot sound = FlowChildrenSnapshot();
  const auto with = [&](auto keep) {
    SnapshotStates states;
    for (const auto* some : {&sound.children, &sound.parents}) {
      for (const SnapshotState& state : *some) {
        if (keep(state)) states.Add(state);
      }
    }
    const uint64_t cut = states.Finish();
    return std::pair(cut, Written(states));
  };
  const auto [none, all] = with([](const SnapshotState&) { return true; });
  EXPECT_EQ(none, 0u);
  EXPECT_EQ(all.parents, sound.parents);
  // Without any control connection or association.
  const auto [cut, orphans] = with([](const SnapshotState& state) {
    return state.parent != 0 || state.helper == SnapshotHelper::kTftp;
  });
  EXPECT_EQ(cut, 8u);
  std::vector<SnapshotState> expected;
  for (SnapshotState state : sound.parents) {
    if (state.parent == 0 && state.helper != SnapshotHelper::kTftp) continue;
    state.parent = 0;
    expected.push_back(state);
  }
  EXPECT_EQ(orphans.parents, expected);
  // Of a chain the end is nobody's.
  SnapshotStates chain;
  for (const SnapshotState& state : sound.parents) chain.Add(state);
  SnapshotState last = sound.parents.back();
  last.parent = last.id;
  last.id += 0x100;
  last.peers[0].port ^= 1;
  last.peers[1].port ^= 1;
  chain.Add(last);
  EXPECT_EQ(chain.Finish(), 1u);
  EXPECT_EQ(Written(chain).parents.back().parent, 0u);
}

TEST(SnapshotStatesTest, AStateSaysThatItIsNotForOthers) {
  Snapshot snapshot = NoSyncSnapshot();
  Bytes bytes = *WriteSnapshot(snapshot);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, snapshot);
  bytes[10] = kMinorOfNoSync - 1;
  FixSnapshot(bytes);
  EXPECT_THAT(ReadSnapshot(bytes).status().ToString(),
              HasSubstr("unknown flags"));
}

TEST(SnapshotStatesTest, ActionsHaveOneForm) {
  const Snapshot sound = ActionsSnapshot();
  EXPECT_EQ(ReadSnapshot(*WriteSnapshot(sound))->snapshot, sound);
  struct Case {
    const char* wrong;
    void (*spoil)(PacketActions&);
  };
  for (const Case& c : std::initializer_list<Case>{
           {"unknown actions", [](PacketActions& a) { a.flags |= 0x80; }},
           {"a type of service that is not set",
            [](PacketActions& a) { a.flags = 0; }},
           {"a priority that does not exist or is not set",
            [](PacketActions& a) { a.priority[1] = 8; }},
           {"a priority that does not exist or is not set",
            [](PacketActions& a) {
              a.flags &= static_cast<uint8_t>(~PacketActions::kSetPriority);
            }},
           {"actions of another form",
            [](PacketActions& a) { a.reserved = 1; }}}) {
    Snapshot snapshot = sound;
    c.spoil(snapshot.parents[0].binding.actions);
    EXPECT_THAT(ReadSnapshot(WriteUnchecked(snapshot)).status().ToString(),
                HasSubstr(c.wrong));
  }
}

TEST(SnapshotStatesTest, AnErrorOfTheSinkEndsTheWriting) {
  class Full final : public SnapshotSink {
   public:
    absl::Status Write(std::span<const uint8_t>) override {
      ++calls;
      return absl::ResourceExhaustedError("no space left");
    }
    int calls = 0;
  } sink;
  SnapshotStates states;
  for (const SnapshotState& state : ManyStatesSnapshot(20'000).parents) {
    states.Add(state);
  }
  states.Finish();
  EXPECT_THAT(WriteSnapshot(EmptySnapshot(), states, &sink).status().ToString(),
              HasSubstr("no space left"));
  EXPECT_EQ(sink.calls, 1);
}

}  // namespace
}  // namespace sluice
