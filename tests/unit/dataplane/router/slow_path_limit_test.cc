#include "dataplane/router/slow_path_limit.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

std::vector<uint8_t> Frame(std::vector<uint16_t> types, size_t rest) {
  std::vector<uint8_t> frame(12);
  for (size_t i = 0; i < types.size(); ++i) {
    frame.push_back(static_cast<uint8_t>(types[i] >> 8));
    frame.push_back(static_cast<uint8_t>(types[i]));
    if (i + 1 < types.size()) frame.insert(frame.end(), 2, 0);
  }
  frame.resize(frame.size() + rest);
  return frame;
}

std::vector<uint8_t> Icmp6(std::vector<uint16_t> tags, uint8_t type) {
  tags.push_back(0x86dd);
  std::vector<uint8_t> frame = Frame(tags, 44);
  frame[frame.size() - 44 + 6] = 58;
  frame[frame.size() - 4] = type;
  return frame;
}

TEST(SlowPathLimitTest, KindsOfFrames) {
  EXPECT_EQ(KindOf(Frame({0x0806}, 28)), HostKind::kArp);
  EXPECT_EQ(KindOf(Frame({0x8100, 0x0806}, 28)), HostKind::kArp);
  EXPECT_EQ(KindOf(Frame({0x88a8, 0x8100, 0x0806}, 28)), HostKind::kArp);
  EXPECT_EQ(KindOf(Frame({0x0800}, 40)), HostKind::kOther);
  for (uint8_t type = 128; type < 140; ++type) {
    const HostKind kind = type >= 133 && type <= 137
                              ? HostKind::kNeighborDiscovery
                              : HostKind::kOther;
    EXPECT_EQ(KindOf(Icmp6({}, type)), kind) << int{type};
    EXPECT_EQ(KindOf(Icmp6({0x8100}, type)), kind) << int{type};
  }
  // Cut anywhere, it is read no further than it goes.
  const std::vector<uint8_t> whole = Icmp6({0x88a8, 0x8100}, 135);
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::vector<uint8_t> part(whole.begin(), whole.begin() + length);
    EXPECT_EQ(KindOf(part), length + 3 >= whole.size()
                                ? HostKind::kNeighborDiscovery
                                : HostKind::kOther)
        << length;
  }
}

TEST(SlowPathLimitTest, ASecondFillsABucketAndKindsHaveTheirOwn) {
  SlowPathLimit limit({10, 20, 40});
  const auto taken = [&limit](HostKind kind, uint64_t now) {
    int count = 0;
    while (count < 1000 && limit.Take(kind, now)) ++count;
    return count;
  };
  EXPECT_EQ(taken(HostKind::kArp, 5000), 10);
  EXPECT_EQ(taken(HostKind::kNeighborDiscovery, 5000), 20);
  EXPECT_EQ(taken(HostKind::kOther, 5000), 40);
  EXPECT_EQ(taken(HostKind::kArp, 5050), 0);
  EXPECT_EQ(taken(HostKind::kArp, 5100), 1);
  EXPECT_EQ(taken(HostKind::kArp, 5600), 5);
  // No more than a second's, however long nothing came; and no clock that goes
  // back makes any.
  EXPECT_EQ(taken(HostKind::kArp, 1'000'000), 10);
  EXPECT_EQ(taken(HostKind::kArp, 5000), 0);
}

std::vector<uint8_t> Arp(std::vector<uint16_t> tags, uint8_t operation) {
  tags.push_back(0x0806);
  std::vector<uint8_t> frame = Frame(tags, 28);
  uint8_t* const arp = frame.data() + frame.size() - 28;
  arp[7] = operation;
  arp[14] = 10, arp[17] = 2;
  arp[24] = 10, arp[27] = 1;
  return frame;
}

// From fd00::2; a solicitation is for fd00::1.
std::vector<uint8_t> Discovery(std::vector<uint16_t> tags, uint8_t type) {
  tags.push_back(0x86dd);
  std::vector<uint8_t> frame = Frame(tags, 64);
  uint8_t* const ip = frame.data() + frame.size() - 64;
  ip[6] = 58;
  ip[8] = 0xfd, ip[23] = 2;
  ip[40] = type;
  ip[48] = 0xfd, ip[63] = 1;
  return frame;
}

TEST(SlowPathLimitTest, WhoMakesANeighbourOfHimself) {
  for (const std::vector<uint16_t>& tags :
       {std::vector<uint16_t>{}, {0x8100}, {0x88a8, 0x8100}}) {
    const auto asker = AskerOf(Arp(tags, 1));
    ASSERT_TRUE(asker.has_value());
    EXPECT_EQ(asker->sender, *ParseAddress("10.0.0.2"));
    EXPECT_EQ(asker->target, *ParseAddress("10.0.0.1"));
    EXPECT_FALSE(AskerOf(Arp(tags, 2)).has_value());
    for (const uint8_t type : {133, 134, 137}) {
      const auto router = AskerOf(Discovery(tags, type));
      ASSERT_TRUE(router.has_value()) << int{type};
      EXPECT_EQ(router->sender, *ParseAddress("fd00::2"));
      EXPECT_EQ(router->target.family, Family::kNone);
    }
    const auto solicits = AskerOf(Discovery(tags, 135));
    ASSERT_TRUE(solicits.has_value());
    EXPECT_EQ(solicits->sender, *ParseAddress("fd00::2"));
    EXPECT_EQ(solicits->target, *ParseAddress("fd00::1"));
    EXPECT_FALSE(AskerOf(Discovery(tags, 136)).has_value());
    EXPECT_FALSE(AskerOf(Discovery(tags, 128)).has_value());
  }
  // Probes have no sender.
  std::vector<uint8_t> probe = Arp({}, 1);
  probe[28] = probe[31] = 0;
  EXPECT_FALSE(AskerOf(probe).has_value());
  std::vector<uint8_t> detection = Discovery({}, 135);
  detection[22] = detection[37] = 0;
  EXPECT_FALSE(AskerOf(detection).has_value());
  for (const std::vector<uint8_t>& whole :
       {Arp({0x8100}, 1), Discovery({0x8100}, 135)}) {
    for (size_t length = 0; length < whole.size(); ++length) {
      const std::vector<uint8_t> part(whole.begin(), whole.begin() + length);
      EXPECT_FALSE(AskerOf(part).has_value()) << length;
    }
  }
}

TEST(SlowPathLimitTest, StrangersHaveABucketOfEachKind) {
  SlowPathLimit limit;
  const auto taken = [&limit](HostKind kind, uint64_t now) {
    uint32_t count = 0;
    while (count < 1000 && limit.TakeStranger(kind, now)) ++count;
    return count;
  };
  EXPECT_EQ(taken(HostKind::kArp, 5000), kStrangers);
  EXPECT_EQ(taken(HostKind::kNeighborDiscovery, 5000), kStrangers);
  EXPECT_EQ(taken(HostKind::kArp, 5500), kStrangers / 2);
  EXPECT_TRUE(limit.Take(HostKind::kArp, 5500));
}

}  // namespace
}  // namespace sluice
