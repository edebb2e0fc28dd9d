#include "packet/link_address.h"

#include <array>
#include <cstdio>

namespace sluice {

std::string ToString(LinkAddress mac) {
  std::array<char, 18> text;
  const auto byte = [&](int i) {
    return static_cast<unsigned>(mac.value >> 8 * i & 0xff);
  };
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x",
                byte(0), byte(1), byte(2), byte(3), byte(4), byte(5));
  return text.data();
}

std::optional<LinkAddress> ParseLinkAddress(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (text.size() != 17) return std::nullopt;
  LinkAddress mac;
  for (size_t i = 0; i < 6; ++i) {
    const int high = digit(text[3 * i]);
    const int low = digit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) {
      return std::nullopt;
    }
    mac.value |= static_cast<uint64_t>(high << 4 | low) << 8 * i;
  }
  return mac;
}

}  // namespace sluice
