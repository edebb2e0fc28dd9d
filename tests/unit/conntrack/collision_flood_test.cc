// Flows that are chosen so that they fall into one bucket of the flow index: by
// somebody who does not know the secret of the hash, and by somebody who does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/flow_index.h"
#include "conntrack/flow_key.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

constexpr uint32_t kKeys = 1024;  // 256 buckets

struct Ends {
  uint64_t address0 = 0;  // IPv4: the lower 32 bits
  uint64_t address1 = 0;
  uint16_t port0 = 0;
  uint16_t port1 = 0;
};

FlowHash HashOf(Family family, const Ends& ends, const HashSecret& secret) {
  if (family == Family::kIpv4) {
    FlowKey4 key;
    key.end0 = static_cast<uint32_t>(ends.address0);
    key.end1 = static_cast<uint32_t>(ends.address1);
    key.port0 = ends.port0;
    key.port1 = ends.port1;
    key.proto = protocol::kUdp;
    return Hash(key, secret);
  }
  FlowKey6 key;
  std::memcpy(key.end0.data() + 8, &ends.address0, 8);
  std::memcpy(key.end1.data() + 8, &ends.address1, 8);
  key.port0 = ends.port0;
  key.port1 = ends.port1;
  key.proto = protocol::kUdp;
  return Hash(key, secret);
}

// Lines that the longest look-up reads.
uint32_t LongestChain(Family family, const std::vector<Ends>& flows,
                      const HashSecret& secret) {
  FlowIndex index;
  EXPECT_TRUE(index.Build(kKeys, false, false).ok());
  std::map<const FlowIndex::Bucket*, uint32_t> buckets;
  uint32_t most = 0;
  for (uint32_t i = 0; i < flows.size(); ++i) {
    const FlowHash hash = HashOf(family, flows[i], secret);
    EXPECT_TRUE(index.Insert(hash, i));
    most = std::max(most, ++buckets[index.BucketOf(hash)]);
  }
  return (most + FlowIndex::kPlaces - 1) / FlowIndex::kPlaces;
}

class CollisionFloodTest : public testing::TestWithParam<Family> {
 protected:
  // All in one bucket for whoever has this secret.
  std::vector<Ends> Colliding(const HashSecret& secret, uint32_t count) {
    FlowIndex index;
    EXPECT_TRUE(index.Build(kKeys, false, false).ok());
    const FlowIndex::Bucket* const wanted = index.BucketOf({0, false});
    std::vector<Ends> found;
    for (uint64_t i = 0; found.size() < count; ++i) {
      const Ends ends = {.address0 = 0x0a000000 + (i >> 16),
                         .address1 = 0x0a000001,
                         .port0 = static_cast<uint16_t>(i),
                         .port1 = 80};
      if (index.BucketOf(HashOf(GetParam(), ends, secret)) == wanted) {
        found.push_back(ends);
      }
    }
    return found;
  }
};

INSTANTIATE_TEST_SUITE_P(Families, CollisionFloodTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

// Whatever order is in the flows, they lie as dice would have them: of 1024 in
// 256 buckets of 8 places, none has more than 24.
TEST_P(CollisionFloodTest, WithoutTheSecretFlowsAreSpread) {
  constexpr uint32_t kBound = 3;
  const HashSecret guessed = HashSecret::FromSeed(1000);
  struct Choice {
    const char* name;
    std::function<Ends(uint64_t)> flow;
  };
  const Choice choices[] = {
      {"ports", [](uint64_t i) {
         return Ends{1, 2, static_cast<uint16_t>(i), 80};
       }},
      {"both ports, whose sum is one", [](uint64_t i) {
         return Ends{1, 2, static_cast<uint16_t>(i),
                     static_cast<uint16_t>(65535 - i)};
       }},
      {"addresses", [](uint64_t i) { return Ends{i, 2, 1, 80}; }},
      {"addresses, upper bits", [](uint64_t i) {
         return Ends{i << 22, 2, 1, 80};
       }},
      {"both addresses alike", [](uint64_t i) {
         return Ends{i, i, 1, 80};
       }},
      {"ends that trade bits", [](uint64_t i) {
         return Ends{i, 1023 - i, static_cast<uint16_t>(i),
                     static_cast<uint16_t>(1023 - i)};
       }},
      {"strides of a table's size", [](uint64_t i) {
         return Ends{i * 256, 2, static_cast<uint16_t>(i * 256), 80};
       }},
  };
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const HashSecret secret = HashSecret::FromSeed(seed);
    for (const Choice& choice : choices) {
      std::vector<Ends> flows;
      for (uint64_t i = 0; i < kKeys; ++i) flows.push_back(choice.flow(i));
      EXPECT_LE(LongestChain(GetParam(), flows, secret), kBound)
          << choice.name << ", seed " << seed;
    }
    // Chosen for another secret: there they are one chain.
    const std::vector<Ends> chosen = Colliding(guessed, kKeys);
    EXPECT_LE(LongestChain(GetParam(), chosen, secret), kBound);
    if (seed == 1) {
      EXPECT_EQ(LongestChain(GetParam(), chosen, guessed),
                kKeys / FlowIndex::kPlaces);
    }
  }
}

// With the secret all of an attacker's flows are one chain. What bounds it is
// what bounds states: its look-ups read a line for eight of them, nobody else's
// do, and no memory is taken for it.
TEST_P(CollisionFloodTest, WithTheSecretTheBoundIsTheLimitOfStates) {
  constexpr uint32_t kLimit = 1500;
  constexpr uint64_t kBits = 0xfff;  // as many buckets or fewer
  const HashSecret secret = HashSecret::FromSeed(1);  // the shard's
  Shard shard(GetParam(), {.capacity = 2000});
  shard.budget.SetLimit(kLimit);
  const size_t memory = shard.table->memory();
  ASSERT_EQ(shard.In("udp $C:1 > $S:53").kind, Outcome::kCreated);
  ASSERT_EQ(shard.Out("udp $S:53 > $C:1").kind, Outcome::kPassed);
  const TestPacket first(GetParam(), "udp $X:1 > $S:80");
  const auto flows = [&] {
    std::vector<PacketInfo> found;
    PacketInfo info = first.info;
    for (uint32_t i = 0; found.size() < kLimit + 100; ++i) {
      const uint32_t address = i >> 16;
      std::memcpy(info.source.data() + (GetParam() == Family::kIpv4 ? 1 : 12),
                  &address, GetParam() == Family::kIpv4 ? 2 : 4);
      info.source_port = Be16(static_cast<uint16_t>(i));
      const FlowHash hash =
          GetParam() == Family::kIpv4
              ? Hash(MakeKey4(info, Direction::kIn, 0), secret)
              : Hash(MakeKey6(info, *first.mbuf, Direction::kIn, 0), secret);
      if ((hash.value & kBits) != 0) continue;
      found.push_back(info);
    }
    return found;
  }();
  for (int round = 0; round < 2; ++round) {
    uint32_t made = 0, refused = 0;
    for (size_t i = 0; i < flows.size(); ++i) {
      TestPacket packet(GetParam(), "udp $X:1 > $S:80");
      packet.info = flows[i];
      const Outcome outcome =
          shard.Judge(packet, {.direction = Direction::kIn});
      made += outcome.kind == Outcome::kCreated;
      if (outcome.kind == Outcome::kRefused) {
        ++refused;
        EXPECT_EQ(outcome.reason, DropReason::kStateLimit);
      }
      ASSERT_LE(shard.table->size(), kLimit);
      // The flow that was there, and a new one as long as there is room.
      if (i % 64 != 0) continue;
      ASSERT_EQ(shard.In("udp $C:1 > $S:53").kind, Outcome::kPassed);
      if (i + 100 > kLimit) continue;
      const Outcome other =
          shard.In(absl::StrCat("udp $A:", 1000 + i, " > $S:53"));
      ASSERT_EQ(other.kind, Outcome::kCreated);
      shard.table->Remove(other.state);
    }
    EXPECT_EQ(made, kLimit - 1);
    EXPECT_EQ(refused, flows.size() - made);
    EXPECT_EQ(shard.table->memory(), memory);
    // All of them are found, to the end of the chain.
    for (size_t i = 0; i < made; i += 100) {
      TestPacket packet(GetParam(), "udp $X:1 > $S:80");
      packet.info = flows[i];
      EXPECT_EQ(shard.Judge(packet, {.direction = Direction::kIn}).kind,
                Outcome::kPassed);
    }
    // They end as others do, and leave nothing.
    shard.Advance(70'000, 10'000);
    shard.Advance(70'000, 10'000);
    EXPECT_EQ(shard.table->size(), 0u);
    ASSERT_EQ(shard.In("udp $C:1 > $S:53").kind, Outcome::kCreated);
    ASSERT_EQ(shard.Out("udp $S:53 > $C:1").kind, Outcome::kPassed);
  }
}

}  // namespace
}  // namespace sluice
