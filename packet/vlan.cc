#include "packet/vlan.h"

#include <array>
#include <charconv>

#include "packet/headers.h"
#include "packet/rewrite.h"

namespace sluice {

VlanId ReadVlan(const rte_mbuf& mbuf, const PacketInfo& info) {
  std::array<wire::Vlan, 2> tags{};
  constexpr uint32_t kFirst = sizeof(wire::Ethernet);
  if (info.l3_offset < kFirst + sizeof(wire::Vlan)) return {};
  const bool two = info.l3_offset >= kFirst + sizeof tags;
  CopyFromPacket(mbuf, kFirst, tags.data(),
                 two ? sizeof tags : sizeof(wire::Vlan));
  return VlanId::Of(tags[0].control.host(), tags[1].control.host());
}

std::string ToString(VlanId vlan) {
  std::string text = std::to_string(vlan.outer());
  if (vlan.inner() != 0) text += "." + std::to_string(vlan.inner());
  return text;
}

std::optional<VlanId> ParseVlan(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::optional<uint16_t> {
    uint16_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || at != end || value > kVlanMask) {
      return std::nullopt;
    }
    return value;
  };
  const size_t dot = text.find('.');
  const std::optional<uint16_t> outer = number(text.substr(0, dot));
  if (!outer) return std::nullopt;
  if (dot == std::string_view::npos) return VlanId::Of(*outer);
  const std::optional<uint16_t> inner = number(text.substr(dot + 1));
  if (!inner || *outer == 0 || *inner == 0) return std::nullopt;
  return VlanId::Of(*outer, *inner);
}

}  // namespace sluice
