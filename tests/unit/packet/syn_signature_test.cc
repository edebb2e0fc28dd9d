#include "packet/syn_signature.h"

#include <gtest/gtest.h>

#include <string>

#include "packet/frame_view.h"
#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

bool Read(const std::string& packet, SynSignature* syn) {
  const std::vector<uint8_t> frame = FrameFromText(packet);
  const uint32_t lengths[] = {20, 30, 11};
  PlainMbuf mbuf(frame, lengths);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  EXPECT_EQ(info.kind, Kind::kIp) << packet;
  return ReadSyn(*mbuf, info, syn);
}

constexpr uint64_t Packed(std::initializer_list<SynOption> options) {
  uint64_t packed = 0;
  for (const SynOption option : options) {
    packed = packed << kSynOptionBits | static_cast<uint8_t>(option);
  }
  return packed;
}

TEST(SynSignatureTest, ReadsWhatASynLooksLike) {
  const SynSignature expected = {
      .options = Packed({SynOption::kMss, SynOption::kSackPermitted,
                         SynOption::kTimestamp, SynOption::kNop,
                         SynOption::kWindowScale}),
      .option_count = 5,
      .ttl = 60,
      .scale = 7,
      .dont_fragment = true,
      .window = 64240,
      .size = 60,
      .mss = 1460};
  const std::string rest =
      " S win 64240 ttl 60 <mss 1460,sackok,ts 1 0,nop,wscale 7>";
  SynSignature syn;
  ASSERT_TRUE(Read("tcp 10.0.0.1:1 > 10.0.0.2:2" + rest + " df", &syn));
  EXPECT_EQ(syn, expected);
  ASSERT_TRUE(Read("tcp [2001:db8::1]:1 > [2001:db8::2]:2" + rest, &syn));
  SynSignature longer = expected;
  longer.size = 80;
  EXPECT_EQ(syn, longer);
}

TEST(SynSignatureTest, ZeroTimeAndNoOptions) {
  SynSignature syn;
  ASSERT_TRUE(Read("tcp 10.0.0.1:1 > 10.0.0.2:2 S <ts 0 9,nop,nop>", &syn));
  EXPECT_TRUE(syn.timestamp_is_zero);
  ASSERT_TRUE(Read("tcp 10.0.0.1:1 > 10.0.0.2:2 S", &syn));
  EXPECT_FALSE(syn.timestamp_is_zero);
  EXPECT_EQ(syn.option_count, 0);
  // Nothing behind the end of the list.
  ASSERT_TRUE(Read("tcp 10.0.0.1:1 > 10.0.0.2:2 S <nop,eol,mss 7>", &syn));
  EXPECT_EQ(syn.option_count, 1);
  EXPECT_EQ(syn.mss, 0);
}

TEST(SynSignatureTest, OthersHaveNone) {
  SynSignature syn;
  for (const char* const packet :
       {"tcp 10.0.0.1:1 > 10.0.0.2:2 SA", "tcp 10.0.0.1:1 > 10.0.0.2:2 A",
        "udp 10.0.0.1:1 > 10.0.0.2:2",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S <mss 1460,0xfe040000>",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S <nop,nop,nop,0x02>",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S <0x02040502,0x02010101>"}) {
    EXPECT_FALSE(Read(packet, &syn)) << packet;
  }
}

TEST(FrameViewTest, IsAPacket) {
  std::vector<uint8_t> frame =
      FrameFromText("tcp 10.0.0.1:1 > 10.0.0.2:2 S df <mss 1460>");
  const FrameView view(frame);
  PacketInfo info;
  ParsePacket(view.mbuf(), {}, &info);
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.source_port.host(), 1);
  SynSignature syn;
  ASSERT_TRUE(ReadSyn(view.mbuf(), info, &syn));
  EXPECT_EQ(syn.mss, 1460);
}

}  // namespace
}  // namespace sluice
