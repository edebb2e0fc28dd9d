// FTP (RFC 959, RFC 2428): a control connection to port 21, on which client and
// server tell each other where the data connections come from and go to.
//
// PORT and EPRT make an expectation: from the server, any port, to the port
// that the client has named. A 227 or 229 that answers PASV or EPSV makes one
// from the client, any port, to the server's. Both may name no other address
// than their sender's own ("bounce", RFC 2577 section 3), no port of the control
// connection itself, and a client no port below 1024.
//
// Lines may come in any number of segments. Each connection that is followed
// has a place in a pool of its worker, where the beginning of a line waits for
// its end; where there is none left, a connection is not followed. A line that
// is longer than that place says nothing that matters here. What comes again is
// read again as far as it is whole lines, and arms again what they name.
#ifndef SLUICE_CONNTRACK_FTP_H_
#define SLUICE_CONNTRACK_FTP_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/ftp_text.h"
#include "conntrack/state.h"
#include "packet/packet.h"

namespace sluice {

class StateTable;

inline constexpr uint16_t kFtpPort = 21;
// The longest line that matters: an EPRT has 60 characters, a 227 with its
// usual text 52.
inline constexpr size_t kMaxFtpLine = 128;

// Puts lines together from what one peer sends.
class FtpLineReader {
 public:
  // The sequence number of the next byte, once it is known.
  void Begin(uint32_t sequence) {
    next_ = sequence;
    known_ = true;
  }
  // Calls use(std::string_view) for each line that ends in these bytes, without
  // CR and LF. They begin at `sequence`: what was read before is passed over,
  // and after a gap reading begins anew.
  template <typename Use>
  void Read(uint32_t sequence, std::span<const uint8_t> bytes, Use use);
  // Whether all of it was read before.
  bool HasRead(uint32_t sequence, uint32_t length) const {
    return known_ && static_cast<int32_t>(sequence + length - next_) <= 0;
  }

 private:
  uint32_t next_ = 0;
  uint16_t length_ = 0;
  bool known_ = false;
  bool too_long_ = false;  // the line that is being read
  std::array<char, kMaxFtpLine> line_;
};

template <typename Use>
void FtpLineReader::Read(uint32_t sequence, std::span<const uint8_t> bytes,
                         Use use) {
  if (!known_) Begin(sequence);
  const auto ahead = static_cast<int32_t>(sequence - next_);
  if (ahead > 0) {
    Begin(sequence);
    length_ = 0;
    too_long_ = false;
  } else if (ahead < 0) {
    const uint32_t read = uint32_t{0} - static_cast<uint32_t>(ahead);
    if (read >= bytes.size()) return;
    bytes = bytes.subspan(read);
  }
  next_ += static_cast<uint32_t>(bytes.size());
  for (const uint8_t byte : bytes) {
    if (byte != '\n') {
      if (length_ < line_.size()) {
        line_[length_++] = static_cast<char>(byte);
      } else {
        too_long_ = true;
      }
      continue;
    }
    if (length_ > 0 && line_[length_ - 1u] == '\r') --length_;
    if (!too_long_) use(std::string_view(line_.data(), length_));
    length_ = 0;
    too_long_ = false;
  }
}

// A control connection.
struct FtpSession {
  std::array<FtpLineReader, 2> readers;  // by Peer
  // kPasv or kEpsv: what the client has asked for and waits for.
  FtpWord asked = FtpWord::kOther;
  uint32_t next_free = 0;
};

// Those of one worker. Memory is taken when it is made.
class FtpSessions {
 public:
  static constexpr uint32_t kNone = 0xffff;

  // `capacity`: below kNone; more is as many as there may be.
  explicit FtpSessions(uint32_t capacity);
  // kNone: there is no room.
  uint32_t Take();
  void GiveBack(uint32_t number);
  FtpSession& at(uint32_t number) { return sessions_[number]; }
  uint32_t used() const { return used_; }

 private:
  std::vector<FtpSession> sessions_;
  uint32_t free_ = kNone;
  uint32_t used_ = 0;
};

// Looks at one packet of a TCP state with kEntryHelper, which has just passed;
// its ends are those that it came with. Never changes the packet.
void RunFtpHelper(StateTable& table, StateIndex state, const PacketInfo& info,
                  const rte_mbuf& mbuf, const JudgePoint& where, Tick now,
                  ExpectationTable& expectations);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FTP_H_
