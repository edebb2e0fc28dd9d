#include "dataplane/workers/steerer.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <span>
#include <vector>

#include "conntrack/translation_directory.h"
#include "dataplane/forward/segment_switch.h"
#include "dataplane/forward/topology.h"
#include "dataplane/workers/burst_judge.h"
#include "dataplane/workers/plane.h"
#include "dataplane/workers/transmitter.h"
#include "dataplane/workers/worker_totals.h"
#include "packet/fragment.h"
#include "packet/inner.h"

namespace sluice {
namespace {

static_assert(kMaxPorts <= kFromHostPort);

// As many as the pipeline asks for states (Pipeline::AnswersAcross).
constexpr size_t kPortsLookedAt = 32;

// Of a packet that may be for a router itself: an answer to what has gone on in
// the other family (af-to) is, and its state is of the filter of any port.
int OwnerAcross(const TranslationDirectory& translations,
                const Topology& topology, const PortContext& arrival,
                const rte_mbuf& mbuf, const PacketInfo& flow, VlanId vlan) {
  const std::vector<uint16_t>& ports = topology.routers[arrival.router].ports;
  const size_t count = std::min(ports.size(), kPortsLookedAt);
  // Ports have a filter of their own, or the one that most have.
  uint16_t asked = arrival.filter;
  for (size_t k = 0; k < count; ++k) {
    const uint16_t filter = topology.ports[ports[k]].filter;
    if (filter == asked || filter == arrival.filter) continue;
    asked = filter;
    const int owner =
        translations.Find(translations.FlowOf(flow, mbuf, filter, vlan));
    if (owner != TranslationDirectory::kNobody) return owner;
  }
  return TranslationDirectory::kNobody;
}

}  // namespace

inline uint16_t Steerer::OwnerOf(uint16_t port, const rte_mbuf& mbuf,
                                 const PacketInfo& info) {
  const uint16_t by_hash = plane_.steering.Owner(mbuf, info);
  if (plane_.translations == nullptr || !plane_.translations->has_strays() ||
      info.has(kFragment)) [[likely]] {
    return by_hash;
  }
  const TranslationDirectory& translations = *plane_.translations;
  PacketInfo inner;
  DropReason reason;
  const PacketInfo* flow = &info;
  if (info.has(kIcmpError)) {
    if (!ParseInner(mbuf, info, &inner, &reason)) return by_hash;
    flow = &inner;
  }
  // The state may have been made at either end of the wire.
  const PortContext& arrival = round_.topology->ports[port];
  const VlanId vlan = VlanOf(mbuf, info);
  int owner = translations.Find(
      translations.FlowOf(*flow, mbuf, arrival.filter, vlan));
  const uint16_t departure =
      owner == TranslationDirectory::kNobody
          ? LikelyDeparture(*round_.topology, arrival, mbuf, info)
          : kNoPort;
  if (departure != kNoPort) {
    const uint16_t other = round_.topology->ports[departure].filter;
    if (other != arrival.filter) {
      owner =
          translations.Find(translations.FlowOf(*flow, mbuf, other, vlan));
    }
  } else if (owner == TranslationDirectory::kNobody &&
             arrival.router != kNoRouter) {
    owner = OwnerAcross(translations, *round_.topology, arrival, mbuf, *flow,
                        vlan);
  }
  if (owner == TranslationDirectory::kNobody || owner == by_hash) {
    return by_hash;
  }
  totals_.strays.Add(1);
  return static_cast<uint16_t>(owner);
}

void Steerer::Steer(uint16_t port, PacketBurst& burst, uint16_t mark) {
  const auto marked = static_cast<uint16_t>(port | mark);
  uint32_t others = 0;
  orphans_.count = 0;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    rte_mbuf* mbuf = burst.mbufs[i];
    const PacketInfo& info = burst.infos[i];
    uint16_t owner = info.kind == Kind::kIp
                         ? OwnerOf(port, *mbuf, info)
                         : worker_;
    if (owner == worker_) {
      if (kept != i) {
        burst.mbufs[kept] = mbuf;
        burst.infos[kept] = info;
      }
      ++kept;
      continue;
    }
    mbuf->port = marked;
    if ((round_.stalled & 1u << owner) != 0) [[unlikely]] {
      // Both directions of a flow meet at one worker all the same.
      owner = SubstituteOf(owner, plane_.steering.workers(),
                           round_.stalled & ~(1u << worker_));
      if (owner == worker_) {
        orphans_.mbufs[orphans_.count] = mbuf;
        orphans_.infos[orphans_.count++] = info;
        continue;
      }
      mbuf->port = static_cast<uint16_t>(marked | kOrphanPort);
    }
    foreign_[owner][foreign_count_[owner]++] = mbuf;
    others |= 1u << owner;
  }
  burst.count = kept;
  static_assert(kMaxWorkers <= 32);
  for (; others != 0; others &= others - 1) {
    const auto owner = static_cast<uint16_t>(std::countr_zero(others));
    const std::span<rte_mbuf*> list(foreign_[owner].data(),
                                    foreign_count_[owner]);
    foreign_count_[owner] = 0;
    const uint32_t sent = plane_.handoff->Send(worker_, owner, list);
    totals_.handed_out.Add(sent);
    if (sent < list.size()) {
      transmitter_.Drop(port, list.subspan(sent), DropReason::kHandoffFull);
    }
  }
  if (orphans_.count > 0) [[unlikely]] {
    judge_.JudgeMarked(static_cast<uint16_t>(marked | kOrphanPort), orphans_);
  }
}

uint32_t Steerer::Receive(uint16_t from, PacketBurst& burst) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  const uint32_t count = plane_.handoff->Receive(worker_, from, mbufs);
  if (count == 0) return 0;
  uint32_t packets = 0;
  for (uint32_t i = 0; i < count; ++i) packets += CountFragments(*mbufs[i]);
  totals_.handed_in.Add(packets);
  // One burst for each port of arrival; they were counted as received there.
  uint32_t left = count == kMaxBurst ? ~0u : (1u << count) - 1;
  while (left != 0) {
    const uint16_t port = mbufs[std::countr_zero(left)]->port;
    burst.count = 0;
    for (uint32_t rest = left; rest != 0; rest &= rest - 1) {
      const int i = std::countr_zero(rest);
      if (mbufs[i]->port != port) continue;
      burst.mbufs[burst.count++] = mbufs[i];
      left &= ~(1u << i);
    }
    ParseBurst(burst, parse_);
    judge_.JudgeMarked(port, burst);
  }
  return count;
}

}  // namespace sluice
