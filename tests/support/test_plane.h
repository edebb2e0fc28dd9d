// An engine over rings in place of NICs, whose workers a test moves.
#ifndef SLUICE_TESTS_SUPPORT_TEST_PLANE_H_
#define SLUICE_TESTS_SUPPORT_TEST_PLANE_H_

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/engine/engine.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"
#include "tests/support/test_engine.h"

namespace sluice {

// A device whose wire is two rings for each queue. It is there before the
// port that takes it, and after.
class RingPort {
 public:
  RingPort(const std::string& name, uint16_t rx_queues, uint16_t tx_queues,
           uint32_t size)
      : name_(name) {
    for (uint16_t queue = 0; queue < rx_queues; ++queue) {
      rx_.push_back(MakeRing(name + "r" + std::to_string(queue), size));
    }
    for (uint16_t queue = 0; queue < tx_queues; ++queue) {
      tx_.push_back(MakeRing(name + "t" + std::to_string(queue), size));
    }
    EXPECT_GE(rte_eth_from_rings(name.c_str(), rx_.data(), rx_queues,
                                 tx_.data(), tx_queues, SOCKET_ID_ANY),
              0)
        << name;
  }
  // The port has released the device.
  ~RingPort() {
    for (const auto& rings : {rx_, tx_}) {
      for (rte_ring* ring : rings) {
        void* pointer;
        while (rte_ring_dequeue(ring, &pointer) == 0) {
          rte_pktmbuf_free(static_cast<rte_mbuf*>(pointer));
        }
        rte_ring_free(ring);
      }
    }
  }
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  std::string device() const { return "net_ring_" + name_; }

  // False if the ring is full; the mbuf stays the caller's then.
  bool Arrive(rte_mbuf* mbuf, uint16_t queue = 0) {
    return rte_ring_enqueue(rx_[queue], mbuf) == 0;
  }
  // Null if nothing has left.
  rte_mbuf* Leave(uint16_t queue = 0) {
    void* pointer;
    return rte_ring_dequeue(tx_[queue], &pointer) == 0
               ? static_cast<rte_mbuf*>(pointer)
               : nullptr;
  }
  // Frees what has left and counts it.
  uint32_t Drain() {
    uint32_t count = 0;
    for (uint16_t queue = 0; queue < tx_.size(); ++queue) {
      while (rte_mbuf* mbuf = Leave(queue)) {
        rte_pktmbuf_free(mbuf);
        ++count;
      }
    }
    return count;
  }

 private:
  static rte_ring* MakeRing(const std::string& name, uint32_t size) {
    rte_ring* ring = rte_ring_create(name.c_str(), size, SOCKET_ID_ANY, 0);
    EXPECT_NE(ring, nullptr) << name;
    return ring;
  }

  const std::string name_;
  std::vector<rte_ring*> rx_, tx_;
};

struct TestPlaneOptions {
  uint16_t workers = 1;
  uint16_t tx_queues = 0;  // 0: one a worker
  uint32_t handoff_ring = 256;
  uint32_t port_ring = 1024;
  uint32_t may_hold = 400;  // mbufs
  // Of the restore service.
  RestoreLimits restore = {};
  size_t max_snapshot = size_t{256} << 20;
  TransferLimits transfers = {};
  std::function<RestoreTime()> restore_clock = nullptr;
};

// Port 0 is "in", port 1 is "out"; a wire joins them. Queue q of both belongs
// to worker q.
class TestPlane {
 public:
  explicit TestPlane(const TestPlaneOptions& options) : pool_(8191) {
    const uint16_t tx_queues =
        options.tx_queues > 0 ? options.tx_queues : options.workers;
    Engine::Options engine = TestEngineOptions(pool_.get());
    engine.workers = options.workers;
    engine.states = 4096u * options.workers;
    engine.handoff_ring = options.handoff_ring;
    engine.may_hold = options.may_hold;
    engine.restore = options.restore;
    engine.max_snapshot = options.max_snapshot;
    engine.transfers = options.transfers;
    engine.restore_clock = options.restore_clock;
    // The rings' names have to be free of those of other tests' ports.
    static int serial = 0;
    const std::string suffix = std::to_string(serial++);
    for (const char* name : {"in", "out"}) {
      ports_.push_back(std::make_unique<RingPort>(
          name + suffix, options.workers, tx_queues, options.port_ring));
      engine.ports.push_back(
          {.name = name, .device = ports_.back()->device()});
    }
    engine.wires = {{.ports = {0, 1}}};
    engine_ = StartTestEngine(std::move(engine));
    if (engine_ == nullptr) std::abort();
    topology_ = *plane().topology.load();
    plane().topology.store(&topology_);
  }
  ~TestPlane() {
    for (const auto& port : ports_) port->Drain();
  }

  // The rules are in force for the workers' next rounds.
  void Load(const std::string& text) {
    ASSERT_TRUE(TryLoad(text).ok()) << text;
  }
  absl::Status TryLoad(const std::string& text) {
    return LoadRules(engine_->filters().main(), text);
  }

  rte_mbuf* Make(const std::string& text) {
    return pool_.Make(FrameFromText(text));
  }
  RingPort& port(size_t i) { return *ports_[i]; }
  Engine& engine() { return *engine_; }
  Worker& worker(size_t i) { return engine_->worker(i); }
  Plane& plane() { return engine_->plane(); }
  // Of main, which judges at both ports.
  FilterPlane& filter() { return engine_->filters().main().plane(); }
  PolicyStore& store() { return engine_->filters().main().store(); }
  StateBudget& budget() { return *filter().budget; }
  MbufPool& pool() { return pool_; }
  HoldBudget& hold_budget() { return engine_->hold_budget(); }
  // For changes while no worker runs.
  Topology& topology() { return topology_; }
  const std::vector<Worker*>& workers() const {
    return engine_->environment().workers;
  }

  // Sums over all workers.
  uint64_t Sum(Counter PortCounters::* counter) const {
    uint64_t sum = 0;
    for (const Worker* worker : workers()) {
      for (const PortCounters& port : worker->counters()) {
        sum += (port.*counter).value();
      }
    }
    return sum;
  }
  uint64_t Drops(DropReason reason) const {
    uint64_t sum = 0;
    for (const Worker* worker : workers()) {
      for (const PortCounters& port : worker->counters()) {
        sum += port.drops[static_cast<size_t>(reason)].value();
      }
    }
    return sum;
  }
  uint64_t AllDrops() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < kDropReasonCount; ++i) {
      sum += Drops(static_cast<DropReason>(i));
    }
    return sum;
  }

 private:
  MbufPool pool_;
  std::vector<std::unique_ptr<RingPort>> ports_;
  Topology topology_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_TEST_PLANE_H_
