// The TCP machine: tables of packets and what becomes of them.
#include "conntrack/tcp_tracker.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

constexpr auto kPass = StepVerdict::kPass;
constexpr auto kDrop = StepVerdict::kDrop;
constexpr auto kChallenge = StepVerdict::kChallengeAck;

class Tcp : public testing::TestWithParam<Family> {
 protected:
  // Client and server, whatever the direction: the client's side is `in`.
  Outcome C(const std::string& rest) {
    return shard->In("tcp $C:1025 > $S:80 " + rest);
  }
  Outcome S(const std::string& rest) {
    return shard->Out("tcp $S:80 > $C:1025 " + rest);
  }
  // Client at 1001, server at 7001, windows 5000 and 4000, no scaling.
  StateIndex Open() {
    const StateIndex s = C("S seq 1000 win 5000").state;
    EXPECT_EQ(S("SA seq 7000 ack 1001 win 4000").step.verdict, kPass);
    EXPECT_EQ(C("A seq 1001 ack 7001 win 5000").step.verdict, kPass);
    EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
    EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
    return s;
  }
  Timeout timeout(StateIndex s) {
    return shard->table->entries().hot(s).timeout;
  }

  void Restart() { shard = std::make_unique<Shard>(GetParam()); }

  std::unique_ptr<Shard> shard = std::make_unique<Shard>(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Families, Tcp,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Tcp, HandshakeDataAndClose) {
  struct Case {
    bool client;
    const char* packet;
    TcpPhase originator;
    TcpPhase responder;
    Timeout timeout;
  };
  using P = TcpPhase;
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(shard->phase(s, 0), P::kSynSent);
  EXPECT_EQ(shard->phase(s, 1), P::kClosed);
  EXPECT_EQ(timeout(s), Timeout::kTcpFirst);
  const Case cases[] = {
      {false, "SA seq 7000 ack 1001 win 4000", P::kEstablished, P::kSynSent,
       Timeout::kTcpOpening},
      {true, "A seq 1001 ack 7001 win 5000", P::kEstablished, P::kEstablished,
       Timeout::kTcpEstablished},
      {true, "PA seq 1001 ack 7001 win 5000 data 100", P::kEstablished,
       P::kEstablished, Timeout::kTcpEstablished},
      {false, "A seq 7001 ack 1101 win 4000 data 1000", P::kEstablished,
       P::kEstablished, Timeout::kTcpEstablished},
      {true, "FA seq 1101 ack 8001 win 5000", P::kClosing, P::kEstablished,
       Timeout::kTcpClosing},
      {false, "A seq 8001 ack 1102 win 4000 data 10", P::kFinWait2,
       P::kEstablished, Timeout::kTcpClosing},
      {false, "FA seq 8011 ack 1102 win 4000", P::kFinWait2, P::kClosing,
       Timeout::kTcpFinWait},
      {true, "A seq 1102 ack 8012 win 5000", P::kFinWait2, P::kFinWait2,
       Timeout::kTcpClosed},
  };
  for (const Case& c : cases) {
    const Outcome o = c.client ? C(c.packet) : S(c.packet);
    ASSERT_EQ(o.state, s) << c.packet;
    ASSERT_EQ(o.kind, Outcome::kPassed) << c.packet;
    EXPECT_EQ(shard->phase(s, 0), c.originator) << c.packet;
    EXPECT_EQ(shard->phase(s, 1), c.responder) << c.packet;
    EXPECT_EQ(timeout(s), c.timeout) << c.packet;
  }
}

// Windows of an open connection: data, retransmissions, acknowledgments. Each
// case begins anew at client 1001, server 7001.
TEST_P(Tcp, WindowEdges) {
  struct Case {
    const char* what;
    bool client;
    std::string packet;
    StepVerdict verdict;
  };
  // The server allows up to 1001 + 4000; one window back is allowed too.
  const Case cases[] = {
      {"fills the window", true, "A seq 4001 ack 7001 data 1000", kPass},
      {"one beyond", true, "A seq 4002 ack 7001 data 1000", kDrop},
      {"retransmission", true, "A seq 901 ack 7001 data 100", kPass},
      {"a window behind", true,
       absl::StrCat("A seq ", 1001u - 4000u, " ack 7001 data 10"), kPass},
      {"more than a window behind", true,
       absl::StrCat("A seq ", 1001u - 4001u, " ack 7001 data 10"), kDrop},
      {"acknowledges old data", true,
       absl::StrCat("A seq 1001 ack ", 7001u - 67035u), kPass},
      {"acknowledges older data", true,
       absl::StrCat("A seq 1001 ack ", 7001u - 67036u), kDrop},
      {"acknowledges what it cannot have", true,
       absl::StrCat("A seq 1001 ack ", 7001u + 67035u), kPass},
      {"acknowledges much more", true,
       absl::StrCat("A seq 1001 ack ", 7001u + 67036u), kDrop},
      {"the server fills the client's window", false,
       "A seq 7001 ack 1001 data 5000", kPass},
      {"the server goes one beyond", false, "A seq 7002 ack 1001 data 5000",
       kDrop},
      {"FIN behind a full window", true,
       "FA seq 4001 ack 7001 data 1000", kPass},
      {"a bare ACK is not held to its number", true, "A seq 99 ack 7001",
       kPass},
  };
  for (const Case& c : cases) {
    Restart();
    Open();
    const Outcome o = c.client ? C(c.packet) : S(c.packet);
    EXPECT_EQ(o.step.verdict, c.verdict) << c.what;
    if (c.verdict == kDrop) {
      EXPECT_EQ(o.reason, DropReason::kStateMismatch) << c.what;
    }
  }
}

TEST_P(Tcp, MismatchesAreCountedByCause) {
  Open();
  C("A seq 900000 ack 7001 data 10");
  C("A seq 1001 ack 900000");
  EXPECT_EQ(shard->mismatches(Mismatch::kSequence), 1u);
  EXPECT_EQ(shard->mismatches(Mismatch::kAcknowledgment), 1u);
}

TEST_P(Tcp, TheWindowSlides) {
  const StateIndex s = Open();
  EXPECT_EQ(C("A seq 1001 ack 7001 data 1400").step.verdict, kPass);
  EXPECT_EQ(C("A seq 2401 ack 7001 data 1400").step.verdict, kPass);
  EXPECT_EQ(C("A seq 3801 ack 7001 data 1400").step.verdict, kDrop);
  // The server has read the first; its window moves on.
  EXPECT_EQ(S("A seq 7001 ack 2401 win 4000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 3801 ack 7001 data 1400").step.verdict, kPass);
  EXPECT_EQ(shard->table->entries().hot(s).window[0].low, 5201u);
  EXPECT_EQ(shard->table->entries().hot(s).window[0].high, 6401u);
}

TEST_P(Tcp, AZeroWindowStillAllowsAProbe) {
  Open();
  EXPECT_EQ(C("A seq 1001 ack 7001 data 1000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 2001 ack 7001 data 1000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 3001 ack 7001 data 1000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 4001 ack 7001 data 1000").step.verdict, kPass);
  EXPECT_EQ(S("A seq 7001 ack 5001 win 0").step.verdict, kPass);
  EXPECT_EQ(C("A seq 5001 ack 7001 data 1").step.verdict, kPass);
  EXPECT_EQ(C("A seq 5002 ack 7001 data 1").step.verdict, kDrop);
}

TEST_P(Tcp, ScalingIsNegotiatedByBothSyns) {
  const StateIndex s =
      C("S seq 1000 win 64000 <mss 1460,wscale 7>").state;
  S("SA seq 7000 ack 1001 win 65535 <mss 1460,wscale 3>");
  C("A seq 1001 ack 7001 win 500");  // 64000
  EXPECT_EQ(shard->table->entries().hot(s).scale[0] & kScaleMask, 7);
  EXPECT_EQ(shard->table->entries().hot(s).scale[1] & kScaleMask, 3);
  // The SYNs' windows are not scaled: 65535 of the server, to the client.
  EXPECT_EQ(C(absl::StrCat("A seq ", 1001 + 65535 - 100,
                           " ack 7001 win 500 data 100")).step.verdict,
            kPass);
  // The client allows 500 << 7.
  EXPECT_EQ(S(absl::StrCat("A seq ", 7001 + 64000 - 1000,
                           " ack 1001 win 8000 data 1000")).step.verdict,
            kPass);
  EXPECT_EQ(S(absl::StrCat("A seq ", 7001 + 64000 - 999,
                           " ack 1001 win 8000 data 1000")).step.verdict,
            kDrop);
  // The server's 8000 << 3 = 64000 do not shrink what it allowed before, but
  // once it has acknowledged more they count.
  EXPECT_EQ(S(absl::StrCat("A seq 7001 ack ", 1001 + 65535,
                           " win 8000")).step.verdict, kPass);
  EXPECT_EQ(C(absl::StrCat("A seq ", 1001 + 65535 + 64000 - 100,
                           " ack 7001 win 500 data 100")).step.verdict,
            kPass);
  EXPECT_EQ(C(absl::StrCat("A seq ", 1001 + 65535 + 64000 - 99,
                           " ack 7001 win 500 data 100")).step.verdict,
            kDrop);
}

TEST_P(Tcp, ScalingThatOneSideDoesNotOfferIsOff) {
  const StateIndex s = C("S seq 1000 win 6400 <wscale 7>").state;
  S("SA seq 7000 ack 1001 win 4000");
  C("A seq 1001 ack 7001 win 6400");
  EXPECT_EQ(shard->table->entries().hot(s).scale[0] & kScaleMask, 0);
  EXPECT_EQ(shard->table->entries().hot(s).scale[1] & kScaleMask, 0);
  EXPECT_EQ(S("A seq 12402 ack 1001 win 4000 data 1000").step.verdict, kDrop);
  EXPECT_EQ(S("A seq 12401 ack 1001 win 4000 data 1000").step.verdict, kPass);
}

TEST_P(Tcp, ScalesAbove14CountAs14) {
  const StateIndex s = C("S seq 1000 win 64000 <wscale 200>").state;
  EXPECT_EQ(shard->table->entries().hot(s).scale[0] & kScaleMask, 14);
}

TEST_P(Tcp, BrokenOptionsAreNoScale) {
  // Length 0, a length beyond the header, a scale of length 2.
  for (const char* options : {"<0x03000000>", "<0x03ff0700>", "<0x03020700>",
                              "<0x02030300>"}) {
    Shard fresh(GetParam());
    const StateIndex s =
        fresh.In(absl::StrCat("tcp $C:1025 > $S:80 S seq 1 win 100 ",
                              options)).state;
    EXPECT_EQ(fresh.table->entries().hot(s).scale[0], kPeerSeen) << options;
  }
}

TEST_P(Tcp, SequenceNumbersWrap) {
  const StateIndex s = C("S seq 4294967290 win 5000").state;
  S("SA seq 4294967295 ack 4294967291 win 4000");
  C("A seq 4294967291 ack 0 win 5000");
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
  EXPECT_EQ(C("A seq 4294967291 ack 0 data 1000").step.verdict, kPass);
  EXPECT_EQ(shard->table->entries().hot(s).window[0].low, 995u);
  EXPECT_EQ(S("A seq 0 ack 995 win 4000 data 1000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 995 ack 1000 win 5000 data 4000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 4995 ack 1000 win 5000 data 1").step.verdict, kDrop);
  EXPECT_EQ(C("A seq 995 ack 1000 win 5000 data 1").step.verdict, kPass);
  EXPECT_EQ(C("A seq 994 ack 1000 win 5000 data 1").step.verdict, kDrop);
}

// A server whose first sequence number is zero is seen all the same.
TEST_P(Tcp, ASequenceNumberOfZeroIsANumber) {
  const StateIndex s = C("S seq 1000 win 5000").state;
  S("SA seq 0 ack 1001 win 4000");
  C("A seq 1001 ack 1 win 5000");
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
  EXPECT_EQ(S("A seq 100000 ack 1001 win 4000 data 10").step.verdict, kDrop);
  EXPECT_EQ(shard->table->entries().hot(s).window[1].low, 1u);
}

TEST_P(Tcp, ResetMustBeExact) {
  struct Case {
    uint32_t seq;
    StepVerdict verdict;
  };
  const Case cases[] = {
      {1001, kPass}, {1000, kPass}, {1002, kPass},
      {1003, kChallenge}, {999, kChallenge}, {5001, kChallenge},
      {5002, kDrop}, {900000, kDrop},
  };
  for (const Case& c : cases) {
    Restart();
    const StateIndex s = Open();
    const Outcome o = C(absl::StrCat("R seq ", c.seq, " win 0"));
    EXPECT_EQ(o.step.verdict, c.verdict) << c.seq;
    if (c.verdict == kPass) {
      EXPECT_EQ(shard->phase(s, 0), TcpPhase::kTimeWait);
      EXPECT_EQ(shard->phase(s, 1), TcpPhase::kTimeWait);
      EXPECT_EQ(timeout(s), Timeout::kTcpClosed);
    } else {
      EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
      EXPECT_EQ(timeout(s), Timeout::kTcpEstablished);
      EXPECT_EQ(shard->mismatches(Mismatch::kReset), 1u);
    }
    if (c.verdict == kChallenge) {
      // To the sender, in the server's name, with what is expected next.
      EXPECT_EQ(o.step.sequence, 7001u);
      EXPECT_EQ(o.step.acknowledgment, 1001u);
      EXPECT_EQ(shard->table->statistics().challenge_acks.value(), 1u);
    }
  }
}

TEST_P(Tcp, ARefusedSynIsReset) {
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(S("RA seq 0 ack 1001 win 0").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kTimeWait);
  // The next attempt, the same ports: a new state.
  const Outcome again = C("S seq 555000 win 5000");
  EXPECT_EQ(again.kind, Outcome::kCreated);
  EXPECT_EQ(shard->table->size(), 1u);
}

TEST_P(Tcp, ASynInAnOpenConnectionIsChallenged) {
  const StateIndex s = Open();
  const Outcome o = C("S seq 424242 win 5000");
  EXPECT_EQ(o.step.verdict, kChallenge);
  EXPECT_EQ(o.step.sequence, 7001u);
  EXPECT_EQ(o.step.acknowledgment, 1001u);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
  EXPECT_EQ(shard->mismatches(Mismatch::kSynInOpen), 1u);
  // The peer that has lost the connection says so, exactly.
  EXPECT_EQ(C("R seq 1001 win 0").step.verdict, kPass);
  EXPECT_EQ(C("S seq 424242 win 5000").kind, Outcome::kCreated);
}

TEST_P(Tcp, ASynAfterTheEndIsANewConnection) {
  const StateIndex s = Open();
  C("FA seq 1001 ack 7001 win 5000");
  S("FA seq 7001 ack 1002 win 4000");
  C("A seq 1002 ack 7002 win 5000");
  const StateId before = shard->table->entries().HandleOf(s).id;
  const Outcome o = C("S seq 31337 win 5000");
  EXPECT_EQ(o.step.verdict, StepVerdict::kReuse);
  EXPECT_EQ(o.kind, Outcome::kCreated);
  EXPECT_GT(shard->table->entries().HandleOf(o.state).id, before);
  EXPECT_EQ(shard->table->size(), 1u);
  EXPECT_EQ(timeout(o.state), Timeout::kTcpFirst);
}

TEST_P(Tcp, RetransmittedSynsAreOneConnection) {
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(C("S seq 1000 win 5000").state, s);
  EXPECT_EQ(C("S seq 1000 win 5000").step.verdict, kPass);
  EXPECT_EQ(S("SA seq 7000 ack 1001 win 4000").step.verdict, kPass);
  EXPECT_EQ(S("SA seq 7000 ack 1001 win 4000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 1001 ack 7001 win 5000").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
}

// An answer that belongs to an earlier connection on these ports: RST to its
// sender, as in pf, and the right answer is accepted afterwards.
TEST_P(Tcp, AStaleAnswerInTheHandshakeIsReset) {
  C("S seq 1000 win 5000");
  S("S seq 7000 win 4000");
  const Outcome stale = S("A seq 90000000 ack 555 win 4000 data 10");
  EXPECT_EQ(stale.step.verdict, StepVerdict::kReset);
  EXPECT_EQ(stale.step.sequence, 555u);
  EXPECT_EQ(shard->mismatches(Mismatch::kHandshake), 1u);
  EXPECT_EQ(S("SA seq 7100 ack 1001 win 4000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 1001 ack 7101 win 5000").step.verdict, kPass);
}

// RFC 9293 section 3.5.
TEST_P(Tcp, SimultaneousOpen) {
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(S("S seq 7000 win 4000").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kSynSent);
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kSynSent);
  EXPECT_EQ(C("SA seq 1000 ack 7001 win 5000").step.verdict, kPass);
  EXPECT_EQ(S("SA seq 7000 ack 1001 win 4000").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
  EXPECT_EQ(timeout(s), Timeout::kTcpEstablished);
  EXPECT_EQ(C("A seq 1001 ack 7001 data 10").step.verdict, kPass);
}

// SYN, then ACK and SYN apart.
TEST_P(Tcp, SplitHandshake) {
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(S("A seq 7000 ack 1001 win 4000").step.verdict, kPass);
  EXPECT_EQ(S("S seq 7000 win 4000").step.verdict, kPass);
  EXPECT_EQ(C("SA seq 1000 ack 7001 win 5000").step.verdict, kPass);
  EXPECT_EQ(S("A seq 7001 ack 1001 win 4000 data 10").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
}

// A rule that lets connections begin without their SYN: the window scale is
// not known and must not choke the connection.
TEST_P(Tcp, PickUpInMidstream) {
  const StateIndex s = C("A seq 500000 ack 900000 win 500 data 100").state;
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kSynSent);
  EXPECT_EQ(S("A seq 900000 ack 500100 win 300 data 1400").step.verdict,
            kPass);
  EXPECT_EQ(C("A seq 500100 ack 901400 win 500").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
  EXPECT_EQ(timeout(s), Timeout::kTcpEstablished);
  // More than 500 bytes in flight: the peers have a scale of 7.
  for (uint32_t i = 0; i < 40; ++i) {
    ASSERT_EQ(S(absl::StrCat("A seq ", 901400 + i * 1400,
                             " ack 500100 win 300 data 1400")).step.verdict,
              kPass) << i;
  }
  // Far away is still refused, and a RST has to be exact: what was sent last or
  // what was acknowledged last.
  EXPECT_EQ(S("A seq 3000000000 ack 500100 win 300 data 1").step.verdict,
            kDrop);
  EXPECT_EQ(S("R seq 901500 win 0").step.verdict, kChallenge);
  EXPECT_EQ(S("R seq 901400 win 0").step.verdict, kPass);
}

TEST_P(Tcp, PickUpFromTheSynAck) {
  const StateIndex s =
      C("SA seq 1000 ack 7001 win 64000 <wscale 7>").state;
  EXPECT_EQ(S("A seq 7001 ack 1001 win 500").step.verdict, kPass);
  EXPECT_EQ(C("A seq 1001 ack 7001 win 500 data 1000").step.verdict, kPass);
  EXPECT_EQ(S("A seq 7001 ack 2001 win 500 data 1000").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
}

TEST_P(Tcp, SloppyDoesNotLookAtNumbers) {
  shard->values.flags = kStateSloppy;
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(S("SA seq 7000 ack 99 win 4000").step.verdict, kPass);
  EXPECT_EQ(C("A seq 400000000 ack 5 win 5000").step.verdict, kPass);
  EXPECT_EQ(shard->phase(s, 0), TcpPhase::kEstablished);
  EXPECT_EQ(shard->phase(s, 1), TcpPhase::kEstablished);
  EXPECT_EQ(C("A seq 1 ack 5 data 1000").step.verdict, kPass);
  EXPECT_EQ(S("R seq 123456789").step.verdict, kPass);
  EXPECT_EQ(timeout(s), Timeout::kTcpClosed);
}

TEST_P(Tcp, SloppyFollowsHalfAConnection) {
  shard->values.flags = kStateSloppy;
  const StateIndex s = C("S seq 1000 win 5000").state;
  EXPECT_EQ(C("A seq 1001 ack 7001 win 5000").step.verdict, kPass);
  EXPECT_EQ(timeout(s), Timeout::kTcpEstablished);
  EXPECT_EQ(C("FA seq 1001 ack 7001 win 5000").step.verdict, kPass);
  EXPECT_EQ(timeout(s), Timeout::kTcpFinWait);
}

// Packets around the end get slack but do not keep the state alive.
TEST_P(Tcp, LatePacketsPassWithoutProlonging) {
  const StateIndex s = Open();
  C("FA seq 1001 ack 7001 win 5000");
  S("FA seq 7001 ack 1002 win 4000");
  C("A seq 1002 ack 7002 win 5000");
  shard->now += 3000;
  EXPECT_EQ(C("A seq 30000 ack 7002 win 5000 data 10").step.verdict, kPass);
  EXPECT_EQ(shard->Record(s).idle, 3000u);
  EXPECT_EQ(C("A seq 300000 ack 7002 win 5000 data 10").step.verdict, kDrop);
}

TEST_P(Tcp, DroppedPacketsDoNotProlongAndAreNotCounted) {
  const StateIndex s = Open();
  shard->now += 3000;
  const StateRecord before = shard->Record(s);
  EXPECT_EQ(C("A seq 900000 ack 7001 data 10").step.verdict, kDrop);
  EXPECT_EQ(shard->Record(s).idle, 3000u);
  EXPECT_EQ(shard->Record(s).packets, before.packets);
}

// The inline path for open connections and the full machine have to agree.
TEST_P(Tcp, TheShortPathAgreesWithTheFullOne) {
  std::mt19937 random(5);
  const StateIndex s = C("S seq 1000 win 500 <wscale 4>").state;
  S("SA seq 7000 ack 1001 win 4000 <wscale 2>");
  C("A seq 1001 ack 7001 win 500");
  TestPacket packet(GetParam(), "tcp $C:1025 > $S:80 A seq 1 ack 1");
  int shorts = 0, drops = 0;
  for (int i = 0; i < 20000; ++i) {
    const uint32_t from = random() % 2;
    StateHot one = shard->table->entries().hot(s);
    const auto near = [&](uint32_t base) {
      return base + static_cast<uint32_t>(random() % 40000) - 20000;
    };
    packet.info.sequence = near(one.window[from].low);
    packet.info.acknowledgment = near(one.window[from ^ 1].low);
    packet.info.window = static_cast<uint16_t>(random() % 2000);
    packet.info.l4_length =
        static_cast<uint16_t>(packet.info.l4_header_length + random() % 1500);
    StateHot two = one;
    const bool taken = TrackOpenTcp(packet.info, from, &one);
    const TrackerResult full =
        TrackTcp(packet.info, *packet.mbuf, static_cast<Peer>(from), &two);
    ASSERT_EQ(taken, full.step.verdict == kPass);
    ASSERT_EQ(std::memcmp(&one, &two, sizeof one), 0);
    ++(taken ? shorts : drops);
  }
  EXPECT_GT(shorts, 1000);
  EXPECT_GT(drops, 1000);
}

}  // namespace
}  // namespace sluice
