// Any bytes as the options of a SYN: the reading is the same however the packet
// is split, and stays within the header.
//
// The first byte chooses the family and the split.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "packet/syn_signature.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::span<const uint8_t> input) {
  if (input.empty() || input.size() > 41) return;
  const uint8_t choice = input[0];
  const std::span<const uint8_t> options = input.subspan(1);
  const bool v4 = (choice & 1) != 0;
  PacketInfo info{};
  info.kind = Kind::kIp;
  info.family = v4 ? Family::kIpv4 : Family::kIpv6;
  info.proto = protocol::kTcp;
  info.tcp_flags = kTcpSyn;
  info.l3_offset = 14;
  info.l4_offset = v4 ? 34 : 54;
  info.l4_header_length = static_cast<uint8_t>(20 + options.size());
  info.l4_length = info.l4_header_length;
  std::vector<uint8_t> frame(info.l4_offset + 20u, 0);
  frame.insert(frame.end(), options.begin(), options.end());

  SynSignature syn, again;
  PlainMbuf whole(frame);
  const bool read = ReadSyn(*whole, info, &syn);
  const uint32_t lengths[] = {info.l4_offset + choice / 8u + 1, 7};
  PlainMbuf split(frame, lengths);
  Require(ReadSyn(*split, info, &again) == read);
  if (!read) return;
  Require(syn == again);
  Require(syn.option_count <= options.size());
  Require(syn.dont_fragment == !v4);
  // What is set has its option.
  bool mss = false, scale = false, timestamp = false;
  for (int i = 0; i < kMaxSynOptions && i < syn.option_count; ++i) {
    const auto option =
        static_cast<SynOption>(syn.options >> (i * kSynOptionBits) & 7);
    mss |= option == SynOption::kMss;
    scale |= option == SynOption::kWindowScale;
    timestamp |= option == SynOption::kTimestamp;
  }
  if (syn.option_count > kMaxSynOptions) return;
  Require(mss || syn.mss == 0);
  Require(scale || syn.scale == 0);
  Require(timestamp || !syn.timestamp_is_zero);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
