// Which VLAN frames are in, and how that is written.
#include "packet/vlan.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

TEST(Vlan, IsWhatTheTwoOutermostTagsSay) {
  const struct {
    const char* tags;
    VlanId vlan;
  } kCases[] = {
      {"", {}},
      {" vlan 42", VlanId::Of(42)},
      {" vlan 42 pcp 7", VlanId::Of(42)},
      {" vlan 4095", VlanId::Of(4095)},
      {" qinq 42", VlanId::Of(42)},
      {" qinq 7 vlan 42", VlanId::Of(7, 42)},
      {" qinq 42 vlan 7 pcp 1", VlanId::Of(42, 7)},
      // A priority alone is no VLAN.
      {" vlan 0", {}},
      {" vlan 0 pcp 5", {}},
      {" qinq 0 vlan 42", VlanId::Of(42)},
      {" qinq 42 vlan 0", VlanId::Of(42)},
  };
  constexpr std::array<uint32_t, 6> kPieces = {13, 2, 3, 1, 2, 9};
  for (const std::string ends : {"udp 10.0.0.2:5000 > 10.0.0.1:53 data 9",
                                 "udp [2001:db8::2]:5 > [2001:db8::1]:53"}) {
    for (const auto& one : kCases) {
      SCOPED_TRACE(ends + one.tags);
      for (const std::span<const uint32_t> pieces :
           {std::span<const uint32_t>(), std::span<const uint32_t>(kPieces)}) {
        PlainMbuf mbuf(FrameFromText(ends + one.tags), pieces);
        PacketInfo info;
        ParsePacket(*mbuf, {}, &info);
        ASSERT_EQ(info.kind, Kind::kIp);
        EXPECT_EQ(VlanOf(*mbuf, info), one.vlan)
            << ToString(VlanOf(*mbuf, info));
      }
    }
  }
}

TEST(Vlan, IsWrittenAsItIsRead) {
  for (const std::string_view text :
       {"0", "1", "42", "4095", "7.42", "42.7", "4095.4095"}) {
    const std::optional<VlanId> vlan = ParseVlan(text);
    ASSERT_TRUE(vlan.has_value()) << text;
    EXPECT_EQ(ToString(*vlan), text);
  }
  EXPECT_NE(VlanId::Of(7, 42), VlanId::Of(42, 7));
  for (const std::string_view text :
       {"", "4096", "-1", "x", "4x", "7.", ".7", "0.7", "7.0", "7.4096",
        "1.2.3", " 7", "99999999999"}) {
    EXPECT_FALSE(ParseVlan(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace sluice
