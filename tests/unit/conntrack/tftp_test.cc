// The payload parser, and the sequences of packets around a TFTP server.
#include "conntrack/tftp.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

TftpMessage Parse(const std::string& bytes) {
  return ParseTftp({reinterpret_cast<const uint8_t*>(bytes.data()),
                    bytes.size()});
}
std::string Request(const std::string& rest, char opcode = 1) {
  return std::string{'\0', opcode} + rest;
}
using std::string_literals::operator""s;

TEST(TftpParser, Requests) {
  EXPECT_EQ(Parse(Request("f\0octet\0"s)), TftpMessage::kReadRequest);
  EXPECT_EQ(Parse(Request("f\0octet\0"s, 2)), TftpMessage::kWriteRequest);
  EXPECT_EQ(Parse(Request("dir/file\0NetASCII\0"s)),
            TftpMessage::kReadRequest);
  EXPECT_EQ(Parse(Request("f\0mail\0"s)), TftpMessage::kReadRequest);
  EXPECT_EQ(Parse(Request("f\0octet\0blksize\0001432\0tsize\0000\0"s)),
            TftpMessage::kReadRequest);
}

TEST(TftpParser, MalformedRequests) {
  const struct {
    const char* what;
    std::string bytes;
  } cases[] = {
      {"nothing", ""},
      {"half an opcode", "\0"s},
      {"only an opcode", Request("")},
      {"a name without its end", Request("file")},
      {"no mode", Request("file\0"s)},
      {"a mode without its end", Request("file\0octet"s)},
      {"an empty name", Request("\0octet\0"s)},
      {"an empty mode", Request("file\0\0"s)},
      {"an unknown mode", Request("file\0binary\0"s)},
      {"a mode that goes on", Request("file\0octets\0"s)},
      {"an option without a value", Request("f\0octet\0blksize\0"s)},
      {"a value without its end", Request("f\0octet\0blksize\0001432"s)},
      {"an empty option", Request("f\0octet\0\0001432\0"s)},
      {"bytes behind the end", Request("f\0octet\0x"s)},
      {"opcode 0", Request("f\0octet\0"s, 0)},
      {"opcode 7", Request("f\0octet\0"s, 7)},
      {"opcode 65535", "\xff\xff"s + "f\0octet\0"s},
      {"opcode 256", "\1\0f\0octet\0"s},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Parse(c.bytes), TftpMessage::kMalformed) << c.what;
  }
}

TEST(TftpParser, LimitsOfLengthAndOptions) {
  const auto of_size = [](size_t size) {
    return Request(std::string(size - 2 - 7, 'f') + "\0octet\0"s);
  };
  ASSERT_EQ(of_size(512).size(), 512u);
  EXPECT_EQ(Parse(of_size(512)), TftpMessage::kReadRequest);
  EXPECT_EQ(Parse(of_size(513)), TftpMessage::kMalformed);
  EXPECT_EQ(Parse(of_size(1500)), TftpMessage::kMalformed);
  std::string options;
  for (int i = 0; i < kMaxTftpOptions; ++i) options += "a\0b\0"s;
  EXPECT_EQ(Parse(Request("f\0octet\0"s + options)),
            TftpMessage::kReadRequest);
  EXPECT_EQ(Parse(Request("f\0octet\0"s + options + "a\0b\0"s)),
            TftpMessage::kMalformed);
}

TEST(TftpParser, OtherMessages) {
  EXPECT_EQ(Parse("\0\3\0\1data"s), TftpMessage::kData);
  EXPECT_EQ(Parse("\0\3\0\1"s), TftpMessage::kData);
  EXPECT_EQ(Parse("\0\3\0"s), TftpMessage::kMalformed);
  EXPECT_EQ(Parse("\0\4\0\1"s), TftpMessage::kAcknowledgment);
  EXPECT_EQ(Parse("\0\4"s), TftpMessage::kMalformed);
  EXPECT_EQ(Parse("\0\5\0\1no\0"s), TftpMessage::kError);
  EXPECT_EQ(Parse("\0\6blksize\0001432\0"s),
            TftpMessage::kOptionAcknowledgment);
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
  EXPECT_FALSE(shard.expectations->Take(second.info, {Direction::kOut},
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

TEST_P(Tftp, T13MalformedRequestsExpectNothingAndAreCounted) {
  const char* payloads[] = {
      "data \"\"",
      "data 0x00",
      "data 0x0001",
      "data 0x000166",
      "data 0x0000660000",
      "data 0x0001660066",
      "data 0x0007660066006600",
      "data 0xffff660066006600",
      "data 0x0001006f6374657400",
      "tftp rrq \"f\" binary",
  };
  int malformed = 0;
  for (const char* payload : payloads) {
    Shard fresh(GetParam());
    const Outcome o =
        fresh.In(absl::StrCat("udp $C:5000 > $S:69 ", payload));
    EXPECT_EQ(o.kind, Outcome::kCreated) << payload;
    EXPECT_TRUE(fresh.expectations->empty()) << payload;
    malformed += static_cast<int>(fresh.expectations->statistics().malformed);
  }
  EXPECT_EQ(malformed, 10);
  Shard fresh(GetParam());
  fresh.In(absl::StrCat("udp $C:5000 > $S:69 tftp rrq \"",
                        std::string(505, 'f'), "\" octet"));
  EXPECT_TRUE(fresh.expectations->empty());
  fresh.In(absl::StrCat("udp $C:5000 > $S:69 tftp rrq \"",
                        std::string(503, 'f'), "\" octet"));
  EXPECT_EQ(fresh.expectations->size(), 1u);
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
