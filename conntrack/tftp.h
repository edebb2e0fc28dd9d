// TFTP (RFC 1350, options RFC 2347): requests go to port 69, answers come from
// a port that the server chooses. Multicast TFTP (RFC 2090) is not followed:
// what a server sends to a group is nobody's answer, and the rules decide.
//
// A request makes an expectation; the server's answer makes the transfer's
// state, its child. The child is watched to its end, so that it does not take
// one of the few places that its parent has for longer than the transfer
// lasts: many boot ROMs ask for all their files from one port.
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

enum class TftpMessage : uint8_t {
  kMalformed,  // no opcode of RFC 1350 or 2347, or less than 4 bytes
  kReadRequest,
  kWriteRequest,
  kData,
  kAcknowledgment,
  kError,
  kOptionAcknowledgment,
};

// The first bytes of a UDP payload.
struct TftpHeader {
  TftpMessage message = TftpMessage::kMalformed;
  uint16_t block = 0;  // of DATA and ACK
};
inline constexpr size_t kTftpHeaderSize = 4;

// What a UDP payload is. Only its first four bytes count: servers answer
// requests of every shape, with data or with an error, so that whatever has a
// request's opcode is one.
TftpHeader ParseTftp(std::span<const uint8_t> payload);

// The block size that an OACK grants (RFC 2348), or 0 if it says nothing of
// it. Reads to the end of `payload` at most.
uint16_t GrantedBlockSize(std::span<const uint8_t> payload);

// How far a transfer is. A child learns it from its first packet on; one from a
// snapshot begins in the middle, with a block size of 0: unknown.
struct TftpProgress {
  uint16_t block_size = 0;
  uint16_t last_block = 0;  // with kLastSent
  uint8_t flags = 0;
  uint8_t sender = 0;       // with kLastSent: the Peer whose DATA was short
  uint16_t unused = 0;
  Tick reported = 0;        // with kReported
  Tick finished = 0;        // with kFinished

  enum Flag : uint8_t {
    kLastSent = 1 << 0,  // a block shorter than the block size was
    kFinished = 1 << 1,  // and it was acknowledged, or there was an ERROR
    kReported = 1 << 2,  // its family was told of its client
  };
  bool has(Flag flag) const { return (flags & flag) != 0; }

  // One more message, sent by `from`, with `data` bytes behind its header; of
  // an OACK, the block size that it grants. True: the transfer is over with it.
  bool Advance(const TftpHeader& header, Peer from, uint32_t data,
               uint16_t granted);
};
static_assert(sizeof(TftpProgress) == sizeof(StateHot::window));

enum class HelperVerdict : uint8_t {
  kPass,
  // The state is one that is over, and the packet an expected flow's first: it
  // is to be judged as without that state.
  kReuse,
  // It cannot be told the other host as it has to be.
  kDrop,
};

// Looks at one packet of a state with kEntryHelper, which has just passed. Of a
// request's own state: a request in the original direction arms its
// expectation; DATA, ACK, OACK or ERROR from port 69 itself drop it. Of a
// child: its end. Never changes the packet.
HelperVerdict RunTftpHelper(StateTable& table, StateIndex state,
                            const PacketInfo& info, const rte_mbuf& mbuf,
                            const JudgePoint& where, Tick now,
                            ExpectationTable& expectations);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TFTP_H_
