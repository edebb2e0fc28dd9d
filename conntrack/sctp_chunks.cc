#include "conntrack/sctp_chunks.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "packet/headers.h"

namespace sluice {
namespace {

constexpr uint32_t kCommonHeader = sizeof(wire::Sctp);
// Of an INIT and an INIT ACK, up to the parameters.
constexpr uint32_t kInitHeader = 20;
// Of an ASCONF: its serial number follows the chunk's header.
constexpr uint32_t kAsconfHeader = 8;
constexpr uint8_t kAsconf = 0xc1;

constexpr uint32_t kParameterHeader = 4;
// Of what an ASCONF asks for: the correlation id, too.
constexpr uint32_t kRequestHeader = 8;
constexpr uint16_t kIpv4Address = 5;
constexpr uint16_t kIpv6Address = 6;
constexpr uint16_t kAddAddress = 0xc001;
constexpr uint16_t kDeleteAddress = 0xc002;

constexpr uint32_t Padded(uint32_t length) { return (length + 3) & ~3u; }

struct Parameter {
  Be16 type;
  Be16 length;
};
static_assert(sizeof(Parameter) == kParameterHeader);

// Copies from the frame, if all of it is before `end`.
template <typename T>
bool Read(const rte_mbuf& mbuf, uint32_t offset, uint32_t end, T* to) {
  if (offset > end || end - offset < sizeof(T)) return false;
  const void* at = rte_pktmbuf_read(&mbuf, offset, sizeof(T), to);
  if (at == nullptr) return false;
  if (at != to) std::memcpy(static_cast<void*>(to), at, sizeof(T));
  return true;
}

// The address of the flow's family in an address parameter.
bool ReadAddress(const rte_mbuf& mbuf, uint32_t offset, uint32_t end,
                 Family family, std::array<uint8_t, 16>* address) {
  Parameter parameter;
  if (!Read(mbuf, offset, end, &parameter)) return false;
  *address = {};
  if (family == Family::kIpv4) {
    std::array<uint8_t, 4> bytes;
    if (parameter.type.host() != kIpv4Address ||
        parameter.length.host() != kParameterHeader + bytes.size() ||
        !Read(mbuf, offset + kParameterHeader, end, &bytes)) {
      return false;
    }
    std::copy(bytes.begin(), bytes.end(), address->begin());
    return true;
  }
  return parameter.type.host() == kIpv6Address &&
         parameter.length.host() == kParameterHeader + address->size() &&
         Read(mbuf, offset + kParameterHeader, end, address);
}

}  // namespace

SctpChunks ReadSctpChunks(const PacketInfo& info, const rte_mbuf& mbuf) {
  SctpChunks chunks;
  const uint32_t end = uint32_t{info.l4_offset} + info.l4_length;
  uint32_t offset = info.l4_offset + kCommonHeader;
  for (uint32_t n = 0; n < kMaxSctpChunks; ++n) {
    wire::SctpChunk chunk;
    if (!Read(mbuf, offset, end, &chunk)) break;
    const uint32_t length = chunk.length.host();
    if (length < sizeof chunk || length > end - offset) break;
    if (chunk.type < 32) chunks.kinds |= 1u << chunk.type;
    switch (chunk.type) {
      case wire::kSctpInit:
      case wire::kSctpInitAck: {
        Be32 tag;
        if (length < kInitHeader || chunks.parameters != 0 ||
            !Read(mbuf, offset + sizeof chunk, end, &tag)) {
          break;
        }
        chunks.initiate_tag = tag.host();
        chunks.parameters = offset + kInitHeader;
        chunks.parameters_length = length - kInitHeader;
        break;
      }
      case wire::kSctpAbort:
      case wire::kSctpShutdownComplete:
        chunks.reflected = (chunk.flags & wire::kSctpReflectedTag) != 0;
        break;
      case kAsconf: {
        // An address of the sender comes first, by which it can be found.
        Parameter known;
        if (length < kAsconfHeader || chunks.parameters != 0 ||
            !Read(mbuf, offset + kAsconfHeader, offset + length, &known) ||
            known.length.host() < kParameterHeader ||
            kAsconfHeader + Padded(known.length.host()) > length) {
          break;
        }
        const uint32_t skipped = kAsconfHeader + Padded(known.length.host());
        chunks.asconf = true;
        chunks.parameters = offset + skipped;
        chunks.parameters_length = length - skipped;
        break;
      }
      default:
        break;
    }
    if (Padded(length) > end - offset) break;
    offset += Padded(length);
  }
  return chunks;
}

SctpAddressChanges ReadSctpAddresses(const SctpChunks& chunks,
                                     const PacketInfo& info,
                                     const rte_mbuf& mbuf) {
  SctpAddressChanges said;
  if (chunks.parameters == 0) return said;
  uint32_t offset = chunks.parameters;
  const uint32_t end = offset + chunks.parameters_length;
  for (uint32_t n = 0; n < kMaxSctpParameters; ++n) {
    Parameter parameter;
    if (!Read(mbuf, offset, end, &parameter)) break;
    const uint32_t length = parameter.length.host();
    if (length < sizeof parameter || length > end - offset) break;
    const uint16_t type = parameter.type.host();
    const bool request = chunks.asconf;
    const bool deletes = type == kDeleteAddress;
    // What a request is about lies inside of it, one level deep and no more.
    const bool wanted =
        request ? type == kAddAddress || deletes
                : type == kIpv4Address || type == kIpv6Address;
    if (wanted && said.count < kMaxSctpAddresses) {
      SctpAddressChange& change = said.changes[said.count];
      change.added = !deletes;
      if (ReadAddress(mbuf, request ? offset + kRequestHeader : offset,
                      offset + length, info.family, &change.address)) {
        if (change.address == std::array<uint8_t, 16>{}) {
          change.address = info.source;
        }
        ++said.count;
      }
    }
    if (Padded(length) > end - offset) break;
    offset += Padded(length);
  }
  return said;
}

}  // namespace sluice
