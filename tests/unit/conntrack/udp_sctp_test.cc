// The machines of UDP, of protocols without one, and of SCTP.
#include <gtest/gtest.h>

#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class Datagram : public testing::TestWithParam<Family> {
 protected:
  int Phase(StateIndex state, int peer) {
    return shard.table->entries().hot(state).phase[peer];
  }
  Shard shard{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, Datagram,
                         testing::Values(Family::kIpv4, Family::kIpv6));

constexpr int kNoTraffic = static_cast<int>(DatagramPhase::kNoTraffic);
constexpr int kSingle = static_cast<int>(DatagramPhase::kSingle);
constexpr int kMultiple = static_cast<int>(DatagramPhase::kMultiple);

struct Step {
  bool reply;
  int originator;
  int responder;
  Timeout timeout;
};

TEST_P(Datagram, UdpPhases) {
  const StateIndex s = shard.In("udp $C:1 > $S:2 data 4").state;
  EXPECT_EQ(Phase(s, 0), kSingle);
  EXPECT_EQ(Phase(s, 1), kNoTraffic);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kUdpFirst);
  const Step steps[] = {
      {false, kSingle, kNoTraffic, Timeout::kUdpSingle},
      {true, kMultiple, kSingle, Timeout::kUdpSingle},
      {true, kMultiple, kSingle, Timeout::kUdpSingle},
      {false, kMultiple, kMultiple, Timeout::kUdpMultiple},
      {true, kMultiple, kMultiple, Timeout::kUdpMultiple},
  };
  for (const Step& step : steps) {
    const Outcome o = step.reply ? shard.Out("udp $S:2 > $C:1 data 4")
                                 : shard.In("udp $C:1 > $S:2 data 4");
    ASSERT_EQ(o.kind, Outcome::kPassed);
    ASSERT_EQ(o.state, s);
    EXPECT_EQ(Phase(s, 0), step.originator);
    EXPECT_EQ(Phase(s, 1), step.responder);
    EXPECT_EQ(shard.Record(s).timeout, step.timeout);
  }
}

TEST_P(Datagram, OtherProtocols) {
  const StateIndex s = shard.In("ip $C > $S proto 47 data 20").state;
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kOtherFirst);
  EXPECT_EQ(shard.Out("ip $S > $C proto 47 data 20").state, s);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kOtherSingle);
  EXPECT_EQ(shard.In("ip $C > $S proto 47 data 20").state, s);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kOtherMultiple);
  EXPECT_NE(shard.In("ip $C > $S proto 50 data 20").state, s);
}

// Chunks: type, flags, length 4.
constexpr char kInitBytes[] = "data 0x01000004";
constexpr char kInitAck[] = "data 0x02000004";
constexpr char kData[] = "data 0x00030004";
constexpr char kAbort[] = "data 0x06000004";
constexpr char kAbortReflected[] = "data 0x06010004";
constexpr char kShutdown[] = "data 0x07000004";
constexpr char kShutdownAck[] = "data 0x08000004";
constexpr char kCookieEcho[] = "data 0x0a000004";
constexpr char kCookieAck[] = "data 0x0b000004";
constexpr char kShutdownComplete[] = "data 0x0e000004";

class Sctp : public Datagram {
 protected:
  Outcome There(int tag, const std::string& chunk) {
    return shard.In("sctp $C:7 > $S:8 vtag " + std::to_string(tag) + " " +
                    chunk);
  }
  Outcome Back(int tag, const std::string& chunk) {
    return shard.Out("sctp $S:8 > $C:7 vtag " + std::to_string(tag) + " " +
                     chunk);
  }
  StateIndex Open() {
    const StateIndex s = There(0, kInitBytes).state;
    EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpFirst);
    EXPECT_EQ(Back(11, kInitAck).kind, Outcome::kPassed);
    EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpOpening);
    EXPECT_EQ(There(22, kCookieEcho).kind, Outcome::kPassed);
    EXPECT_EQ(Back(11, kCookieAck).kind, Outcome::kPassed);
    EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpEstablished);
    return s;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, Sctp,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Sctp, OpensTransfersAndShutsDown) {
  const StateIndex s = Open();
  EXPECT_EQ(There(22, kData).kind, Outcome::kPassed);
  EXPECT_EQ(There(22, kShutdown).kind, Outcome::kPassed);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpClosing);
  EXPECT_EQ(Back(11, kShutdownAck).kind, Outcome::kPassed);
  EXPECT_EQ(There(22, kShutdownComplete).kind, Outcome::kPassed);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpClosed);
  // A new association takes over.
  const Outcome again = There(0, kInitBytes);
  EXPECT_EQ(again.kind, Outcome::kCreated);
  EXPECT_EQ(shard.table->size(), 1u);
}

TEST_P(Sctp, AStrangersTagIsRefused) {
  const StateIndex s = Open();
  const Outcome forged = There(99, kAbort);
  EXPECT_EQ(forged.kind, Outcome::kRefused);
  EXPECT_EQ(forged.reason, DropReason::kStateMismatch);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpEstablished);
  // The other direction's tag counts only with the T bit.
  EXPECT_EQ(There(11, kAbort).kind, Outcome::kRefused);
  EXPECT_EQ(There(11, kAbortReflected).kind, Outcome::kPassed);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kSctpClosed);
}

TEST_P(Sctp, AnInitWithATagIsRefused) {
  Open();
  EXPECT_EQ(There(22, kInitBytes).kind, Outcome::kRefused);
}

}  // namespace
}  // namespace sluice
