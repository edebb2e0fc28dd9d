// Random packets that cross into the other family and back: each time they are
// what a sender there would have built from the same words, byte by byte, and
// at the end they are what they were but for the hops. The builder of packets
// (tests/support) is the model: it knows nothing of translation and computes
// all checksums from scratch.
// SLUICE_PROPERTY_STEPS and SLUICE_PROPERTY_SEED change the work.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "packet/checksum.h"
#include "packet/embedded_address.h"
#include "packet/family.h"
#include "packet/inner.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// What a packet is, in words that are the same in both families.
struct Words {
  std::string proto;
  std::array<std::string, 2> hosts4, hosts6;
  std::array<uint32_t, 2> ports;
  uint32_t id = 0;
  std::string rest;
  uint32_t l4 = 0;  // bytes of the transport

  std::string Text(Family family, uint32_t ttl, uint32_t ipid) const {
    const bool v4 = family == Family::kIpv4;
    const auto& hosts = v4 ? hosts4 : hosts6;
    const bool has_ports = proto == "tcp" || proto == "udp" || proto == "sctp";
    const auto end = [&](int i) {
      if (!has_ports) return hosts[i];
      return v4 ? absl::StrCat(hosts[i], ":", ports[i])
                : absl::StrCat("[", hosts[i], "]:", ports[i]);
    };
    std::string text = absl::StrCat(proto, " ", end(0), " > ", end(1), " ");
    if (proto == "icmp") absl::StrAppend(&text, "echo id ", id, " ");
    absl::StrAppend(&text, rest, " ttl ", ttl);
    if (!v4) return text;
    return l4 + 20 > 1260 ? absl::StrCat(text, " ipid 0 df")
                          : absl::StrCat(text, " ipid ", ipid);
  }
};

class Runner {
 public:
  Runner(uint64_t seed, MbufPool& pool) : random_(seed), pool_(pool) {}

  void Packet() {
    const Words words = Random();
    const uint32_t ttl = 3 + Below(253);
    const uint32_t ipid = Below(65536);
    const Family first = Below(2) == 0 ? Family::kIpv4 : Family::kIpv6;
    const std::string sent = words.Text(first, ttl, ipid);
    SCOPED_TRACE(sent);
    const std::vector<uint8_t> frame = FrameFromText(sent);
    std::vector<uint8_t> crossed;
    ASSERT_NO_FATAL_FAILURE(
        Cross(frame, words.Text(Across(first), ttl - 1, ipid), ipid, &crossed));
    std::vector<uint8_t> back;
    ASSERT_NO_FATAL_FAILURE(
        Cross(crossed, words.Text(first, ttl - 2, ipid), ipid, &back));
  }

  void Error() {
    Words words = Random();
    const uint32_t ttl = 2 + Below(254);
    const Family from = Below(2) == 0 ? Family::kIpv4 : Family::kIpv6;
    const bool v4 = from == Family::kIpv4;
    // An error is no longer than IPv6 has it, so that none of it is cut off.
    uint32_t l4 = words.proto == "icmp"
                      ? 8
                      : std::min<uint32_t>(8 + Below(words.l4 - 7), 1280 - 88);
    // Half of TCP's checksum is none.
    if (words.proto == "tcp" && l4 == 17) ++l4;
    // The quotation is that of a packet from host 0 to host 1.
    const auto error = [&](Family family, uint32_t hops, uint32_t quote_id,
                           uint32_t id) {
      const bool four = family == Family::kIpv4;
      const auto& hosts = four ? words.hosts4 : words.hosts6;
      std::string quoted = words.Text(family, 9, quote_id);
      return absl::StrCat("icmp ", hosts[1], " > ", hosts[0],
                          " timex ttl ", hops, four ? absl::StrCat(
                                                          " ipid ", id)
                                                    : "",
                          " inner { ", quoted, " cut ",
                          l4 + (four ? 20 : 40), " }");
    };
    const std::vector<uint8_t> frame =
        FrameFromText(error(from, ttl, 0, 7));
    std::vector<uint8_t> wanted =
        FrameFromText(error(Across(from), ttl - 1, 0, 7));
    std::copy_n(frame.begin(), 12, wanted.begin());
    rte_mbuf* mbuf = Make(frame);
    PacketInfo info, inner;
    DropReason reason;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_EQ(info.kind, Kind::kIp);
    ASSERT_TRUE(ParseInner(*mbuf, info, &inner, &reason));
    PacketEnds ends = EndsOf(inner);
    const auto& hosts = v4 ? words.hosts6 : words.hosts4;
    ends.source = ParseAddress(hosts[0])->bytes;
    ends.destination = ParseAddress(hosts[1])->bytes;
    const CrossResult result = CrossIcmpError(
        &mbuf, &info, inner, {.ends = ends, .id = 7, .pool = pool_.get()});
    const std::vector<uint8_t> made = BytesOf(mbuf);
    rte_pktmbuf_free(mbuf);
    ASSERT_EQ(result, CrossResult::kDone);
    ASSERT_EQ(made, wanted);
  }

  // A destination's way behind a prefix and out of it again.
  void Prefix() {
    constexpr uint8_t kLengths[] = {32, 40, 48, 56, 64, 96};
    const uint8_t length = kLengths[Below(6)];
    AddressBytes prefix, host{};
    for (uint8_t& byte : prefix) byte = static_cast<uint8_t>(random_());
    for (size_t i = 0; i < 4; ++i) host[i] = static_cast<uint8_t>(random_());
    const AddressBytes made = EmbedIpv4(prefix, length, host);
    ASSERT_EQ(ExtractIpv4(made, length), host);
    ASSERT_TRUE(std::equal(prefix.begin(), prefix.begin() + length / 8,
                           made.begin(), [&](uint8_t a, uint8_t b) {
                             return a == b;
                           }) ||
                length == 96);
    // Bits 64 to 71, whatever the prefix says of them.
    ASSERT_EQ(made[8], 0);
    ASSERT_NE(FindEmbedding(made, host), 0);
  }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Words Random() {
    Words words;
    for (int i = 0; i < 2; ++i) {
      words.hosts4[i] = absl::StrCat("10.", Below(256), ".", Below(256), ".",
                                     1 + Below(255));
      words.hosts6[i] = absl::StrCat(
          "2001:db8:", absl::Hex(1 + Below(0xffff)), "::",
          absl::Hex(1 + Below(0xffff)));
      words.ports[i] = 1 + Below(65535);
    }
    words.id = Below(65536);
    const uint32_t data = Below(8) == 0 ? 1200 + Below(180) : Below(300);
    std::string bytes = "0x";
    for (uint32_t i = 0; i < data; ++i) {
      const auto byte = static_cast<uint8_t>(random_());
      absl::StrAppend(&bytes, absl::Hex(byte, absl::kZeroPad2));
    }
    const std::string payload =
        data == 0 ? "" : absl::StrCat("data ", bytes);
    switch (Below(5)) {
      case 0:
        words.proto = "tcp";
        words.rest = absl::StrCat("PA seq ", random_() & 0xffffffff, " ack ",
                                  random_() & 0xffffffff, " win ",
                                  Below(65536), " ", payload);
        words.l4 = 20 + data;
        break;
      case 1:
        words.proto = "udp";
        words.rest = payload;
        words.l4 = 8 + data;
        break;
      case 2:
        words.proto = "icmp";
        words.rest = absl::StrCat("seq ", Below(65536), " ", payload);
        words.l4 = 8 + data;
        break;
      case 3:
        words.proto = "sctp";
        words.rest = absl::StrCat("vtag ", 1 + Below(9999),
                                  " data 0x0b000004");
        words.l4 = 16;
        break;
      default:
        words.proto = "ip";
        words.rest = absl::StrCat("proto 47 data ", 20 + data);
        words.l4 = 20 + data;
        break;
    }
    absl::StrAppend(&words.rest, " tos ", Below(256));
    if (Below(3) == 0) absl::StrAppend(&words.rest, " vlan ", Below(4095));
    return words;
  }

  rte_mbuf* Make(const std::vector<uint8_t>& frame) {
    return pool_.Make(frame, Below(2) == 0 ? 0 : 1 + Below(90));
  }

  void Cross(const std::vector<uint8_t>& frame, const std::string& text,
             uint32_t id, std::vector<uint8_t>* made) {
    std::vector<uint8_t> wanted = FrameFromText(text);
    std::copy_n(frame.begin(), 12, wanted.begin());
    rte_mbuf* model = pool_.Make(wanted);
    PacketInfo expected;
    ParsePacket(*model, {}, &expected);
    rte_pktmbuf_free(model);
    ASSERT_EQ(expected.kind, Kind::kIp) << text;
    rte_mbuf* mbuf = Make(frame);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    // What may be fragmented and has become too large is another test's.
    CrossedForm form;
    const CrossResult result = CrossFamilies(
        &mbuf, &info,
        {.ends = EndsOf(expected), .id = id, .pool = pool_.get()}, &form);
    *made = BytesOf(mbuf);
    const bool right = result == CrossResult::kDone &&
                       TransportChecksumIsRight(*mbuf, info);
    rte_pktmbuf_free(mbuf);
    ASSERT_EQ(result, CrossResult::kDone);
    ASSERT_TRUE(right);
    ASSERT_EQ(*made, wanted);
    ASSERT_EQ(EndsOf(info), EndsOf(expected));
    ASSERT_EQ(pool_.InUse(), 0u);
  }

  std::mt19937_64 random_;
  MbufPool& pool_;
};

TEST(FamilyProperty, PacketsCrossAndComeBack) {
  MbufPool pool(4095);
  const uint64_t seed = FromEnvironment("SLUICE_PROPERTY_SEED", 1);
  const uint64_t steps = FromEnvironment("SLUICE_PROPERTY_STEPS", 20000);
  Runner runner(seed, pool);
  for (uint64_t i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
    SCOPED_TRACE(absl::StrCat("SLUICE_PROPERTY_SEED=", seed, ", step ", i));
    switch (i % 4) {
      case 0:
        runner.Error();
        break;
      case 1:
        runner.Prefix();
        break;
      default:
        runner.Packet();
        break;
    }
  }
  EXPECT_EQ(pool.InUse(), 0u);
}

}  // namespace
}  // namespace sluice
