#include "packet/address.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(AddressTest, ParsesAndPrintsBothFamilies) {
  for (const char* text :
       {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1",
        "fe80::1:0:0:2"}) {
    const auto address = ParseAddress(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(ToString(*address), text);
  }
}

TEST(AddressTest, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/8",
                           "::1::", "fe80::1%eth0", "host", "12345::"}) {
    EXPECT_FALSE(ParseAddress(text).has_value()) << text;
  }
  EXPECT_FALSE(ParseAddress(std::string_view("1.2.3.4\0x", 9)).has_value());
}

TEST(PrefixTest, ParsesLengthsInRangeOnly) {
  EXPECT_EQ(ParsePrefix("10.0.0.0/8")->length, 8);
  EXPECT_EQ(ParsePrefix("10.0.0.1")->length, 32);
  EXPECT_EQ(ParsePrefix("2001:db8::/32")->length, 32);
  for (const char* text : {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1",
                           "10.0.0.0/8x", "/8"}) {
    EXPECT_FALSE(ParsePrefix(text).has_value()) << text;
  }
}

TEST(PrefixTest, ContainsComparesOnlyThePrefixAndTheFamily) {
  const Prefix v4 = *ParsePrefix("10.1.128.0/17");
  EXPECT_TRUE(v4.Contains(*ParseAddress("10.1.200.3")));
  EXPECT_FALSE(v4.Contains(*ParseAddress("10.1.127.3")));
  const Prefix v6 = *ParsePrefix("2001:db8::/33");
  EXPECT_TRUE(v6.Contains(*ParseAddress("2001:db8:7fff::1")));
  EXPECT_FALSE(v6.Contains(*ParseAddress("2001:db8:8000::1")));
  EXPECT_FALSE(ParsePrefix("0.0.0.0/0")->Contains(*ParseAddress("::")));
  EXPECT_TRUE(ParsePrefix("::/0")->Contains(*ParseAddress("ffff::")));
}

TEST(PrefixTest, MaskedClearsHostBits) {
  EXPECT_EQ(ToString(ParsePrefix("10.1.2.3/8")->Masked()), "10.0.0.0/8");
  EXPECT_EQ(ToString(ParsePrefix("2001:db8::ff/64")->Masked()),
            "2001:db8::/64");
}

TEST(ByteOrderTest, HostAndWireDiffer) {
  EXPECT_EQ(Be16(0x1234).host(), 0x1234);
  EXPECT_EQ(Be32(1).raw(), 0x01000000u);
  EXPECT_EQ(Address::FromBe32(Be32(0x0a000001)), *ParseAddress("10.0.0.1"));
  EXPECT_EQ(Address::V4(0x0a000001).v4().host(), 0x0a000001u);
}

}  // namespace
}  // namespace sluice
