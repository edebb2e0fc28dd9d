#include "dataplane/replay/link_layer.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "packet/headers.h"

namespace sluice {
namespace {

// Numbers of link types, sizes of the headers and where things lie in them, as tcpdump.org's list of
// link types says.
constexpr uint32_t kNull = 0;
constexpr uint32_t kEthernet = 1;
// DLT_RAW of most systems and of OpenBSD, which some programs write.
constexpr uint32_t kRawHere = 12;
constexpr uint32_t kRawOpenBsd = 14;
constexpr uint32_t kRaw = 101;
constexpr uint32_t kLoop = 108;
constexpr uint32_t kCooked = 113;
constexpr uint32_t kIpv4 = 228;
constexpr uint32_t kIpv6 = 229;
constexpr uint32_t kCooked2 = 276;

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

absl::Status CheckLinkType(uint32_t link_type) {
  switch (link_type) {
    case kEthernet:
    case kRaw:
    case kRawHere:
    case kRawOpenBsd:
    case kIpv4:
    case kIpv6:
    case kCooked:
    case kCooked2:
    case kNull:
    case kLoop:
      return absl::OkStatus();
  }
  const char* name = pcap_datalink_val_to_name(static_cast<int>(link_type));
  return absl::InvalidArgumentError(absl::StrCat(
      "link type ", name != nullptr ? name : "?", " (", link_type,
      ") is not supported; Ethernet, raw IP, Linux cooked (v1, v2) and BSD "
      "null/loopback captures are"));
}

std::span<const uint8_t> ToEthernet(uint32_t link_type,
                                    std::span<const uint8_t> bytes,
                                    std::vector<uint8_t>& buffer) {
  switch (link_type) {
    case kRaw:
    case kRawHere:
    case kRawOpenBsd:
    case kIpv4:
    case kIpv6:
      return Frame({}, TypeByVersion(bytes), bytes, buffer);
    case kNull:
    case kLoop:
      // The four bytes are an AF_ number of the capturing system, in its own
      // order; the packet's version says the same and is always there.
      if (bytes.size() < kNullSize) return bytes;
      return Frame({}, TypeByVersion(bytes.subspan(kNullSize)),
                   bytes.subspan(kNullSize), buffer);
    case kCooked: {
      if (bytes.size() < kCookedSize) return bytes.first(
          std::min<size_t>(bytes.size(), 13));
      const uint16_t length = HalfAt(bytes, kCookedAddressLength);
      return Frame(bytes.subspan(kCookedAddress, length == 6 ? 6 : 0),
                   HalfAt(bytes, kCookedProtocol),
                   bytes.subspan(kCookedSize), buffer);
    }
    case kCooked2: {
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
