#include "conntrack/tcp_scrub.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "packet/headers.h"
#include "packet/rewrite.h"
#include "packet/tcp_options.h"

namespace sluice {
namespace {

// The fastest clock that RFC 7323 allows, with pf's tenth more.
constexpr uint64_t kFastestClock = 1100;
// At 1 kHz a timestamp has come half way round by then.
constexpr uint32_t kLongestIdle = 24u * 24 * 60 * 60 * 1000;

struct Timestamps {
  bool there = false;
  bool twice = false;
  uint32_t offset = 0;  // of the value, from the transport header on
  uint32_t value = 0;
  uint32_t echo = 0;
};

Timestamps Read(const PacketInfo& info, const rte_mbuf& mbuf) {
  Timestamps found;
  ForEachTcpOption(mbuf, info, [&](const TcpOption& option) {
    Be32 value, echo;
    if (option.kind != kTcpOptionTimestamps ||
        option.value.size() != sizeof value + sizeof echo) {
      return true;
    }
    found.twice = found.there;
    found.there = true;
    found.offset = option.offset;
    std::memcpy(&value, option.value.data(), sizeof value);
    std::memcpy(&echo, &option.value[sizeof value], sizeof echo);
    found.value = value.host();
    found.echo = echo.host();
    return true;
  });
  return found;
}

bool Before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

bool Has(const TcpScrubPeer& peer, TcpScrubFlag flag) {
  return (peer.flags & flag) != 0;
}

// Its clock may have come round since it was last looked at.
bool Idled(const TcpScrubPeer& peer, const TcpScrubMoment& moment) {
  return Has(peer, kScrubTimestamps) &&
         (static_cast<uint32_t>(TickDiff(moment.now, peer.last)) >
              kLongestIdle ||
          moment.age > kLongestIdle);
}

bool Checkable(const TcpScrubPeer& peer, const TcpScrubMoment& moment) {
  return Has(peer, kScrubPaws) && !Has(peer, kScrubIdled) &&
         !Idled(peer, moment);
}

}  // namespace

bool TimestampsAreSound(const TcpScrub& scrub, const PacketInfo& info,
                        const rte_mbuf& mbuf, const TcpScrubMoment& moment) {
  const TcpScrubPeer& from = scrub.peers[moment.from];
  const TcpScrubPeer& to = scrub.peers[moment.from ^ 1];
  if (!Has(from, kScrubTimestamps) && !Has(to, kScrubTimestamps)) return true;
  const Timestamps stamps = Read(info, mbuf);
  if (stamps.twice) return false;
  if (!Checkable(from, moment) || !Checkable(to, moment)) return true;
  if (!stamps.there) {
    return info.payload_length() == 0 || (info.tcp_flags & kTcpRst) != 0 ||
           !Has(from, kScrubDataHas);
  }
  if (!moment.established) return true;
  const uint64_t idle =
      static_cast<uint32_t>(TickDiff(moment.now, from.last));
  const auto reach = static_cast<uint32_t>(
      from.value + (idle + uint64_t{moment.slack} * 1000) * kFastestClock / 1000);
  if (Before(stamps.value, to.echo) || Before(reach, stamps.value)) {
    return false;
  }
  if (stamps.echo == 0) return true;
  const uint32_t echo = stamps.echo - to.modulation;
  return !Before(to.value, echo) && !Before(echo, to.lowest);
}

void ScrubTcp(TcpScrub& scrub, PacketInfo& info, rte_mbuf& mbuf,
              const TcpScrubMoment& moment, uint32_t modulation) {
  TcpScrubPeer& from = scrub.peers[moment.from];
  TcpScrubPeer& to = scrub.peers[moment.from ^ 1];
  const Timestamps stamps = Read(info, mbuf);
  if (!Has(from, kScrubSeen)) {
    from.flags = kScrubSeen;
    from.ttl = info.ttl;
    from.last = moment.now;
    if ((info.tcp_flags & kTcpSyn) != 0 && stamps.there) {
      from.flags |= kScrubTimestamps;
      from.modulation = modulation;
      from.value = from.lowest = stamps.value;
    }
  }
  from.ttl = std::max(from.ttl, info.ttl);
  SetTtl(mbuf, info, from.ttl);
  for (TcpScrubPeer* peer : {&from, &to}) {
    if (Idled(*peer, moment)) peer->flags |= kScrubIdled;
  }
  uint32_t echo = stamps.echo;
  if (stamps.there) {
    if (Has(from, kScrubTimestamps)) {
      const Be32 moved(stamps.value + from.modulation);
      ReplaceInTransport(mbuf, info, stamps.offset, &moved, sizeof moved);
    }
    // Zero is no echo.
    if (echo != 0 && Has(to, kScrubTimestamps)) {
      echo -= to.modulation;
      const Be32 moved(echo);
      ReplaceInTransport(mbuf, info, stamps.offset + 4, &moved, sizeof moved);
    }
  }
  constexpr uint8_t kData = kScrubDataHas | kScrubDataHasNot;
  if (info.payload_length() > 0 && Has(from, kScrubTimestamps) &&
      (from.flags & kData) == 0) {
    from.flags |= stamps.there ? kScrubDataHas : kScrubDataHasNot;
  }
  if (!stamps.there || !Has(from, kScrubTimestamps) ||
      Has(from, kScrubIdled)) {
    return;
  }
  const bool fresh = !Has(from, kScrubPaws);
  from.last = moment.now;
  if (fresh || !Before(stamps.value, from.value)) from.value = stamps.value;
  if (echo == 0) return;
  if (fresh || !Before(echo, from.echo)) from.echo = echo;
  if (fresh && (from.lowest == 0 || Before(stamps.value, from.lowest))) {
    from.lowest = stamps.value;
  }
  // Whole once something was echoed.
  from.flags |= kScrubPaws;
}

}  // namespace sluice
