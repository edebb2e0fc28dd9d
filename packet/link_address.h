// Link addresses (MACs), as a switch compares and people write them.
#ifndef SLUICE_PACKET_LINK_ADDRESS_H_
#define SLUICE_PACKET_LINK_ADDRESS_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// A link address, its first byte in the lowest bits.
struct LinkAddress {
  uint64_t value = 0;

  static constexpr uint64_t kMask = (uint64_t{1} << 48) - 1;
  constexpr bool IsGroup() const { return (value & 1) != 0; }
  constexpr bool IsBroadcast() const { return value == kMask; }
  // 01:80:c2:00:00:00 to :0f: what bridges say to each other.
  constexpr bool IsReserved() const {
    return (value & 0xf0ffffffffffu) == 0x000000c28001u;
  }
  friend constexpr auto operator<=>(const LinkAddress&,
                                    const LinkAddress&) = default;
};
// "00:53:00:00:00:01".
std::string ToString(LinkAddress mac);
std::optional<LinkAddress> ParseLinkAddress(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_PACKET_LINK_ADDRESS_H_
