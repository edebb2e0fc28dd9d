#include "dataplane/forward/own_address_speaker.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "packet/neighbor.h"

namespace sluice {
namespace {

// The end of a wire that stands for both.
bool Speaks(const PortContext& port) {
  return port.own != nullptr && port.own->size() > 0 && port.peer != kNoPort &&
         port.port < port.peer;
}

}  // namespace

void OwnAddressSpeaker::Adopt(const Topology& topology, Tick now) {
  wires_ = 0;
  const uint16_t end = std::max(topology.end, end_);  // some may have gone
  end_ = topology.end;
  for (uint16_t number = 0; number < end; ++number) {
    const PortContext& port = topology.ports[number];
    const bool came_up = CanSpeak(port) && !up_[number];
    up_[number] = CanSpeak(port);
    if (Speaks(port)) ++wires_;
    if (!came_up || port.own == nullptr) continue;
    // Whoever is there now has neither been asked nor heard it.
    const size_t entries = port.own->size() * port.own->lanes();
    for (size_t i = 0; i < entries; ++i) {
      OwnAddresses::Entry& entry = port.own->entries_[i];
      OwnAddresses::Standing ours = OwnAddresses::Standing::kOurs;
      entry.standing.compare_exchange_strong(
          ours, OwnAddresses::Standing::kAsking, std::memory_order_relaxed);
      entry.said.store(0, std::memory_order_relaxed);
      entry.due.store(now, std::memory_order_relaxed);
    }
  }
}

const PortContext* OwnAddressSpeaker::Next(const Topology& topology) {
  if (begun_ && Speaks(topology.ports[port_])) {
    const PortContext& port = topology.ports[port_];
    if (place_ + 1 < port.own->size() && lane_ < port.own->lanes()) {
      ++place_;
      return &port;
    }
    if (lane_ + 1 < port.own->lanes()) {
      ++lane_;
      place_ = 0;
      return &port;
    }
  }
  // No port behind the end has any, and there is one.
  for (uint32_t step = begun_ ? 1 : 0; step <= end_; ++step) {
    const auto number = static_cast<uint16_t>((port_ + step) % end_);
    if (!Speaks(topology.ports[number])) continue;
    port_ = number;
    place_ = 0;
    lane_ = 0;
    begun_ = true;
    return &topology.ports[number];
  }
  return nullptr;
}

OwnAddressSpeaker::Speech OwnAddressSpeaker::Due(OwnAddresses& own,
                                                 size_t place, size_t lane,
                                                 Tick now) {
  using Standing = OwnAddresses::Standing;
  OwnAddresses::Entry& entry = own.At(place, lane);
  const uint8_t said = entry.said.load(std::memory_order_relaxed);
  Standing standing = entry.standing.load(std::memory_order_relaxed);
  if (standing == Standing::kOurs && said >= kAnnouncements) {
    return Speech::kNothing;
  }
  const bool begins = standing == Standing::kAsking && said == 0;
  if (!begins &&
      TickDiff(now, entry.due.load(std::memory_order_relaxed)) < 0) {
    return Speech::kNothing;
  }
  const auto say = [&](uint8_t count, Tick interval) {
    entry.said.store(count, std::memory_order_relaxed);
    entry.due.store(now + interval, std::memory_order_relaxed);
  };
  // That one may keep it.
  if (standing == Standing::kTaken && own.IsLeaving(own.addresses()[place])) {
    return Speech::kNothing;
  }
  if (standing == Standing::kTaken) {
    // Unless a worker has just heard of it once more.
    if (!entry.standing.compare_exchange_strong(standing, Standing::kAsking,
                                                std::memory_order_relaxed)) {
      return Speech::kNothing;
    }
    say(1, kQuestionInterval);
    return Speech::kQuestion;
  }
  if (standing == Standing::kAsking) {
    if (said < kQuestions) {
      say(static_cast<uint8_t>(said + 1), kQuestionInterval);
      return Speech::kQuestion;
    }
    if (!entry.standing.compare_exchange_strong(standing, Standing::kOurs,
                                                std::memory_order_relaxed)) {
      return Speech::kNothing;
    }
    say(1, kAnnouncementInterval);
    return Speech::kAnnouncement;
  }
  say(static_cast<uint8_t>(said + 1), kAnnouncementInterval);
  return Speech::kAnnouncement;
}

rte_mbuf* OwnAddressSpeaker::Make(Speech speech, const Address& address,
                                  const MacAddress& mac,
                                  const LinkTags& tags) const {
  rte_mbuf* const frame = rte_pktmbuf_alloc(pool_);
  if (frame == nullptr) return nullptr;
  const bool made =
      speech == Speech::kQuestion
          ? BuildNeighborProbe(address, mac, tags, frame)
          : BuildNeighborAnnouncement(address, mac, tags, frame);
  if (made) return frame;
  rte_pktmbuf_free(frame);
  return nullptr;
}

}  // namespace sluice
