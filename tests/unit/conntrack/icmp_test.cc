// ICMP queries, and errors about packets of other states.
#include <gtest/gtest.h>

#include "packet/inner.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class Icmp : public testing::TestWithParam<Family> {
 protected:
  bool v4() const { return GetParam() == Family::kIpv4; }
  Shard shard{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, Icmp,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Icmp, EchoAndItsReply) {
  const StateIndex s = shard.In("icmp $C > $S echo id 77 seq 1").state;
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kIcmpFirst);
  EXPECT_EQ(shard.Record(s).port[0], 77);
  EXPECT_EQ(shard.Record(s).port[1], v4() ? 8 : 128);
  EXPECT_EQ(shard.Out("icmp $S > $C echoreply id 77 seq 1").state, s);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kIcmpError);
  EXPECT_EQ(shard.In("icmp $C > $S echo id 77 seq 2").state, s);
  EXPECT_NE(shard.In("icmp $C > $S echo id 78 seq 1").state, s);
}

TEST_P(Icmp, AQueryTheWrongWayIsRefused) {
  // With an identifier equal to the type both ends' ports are the same, and
  // the other side's own query finds this state.
  const std::string id = v4() ? "8" : "128";
  shard.In("icmp $C > $S echo id " + id + " seq 1");
  const Outcome wrong = shard.Out("icmp $S > $C echo id " + id + " seq 1");
  EXPECT_EQ(wrong.kind, Outcome::kRefused);
  EXPECT_EQ(wrong.reason, DropReason::kStateMismatch);
  EXPECT_EQ(shard.mismatches(Mismatch::kIcmpDirection), 1u);
  EXPECT_EQ(shard.Out("icmp $S > $C echoreply id " + id + " seq 1").kind,
            Outcome::kPassed);
}

// An error about the client's packet comes back from the server or from a
// router on the way.
TEST_P(Icmp, AnErrorBelongsToTheStateOfItsInnerPacket) {
  const StateIndex s = shard.In("udp $C:5000 > $S:53 data 20").state;
  shard.now += 5000;
  const Outcome error = shard.Out(
      "icmp $X > $C unreach port inner { udp $C:5000 > $S:53 data 20 }");
  EXPECT_EQ(error.kind, Outcome::kRelated);
  EXPECT_EQ(error.state, s);
  EXPECT_EQ(shard.Record(s).packets[1], 1u);
  // It neither prolongs the state nor makes one.
  EXPECT_EQ(shard.Record(s).idle, 5000u);
  EXPECT_EQ(shard.table->size(), 1u);
}

TEST_P(Icmp, AnErrorAboutAReplyGoesTheOtherWay) {
  const StateIndex s = shard.In("udp $C:5000 > $S:53 data 20").state;
  shard.Out("udp $S:53 > $C:5000 data 20");
  const Outcome error = shard.In(
      "icmp $C > $S unreach port inner { udp $S:53 > $C:5000 data 20 cut 28 "
      "}");
  if (v4()) {
    EXPECT_EQ(error.kind, Outcome::kRelated);
    EXPECT_EQ(error.state, s);
  }
}

TEST_P(Icmp, AnErrorJudgedTheWrongWayIsNobodys) {
  shard.In("udp $C:5000 > $S:53 data 20");
  // Judged in, although the packet that it quotes came in too.
  EXPECT_EQ(shard.In("icmp $X > $C unreach port inner "
                     "{ udp $C:5000 > $S:53 data 20 }").kind,
            Outcome::kUnrelated);
}

TEST_P(Icmp, AnErrorForNoStateIsLeftToTheRules) {
  EXPECT_EQ(shard.Out("icmp $X > $C unreach port inner "
                      "{ udp $C:5000 > $S:53 data 20 }").kind,
            Outcome::kUnrelated);
  EXPECT_EQ(shard.table->size(), 0u);
}

// CVE-2019-5598.
TEST_P(Icmp, AnErrorToSomebodyElseThanTheInnerSenderIsRefused) {
  shard.In("udp $C:5000 > $S:53 data 20");
  const Outcome error = shard.Out(
      "icmp $X > $A unreach port inner { udp $C:5000 > $S:53 data 20 }");
  EXPECT_EQ(error.kind, Outcome::kRefused);
  EXPECT_EQ(error.reason, DropReason::kStateMismatch);
  EXPECT_EQ(shard.mismatches(Mismatch::kIcmpErrorOuter), 1u);
}

TEST_P(Icmp, TcpInnerSequenceMustBeInTheWindow) {
  shard.In("tcp $C:1025 > $S:80 S seq 1000 win 5000");
  shard.Out("tcp $S:80 > $C:1025 SA seq 7000 ack 1001 win 4000");
  const StateIndex s =
      shard.In("tcp $C:1025 > $S:80 A seq 1001 ack 7001 win 5000").state;
  const auto error = [&](const std::string& seq) {
    return shard.Out("icmp $X > $C unreach host inner "
                     "{ tcp $C:1025 > $S:80 A seq " + seq +
                     " ack 7001 win 5000 }");
  };
  EXPECT_EQ(error("1001").state, s);
  EXPECT_EQ(error("5001").kind, Outcome::kRelated);  // the window's edge
  EXPECT_EQ(error("5002").kind, Outcome::kRefused);
  EXPECT_EQ(error("900000").kind, Outcome::kRefused);
  EXPECT_EQ(shard.mismatches(Mismatch::kIcmpError), 2u);
  // The connection is as it was.
  EXPECT_EQ(shard.phase(s, 0), TcpPhase::kEstablished);
}

TEST_P(Icmp, AnErrorAboutAnEcho) {
  const StateIndex s = shard.In("icmp $C > $S echo id 77 seq 1").state;
  EXPECT_EQ(shard.Out("icmp $X > $C timex inner "
                      "{ icmp $C > $S echo id 77 seq 1 }").state, s);
  EXPECT_EQ(shard.Record(s).timeout, Timeout::kIcmpFirst);
}

TEST_P(Icmp, ACutInnerHeaderIsShort) {
  shard.In("udp $C:5000 > $S:53 data 20");
  const std::string cut = v4() ? "27" : "47";
  const Outcome error = shard.Out(
      "icmp $X > $C unreach port inner { udp $C:5000 > $S:53 data 20 cut " +
      cut + " }");
  EXPECT_EQ(error.kind, Outcome::kRefused);
  EXPECT_EQ(error.reason, DropReason::kShort);
}

TEST_P(Icmp, AnInnerFragmentThatIsNotTheFirstIsRefused) {
  const Outcome error = shard.Out(
      "icmp $X > $C unreach port inner "
      "{ udp $C:5000 > $S:53 data 200 part 64 64 }");
  EXPECT_EQ(error.kind, Outcome::kRefused);
  EXPECT_EQ(error.reason, DropReason::kFragment);
}

TEST(Inner, WalksExtensionHeadersWithinBounds) {
  TestPacket error(Family::kIpv6,
                   "icmp $X > $C unreach port inner "
                   "{ udp $C:5000 > $S:53 data 20 ext { dstopts hopopts } }");
  PacketInfo inner;
  DropReason reason;
  ASSERT_TRUE(ParseInner(*error.mbuf, error.info, &inner, &reason));
  EXPECT_EQ(inner.proto, protocol::kUdp);
  EXPECT_EQ(inner.source_port, Be16(5000));
  EXPECT_EQ(inner.destination_port, Be16(53));
}

TEST(Inner, ReadsHeadersThatLieAcrossSegments) {
  const std::vector<uint8_t> frame = FrameFromText(
      "icmp 10.0.0.9 > 10.0.0.2 unreach port inner "
      "{ udp 10.0.0.2:5000 > 10.0.0.1:53 data 20 }");
  for (uint32_t cut = 15; cut < frame.size(); ++cut) {
    const uint32_t lengths[] = {cut};
    PlainMbuf mbuf(frame, lengths);
    PacketInfo info, inner;
    DropReason reason;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_TRUE(info.has(kIcmpError));
    ASSERT_TRUE(ParseInner(*mbuf, info, &inner, &reason)) << cut;
    ASSERT_EQ(inner.source_port, Be16(5000)) << cut;
  }
}

}  // namespace
}  // namespace sluice
