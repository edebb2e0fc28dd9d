#include "dataplane/replay/verdict_text.h"

#include <gtest/gtest.h>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

// The last three words of a packet's line.
std::string Ends(const std::string& packet) {
  PlainMbuf mbuf(FrameFromText(packet));
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  const std::string text =
      VerdictText({.number = 1, .arrival = "a", .passed = true, .info = &info});
  EXPECT_EQ(text.substr(0, 15), "1 a pass - - - ");
  return text.substr(15);
}

TEST(VerdictText, SaysWhereAndWhose) {
  PlainMbuf mbuf(FrameFromText("udp 10.0.0.2:1025 > 10.0.0.1:80 data 1"));
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  VerdictLine line{.number = 7,
                   .arrival = "outside",
                   .passed = false,
                   .reason = "match",
                   .rule = 4,
                   .judged = Direction::kOut,
                   .judged_at = "inside",
                   .info = &info};
  EXPECT_EQ(VerdictText(line),
            "7 outside drop match 4 out@inside udp 10.0.0.2:1025 10.0.0.1:80");
  line.passed = true;
  line.judged = Direction::kIn;
  line.judged_at = "outside";
  line.rule.reset();
  EXPECT_EQ(VerdictText(line),
            "7 outside pass - - in@outside udp 10.0.0.2:1025 10.0.0.1:80");
  EXPECT_EQ(VerdictText({.number = 9, .arrival = "a", .reason = kCutReason}),
            "9 a drop cut - - - - -");
}

TEST(VerdictText, EndsOfEveryKind) {
  EXPECT_EQ(Ends("tcp [2001:db8::2]:1 > [2001:db8::1]:2 S"),
            "tcp 2001:db8::2[1] 2001:db8::1[2]");
  EXPECT_EQ(Ends("icmp 10.0.0.1 > 10.0.0.2 echo id 5"),
            "icmp 10.0.0.1 10.0.0.2");
  EXPECT_EQ(Ends("ip 10.0.0.1 > 10.0.0.2 proto 47 data 20"),
            "47 10.0.0.1 10.0.0.2");
  // A fragment's ports are not known.
  EXPECT_EQ(Ends("udp 10.0.0.1:1 > 10.0.0.2:2 data 64 frag 0+"),
            "udp 10.0.0.1 10.0.0.2");
  EXPECT_EQ(Ends("eth 0x88cc data 20"), "- - -");
  EXPECT_EQ(Ends("hex 00"), "- - -");
}

}  // namespace
}  // namespace sluice
