// A whole firewall in one thread, without ports, clock or hugepages: a filter
// and a worker's shard as the Engine has them, and a virtual clock that the
// caller moves. sluice-replay feeds it captures, the scenario tests feed it
// packets from text.
#ifndef SLUICE_DATAPLANE_REPLAY_SIMULATION_H_
#define SLUICE_DATAPLANE_REPLAY_SIMULATION_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conntrack/expectation.h"
#include "conntrack/source_nodes.h"
#include "conntrack/translation_directory.h"
#include "dataplane/forward/bare_filter.h"
#include "dataplane/forward/filter_views.h"
#include "dataplane/forward/logical_ports.h"
#include "dataplane/forward/mac_table.h"
#include "dataplane/forward/neighbor_table.h"
#include "dataplane/forward/own_addresses.h"
#include "dataplane/forward/round_context.h"
#include "dataplane/forward/router_exchange.h"
#include "dataplane/forward/topology.h"
#include "dataplane/forward/worker_shard.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/host/host_facts.h"
#include "pftable/store/policy_store.h"

struct rte_mempool;

namespace sluice {

struct SimulatedPort {
  std::string name{};
  std::vector<std::string> groups{};
  std::vector<Prefix> addresses{};  // its own, host bits kept
  // Of a logical port: the port whose frames with these tags are its own.
  std::optional<uint16_t> parent{};
  VlanTags tags{};
  SpoofSettings guard{};
  uint16_t mtu = 1500;
};

struct SimulatedWire {
  uint16_t first = 0;  // indexes of ports
  uint16_t second = 0;
  bool pass_non_ip = true;
  // It answers for translation addresses, which nobody else is asked for, by
  // the MAC address 02:00:00:00:ff:NN of port NN.
  bool answer_arp = false;
};

struct SimulatedSegment {
  std::vector<uint16_t> ports{};  // indexes
  bool flood_unknown = true;
  bool flood_multicast = true;
  bool flood_broadcast = true;
  MacTable::Options macs{};
  std::vector<std::pair<LinkAddress, uint16_t>> fixed{};
};

// Ports between which packets go by their IP addresses. The tables are the
// caller's to fill; a port has its address 02:00:00:00:ff:NN.
struct SimulatedRouter {
  std::vector<uint16_t> ports{};  // indexes
};

struct SimulationOptions {
  std::vector<SimulatedPort> ports{};
  std::vector<SimulatedWire> wires{};
  std::vector<SimulatedSegment> segments{};
  std::vector<SimulatedRouter> routers{};
  // Of the state table, 0: room for the state limit of the first policy, at
  // least 1000.
  uint32_t state_capacity = 0;
  uint32_t source_nodes = 0;  // 0: room for 16384
  // What helpers may expect; 0: the table's default.
  uint32_t expectations = 0;
  // Fragments that may wait for the rest of their datagrams.
  uint32_t fragments = 4096;
  ParseOptions parse{};
  // For answers.
  rte_mempool* pool = nullptr;
  // For packets of `log` rules; null: not wanted.
  LogRing* log = nullptr;
  // Told of states that are made and end; null: nobody is.
  FlowRecorder* flows = nullptr;
  bool all_flows = false;  // and not only of those with `pflow`
  // Of the hashes and of `probability`: equal seeds give equal runs.
  uint64_t seed = 1;
  // Where the clock starts.
  Tick start = 0;
  // As in Pipeline::Config.
  void (*on_verdict)(void* context, uint32_t index,
                     const PacketVerdict& verdict) = nullptr;
  void* on_verdict_context = nullptr;
};

class Simulation {
 public:
  // Errors: ports that the registry refuses, no memory.
  static absl::StatusOr<std::unique_ptr<Simulation>> Build(
      const SimulationOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Puts a policy in force. After an error the old one still is.
  absl::Status Load(Policy policy);
  // What rulesets may name of this firewall: its ports.
  HostFacts Facts() const;

  // Moves the clock on and ends all states and expectations that are due on
  // the way, each at its time to within a quarter of a second.
  // `take` has what has waited and leaves by then.
  using Take = std::function<void(uint16_t, rte_mbuf*)>;
  void Advance(uint64_t milliseconds, const Take& take = {});
  Tick now() const { return round_.now; }

  // As Pipeline::Process(), at the present time. The caller owns what is in
  // `result`.
  void Process(uint16_t port, PacketBurst& burst, BurstResult& result);
  // Everything in `result` leaves: counts it, and hands over each packet with
  // the port that it leaves by.
  // In the place of the port, of what is given to the host; mbuf->port is where
  // it arrived.
  static constexpr uint16_t kHost = kNoPort;
  void Send(uint16_t port, BurstResult& result, const Take& take);

  // A burst that arrived at a port of any kind: `take` has each packet that
  // leaves, with the port that it leaves by, as it is on the device there.
  void Deliver(uint16_t port, PacketBurst& burst, const Take& take);
  // What the host sends by a port of a router.
  void DeliverFromHost(uint16_t port, PacketBurst& burst, const Take& take);
  // Those that have waited for a next hop and need not any longer.
  void ResumeRouted(const Take& take);
  RoutingTables& tables(size_t router) {
    return *topology_->routers[router].tables;
  }
  size_t routers() const { return topology_->routers.size(); }
  // Frames that rules for layer 2 have sent by ports of their own.
  uint64_t bridged() const { return bridged_; }
  // Which hops were asked for since the last call, in order.
  std::vector<NeighborQuestion> TakeQuestions() {
    return std::exchange(questions_, {});
  }
  // What each port of a wire or a router has.
  static constexpr MacAddress MacOf(uint16_t port) {
    return {2, 0, 0, 0, 0xff, static_cast<uint8_t>(port)};
  }
  // The firewall's answers to what the host has sent.
  uint64_t answers_to_host() const { return answers_to_host_; }
  // Of that burst: the port that the frame at this index arrived at.
  uint16_t arrival(uint32_t index) const { return arrivals_[index]; }
  MacTable& macs(size_t segment) { return *topology_->segments[segment].macs; }
  size_t segments() const { return topology_->segments.size(); }

  void SetLink(uint16_t port, bool up) { topology_->ports[port].up = up; }
  void SetEnabled(bool enabled) { filter_.plane.enabled = enabled; }

  uint16_t peer(uint16_t port) const { return topology_->ports[port].peer; }
  const std::vector<SimulatedPort>& ports() const { return options_.ports; }
  const PortCounters& counters(uint16_t port) const {
    return std::as_const(*shard_).counters()[port];
  }
  PolicyStore& store() { return filter_.store; }
  StateTable& states() { return shard_->states(); }
  // Packets that wait for a neighbour.
  uint32_t waiting() const { return shard_->pipeline().waiting(); }
  const FragmentCache& fragments() const {
    return std::as_const(*shard_).pipeline().fragments();
  }
  ExpectationTable& expectations() { return expectations_; }
  const TranslationDirectory& translations() const { return translations_; }
  const InterfaceRegistry& interfaces() const { return interfaces_; }
  const StateBudget& budget() const { return filter_.budget; }
  const SourceBudget& source_budget() const { return filter_.sources; }
  SourceNodes& sources() { return *sources_; }
  // Their sum over workers.
  uint64_t limit_counter(LimitCounter which) {
    return filter_.store.worker_counters(0).limit(which).value();
  }

 private:
  explicit Simulation(const SimulationOptions& options);
  absl::Status Start();
  void Join();
  void JoinRouters();
  // Of the burst of Deliver(); places[i] is where frame i of `burst` was in it.
  using Places = std::array<uint32_t, kMaxBurst>;
  void DeliverAt(uint16_t port, PacketBurst& burst, const Places& places,
                 const Take& take);
  void Flood(uint16_t port, PacketBurst& burst, const Take& take);
  void RouteAt(uint16_t port, PacketBurst& burst, const Take& take);
  void ReassembleRouted(uint16_t port, PacketBurst& burst);
  void AskForHops();
  void Depart(uint16_t port, uint16_t to, BurstResult& result,
              const Take& take);
  static void OnVerdict(void* simulation, uint32_t index,
                        const PacketVerdict& verdict);
  const FilterView& LookAtFilter();
  // Packets that need not wait for their neighbour any longer.
  void SendReady(const std::function<void(uint16_t, rte_mbuf*)>& take);
  bool sending_ready_ = false;
  // After whatever may have changed the addresses of wires.
  void AnswerForTranslations();
  // What the control side does with sources that open too many connections.
  void CarryOutOverloads();
  void LimitSource(const OverloadOrder& order);
  void FlushSource(const Address& source, std::optional<uint32_t> rule_slot);

  const SimulationOptions options_;
  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
  BareFilter filter_;
  FilterTable filters_;
  ExpectationTable expectations_;
  TranslationDirectory translations_;
  NeighborTable neighbors_;
  std::vector<std::unique_ptr<OwnAddresses>> own_;
  uint64_t answers_for_ = 0;  // the generation whose addresses they are
  std::unique_ptr<SourceNodes> sources_;
  std::vector<std::unique_ptr<SpoofGuard>> guards_;
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<WorkerShard> shard_;
  RoundContext round_;
  std::optional<FilterViews> views_;
  std::vector<NeighborQuestion> questions_;
  uint64_t answers_to_host_ = 0;
  uint64_t bridged_ = 0;
  // Of the burst of Deliver().
  std::array<uint16_t, kMaxBurst> arrivals_{};
  const Places* places_ = nullptr;  // null: those of the burst itself
  uint32_t age_cursor_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_SIMULATION_H_
