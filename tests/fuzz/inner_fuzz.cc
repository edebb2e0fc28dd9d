// Any bytes as the body of an ICMP or ICMPv6 error: the reading is the same
// however the packet is split, and stays within the data.
//
// The first byte chooses the family and the split; the rest is what the error
// quotes.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "packet/inner.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::span<const uint8_t> input) {
  if (input.empty() || input.size() > 1500) return;
  const uint8_t choice = input[0];
  const std::span<const uint8_t> quoted = input.subspan(1);
  const bool v4 = (choice & 1) != 0;
  PacketInfo outer{};
  outer.kind = Kind::kIp;
  outer.family = v4 ? Family::kIpv4 : Family::kIpv6;
  outer.l3_offset = 14;
  outer.l4_offset = v4 ? 34 : 54;
  outer.l4_length = static_cast<uint16_t>(8 + quoted.size());
  outer.flags = kIcmpError;
  std::vector<uint8_t> frame(outer.l4_offset + 8u, 0);
  frame.insert(frame.end(), quoted.begin(), quoted.end());

  PacketInfo inner, again;
  DropReason reason = DropReason::kMatch, other = DropReason::kMatch;
  PlainMbuf whole(frame);
  const bool read = ParseInner(*whole, outer, &inner, &reason);
  const uint32_t lengths[] = {outer.l4_offset + choice / 8u + 1, 7};
  PlainMbuf split(frame, lengths);
  Require(ParseInner(*split, outer, &again, &other) == read);
  if (!read) {
    Require(reason == other);
    Require(reason == DropReason::kShort || reason == DropReason::kFragment ||
            reason == DropReason::kNormalize ||
            reason == DropReason::kIpOption);
    return;
  }
  Require(std::memcmp(&inner, &again, sizeof inner) == 0);
  Require(inner.family == outer.family);
  Require(inner.l4_offset + inner.l4_length <= frame.size());
  Require(inner.l4_offset >= outer.l4_offset + 8 + (v4 ? 20 : 40));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
