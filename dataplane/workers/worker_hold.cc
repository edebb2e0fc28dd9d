// What a worker does with packets that cannot be judged as always: because a
// restore is awaited, or because their own worker does not run.
#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

#include "dataplane/workers/worker.h"

namespace sluice {
namespace {

// Work of one round beside its bursts: filters looked at, packets released.
// Those of a filter that gets packets are released before them in any case.
constexpr size_t kHeldFilters = 64;
constexpr uint32_t kReleaseBudget = kMaxHeldPackets;

// No filter at all, in a pair of them.
constexpr uint16_t kNoFilter = 0xffff;

}  // namespace

// The filters that judge what arrives at a port, at the port of arrival and
// that of departure; kNoFilter where nothing is judged.
std::array<uint16_t, 2> Worker::JudgingFilters(uint16_t port) const {
  const PortContext& arrival = topology_->ports[port];
  std::array<uint16_t, 2> filters = {kNoFilter, kNoFilter};
  // The pipeline drops what comes here.
  if (!arrival.enabled || arrival.peer == kNoPort) return filters;
  const PortContext& departure = topology_->ports[arrival.peer];
  if (!arrival.excluded) filters[0] = arrival.filter;
  if (!departure.excluded && departure.enabled) filters[1] = departure.filter;
  return filters;
}

void Worker::PassGate(uint16_t port, PacketBurst& burst) {
  GateEnds ends{};
  const std::array<uint16_t, 2> filters = JudgingFilters(port);
  for (size_t i = 0; i < filters.size(); ++i) {
    if (filters[i] == kNoFilter) continue;
    SeenFilter& seen = seen_[filters[i]];
    ends[i] = &seen.gate;
    // What it holds comes first, unless this is it.
    if (!releasing_ && gate_.Holds(filters[i])) {
      while (ReleaseFilter(filters[i]) > 0) {
      }
      seen.gated = !seen.gate.open() || gate_.Holds(filters[i]);
    }
  }
  gate_.Admit(port, topology_->ports[port].pass_non_ip, ends, now_, burst,
              gate_result_);
  for (uint32_t i = 0; i < gate_result_.drop_count; ++i) {
    Drop(port, std::span(&gate_result_.drops[i], 1), gate_result_.reasons[i]);
  }
  if (gate_result_.bypass.count > 0) {
    JudgeUnfiltered(port, gate_result_.bypass, gate_result_.bypassed);
  }
}

// Judges as if the filters at these ends were disabled.
void Worker::JudgeUnfiltered(uint16_t port, PacketBurst& burst,
                             uint8_t ends) {
  const std::array<uint16_t, 2> filters = JudgingFilters(port);
  std::array<bool, 2> enabled{};
  for (size_t i = 0; i < filters.size(); ++i) {
    if ((ends & 1u << i) == 0) continue;
    enabled[i] = std::exchange(filters_[filters[i]].enabled, false);
  }
  Judge(port, burst);
  // Backwards: both may be the same filter.
  for (size_t i = filters.size(); i-- > 0;) {
    if ((ends & 1u << i) != 0) filters_[filters[i]].enabled = enabled[i];
  }
}

uint32_t Worker::ReleaseHeld() {
  uint32_t packets = 0;
  const std::span<const uint16_t> holding = gate_.holding();
  const size_t count = std::min(holding.size(), kHeldFilters);
  // Copied, because the list changes on the way.
  std::array<uint16_t, kHeldFilters> filters;
  for (size_t i = 0; i < count; ++i) {
    filters[i] = holding[(next_held_ + i) % holding.size()];
  }
  next_held_ += count;
  for (size_t i = 0; i < count && packets < kReleaseBudget; ++i) {
    See(filters[i]);
    uint32_t released;
    do {
      released = ReleaseFilter(filters[i]);
      packets += released;
    } while (released > 0);
    SeenFilter& seen = seen_[filters[i]];
    seen.gated = !seen.gate.open() || gate_.Holds(filters[i]);
  }
  return packets;
}

// One burst of what the filter holds, if it is not to wait. Returns how many.
uint32_t Worker::ReleaseFilter(uint16_t number) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  uint32_t count = 0;
  const GateView& view = seen_[number].gate;
  // A filter that is gone has been emptied before.
  const HoldEnd end = view.filter != nullptr
                          ? gate_.Release(view, now_, mbufs, &count)
                          : HoldEnd::kWait;
  if (count == 0) {
    if (view.filter == nullptr || gate_.IsEmpty(*view.filter)) {
      gate_.Forget(number);
    }
    return 0;
  }
  const std::span<rte_mbuf*> taken = std::span(mbufs).first(count);
  if (end == HoldEnd::kDrop) {
    DropHeld(taken);
  } else {
    Replay(taken);
  }
  return count;
}

// In the order of their arrival, by runs of one port.
void Worker::Replay(std::span<rte_mbuf*> mbufs) {
  releasing_ = true;
  for (size_t begin = 0; begin < mbufs.size();) {
    const uint16_t port = mbufs[begin]->port;
    held_burst_.count = 0;
    size_t end = begin;
    for (; end < mbufs.size() && mbufs[end]->port == port; ++end) {
      held_burst_.mbufs[held_burst_.count++] = mbufs[end];
    }
    ParseBurst(held_burst_, parse_);
    JudgeAndTransmit(port, held_burst_);
    begin = end;
  }
  releasing_ = false;
}

void Worker::DropHeld(std::span<rte_mbuf*> mbufs) {
  for (rte_mbuf*& mbuf : mbufs) {
    Drop(mbuf->port, std::span(&mbuf, 1), DropReason::kHeld);
  }
}

// The worker stops: some of what it holds is dropped. Returns how many.
uint32_t Worker::AbandonHeld() {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  while (!gate_.holding().empty()) {
    const uint16_t number = gate_.holding().front();
    FilterPlane* filter = plane_.filters.at(number);
    const uint32_t count =
        filter != nullptr ? gate_.Abandon(*filter, now_, mbufs) : 0;
    if (count > 0) {
      DropHeld(std::span(mbufs).first(count));
      return count;
    }
    gate_.Forget(number);
  }
  return 0;
}

void Worker::JudgeOrphans(uint16_t port, PacketBurst& burst) {
  totals_.orphans.Add(burst.count);
  const std::array<uint16_t, 2> filters = JudgingFilters(port);
  std::array<FilterView, 2> saved{};
  size_t replaced = 0;
  bool closed = false;
  for (const uint16_t number : filters) {
    if (number == kNoFilter) continue;
    See(number);
    FilterView& view = filters_[number];
    const FilterPlane* filter = seen_[number].gate.filter;
    saved[replaced++] = view;
    if (filter == nullptr || !view.enabled) continue;
    if (filter->fail_policy != FailPolicy::kOpen ||
        filter->emergency == nullptr) {
      closed = true;
      continue;
    }
    See(filter->emergency->number);
    view = filters_[filter->emergency->number];
  }
  if (closed) {
    Drop(port, std::span(burst.mbufs).first(burst.count),
         DropReason::kStalled);
  } else {
    Judge(port, burst);
  }
  // Backwards: both may be the same filter.
  for (size_t i = filters.size(); i-- > 0;) {
    if (filters[i] != kNoFilter) filters_[filters[i]] = saved[--replaced];
  }
}

}  // namespace sluice
