#include "conntrack/flow_key.h"

#include <gtest/gtest.h>

#include <optional>

#include <random>
#include <set>
#include <unordered_map>

#include "conntrack/flow_index.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class FlowKey : public testing::TestWithParam<Family> {
  // The last one: only neighbour discovery's key is in its bytes.
  std::optional<TestPacket> packet_;

 protected:
  PacketInfo Info(std::string_view text) {
    packet_.emplace(GetParam(), text);
    return packet_->info;
  }
  // One shape for both families.
  FlowKey6 Key(const PacketInfo& info, Direction direction,
                      uint16_t filter = 0) {
    if (info.family == Family::kIpv6) {
      return MakeKey6(info, *packet_->mbuf, direction, filter);
    }
    const FlowKey4 k = MakeKey4(info, direction, filter);
    FlowKey6 wide;
    std::memcpy(wide.end0.data(), &k.end0, 4);
    std::memcpy(wide.end1.data(), &k.end1, 4);
    wide.port0 = k.port0;
    wide.port1 = k.port1;
    wide.proto = k.proto;
    wide.filter = k.filter;
    wide.family = k.family;
    return wide;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, FlowKey,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(FlowKey, AReplyTheOtherWayHasTheKeyOfItsRequest) {
  const PacketInfo request = Info("tcp $C:1025 > $S:80 S");
  const PacketInfo reply = Info("tcp $S:80 > $C:1025 SA");
  EXPECT_EQ(Key(request, Direction::kIn), Key(reply, Direction::kOut));
  EXPECT_EQ(Key(request, Direction::kOut), Key(reply, Direction::kIn));
  EXPECT_NE(Key(request, Direction::kIn), Key(request, Direction::kOut));
  EXPECT_NE(Key(request, Direction::kIn), Key(reply, Direction::kIn));
  EXPECT_NE(Key(request, Direction::kIn), Key(request, Direction::kIn, 1));
}

TEST_P(FlowKey, ProtocolsAreApart) {
  EXPECT_NE(Key(Info("tcp $C:53 > $S:53 S"), Direction::kIn),
            Key(Info("udp $C:53 > $S:53 data 4"), Direction::kIn));
}

TEST_P(FlowKey, AnEchoReplyHasTheKeyOfItsRequest) {
  const PacketInfo request = Info("icmp $C > $S echo id 4567 seq 1");
  const PacketInfo reply = Info("icmp $S > $C echoreply id 4567 seq 1");
  const FlowKey6 key = Key(request, Direction::kIn);
  EXPECT_EQ(key, Key(reply, Direction::kOut));
  EXPECT_EQ(Be16::FromRaw(key.port0).host(), 4567);
  EXPECT_EQ(Be16::FromRaw(key.port1).host(),
            GetParam() == Family::kIpv4 ? 8 : 128);
  EXPECT_NE(key, Key(Info("icmp $C > $S echo id 4568 seq 1"),
                     Direction::kIn));
}

TEST(IcmpMap, PairsQueriesAndLeavesTheRest) {
  EXPECT_TRUE(MapIcmp(Family::kIpv4, 0).reply);
  EXPECT_EQ(MapIcmp(Family::kIpv4, 0).virtual_type, 8);
  EXPECT_EQ(MapIcmp(Family::kIpv4, 14).virtual_type, 13);
  EXPECT_EQ(MapIcmp(Family::kIpv4, 18).virtual_type, 17);
  EXPECT_FALSE(MapIcmp(Family::kIpv4, 8).reply);
  EXPECT_TRUE(MapIcmp(Family::kIpv6, 129).reply);
  EXPECT_EQ(MapIcmp(Family::kIpv6, 129).virtual_type, 128);
  EXPECT_TRUE(MapIcmp(Family::kIpv6, 136).reply);
  EXPECT_EQ(MapIcmp(Family::kIpv6, 136).virtual_type, 135);
  EXPECT_FALSE(MapIcmp(Family::kIpv6, 131).reply);
  EXPECT_EQ(MapIcmp(Family::kIpv6, 131).virtual_type, 130);
  // Routers advertise unasked.
  EXPECT_FALSE(MapIcmp(Family::kIpv6, 134).reply);
}

template <typename Key>
Key RandomKey(std::mt19937_64& random) {
  Key key;
  if constexpr (std::is_same_v<Key, FlowKey4>) {
    key.end0 = static_cast<uint32_t>(random());
    key.end1 = static_cast<uint32_t>(random());
  } else {
    for (auto& byte : key.end0) byte = static_cast<uint8_t>(random());
    for (auto& byte : key.end1) byte = static_cast<uint8_t>(random());
  }
  key.port0 = static_cast<uint16_t>(random());
  key.port1 = static_cast<uint16_t>(random());
  key.proto = 6;
  return key;
}

template <typename Key>
Key Mirror(Key key) {
  std::swap(key.end0, key.end1);
  std::swap(key.port0, key.port1);
  return key;
}

template <typename Key>
void CheckSymmetry() {
  std::mt19937_64 random(7);
  const HashSecret secret = HashSecret::FromSeed(3);
  for (int i = 0; i < 2000; ++i) {
    const Key key = RandomKey<Key>(random);
    const FlowHash there = Hash(key, secret);
    const FlowHash back = Hash(Mirror(key), secret);
    ASSERT_EQ(there.value, back.value);
    ASSERT_NE(there.order, back.order);
    ASSERT_NE(FlowIndex::TagOf(there), FlowIndex::TagOf(back));
    ASSERT_NE(FlowIndex::TagOf(there), 0);
  }
}

TEST(FlowHash, IsOneForBothDirectionsButForTheOrder) {
  CheckSymmetry<FlowKey4>();
  CheckSymmetry<FlowKey6>();
}

// A port that moves from one end to the other, or a bit that moves from an
// address to a port, is another flow with another hash.
TEST(FlowHash, DoesNotTradeBitsBetweenFields) {
  const HashSecret secret = HashSecret::FromSeed(3);
  std::set<uint64_t> values4, values6;
  constexpr int kSide = 48;
  for (int a = 0; a < kSide; ++a) {
    for (int b = 0; b < kSide; ++b) {
      FlowKey4 k4{.end0 = 0x0100000a, .end1 = 0x0200000a,
                  .port0 = static_cast<uint16_t>(a),
                  .port1 = static_cast<uint16_t>(b), .proto = 17};
      FlowKey6 k6;
      k6.end0[0] = 1;
      k6.end1[0] = 2;
      k6.port0 = static_cast<uint16_t>(a);
      k6.port1 = static_cast<uint16_t>(b);
      k6.proto = 17;
      values4.insert(Hash(k4, secret).value);
      values6.insert(Hash(k6, secret).value);
    }
  }
  EXPECT_EQ(values4.size(), kSide * kSide);
  EXPECT_EQ(values6.size(), kSide * kSide);
}

// Flows that collide under one secret do not under another: nobody can learn
// elsewhere what collides here.
TEST(FlowHash, CollisionsDependOnTheSecret) {
  const HashSecret one = HashSecret::FromSeed(1);
  const HashSecret other = HashSecret::FromSeed(2);
  std::mt19937_64 random(11);
  std::unordered_map<uint64_t, FlowKey4> buckets;
  int collisions = 0, still = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto key = RandomKey<FlowKey4>(random);
    const uint64_t bucket = Hash(key, one).value & 0xfff;
    const auto [at, fresh] = buckets.emplace(bucket, key);
    if (fresh) continue;
    ++collisions;
    if ((Hash(key, other).value & 0xfff) ==
        (Hash(at->second, other).value & 0xfff)) {
      ++still;
    }
  }
  ASSERT_GT(collisions, 10000);
  EXPECT_LT(still, 30);
}

TEST(FlowHash, SpreadsCountedAddressesEvenly) {
  const HashSecret secret = HashSecret::FromSeed(5);
  constexpr int kBuckets = 1024;
  std::array<int, kBuckets> load4{}, load6{};
  for (uint32_t i = 0; i < 64 * kBuckets; ++i) {
    const FlowKey4 k4{.end0 = Be32(0x0a000000 + i).raw(), .end1 = 1,
                      .port0 = 5, .port1 = 80, .proto = 6};
    FlowKey6 k6;
    std::memcpy(&k6.end0[12], &k4.end0, 4);
    k6.proto = 6;
    ++load4[Hash(k4, secret).value % kBuckets];
    ++load6[Hash(k6, secret).value % kBuckets];
  }
  // 64 each on average; eight standard deviations are 64.
  EXPECT_LT(*std::max_element(load4.begin(), load4.end()), 128);
  EXPECT_LT(*std::max_element(load6.begin(), load6.end()), 128);
}

TEST(HashSecret, IsFreshEachTime) {
  EXPECT_NE(HashSecret::Random().words, HashSecret::Random().words);
  EXPECT_EQ(HashSecret::FromSeed(9).words, HashSecret::FromSeed(9).words);
}

}  // namespace
}  // namespace sluice
