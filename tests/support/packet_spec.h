// tests/support/: what tests of all rooms need to make packets and to read
// them. A packet is written as one line of text (packet_text.h), kept as a
// PacketSpec, built into the bytes of a frame, put into mbufs (mbuf_pool.h)
// and printed as a scapy expression (scapy.h). Nothing here is linked into
// the programs.
//
// This header: one packet as it was described, before it is bytes.
#ifndef SLUICE_TESTS_SUPPORT_PACKET_SPEC_H_
#define SLUICE_TESTS_SUPPORT_PACKET_SPEC_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "packet/address.h"

namespace sluice {

enum class PacketForm : uint8_t {
  kTcp,
  kUdp,
  kSctp,
  kIcmp,  // ICMP or ICMPv6, as the addresses say
  kIp,    // any other protocol over either family
  kArp,
  kEthernet,  // an ethertype and a payload
  kHex,       // a whole frame in hexadecimal digits
};

// A number of a header that a description can set. Numbers that are not set
// get what a correct packet has.
enum class Field : uint8_t {
  kEtherType,
  kVlan,       // the 802.1Q tag's identifier; with kOuterVlan, the inner one
  kVlanPrio,   // 0..7, of the 802.1Q tag
  kOuterVlan,  // the 802.1ad tag's identifier
  kVersion,
  kHeaderLength,  // IPv4, in words of four bytes
  kTos,           // or traffic class
  kIpLength,      // IPv4 total length, IPv6 payload length
  kIpId,          // IPv4 identification, IPv6 fragment identification
  kTtl,           // or hop limit
  kIpChecksum,
  kProtocol,
  kSequence,  // TCP; ICMP echo
  kAcknowledgment,
  kDataOffset,  // TCP, in words of four bytes
  kWindow,
  kUrgent,
  kChecksum,  // of the transport header
  kUdpLength,
  kVerificationTag,
  kIcmpCode,
  kIcmpId,
  kMtu,  // of "too big" errors
};
inline constexpr size_t kFieldCount = static_cast<size_t>(Field::kMtu) + 1;

enum class FieldState : uint8_t {
  kDefault,   // what a correct packet has
  kGiven,     // `value`, right or wrong
  kRelative,  // the correct value plus `value` (modulo the field's size)
  kWrong,     // a checksum that is surely wrong
  kAny,       // in an expected packet: whatever the received one has
};

struct FieldValue {
  FieldState state = FieldState::kDefault;
  int64_t value = 0;
};

// One IPv6 extension header: its protocol number and its bytes, whose first
// one (next header) is filled in by the builder.
struct ExtensionHeader {
  uint8_t protocol = 0;
  std::vector<uint8_t> bytes;
};

using MacAddress = std::array<uint8_t, 6>;

struct PacketSpec {
  PacketForm form = PacketForm::kEthernet;
  Address source;
  Address destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0;
  uint16_t arp_operation = 1;
  bool dont_fragment = false;
  std::array<FieldValue, kFieldCount> fields{};
  // Unset: made from the IP addresses, so that both directions of a flow
  // have the same two.
  std::optional<MacAddress> ether_source;
  std::optional<MacAddress> ether_destination;
  std::vector<uint8_t> ip_options;  // IPv4, a multiple of four bytes
  std::vector<ExtensionHeader> extensions;
  // How many of `extensions` come before a fragment header that `part` or
  // `frag` makes; the others belong to the part that is cut up.
  size_t unfragmentable_extensions = 0;
  std::vector<uint8_t> tcp_options;  // a multiple of four bytes
  std::vector<uint8_t> payload;      // of the last header; kHex: the frame

  // `part OFFSET LENGTH`: only these bytes of the IP payload, as a fragment.
  struct Part {
    uint32_t offset = 0;
    uint32_t length = 0;
  };
  std::optional<Part> part;
  // `frag OFFSET[+]`: these values in the fragment header, whatever follows.
  struct RawFragment {
    uint32_t offset = 0;  // in bytes; written divided by eight
    bool more = false;
  };
  std::optional<RawFragment> raw_fragment;

  // Bytes of the frame that are kept (negative: cut from its end).
  std::optional<int32_t> cut;
  uint32_t padding = 0;  // zero bytes behind the IP packet

  const FieldValue& field(Field f) const {
    return fields[static_cast<size_t>(f)];
  }
  void Set(Field f, int64_t value) {
    fields[static_cast<size_t>(f)] = {FieldState::kGiven, value};
  }
};

// The address that a host with that IP address has on the test's Ethernet.
MacAddress MacOf(const Address& address);

// The bytes of the whole frame, from the Ethernet header on. `received` is
// the packet that fields with kAny are copied from; without one they are
// zero. Fails for what cannot be laid out (mixed families, more than 65535
// bytes, options that do not fit).
absl::StatusOr<std::vector<uint8_t>> BuildFrame(
    const PacketSpec& spec, std::span<const uint8_t> received = {});

// The same from the IP header on, as it lies inside of an ICMP error; `cut`
// counts from the IP header.
absl::StatusOr<std::vector<uint8_t>> BuildIpPacket(const PacketSpec& spec);

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_PACKET_SPEC_H_
