// What is read of SCTP packets, however they are cut or what lengths they name.
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "conntrack/sctp_chunks.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

SctpAddressChanges Addresses(const std::string& data,
                             Family family = Family::kIpv4) {
  TestPacket packet(family, absl::StrCat("sctp $C:1 > $S:2 data 0x", data));
  return ReadSctpAddresses(ReadSctpChunks(packet.info, *packet.mbuf),
                           packet.info, *packet.mbuf);
}

// An INIT with 10.0.0.9, a cookie preservative and 2001:db8::9.
constexpr char kInit[] =
    "010000380000001100001000000a000a00000001"
    "000500080a000009"
    "0009000800000000"
    "0006001420010db8000000000000000000000009";

TEST(SctpChunks, AnInitNamesAddressesOfItsOwnFamily) {
  const SctpAddressChanges v4 = Addresses(kInit);
  ASSERT_EQ(v4.count, 1u);
  EXPECT_TRUE(v4.changes[0].added);
  EXPECT_EQ(v4.changes[0].address[3], 9);
  const SctpAddressChanges v6 = Addresses(kInit, Family::kIpv6);
  ASSERT_EQ(v6.count, 1u);
  EXPECT_EQ(v6.changes[0].address[0], 0x20);
}

TEST(SctpChunks, AnAsconfMayStandBehindOtherChunksAndSaysItsOwnSourceAsZero) {
  // AUTH, then ASCONF: add 0.0.0.0, delete 10.0.0.9.
  const SctpAddressChanges said = Addresses(
      "0f00000800000001"
      "c10000300000000100050008" "0a000002"
      "c001001000000001" "0005000800000000"
      "c002001000000002" "000500080a000009");
  ASSERT_EQ(said.count, 2u);
  EXPECT_TRUE(said.changes[0].added);
  EXPECT_EQ(said.changes[0].address[3], 2);
  EXPECT_FALSE(said.changes[1].added);
  EXPECT_EQ(said.changes[1].address[3], 9);
}

TEST(SctpChunks, KindsAndTagsOfAllChunks) {
  TestPacket packet(Family::kIpv4,
                    "sctp $C:1 > $S:2 data 0x0300000500000000"
                    "0a000006aaaa0000" "06010004");
  const SctpChunks chunks = ReadSctpChunks(packet.info, *packet.mbuf);
  EXPECT_EQ(chunks.kinds, 1u << 3 | 1u << 10 | 1u << 6);
  EXPECT_TRUE(chunks.reflected);
  EXPECT_EQ(chunks.initiate_tag, 0u);
}

// Whatever is cut away, nothing is read that is not there: a prefix of the
// packet tells a prefix of the addresses.
TEST(SctpChunks, EveryPrefixAndEveryLengthIsBounded) {
  const std::string whole = absl::HexStringToBytes(kInit);
  for (size_t length = 1; length <= whole.size(); ++length) {
    const SctpAddressChanges said =
        Addresses(absl::BytesToHexString(whole.substr(0, length)));
    // The chunk's own length is beyond the packet's end.
    EXPECT_EQ(said.count, length == whole.size() ? 1u : 0u) << length;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\x00', '\x01', '\x03', '\x7f', '\xff'}) {
      std::string bent = whole;
      bent[at] = byte;
      for (const Family family : {Family::kIpv4, Family::kIpv6}) {
        EXPECT_LE(Addresses(absl::BytesToHexString(bent), family).count,
                  kMaxSctpAddresses);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
