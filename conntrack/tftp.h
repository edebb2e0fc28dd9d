// TFTP (RFC 1350, options RFC 2347): requests go to port 69, answers come from
// a port that the server chooses. Multicast TFTP (RFC 2090) is not followed.
#ifndef SLUICE_CONNTRACK_TFTP_H_
#define SLUICE_CONNTRACK_TFTP_H_

#include <cstdint>
#include <span>

#include "conntrack/expectation.h"
#include "conntrack/state.h"
#include "packet/packet.h"

namespace sluice {

class StateTable;

inline constexpr uint16_t kTftpPort = 69;
// A request's longest form, RFC 2347.
inline constexpr size_t kMaxTftpRequest = 512;
inline constexpr int kMaxTftpOptions = 32;

enum class TftpMessage : uint8_t {
  kMalformed,  // no TFTP, or a request that breaks a rule of its form
  kReadRequest,
  kWriteRequest,
  kData,
  kAcknowledgment,
  kError,
  kOptionAcknowledgment,
};

// What a UDP payload is. Requests are read to their end: a file name that is
// not empty, a mode that is netascii, octet or mail in any case, pairs of
// options and values, all NUL-terminated, nothing behind them, at most 512
// octets and kMaxTftpOptions pairs. Of other messages only the opcode and the
// least length count.
TftpMessage ParseTftp(std::span<const uint8_t> payload);

// Looks at one packet of a state with kEntryHelper, which has just passed: a
// request in the original direction arms the state's expectation, DATA, ACK,
// OACK or ERROR from port 69 itself drop it. Never changes the packet.
void RunTftpHelper(StateTable& table, StateIndex state, const PacketInfo& info,
                   const rte_mbuf& mbuf, Direction direction, Tick now,
                   ExpectationTable& expectations);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TFTP_H_
