#include "dataplane/workers/transmitter.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include <algorithm>
#include <utility>

#include "dataplane/ports/vhost_channel.h"
#include "dataplane/workers/plane.h"
#include "dataplane/workers/worker_totals.h"
#include "packet/fragment.h"

namespace sluice {
namespace {

// What a port does not take at once is offered again so often.
constexpr int kTransmitRetries = 16;

// With the ports that a packet has in a ring: it has arrived, though both are
// one.
constexpr uint32_t kReturns = uint32_t{1} << 31;
static_assert(kMaxPorts <= kReturns >> 16);

TransmitPath PathOf(uint16_t worker, const PortDevice& device) {
  if (device.tx_queues == 0) return {.via = worker};
  const auto via = static_cast<uint16_t>(worker % device.tx_queues);
  return {.ethdev = device.ethdev,
          .queue = via,
          .via = via,
          .sends_segments = device.sends_segments};
}

}  // namespace

void Transmitter::Adopt(const Topology& topology, uint32_t stalled) {
  const uint16_t workers = plane_.steering.workers();
  // Numbers that the topology before had and this one has not, too.
  const uint16_t end = std::max(std::exchange(end_, topology.end), topology.end);
  for (uint16_t port = 0; port < end; ++port) {
    const PortContext& context = topology.ports[port];
    const uint16_t on = context.is_logical() ? context.parent : port;
    TransmitPath& path = paths_[port];
    if (on >= kMaxDevicePorts) {
      path = {.via = worker_};
      const VhostDevice* const vhost = topology.VhostAt(on);
      if (vhost == nullptr || vhost->channel == nullptr) continue;
      path.vhost = vhost->channel;
      path.tags = context.tags;
      path.via = vhost->poller;
      if ((stalled & 1u << path.via) != 0) {
        path.via = SubstituteOf(path.via, workers, stalled);
      }
      continue;
    }
    const PortDevice& device = topology.devices[on];
    path = PathOf(worker_, device);
    path.tags = context.tags;
    if (device.tx_queues != 0 && device.tx_queues < workers) {
      if ((stalled & 1u << path.via) != 0) {
        path.via = SubstituteOf(path.via, workers, stalled);
      }
      path.token = plane_.transmit_tokens->at(on, path.queue);
    }
  }
}

inline uint32_t Transmitter::Pack(const Way& way) {
  const uint32_t ports = uint32_t{way.arrival} << 16 | way.departure;
  return way.arrival == way.departure && !way.answers ? ports | kReturns
                                                      : ports;
}

inline Transmitter::Way Transmitter::Unpack(uint32_t packed) {
  const auto arrival = static_cast<uint16_t>((packed & ~kReturns) >> 16);
  const auto departure = static_cast<uint16_t>(packed);
  return {.arrival = arrival,
          .departure = departure,
          .answers = arrival == departure && (packed & kReturns) == 0};
}

void Transmitter::Send(const Way& way, std::span<rte_mbuf*> mbufs) {
  const TransmitPath& path = paths_[way.departure];
  if (path.tags.any()) [[unlikely]] {
    mbufs = Tag(path, way, mbufs);
  }
  if (path.via == worker_) [[likely]] {
    Transmit(path, way, mbufs);
    return;
  }
  for (rte_mbuf* mbuf : mbufs) mbuf->hash.usr = Pack(way);
  const uint32_t sent = plane_.transmit->Send(worker_, path.via, mbufs);
  if (!way.answers) totals_.transmit_out.Add(sent);
  if (sent == mbufs.size()) return;
  Lose(way, mbufs.subspan(sent), DropReason::kTransmitFull);
}

uint32_t Transmitter::Receive(uint16_t from) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  const uint32_t count = plane_.transmit->Receive(worker_, from, mbufs);
  // Runs of packets with the same way.
  for (uint32_t begin = 0; begin < count;) {
    const uint32_t ports = mbufs[begin]->hash.usr;
    uint32_t end = begin + 1;
    while (end < count && mbufs[end]->hash.usr == ports) ++end;
    const Way way = Unpack(ports);
    if (!way.answers) totals_.transmit_in.Add(end - begin);
    Transmit(paths_[way.departure], way,
             std::span(mbufs).subspan(begin, end - begin));
    begin = end;
  }
  return count;
}

void Transmitter::Transmit(const TransmitPath& path, const Way& way,
                           std::span<rte_mbuf*> mbufs) {
  if (path.ethdev == kNoPort) [[unlikely]] {
    TransmitElsewhere(path, way, mbufs);
    return;
  }
  if (!path.sends_segments) mbufs = Join(way, mbufs);
  uint64_t bytes = 0;
  for (const rte_mbuf* mbuf : mbufs) bytes += mbuf->pkt_len;
  const auto count = static_cast<uint16_t>(mbufs.size());
  uint16_t sent = 0;
  for (int retry = 0; sent < count && retry <= kTransmitRetries; ++retry) {
    if (retry > 0) rte_pause();
    if (path.token != nullptr && !path.token->TryTake(worker_)) continue;
    sent = static_cast<uint16_t>(
        sent + rte_eth_tx_burst(path.ethdev, path.queue, mbufs.data() + sent,
                                static_cast<uint16_t>(count - sent)));
    if (path.token != nullptr) path.token->Release();
  }
  const std::span<rte_mbuf*> rest = mbufs.subspan(sent);
  for (const rte_mbuf* mbuf : rest) bytes -= mbuf->pkt_len;
  CountSent(path, way, sent, bytes);
  if (!rest.empty()) Lose(way, rest, DropReason::kTransmitFull);
}

inline void Transmitter::CountSent(const TransmitPath& path, const Way& way,
                                   uint64_t packets, uint64_t bytes) {
  // A logical port's own frames have no tags.
  bytes -= uint64_t{path.tags.bytes()} * packets;
  counters_[way.departure].transmitted_packets.Add(packets);
  counters_[way.departure].transmitted_bytes.Add(bytes);
  if (way.answers) return;
  PortCounters& arrival = counters_[way.arrival];
  arrival.forwarded_packets.Add(packets);
  arrival.forwarded_bytes.Add(bytes);
  if (way.arrival == way.departure) [[unlikely]] {
    arrival.returned_packets.Add(packets);
  }
}

// A machine gets copies. It is offered them once: one that has no room has not
// run, and is not waited for. A frame that is too large for its buffers does not
// stand in the way of those behind it.
void Transmitter::TransmitElsewhere(const TransmitPath& path, const Way& way,
                                    std::span<rte_mbuf*> mbufs) {
  if (path.vhost == nullptr || !path.vhost->connected()) {
    // The port went away while they were on their way to it.
    Lose(way, mbufs, DropReason::kPortDown);
    return;
  }
  const uint32_t largest = path.vhost->largest();
  std::span<rte_mbuf*> rest = mbufs;
  for (bool skipped = false;;) {
    const uint16_t sent = path.vhost->Send(rest);
    const std::span<rte_mbuf*> gone = rest.first(sent);
    uint64_t bytes = 0;
    for (const rte_mbuf* mbuf : gone) bytes += mbuf->pkt_len;
    CountSent(path, way, sent, bytes);
    rte_pktmbuf_free_bulk(gone.data(), sent);
    rest = rest.subspan(sent);
    if (rest.empty()) return;
    // Those that the port's MTU does not allow are known. One more is tried
    // without: a driver may have made its buffers smaller still.
    const bool large = rest[0]->pkt_len > largest;
    if (!large && std::exchange(skipped, true)) break;
    Lose(way, rest.first(1),
         large ? DropReason::kTooBig : DropReason::kTransmitFull);
    rest = rest.subspan(1);
    if (rest.empty()) return;
  }
  Lose(way, rest, DropReason::kTransmitFull);
}

std::span<rte_mbuf*> Transmitter::Tag(const TransmitPath& path,
                                      const Way& way,
                                      std::span<rte_mbuf*> mbufs) {
  size_t kept = 0;
  for (rte_mbuf* mbuf : mbufs) {
    if (PushTags(*mbuf, path.tags)) [[likely]] {
      mbufs[kept++] = mbuf;
    } else {
      Lose(way, std::span(&mbuf, 1), DropReason::kMemory);
    }
  }
  return mbufs.first(kept);
}

// For ports that take no chains of mbufs: chains that fit into their first one
// are put there, others dropped. What is left.
std::span<rte_mbuf*> Transmitter::Join(const Way& way,
                                       std::span<rte_mbuf*> mbufs) {
  size_t kept = 0;
  for (rte_mbuf* mbuf : mbufs) {
    if (rte_pktmbuf_linearize(mbuf) == 0) {
      mbufs[kept++] = mbuf;
    } else {
      Lose(way, std::span(&mbuf, 1), DropReason::kMemory);
    }
  }
  return mbufs.first(kept);
}

void Transmitter::Drop(uint16_t port, std::span<rte_mbuf*> mbufs,
                       DropReason reason) {
  // What was put together had arrived as so many packets.
  uint64_t packets = 0;
  for (const rte_mbuf* mbuf : mbufs) packets += CountFragments(*mbuf);
  counters_[port].drops[static_cast<size_t>(reason)].Add(packets);
  rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(mbufs.size()));
}

void Transmitter::Lose(const Way& way, std::span<rte_mbuf*> mbufs,
                       DropReason reason) {
  if (!way.answers) {
    Drop(way.arrival, mbufs, reason);
    return;
  }
  // An answer never arrived: it is not among those that may be dropped.
  counters_[way.arrival].answers_lost.Add(mbufs.size());
  rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(mbufs.size()));
}

}  // namespace sluice
