// What the SYN of a TCP connection looks like: by that, systems tell their
// makers apart (pf.os(5)).
#ifndef SLUICE_PACKET_SYN_SIGNATURE_H_
#define SLUICE_PACKET_SYN_SIGNATURE_H_

#include <cstdint>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// The options of a SYN in their order, three bits each, the last one lowest.
enum class SynOption : uint8_t {
  kNop = 1,
  kMss = 2,
  kWindowScale = 3,
  kSackPermitted = 4,
  kTimestamp = 5,
};
inline constexpr int kSynOptionBits = 3;
// As many as there is room for in 64 bits; with more, the first are lost.
inline constexpr int kMaxSynOptions = 21;

struct SynSignature {
  uint64_t options = 0;  // SynOption
  uint8_t option_count = 0;
  uint8_t ttl = 0;     // or hop limit
  uint8_t scale = 0;   // of the window; 0 without the option
  bool dont_fragment = false;  // IPv6 never fragments on the way
  bool timestamp_is_zero = false;
  uint16_t window = 0;
  uint16_t size = 0;   // of the IP packet, bytes
  uint16_t mss = 0;    // 0 without the option

  friend bool operator==(const SynSignature&, const SynSignature&) = default;
};

// False: it is no SYN of TCP alone, or it has an option that no fingerprint
// has, or one that is cut off.
bool ReadSyn(const rte_mbuf& mbuf, const PacketInfo& info, SynSignature* syn);

}  // namespace sluice

#endif  // SLUICE_PACKET_SYN_SIGNATURE_H_
