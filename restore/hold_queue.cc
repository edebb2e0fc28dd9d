#include "restore/hold_queue.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "packet/byte_order.h"

namespace sluice {
namespace {

constexpr uint16_t kEtherTypeArp = 0x0806;
constexpr uint16_t kEtherTypeVlan = 0x8100;
constexpr uint16_t kEtherTypeProviderVlan = 0x88a8;
constexpr uint32_t kEtherTypeOffset = 12;
constexpr uint32_t kVlanBytes = 4;

bool IsArp(const rte_mbuf& mbuf) {
  uint32_t offset = kEtherTypeOffset;
  for (uint32_t i = 0; i <= kMaxVlanTags; ++i, offset += kVlanBytes) {
    uint16_t raw;
    const void* at = rte_pktmbuf_read(&mbuf, offset, sizeof raw, &raw);
    if (at == nullptr) return false;
    std::memcpy(&raw, at, sizeof raw);
    const uint16_t type = Be16::FromRaw(raw).host();
    if (type == kEtherTypeArp) return true;
    if (type != kEtherTypeVlan && type != kEtherTypeProviderVlan) return false;
  }
  return false;
}

bool IsPair(const PacketInfo& info, uint16_t client, uint16_t server) {
  const uint16_t source = info.source_port.host();
  const uint16_t destination = info.destination_port.host();
  return (source == client && destination == server) ||
         (source == server && (destination == client || destination == server));
}

}  // namespace

bool HoldQueue::Hold(rte_mbuf* mbuf, uint32_t incarnation, Tick now) {
  if (count_ == kMaxHeldPackets) {
    Add(&statistics_.refused_full, 1);
    return false;
  }
  if (!budget_->Take()) {
    Add(&statistics_.refused_budget, 1);
    return false;
  }
  incarnation_ = incarnation;
  packets_[(head_ + count_) % kMaxHeldPackets] = {mbuf, now};
  ++count_;
  Add(&statistics_.held, 1);
  return true;
}

HoldEnd HoldQueue::EndOf(const FilterStatus& status, bool fail_open) const {
  if (count_ == 0) return HoldEnd::kWait;
  if (status.incarnation != incarnation_) return HoldEnd::kDrop;
  switch (DispositionOf(status)) {
    case FilterDisposition::kRequest:
    case FilterDisposition::kHold: return HoldEnd::kWait;
    case FilterDisposition::kJudge: return HoldEnd::kReplay;
    case FilterDisposition::kFail:
      return fail_open ? HoldEnd::kEmergency : HoldEnd::kDrop;
    case FilterDisposition::kDrop: return HoldEnd::kDrop;
  }
  return HoldEnd::kDrop;
}

uint32_t HoldQueue::Take(std::span<rte_mbuf*> out, Tick now,
                         bool only_expired) {
  uint32_t taken = 0;
  uint64_t longest = statistics_.longest.load(std::memory_order_relaxed);
  while (count_ > 0 && taken < out.size()) {
    const Held& held = packets_[head_];
    const Tick age = now - held.since;
    if (only_expired && age < kMaxHoldTime) break;
    longest = std::max<uint64_t>(longest, age);
    out[taken++] = held.mbuf;
    head_ = (head_ + 1) % kMaxHeldPackets;
    --count_;
  }
  if (taken > 0) {
    budget_->GiveBack(taken);
    statistics_.longest.store(longest, std::memory_order_relaxed);
  }
  return taken;
}

uint32_t HoldQueue::TakeReplayed(std::span<rte_mbuf*> out, Tick now) {
  const uint32_t taken = Take(out, now, false);
  Add(&statistics_.replayed, taken);
  return taken;
}

uint32_t HoldQueue::TakeDropped(const FilterStatus& status,
                                std::span<rte_mbuf*> out, Tick now) {
  const uint32_t taken = Take(out, now, false);
  const bool failed = status.incarnation == incarnation_ &&
                      DispositionOf(status) == FilterDisposition::kFail;
  Add(failed ? &statistics_.dropped_failed : &statistics_.dropped_cancelled,
      taken);
  return taken;
}

uint32_t HoldQueue::TakeExpired(std::span<rte_mbuf*> out, Tick now) {
  const uint32_t taken = Take(out, now, true);
  Add(&statistics_.dropped_expired, taken);
  return taken;
}

bool MayBypassHold(const PacketInfo& info, const rte_mbuf& mbuf) {
  switch (info.kind) {
    case Kind::kMalformed:
    case Kind::kTaken:
      return false;
    case Kind::kNonIp: return IsArp(mbuf);
    case Kind::kIp: break;
  }
  if (info.has(PacketFlag::kFragment)) return false;
  if (info.proto == protocol::kIcmp6 && info.family == Family::kIpv6) {
    constexpr uint8_t kRouterSolicitation = 133;
    constexpr uint8_t kRedirect = 137;
    // RFC 4861 section 6.1.1: a router in between would have lowered it.
    return info.ttl == 255 && info.icmp_type >= kRouterSolicitation &&
           info.icmp_type <= kRedirect && info.icmp_code == 0;
  }
  if (info.proto != protocol::kUdp) return false;
  return info.family == Family::kIpv4 ? IsPair(info, 68, 67)
                                      : IsPair(info, 546, 547);
}

}  // namespace sluice
