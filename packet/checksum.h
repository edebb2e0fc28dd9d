// The Internet checksum (RFC 1071) and SCTP's CRC32C (RFC 9260, appendix A).
#ifndef SLUICE_PACKET_CHECKSUM_H_
#define SLUICE_PACKET_CHECKSUM_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// The one's complement sum of `length` bytes, not yet folded to 16 bits. Sums
// of even-length pieces can be added up. The order of bytes is the host's, as
// RFC 1071 section 2(B) allows.
inline uint64_t PartialSum(const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t sum = 0;
  while (length >= 8) {
    uint32_t words[2];
    std::memcpy(words, bytes, 8);
    sum += words[0];
    sum += words[1];
    bytes += 8;
    length -= 8;
  }
  if (length >= 4) {
    uint32_t word;
    std::memcpy(&word, bytes, 4);
    sum += word;
    bytes += 4;
    length -= 4;
  }
  if (length >= 2) {
    uint16_t word;
    std::memcpy(&word, bytes, 2);
    sum += word;
    bytes += 2;
    length -= 2;
  }
  if (length == 1) {
    uint16_t word = 0;
    std::memcpy(&word, bytes, 1);
    sum += word;
  }
  return sum;
}

// Folds a sum to 16 bits. 0xffff over data that holds its own checksum means
// that the checksum is right.
constexpr uint16_t FoldSum(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  uint32_t half = static_cast<uint32_t>(sum);
  half = (half & 0xffff) + (half >> 16);
  half = (half & 0xffff) + (half >> 16);
  return static_cast<uint16_t>(half);
}

// The sum of the pseudo header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1,
// RFC 8200 section 8.1); `l4_length` in bytes.
uint64_t PseudoHeaderSum(Family family, const uint8_t* source,
                         const uint8_t* destination, uint8_t proto,
                         uint32_t l4_length);

// Whether the transport checksum of a parsed packet is right: TCP, UDP, ICMP,
// ICMPv6 and SCTP; all other protocols are right. `info` must describe
// `mbuf`, whole transport data included, and not be a fragment.
bool TransportChecksumIsRight(const rte_mbuf& mbuf, const PacketInfo& info);

// Fills in the checksums that the sender has left to the NIC which the packet
// never met: those of packets that come from a guest or a host of the same
// machine, marked RTE_MBUF_F_RX_IP_CKSUM_NONE or RTE_MBUF_F_RX_L4_CKSUM_NONE.
// Afterwards they are marked as good. Packets without the marks stay as they
// are. `info` must describe `mbuf`.
void CompleteChecksums(rte_mbuf& mbuf, const PacketInfo& info);

// Computes the transport checksum of TCP, UDP, SCTP, ICMP or ICMPv6 anew. `info`
// must describe `mbuf` (family, ends, protocol and the transport's place), and
// not be a fragment.
void WriteTransportChecksum(rte_mbuf& mbuf, const PacketInfo& info);

// CRC32C over `length` bytes, continued from `crc` (start with 0xffffffff and
// invert the end result).
uint32_t Crc32c(uint32_t crc, const void* data, size_t length);

}  // namespace sluice

#endif  // SLUICE_PACKET_CHECKSUM_H_
