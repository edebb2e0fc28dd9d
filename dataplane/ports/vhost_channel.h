// What workers have of a port of a virtual machine: its pair of rings in the
// machine's memory, which DPDK's vhost library reads and writes, while there is
// one.
//
// A machine comes and goes as it likes, on a thread of the library's. Receiving
// and sending have a gate each, which a worker closes for the length of a burst
// call: who takes the rings away first takes their number back and then waits
// for both gates (tests/models/vhost_end.pml). So the wait is as long as a call
// under way at most, whatever other ports and workers do.
//
// The gates also keep two workers from one ring, where one stands in for
// another.
#ifndef SLUICE_DATAPLANE_PORTS_VHOST_CHANNEL_H_
#define SLUICE_DATAPLANE_PORTS_VHOST_CHANNEL_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "packet/counter.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

class VhostChannel {
 public:
  // `pool` for what is received; frames of more bytes than `largest` are not.
  VhostChannel(std::string name, rte_mempool* pool, uint32_t largest)
      : name_(std::move(name)), pool_(pool), largest_(largest) {}
  VhostChannel(const VhostChannel&) = delete;
  VhostChannel& operator=(const VhostChannel&) = delete;

  // ---- Workers.

  bool connected() const {
    return id_.load(std::memory_order_relaxed) != kNobody;
  }
  // Takes frames that the machine has sent. None if another worker is at it.
  uint16_t Receive(std::span<rte_mbuf*> mbufs);
  // Copies frames to where the machine wants them, as many as it has room for,
  // and returns how many. All of them stay the caller's. It stops before the
  // first that finds no buffers, be it that it is larger than they are.
  uint16_t Send(std::span<rte_mbuf*> mbufs);
  // What the port's MTU allows.
  uint32_t largest() const { return largest_; }

  // ---- Threads of the library, one at a time.

  // Whether a connection may be; there is one at a time.
  bool Connect();
  void Disconnect();
  // The machine's driver is there: the library's number of the rings.
  void Begin(int id);
  // It is not any more. When this returns no worker is in the rings, nor comes.
  void End();
  void SetRing(uint16_t ring, bool on);
  // The library has woken the machine; on a worker.
  void CountInterrupt() { interrupts_.Add(1); }

  // ---- Any thread.

  // Whether both of its rings are there and the machine's driver uses them.
  bool up() const;
  // Whether anything of that has changed since the last call.
  bool TakeChange() { return changed_.exchange(false, std::memory_order_acquire); }
  int id() const { return id_.load(std::memory_order_acquire); }

  struct Statistics {
    uint64_t connections = 0;
    uint64_t refused = 0;     // there was one already
    uint64_t oversized = 0;   // frames that were too large
    uint64_t interrupts = 0;  // of the machine
  };
  Statistics statistics() const;

 private:
  static constexpr int kNobody = -1;

  // The order of all gates and of id_ is the one order of the program
  // (seq_cst): a worker that has closed a gate before the number went is seen
  // to have, and one that closes it later sees that it went.
  class Gate {
   public:
    bool TryClose() { return !closed_.exchange(true, std::memory_order_seq_cst); }
    void Open() { closed_.store(false, std::memory_order_release); }
    bool closed() const { return closed_.load(std::memory_order_seq_cst); }

   private:
    alignas(64) std::atomic<bool> closed_{false};
  };
  void Await(const Gate& gate) const;
  // As many of them as a call may be asked for.
  std::span<rte_mbuf*> Bounded(uint16_t ring, std::span<rte_mbuf*> mbufs) const {
    return mbufs.first(std::min<size_t>(mbufs.size(), most_[ring]));
  }
  uint16_t KeepFitting(std::span<rte_mbuf*> mbufs);

  const std::string name_;
  rte_mempool* const pool_;
  const uint32_t largest_;
  // Writer: threads of the library. Readers: workers.
  std::atomic<int> id_{kNobody};
  // How many frames a call may be asked for, of each ring; written before id_
  // says that they are there.
  std::array<uint16_t, 2> most_{};
  std::array<std::atomic<bool>, 2> rings_{};
  std::atomic<bool> changed_{false};
  std::atomic<bool> connection_{false};
  bool told_ = false;  // that another connection was refused
  std::atomic<uint64_t> connections_{0}, refused_{0};
  Gate receiving_, sending_;
  Counter oversized_;    // behind receiving_
  Counter interrupts_;   // some may be lost
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_VHOST_CHANNEL_H_
