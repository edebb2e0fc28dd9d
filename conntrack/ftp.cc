#include "conntrack/ftp.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "conntrack/state_table.h"

namespace sluice {
namespace {

// RFC 2577 section 3: no well-known service's.
constexpr uint16_t kFirstClientPort = 1024;

bool SameAddress(const Address& address,
                 const std::array<uint8_t, 16>& bytes, Family family) {
  return address.family == family &&
         address == Address::FromBytes(family, bytes.data());
}

class Follower {
 public:
  Follower(StateTable& table, StateIndex state, FtpSession* session, Tick now,
           ExpectationTable& expectations)
      : table_(table),
        state_(state),
        session_(*session),
        now_(now),
        expectations_(expectations),
        near_(table.EndsOf(state)) {}

  void Read(Peer from, std::string_view line) {
    if (from == Peer::kOriginator) {
      OfClient(ParseFtpCommand(line));
    } else {
      OfServer(ParseFtpReply(line));
    }
  }

 private:
  void OfClient(const FtpLine& line) {
    switch (line.word) {
      case FtpWord::kPort:
      case FtpWord::kEprt:
        // It listens at the address that it has.
        if (!line.sound || line.port < kFirstClientPort ||
            !SameAddress(line.address, near_.address[0], near_.family) ||
            Be16(line.port).raw() == near_.port[0]) {
          return Refuse();
        }
        Expect({.direction = Opposite(Made()),
                .source = near_.address[1],
                .destination = near_.address[0],
                .destination_port = Be16(line.port).raw()});
        return;
      case FtpWord::kPasv:
      case FtpWord::kEpsv:
        session_.asked = line.word;
        return;
      default:
        return;
    }
  }

  void OfServer(const FtpLine& line) {
    if (line.word == FtpWord::kOther || session_.asked == FtpWord::kOther) {
      return;
    }
    const FtpWord asked = std::exchange(session_.asked, FtpWord::kOther);
    if (line.word == FtpWord::kRefused) return;
    // An answer to another question is nobody's.
    if ((line.word == FtpWord::kPassive) != (asked == FtpWord::kPasv)) return;
    if (!line.sound || Be16(line.port).raw() == near_.port[1] ||
        (line.word == FtpWord::kPassive &&
         !SameAddress(line.address, near_.address[1], near_.family))) {
      return Refuse();
    }
    Expect({.direction = Made(),
            .source = near_.address[0],
            .destination = near_.address[1],
            .destination_port = Be16(line.port).raw()});
  }

  Direction Made() const { return table_.entries().hot(state_).direction(); }

  void Refuse() {
    expectations_.CountMalformed(table_.entries().hot(state_).key.filter,
                                 protocol::kTcp);
  }

  // Behind a translation the hosts mean other addresses than those that
  // packets have: not followed.
  void Expect(ExpectedFlow flow) {
    if (table_.entries().hot(state_).translated()) return;
    flow.proto = protocol::kTcp;
    flow.family = near_.family;
    flow.owner = near_.address[0];
    const StateEntries& entries = table_.entries();
    uint16_t record = kNoFamilyRecord;
    const ExpectResult result =
        expectations_.Arm(flow, entries.ReferenceTo(state_),
                          entries.TemplateOf(state_), now_, &record);
    if (result == ExpectResult::kArmed || result == ExpectResult::kRearmed) {
      table_.SetFamilyRecord(state_, record);
    }
  }

  StateTable& table_;
  const StateIndex state_;
  FtpSession& session_;
  const Tick now_;
  ExpectationTable& expectations_;
  const StateEnds near_;
};

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

void RunFtpHelper(StateTable& table, StateIndex state, const PacketInfo& info,
                  const rte_mbuf& mbuf, const JudgePoint& where, Tick now,
                  ExpectationTable& expectations) {
  FtpSession* const session = table.ftp_session(state);
  if (session == nullptr) return;
  const Peer from =
      where.direction == table.entries().hot(state).direction()
          ? Peer::kOriginator
          : Peer::kResponder;
  FtpLineReader& reader = session->readers[static_cast<size_t>(from)];
  if ((info.tcp_flags & kTcpSyn) != 0) {
    reader.Begin(info.sequence + 1);
    return;
  }
  const uint32_t length = info.payload_length();
  if (length == 0) return;
  Follower follower(table, state, session, now, expectations);
  const auto use = [&](std::string_view line) { follower.Read(from, line); };
  // What comes again is read for itself, from its own beginning.
  FtpLineReader again;
  const bool known = reader.HasRead(info.sequence, length);
  FtpLineReader& reads = known ? again : reader;
  std::array<uint8_t, 256> buffer;
  for (uint32_t at = 0; at < length;) {
    const uint32_t part = std::min<uint32_t>(
        length - at, static_cast<uint32_t>(buffer.size()));
    const void* bytes = rte_pktmbuf_read(&mbuf, info.payload_offset() + at,
                                         part, buffer.data());
    if (bytes == nullptr) return;
    reads.Read(info.sequence + at,
               {static_cast<const uint8_t*>(bytes), part}, use);
    at += part;
  }
}

}  // namespace sluice
