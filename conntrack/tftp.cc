#include "conntrack/tftp.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <optional>
#include <string_view>

#include "conntrack/state_table.h"

namespace sluice {
namespace {

enum Opcode : uint16_t {
  kRead = 1,
  kWrite = 2,
  kDataBlock = 3,
  kAck = 4,
  kFailure = 5,
  kOptionAck = 6,
};

// RFC 1350's, and what RFC 2348 allows.
constexpr uint16_t kBlockSize = 512;
constexpr uint32_t kLeastBlockSize = 8;
constexpr uint32_t kMostBlockSize = 65464;
// An OACK names the options of a request, which has 512 bytes at most.
constexpr uint32_t kMaxOptionAck = 512;
// How often a child's client is reported to its family, at most.
constexpr int32_t kReportEvery = static_cast<int32_t>(kChildIdle / 4);

// Takes the characters up to the next NUL, and the NUL.
std::optional<std::string_view> TakeString(std::span<const uint8_t>* rest) {
  const auto end = std::find(rest->begin(), rest->end(), uint8_t{0});
  if (end == rest->end()) return std::nullopt;
  const auto length = static_cast<size_t>(end - rest->begin());
  const std::string_view text(reinterpret_cast<const char*>(rest->data()),
                              length);
  *rest = rest->subspan(length + 1);
  return text;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) {
                      return std::tolower(x) == y;
                    });
}

// Answers to broadcasts and multicasts come from anybody (RFC 1123 section
// 4.2.3.4 has servers ignore such requests); no expectation can name them. A
// subnet's own broadcast address shows in the frame only.
bool IsUnicast(const PacketInfo& info, const rte_mbuf& mbuf) {
  uint8_t first_octet;
  const void* frame = rte_pktmbuf_read(&mbuf, 0, 1, &first_octet);
  if (frame == nullptr || (*static_cast<const uint8_t*>(frame) & 1) != 0) {
    return false;
  }
  if (info.family == Family::kIpv6) return info.destination[0] != 0xff;
  // Class D, the reserved class E with 255.255.255.255, and "this network".
  return info.destination[0] < 0xe0 && info.destination[0] != 0;
}

// The first `buffer.size()` bytes of the payload, or fewer.
std::span<const uint8_t> Payload(const PacketInfo& info, const rte_mbuf& mbuf,
                                 std::span<uint8_t> buffer) {
  const uint32_t length = std::min<uint32_t>(
      info.payload_length(), static_cast<uint32_t>(buffer.size()));
  // rte_pktmbuf_read() runs past the last segment for no bytes at its end.
  if (length == 0) return {};
  const void* bytes = rte_pktmbuf_read(&mbuf, info.payload_offset(), length,
                                       buffer.data());
  if (bytes == nullptr) return {};
  return {static_cast<const uint8_t*>(bytes), length};
}

void Arm(StateTable& table, StateIndex state, Tick now,
         ExpectationTable& expectations) {
  const StateEntries& entries = table.entries();
  const ParentReference parent = entries.ReferenceTo(state);
  const StateTemplate values = entries.TemplateOf(state);
  // The server's packet is judged on the far side of the parent's translation,
  // and goes on as the requester knows the server and itself.
  const StateEnds near = table.EndsOf(state);
  const StateEnds far = table.EndsBeyond(state);
  ExpectedFlow flow = {.proto = protocol::kUdp,
                       .family = near.family,
                       .direction = Opposite(parent.direction),
                       .source = far.address[1],
                       .destination = far.address[0],
                       .destination_port = far.port[0],
                       .not_from = far.port[1],
                       .owner = near.address[0]};
  if (entries.hot(state).translated()) {
    flow.after = {.family = near.family,
                  .source = near.address[1],
                  .destination = near.address[0],
                  .destination_port = near.port[0]};
  }
  uint16_t record = kNoFamilyRecord;
  const ExpectResult result =
      expectations.Arm(flow, parent, values, now, &record);
  if (result == ExpectResult::kArmed || result == ExpectResult::kRearmed) {
    table.SetFamilyRecord(state, record);
  }
}

// Whether a packet of a transfer that is over begins another one: a server may
// use a port again for the same client. A last block that comes again does not.
bool Begins(const TftpProgress& over, const TftpHeader& header) {
  switch (header.message) {
    case TftpMessage::kOptionAcknowledgment:
      return true;
    case TftpMessage::kAcknowledgment:
      return header.block == 0;
    case TftpMessage::kData:
      return over.has(TftpProgress::kLastSent)
                 ? (header.block == 1) != (over.last_block == 1)
                 : header.block == 1;
    default:
      return false;
  }
}

// A packet of a transfer.
HelperVerdict FollowChild(StateTable& table, StateIndex state,
                          const PacketInfo& info, const rte_mbuf& mbuf,
                          const TftpHeader& header, const JudgePoint& where,
                          Tick now, ExpectationTable& expectations) {
  const StateHot& hot = table.entries().hot(state);
  const StateCold& cold = table.entries().cold(state);
  // The server's first packet made it.
  const bool from_server = where.direction == hot.direction();
  auto progress = std::bit_cast<TftpProgress>(hot.window);
  if (progress.has(TftpProgress::kFinished)) {
    if (from_server && Begins(progress, header) &&
        expectations.Expects(info, hot.vlan(), where, now)) {
      return HelperVerdict::kReuse;
    }
    table.SetLastSeen(state, progress.finished);
    return HelperVerdict::kPass;
  }
  const bool first = (hot.flags & kEntryFolded) == 0 &&
                     hot.packet_count(0) + hot.packet_count(1) == 1;
  if (first) progress.block_size = kBlockSize;

  uint16_t granted = 0;
  if (header.message == TftpMessage::kOptionAcknowledgment) {
    std::array<uint8_t, kMaxOptionAck> buffer;
    granted = GrantedBlockSize(Payload(info, mbuf, buffer));
  }
  const uint32_t length = info.payload_length();
  bool over = progress.Advance(
      header, from_server ? Peer::kOriginator : Peer::kResponder,
      length > kTftpHeaderSize
          ? length - static_cast<uint32_t>(kTftpHeaderSize)
          : 0,
      granted);
  if (!over && !from_server && (hot.flags & kEntryRelated) != 0 &&
      (!progress.has(TftpProgress::kReported) ||
       TickDiff(now, progress.reported) >= kReportEvery)) {
    progress.flags |= TftpProgress::kReported;
    progress.reported = now;
    over = !expectations.ChildActive(cold.family_record, cold.parent_id,
                                     cold.id, now);
  }
  if (over) {
    progress.flags |= TftpProgress::kFinished;
    progress.finished = now;
  }
  table.SetHelperData(
      state, std::bit_cast<std::array<SequenceWindow, 2>>(progress));
  if (over) table.FinishChild(state, now);
  return HelperVerdict::kPass;
}

}  // namespace

TftpHeader ParseTftp(std::span<const uint8_t> payload) {
  if (payload.size() < kTftpHeaderSize) return {};
  const auto opcode = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  const auto block = static_cast<uint16_t>(payload[2] << 8 | payload[3]);
  switch (opcode) {
    case kRead: return {TftpMessage::kReadRequest};
    case kWrite: return {TftpMessage::kWriteRequest};
    case kDataBlock: return {TftpMessage::kData, block};
    case kAck: return {TftpMessage::kAcknowledgment, block};
    case kFailure: return {TftpMessage::kError};
    case kOptionAck: return {TftpMessage::kOptionAcknowledgment};
    default: return {};
  }
}

uint16_t GrantedBlockSize(std::span<const uint8_t> payload) {
  if (payload.size() < 2) return 0;
  std::span<const uint8_t> rest = payload.subspan(2);
  while (!rest.empty()) {
    const auto name = TakeString(&rest);
    if (!name.has_value()) return 0;
    const bool wanted = EqualsIgnoringCase(*name, "blksize");
    const auto value = TakeString(&rest);
    if (!value.has_value()) return 0;
    if (!wanted) continue;
    uint32_t size = 0;
    for (const char digit : *value) {
      if (digit < '0' || digit > '9') return 0;
      size = size * 10 + static_cast<uint32_t>(digit - '0');
      if (size > kMostBlockSize) return 0;
    }
    return size < kLeastBlockSize ? 0 : static_cast<uint16_t>(size);
  }
  return 0;
}

bool TftpProgress::Advance(const TftpHeader& header, Peer from, uint32_t data,
                           uint16_t granted) {
  switch (header.message) {
    case TftpMessage::kOptionAcknowledgment:
      if (granted != 0) block_size = granted;
      return false;
    case TftpMessage::kData:
      if (data > kMostBlockSize) return false;
      if (data > block_size || block_size == 0) {
        // More than was known of, or the first that is seen.
        block_size = static_cast<uint16_t>(
            std::max<uint32_t>(data, kLeastBlockSize));
        flags &= static_cast<uint8_t>(~kLastSent);
      } else if (data < block_size) {
        flags |= kLastSent;
        last_block = header.block;
        sender = static_cast<uint8_t>(from);
      }
      return false;
    case TftpMessage::kAcknowledgment:
      return has(kLastSent) && header.block == last_block &&
             sender != static_cast<uint8_t>(from);
    case TftpMessage::kError:
      return true;
    case TftpMessage::kMalformed:
    case TftpMessage::kReadRequest:
    case TftpMessage::kWriteRequest:
      return false;
  }
  return false;
}

HelperVerdict RunTftpHelper(StateTable& table, StateIndex state,
                            const PacketInfo& info, const rte_mbuf& mbuf,
                            const JudgePoint& where, Tick now,
                            ExpectationTable& expectations) {
  std::array<uint8_t, kTftpHeaderSize> buffer;
  const TftpHeader header = ParseTftp(Payload(info, mbuf, buffer));
  const StateHot& hot = table.entries().hot(state);
  const StateCold& cold = table.entries().cold(state);
  if (cold.parent_id != 0) {
    return FollowChild(table, state, info, mbuf, header, where, now,
                       expectations);
  }
  const bool request = header.message == TftpMessage::kReadRequest ||
                       header.message == TftpMessage::kWriteRequest;
  if (where.direction != hot.direction()) {
    // The server answers from the port that it was asked at: there will be no
    // other flow.
    if (header.message != TftpMessage::kMalformed && !request &&
        (hot.flags & kEntryRelated) != 0) {
      expectations.Disarm(cold.family_record, cold.id);
    }
  } else if (request) {
    if (IsUnicast(info, mbuf)) Arm(table, state, now, expectations);
  } else if (header.message == TftpMessage::kMalformed) {
    expectations.CountMalformed(where.filter);
  }
  return HelperVerdict::kPass;
}

}  // namespace sluice
