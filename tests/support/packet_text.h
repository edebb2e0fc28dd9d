// The one-line notation for packets. docs/scenarios.md describes it for
// readers; in short:
//
//   tcp 10.0.0.2:1025 > 10.0.0.1:80 S seq 100 win 1024 <mss 1460,wscale 7>
//   udp [2001:db8::2]:5000 > [2001:db8::1]:69 tftp rrq "file" octet
//   icmp 10.0.0.1 > 10.0.0.2 unreach port inner { udp ... cut 28 }
//   ip 10.0.0.2 > 10.0.0.1 proto 47 data 20
//   arp request 10.0.0.2 > 10.0.0.1
//   eth 0x88cc data 0x0207
//   hex 0200...
//   same ttl 63
#ifndef SLUICE_TESTS_SUPPORT_PACKET_TEXT_H_
#define SLUICE_TESTS_SUPPORT_PACKET_TEXT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "tests/support/packet_spec.h"

namespace sluice {

// `same` is what the word `same` stands for; null where there is no packet
// before. Errors name the word that was not understood.
absl::StatusOr<PacketSpec> ParsePacketText(std::string_view text,
                                           const PacketSpec* same = nullptr);

// Both steps: the frame's bytes. For tests that hold a text in their hands;
// aborts the program with the message if the text is wrong.
std::vector<uint8_t> FrameFromText(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_PACKET_TEXT_H_
