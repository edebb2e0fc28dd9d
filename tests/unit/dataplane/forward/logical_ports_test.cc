#include "dataplane/forward/logical_ports.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <map>
#include <vector>

#include "dataplane/forward/tag_sorter.h"
#include "packet/frame_tags.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

TEST(LogicalPortsTest, FindsEachByItsTagsAlone) {
  std::vector<LogicalPorts::Child> children;
  std::map<VlanTags, uint16_t> oracle;
  const auto add = [&](VlanTags tags) {
    const auto port = static_cast<uint16_t>(300 + children.size());
    children.push_back({.tags = tags, .port = port});
    oracle[tags] = port;
  };
  for (uint16_t outer = 1; outer < 2000; outer += 3) add({.outer = outer});
  for (uint16_t i = 1; i <= 3000; ++i) {
    add({.outer = static_cast<uint16_t>(1 + i % 7),
         .inner = static_cast<uint16_t>(1 + i)});
  }
  const LogicalPorts ports(children);
  for (uint32_t outer = 0; outer < 2100; ++outer) {
    for (const uint32_t inner : {0u, 1u, 2u, 17u, 1500u, 3001u, 4094u}) {
      const VlanTags tags = {.outer = static_cast<uint16_t>(outer),
                             .inner = static_cast<uint16_t>(inner)};
      const auto both = oracle.find(tags);
      const auto one = oracle.find({.outer = tags.outer});
      const LogicalPorts::Found found = ports.Find(tags);
      if (both != oracle.end()) {
        EXPECT_EQ(found.port, both->second);
        EXPECT_EQ(found.pop, inner == 0 ? 1 : 2);
      } else if (one != oracle.end()) {
        EXPECT_EQ(found.port, one->second);
        EXPECT_EQ(found.pop, 1);
      } else {
        EXPECT_EQ(found.port, kNoPort);
      }
    }
  }
}

class FrameTagsTest : public ::testing::Test {
 protected:
  MbufPool pool_{63};
};

// In buffers of any size.
TEST_F(FrameTagsTest, PoppedAndPushedAFrameIsWhatItWas) {
  for (const uint32_t bytes : {0u, 13u, 17u, 21u, 60u}) {
    for (const char* text :
         {"udp 10.0.0.2:1 > 10.0.0.1:2 data 40 vlan 5 pcp 3",
          "udp 10.0.0.2:1 > 10.0.0.1:2 data 40 qinq 7 vlan 42"}) {
      const std::vector<uint8_t> frame = FrameFromText(text);
      rte_mbuf* const mbuf =
          bytes == 0 ? pool_.Make(frame) : pool_.Make(frame, bytes);
      const FrameTags tags = ReadTags(*mbuf);
      ASSERT_TRUE(tags.numbers.any());
      ASSERT_TRUE(PopTags(*mbuf, tags.numbers.count()));
      EXPECT_EQ(BytesOf(mbuf),
                FrameFromText(std::string(text).substr(
                    0, std::string(text).find(" data 40") + 8)));
      EXPECT_FALSE(ReadTags(*mbuf).numbers.any());
      SetFramePriority(*mbuf, tags.priority);
      ASSERT_TRUE(PushTags(*mbuf, tags.numbers));
      EXPECT_EQ(BytesOf(mbuf), frame) << text << " in " << bytes;
      rte_pktmbuf_free(mbuf);
    }
  }
}

TEST_F(FrameTagsTest, WithoutRoomNothingChanges) {
  const std::vector<uint8_t> frame =
      FrameFromText("udp 10.0.0.2:1 > 10.0.0.1:2 data 40");
  rte_mbuf* const mbuf = pool_.Make(frame);
  ASSERT_NE(rte_pktmbuf_prepend(
                mbuf, static_cast<uint16_t>(rte_pktmbuf_headroom(mbuf) - 4)),
            nullptr);
  const std::vector<uint8_t> before = BytesOf(mbuf);
  EXPECT_FALSE(PushTags(*mbuf, {.outer = 5, .inner = 6}));
  EXPECT_EQ(BytesOf(mbuf), before);
  EXPECT_TRUE(PushTags(*mbuf, {.outer = 5}));
  rte_pktmbuf_free(mbuf);
}

TEST_F(FrameTagsTest, ShortFramesHaveNoTags) {
  for (const size_t bytes : {1u, 12u, 14u, 16u, 17u}) {
    std::vector<uint8_t> frame =
        FrameFromText("udp 10.0.0.2:1 > 10.0.0.1:2 vlan 5");
    frame.resize(bytes);
    rte_mbuf* const mbuf = pool_.Make(frame);
    EXPECT_FALSE(ReadTags(*mbuf).numbers.any()) << bytes;
    rte_pktmbuf_free(mbuf);
  }
}

// Frames of a port stay in order, and the parent's own stay in the burst.
TEST_F(FrameTagsTest, ABurstIsSortedByPort) {
  const std::vector<LogicalPorts::Child> children = {
      {.tags = {.outer = 5}, .port = 300}, {.tags = {.outer = 6}, .port = 301}};
  const LogicalPorts ports(children);
  PortContext parent;
  parent.peer = 1;
  parent.children = &ports;
  std::vector<PortCounters> counters(400);
  PacketBurst burst;
  for (uint32_t i = 0; i < kMaxBurst; ++i) {
    const std::string vlan =
        i % 4 == 3 ? "" : " vlan " + std::to_string(5 + i % 4);
    burst.mbufs[burst.count++] =
        pool_.Make(FrameFromText("udp 10.0.0.2:" + std::to_string(100 + i) +
                                 " > 10.0.0.1:2" + vlan));
  }
  const std::array<rte_mbuf*, kMaxBurst> all = burst.mbufs;
  TagSorter sorter;
  sorter.Sort(parent, counters, burst);
  EXPECT_EQ(burst.count, 16u);  // without a tag, or VLAN 7
  for (uint32_t i = 0; i < burst.count; ++i) {
    EXPECT_EQ(burst.mbufs[i], all[sorter.own_place(i)]);
    if (i > 0) {
      EXPECT_GT(sorter.own_place(i), sorter.own_place(i - 1));
    }
  }
  uint16_t port;
  uint32_t groups = 0;
  while (sorter.Next(&port)) {
    EXPECT_EQ(port, 300 + groups++);
    EXPECT_EQ(sorter.group().count, 8u);
    for (uint32_t i = 0; i < sorter.group().count; ++i) {
      EXPECT_EQ(sorter.place(i), 4 * i + port - 300u);
      EXPECT_EQ(sorter.group().mbufs[i], all[sorter.place(i)]);
    }
  }
  EXPECT_EQ(groups, 2u);
  for (rte_mbuf* mbuf : all) rte_pktmbuf_free(mbuf);
}

}  // namespace
}  // namespace sluice
