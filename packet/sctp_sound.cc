#include "packet/sctp_sound.h"

#include <rte_mbuf.h>

#include <cstring>

#include "packet/headers.h"

namespace sluice {
namespace {

constexpr uint32_t kMaxSoundChunks = 512;
// The smallest window that a receiver may announce (section 3.3.2).
constexpr uint32_t kMinReceiverWindow = 1500;
constexpr uint16_t kIpv4AddressParameter = 5;
constexpr uint16_t kIpv6AddressParameter = 6;

// An INIT or INIT ACK up to its parameters.
struct InitChunk {
  wire::SctpChunk chunk;
  Be32 tag;
  Be32 receiver_window;
  Be16 outbound_streams;
  Be16 inbound_streams;
  Be32 first_number;
};
static_assert(sizeof(InitChunk) == 20);

struct ParameterHeader {
  Be16 type;
  Be16 length;
};

constexpr uint32_t PaddedLength(uint32_t length) { return (length + 3) & ~3u; }

template <typename T>
bool ReadAt(const rte_mbuf& mbuf, uint32_t offset, uint32_t end, T* to) {
  if (offset > end || end - offset < sizeof *to) return false;
  const void* at = rte_pktmbuf_read(&mbuf, offset, sizeof *to, to);
  if (at == nullptr) return false;
  if (at != to) std::memcpy(static_cast<void*>(to), at, sizeof *to);
  return true;
}

bool ParametersAreSound(const rte_mbuf& mbuf, uint32_t offset, uint32_t end) {
  while (offset < end) {
    ParameterHeader parameter;
    if (!ReadAt(mbuf, offset, end, &parameter)) return false;
    const uint32_t length = parameter.length.host();
    const uint16_t type = parameter.type.host();
    if (length < sizeof parameter || length > end - offset) return false;
    if (type == kIpv4AddressParameter && length != 8) return false;
    if (type == kIpv6AddressParameter && length != 20) return false;
    offset += PaddedLength(length);
  }
  return true;
}

bool InitIsSound(const rte_mbuf& mbuf, uint32_t offset, uint32_t end,
                 uint32_t verification_tag) {
  InitChunk init;
  if (!ReadAt(mbuf, offset, end, &init)) return false;
  const uint32_t length = init.chunk.length.host();
  if (length < sizeof init || length > end - offset) return false;
  if (init.chunk.type == wire::kSctpInit && verification_tag != 0) {
    return false;
  }
  return init.tag.host() != 0 && init.outbound_streams.host() != 0 &&
         init.inbound_streams.host() != 0 &&
         init.receiver_window.host() >= kMinReceiverWindow &&
         ParametersAreSound(mbuf, offset + sizeof init, offset + length);
}

}  // namespace

bool SctpIsSound(const rte_mbuf& mbuf, const PacketInfo& info) {
  if (info.source_port == Be16(0) || info.destination_port == Be16(0)) {
    return false;
  }
  const uint32_t end = uint32_t{info.l4_offset} + info.l4_length;
  uint32_t offset = info.l4_offset + sizeof(wire::Sctp);
  uint32_t count = 0;
  bool lonely = false;
  for (; offset < end; ++count) {
    wire::SctpChunk chunk;
    if (count == kMaxSoundChunks || !ReadAt(mbuf, offset, end, &chunk) ||
        chunk.length.host() < sizeof chunk) {
      return false;
    }
    const bool begins =
        chunk.type == wire::kSctpInit || chunk.type == wire::kSctpInitAck;
    if (begins && !InitIsSound(mbuf, offset, end, info.sequence)) return false;
    lonely |= begins || chunk.type == wire::kSctpShutdownComplete;
    offset += PaddedLength(chunk.length.host());
  }
  return offset == end && !(lonely && count > 1);
}

}  // namespace sluice
