#include "packet/syn_signature.h"

#include <rte_mbuf.h>

#include <array>

namespace sluice {
namespace {

constexpr uint8_t kTcpHeaderBytes = 20;
constexpr uint32_t kMaxOptionBytes = 40;

// Kinds of TCP options (RFC 9293, RFC 7323, RFC 2018).
constexpr uint8_t kEnd = 0;
constexpr uint8_t kNop = 1;
constexpr uint8_t kMss = 2;
constexpr uint8_t kWindowScale = 3;
constexpr uint8_t kSackPermitted = 4;
constexpr uint8_t kTimestamp = 8;

void Append(SynOption option, SynSignature* syn) {
  syn->options = syn->options << kSynOptionBits | static_cast<uint8_t>(option);
  ++syn->option_count;
}

// One that has a length; false: nobody knows it.
bool ReadOption(const uint8_t* option, uint32_t length, SynSignature* syn) {
  switch (option[0]) {
    case kMss:
      if (length >= 4) {
        syn->mss = static_cast<uint16_t>(option[2] << 8 | option[3]);
      }
      Append(SynOption::kMss, syn);
      return true;
    case kWindowScale:
      if (length >= 3) syn->scale = option[2];
      Append(SynOption::kWindowScale, syn);
      return true;
    case kSackPermitted:
      Append(SynOption::kSackPermitted, syn);
      return true;
    case kTimestamp:
      if (length >= 10 &&
          (option[2] | option[3] | option[4] | option[5]) == 0) {
        syn->timestamp_is_zero = true;
      }
      Append(SynOption::kTimestamp, syn);
      return true;
    default:
      return false;
  }
}

}  // namespace

bool ReadSyn(const rte_mbuf& mbuf, const PacketInfo& info, SynSignature* syn) {
  if (info.proto != protocol::kTcp || info.has(kFragment) ||
      (info.tcp_flags & (kTcpSyn | kTcpAck)) != kTcpSyn) {
    return false;
  }
  *syn = {};
  syn->ttl = info.ttl;
  syn->dont_fragment =
      info.family == Family::kIpv6 || info.has(kDontFragment);
  syn->window = info.window;
  syn->size = info.ip_length;
  if (info.l4_header_length <= kTcpHeaderBytes) return true;
  const uint32_t all = info.l4_header_length - kTcpHeaderBytes;
  std::array<uint8_t, kMaxOptionBytes> room;
  if (all > room.size()) return false;
  const auto* const options = static_cast<const uint8_t*>(rte_pktmbuf_read(
      &mbuf, info.l4_offset + uint32_t{kTcpHeaderBytes}, all, room.data()));
  if (options == nullptr) return false;
  for (uint32_t at = 0; at < all;) {
    if (options[at] == kEnd) break;
    if (options[at] == kNop) {
      Append(SynOption::kNop, syn);
      ++at;
      continue;
    }
    if (all - at < 2) return false;
    const uint32_t length = options[at + 1];
    if (length < 2 || length > all - at) return false;
    if (!ReadOption(options + at, length, syn)) return false;
    at += length;
  }
  return true;
}

}  // namespace sluice
