#include "dataplane/replay/link_layer.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "packet/headers.h"

namespace sluice {
namespace {

// Sizes of the headers and where things lie in them, as tcpdump.org's list of
// link types says.
constexpr size_t kCookedSize = 16;
constexpr size_t kCookedAddressLength = 4;
constexpr size_t kCookedAddress = 6;
constexpr size_t kCookedProtocol = 14;
constexpr size_t kCooked2Size = 20;
constexpr size_t kCooked2Protocol = 0;
constexpr size_t kCooked2AddressLength = 11;
constexpr size_t kCooked2Address = 12;
constexpr size_t kNullSize = 4;

constexpr std::array<uint8_t, 6> kDestination = {2, 0, 0, 0, 0, 2};
constexpr std::array<uint8_t, 6> kSource = {2, 0, 0, 0, 0, 1};

uint16_t HalfAt(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::span<const uint8_t> Frame(std::span<const uint8_t> source, uint16_t type,
                               std::span<const uint8_t> rest,
                               std::vector<uint8_t>& buffer) {
  buffer.assign(kDestination.begin(), kDestination.end());
  if (source.size() != 6) source = kSource;
  buffer.insert(buffer.end(), source.begin(), source.end());
  buffer.push_back(static_cast<uint8_t>(type >> 8));
  buffer.push_back(static_cast<uint8_t>(type));
  buffer.insert(buffer.end(), rest.begin(), rest.end());
  return buffer;
}

// By the version of the IP header. What is neither 4 nor 6 is called IPv4, so
// that the parser finds it malformed.
uint16_t TypeByVersion(std::span<const uint8_t> packet) {
  return !packet.empty() && packet[0] >> 4 == 6 ? wire::ethertype::kIpv6
                                                : wire::ethertype::kIpv4;
}

}  // namespace

absl::Status CheckLinkType(int link_type) {
  switch (link_type) {
    case DLT_EN10MB:
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2:
    case DLT_NULL:
    case DLT_LOOP:
      return absl::OkStatus();
  }
  const char* name = pcap_datalink_val_to_name(link_type);
  return absl::InvalidArgumentError(absl::StrCat(
      "link type ", name != nullptr ? name : "?", " (", link_type,
      ") is not supported; Ethernet, raw IP, Linux cooked (v1, v2) and BSD "
      "null/loopback captures are"));
}

std::span<const uint8_t> ToEthernet(int link_type,
                                    std::span<const uint8_t> bytes,
                                    std::vector<uint8_t>& buffer) {
  switch (link_type) {
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return Frame({}, TypeByVersion(bytes), bytes, buffer);
    case DLT_NULL:
    case DLT_LOOP:
      // The four bytes are an AF_ number of the capturing system, in its own
      // order; the packet's version says the same and is always there.
      if (bytes.size() < kNullSize) return bytes;
      return Frame({}, TypeByVersion(bytes.subspan(kNullSize)),
                   bytes.subspan(kNullSize), buffer);
    case DLT_LINUX_SLL: {
      if (bytes.size() < kCookedSize) return bytes.first(
          std::min<size_t>(bytes.size(), 13));
      const uint16_t length = HalfAt(bytes, kCookedAddressLength);
      return Frame(bytes.subspan(kCookedAddress, length == 6 ? 6 : 0),
                   HalfAt(bytes, kCookedProtocol),
                   bytes.subspan(kCookedSize), buffer);
    }
    case DLT_LINUX_SLL2: {
      if (bytes.size() < kCooked2Size) return bytes.first(
          std::min<size_t>(bytes.size(), 13));
      const uint8_t length = bytes[kCooked2AddressLength];
      return Frame(bytes.subspan(kCooked2Address, length == 6 ? 6 : 0),
                   HalfAt(bytes, kCooked2Protocol),
                   bytes.subspan(kCooked2Size), buffer);
    }
    default:
      return bytes;
  }
}

}  // namespace sluice
