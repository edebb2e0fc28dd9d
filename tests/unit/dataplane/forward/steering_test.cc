#include "dataplane/forward/steering.h"

#include <gtest/gtest.h>
#include <rte_byteorder.h>
#include <rte_thash.h>

#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

Address RandomAddress(Family family, std::mt19937_64& random) {
  Address address;
  address.family = family;
  for (int i = 0; i < AddressBits(family) / 8; ++i) {
    address.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(random());
  }
  return address;
}

// DPDK's own hash, over the tuple as a NIC concatenates it.
uint32_t SoftRss(const Address& source, const Address& destination,
                 Be16 source_port, Be16 destination_port, bool ports) {
  std::vector<uint8_t> bytes;
  const auto size = static_cast<size_t>(AddressBits(source.family) / 8);
  bytes.insert(bytes.end(), source.bytes.begin(),
               source.bytes.begin() + static_cast<ptrdiff_t>(size));
  bytes.insert(bytes.end(), destination.bytes.begin(),
               destination.bytes.begin() + static_cast<ptrdiff_t>(size));
  if (ports) {
    for (const Be16 port : {source_port, destination_port}) {
      bytes.push_back(static_cast<uint8_t>(port.host() >> 8));
      bytes.push_back(static_cast<uint8_t>(port.host()));
    }
  }
  // rte_softrss() wants each 32-bit word in host order.
  std::vector<uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  for (uint32_t& word : words) word = rte_be_to_cpu_32(word);
  return rte_softrss(words.data(), static_cast<uint32_t>(words.size()),
                     kSymmetricKey.data());
}

class SteeringFamilyTest : public ::testing::TestWithParam<Family> {};

TEST_P(SteeringFamilyTest, HashIsThatOfNics) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const Address a = RandomAddress(GetParam(), random);
    const Address b = RandomAddress(GetParam(), random);
    const Be16 p(static_cast<uint16_t>(random()));
    const Be16 q(static_cast<uint16_t>(random()));
    ASSERT_EQ(SymmetricHash(a, b, p, q), SoftRss(a, b, p, q, true));
    ASSERT_EQ(SymmetricHash(a, b, Be16(0), Be16(0)),
              SoftRss(a, b, p, q, false));
  }
}

TEST_P(SteeringFamilyTest, BothDirectionsHaveOneHash) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 2000; ++i) {
    const Address a = RandomAddress(GetParam(), random);
    const Address b = RandomAddress(GetParam(), random);
    const Be16 p(static_cast<uint16_t>(random()));
    const Be16 q(static_cast<uint16_t>(random()));
    ASSERT_EQ(SymmetricHash(a, b, p, q), SymmetricHash(b, a, q, p));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, SteeringFamilyTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6));

TEST(SteeringTest, KeyIsTheSymmetricOne) {
  for (size_t i = 0; i < kSymmetricKeyBytes; ++i) {
    EXPECT_EQ(kSymmetricKey[i], i % 2 == 0 ? 0x6d : 0x5a);
  }
}

TEST(SteeringTest, TableDealsBucketsOutInTurn) {
  const Steering steering(3);
  EXPECT_EQ(steering.reta(0), 0);
  EXPECT_EQ(steering.reta(1), 1);
  EXPECT_EQ(steering.reta(2), 2);
  EXPECT_EQ(steering.reta(3), 0);
  EXPECT_EQ(steering.reta(kRetaSize), steering.reta(0));
}

}  // namespace
}  // namespace sluice
