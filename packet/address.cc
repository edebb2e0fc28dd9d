#include "packet/address.h"

#include <arpa/inet.h>

#include <charconv>

namespace sluice {

Address MaskOf(Family family, int length) {
  Address mask;
  mask.family = family;
  for (int i = 0; i < length; ++i) {
    mask.bytes[i / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  }
  return mask;
}

Address And(const Address& a, const Address& b) {
  Address result = a;
  for (size_t i = 0; i < result.bytes.size(); ++i) {
    result.bytes[i] &= b.bytes[i];
  }
  return result;
}

Prefix Prefix::Masked() const {
  return {And(address, MaskOf(address.family, length)), length};
}

bool Prefix::Contains(const Address& other) const {
  if (other.family != address.family) return false;
  const int whole = length / 8;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) {
    return false;
  }
  const int rest = length % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00 >> rest);
  return ((address.bytes[whole] ^ other.bytes[whole]) & mask) == 0;
}

std::optional<Address> ParseAddress(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  if (std::strlen(buffer) != text.size()) return std::nullopt;
  uint8_t bytes[16];
  if (inet_pton(AF_INET, buffer, bytes) == 1) {
    return Address::FromBytes(Family::kIpv4, bytes);
  }
  if (inet_pton(AF_INET6, buffer, bytes) == 1) {
    return Address::FromBytes(Family::kIpv6, bytes);
  }
  return std::nullopt;
}

std::optional<Prefix> ParsePrefix(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = ParseAddress(text.substr(0, slash));
  if (!address) return std::nullopt;
  const int bits = AddressBits(address->family);
  if (slash == std::string_view::npos) {
    return Prefix{*address, static_cast<uint8_t>(bits)};
  }
  const std::string_view digits = text.substr(slash + 1);
  int length = -1;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (digits.empty() || digits[0] == '-' || error != std::errc() ||
      end != digits.data() + digits.size() || length > bits) {
    return std::nullopt;
  }
  return Prefix{*address, static_cast<uint8_t>(length)};
}

std::string ToString(const Address& address) {
  char buffer[INET6_ADDRSTRLEN];
  const int family = address.family == Family::kIpv6 ? AF_INET6 : AF_INET;
  if (address.family == Family::kNone ||
      inet_ntop(family, address.bytes.data(), buffer, sizeof buffer) ==
          nullptr) {
    return "none";
  }
  return buffer;
}

std::string ToString(const Prefix& prefix) {
  std::string text = ToString(prefix.address);
  if (!prefix.IsHost()) text += "/" + std::to_string(prefix.length);
  return text;
}

}  // namespace sluice
