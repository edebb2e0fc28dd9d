// Any bytes as an IP packet that goes on in the other family, and as an ICMP
// error whose quoted packet goes with it: what comes out is a packet with right
// checksums and the ends that it was to have, the same however it lay in
// buffers.
//
// The first byte chooses the family, and whether the rest is the packet or what
// an error quotes; the second one how it is segmented.
#include <rte_mbuf.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "packet/checksum.h"
#include "packet/family.h"
#include "packet/inner.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

MbufPool& Pool() {
  static MbufPool pool(4095);
  return pool;
}

struct Outcome {
  CrossResult result = CrossResult::kRefused;
  std::vector<uint8_t> bytes;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

PacketEnds EndsFor(Family from) {
  PacketEnds ends;
  if (from == Family::kIpv6) {
    ends.source = {192, 0, 2, 1};
    ends.destination = {198, 51, 100, 7};
  } else {
    ends.source = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    ends.destination = {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0,
                        198, 51, 100, 7};
  }
  ends.source_port = Be16(50001);
  ends.destination_port = Be16(53);
  return ends;
}

// With checksums that are right, as those of all packets are that get so far.
void Mend(rte_mbuf& mbuf) {
  PacketInfo info;
  ParsePacket(mbuf, {.verify_checksums = false}, &info);
  if (info.kind != Kind::kIp || info.has(kFragment)) return;
  mbuf.ol_flags = RTE_MBUF_F_RX_IP_CKSUM_NONE;
  CompleteChecksums(mbuf, info);
  mbuf.ol_flags = 0;
  WriteTransportChecksum(mbuf, info);
}

Outcome Cross(std::span<const uint8_t> frame, uint32_t segment) {
  Outcome outcome;
  rte_mbuf* mbuf = Pool().Make(frame, segment);
  Mend(*mbuf);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  const auto done = [&] {
    rte_pktmbuf_free(mbuf);
    Require(Pool().InUse() == 0);
    return outcome;
  };
  if (info.kind != Kind::kIp || info.has(kFragment)) return done();
  const Crossing crossing = {
      .ends = EndsFor(info.family), .id = 7, .pool = Pool().get()};
  const Family to = Across(info.family);
  CrossedForm form;
  PacketInfo inner;
  const bool error = info.has(kIcmpError);
  if (error) {
    DropReason reason;
    if (!ParseInner(*mbuf, info, &inner, &reason)) return done();
    outcome.result = CrossIcmpError(&mbuf, &info, inner, crossing);
  } else {
    outcome.result = CrossFamilies(&mbuf, &info, crossing, &form);
  }
  if (outcome.result != CrossResult::kDone) return done();
  outcome.bytes = BytesOf(mbuf);
  Require(info.family == to);
  PacketInfo again;
  mbuf->ol_flags &= ~uint64_t{RTE_MBUF_F_RX_IP_CKSUM_MASK |
                              RTE_MBUF_F_RX_L4_CKSUM_MASK};
  ParsePacket(*mbuf, {}, &again);
  Require(again.kind == Kind::kIp);
  Require(mbuf->pkt_len == uint32_t{again.l3_offset} + again.ip_length);
  if (!error) {
    Require(again.source == crossing.ends.source);
    Require(again.destination == crossing.ends.destination);
    return done();
  }
  Require(again.destination == crossing.ends.source);
  PacketInfo quoted;
  DropReason reason;
  Require(to != Family::kIpv6 || again.ip_length <= 1280);
  Require(ParseInner(*mbuf, again, &quoted, &reason));
  Require(quoted.source == crossing.ends.source);
  Require(quoted.destination == crossing.ends.destination);
  return done();
}

void Check(std::span<const uint8_t> input) {
  if (input.size() < 2 || input.size() > 1600) return;
  const bool v4 = (input[0] & 1) != 0;
  const bool error = (input[0] & 2) != 0;
  const uint32_t segment = 1 + input[1];
  const std::span<const uint8_t> rest = input.subspan(2);
  std::vector<uint8_t> frame(12, 2);
  if (v4) {
    frame.insert(frame.end(), {8, 0});
  } else {
    frame.insert(frame.end(), {0x86, 0xdd});
  }
  if (error) {
    const size_t payload = 8 + rest.size();
    const auto high = static_cast<uint8_t>((payload + (v4 ? 20 : 0)) >> 8);
    const auto low = static_cast<uint8_t>(payload + (v4 ? 20 : 0));
    if (v4) {
      frame.insert(frame.end(), {0x45, 0, high, low, 0, 0, 0, 0, 64, 1, 0, 0,
                                 203, 0, 113, 1, 10, 0, 0, 2});
    } else {
      frame.insert(frame.end(), {0x60, 0, 0, 0, high, low, 58, 64});
      for (int i = 0; i < 2; ++i) {
        frame.insert(frame.end(), {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
                                   0, 0, 0, static_cast<uint8_t>(i + 1)});
      }
    }
    frame.insert(frame.end(),
                 {static_cast<uint8_t>(v4 ? 11 : 3), 0, 0, 0, 0, 0, 0, 0});
  }
  frame.insert(frame.end(), rest.begin(), rest.end());
  const Outcome whole = Cross(frame, 0);
  const Outcome split = Cross(frame, segment);
  Require(whole == split);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
