#include "dataplane/ports/vhost_channel.h"

#include <rte_mbuf.h>
#include <rte_vhost.h>
#include <unistd.h>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

// Named by the machine: where it receives is where we send.
constexpr uint16_t kMachineReceives = 0;
constexpr uint16_t kMachineSends = 1;

constexpr uint64_t kMergedBuffers = uint64_t{1} << 15;  // VIRTIO_NET_F_MRG_RXBUF

constexpr useconds_t kPause = 20;
constexpr uint32_t kPausesToSay = 1'000'000 / kPause;

}  // namespace

uint16_t VhostChannel::Receive(std::span<rte_mbuf*> mbufs) {
  if (!connected() || !receiving_.TryClose()) return 0;
  const int id = id_.load(std::memory_order_seq_cst);
  uint16_t count = 0;
  if (id != kNobody) {
    mbufs = Bounded(kMachineSends, mbufs);
    count = rte_vhost_dequeue_burst(id, kMachineSends, pool_, mbufs.data(),
                                    static_cast<uint16_t>(mbufs.size()));
    if (count > 0) count = KeepFitting(mbufs.first(count));
  }
  receiving_.Open();
  return count;
}

// No NIC would have taken the others in, and some stop when they are to send
// what is larger than they were told.
uint16_t VhostChannel::KeepFitting(std::span<rte_mbuf*> mbufs) {
  uint16_t kept = 0;
  for (rte_mbuf* const mbuf : mbufs) {
    if (mbuf->pkt_len <= largest_) [[likely]] {
      mbufs[kept++] = mbuf;
    } else {
      oversized_.Add(1);
      rte_pktmbuf_free(mbuf);
    }
  }
  return kept;
}

uint16_t VhostChannel::Send(std::span<rte_mbuf*> mbufs) {
  if (!connected() || !sending_.TryClose()) return 0;
  const int id = id_.load(std::memory_order_seq_cst);
  uint16_t count = 0;
  // Beyond what the ring has room for there is nothing more, unless the machine
  // has taken some meanwhile.
  while (id != kNobody && count < mbufs.size()) {
    const std::span<rte_mbuf*> some =
        Bounded(kMachineReceives, mbufs.subspan(count));
    const uint16_t taken = rte_vhost_enqueue_burst(
        id, kMachineReceives, some.data(), static_cast<uint16_t>(some.size()));
    count = static_cast<uint16_t>(count + taken);
    if (taken < some.size() || taken == 0) break;
  }
  sending_.Open();
  return count;
}

bool VhostChannel::Connect() {
  if (connection_.exchange(true)) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    if (!told_) {
      LogWarning("port {}: another connection to its socket is refused while "
                 "there is one",
                 name_);
    }
    told_ = true;
    return false;
  }
  connections_.fetch_add(1, std::memory_order_relaxed);
  told_ = false;
  return true;
}

void VhostChannel::Disconnect() {
  End();
  // Not with each end: of a ring that goes on as it was nothing is said again.
  for (std::atomic<bool>& ring : rings_) ring.store(false);
  connection_.store(false);
}

void VhostChannel::Begin(int id) {
  // What wakes the library's thread up for each frame; we look ourselves.
  for (const uint16_t ring : {kMachineReceives, kMachineSends}) {
    rte_vhost_enable_guest_notification(id, ring, 0);
    // The library notes the buffers of a call in an array of the ring's size,
    // and believes the machine how many there are. So it is asked for no more
    // frames than that; for one, where a frame may take several buffers.
    rte_vhost_vring vring;
    most_[ring] =
        rte_vhost_get_vhost_vring(id, ring, &vring) == 0 ? vring.size : 0;
  }
  uint64_t features = 0;
  if (rte_vhost_get_negotiated_features(id, &features) != 0 ||
      (features & kMergedBuffers) != 0) {
    most_[kMachineReceives] = 1;
  }
  id_.store(id, std::memory_order_seq_cst);
  changed_.store(true, std::memory_order_release);
}

void VhostChannel::End() {
  if (id_.exchange(kNobody, std::memory_order_seq_cst) == kNobody) return;
  changed_.store(true, std::memory_order_release);
  Await(receiving_);
  Await(sending_);
}

// There is no giving up: the library unmaps the machine's memory afterwards. A
// worker that sleeps in the middle of a call is not run by the system at all.
void VhostChannel::Await(const Gate& gate) const {
  for (uint32_t pauses = 0; gate.closed(); ++pauses) {
    if (pauses == kPausesToSay) {
      LogError("port {}: its virtual machine goes, and a worker is in its "
               "rings for a second and does not run; other machines cannot "
               "connect until it does",
               name_);
    }
    usleep(kPause);
  }
}

void VhostChannel::SetRing(uint16_t ring, bool on) {
  // A machine that wants more pairs was told that there is one.
  if (ring >= rings_.size()) return;
  rings_[ring].store(on);
  changed_.store(true, std::memory_order_release);
}

bool VhostChannel::up() const {
  return connected() && rings_[kMachineReceives].load() &&
         rings_[kMachineSends].load();
}

VhostChannel::Statistics VhostChannel::statistics() const {
  return {.connections = connections_.load(std::memory_order_relaxed),
          .refused = refused_.load(std::memory_order_relaxed),
          .oversized = oversized_.value(),
          .interrupts = interrupts_.value()};
}

}  // namespace sluice
