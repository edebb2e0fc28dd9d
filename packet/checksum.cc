#include "packet/checksum.h"

#include <nmmintrin.h>
#include <rte_mbuf.h>

#include <algorithm>

namespace sluice {
namespace {

// Calls `use(data, bytes)` for each contiguous piece of the range, which lies
// inside of the packet.
template <typename Use>
void ForEachPiece(const rte_mbuf& mbuf, uint32_t offset, uint32_t length,
                  Use use) {
  const rte_mbuf* segment = &mbuf;
  while (segment != nullptr && offset >= segment->data_len) {
    offset -= segment->data_len;
    segment = segment->next;
  }
  while (segment != nullptr && length > 0) {
    const uint32_t here =
        std::min<uint32_t>(length, segment->data_len - offset);
    use(rte_pktmbuf_mtod_offset(segment, const uint8_t*, offset), here);
    length -= here;
    offset = 0;
    segment = segment->next;
  }
}

uint64_t SumOverSegments(const rte_mbuf& mbuf, uint32_t offset,
                         uint32_t length) {
  uint64_t sum = 0;
  bool odd = false;
  ForEachPiece(mbuf, offset, length, [&](const uint8_t* data, uint32_t bytes) {
    const uint16_t part = FoldSum(PartialSum(data, bytes));
    // A piece that starts at an odd offset has its bytes the other way round.
    sum += odd ? SwapBytes(part) : part;
    odd ^= bytes & 1;
  });
  return sum;
}

// Of the transport header; SCTP's field has four bytes, all others two.
constexpr uint32_t kTcpChecksumOffset = 16;
constexpr uint32_t kUdpChecksumOffset = 6;
constexpr uint32_t kIcmpChecksumOffset = 2;
constexpr uint32_t kSctpChecksumOffset = 8;
constexpr uint32_t kIpv4ChecksumOffset = 10;

// What belongs in the checksum field, which counts as zero.
uint32_t SctpChecksum(const rte_mbuf& mbuf, const PacketInfo& info) {
  constexpr uint32_t kZero = 0;
  uint32_t crc = 0xffffffff;
  const auto add = [&crc](const uint8_t* data, uint32_t bytes) {
    crc = Crc32c(crc, data, bytes);
  };
  ForEachPiece(mbuf, info.l4_offset, kSctpChecksumOffset, add);
  crc = Crc32c(crc, &kZero, sizeof kZero);
  ForEachPiece(mbuf, info.l4_offset + kSctpChecksumOffset + 4,
               info.l4_length - kSctpChecksumOffset - 4, add);
  return ~crc;
}

bool SctpChecksumIsRight(const rte_mbuf& mbuf, const PacketInfo& info) {
  uint32_t stored;
  const void* at = rte_pktmbuf_read(
      &mbuf, info.l4_offset + kSctpChecksumOffset, sizeof stored, &stored);
  if (at == nullptr) return false;
  std::memcpy(&stored, at, sizeof stored);
  return SctpChecksum(mbuf, info) == stored;
}

// Over any segments; the range lies inside of the packet.
void Write(rte_mbuf& mbuf, uint32_t offset, const void* data, uint32_t length) {
  const auto* from = static_cast<const uint8_t*>(data);
  ForEachPiece(mbuf, offset, length, [&](const uint8_t* at, uint32_t bytes) {
    std::memcpy(const_cast<uint8_t*>(at), from, bytes);
    from += bytes;
  });
}

void WriteIpv4Checksum(rte_mbuf& mbuf, const PacketInfo& info) {
  uint8_t first;
  const void* at = rte_pktmbuf_read(&mbuf, info.l3_offset, 1, &first);
  const uint32_t length = (*static_cast<const uint8_t*>(at) & 0xf) * 4u;
  const uint16_t zero = 0;
  Write(mbuf, info.l3_offset + kIpv4ChecksumOffset, &zero, sizeof zero);
  const auto sum = static_cast<uint16_t>(
      ~FoldSum(SumOverSegments(mbuf, info.l3_offset, length)));
  Write(mbuf, info.l3_offset + kIpv4ChecksumOffset, &sum, sizeof sum);
}

}  // namespace

uint64_t PseudoHeaderSum(Family family, const uint8_t* source,
                         const uint8_t* destination, uint8_t proto,
                         uint32_t l4_length) {
  const size_t bytes = AddressBits(family) / 8;
  return PartialSum(source, bytes) + PartialSum(destination, bytes) +
         Be32(l4_length).raw() + Be16(proto).raw();
}

uint32_t Crc32c(uint32_t crc, const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t value = crc;
  while (length >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    value = _mm_crc32_u64(value, word);
    bytes += 8;
    length -= 8;
  }
  auto narrow = static_cast<uint32_t>(value);
  while (length-- > 0) narrow = _mm_crc32_u8(narrow, *bytes++);
  return narrow;
}

void WriteTransportChecksum(rte_mbuf& mbuf, const PacketInfo& info) {
  if (info.proto == protocol::kSctp) {
    const uint32_t crc = SctpChecksum(mbuf, info);
    Write(mbuf, info.l4_offset + kSctpChecksumOffset, &crc, sizeof crc);
    return;
  }
  uint32_t field = info.l4_offset;
  uint64_t pseudo = PseudoHeaderSum(info.family, info.source.data(),
                                    info.destination.data(), info.proto,
                                    info.l4_length);
  switch (info.proto) {
    case protocol::kTcp:
      field += kTcpChecksumOffset;
      break;
    case protocol::kUdp:
      field += kUdpChecksumOffset;
      break;
    case protocol::kIcmp:
      field += kIcmpChecksumOffset;
      pseudo = 0;
      break;
    case protocol::kIcmp6:
      field += kIcmpChecksumOffset;
      break;
    default:
      return;
  }
  const uint16_t zero = 0;
  Write(mbuf, field, &zero, sizeof zero);
  auto sum = static_cast<uint16_t>(~FoldSum(
      pseudo + SumOverSegments(mbuf, info.l4_offset, info.l4_length)));
  // Zero means "none" in UDP (RFC 768).
  if (sum == 0 && info.proto == protocol::kUdp) sum = 0xffff;
  Write(mbuf, field, &sum, sizeof sum);
}

void CompleteChecksums(rte_mbuf& mbuf, const PacketInfo& info) {
  if (info.kind != Kind::kIp) return;
  if (info.family == Family::kIpv4 &&
      (mbuf.ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) ==
          RTE_MBUF_F_RX_IP_CKSUM_NONE) {
    WriteIpv4Checksum(mbuf, info);
    mbuf.ol_flags &= ~RTE_MBUF_F_RX_IP_CKSUM_MASK;
    mbuf.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  }
  if (!info.has(kFragment) && (mbuf.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
                                  RTE_MBUF_F_RX_L4_CKSUM_NONE) {
    // Nobody leaves that of ICMP to a NIC.
    if (info.proto != protocol::kIcmp && info.proto != protocol::kIcmp6) {
      WriteTransportChecksum(mbuf, info);
    }
    mbuf.ol_flags &= ~RTE_MBUF_F_RX_L4_CKSUM_MASK;
    mbuf.ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }
}

bool TransportChecksumIsRight(const rte_mbuf& mbuf, const PacketInfo& info) {
  uint64_t pseudo = 0;
  switch (info.proto) {
    case protocol::kUdp: {
      uint16_t stored;
      const void* at =
          rte_pktmbuf_read(&mbuf, info.l4_offset + 6, sizeof stored, &stored);
      if (at == nullptr) return false;
      std::memcpy(&stored, at, sizeof stored);
      // No checksum: fine over IPv4 (RFC 768), an error over IPv6 (RFC 8200
      // section 8.1).
      if (stored == 0) return info.family == Family::kIpv4;
      [[fallthrough]];
    }
    case protocol::kTcp:
    case protocol::kIcmp6:
      // ICMPv6 inside of IPv4 is some other protocol's business.
      if (info.proto == protocol::kIcmp6 && info.family != Family::kIpv6) {
        return true;
      }
      pseudo = PseudoHeaderSum(info.family, info.source.data(),
                               info.destination.data(), info.proto,
                               info.l4_length);
      break;
    case protocol::kIcmp:
      if (info.family != Family::kIpv4) return true;
      break;
    case protocol::kSctp:
      return SctpChecksumIsRight(mbuf, info);
    default:
      return true;
  }
  uint64_t sum;
  if (info.l4_offset + info.l4_length <= mbuf.data_len) {
    sum = PartialSum(
        rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, info.l4_offset),
        info.l4_length);
  } else {
    sum = SumOverSegments(mbuf, info.l4_offset, info.l4_length);
  }
  return FoldSum(pseudo + sum) == 0xffff;
}

}  // namespace sluice
