// Tests of a policy: a file of statements like
//
//   server = "10.0.0.5"
//   expect pass in on outside proto tcp from 192.0.2.1 to $server port 443
//   expect block in on outside proto udp from 192.0.2.0/28 to $server port 53
//
// each of which names packets and what a ruleset has to make of every one of
// them. Written as rules are: macros, lists, comments, names of services. What
// a packet has one of is a value, not a condition: there is no `any` and no
// `!`, and a network means each of its addresses, so that nothing is held that
// was not tried.
#ifndef SLUICE_PFTABLE_LANGUAGE_POLICY_TEST_H_
#define SLUICE_PFTABLE_LANGUAGE_POLICY_TEST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "packet/packet.h"
#include "pftable/language/parser.h"

namespace sluice {

// Of one statement, after its lists are written out; and of a file.
inline constexpr uint64_t kMaxExpectedPackets = 65536;
inline constexpr uint64_t kMaxExpectedPacketsInAll = 1'000'000;
// Of a packet whose statement names no source port.
inline constexpr uint16_t kExpectedSourcePort = 49152;

// A packet, and where it is judged.
struct ExpectedPacket {
  Direction direction = Direction::kIn;
  std::string interface;
  std::string received_on;  // for kOut
  std::string tagged;       // what an earlier judgement left
  PacketInfo packet{};      // as ExplainRequest has it
};

// A consecutive part of what a statement names, ends included.
struct PortSpan {
  uint16_t low = 0;
  uint16_t high = 0;
};
struct AddressSpan {
  Address first;
  uint64_t count = 1;
};

struct Expectation {
  SourcePlace place;
  std::string file;
  std::string text;  // the line

  bool passes = true;
  Direction direction = Direction::kIn;
  std::vector<std::string> interfaces;
  std::string received_on;
  std::string tagged;
  Family family = Family::kNone;  // kNone: of its addresses
  std::vector<uint8_t> protocols;
  std::vector<AddressSpan> sources;
  std::vector<AddressSpan> destinations;
  std::vector<PortSpan> source_ports;  // empty: kExpectedSourcePort
  std::vector<PortSpan> destination_ports;
  std::optional<uint8_t> tcp_flags;  // none: S
  struct Icmp {
    Family family = Family::kIpv4;
    uint8_t type = 8;
    uint8_t code = 0;
  };
  std::vector<Icmp> icmp;  // empty: an echo request
  uint8_t tos = 0;
  bool fragment = false;
  bool ip_options = false;

  // What has to be so, beside passing or not.
  std::optional<uint32_t> rule;       // of the rule that decides
  std::optional<std::string> anchor;  // that it stands in
  std::optional<std::string> label;   // that it has
  std::optional<std::string> tag;     // of the packet behind it; "": none
  std::optional<std::string> reason;  // of the drop
  std::optional<bool> keeps_state;
  std::optional<Address> nat_to, rdr_to;
  std::optional<uint16_t> nat_port, rdr_port;

  uint64_t packets = 0;  // how many it names

  uint64_t CountPackets() const;
  // Calls `f` with each of them until it returns false.
  void ForEachPacket(const std::function<bool(const ExpectedPacket&)>& f) const;
};

struct PolicyTest {
  std::vector<Expectation> expectations;  // in the order of the file
  std::vector<Diagnostic> diagnostics;
  bool truncated = false;  // there may be more errors

  bool ok() const;  // no diagnostic is an error
};

// Reads `input.text` with the macros, the dialect, the facts and the limits of
// `input`; nothing else of it matters. Of a file with an error no expectation
// must be used.
PolicyTest ParsePolicyTest(ParseInput input);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_POLICY_TEST_H_
