// Any bytes as a frame: the burst parser and the walk agree, whole and split
// into segments, and whatever is said to be in the packet is in it.
//
// The first byte of the input chooses the segments and whether checksums are
// verified; the rest is the frame.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "packet/answer.h"
#include "packet/neighbor.h"
#include "packet/parse.h"
#include "packet/vlan.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::span<const uint8_t> input) {
  if (input.empty()) return;
  const uint8_t choice = input[0];
  const std::span<const uint8_t> frame = input.subspan(1);
  if (frame.size() > 2000) return;
  const ParseOptions options = {.verify_checksums = (choice & 1) != 0};

  PlainMbuf whole(frame);
  PacketBurst burst;
  burst.count = 1;
  burst.mbufs[0] = whole.get();
  ParseBurst(burst, options);
  const PacketInfo& info = burst.infos[0];

  PacketInfo walked;
  ParsePacket(*whole, options, &walked);
  Require(std::memcmp(&info, &walked, sizeof info) == 0);
  const uint32_t lengths[] = {choice / 2u + 1, choice / 4u + 1,
                              choice / 8u + 1};
  PlainMbuf split(frame, lengths);
  ParsePacket(*split, options, &walked);
  Require(std::memcmp(&info, &walked, sizeof info) == 0);

  NeighborMessage message, again;
  const bool speaks = ReadNeighborMessage(*whole, info, &message);
  Require(speaks == ReadNeighborMessage(*split, walked, &again));
  if (speaks) {
    Require(IsHost(message.link) && message.link == again.link);
    Require(message.target == again.target && message.asks == again.asks);
    const MacAddress own = {2, 0, 0, 0, 0, 7};
    PlainMbuf answer({}, {}, 200);
    Require(BuildNeighborAnswer(*whole, info, message, own, answer.get()));
    PacketInfo said;
    ParsePacket(*answer, {}, &said);
    Require(ReadNeighborMessage(*answer, said, &again));
    Require(!again.asks && again.target == message.target &&
            again.link == own);
  }

  if (info.kind != Kind::kIp) return;
  Require(info.l3_offset + info.ip_length <= frame.size());
  Require(info.l4_offset + info.l4_length <= frame.size());
  Require(info.l4_header_length <= info.l4_length);
  Require(info.family == Family::kIpv4 || info.family == Family::kIpv6);
  const VlanId vlan = VlanOf(*whole, info);
  Require(vlan == VlanOf(*split, info));
  Require(info.has(kVlanTagged) || !vlan.IsSet());
  Require(ParseVlan(ToString(vlan)) == vlan);

  for (int kind = 0; kind < 4; ++kind) {
    PlainMbuf answer({}, {}, 1600);
    const bool built =
        kind == 0   ? BuildTcpReset(*whole, info, 0, answer.get())
        : kind == 1 ? BuildTcpSegment(*whole, info, kTcpAck, 1, 2, answer.get())
        : kind == 2 ? BuildSctpAbort(*whole, info, answer.get())
                    : BuildUnreachable(*whole, info, 3, answer.get());
    if (!built) continue;
    PacketInfo said;
    ParsePacket(*answer, {}, &said);
    // Whoever sends TCP from port 0 gets what nobody takes.
    if (info.proto == protocol::kTcp && info.source_port == Be16(0)) {
      Require(said.drop == DropReason::kShort || said.kind == Kind::kIp);
      continue;
    }
    Require(said.kind == Kind::kIp);
    Require(said.source_address() == info.destination_address());
    Require(VlanOf(*answer, said) == vlan);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
