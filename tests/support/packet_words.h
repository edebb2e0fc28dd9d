// The words of the packet notation: small tables of names and of the bytes
// that they stand for. Used by packet_text.cc only.
#ifndef SLUICE_TESTS_SUPPORT_PACKET_WORDS_H_
#define SLUICE_TESTS_SUPPORT_PACKET_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packet/address.h"
#include "tests/support/packet_spec.h"

namespace sluice {

// A number in decimal or with 0x, possibly with a minus sign.
std::optional<int64_t> ParseNumber(std::string_view text);
// "00ff12", an even count of digits, at least two.
std::optional<std::vector<uint8_t>> ParseHex(std::string_view text);
// "02:00:00:00:00:01".
std::optional<MacAddress> ParseMac(std::string_view text);

// A keyword that sets one number, or nothing.
std::optional<Field> NumberKeyword(std::string_view word);

// Type and code of an ICMP message by name ("echo", "unreach port", ...) in
// the family; `detail` is the word after it or empty, and is used up only if
// `detail_used` comes back true. A number is a type.
struct IcmpName {
  uint8_t type = 0;
  uint8_t code = 0;
  bool detail_used = false;
};
std::optional<IcmpName> ParseIcmpName(Family family, std::string_view name,
                                      std::string_view detail);

// The bytes of one IPv4 option: ra, nop, eol, rr, ts, lsrr, ssrr, or 0x...
std::optional<std::vector<uint8_t>> Ipv4OptionBytes(std::string_view word);
// One IPv6 extension header: hopopts, hopopts-ra, hopopts-jumbo, dstopts,
// routing0, routing2, frag, ah, or NUMBER:HEX.
std::optional<ExtensionHeader> ExtensionHeaderBytes(std::string_view word);
// TCP options as tcpdump prints them, without the angle brackets:
// "mss 1460,nop,wscale 7". Padded to four bytes with end-of-options.
std::optional<std::vector<uint8_t>> TcpOptionBytes(std::string_view text);

// A TFTP packet (RFC 1350, 2347) by its words: rrq NAME [MODE [OPTION VALUE
// ...]], wrq ..., data BLOCK LENGTH, ack BLOCK, error CODE [TEXT], oack
// OPTION VALUE ...
std::optional<std::vector<uint8_t>> TftpBytes(
    const std::vector<std::string>& words);

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_PACKET_WORDS_H_
