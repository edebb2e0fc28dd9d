#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "packet/packet.h"
#include "tests/support/packet_spec.h"

namespace sluice {
namespace {

constexpr size_t kNowhere = ~size_t{0};

// The ones' complement sum of RFC 1071 over bytes, from a start value.
uint32_t Sum(std::span<const uint8_t> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

uint16_t Fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The polynomial of RFC 4960 appendix B.
uint32_t Crc32c(std::span<const uint8_t> bytes) {
  uint32_t crc = 0xffffffff;
  for (uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
  }
  return ~crc;
}

class Builder {
 public:
  Builder(const PacketSpec& spec, std::span<const uint8_t> received)
      : spec_(spec), received_(received) {}

  absl::StatusOr<std::vector<uint8_t>> Build(bool with_ethernet) {
    if (spec_.form == PacketForm::kHex) {
      bytes_ = spec_.payload;
    } else {
      if (with_ethernet) Ethernet();
      if (absl::Status s = Network(); !s.ok()) return s;
    }
    bytes_.resize(bytes_.size() + spec_.padding);
    if (spec_.cut) {
      const int64_t kept =
          *spec_.cut >= 0 ? *spec_.cut
                          : static_cast<int64_t>(bytes_.size()) + *spec_.cut;
      if (kept < 0 || kept > static_cast<int64_t>(bytes_.size())) {
        return absl::InvalidArgumentError(
            absl::StrCat("cannot cut ", bytes_.size(), " bytes to ", kept));
      }
      bytes_.resize(static_cast<size_t>(kept));
    }
    return bytes_;
  }

 private:
  void Byte(uint32_t value) { bytes_.push_back(static_cast<uint8_t>(value)); }
  void Half(uint32_t value) {
    Byte(value >> 8);
    Byte(value);
  }
  void Word(uint32_t value) {
    Half(value >> 16);
    Half(value);
  }
  template <typename Bytes>
  void Append(const Bytes& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }
  void PatchHalf(size_t at, uint32_t value) {
    bytes_[at] = static_cast<uint8_t>(value >> 8);
    bytes_[at + 1] = static_cast<uint8_t>(value);
  }

  // What stands at a place that is `size` bytes wide and starts at `at`.
  uint32_t Value(Field field, uint32_t correct, size_t at, size_t size) const {
    const FieldValue& f = spec_.field(field);
    switch (f.state) {
      case FieldState::kDefault:
        return correct;
      case FieldState::kGiven:
        return static_cast<uint32_t>(f.value);
      case FieldState::kRelative:
        return static_cast<uint32_t>(correct + f.value);
      case FieldState::kWrong:
        return (correct ^ 0x0101) != 0 ? correct ^ 0x0101 : 0x0202;
      case FieldState::kAny: {
        uint32_t value = 0;
        for (size_t i = at; i < at + size; ++i) {
          value = value << 8 | (i < received_.size() ? received_[i] : 0);
        }
        return value;
      }
    }
    return correct;
  }
  void ByteField(Field f, uint32_t correct) {
    Byte(Value(f, correct, bytes_.size(), 1));
  }
  void HalfField(Field f, uint32_t correct) {
    Half(Value(f, correct, bytes_.size(), 2));
  }
  void WordField(Field f, uint32_t correct) {
    Word(Value(f, correct, bytes_.size(), 4));
  }
  bool IsSet(Field f) const {
    return spec_.field(f).state != FieldState::kDefault;
  }

  void Ethernet() {
    MacAddress destination = MacOf(spec_.destination);
    if (spec_.form == PacketForm::kArp && spec_.arp_operation == 1) {
      destination.fill(0xff);
    }
    Append(spec_.ether_destination.value_or(destination));
    Append(spec_.ether_source.value_or(MacOf(spec_.source)));
    if (IsSet(Field::kOuterVlan)) {
      Half(0x88a8);
      HalfField(Field::kOuterVlan, 0);
    }
    if (IsSet(Field::kVlan)) {
      Half(0x8100);
      Half(Value(Field::kVlan, 0, bytes_.size(), 2) |
           Value(Field::kVlanPrio, 0, bytes_.size(), 2) << 13);
    }
    uint32_t type = 0;
    if (spec_.form == PacketForm::kArp) {
      type = 0x0806;
    } else if (spec_.source.family == Family::kIpv4) {
      type = 0x0800;
    } else if (spec_.source.family == Family::kIpv6) {
      type = 0x86dd;
    }
    HalfField(Field::kEtherType, type);
  }

  absl::Status Network() {
    if (spec_.form == PacketForm::kEthernet) {
      Append(spec_.payload);
      return absl::OkStatus();
    }
    if (spec_.source.family != spec_.destination.family ||
        spec_.source.family == Family::kNone) {
      return absl::InvalidArgumentError(
          "the two addresses must be of one family");
    }
    if (spec_.form == PacketForm::kArp) return Arp();
    const bool v4 = spec_.source.family == Family::kIpv4;
    if (v4 && !spec_.extensions.empty()) {
      return absl::InvalidArgumentError("ext is for IPv6");
    }
    if (!v4 && !spec_.ip_options.empty()) {
      return absl::InvalidArgumentError("ipopts is for IPv4");
    }
    ip_offset_ = bytes_.size();
    if (v4) {
      Ipv4Header();
    } else {
      Ipv6Header();
    }
    const size_t transport = bytes_.size();
    Transport();
    TransportChecksum(transport);
    if (spec_.part) {
      if (absl::Status s = KeepPart(); !s.ok()) return s;
    }
    if (bytes_.size() - ip_offset_ > 65575) {
      return absl::InvalidArgumentError("the packet is longer than IP allows");
    }
    if (v4) {
      FinishIpv4();
    } else {
      const size_t at = ip_offset_ + 4;
      const size_t length = bytes_.size() - ip_offset_ - 40;
      PatchHalf(at, Value(Field::kIpLength, static_cast<uint32_t>(length), at,
                          2));
    }
    return absl::OkStatus();
  }

  absl::Status Arp() {
    if (spec_.source.family != Family::kIpv4) {
      return absl::InvalidArgumentError("arp is for IPv4");
    }
    Half(1);
    Half(0x0800);
    Byte(6);
    Byte(4);
    Half(spec_.arp_operation);
    Append(spec_.ether_source.value_or(MacOf(spec_.source)));
    Append(std::span(spec_.source.bytes).first(4));
    if (spec_.arp_operation == 1) {
      bytes_.resize(bytes_.size() + 6);
    } else {
      Append(spec_.ether_destination.value_or(MacOf(spec_.destination)));
    }
    Append(std::span(spec_.destination.bytes).first(4));
    Append(spec_.payload);
    return absl::OkStatus();
  }

  uint8_t TransportProtocol() const {
    switch (spec_.form) {
      case PacketForm::kTcp:
        return protocol::kTcp;
      case PacketForm::kUdp:
        return protocol::kUdp;
      case PacketForm::kSctp:
        return protocol::kSctp;
      case PacketForm::kIcmp:
        return spec_.source.family == Family::kIpv4 ? protocol::kIcmp
                                                    : protocol::kIcmp6;
      default:
        return 255;
    }
  }

  void Ipv4Header() {
    const size_t words = 5 + spec_.ip_options.size() / 4;
    Byte((Value(Field::kVersion, 4, ip_offset_, 1) & 15) << 4 |
         (Value(Field::kHeaderLength, static_cast<uint32_t>(words),
                ip_offset_, 1) & 15));
    ByteField(Field::kTos, 0);
    Half(0);  // total length, later
    HalfField(Field::kIpId, 1);
    uint32_t fragment = spec_.dont_fragment ? 0x4000 : 0;
    if (spec_.raw_fragment) {
      fragment |= (spec_.raw_fragment->offset / 8) & 0x1fff;
      if (spec_.raw_fragment->more) fragment |= 0x2000;
    }
    Half(fragment);
    ByteField(Field::kTtl, 64);
    protocol_ = static_cast<uint8_t>(
        Value(Field::kProtocol, TransportProtocol(), bytes_.size(), 1));
    Byte(protocol_);
    Half(0);  // checksum, later
    Append(std::span(spec_.source.bytes).first(4));
    Append(std::span(spec_.destination.bytes).first(4));
    Append(spec_.ip_options);
    fragmentable_ = bytes_.size();
  }

  void Ipv6Header() {
    Byte(0x60);
    Byte(0);
    const uint32_t tos = Value(Field::kTos, 0, ip_offset_, 1);
    const uint32_t version = Value(Field::kVersion, 6, ip_offset_, 1);
    bytes_[ip_offset_] = static_cast<uint8_t>((version & 15) << 4 |
                                              (tos & 0xff) >> 4);
    bytes_[ip_offset_ + 1] = static_cast<uint8_t>(tos << 4);
    Half(0);
    Half(0);  // payload length, later
    size_t next = bytes_.size();
    Byte(0);
    ByteField(Field::kTtl, 64);
    Append(spec_.source.bytes);
    Append(spec_.destination.bytes);
    const bool fragmented = spec_.part || spec_.raw_fragment;
    for (size_t i = 0; i <= spec_.extensions.size(); ++i) {
      if (fragmented && i == spec_.unfragmentable_extensions) {
        bytes_[next] = protocol::kIpv6Fragment;
        next = bytes_.size();
        FragmentHeader();
        fragmentable_ = bytes_.size();
      }
      if (i == spec_.extensions.size()) break;
      const ExtensionHeader& extension = spec_.extensions[i];
      bytes_[next] = extension.protocol;
      next = bytes_.size();
      Append(extension.bytes);
    }
    protocol_ = static_cast<uint8_t>(
        Value(Field::kProtocol, TransportProtocol(), next, 1));
    bytes_[next] = protocol_;
  }

  void FragmentHeader() {
    Byte(0);
    Byte(0);
    uint32_t offset = 0;
    if (spec_.raw_fragment) {
      offset = (spec_.raw_fragment->offset & 0xfff8) |
               (spec_.raw_fragment->more ? 1 : 0);
    }
    fragment_field_ = bytes_.size();
    Half(offset);
    WordField(Field::kIpId, 1);
  }

  void Transport() {
    switch (spec_.form) {
      case PacketForm::kTcp: {
        Half(spec_.source_port);
        Half(spec_.destination_port);
        WordField(Field::kSequence, 0);
        WordField(Field::kAcknowledgment, 0);
        const size_t words = 5 + spec_.tcp_options.size() / 4;
        Byte(Value(Field::kDataOffset, static_cast<uint32_t>(words),
                   bytes_.size(), 1)
             << 4);
        Byte(spec_.tcp_flags);
        HalfField(Field::kWindow, 8192);
        checksum_ = bytes_.size();
        Half(0);
        HalfField(Field::kUrgent, 0);
        Append(spec_.tcp_options);
        break;
      }
      case PacketForm::kUdp: {
        Half(spec_.source_port);
        Half(spec_.destination_port);
        HalfField(Field::kUdpLength,
                  static_cast<uint32_t>(8 + spec_.payload.size()));
        checksum_ = bytes_.size();
        Half(0);
        break;
      }
      case PacketForm::kSctp:
        Half(spec_.source_port);
        Half(spec_.destination_port);
        WordField(Field::kVerificationTag, 0);
        checksum_ = bytes_.size();
        Word(0);
        break;
      case PacketForm::kIcmp:
        Icmp();
        break;
      default:
        break;
    }
    Append(spec_.payload);
  }

  void Icmp() {
    Byte(spec_.icmp_type);
    ByteField(Field::kIcmpCode, 0);
    checksum_ = bytes_.size();
    Half(0);
    if (!IsSet(Field::kMtu)) {
      HalfField(Field::kIcmpId, 0);
      HalfField(Field::kSequence, 0);
    } else if (spec_.source.family == Family::kIpv4) {
      Half(0);
      HalfField(Field::kMtu, 0);
    } else {
      WordField(Field::kMtu, 0);
    }
  }

  void TransportChecksum(size_t transport) {
    if (checksum_ == kNowhere) return;
    const std::span<const uint8_t> covered =
        std::span(bytes_).subspan(transport);
    if (spec_.form == PacketForm::kSctp) {
      uint32_t crc = Crc32c(covered);
      // The bytes of the sum go out in the opposite order of other numbers.
      crc = Value(Field::kChecksum, __builtin_bswap32(crc), checksum_, 4);
      PatchHalf(checksum_, crc >> 16);
      PatchHalf(checksum_ + 2, crc);
      return;
    }
    uint32_t sum = 0;
    if (spec_.form != PacketForm::kIcmp ||
        spec_.source.family == Family::kIpv6) {
      const size_t address = AddressBits(spec_.source.family) / 8;
      sum = Sum(std::span(spec_.source.bytes).first(address), sum);
      sum = Sum(std::span(spec_.destination.bytes).first(address), sum);
      sum += static_cast<uint32_t>(covered.size() >> 16);
      sum += static_cast<uint32_t>(covered.size() & 0xffff);
      sum += TransportProtocol();
    }
    uint16_t checksum = Fold(Sum(covered, sum));
    if (spec_.form == PacketForm::kUdp && checksum == 0) checksum = 0xffff;
    PatchHalf(checksum_, Value(Field::kChecksum, checksum, checksum_, 2));
  }

  absl::Status KeepPart() {
    const size_t whole = bytes_.size() - fragmentable_;
    const auto [offset, length] = *spec_.part;
    if (offset % 8 != 0 || offset >= whole) {
      return absl::InvalidArgumentError(absl::StrCat(
          "part: the offset must be a multiple of 8 below ", whole));
    }
    const size_t end = std::min<size_t>(whole, offset + length);
    const bool more = end < whole;
    bytes_.resize(fragmentable_ + end);
    bytes_.erase(bytes_.begin() + static_cast<ptrdiff_t>(fragmentable_),
                 bytes_.begin() + static_cast<ptrdiff_t>(fragmentable_) +
                     offset);
    if (spec_.source.family == Family::kIpv4) {
      PatchHalf(ip_offset_ + 6, (spec_.dont_fragment ? 0x4000u : 0u) |
                                    (more ? 0x2000u : 0u) | offset / 8);
    } else {
      PatchHalf(fragment_field_, offset | (more ? 1u : 0u));
    }
    return absl::OkStatus();
  }

  void FinishIpv4() {
    const size_t length_at = ip_offset_ + 2;
    PatchHalf(length_at,
              Value(Field::kIpLength,
                    static_cast<uint32_t>(bytes_.size() - ip_offset_),
                    length_at, 2));
    const size_t at = ip_offset_ + 10;
    const size_t header = 20 + spec_.ip_options.size();
    const uint16_t checksum =
        Fold(Sum(std::span(bytes_).subspan(ip_offset_, header)));
    PatchHalf(at, Value(Field::kIpChecksum, checksum, at, 2));
  }

  const PacketSpec& spec_;
  const std::span<const uint8_t> received_;
  std::vector<uint8_t> bytes_;
  size_t ip_offset_ = 0;
  size_t fragmentable_ = 0;    // where the part that is cut up begins
  size_t fragment_field_ = 0;  // of the IPv6 fragment header
  size_t checksum_ = kNowhere;
  uint8_t protocol_ = 0;
};

}  // namespace

MacAddress MacOf(const Address& address) {
  const auto& b = address.bytes;
  switch (address.family) {
    case Family::kIpv4:
      if (b[0] == 255) return {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
      if (b[0] >> 4 == 14) {
        return {0x01, 0x00, 0x5e, static_cast<uint8_t>(b[1] & 0x7f), b[2],
                b[3]};
      }
      return {0x02, 0x04, b[0], b[1], b[2], b[3]};
    case Family::kIpv6:
      if (b[0] == 0xff) return {0x33, 0x33, b[12], b[13], b[14], b[15]};
      return {0x02, 0x06, b[12], b[13], b[14], b[15]};
    case Family::kNone:
      break;
  }
  return {0x02, 0x00, 0x00, 0x00, 0x00, 0x01};
}

absl::StatusOr<std::vector<uint8_t>> BuildFrame(
    const PacketSpec& spec, std::span<const uint8_t> received) {
  return Builder(spec, received).Build(true);
}

absl::StatusOr<std::vector<uint8_t>> BuildIpPacket(const PacketSpec& spec) {
  return Builder(spec, {}).Build(false);
}

}  // namespace sluice
