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
enum class HelperVerdict : uint8_t;

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
  // Calls use(std::string_view, uint32_t) for each line that ends in these bytes,
  // without CR and LF, with the sequence number of its first. They begin at `sequence`: what was read before is passed over,
  // and after a gap reading begins anew.
  template <typename Use>
  void Read(uint32_t sequence, std::span<const uint8_t> bytes, Use use);
  // Whether something before it was not read.
  bool IsAhead(uint32_t sequence) const {
    return known_ && static_cast<int32_t>(sequence - next_) > 0;
  }
  // The first that was not read, of what begins there.
  uint32_t FirstNew(uint32_t sequence) const {
    return known_ && static_cast<int32_t>(sequence - next_) < 0 ? next_
                                                                : sequence;
  }
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
  for (const uint8_t byte : bytes) {
    ++next_;
    if (byte != '\n') {
      if (length_ < line_.size()) {
        line_[length_++] = static_cast<char>(byte);
      } else {
        too_long_ = true;
      }
      continue;
    }
    // With its end, of which CR is a part.
    const uint32_t whole = length_ + 1u;
    if (length_ > 0 && line_[length_ - 1u] == '\r') --length_;
    if (!too_long_) {
      use(std::string_view(line_.data(), length_), next_ - whole);
    }
    length_ = 0;
    too_long_ = false;
  }
}

// Texts that were replaced in what one peer sends, in the order of its sequence
// numbers. The last few are kept whole, to be put in again.
class FtpEdits {
 public:
  static constexpr size_t kKept = 4;
  static constexpr size_t kMaxText = 60;
  struct Edit {
    uint32_t begin = 0;
    uint8_t old_length = 0;
    uint8_t length = 0;
    std::array<char, kMaxText> text;

    uint32_t end() const { return begin + old_length; }
    uint32_t change() const { return uint32_t{length} - old_length; }
    std::string_view view() const { return {text.data(), length}; }
  };

  // Whether there is a place for another one: texts of bytes that come for the
  // first time, from `fresh` on, are kept until they are in their segment.
  bool HasRoom(uint32_t fresh) const {
    return count_ < kKept || static_cast<int32_t>(edits_[0].begin - fresh) < 0;
  }
  // Of at most kMaxText bytes, behind all that is there.
  void Add(uint32_t begin, size_t old_length, std::string_view text);
  // Whether there is one, or has been.
  bool any() const { return count_ != 0 || before_ != 0; }
  // The peer is at this number: what lies further behind than any packet that
  // may still pass is not kept. Numbers half the way round would count as
  // before it.
  void LetGo(uint32_t sequence);
  std::span<const Edit> kept() const { return {edits_.data(), count_}; }
  // What is added to the peer's sequence number on its way.
  uint32_t Forward(uint32_t sequence) const;
  // The peer's own number for one that has come that way, as far as the other
  // host can acknowledge it: not a part of a text.
  uint32_t Backward(uint32_t number) const;
  // What is added to numbers behind all of them.
  uint32_t total() const;

 private:
  uint32_t before_ = 0;  // by edits that are not kept any more
  uint32_t count_ = 0;
  std::array<Edit, kKept> edits_;
};

// A control connection.
struct FtpSession {
  std::array<FtpLineReader, 2> readers;  // by Peer
  std::array<FtpEdits, 2> edits;
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
// its ends and numbers are those that it came with. Changes texts in its
// payload; kDrop: it could not, and nothing was changed.
HelperVerdict RunFtpHelper(StateTable& table, StateIndex state,
                           PacketInfo* info, rte_mbuf& mbuf,
                           const JudgePoint& where, Tick now,
                           ExpectationTable& expectations);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FTP_H_
