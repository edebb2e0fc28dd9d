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

}  // namespace
}  // namespace sluice
