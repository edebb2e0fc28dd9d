#include "conntrack/ftp.h"

#include <rte_mbuf.h>

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "conntrack/state_table.h"
#include "conntrack/tftp.h"
#include "packet/payload.h"

namespace sluice {
namespace {

// RFC 2577 section 3: no well-known service's.
constexpr uint16_t kFirstClientPort = 1024;
// More than any window (RFC 7323, section 2.3).
constexpr uint32_t kFarBehind = 1u << 30;
// Ports that are looked at for one that nobody is told of yet.
constexpr uint32_t kPortTries = 64;

constexpr bool IsBefore(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}

// Text of bounded length; what does not fit makes it empty.
class Text {
 public:
  void Add(char c) { Add(std::string_view(&c, 1)); }
  void Add(std::string_view text) {
    if (text.size() > bytes_.size() - length_) {
      full_ = true;
      return;
    }
    std::memcpy(bytes_.data() + length_, text.data(), text.size());
    length_ += text.size();
  }
  void AddNumber(uint32_t number) {
    std::array<char, 10> digits;
    const auto end = std::to_chars(digits.data(),
                                   digits.data() + digits.size(), number);
    Add(std::string_view(digits.data(),
                         static_cast<size_t>(end.ptr - digits.data())));
  }
  std::string_view view() const {
    return full_ ? std::string_view() : std::string_view(bytes_.data(), length_);
  }

 private:
  std::array<char, FtpEdits::kMaxText> bytes_;
  size_t length_ = 0;
  bool full_ = false;
};

// What the line `written` has to say for this address and port, in the same
// form.
Text Rewritten(const FtpLine& line, std::string_view written, Family family,
               const std::array<uint8_t, 16>& address, uint16_t port) {
  Text text;
  if (line.word == FtpWord::kPort || line.word == FtpWord::kPassive) {
    for (size_t i = 0; i < 4; ++i) {
      text.AddNumber(address[i]);
      text.Add(',');
    }
    text.AddNumber(port >> 8);
    text.Add(',');
    text.AddNumber(port & 0xff);
    return text;
  }
  const char delimiter = written[line.begin];
  text.Add(delimiter);
  if (line.word == FtpWord::kEprt) {
    const bool v4 = family == Family::kIpv4;
    std::array<char, INET6_ADDRSTRLEN> host{};
    inet_ntop(v4 ? AF_INET : AF_INET6, address.data(), host.data(),
              static_cast<socklen_t>(host.size()));
    text.Add(v4 ? '1' : '2');
    text.Add(delimiter);
    text.Add(std::string_view(host.data()));
  } else {
    text.Add(delimiter);
  }
  text.Add(delimiter);
  text.AddNumber(port);
  text.Add(delimiter);
  return text;
}

bool SameAddress(const Address& address,
                 const std::array<uint8_t, 16>& bytes, Family family) {
  return address.family == family &&
         address == Address::FromBytes(family, bytes.data());
}

class Follower {
 public:
  Follower(StateTable& table, StateIndex state, FtpSession* session,
           uint32_t fresh, Tick now, ExpectationTable& expectations)
      : table_(table),
        state_(state),
        session_(*session),
        fresh_(fresh),
        now_(now),
        expectations_(expectations),
        near_(table.EndsOf(state)),
        far_(table.EndsBeyond(state)) {}

  // A line of which the first byte has the number `begin`.
  void Read(Peer from, std::string_view line, uint32_t begin) {
    if (from == Peer::kOriginator) {
      OfClient(ParseFtpCommand(line), line, begin);
    } else {
      OfServer(ParseFtpReply(line), line, begin);
    }
  }

 private:
  void OfClient(const FtpLine& line, std::string_view written,
                uint32_t begin) {
    if (line.word == FtpWord::kPasv || line.word == FtpWord::kEpsv) {
      session_.asked = line.word;
      return;
    }
    if (line.word != FtpWord::kPort && line.word != FtpWord::kEprt) return;
    // It listens at the address that it has.
    if (!line.sound || line.port < kFirstClientPort ||
        !SameAddress(line.address, near_.address[0], near_.family) ||
        Be16(line.port).raw() == near_.port[0]) {
      return Refuse();
    }
    ExpectedFlow flow = {.direction = Opposite(Made()),
                         .source = far_.address[1],
                         .destination = far_.address[0]};
    flow.after = {.source = near_.address[1],
                  .destination = near_.address[0]};
    Expect(flow, far_.port[0], Peer::kOriginator, line, written, begin);
  }

  void OfServer(const FtpLine& line, std::string_view written,
                uint32_t begin) {
    if (line.word == FtpWord::kOther || session_.asked == FtpWord::kOther) {
      return;
    }
    const FtpWord asked = std::exchange(session_.asked, FtpWord::kOther);
    if (line.word == FtpWord::kRefused) return;
    // An answer to another question is nobody's.
    if ((line.word == FtpWord::kPassive) != (asked == FtpWord::kPasv)) return;
    if (!line.sound || Be16(line.port).raw() == far_.port[1] ||
        (line.word == FtpWord::kPassive &&
         !SameAddress(line.address, far_.address[1], far_.family))) {
      return Refuse();
    }
    ExpectedFlow flow = {.direction = Made(),
                         .source = near_.address[0],
                         .destination = near_.address[1]};
    flow.after = {.source = far_.address[0], .destination = far_.address[1]};
    Expect(flow, near_.port[1], Peer::kResponder, line, written, begin);
  }

  Direction Made() const { return table_.entries().hot(state_).direction(); }

  void Refuse() {
    expectations_.CountMalformed(table_.entries().hot(state_).key.filter,
                                 protocol::kTcp);
  }

  // `own`: the control connection's port at that end, raw.
  void Expect(ExpectedFlow flow, uint16_t own, Peer from, const FtpLine& line,
              std::string_view written, uint32_t begin) {
    const StateEntries& entries = table_.entries();
    flow.proto = protocol::kTcp;
    flow.family = near_.family;
    flow.owner = near_.address[0];
    flow.destination_port = Be16(line.port).raw();
    const ParentReference parent = entries.ReferenceTo(state_);
    flow.alone = entries.hot(state_).translated();
    if (flow.alone) {
      flow.after.family = near_.family;
      flow.after.destination_port = flow.destination_port;
      // A part of it has passed as it was, or there is no room.
      if (IsBefore(begin + static_cast<uint32_t>(line.begin), fresh_) ||
          !session_.edits[static_cast<size_t>(from)].HasRoom(fresh_)) {
        return Refuse();
      }
    }
    Text text;
    uint16_t record = kNoFamilyRecord;
    ExpectResult result = ExpectResult::kTaken;
    // The port that the other host is told: the same one, unless another
    // control connection has told it of that.
    uint32_t port = line.port;
    for (uint32_t tries = 0;
         tries < kPortTries && result == ExpectResult::kTaken; ++tries) {
      flow.destination_port = Be16(static_cast<uint16_t>(port)).raw();
      port = port == 65535 ? kFirstClientPort : port + 1;
      if (flow.alone) {
        if (flow.destination_port == own) continue;
        text = Rewritten(line, written, flow.family, flow.destination,
                         Be16::FromRaw(flow.destination_port).host());
        if (text.view().empty()) break;
      }
      result = expectations_.Arm(flow, parent, entries.TemplateOf(state_),
                                 now_, &record);
    }
    if (result == ExpectResult::kTaken) return Refuse();
    if (result != ExpectResult::kArmed && result != ExpectResult::kRearmed) {
      return;
    }
    table_.SetFamilyRecord(state_, record);
    const std::string_view said =
        written.substr(line.begin, line.end - line.begin);
    if (text.view().empty() || text.view() == said) return;
    session_.edits[static_cast<size_t>(from)].Add(
        begin + static_cast<uint32_t>(line.begin), said.size(), text.view());
    table_.ShiftFromNowOn(state_);
  }

  StateTable& table_;
  const StateIndex state_;
  FtpSession& session_;
  const uint32_t fresh_;  // the first that has not come before
  const Tick now_;
  ExpectationTable& expectations_;
  const StateEnds near_;
  const StateEnds far_;
};

// Puts the texts that were replaced into a segment. False: it has a part of
// one, or no room.
bool PutTexts(const FtpEdits& edits, PacketInfo* info, rte_mbuf& mbuf) {
  const uint32_t begin = info->sequence;
  const uint32_t end = begin + info->payload_length();
  uint32_t grown = 0;
  for (const FtpEdits::Edit& edit : edits.kept()) {
    if (!IsBefore(edit.begin, end) || !IsBefore(begin, edit.end())) continue;
    if (IsBefore(edit.begin, begin) || IsBefore(end, edit.end()) ||
        !ReplacePayload(mbuf, *info, edit.begin - begin + grown,
                        edit.old_length, edit.view())) {
      return false;
    }
    grown += edit.change();
  }
  return true;
}

}  // namespace

FtpSessions::FtpSessions(uint32_t capacity)
    : sessions_(std::min(capacity, kNone - 1)) {
  for (uint32_t i = static_cast<uint32_t>(sessions_.size()); i-- > 0;) {
    sessions_[i].next_free = free_;
    free_ = i;
  }
}

uint32_t FtpSessions::Take() {
  const uint32_t number = free_;
  if (number == kNone) return kNone;
  free_ = sessions_[number].next_free;
  sessions_[number] = FtpSession();
  ++used_;
  return number;
}

void FtpSessions::GiveBack(uint32_t number) {
  sessions_[number].next_free = free_;
  free_ = number;
  --used_;
}

void FtpEdits::Add(uint32_t begin, size_t old_length, std::string_view text) {
  if (count_ == edits_.size()) {
    before_ += edits_[0].change();
    std::move(edits_.begin() + 1, edits_.end(), edits_.begin());
    --count_;
  }
  Edit& edit = edits_[count_++];
  edit.begin = begin;
  edit.old_length = static_cast<uint8_t>(old_length);
  edit.length = static_cast<uint8_t>(text.size());
  std::memcpy(edit.text.data(), text.data(), text.size());
}

void FtpEdits::LetGo(uint32_t sequence) {
  uint32_t gone = 0;
  while (gone < count_ &&
         IsBefore(edits_[gone].end() + kFarBehind, sequence)) {
    before_ += edits_[gone++].change();
  }
  if (gone == 0) return;
  std::move(edits_.begin() + gone, edits_.begin() + count_, edits_.begin());
  count_ -= gone;
}

uint32_t FtpEdits::Forward(uint32_t sequence) const {
  uint32_t shift = before_;
  for (const Edit& edit : kept()) {
    if (IsBefore(sequence, edit.end())) break;
    shift += edit.change();
  }
  return shift;
}

uint32_t FtpEdits::Backward(uint32_t number) const {
  uint32_t shift = before_;
  for (const Edit& edit : kept()) {
    const uint32_t begin = edit.begin + shift;
    if (IsBefore(number, begin + edit.length)) {
      return IsBefore(begin, number) ? edit.begin : number - shift;
    }
    shift += edit.change();
  }
  return number - shift;
}

uint32_t FtpEdits::total() const {
  uint32_t shift = before_;
  for (const Edit& edit : kept()) shift += edit.change();
  return shift;
}

HelperVerdict RunFtpHelper(StateTable& table, StateIndex state,
                           PacketInfo* info, rte_mbuf& mbuf,
                           const JudgePoint& where, Tick now,
                           ExpectationTable& expectations) {
  FtpSession* const session = table.ftp_session(state);
  if (session == nullptr) return HelperVerdict::kPass;
  const StateHot& hot = table.entries().hot(state);
  const Peer from = where.direction == hot.direction() ? Peer::kOriginator
                                                       : Peer::kResponder;
  FtpLineReader& reader = session->readers[static_cast<size_t>(from)];
  if ((info->tcp_flags & kTcpSyn) != 0) {
    reader.Begin(info->sequence + 1);
    return HelperVerdict::kPass;
  }
  const uint32_t length = info->payload_length();
  if (length == 0) return HelperVerdict::kPass;
  const bool translated = hot.translated();
  if (translated && reader.IsAhead(info->sequence)) {
    return HelperVerdict::kDrop;
  }
  session->edits[static_cast<size_t>(from)].LetGo(
      reader.FirstNew(info->sequence));
  const bool known = reader.HasRead(info->sequence, length);
  if (!known || !translated) {
    Follower follower(table, state, session,
                      reader.FirstNew(info->sequence), now, expectations);
    const auto use = [&](std::string_view line, uint32_t begin) {
      follower.Read(from, line, begin);
    };
    // What comes again is read for itself, from its own beginning.
    FtpLineReader again;
    FtpLineReader& reads = known ? again : reader;
    std::array<uint8_t, 256> buffer;
    for (uint32_t at = 0; at < length;) {
      const uint32_t part = std::min<uint32_t>(
          length - at, static_cast<uint32_t>(buffer.size()));
      const void* bytes = rte_pktmbuf_read(&mbuf, info->payload_offset() + at,
                                           part, buffer.data());
      if (bytes == nullptr) break;
      reads.Read(info->sequence + at,
                 {static_cast<const uint8_t*>(bytes), part}, use);
      at += part;
    }
  }
  return PutTexts(session->edits[static_cast<size_t>(from)], info, mbuf)
             ? HelperVerdict::kPass
             : HelperVerdict::kDrop;
}

}  // namespace sluice
