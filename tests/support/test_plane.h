// Workers over rings in place of NICs: what the daemon assembles, without its
// ports and its control socket.
#ifndef SLUICE_TESTS_SUPPORT_TEST_PLANE_H_
#define SLUICE_TESTS_SUPPORT_TEST_PLANE_H_

#include <gtest/gtest.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/state_budget.h"
#include "conntrack/state_table.h"
#include "dataplane/forward/rule_sink.h"
#include "dataplane/workers/worker.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_store.h"
#include "pftable/engine/reclaimer.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {

// A port whose wire is two rings for each queue.
class RingPort {
 public:
  RingPort(const std::string& name, uint16_t queues, uint32_t size,
           rte_mempool* pool)
      : name_(name) {
    std::vector<rte_ring*> rx, tx;
    for (uint16_t queue = 0; queue < queues; ++queue) {
      rx.push_back(MakeRing(name + "r" + std::to_string(queue), size));
      tx.push_back(MakeRing(name + "t" + std::to_string(queue), size));
    }
    rings_ = rx;
    rings_.insert(rings_.end(), tx.begin(), tx.end());
    rx_ = rx;
    tx_ = tx;
    const int port = rte_eth_from_rings(name.c_str(), rx.data(), queues,
                                        tx.data(), queues, SOCKET_ID_ANY);
    EXPECT_GE(port, 0) << name;
    ethdev_ = static_cast<uint16_t>(port);
    const rte_eth_conf conf = {};
    EXPECT_EQ(rte_eth_dev_configure(ethdev_, queues, queues, &conf), 0);
    for (uint16_t queue = 0; queue < queues; ++queue) {
      EXPECT_EQ(rte_eth_rx_queue_setup(ethdev_, queue, 64, SOCKET_ID_ANY,
                                       nullptr, pool),
                0);
      EXPECT_EQ(
          rte_eth_tx_queue_setup(ethdev_, queue, 64, SOCKET_ID_ANY, nullptr),
          0);
    }
    EXPECT_EQ(rte_eth_dev_start(ethdev_), 0);
  }
  ~RingPort() {
    rte_eth_dev_info info = {};
    rte_eth_dev_info_get(ethdev_, &info);
    rte_eth_dev_stop(ethdev_);
    rte_eth_dev_close(ethdev_);
    rte_dev_remove(info.device);
    for (rte_ring* ring : rings_) {
      void* pointer;
      while (rte_ring_dequeue(ring, &pointer) == 0) {
        rte_pktmbuf_free(static_cast<rte_mbuf*>(pointer));
      }
      rte_ring_free(ring);
    }
  }
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  uint16_t ethdev() const { return ethdev_; }

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

  std::string name_;
  std::vector<rte_ring*> rings_, rx_, tx_;
  uint16_t ethdev_ = 0;
};

struct TestPlaneOptions {
  uint16_t workers = 1;
  uint16_t tx_queues = 0;  // 0: one a worker
  uint32_t handoff_ring = 256;
  uint32_t port_ring = 1024;
  uint32_t may_hold = 400;  // mbufs
};

// Port 0 is "in", port 1 is "out"; a wire joins them. Queue q of both belongs
// to worker q.
class TestPlane {
 public:
  explicit TestPlane(const TestPlaneOptions& options)
      : options_(options), pool_(8191) {
    const uint16_t tx_queues =
        options.tx_queues > 0 ? options.tx_queues : options.workers;
    // The rings' names have to be free of those of other tests' ports.
    static int serial = 0;
    const std::string suffix = std::to_string(serial++);
    for (const char* name : {"net_ring_a", "net_ring_b"}) {
      ports_.push_back(std::make_unique<RingPort>(
          name + suffix, options.workers, options.port_ring, pool_.get()));
    }
    const size_t bytes =
        (rte_rcu_qsbr_get_memsize(options.workers) + 127) / 128 * 128;
    quiescence_.reset(
        static_cast<rte_rcu_qsbr*>(std::aligned_alloc(128, bytes)));
    rte_rcu_qsbr_init(quiescence_.get(), options.workers);
    reclaimer_ = std::make_unique<RcuReclaimer>(quiescence_.get());
    auto topology = std::make_unique<Topology>();
    const std::array<const char*, 2> names = {"in", "out"};
    for (uint16_t i = 0; i < 2; ++i) {
      topology->ports[i] = {.interface = *interfaces_.AddPort(names[i]),
                            .peer = static_cast<uint16_t>(1 - i),
                            .port = i};
    }
    topology_ = std::move(topology);
    store_ = std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = options.workers,
                          .rule_slots = 256,
                          .table_slots = 16},
        &interfaces_, reclaimer_.get());
    plane_ = std::make_unique<Plane>(options.workers, options.handoff_ring);
    plane_->quiescence = quiescence_.get();
    plane_->expectations = &expectations_;
    filter_.serial = 1;
    filter_.policy = store_.get();
    filter_.budget = &budget_;
    filter_.MakeHolds(options.workers, &hold_budget_);
    filter_.status.Enable(false);
    plane_->filters.Publish(&filter_);
    for (uint16_t port = 0; port < 2; ++port) {
      PortDevice& device = topology_->devices[port];
      device.ethdev = ports_[port]->ethdev();
      device.rx_queues = options.workers;
      device.tx_queues = tx_queues;
      for (uint16_t i = 0; i < options.workers; ++i) {
        device.pollers[i] = static_cast<uint8_t>(i);
      }
    }
    plane_->topology.store(topology_.get());
    for (uint16_t i = 0; i < options.workers; ++i) {
      auto states = StateTable::Build({.worker = static_cast<uint8_t>(i),
                                       .capacity = 4096,
                                       .filters = 4,
                                       .secret = HashSecret::FromSeed(1),
                                       .huge_pages = false,
                                       .prefault = false});
      EXPECT_TRUE(states.ok()) << states.status();
      Worker::Options worker;
      worker.index = i;
      worker.may_sleep = true;
      worker.pool = pool_.get();
      sinks_.push_back(std::make_unique<RuleSink>(i, &plane_->filters));
      workers_.push_back(std::make_unique<Worker>(
          std::move(worker), plane_.get(), *std::move(states),
          sinks_.back().get()));
    }
  }
  ~TestPlane() {
    for (const auto& port : ports_) port->Drain();
  }

  // The rules are in force for the workers' next rounds.
  void Load(const std::string& text) {
    ASSERT_TRUE(TryLoad(text).ok()) << text;
  }
  absl::Status TryLoad(const std::string& text) {
    ParseInput input;
    input.file_name = "rules";
    input.text = text;
    const ParseResult parsed = ParsePolicy(std::move(input));
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(
          FormatDiagnostics(parsed.diagnostics));
    }
    const absl::Status status = store_->Load(parsed.policy);
    if (status.ok()) filter_.loaded.store(true);
    return status;
  }

  rte_mbuf* Make(const std::string& text) {
    return pool_.Make(FrameFromText(text));
  }
  RingPort& port(size_t i) { return *ports_[i]; }
  Worker& worker(size_t i) { return *workers_[i]; }
  Plane& plane() { return *plane_; }
  FilterPlane& filter() { return filter_; }
  PolicyStore& store() { return *store_; }
  MbufPool& pool() { return pool_; }
  InterfaceRegistry& interfaces() { return interfaces_; }
  StateBudget& budget() { return budget_; }
  HoldBudget& hold_budget() { return hold_budget_; }
  // For changes while no worker runs.
  Topology& topology() { return *topology_; }
  std::vector<Worker*> workers() {
    std::vector<Worker*> list;
    for (const auto& worker : workers_) list.push_back(worker.get());
    return list;
  }

  // Sums over all workers.
  uint64_t Sum(Counter PortCounters::* counter) const {
    uint64_t sum = 0;
    for (const auto& worker : workers_) {
      for (const PortCounters& port : worker->counters()) {
        sum += (port.*counter).value();
      }
    }
    return sum;
  }
  uint64_t Drops(DropReason reason) const {
    uint64_t sum = 0;
    for (const auto& worker : workers_) {
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
  struct FreeMemory {
    void operator()(void* memory) const { std::free(memory); }
  };

  const TestPlaneOptions options_;
  MbufPool pool_;
  std::vector<std::unique_ptr<RingPort>> ports_;
  std::unique_ptr<rte_rcu_qsbr, FreeMemory> quiescence_;
  std::unique_ptr<RcuReclaimer> reclaimer_;
  InterfaceRegistry interfaces_;
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<PolicyStore> store_;
  StateBudget budget_{8192};
  HoldBudget hold_budget_{options_.may_hold};
  ExpectationTable expectations_{{.capacity = 64}, HashSecret::FromSeed(2)};
  FilterPlane filter_;
  std::unique_ptr<Plane> plane_;
  std::vector<std::unique_ptr<RuleSink>> sinks_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_TEST_PLANE_H_
