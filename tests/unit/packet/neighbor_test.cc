// Messages of ARP and neighbour discovery, read and made.
#include "packet/neighbor.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr MacAddress kOwn = {2, 0, 0, 0, 0xff, 1};
const char kTarget6[] = "20010db8000000000000000000000007";

class Frame {
 public:
  explicit Frame(const std::string& text,
                 std::span<const uint32_t> lengths = {})
      : mbuf_(FrameFromText(text), lengths) {
    ParsePacket(*mbuf_, {}, &info_);
  }
  bool Read() { return ReadNeighborMessage(*mbuf_, info_, &message); }
  rte_mbuf& mbuf() { return *mbuf_.get(); }
  const PacketInfo& info() const { return info_; }

  NeighborMessage message;

 private:
  PlainMbuf mbuf_;
  PacketInfo info_;
};

// Of no bytes yet, with room for any message.
class Made {
 public:
  Made() : mbuf_({}, {}, 160) {}
  rte_mbuf* get() { return mbuf_.get(); }
  bool Read() {
    ParsePacket(*mbuf_, {}, &info);
    return ReadNeighborMessage(*mbuf_, info, &message);
  }

  PacketInfo info;
  NeighborMessage message;

 private:
  PlainMbuf mbuf_;
};

TEST(NeighborTest, QuestionsAndTheirAnswers) {
  const std::string question6 =
      "icmp 2001:db8::2 > ff02::1:ff00:7 135 ttl 255 data 0x" +
      std::string(kTarget6) + "0101020000000009";
  for (const std::string& text :
       {std::string("arp request 10.0.0.2 > 10.0.0.7 ethsrc "
                    "02:00:00:00:00:09"),
        question6, question6 + " vlan 7",
        std::string("arp request 10.0.0.2 > 10.0.0.7 ethsrc "
                    "02:00:00:00:00:09 qinq 5 vlan 7")}) {
    const std::vector<uint32_t> pieces(12, 9);
    for (const auto lengths :
         {std::span<const uint32_t>(), std::span<const uint32_t>(pieces)}) {
      Frame frame(text, lengths);
      ASSERT_TRUE(frame.Read()) << text;
      const bool v4 = text[0] == 'a';
      EXPECT_TRUE(frame.message.asks);
      EXPECT_EQ(ToString(frame.message.target),
                v4 ? "10.0.0.7" : "2001:db8::7");
      EXPECT_EQ(ToString(frame.message.sender),
                v4 ? "10.0.0.2" : "2001:db8::2");
      EXPECT_EQ(frame.message.link, (MacAddress{2, 0, 0, 0, 0, 9}));
      Made answer;
      ASSERT_TRUE(BuildNeighborAnswer(frame.mbuf(), frame.info(),
                                      frame.message, kOwn, answer.get()));
      ASSERT_TRUE(answer.Read()) << text;
      EXPECT_FALSE(answer.message.asks);
      EXPECT_EQ(answer.message.target, frame.message.target);
      EXPECT_EQ(answer.message.link, kOwn);
      EXPECT_EQ(LinkDestination(*answer.get()), frame.message.link);
      const LinkTags asked = ReadLinkTags(frame.mbuf(), frame.info());
      const LinkTags told = ReadLinkTags(*answer.get(), answer.info);
      EXPECT_TRUE(std::equal(asked.span().begin(), asked.span().end(),
                             told.span().begin(), told.span().end()));
    }
  }
}

TEST(NeighborTest, ProbesAndAnnouncementsSayWhoIsMeant) {
  for (const char* text : {"10.0.0.7", "2001:db8::7"}) {
    const Address address = *ParseAddress(text);
    Made probe;
    ASSERT_TRUE(BuildNeighborProbe(address, kOwn, LinkTags(), probe.get()));
    ASSERT_TRUE(probe.Read());
    EXPECT_TRUE(probe.message.asks);
    EXPECT_EQ(probe.message.target, address);
    EXPECT_EQ(probe.message.sender.family, Family::kNone);
    EXPECT_EQ(probe.message.link, kOwn);
    LinkTags in_seven;
    in_seven.bytes = {0x81, 0x00, 0x00, 0x07};
    in_seven.length = 4;
    for (const LinkTags& tags : {LinkTags(), in_seven}) {
      Made announcement;
      ASSERT_TRUE(BuildNeighborAnnouncement(address, kOwn, tags,
                                            announcement.get()));
      ASSERT_TRUE(announcement.Read());
      EXPECT_FALSE(announcement.message.asks);
      EXPECT_EQ(announcement.message.target, address);
      EXPECT_EQ(announcement.message.link, kOwn);
      const LinkTags said =
          ReadLinkTags(*announcement.get(), announcement.info);
      EXPECT_TRUE(std::equal(tags.span().begin(), tags.span().end(),
                             said.span().begin(), said.span().end()));
    }
  }
}

TEST(NeighborTest, WhatIsNoGoodMessageSaysNothing) {
  const std::string nd = std::string("icmp 2001:db8::2 > 2001:db8::1 ");
  const std::string target = " data 0x" + std::string(kTarget6);
  for (const std::string& text :
       {std::string("udp 10.0.0.2:1 > 10.0.0.7:1"),
        std::string("eth 0x88cc data 0x0207"),
        // Cut, of another hardware, a group as its sender, nobody's address.
        std::string("arp request 10.0.0.2 > 10.0.0.7 cut 40"),
        std::string("eth 0x0806 data 0x0006080006040001020000000009"
                    "0a000002000000000000 data 0x0a000007"),
        std::string("arp reply 10.0.0.2 > 10.0.0.7 ethsrc 03:00:00:00:00:09"),
        std::string("arp reply 0.0.0.0 > 10.0.0.7"),
        nd + "135 ttl 64" + target, nd + "135 ttl 255 code 1" + target,
        nd + "135 ttl 255 data 0x20010db8", nd + "128 ttl 255" + target,
        // An option of no length, a group as the address that is told of.
        nd + "136 ttl 255" + target + "0200020000000009",
        nd + "136 ttl 255 data 0xff0200000000000000000000000000010201"
             "020000000009"}) {
    Frame frame(text);
    EXPECT_FALSE(frame.Read()) << text;
  }
}

TEST(NeighborTest, OptionsBeforeTheAddress) {
  Frame frame("icmp 2001:db8::2 > 2001:db8::1 136 ttl 255 data 0x" +
              std::string(kTarget6) +
              "0e01000000000000"
              "0201020000000009");
  ASSERT_TRUE(frame.Read());
  EXPECT_EQ(frame.message.link, (MacAddress{2, 0, 0, 0, 0, 9}));
  // Without one, it is where the frame came from.
  Frame bare("icmp 2001:db8::2 > 2001:db8::1 136 ttl 255 ethsrc "
             "02:00:00:00:00:08 data 0x" + std::string(kTarget6));
  ASSERT_TRUE(bare.Read());
  EXPECT_EQ(bare.message.link, (MacAddress{2, 0, 0, 0, 0, 8}));
}

}  // namespace
}  // namespace sluice
