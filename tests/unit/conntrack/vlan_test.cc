// What is remembered of packets is remembered by VLAN.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "conntrack/syncookie.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class VlanTest : public testing::TestWithParam<Family> {
 protected:
  Shard shard_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, VlanTest,
                         testing::Values(Family::kIpv4, Family::kIpv6));

const std::string kVlans[] = {"",         " vlan 5", " vlan 6",
                              " qinq 5 vlan 6", " qinq 6 vlan 5"};

TEST_P(VlanTest, OneFlowInEachIsAStateOfItsOwn) {
  std::set<StateIndex> states;
  for (const std::string& vlan : kVlans) {
    const Outcome made = shard_.In("udp $C:1000 > $S:53" + vlan);
    ASSERT_EQ(made.kind, Outcome::kCreated) << vlan;
    states.insert(made.state);
  }
  EXPECT_EQ(states.size(), std::size(kVlans));
  for (const std::string& vlan : kVlans) {
    const Outcome answer = shard_.Out("udp $S:53 > $C:1000 data 7" + vlan);
    ASSERT_EQ(answer.kind, Outcome::kPassed) << vlan;
    EXPECT_EQ(states.erase(answer.state), 1u) << vlan;
  }
  // Neither priorities nor the kind of tag make another VLAN.
  EXPECT_EQ(shard_.In("udp $C:1000 > $S:53 vlan 5 pcp 6").kind,
            Outcome::kPassed);
  EXPECT_EQ(shard_.In("udp $C:1000 > $S:53 qinq 5").kind, Outcome::kPassed);
  EXPECT_EQ(shard_.In("udp $C:1000 > $S:53 vlan 0 pcp 6").kind,
            Outcome::kPassed);
  const StateIndex tagged = shard_.In("udp $C:1000 > $S:53 vlan 5").state;
  EXPECT_EQ(shard_.Record(tagged).vlan, VlanId::Of(5));
  EXPECT_EQ(shard_.Record(tagged).family, GetParam());
  shard_.table->Remove(tagged);
  EXPECT_EQ(shard_.In("udp $C:1000 > $S:53 vlan 5").kind, Outcome::kCreated);
}

TEST_P(VlanTest, CountersLieBesideIt) {
  const StateIndex state =
      shard_.In("udp $C:1000 > $S:53 qinq 4095 vlan 4094").state;
  TestPacket packet(GetParam(), "udp $C:1000 > $S:53 qinq 4095 vlan 4094");
  const uint64_t bytes = packet.info.ip_length;
  constexpr uint64_t kMany = 1'200'000;
  for (uint64_t i = 1; i < kMany; ++i) {
    ASSERT_EQ(shard_.table
                  ->Step(state, packet.info, *packet.mbuf, Direction::kIn,
                         shard_.now)
                  .verdict,
              StepVerdict::kPass);
  }
  EXPECT_EQ(shard_.Record(state).packets[0], kMany);
  EXPECT_EQ(shard_.Record(state).bytes[0], kMany * bytes);
  packet.info.ip_length = 65535;
  for (uint64_t i = 0; i < 1000; ++i) {
    shard_.table->Step(state, packet.info, *packet.mbuf, Direction::kOut,
                       shard_.now);
  }
  EXPECT_EQ(shard_.Record(state).packets[1], 1000u);
  EXPECT_EQ(shard_.Record(state).bytes[1], 65'535'000u);
  EXPECT_EQ(shard_.Record(state).vlan, VlanId::Of(4095, 4094));
  EXPECT_EQ(shard_.In("udp $C:1000 > $S:53 qinq 4095 vlan 4094").state, state);
}

TEST_P(VlanTest, ChildrenAreWhereTheirParentIs) {
  shard_.In("udp $C:1000 > $S:69 vlan 5 tftp rrq \"f\" octet");
  EXPECT_EQ(shard_.Out("udp $S:3000 > $C:1000 tftp data 1 512").kind,
            Outcome::kCreated);
  EXPECT_EQ(shard_.Out("udp $S:3001 > $C:1000 vlan 6 tftp data 1 512").kind,
            Outcome::kCreated);
  const Outcome child =
      shard_.Out("udp $S:3000 > $C:1000 vlan 5 tftp data 1 512");
  EXPECT_EQ(child.kind, Outcome::kChild);
  EXPECT_EQ(shard_.Record(child.state).vlan, VlanId::Of(5));
  EXPECT_EQ(shard_.expectations->size(), 0u);
}

TEST_P(VlanTest, ErrorsBelongToStatesOfTheirVlan) {
  shard_.In("udp $C:1000 > $S:53 vlan 5");
  const auto error = [this](const std::string& vlan) {
    return shard_
        .Out("icmp $S > $C unreach port" + vlan +
             " inner { udp $C:1000 > $S:53 }")
        .kind;
  };
  EXPECT_EQ(error(""), Outcome::kUnrelated);
  EXPECT_EQ(error(" vlan 6"), Outcome::kUnrelated);
  EXPECT_EQ(error(" qinq 6 vlan 5"), Outcome::kUnrelated);
  EXPECT_EQ(error(" vlan 5"), Outcome::kRelated);
}

TEST_P(VlanTest, CookiesHoldInTheirVlan) {
  const HashKey key = {.low = 1, .high = 2};
  const TestPacket syn(GetParam(), "tcp $C:1000 > $S:80 S seq 7");
  TestPacket ack(GetParam(), "tcp $C:1000 > $S:80 A seq 8");
  ack.info.acknowledgment =
      MakeSyncookie(key, syn.info, VlanId::Of(5), 1460, 0) + 1;
  EXPECT_TRUE(CheckSyncookie(key, ack.info, VlanId::Of(5), 0).has_value());
  EXPECT_FALSE(CheckSyncookie(key, ack.info, VlanId::Of(6), 0).has_value());
  EXPECT_FALSE(CheckSyncookie(key, ack.info, {}, 0).has_value());
}

}  // namespace
}  // namespace sluice
