#include "conntrack/tftp.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
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

constexpr std::array<std::string_view, 3> kModes = {"netascii", "octet",
                                                    "mail"};

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

bool IsWellFormedRequest(std::span<const uint8_t> rest) {
  const auto file = TakeString(&rest);
  if (!file.has_value() || file->empty()) return false;
  const auto mode = TakeString(&rest);
  if (!mode.has_value() ||
      std::none_of(kModes.begin(), kModes.end(), [&](std::string_view known) {
        return EqualsIgnoringCase(*mode, known);
      })) {
    return false;
  }
  for (int options = 0; !rest.empty(); ++options) {
    if (options == kMaxTftpOptions) return false;
    const auto name = TakeString(&rest);
    if (!name.has_value() || name->empty()) return false;
    if (!TakeString(&rest).has_value()) return false;
  }
  return true;
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

void Arm(StateTable& table, StateIndex state, Tick now,
         ExpectationTable& expectations) {
  const StateEntries& entries = table.entries();
  const ParentReference parent = entries.ReferenceTo(state);
  const StateTemplate values = entries.TemplateOf(state);
  // The requester is at end 0 of a state that was made inwards.
  const int server_end = parent.direction == Direction::kIn ? 1 : 0;
  uint16_t record = kNoFamilyRecord;
  const ExpectResult result =
      entries.hot(state).family() == Family::kIpv4
          ? expectations.Arm(entries.hot(state).key, server_end, parent, values,
                             now, &record)
          : expectations.Arm(entries.extra(state).key, server_end, parent,
                             values, now, &record);
  if (result == ExpectResult::kArmed || result == ExpectResult::kRearmed) {
    table.SetFamilyRecord(state, record);
  }
}

}  // namespace

TftpMessage ParseTftp(std::span<const uint8_t> payload) {
  if (payload.size() < 2) return TftpMessage::kMalformed;
  const auto opcode = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  const std::span<const uint8_t> rest = payload.subspan(2);
  switch (opcode) {
    case kRead:
    case kWrite:
      if (payload.size() > kMaxTftpRequest || !IsWellFormedRequest(rest)) {
        return TftpMessage::kMalformed;
      }
      return opcode == kRead ? TftpMessage::kReadRequest
                             : TftpMessage::kWriteRequest;
    case kDataBlock:
      return rest.size() >= 2 ? TftpMessage::kData : TftpMessage::kMalformed;
    case kAck:
      return rest.size() >= 2 ? TftpMessage::kAcknowledgment
                              : TftpMessage::kMalformed;
    case kFailure:
      return rest.size() >= 2 ? TftpMessage::kError : TftpMessage::kMalformed;
    case kOptionAck:
      return TftpMessage::kOptionAcknowledgment;
    default:
      return TftpMessage::kMalformed;
  }
}

void RunTftpHelper(StateTable& table, StateIndex state, const PacketInfo& info,
                   const rte_mbuf& mbuf, Direction direction, Tick now,
                   ExpectationTable& expectations) {
  // One octet more than a request may have, so that a longer one shows.
  std::array<uint8_t, kMaxTftpRequest + 1> buffer;
  const uint32_t length =
      std::min<uint32_t>(info.payload_length(), buffer.size());
  // rte_pktmbuf_read() runs past the last segment for no bytes at its end.
  const void* payload =
      length == 0 ? buffer.data()
                  : rte_pktmbuf_read(&mbuf, info.payload_offset(), length,
                                     buffer.data());
  if (payload == nullptr) return;
  const TftpMessage message =
      ParseTftp({static_cast<const uint8_t*>(payload), length});
  const bool original = direction == table.entries().hot(state).direction();
  if (!original) {
    // The server answers from the port that it was asked at: there will be no
    // other flow.
    if (message != TftpMessage::kMalformed &&
        message != TftpMessage::kReadRequest &&
        message != TftpMessage::kWriteRequest &&
        (table.entries().hot(state).flags & kEntryRelated) != 0) {
      expectations.Disarm(table.entries().cold(state).family_record,
                          table.entries().cold(state).id);
    }
    return;
  }
  if (message == TftpMessage::kReadRequest ||
      message == TftpMessage::kWriteRequest) {
    if (IsUnicast(info, mbuf)) Arm(table, state, now, expectations);
  } else if (message == TftpMessage::kMalformed) {
    expectations.CountMalformed();
  }
}

}  // namespace sluice
