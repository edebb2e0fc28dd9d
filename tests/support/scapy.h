// Frames as scapy expressions, so that a failure can be made again by hand.
#ifndef SLUICE_TESTS_SUPPORT_SCAPY_H_
#define SLUICE_TESTS_SUPPORT_SCAPY_H_

#include <cstdint>
#include <span>
#include <string>

namespace sluice {

// One line whose value in scapy has exactly these bytes, e.g.
// Ether(dst="...",src="...")/IP(...)/UDP(...)/Raw(bytes.fromhex("...")).
// Numbers that scapy would compute (lengths, checksums) are written out only
// where they are not what it computes. Headers that are damaged or not known
// here become Raw. It shares no code with the parser of the firewall.
std::string ScapyLine(std::span<const uint8_t> frame);

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_SCAPY_H_
