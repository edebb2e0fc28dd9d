// Timestamps moved and checked, and the TTL's floor.
#include "conntrack/tcp_scrub.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "packet/checksum.h"
#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr uint32_t kModulation[2] = {0x80000001, 0x12345678};

struct Stamps {
  uint32_t value = 0;
  uint32_t echo = 0;
  bool operator==(const Stamps&) const = default;
};

class TcpScrubTest : public testing::TestWithParam<const char*> {
 protected:
  // What becomes of the segment's timestamps; nothing: it is dropped.
  std::optional<Stamps> Send(uint32_t from, const std::string& flags,
                             std::optional<Stamps> stamps, uint32_t data = 0,
                             const std::string& more = "") {
    const bool v4 = std::string(GetParam()) == "inet";
    const std::string a = v4 ? "10.0.0.1:1" : "[2001:db8::1]:1";
    const std::string b = v4 ? "10.0.0.2:2" : "[2001:db8::2]:2";
    std::string text = "tcp " + (from == 0 ? a : b) + " > " +
                       (from == 0 ? b : a) + " " + flags + " ack 1 " + more;
    // At an odd place, as some hosts write them.
    if (stamps) {
      text += " <nop,ts " + std::to_string(stamps->value) + " " +
              std::to_string(stamps->echo) + ">";
    }
    if (data > 0) text += " data " + std::to_string(data);
    const std::vector<uint32_t> pieces = {41, 22, 9, 3, 5};
    PlainMbuf mbuf(FrameFromText(text), pieces);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    EXPECT_EQ(info.kind, Kind::kIp) << text;
    const TcpScrubMoment moment = {.from = from,
                                   .established = established_,
                                   .slack = 30,
                                   .age = now_,
                                   .now = start_ + now_};
    if (!TimestampsAreSound(scrub_, info, *mbuf, moment)) return std::nullopt;
    ScrubTcp(scrub_, info, *mbuf.get(), moment, kModulation[from]);
    EXPECT_TRUE(TransportChecksumIsRight(*mbuf, info)) << text;
    ttl_ = info.ttl;
    Stamps out;
    if (!stamps) return out;
    const std::vector<uint8_t> bytes = mbuf.bytes();
    const auto word = [&](size_t at) {
      return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 |
             uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
    };
    return Stamps{word(info.l4_offset + 23u), word(info.l4_offset + 27u)};
  }

  // A handshake in which both have timestamps.
  void Open() {
    const auto syn = Send(0, "S", Stamps{1000, 0});
    ASSERT_EQ(syn, (Stamps{1000 + kModulation[0], 0}));
    const auto answer = Send(1, "SA", Stamps{70, syn->value});
    ASSERT_EQ(answer, (Stamps{70 + kModulation[1], 1000}));
    established_ = true;
    ASSERT_EQ(Send(0, "A", Stamps{1001, answer->value}),
              (Stamps{1001 + kModulation[0], 70}));
    ASSERT_EQ(Send(1, "A", Stamps{71, 1001 + kModulation[0]}, 10),
              (Stamps{71 + kModulation[1], 1001}));
    ASSERT_EQ(Send(0, "A", Stamps{1002, 71 + kModulation[1]}, 10),
              (Stamps{1002 + kModulation[0], 71}));
  }

  TcpScrub scrub_;
  bool established_ = false;
  uint32_t now_ = 0;
  Tick start_ = 0xfffffff0;  // wraps around on the way
  uint8_t ttl_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Families, TcpScrubTest,
                         testing::Values("inet", "inet6"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

TEST_P(TcpScrubTest, MovesTimestampsThereAndBack) { Open(); }

TEST_P(TcpScrubTest, DropsWhatNobodyCanHaveSent) {
  Open();
  const uint32_t echo = 71 + kModulation[1];
  // Older than what the other side has echoed.
  EXPECT_FALSE(Send(0, "A", Stamps{1000, echo}, 5));
  // Beyond a fast clock in no time and the slack.
  EXPECT_FALSE(Send(0, "A", Stamps{1002 + 33001, echo}, 5));
  EXPECT_TRUE(Send(0, "A", Stamps{1002 + 33000, echo}, 5));
  // An echo of what was never sent, or was sent before the first.
  EXPECT_FALSE(Send(0, "A", Stamps{34002, echo + 1}, 5));
  EXPECT_FALSE(Send(0, "A", Stamps{34002, 69 + kModulation[1]}, 5));
  EXPECT_TRUE(Send(0, "A", Stamps{34002, 70 + kModulation[1]}, 5));
  // Data without, from one who sent data with; what has no data may.
  EXPECT_FALSE(Send(0, "A", std::nullopt, 5));
  EXPECT_TRUE(Send(0, "A", std::nullopt));
  EXPECT_TRUE(Send(0, "R", std::nullopt));
  EXPECT_FALSE(Send(0, "A", std::nullopt, 0, "<ts 34002 0,nop,ts 34002 0>"));
}

TEST_P(TcpScrubTest, AClockGoesOnWhileNobodySends) {
  Open();
  const uint32_t echo = 71 + kModulation[1];
  now_ = 1000;
  EXPECT_FALSE(Send(0, "A", Stamps{1002 + 34101, echo}, 5));
  EXPECT_TRUE(Send(0, "A", Stamps{1002 + 34100, echo}, 5));
  // After 24 days it may have come round.
  now_ = 24u * 24 * 3600 * 1000 + 1001;
  EXPECT_TRUE(Send(0, "A", Stamps{3, 1}, 5));
}

TEST_P(TcpScrubTest, WhoHasNoTimestampsIsLeftAlone) {
  ASSERT_EQ(Send(0, "S", std::nullopt), Stamps());
  EXPECT_EQ(Send(1, "SA", Stamps{5, 6}), (Stamps{5 + kModulation[1], 6}));
  established_ = true;
  EXPECT_TRUE(Send(0, "A", std::nullopt, 10));
  EXPECT_EQ(Send(0, "A", Stamps{7, 5 + kModulation[1]}, 10), (Stamps{7, 5}));
}

TEST_P(TcpScrubTest, AConnectionThatWasNotSeenToBeginIsNotMoved) {
  established_ = true;
  EXPECT_EQ(Send(0, "A", Stamps{1000, 4}, 10), (Stamps{1000, 4}));
  EXPECT_EQ(Send(1, "A", Stamps{9, 1000}, 10), (Stamps{9, 1000}));
}

TEST_P(TcpScrubTest, TheTtlNeverFalls) {
  Send(0, "S", std::nullopt, 0, "ttl 30");
  EXPECT_EQ(ttl_, 30);
  Send(0, "A", std::nullopt, 0, "ttl 10");
  EXPECT_EQ(ttl_, 30);
  Send(0, "A", std::nullopt, 0, "ttl 40");
  EXPECT_EQ(ttl_, 40);
  Send(1, "SA", std::nullopt, 0, "ttl 9");
  EXPECT_EQ(ttl_, 9);
}

}  // namespace
}  // namespace sluice
