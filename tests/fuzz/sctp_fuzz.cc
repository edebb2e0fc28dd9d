// Any bytes as the chunks of an SCTP packet: what is read of them is bounded,
// and lies inside of the packet.
#include <rte_mbuf.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "conntrack/sctp_chunks.h"
#include "packet/headers.h"

namespace sluice {
namespace {

constexpr size_t kBefore = 34 + sizeof(wire::Sctp);

void Check(const uint8_t* data, size_t size, Family family) {
  // Exactly as long as the packet, so that a read beyond it is seen.
  std::vector<uint8_t> frame(kBefore + size);
  std::memcpy(frame.data() + kBefore, data, size);
  rte_mbuf mbuf{};
  mbuf.buf_addr = frame.data();
  mbuf.data_len = static_cast<uint16_t>(frame.size());
  mbuf.pkt_len = static_cast<uint32_t>(frame.size());
  mbuf.nb_segs = 1;
  PacketInfo info{};
  info.family = family;
  info.proto = protocol::kSctp;
  info.l4_offset = 34;
  info.l4_length = static_cast<uint16_t>(frame.size() - 34);
  info.source.fill(1);
  const SctpChunks chunks = ReadSctpChunks(info, mbuf);
  if (chunks.parameters != 0 &&
      chunks.parameters + chunks.parameters_length > frame.size()) {
    std::abort();
  }
  const SctpAddressChanges said = ReadSctpAddresses(chunks, info, mbuf);
  if (said.count > kMaxSctpAddresses) std::abort();
  // Zero stands for the source.
  for (uint32_t i = 0; i < said.count; ++i) {
    if (said.changes[i].address == std::array<uint8_t, 16>{}) std::abort();
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 9000) return 0;
  sluice::Check(data, size, sluice::Family::kIpv4);
  sluice::Check(data, size, sluice::Family::kIpv6);
  return 0;
}
