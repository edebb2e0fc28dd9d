#include "dataplane/replay/packet_source.h"

#include <cstring>
#include <utility>

#include "dataplane/replay/offloaded_length.h"
#include "packet/headers.h"
#include "packet/packet.h"

namespace sluice {
namespace {

constexpr uint64_t kNanosecondsAMillisecond = 1'000'000;
// Of the sender's protocol address in an ARP packet for IPv4.
constexpr size_t kArpSender = 14;
constexpr size_t kIpv4Source = 12;
constexpr size_t kIpv6Source = 8;

}  // namespace

uint16_t SidesByAddress::PortOf(std::span<const uint8_t> frame) const {
  size_t at = 12;
  uint16_t type = 0;
  const auto read_type = [&] {
    if (frame.size() < at + 2) return false;
    type = static_cast<uint16_t>(frame[at] << 8 | frame[at + 1]);
    at += 2;
    return true;
  };
  if (!read_type()) return outside;
  for (uint32_t tags = 0;
       tags < kMaxVlanTags && (type == wire::ethertype::kVlan ||
                               type == wire::ethertype::kQinq);
       ++tags) {
    at += 2;
    if (!read_type()) return outside;
  }
  Family family = Family::kIpv4;
  if (type == wire::ethertype::kIpv4) {
    at += kIpv4Source;
  } else if (type == wire::ethertype::kArp) {
    at += kArpSender;
  } else if (type == wire::ethertype::kIpv6) {
    at += kIpv6Source;
    family = Family::kIpv6;
  } else {
    return outside;
  }
  if (frame.size() < at + static_cast<size_t>(AddressBits(family)) / 8) {
    return outside;
  }
  const Address source = Address::FromBytes(family, frame.data() + at);
  for (const Prefix& net : inside_nets) {
    if (net.Contains(source)) return inside;
  }
  return outside;
}

absl::Status PacketSource::Add(const std::string& path, uint16_t port) {
  return Add(path, port, std::nullopt);
}

absl::Status PacketSource::Add(const std::string& path,
                               SidesByAddress sides) {
  return Add(path, 0, std::move(sides));
}

absl::Status PacketSource::Add(const std::string& path, uint16_t port,
                               std::optional<SidesByAddress> sides) {
  auto reader = CaptureReader::Open(path, options_);
  if (!reader.ok()) return reader.status();
  Input input;
  input.reader = *std::move(reader);
  input.port = port;
  input.sides = std::move(sides);
  if (absl::Status s = Read(input); !s.ok()) return s;
  inputs_.push_back(std::move(input));
  return absl::OkStatus();
}

absl::Status PacketSource::Read(Input& input) {
  const absl::StatusOr<bool> more = input.reader->Next(input.next);
  if (!more.ok()) return more.status();
  input.at_end = !*more;
  return absl::OkStatus();
}

absl::StatusOr<bool> PacketSource::Next(SourcedPacket& packet) {
  if (taken_) {
    if (absl::Status s = Read(inputs_[*taken_]); !s.ok()) return s;
    taken_.reset();
  }
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].at_end) continue;
    if (!taken_ ||
        inputs_[i].next.nanoseconds < inputs_[*taken_].next.nanoseconds) {
      taken_ = i;
    }
  }
  if (!taken_) return false;
  const Input& input = inputs_[*taken_];
  packet.nanoseconds = input.next.nanoseconds;
  packet.frame = input.next.frame;
  packet.cut = input.next.cut;
  if (!packet.cut && FillOffloadedLength(packet.frame, buffer_)) {
    packet.frame = buffer_;
    ++filled_;
  }
  packet.port = input.sides ? input.sides->PortOf(packet.frame) : input.port;
  if (!started_) {
    started_ = true;
    first_ = last_ = packet.nanoseconds;
  } else if (packet.nanoseconds < last_) {
    ++clamped_;
  } else {
    last_ = packet.nanoseconds;
  }
  packet.clock = (last_ - first_) / kNanosecondsAMillisecond;
  return true;
}

}  // namespace sluice
