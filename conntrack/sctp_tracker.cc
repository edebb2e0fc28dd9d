// SCTP by the first chunk of each packet (RFC 9260), in the phases of TCP.
#include <rte_mbuf.h>

#include "conntrack/tcp_tracker.h"
#include "packet/headers.h"

namespace sluice {
namespace {

constexpr uint32_t kCommonHeader = 12;

struct ChunkHeader {
  uint8_t type;
  uint8_t flags;
};

// The first chunk; a packet without one is taken for data.
ChunkHeader FirstChunk(const PacketInfo& info, const rte_mbuf& mbuf) {
  ChunkHeader header{0, 0};
  if (info.l4_length < kCommonHeader + sizeof header) return header;
  const void* data = rte_pktmbuf_read(&mbuf, info.l4_offset + kCommonHeader,
                                      sizeof header, &header);
  if (data != nullptr) std::memcpy(&header, data, sizeof header);
  return header;
}

constexpr uint8_t Raw(TcpPhase phase) { return static_cast<uint8_t>(phase); }

void Raise(StateHot* s, uint32_t peer, TcpPhase phase) {
  if (s->phase[peer] < Raw(phase)) s->phase[peer] = Raw(phase);
}

bool BothAtLeast(const StateHot& s, TcpPhase phase) {
  return s.phase[0] >= Raw(phase) && s.phase[1] >= Raw(phase);
}

Timeout SctpTimeout(const StateHot& s) {
  if (BothAtLeast(s, TcpPhase::kFinWait2)) return Timeout::kSctpClosed;
  if (s.phase[0] >= Raw(TcpPhase::kClosing) ||
      s.phase[1] >= Raw(TcpPhase::kClosing)) {
    return Timeout::kSctpClosing;
  }
  if (BothAtLeast(s, TcpPhase::kEstablished)) return Timeout::kSctpEstablished;
  return Timeout::kSctpOpening;
}

// The tag that all packets of this peer bear (section 8.5); the first that is
// not an INIT's zero is learned.
bool TagFits(const PacketInfo& info, const ChunkHeader& chunk, uint32_t from,
             StateHot* s) {
  const uint32_t tag = info.sequence;
  if (chunk.type == wire::kSctpInit) {
    // A new association: its tags will be others.
    s->scale[0] &= static_cast<uint8_t>(~kPeerSeen);
    s->scale[1] &= static_cast<uint8_t>(~kPeerSeen);
    return tag == 0;
  }
  const bool may_reflect =
      chunk.type == wire::kSctpAbort ||
      chunk.type == wire::kSctpShutdownComplete;
  const uint32_t to = from ^ 1;
  if (may_reflect && (chunk.flags & wire::kSctpReflectedTag) != 0 &&
      (s->scale[to] & kPeerSeen) != 0) {
    return tag == s->window[to].low;
  }
  if ((s->scale[from] & kPeerSeen) != 0) return tag == s->window[from].low;
  s->window[from].low = tag;
  s->scale[from] |= kPeerSeen;
  return true;
}

}  // namespace

void InitSctp(const PacketInfo& info, StateHot* s) {
  s->phase = {Raw(TcpPhase::kSynSent), Raw(TcpPhase::kClosed)};
  s->timeout = Timeout::kSctpFirst;
  if (info.sequence != 0) {
    s->window[0].low = info.sequence;
    s->scale[0] = kPeerSeen;
  }
}

TrackerResult TrackSctp(const PacketInfo& info, const rte_mbuf& mbuf,
                        Peer peer, StateHot* s) {
  const auto from = static_cast<uint32_t>(peer);
  const ChunkHeader chunk = FirstChunk(info, mbuf);
  if (chunk.type == wire::kSctpInit && BothAtLeast(*s, TcpPhase::kFinWait2)) {
    TrackerResult reuse;
    reuse.step.verdict = StepVerdict::kReuse;
    return reuse;
  }
  if (!TagFits(info, chunk, from, s)) {
    TrackerResult result;
    result.step.verdict = StepVerdict::kDrop;
    result.refresh = false;
    result.cause = Mismatch::kSequence;
    return result;
  }
  Raise(s, from, TcpPhase::kSynSent);
  switch (chunk.type) {
    case wire::kSctpShutdown:
    case wire::kSctpShutdownAck:
      Raise(s, from, TcpPhase::kClosing);
      break;
    case wire::kSctpAbort:
    case wire::kSctpShutdownComplete:
      s->phase = {Raw(TcpPhase::kTimeWait), Raw(TcpPhase::kTimeWait)};
      break;
    case wire::kSctpCookieEcho:
    case wire::kSctpCookieAck:
      // Sent only once both sides have spoken.
      if (BothAtLeast(*s, TcpPhase::kSynSent)) {
        Raise(s, 0, TcpPhase::kEstablished);
        Raise(s, 1, TcpPhase::kEstablished);
      }
      break;
    default:
      // An association that was under way before: both sides send data.
      if (chunk.type != wire::kSctpInit && chunk.type != wire::kSctpInit + 1 &&
          BothAtLeast(*s, TcpPhase::kSynSent)) {
        Raise(s, 0, TcpPhase::kEstablished);
        Raise(s, 1, TcpPhase::kEstablished);
      }
      break;
  }
  s->timeout = SctpTimeout(*s);
  return {};
}

}  // namespace sluice
