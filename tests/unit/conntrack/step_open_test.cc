// The short step of open flows against the whole one: two tables see the same
// packets, and what they know of the flow afterwards is the same.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class StepOpenTest : public testing::TestWithParam<Family> {
 protected:
  // Returns whether the short step took the packet.
  bool Both(const std::string& text, Direction direction) {
    const TestPacket packet(GetParam(), text);
    const JudgePoint where{.direction = direction};
    const StateIndex state =
        short_.table->Find(packet.info, *packet.mbuf, where);
    if (state == kNoState) {
      // Both ended, or neither has begun.
      EXPECT_EQ(short_.Judge(text, direction).kind,
                whole_.Judge(text, direction).kind);
      return false;
    }
    if (short_.table->StepOpen(state, packet.info, direction, short_.now)) {
      const StateIndex other =
          whole_.table->Find(packet.info, *packet.mbuf, where);
      const StepResult step = whole_.table->Step(
          other, packet.info, *packet.mbuf, direction, whole_.now);
      EXPECT_EQ(step.verdict, StepVerdict::kPass) << text;
      EXPECT_FALSE(step.helper || step.log || step.addresses);
      Compare(state, other, text);
      return true;
    }
    EXPECT_EQ(short_.Judge(text, direction).kind,
              whole_.Judge(text, direction).kind);
    return false;
  }

  void Compare(StateIndex a, StateIndex b, const std::string& text) {
    const StateRecord x = short_.Record(a);
    const StateRecord y = whole_.Record(b);
    EXPECT_EQ(x.phase, y.phase) << text;
    EXPECT_EQ(x.timeout, y.timeout) << text;
    EXPECT_EQ(x.packets, y.packets) << text;
    EXPECT_EQ(x.bytes, y.bytes) << text;
    EXPECT_EQ(x.idle, y.idle) << text;
    EXPECT_EQ(x.expires_in, y.expires_in) << text;
    EXPECT_EQ(x.max_window, y.max_window) << text;
    EXPECT_EQ(x.scale, y.scale) << text;
    for (const int peer : {0, 1}) {
      EXPECT_EQ(x.window[peer].low, y.window[peer].low) << text;
      EXPECT_EQ(x.window[peer].high, y.window[peer].high) << text;
    }
  }

  void Advance(uint32_t ticks) {
    short_.Advance(ticks);
    whole_.Advance(ticks);
  }

  Shard short_{GetParam()};
  Shard whole_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, StepOpenTest,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(StepOpenTest, Datagrams) {
  std::mt19937 random(1);
  int taken = 0;
  for (int i = 0; i < 4000; ++i) {
    const bool in = random() % 4 != 0;
    const uint32_t port = 1000 + random() % 3;
    taken += Both(in ? absl::StrCat("udp $C:", port, " > $S:53")
                     : absl::StrCat("udp $S:53 > $C:", port, " data 9"),
                  in ? Direction::kIn : Direction::kOut);
    Advance(random() % 8 == 0 ? 20000 : random() % 4000);
  }
  EXPECT_GT(taken, 1000);
  EXPECT_LT(taken, 3900);
}

TEST_P(StepOpenTest, Segments) {
  std::mt19937 random(2);
  int taken = 0;
  for (int round = 0; round < 60; ++round) {
    const uint32_t port = 2000 + round;
    const std::string out = absl::StrCat("tcp $C:", port, " > $S:80 ");
    const std::string back = absl::StrCat("tcp $S:80 > $C:", port, " ");
    uint32_t mine = 100, theirs = 500;
    Both(absl::StrCat(out, "S seq ", mine++), Direction::kIn);
    Both(absl::StrCat(back, "SA seq ", theirs++, " ack ", mine),
         Direction::kOut);
    Both(absl::StrCat(out, "A seq ", mine, " ack ", theirs), Direction::kIn);
    for (int i = 0; i < 60; ++i) {
      const bool in = random() % 2 == 0;
      uint32_t& seq = in ? mine : theirs;
      const uint32_t ack = in ? theirs : mine;
      const uint32_t length = random() % 3 == 0 ? 0 : random() % 1000;
      // Most fit, some are far off, some are old, a few end the connection.
      uint32_t at = seq;
      if (random() % 10 == 0) at += random() % 200000 - 100000;
      const char* const flags =
          random() % 60 == 0 ? "R" : random() % 60 == 0 ? "FA" : "A";
      taken += Both(absl::StrCat(in ? out : back, flags, " seq ", at, " ack ",
                                 ack + (random() % 12 == 0 ? random() : 0),
                                 " win ", random() % 65536, " data ", length),
                    in ? Direction::kIn : Direction::kOut);
      if (at == seq) seq += length;
      Advance(random() % 500);
    }
  }
  EXPECT_GT(taken, 1000);
  EXPECT_LT(taken, 3500);
}

}  // namespace
}  // namespace sluice
