// What is said of the firewall's own addresses, and where neighbours are.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/forward/neighbor_table.h"
#include "dataplane/forward/own_address_speaker.h"
#include "dataplane/forward/own_addresses.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

using Standing = OwnAddresses::Standing;

// Close to where ticks wrap around.
constexpr Tick kBegin = 0xffffff00;

class OwnAddressesTest : public testing::Test {
 protected:
  OwnAddressesTest()
      : pool_(255),
        speaker_(pool_.get()),
        own_({*ParseAddress("192.0.2.7"), *ParseAddress("2001:db8::7")}),
        topology_(std::make_unique<Topology>()) {
    for (const uint16_t port : {0, 1}) {
      topology_->ports[port].port = port;
      topology_->ports[port].peer = port ^ 1;
      topology_->ports[port].own = &own_;
      topology_->ports[port].mac = {2, 0, 0, 0, 0, static_cast<uint8_t>(port)};
    }
    speaker_.Adopt(*topology_, kBegin);
  }

  // What is said until then, a character each by port: a asks, t tells.
  std::map<std::string, std::string> SaidUntil(Tick end) {
    std::map<std::string, std::string> said;
    for (; TickDiff(end, now_) > 0; ++now_) {
      speaker_.Speak(*topology_, now_, [&](uint16_t port, rte_mbuf* frame) {
        PacketInfo info;
        ParsePacket(*frame, {}, &info);
        NeighborMessage message;
        EXPECT_TRUE(ReadNeighborMessage(*frame, info, &message));
        EXPECT_EQ(message.link, topology_->ports[port].mac);
        EXPECT_EQ(LinkSource(*frame), topology_->ports[port].mac);
        EXPECT_EQ(message.sender.family, message.asks
                                             ? Family::kNone
                                             : message.sender.family);
        // The tags as they lie in the frame, if there are any.
        std::string where = ToString(message.target);
        if (info.has(kVlanTagged)) {
          const LinkTags tags = ReadLinkTags(*frame, info);
          where += " in ";
          for (const uint8_t byte : tags.span()) {
            where += "0123456789abcdef"[byte >> 4];
            where += "0123456789abcdef"[byte & 15];
          }
        }
        said[where] += message.asks ? 'a' : 't';
        ports_ |= 1u << port;
        rte_pktmbuf_free(frame);
      });
    }
    EXPECT_EQ(pool_.InUse(), 0u);
    return said;
  }

  // The lane of a question for the first address in such VLANs.
  size_t LaneOf(OwnAddresses& own, const std::string& tags) {
    rte_mbuf* const frame = pool_.Make(
        FrameFromText("arp request 192.0.2.1 > 192.0.2.7 " + tags));
    PacketInfo info;
    ParsePacket(*frame, {}, &info);
    const size_t lane = own.LaneOf(*frame, info);
    rte_pktmbuf_free(frame);
    return lane;
  }

  MbufPool pool_;
  OwnAddressSpeaker speaker_;
  OwnAddresses own_;
  std::unique_ptr<Topology> topology_;
  Tick now_ = kBegin;
  uint32_t ports_ = 0;
};

TEST_F(OwnAddressesTest, AsksBeforeItAnswersAndThenAnnounces) {
  EXPECT_FALSE(own_.AnswersFor(own_.addresses()[0]));
  auto said = SaidUntil(kBegin + 850);
  EXPECT_EQ(said["192.0.2.7"], "aaaaaa");
  EXPECT_EQ(said["2001:db8::7"], "aaaaaa");
  EXPECT_EQ(ports_, 3u);
  EXPECT_FALSE(own_.AnswersFor(own_.addresses()[0]));
  said = SaidUntil(kBegin + 60'000);
  EXPECT_EQ(said["192.0.2.7"], "tttt");
  EXPECT_EQ(said["2001:db8::7"], "tttt");
  EXPECT_TRUE(own_.AnswersFor(own_.addresses()[0]));
  EXPECT_FALSE(own_.AnswersFor(*ParseAddress("192.0.2.8")));
}

TEST_F(OwnAddressesTest, WhatSomebodyElseHasIsAskedForAgain) {
  SaidUntil(kBegin + 100);
  EXPECT_TRUE(own_.NoteTaken(0, OwnAddresses::kUntagged, now_));
  EXPECT_FALSE(own_.NoteTaken(0, OwnAddresses::kUntagged, now_));
  EXPECT_EQ(SaidUntil(kBegin + 4'000).count("192.0.2.7"), 0u);
  EXPECT_FALSE(own_.AnswersFor(own_.addresses()[0]));
  EXPECT_TRUE(own_.AnswersFor(own_.addresses()[1]));
  // He answers again, then is gone.
  EXPECT_EQ(SaidUntil(kBegin + 5'200)["192.0.2.7"], "aa");
  EXPECT_TRUE(own_.NoteTaken(0, OwnAddresses::kUntagged, now_));
  EXPECT_EQ(SaidUntil(kBegin + 60'000)["192.0.2.7"], "aaaaaatttt");
  EXPECT_TRUE(own_.AnswersFor(own_.addresses()[0]));
}

TEST_F(OwnAddressesTest, ALinkThatComesUpHearsItAnew) {
  SaidUntil(kBegin + 60'000);
  topology_->ports[1].up = false;
  speaker_.Adopt(*topology_, now_);
  EXPECT_TRUE(SaidUntil(now_ + 5'000).empty());
  topology_->ports[1].up = true;
  speaker_.Adopt(*topology_, now_);
  EXPECT_EQ(SaidUntil(now_ + 5'000)["192.0.2.7"], "aaaaaatttt");
  // A port that may not be used yet is not spoken to, and a wire of two such
  // ones does not get its addresses.
  for (PortContext* port : {&topology_->ports[0], &topology_->ports[1]}) {
    port->enabled = false;
  }
  OwnAddresses later({*ParseAddress("192.0.2.9")}, &own_);
  topology_->ports[0].own = topology_->ports[1].own = &later;
  speaker_.Adopt(*topology_, now_);
  EXPECT_TRUE(SaidUntil(now_ + 5'000).empty());
  EXPECT_EQ(later.standing(0), Standing::kAsking);
}

TEST_F(OwnAddressesTest, ANewListKeepsWhatIsKnown) {
  SaidUntil(kBegin + 60'000);
  OwnAddresses later({*ParseAddress("192.0.2.6"), *ParseAddress("192.0.2.7")},
                     &own_);
  EXPECT_EQ(later.standing(0), Standing::kAsking);
  EXPECT_EQ(later.standing(1), Standing::kOurs);
  topology_->ports[0].own = topology_->ports[1].own = &later;
  speaker_.Adopt(*topology_, now_);
  const auto said = SaidUntil(now_ + 10'000);
  EXPECT_EQ(said.count("192.0.2.7"), 0u);
  EXPECT_EQ(said.at("192.0.2.6"), "aaaaaatttt");
}

// A VLAN that uses an address hears of it as untagged hosts do, with its tags.
TEST_F(OwnAddressesTest, EachVlanIsAskedAndHearsItWithItsTags) {
  SaidUntil(kBegin + 3'000);
  EXPECT_EQ(LaneOf(own_, ""), OwnAddresses::kUntagged);
  const size_t seven = LaneOf(own_, "vlan 7");
  EXPECT_EQ(LaneOf(own_, "vlan 7"), seven);
  const size_t both = LaneOf(own_, "qinq 7 vlan 9");
  ASSERT_EQ(own_.lanes(), 3u);
  EXPECT_EQ(own_.vlan(seven), VlanId::Of(7));
  EXPECT_EQ(own_.vlan(both), VlanId::Of(7, 9));
  EXPECT_TRUE(own_.AnswersFor(own_.addresses()[0]));
  EXPECT_FALSE(own_.AnswersFor(own_.addresses()[0], seven));
  const Tick begin = now_;
  auto said = SaidUntil(begin + 850);
  EXPECT_EQ(said.count("192.0.2.7"), 0u);
  EXPECT_EQ(said["192.0.2.7 in 81000007"], "aaaaaa");
  EXPECT_EQ(said["2001:db8::7 in 81000007"], "aaaaaa");
  EXPECT_EQ(said["192.0.2.7 in 88a8000781000009"], "aaaaaa");
  // Somebody there has one: it is his in that VLAN.
  EXPECT_TRUE(own_.NoteTaken(0, seven, now_));
  said = SaidUntil(begin + 3'000);
  EXPECT_EQ(said.count("192.0.2.7 in 81000007"), 0u);
  EXPECT_EQ(said["2001:db8::7 in 81000007"], "tttt");
  EXPECT_EQ(said["192.0.2.7 in 88a8000781000009"], "tttt");
  EXPECT_FALSE(own_.AnswersFor(own_.addresses()[0], seven));
  EXPECT_TRUE(own_.AnswersFor(own_.addresses()[0], both));
  EXPECT_TRUE(own_.AnswersFor(own_.addresses()[0]));
  EXPECT_TRUE(own_.HasStanding(0, Standing::kTaken));
  EXPECT_FALSE(own_.HasStanding(1, Standing::kTaken));
  // A new list knows the VLANs, and a link that comes up hears it in each.
  OwnAddresses later({*ParseAddress("192.0.2.6"), *ParseAddress("192.0.2.7")},
                     &own_);
  EXPECT_EQ(later.lanes(), 3u);
  EXPECT_EQ(later.standing(1, seven), Standing::kTaken);
  EXPECT_EQ(later.standing(1, both), Standing::kOurs);
  EXPECT_EQ(later.standing(0, both), Standing::kAsking);
  topology_->ports[0].own = topology_->ports[1].own = &later;
  topology_->ports[1].up = false;
  speaker_.Adopt(*topology_, now_);
  topology_->ports[1].up = true;
  speaker_.Adopt(*topology_, now_);
  said = SaidUntil(now_ + 4'000);
  for (const char* tags : {"", " in 88a8000781000009"}) {
    EXPECT_EQ(said[std::string("192.0.2.6") + tags], "aaaaaatttt");
    EXPECT_EQ(said[std::string("192.0.2.7") + tags], "aaaaaatttt");
  }
}

// Priorities are no VLANs, and do not stand in what is said; VLANs for which
// there is no room share the standing of untagged frames.
TEST_F(OwnAddressesTest, OnlySoManyVlansAreApart) {
  EXPECT_EQ(LaneOf(own_, "vlan 0 pcp 5"), OwnAddresses::kUntagged);
  EXPECT_EQ(LaneOf(own_, "vlan 100 pcp 5"), 1u);
  LinkTags tags;
  ASSERT_TRUE(own_.TagsOf(1, &tags));
  EXPECT_EQ(tags.length, 4);
  EXPECT_EQ(tags.bytes[2], 0);
  EXPECT_EQ(tags.bytes[3], 100);
  for (size_t i = 1; i < OwnAddresses::kMostVlans; ++i) {
    EXPECT_EQ(LaneOf(own_, "vlan " + std::to_string(100 + i)), i + 1);
  }
  EXPECT_EQ(LaneOf(own_, "vlan 200"), OwnAddresses::kUntagged);
  EXPECT_EQ(LaneOf(own_, "vlan 100"), 1u);
  EXPECT_EQ(own_.lanes(), 1 + OwnAddresses::kMostVlans);
}

TEST_F(OwnAddressesTest, WhatLeavesIsGivenToWhoeverWantsIt) {
  SaidUntil(kBegin + 60'000);
  const Address address = own_.addresses()[0];
  OwnAddresses later(own_.addresses(), &own_, {address});
  topology_->ports[0].own = topology_->ports[1].own = &later;
  EXPECT_TRUE(later.AnswersFor(address));
  EXPECT_FALSE(later.AnswersFor(address, OwnAddresses::kUntagged,
                                /*probe=*/true));
  EXPECT_TRUE(later.AnswersFor(own_.addresses()[1], OwnAddresses::kUntagged,
                               /*probe=*/true));
  EXPECT_TRUE(later.NoteTaken(0, OwnAddresses::kUntagged, now_));
  EXPECT_FALSE(later.AnswersFor(address));
  EXPECT_TRUE(SaidUntil(now_ + 60'000).empty());
}

TEST(NeighborTableTest, AsksOnceASecondAndForgetsAfterAMinute) {
  NeighborTable table(1);
  const NeighborKey key = {.address = *ParseAddress("10.0.0.1"),
                           .vlan = {},
                           .wire = 0};
  const Neighbor there = {.mac = {2, 0, 0, 0, 0, 9}, .port = 1};
  Neighbor found;
  Tick now = kBegin;
  // What nobody asked for is not learnt.
  table.Learn(key, there, now);
  EXPECT_EQ(table.Find(key, now, &found), NeighborAnswer::kAsk);
  EXPECT_EQ(table.Find(key, now + 999, &found), NeighborAnswer::kWait);
  EXPECT_FALSE(table.HasNews(key, now + 999));
  EXPECT_TRUE(table.HasNews(key, now + 1000));
  EXPECT_EQ(table.Find(key, now + 1000, &found), NeighborAnswer::kAsk);
  now += 1500;
  table.Learn(key, there, now);
  EXPECT_EQ(table.Find(key, now, &found), NeighborAnswer::kKnown);
  EXPECT_EQ(found.mac, there.mac);
  EXPECT_EQ(found.port, 1);
  EXPECT_EQ(table.Find(key, now + 29'999, &found), NeighborAnswer::kKnown);
  EXPECT_EQ(table.Find(key, now + 30'000, &found), NeighborAnswer::kKnownAsk);
  EXPECT_EQ(table.Find(key, now + 30'001, &found), NeighborAnswer::kKnown);
  EXPECT_EQ(table.Find(key, now + 60'000, &found), NeighborAnswer::kAsk);
  // The other wire and the other VLAN are others.
  NeighborKey other = key;
  other.wire = 2;
  EXPECT_EQ(table.Find(other, now, &found), NeighborAnswer::kAsk);
  other = key;
  other.vlan = VlanId::Of(7);
  EXPECT_EQ(table.Find(other, now, &found), NeighborAnswer::kAsk);
}

TEST(NeighborTableTest, TheOneUsedLongestAgoMakesRoom) {
  NeighborTable table(1);
  Neighbor found;
  const auto key = [](uint32_t n) {
    return NeighborKey{.address = Address::V4(n), .vlan = {}, .wire = 0};
  };
  for (uint32_t n = 1; n <= 4; ++n) {
    EXPECT_EQ(table.Find(key(n), kBegin + n, &found), NeighborAnswer::kAsk);
    table.Learn(key(n), {.mac = {2}, .port = 0}, kBegin + n);
  }
  EXPECT_EQ(table.Find(key(1), kBegin + 5, &found), NeighborAnswer::kKnown);
  EXPECT_EQ(table.Find(key(5), kBegin + 6, &found), NeighborAnswer::kAsk);
  EXPECT_EQ(table.Find(key(1), kBegin + 7, &found), NeighborAnswer::kKnown);
  EXPECT_EQ(table.Find(key(2), kBegin + 8, &found), NeighborAnswer::kAsk);
}

TEST(NeighborTableTest, QuestionsAreLimited) {
  NeighborTable table(1024);
  Neighbor found;
  uint32_t asked = 0;
  for (uint32_t n = 1; n <= 1000; ++n) {
    const NeighborKey key = {
        .address = Address::V4(0x0a000000 + n), .vlan = {}, .wire = 0};
    if (table.Find(key, kBegin, &found) == NeighborAnswer::kAsk) ++asked;
  }
  EXPECT_EQ(asked, NeighborTable::kQuestionsASecond);
}

}  // namespace
}  // namespace sluice
