// The payload parser, and the sequences of packets around a TFTP server.
#include "conntrack/tftp.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

TftpHeader Header(const std::string& bytes) {
  return ParseTftp({reinterpret_cast<const uint8_t*>(bytes.data()),
                    bytes.size()});
}
TftpMessage Parse(const std::string& bytes) { return Header(bytes).message; }
uint16_t Granted(const std::string& bytes) {
  return GrantedBlockSize({reinterpret_cast<const uint8_t*>(bytes.data()),
                           bytes.size()});
}
using std::string_literals::operator""s;

// Servers answer whatever has the opcode.
TEST(TftpParser, RequestsOfEveryShape) {
  EXPECT_EQ(Parse("\0\1f\0octet\0"s), TftpMessage::kReadRequest);
  EXPECT_EQ(Parse("\0\2f\0octet\0"s), TftpMessage::kWriteRequest);
  for (const std::string& rest :
       {"file"s, "file\0"s, "f\0octet"s, "\0octet\0"s, "f\0\0"s,
        "f\0binary\0"s, "f\0octet\0blksize\0"s, "f\0octet\0x"s, "\0\0"s,
        std::string(1400, 'f')}) {
    EXPECT_EQ(Parse("\0\1"s + rest), TftpMessage::kReadRequest) << rest;
  }
}

TEST(TftpParser, WhatIsNoMessage) {
  for (const std::string& bytes :
       {""s, "\0"s, "\0\1"s, "\0\1f"s, "\0\3\0"s, "\0\0f\0octet\0"s,
        "\0\7f\0octet\0"s, "\xff\xff"s + "f\0octet\0"s,
        "\1\0f\0octet\0"s}) {
    EXPECT_EQ(Parse(bytes), TftpMessage::kMalformed) << bytes.size();
  }
}

TEST(TftpParser, OtherMessages) {
  EXPECT_EQ(Parse("\0\3\0\1data"s), TftpMessage::kData);
  EXPECT_EQ(Header("\0\3\xff\xfe"s).block, 0xfffe);
  EXPECT_EQ(Parse("\0\4\0\1"s), TftpMessage::kAcknowledgment);
  EXPECT_EQ(Header("\0\4\1\2"s).block, 0x102);
  EXPECT_EQ(Parse("\0\5\0\1no\0"s), TftpMessage::kError);
  EXPECT_EQ(Parse("\0\6blksize\0001432\0"s),
            TftpMessage::kOptionAcknowledgment);
}

TEST(TftpParser, GrantedBlockSizes) {
  EXPECT_EQ(Granted("\0\6blksize\0001432\0"s), 1432);
  EXPECT_EQ(Granted("\0\6tsize\00099\0BLKsize\0008\0"s), 8);
  EXPECT_EQ(Granted("\0\6blksize\00065464\0"s), 65464);
  for (const std::string& none :
       {"\0\6tsize\00099\0"s, "\0\6blksize\0007\0"s, "\0\6"s, ""s,
        "\0\6blksize\00065465\0"s, "\0\6blksize\00099999999999\0"s,
        "\0\6blksize\0001432"s, "\0\6blksize"s, "\0\6blksize\0-8\0"s}) {
    EXPECT_EQ(Granted(none), 0) << none;
  }
}

// From the middle on, as after a restore: the first block that is seen tells
// its size.
TEST(TftpProgress, ABlockSizeThatIsNotKnown) {
  TftpProgress progress;
  const auto data = [&](uint16_t block, uint32_t length) {
    return progress.Advance({TftpMessage::kData, block}, Peer::kOriginator,
                            length, 0);
  };
  const auto ack = [&](uint16_t block) {
    return progress.Advance({TftpMessage::kAcknowledgment, block},
                            Peer::kResponder, 0, 0);
  };
  EXPECT_FALSE(data(7, 1428));
  EXPECT_FALSE(ack(7));
  EXPECT_FALSE(data(8, 1428));
  EXPECT_FALSE(ack(8));
  EXPECT_FALSE(data(9, 512));
  EXPECT_FALSE(ack(8));  // the block before once more
  EXPECT_TRUE(ack(9));
}

// A peer's own acknowledgment ends nothing.
TEST(TftpProgress, OnlyTheOtherPeerAcknowledges) {
  TftpProgress progress{.block_size = 512};
  progress.Advance({TftpMessage::kData, 1}, Peer::kResponder, 10, 0);
  EXPECT_FALSE(progress.Advance({TftpMessage::kAcknowledgment, 1},
                                Peer::kResponder, 0, 0));
  EXPECT_TRUE(progress.Advance({TftpMessage::kAcknowledgment, 1},
                               Peer::kOriginator, 0, 0));
}

class Tftp : public testing::TestWithParam<Family> {
 protected:
  static std::string Rrq(const std::string& flow = "$C:5000 > $S:69") {
    return "udp " + flow + " tftp rrq \"f\" octet";
  }
  StateHandle Parent(StateIndex child) {
    return shard.Record(child).parent;
  }
  Shard shard{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, Tftp,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Tftp, T1AServerThatAnswersFromPort69) {
  const StateIndex s = shard.In(Rrq()).state;
  EXPECT_EQ(shard.expectations->size(), 1u);
  for (int block = 1; block <= 5; ++block) {
    const Outcome data = shard.Out(
        absl::StrCat("udp $S:69 > $C:5000 tftp data ", block, " 512"));
    ASSERT_EQ(data.kind, Outcome::kPassed);
    ASSERT_EQ(data.state, s);
    const Outcome ack =
        shard.In(absl::StrCat("udp $C:5000 > $S:69 tftp ack ", block));
    ASSERT_EQ(ack.kind, Outcome::kPassed);
    ASSERT_EQ(ack.state, s);
  }
  EXPECT_EQ(shard.table->size(), 1u);
  EXPECT_FALSE(Parent(s).IsSet());
  const ExpectationStatistics statistics = shard.expectations->statistics();
  EXPECT_EQ(statistics.matched, 0u);
  EXPECT_EQ(statistics.dropped_early, 1u);
  EXPECT_EQ(statistics.armed, 1u);
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, AHelperThatIsOffExpectsNothing) {
  Shard off(GetParam(), {.tftp_helper = false});
  const StateIndex s = off.In(Rrq()).state;
  EXPECT_EQ(off.table->entries().hot(s).flags & kEntryHelper, 0);
  EXPECT_TRUE(off.expectations->empty());
}

TEST_P(Tftp, T2AnErrorFromPort69) {
  const StateIndex s = shard.In(Rrq()).state;
  const Outcome error =
      shard.Out("udp $S:69 > $C:5000 tftp error 1 \"not found\"");
  EXPECT_EQ(error.kind, Outcome::kPassed);
  EXPECT_EQ(error.state, s);
  EXPECT_TRUE(shard.expectations->empty());
  EXPECT_FALSE(Parent(s).IsSet());
  // Nobody waits for another port any more.
  EXPECT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kCreated);
}

TEST_P(Tftp, T3AReadWithOptions) {
  const StateIndex parent = shard.In(Rrq() + " blksize 1432").state;
  const Outcome oack =
      shard.Out("udp $S:3000 > $C:5000 tftp oack blksize 1432");
  ASSERT_EQ(oack.kind, Outcome::kChild);
  EXPECT_EQ(Parent(oack.state), shard.table->entries().HandleOf(parent));
  EXPECT_GT(shard.Record(oack.state).id, shard.Record(parent).id);
  EXPECT_EQ(shard.In("udp $C:5000 > $S:3000 tftp ack 0").state, oack.state);
  EXPECT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").state,
            oack.state);
  EXPECT_EQ(shard.table->size(), 2u);
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, T4AWrite) {
  const StateIndex parent =
      shard.In("udp $C:5000 > $S:69 tftp wrq \"f\" octet").state;
  const Outcome oack =
      shard.Out("udp $S:3000 > $C:5000 tftp oack blksize 1432");
  ASSERT_EQ(oack.kind, Outcome::kChild);
  EXPECT_EQ(Parent(oack.state), shard.table->entries().HandleOf(parent));
  EXPECT_EQ(shard.In("udp $C:5000 > $S:3000 tftp data 1 512").state,
            oack.state);
}

// The other judge of a forwarded request: its state was made outwards.
TEST_P(Tftp, AParentThatWasMadeOutwards) {
  const StateIndex parent = shard.Out(Rrq()).state;
  const Outcome data = shard.In("udp $S:3000 > $C:5000 tftp data 1 512");
  ASSERT_EQ(data.kind, Outcome::kChild);
  EXPECT_EQ(Parent(data.state), shard.table->entries().HandleOf(parent));
  EXPECT_EQ(shard.Out("udp $C:5000 > $S:3000 tftp ack 1").state, data.state);
}

TEST_P(Tftp, BothJudgesOfAWire) {
  shard.In(Rrq());
  shard.Out(Rrq());
  EXPECT_EQ(shard.expectations->size(), 2u);
  EXPECT_EQ(shard.In("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kChild);
  EXPECT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kChild);
  EXPECT_EQ(shard.In("udp $C:5000 > $S:3000 tftp ack 1").kind,
            Outcome::kPassed);
  EXPECT_EQ(shard.Out("udp $C:5000 > $S:3000 tftp ack 1").kind,
            Outcome::kPassed);
  EXPECT_EQ(shard.table->size(), 4u);
}

TEST_P(Tftp, T5ARepeatedRequest) {
  const StateIndex parent = shard.In(Rrq()).state;
  shard.In(Rrq());
  shard.In(Rrq());
  EXPECT_EQ(shard.expectations->size(), 1u);
  EXPECT_EQ(shard.expectations->statistics().rearmed, 2u);
  const Outcome first = shard.Out("udp $S:3000 > $C:5000 tftp data 1 512");
  EXPECT_EQ(first.kind, Outcome::kChild);
  // The server answers a second time, from another port: only if asked again.
  TestPacket second(GetParam(), "udp $S:3001 > $C:5000 tftp data 1 512");
  ExpectedChild child;
  EXPECT_FALSE(shard.expectations->Take(second.info, {}, {Direction::kOut},
                                        shard.now, &child));
  shard.In(Rrq());
  const Outcome again =
      shard.Judge(second, {.direction = Direction::kOut});
  EXPECT_EQ(again.kind, Outcome::kChild);
  EXPECT_EQ(Parent(again.state), shard.table->entries().HandleOf(parent));
  EXPECT_EQ(shard.In("udp $C:5000 > $S:3001 tftp error 5 \"unknown\"").state,
            again.state);
  shard.Advance(61000);
  EXPECT_EQ(shard.table->size(), 0u);
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, T6ClientsAndServersDoNotCross) {
  const StateIndex c = shard.In(Rrq("$C:5000 > $S:69")).state;
  const StateIndex a = shard.In(Rrq("$A:5000 > $S:69")).state;
  const StateIndex cx = shard.In(Rrq("$C:5000 > $X:69")).state;
  const Outcome to_a = shard.Out("udp $S:3000 > $A:5000 tftp data 1 9");
  const Outcome to_c = shard.Out("udp $S:3000 > $C:5000 tftp data 1 9");
  const Outcome from_x = shard.Out("udp $X:3000 > $C:5000 tftp data 1 9");
  EXPECT_EQ(Parent(to_a.state), shard.table->entries().HandleOf(a));
  EXPECT_EQ(Parent(to_c.state), shard.table->entries().HandleOf(c));
  EXPECT_EQ(Parent(from_x.state), shard.table->entries().HandleOf(cx));
}

// The same request in two filters, answered from port 69 in both, with
// retransmissions between: nothing may link across.
TEST_P(Tftp, T7TwoFilters) {
  Shard two(GetParam(), {.filters = 2});
  for (int round = 0; round < 3; ++round) {
    for (const uint16_t filter : {0, 1}) {
      two.Judge(Rrq(), Direction::kIn, filter);
    }
    for (const uint16_t filter : {1, 0}) {
      EXPECT_EQ(two.Judge("udp $S:69 > $C:5000 tftp data 1 9",
                          Direction::kOut, filter).kind, Outcome::kPassed);
    }
  }
  EXPECT_EQ(two.table->size(), 2u);
  for (StateIndex s = 0; s < 2; ++s) {
    EXPECT_FALSE(two.Record(s).parent.IsSet());
  }
  EXPECT_EQ(two.expectations->statistics().matched, 0u);
  // And from another port each to its own.
  two.Judge(Rrq(), Direction::kIn, 1);
  EXPECT_EQ(two.Judge("udp $S:3000 > $C:5000 tftp data 1 9", Direction::kOut,
                      0).kind, Outcome::kCreated);
  const Outcome child = two.Judge("udp $S:3001 > $C:5000 tftp data 1 9",
                                  Direction::kOut, 1);
  EXPECT_EQ(child.kind, Outcome::kChild);
  const StateHandle parent = two.Record(child.state).parent;
  EXPECT_EQ(two.Record(two.table->entries().Resolve(parent)).filter, 1);
}

TEST_P(Tftp, T8AnAnswerFromAnotherAddress) {
  shard.In(Rrq());
  EXPECT_EQ(shard.Out("udp $X:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kCreated);
  EXPECT_EQ(shard.expectations->statistics().unrelated, 1u);
  EXPECT_EQ(shard.expectations->size(), 1u);
}

TEST_P(Tftp, T9ALateAnswer) {
  shard.In(Rrq());
  shard.now += 30000;  // before any sweep
  EXPECT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kCreated);
  EXPECT_EQ(shard.expectations->statistics().expired, 1u);
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, AnAnswerJustInTime) {
  shard.In(Rrq());
  shard.now += 29999;
  EXPECT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kChild);
}

TEST_P(Tftp, T10TheParentIsKilledOrExpires) {
  const StateIndex parent = shard.In(Rrq()).state;
  shard.table->Remove(parent);
  EXPECT_TRUE(shard.expectations->empty());
  EXPECT_EQ(shard.expectations->statistics().parent_gone, 1u);
  EXPECT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kCreated);

  Shard brief(GetParam(), {}, {.time_to_live = 100000});
  brief.In(Rrq());
  brief.Advance(60500);
  EXPECT_EQ(brief.table->size(), 0u);
  EXPECT_TRUE(brief.expectations->empty());
  EXPECT_EQ(brief.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kCreated);
}

// What B sends from another port looks like an answer to A's request as well as
// like a request: it is A's child, and as a child expects nothing.
TEST_P(Tftp, T12RequestsBothWaysBetweenPorts69) {
  const StateIndex a = shard.In(Rrq("$A:69 > $B:69")).state;
  const Outcome b = shard.Out(Rrq("$B:5000 > $A:69"));
  EXPECT_EQ(Parent(b.state), shard.table->entries().HandleOf(a));
  EXPECT_FALSE(Parent(a).IsSet());
  EXPECT_TRUE(shard.expectations->empty());
  const Outcome error =
      shard.Out("udp $B:69 > $A:69 tftp error 1 \"no\"");
  EXPECT_EQ(error.kind, Outcome::kPassed);
  EXPECT_EQ(error.state, a);
  EXPECT_FALSE(Parent(a).IsSet());
  EXPECT_EQ(shard.table->size(), 2u);
}

TEST_P(Tftp, T13OtherMessagesExpectNothingAndAreCounted) {
  const char* payloads[] = {
      "data \"\"",       "data 0x00",
      "data 0x0001",     "data 0x000166",
      "data 0x0000660000", "data 0x0007660066006600",
      "data 0xffff660066006600",
  };
  for (const char* payload : payloads) {
    Shard fresh(GetParam());
    const Outcome o =
        fresh.In(absl::StrCat("udp $C:5000 > $S:69 ", payload));
    EXPECT_EQ(o.kind, Outcome::kCreated) << payload;
    EXPECT_TRUE(fresh.expectations->empty()) << payload;
    EXPECT_EQ(fresh.expectations->statistics().malformed, 1u) << payload;
  }
}

TEST_P(Tftp, T15GroupsAreNotExpectedToAnswer) {
  const std::vector<std::string> groups =
      GetParam() == Family::kIpv4
          ? std::vector<std::string>{"255.255.255.255:69", "224.0.0.1:69",
                                     "239.1.2.3:69"}
          : std::vector<std::string>{"[ff02::1]:69", "[ff15::5]:69"};
  for (const std::string& group : groups) {
    EXPECT_EQ(shard.In(Rrq("$C:5000 > " + group)).kind, Outcome::kCreated);
    EXPECT_TRUE(shard.expectations->empty()) << group;
  }
  // A subnet's broadcast looks like any address; its frame does not.
  shard.In(Rrq("$C:5001 > $S:69 ethdst ff:ff:ff:ff:ff:ff"));
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, T16AFloodOfRequestsStaysWithinItsCaps) {
  Shard flooded(GetParam(), {.capacity = 5000},
                {.capacity = 100, .per_source = 8});
  for (int i = 0; i < 2000; ++i) {
    flooded.In(Rrq(absl::StrCat("$A:", 1000 + i, " > $S:69")));
  }
  EXPECT_EQ(flooded.expectations->size(), 8u);
  EXPECT_EQ(flooded.expectations->statistics().refused_source, 1992u);
  // Others are not touched by it.
  flooded.In(Rrq());
  EXPECT_EQ(flooded.Out("udp $S:3000 > $C:5000 tftp data 1 512").kind,
            Outcome::kChild);
  flooded.Advance(31000);
  EXPECT_TRUE(flooded.expectations->empty());
}

TEST_P(Tftp, T18ErrorsAboutTheChild) {
  shard.In(Rrq());
  const StateIndex child =
      shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").state;
  const StateHandle parent = Parent(child);
  for (const char* from : {"$C", "$X"}) {
    const Outcome error = shard.In(absl::StrCat(
        "icmp ", from,
        " > $S unreach port inner { udp $S:3000 > $C:5000 data 100 }"));
    EXPECT_EQ(error.kind, Outcome::kRelated);
    EXPECT_EQ(error.state, child);
  }
  EXPECT_EQ(Parent(child), parent);
  EXPECT_EQ(shard.table->size(), 2u);
}

// A request that comes from the server's side of an existing state is no
// request of this state.
TEST_P(Tftp, RequestsInTheReplyDirectionExpectNothing) {
  shard.In(Rrq());
  shard.Out("udp $S:69 > $C:5000 tftp error 1 \"no\"");
  ASSERT_TRUE(shard.expectations->empty());
  shard.Out(Rrq("$S:69 > $C:5000"));
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, AChildInheritsByValue) {
  shard.values.rule_slot = 9;
  shard.values.tag = 4;
  shard.values.flags = kStateLogAll;
  shard.values.match_count = 1;
  shard.values.match_slots = {6};
  shard.In(Rrq());
  shard.values = {};
  const Outcome child = shard.Out("udp $S:3000 > $C:5000 tftp data 1 512");
  const StateTemplate values = shard.Record(child.state).values;
  EXPECT_EQ(values.rule_slot, 9u);
  EXPECT_EQ(values.tag, 4);
  EXPECT_EQ(values.flags, kStateLogAll);
  EXPECT_EQ(values.match_slots[0], 6u);
  EXPECT_EQ(shard.sink.states[9], 2u);
}

// A child to port 69 itself has no expectations of its own.
TEST_P(Tftp, AChildMakesNoGrandchildren) {
  shard.In(Rrq("$C:69 > $S:69"));
  const Outcome child = shard.Out(Rrq("$S:3000 > $C:69"));
  ASSERT_EQ(child.kind, Outcome::kChild);
  EXPECT_TRUE(shard.expectations->empty());
}

TEST_P(Tftp, ARefusedChildGivesItsPlaceBack) {
  shard.In(Rrq());
  shard.budget.SetLimit(1);
  const Outcome refused = shard.Out("udp $S:3000 > $C:5000 tftp data 1 9");
  EXPECT_EQ(refused.reason, DropReason::kStateLimit);
  shard.budget.SetLimit(100);
  for (int i = 0; i < 4; ++i) {
    shard.In(Rrq());
    EXPECT_EQ(shard.Out(absl::StrCat("udp $S:", 3001 + i,
                                     " > $C:5000 tftp data 1 9")).kind,
              Outcome::kChild) << i;
  }
  // Four live children are the most.
  shard.In(Rrq());
  EXPECT_TRUE(shard.expectations->empty());
  EXPECT_EQ(shard.expectations->statistics().refused_children, 1u);
}

}  // namespace
}  // namespace sluice
