// The packet parser on any frame, in one to four segments.
//
// Input: one byte of options (bit 0: verify checksums, bit 1: the NIC said
// that they are good, bits 2-3: segments less one), one byte that says where
// the segments are cut, then the frame. Each segment lies in a heap block of
// its own exact size, so that a read beyond it is seen.
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "packet/packet.h"
#include "packet/parse.h"

namespace sluice {
namespace {

constexpr size_t kMaxFrame = 9216;
constexpr size_t kOptionBytes = 2;

// What PacketInfo promises of its offsets and lengths.
void Check(const PacketInfo& info, size_t frame_length) {
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  if (info.kind == Kind::kMalformed) {
    require(static_cast<size_t>(info.drop) < kDropReasonCount);
    return;
  }
  if (info.kind != Kind::kIp) return;
  require(info.l3_offset == 14 || info.l3_offset == 18 ||
          info.l3_offset == 22);
  require(info.family == Family::kIpv4 || info.family == Family::kIpv6);
  require(info.l3_offset + size_t{info.ip_length} <= frame_length);
  require(info.l4_offset > info.l3_offset);
  require(info.l4_offset + size_t{info.l4_length} <=
          info.l3_offset + size_t{info.ip_length});
  require(info.l4_header_length <= info.l4_length);
  if (!info.has(kFragment) && info.proto == protocol::kTcp) {
    require(info.l4_header_length >= 20);
  }
}

void FuzzOne(const uint8_t* data, size_t size) {
  const uint8_t options = data[0];
  const uint8_t cut = data[1];
  data += kOptionBytes;
  size -= kOptionBytes;

  const size_t segments = 1 + ((options >> 2) & 3);
  std::vector<std::unique_ptr<uint8_t[]>> blocks;
  std::array<rte_mbuf, 4> mbufs{};
  size_t used = 0;
  for (size_t i = 0; i < segments; ++i) {
    size_t length = size - used;
    if (i + 1 < segments) length = std::min<size_t>(length, cut);
    blocks.push_back(std::make_unique<uint8_t[]>(length));
    std::memcpy(blocks.back().get(), data + used, length);
    used += length;
    mbufs[i].buf_addr = blocks.back().get();
    mbufs[i].buf_len = static_cast<uint16_t>(length);
    mbufs[i].data_len = static_cast<uint16_t>(length);
    mbufs[i].nb_segs = 1;
    if (i > 0) mbufs[i - 1].next = &mbufs[i];
  }
  mbufs[0].nb_segs = static_cast<uint16_t>(segments);
  mbufs[0].pkt_len = static_cast<uint32_t>(size);
  if (options & 2) {
    mbufs[0].ol_flags =
        RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }

  const ParseOptions parse{.verify_checksums = (options & 1) != 0};
  PacketInfo info;
  ParsePacket(mbufs[0], parse, &info);
  Check(info, size);

  // In one burst with others it is understood as alone.
  PacketBurst burst;
  burst.count = 3;
  burst.mbufs[0] = burst.mbufs[1] = burst.mbufs[2] = &mbufs[0];
  ParseBurst(burst, parse);
  for (uint32_t i = 0; i < burst.count; ++i) {
    const PacketInfo& other = burst.infos[i];
    if (other.kind != info.kind) std::abort();
    if (info.kind == Kind::kMalformed && other.drop != info.drop) std::abort();
    if (info.kind == Kind::kIp &&
        (other.l4_offset != info.l4_offset || other.proto != info.proto ||
         other.flags != info.flags || other.source != info.source ||
         other.destination != info.destination ||
         other.source_port != info.source_port ||
         other.destination_port != info.destination_port)) {
      std::abort();
    }
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < sluice::kOptionBytes ||
      size > sluice::kOptionBytes + sluice::kMaxFrame) {
    return -1;
  }
  sluice::FuzzOne(data, size);
  return 0;
}
