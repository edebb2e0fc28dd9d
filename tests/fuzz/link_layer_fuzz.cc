// Any bytes as a packet of each kind of capture, the first says which: a frame
// of Ethernet, which has all of the packet behind its own header.
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "dataplane/replay/link_layer.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

struct Kind {
  int link_type = 0;
  size_t header = 0;  // bytes of its own
};
constexpr std::array<Kind, 8> kKinds = {{{DLT_EN10MB, 14},
                                         {DLT_RAW, 0},
                                         {DLT_IPV4, 0},
                                         {DLT_IPV6, 0},
                                         {DLT_LINUX_SLL, 16},
                                         {DLT_LINUX_SLL2, 20},
                                         {DLT_NULL, 4},
                                         {DLT_LOOP, 4}}};
constexpr size_t kEthernetHeader = 14;

void Check(const Kind& kind, std::span<const uint8_t> packet) {
  Require(CheckLinkType(kind.link_type).ok());
  std::vector<uint8_t> buffer;
  const std::span<const uint8_t> frame =
      ToEthernet(kind.link_type, packet, buffer);
  if (packet.size() < kind.header) {
    // Too short, as the packet was.
    Require(frame.size() < kEthernetHeader);
    return;
  }
  Require(std::ranges::equal(frame.subspan(kEthernetHeader),
                             packet.subspan(kind.header)));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  sluice::Check(sluice::kKinds[data[0] % sluice::kKinds.size()],
                {data + 1, size - 1});
  return 0;
}
