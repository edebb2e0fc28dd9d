// The options of a TCP segment, one after the other (RFC 9293 section 3.1).
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_TCP_OPTIONS_H_
#define SLUICE_PACKET_TCP_OPTIONS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "packet/headers.h"
#include "packet/packet.h"
#include "packet/rewrite.h"

namespace sluice {

inline constexpr uint8_t kTcpOptionMss = 2;           // 2 bytes
inline constexpr uint8_t kTcpOptionWindowScale = 3;   // 1 byte
inline constexpr uint8_t kTcpOptionSack = 5;          // pairs of 4 bytes
inline constexpr uint8_t kTcpOptionTimestamps = 8;    // twice 4 bytes

struct TcpOption {
  uint8_t kind = 0;
  std::span<const uint8_t> value;  // without kind and length
  uint32_t offset = 0;             // of the value, from the TCP header on
};

// Calls use(option) for each, without padding; false ends it, and so does an
// option that is cut. `packet` is TCP and whole up to its payload.
template <typename Use>
void ForEachTcpOption(const rte_mbuf& mbuf, const PacketInfo& packet,
                      Use use) {
  constexpr uint32_t kHeader = sizeof(wire::Tcp);
  constexpr uint8_t kEnd = 0;
  constexpr uint8_t kNoOperation = 1;
  std::array<uint8_t, 40> options;
  if (packet.l4_header_length <= kHeader) return;
  const uint32_t length = std::min<uint32_t>(
      packet.l4_header_length - kHeader, options.size());
  CopyFromPacket(mbuf, packet.l4_offset + kHeader, options.data(), length);
  for (uint32_t at = 0; at < length && options[at] != kEnd;) {
    if (options[at] == kNoOperation) {
      ++at;
      continue;
    }
    if (length - at < 2) return;
    const uint8_t size = options[at + 1];
    if (size < 2 || size > length - at) return;
    if (!use(TcpOption{.kind = options[at],
                       .value = std::span(options).subspan(at + 2, size - 2u),
                       .offset = kHeader + at + 2})) {
      return;
    }
    at += size;
  }
}

}  // namespace sluice

#endif  // SLUICE_PACKET_TCP_OPTIONS_H_
