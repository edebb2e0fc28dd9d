#include "pftable/language/parse_address.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"

namespace sluice {

AddressMatch PrefixMatch(const Address& address, int bits) {
  AddressMatch match;
  if (bits == 0) return match;  // any address of the family
  match.kind = AddressKind::kPrefix;
  match.mask = MaskOf(address.family, bits);
  match.address = And(address, match.mask);
  return match;
}

std::optional<ShortAddress> ParseShortIpv4(std::string_view text) {
  uint32_t value = 0;
  int parts = 0;
  while (!text.empty()) {
    if (parts == 4) return std::nullopt;
    const size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty() || part.size() > 3) return std::nullopt;
    uint32_t number = 0;
    for (char c : part) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + static_cast<uint32_t>(c - '0');
    }
    if (number > 255) return std::nullopt;
    value |= number << (24 - 8 * parts++);
    if (dot == text.npos) break;
    text.remove_prefix(dot + 1);
    if (text.empty()) return std::nullopt;
  }
  if (parts == 0) return std::nullopt;
  const uint32_t first = value >> 24;
  const int by_class = first >= 240   ? 32
                       : first >= 224 ? 8
                       : first >= 192 ? 24
                       : first >= 128 ? 16
                                      : 8;
  return ShortAddress{.address = Address::V4(value),
                      .bits = std::max(by_class, parts * 8)};
}

bool SplitModifiers(std::string_view text, std::string& name,
                    InterfaceModifiers& modifiers, std::string& unknown) {
  const size_t colon = text.find(':');
  name = text.substr(0, colon);
  while (colon != text.npos && !text.empty()) {
    const size_t begin = text.find(':');
    if (begin == text.npos) break;
    text.remove_prefix(begin + 1);
    const std::string_view word = text.substr(0, text.find(':'));
    if (word == "network") {
      modifiers.network = true;
    } else if (word == "broadcast") {
      modifiers.broadcast = true;
    } else if (word == "peer") {
      modifiers.peer = true;
    } else if (word == "0") {
      modifiers.no_alias = true;
    } else {
      unknown = word;
      return false;
    }
  }
  return true;
}

std::string ModifierHint(std::string_view modifier) {
  const std::string nearest =
      NearestWord(modifier, {"network", "broadcast", "peer"});
  return nearest.empty()
             ? "the modifiers are :network, :broadcast, :peer and :0"
             : "did you mean ':" + nearest + "'?";
}

bool IsLinkLocal(const Address& a) {
  return a.family == Family::kIpv6 && a.bytes[0] == 0xfe &&
         (a.bytes[1] & 0xc0) == 0x80;
}

std::vector<HostItem> InterfaceAddresses(
    const std::vector<const InterfaceFacts*>& interfaces,
    const InterfaceModifiers& modifiers) {
  std::vector<HostItem> out;
  for (const InterfaceFacts* interface : interfaces) {
    bool got4 = false;
    bool got6 = false;
    for (const InterfaceAddress& a : interface->addresses) {
      const bool is4 = a.address.family == Family::kIpv4;
      const bool link_local = IsLinkLocal(a.address);
      if (modifiers.broadcast && !a.broadcast) continue;
      if (modifiers.peer && !a.peer) continue;
      if (modifiers.network && link_local) continue;
      if (modifiers.no_alias &&
          (is4 ? got4 : got6 || link_local)) {
        continue;
      }
      (is4 ? got4 : got6) = true;
      HostItem item;
      const Address& address = modifiers.broadcast ? *a.broadcast
                               : modifiers.peer    ? *a.peer
                                                   : a.address;
      item.family = address.family;
      item.match = PrefixMatch(address, modifiers.network
                                            ? a.prefix
                                            : AddressBits(address.family));
      if (link_local && address == a.address) item.scope = interface->name;
      out.push_back(std::move(item));
    }
  }
  return out;
}

}  // namespace sluice
