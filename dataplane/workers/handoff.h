// Packets from one worker to another: a bounded ring for each ordered pair.
// One worker writes a ring and one reads it, so that neither ever waits.
#ifndef SLUICE_DATAPLANE_WORKERS_HANDOFF_H_
#define SLUICE_DATAPLANE_WORKERS_HANDOFF_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct rte_mbuf;
struct rte_ring;

namespace sluice {

// A ring of pointers with one producer and one consumer, in memory of its own.
class PointerRing {
 public:
  // Holds `capacity` pointers, 1..2^20.
  explicit PointerRing(uint32_t capacity);

  // Producer: takes the first ones, as many as there is room for.
  uint32_t Push(std::span<void* const> pointers);
  // Consumer: fills the front of `pointers`.
  uint32_t Pop(std::span<void*> pointers);

 private:
  struct Free {
    void operator()(rte_ring* ring) const;
  };
  std::unique_ptr<rte_ring, Free> ring_;
};

// In an mbuf's port number, on its way between workers: it belongs to a worker
// that does not run.
inline constexpr uint16_t kOrphanPort = 0x8000;
// The host sends it by this port.
inline constexpr uint16_t kFromHostPort = 0x4000;

class Handoff {
 public:
  // `capacity` packets in the ring of each pair.
  Handoff(uint16_t workers, uint32_t capacity);
  // Frees the packets that are still in a ring.
  ~Handoff();
  Handoff(const Handoff&) = delete;
  Handoff& operator=(const Handoff&) = delete;

  // Called by worker `from`: hands the first packets to worker `to`, as many
  // as there is room for, and returns how many. The others stay the caller's.
  uint32_t Send(uint16_t from, uint16_t to, std::span<rte_mbuf* const> mbufs);
  // Called by worker `to`.
  uint32_t Receive(uint16_t to, uint16_t from, std::span<rte_mbuf*> mbufs);

 private:
  PointerRing& Ring(uint16_t from, uint16_t to) {
    return *rings_[size_t{from} * workers_ + to];
  }

  const uint16_t workers_;
  // By pair; null from a worker to itself.
  std::vector<std::unique_ptr<PointerRing>> rings_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_HANDOFF_H_
