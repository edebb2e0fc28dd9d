// SCTP (RFC 9260) by the chunks of each packet, in the phases of TCP.
//
// Verification tags: what an INIT or INIT ACK announces is the tag of all
// packets that its receiver sends. A flow that is met in the middle shows its
// tags by itself. An INIT in an open association may be forged: until the
// handshake that it begins has come to its cookie, the tags there are go on to
// hold (section 5.2.2).
#include <rte_mbuf.h>

#include "conntrack/sctp_chunks.h"
#include "conntrack/tcp_tracker.h"
#include "packet/headers.h"

namespace sluice {
namespace {

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

// Packets that `peer` sends bear this tag, now or once the handshake is done.
void Announce(StateHot* s, uint32_t peer, uint32_t tag) {
  if (tag == 0) return;
  if ((s->scale[peer] & kPeerSeen) == 0) {
    s->window[peer].low = tag;
    s->scale[peer] |= kPeerSeen;
  } else if (s->window[peer].low != tag) {
    s->window[peer].high = tag;
    s->scale[peer] |= kPeerRestarts;
  }
}

enum class Tag : uint8_t {
  kWrong,
  kFits,
  kNext,  // of an association that is being set up in place of this one
};

// The tag that all packets of this peer bear (section 8.5); the first that is
// not an INIT's zero is learned.
Tag TagOf(const PacketInfo& info, const SctpChunks& chunks, uint32_t from,
          StateHot* s) {
  const uint32_t tag = info.sequence;
  if (chunks.has(wire::kSctpInit)) return tag == 0 ? Tag::kFits : Tag::kWrong;
  const uint32_t to = from ^ 1;
  const bool ends = chunks.has(wire::kSctpAbort) ||
                    chunks.has(wire::kSctpShutdownComplete);
  if (ends && chunks.reflected && (s->scale[to] & kPeerSeen) != 0) {
    return tag == s->window[to].low ? Tag::kFits : Tag::kWrong;
  }
  if ((s->scale[from] & kPeerSeen) == 0) {
    s->window[from].low = tag;
    s->scale[from] |= kPeerSeen;
    return Tag::kFits;
  }
  if (tag == s->window[from].low) return Tag::kFits;
  if ((s->scale[from] & kPeerRestarts) == 0 || tag != s->window[from].high) {
    return Tag::kWrong;
  }
  // From its cookie on the new association is the only one.
  if (chunks.has(wire::kSctpCookieEcho) || chunks.has(wire::kSctpCookieAck)) {
    s->window[from].low = tag;
    s->scale[from] &= static_cast<uint8_t>(~kPeerRestarts);
    return Tag::kFits;
  }
  return chunks.has(wire::kSctpInitAck) || chunks.has(wire::kSctpAbort) ||
                 chunks.has(wire::kSctpError)
             ? Tag::kNext
             : Tag::kWrong;
}

bool SaysAddresses(const SctpChunks& chunks) {
  return chunks.parameters != 0 && chunks.parameters_length != 0;
}

}  // namespace

bool InitSctp(const PacketInfo& info, const rte_mbuf& mbuf, StateHot* s) {
  const SctpChunks chunks = ReadSctpChunks(info, mbuf);
  s->phase = {Raw(TcpPhase::kSynSent), Raw(TcpPhase::kClosed)};
  s->timeout = Timeout::kSctpFirst;
  if (info.sequence != 0) {
    s->window[0].low = info.sequence;
    s->scale[0] = kPeerSeen;
  }
  Announce(s, 1, chunks.initiate_tag);
  return SaysAddresses(chunks);
}

TrackerResult TrackSctp(const PacketInfo& info, const rte_mbuf& mbuf,
                        Peer peer, StateHot* s) {
  const auto from = static_cast<uint32_t>(peer);
  const SctpChunks chunks = ReadSctpChunks(info, mbuf);
  if (chunks.has(wire::kSctpInit) && BothAtLeast(*s, TcpPhase::kFinWait2)) {
    TrackerResult reuse;
    reuse.step.verdict = StepVerdict::kReuse;
    return reuse;
  }
  TrackerResult result;
  const Tag tag = TagOf(info, chunks, from, s);
  if (tag == Tag::kWrong) {
    result.step.verdict = StepVerdict::kDrop;
    result.refresh = false;
    result.cause = Mismatch::kSequence;
    return result;
  }
  result.addresses = SaysAddresses(chunks);
  Announce(s, from ^ 1, chunks.initiate_tag);
  // It ends nothing but its own attempt.
  if (tag == Tag::kNext) return result;
  Raise(s, from, TcpPhase::kSynSent);
  if (chunks.has(wire::kSctpAbort) ||
      chunks.has(wire::kSctpShutdownComplete)) {
    s->phase = {Raw(TcpPhase::kTimeWait), Raw(TcpPhase::kTimeWait)};
  } else if (chunks.has(wire::kSctpShutdown) ||
             chunks.has(wire::kSctpShutdownAck)) {
    Raise(s, from, TcpPhase::kClosing);
  } else if (!chunks.has(wire::kSctpInit) &&
             !chunks.has(wire::kSctpInitAck) &&
             BothAtLeast(*s, TcpPhase::kSynSent)) {
    // A cookie, or whatever both sides send of an association that was under
    // way before.
    Raise(s, 0, TcpPhase::kEstablished);
    Raise(s, 1, TcpPhase::kEstablished);
  }
  s->timeout = SctpTimeout(*s);
  return result;
}

}  // namespace sluice
