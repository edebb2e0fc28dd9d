// The ports of the daemon: those of the configuration, those that are plugged
// in later, and names that a filter was made for before its port came. Also
// the topology, which tells workers of all of them.
//
// Belongs to the control lcore; only Port::Open() and Port::Start() of a port
// that is being plugged in run on the builder thread.
#ifndef SLUICE_DATAPLANE_PORTS_PORT_SET_H_
#define SLUICE_DATAPLANE_PORTS_PORT_SET_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/base/grace_list.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/logical_ports.h"
#include "dataplane/forward/mac_table.h"
#include "dataplane/forward/own_addresses.h"
#include "dataplane/forward/port_counters.h"
#include "dataplane/forward/topology.h"
#include "dataplane/ports/port.h"
#include "dataplane/ports/port_sums.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/host/host_facts.h"

namespace sluice {

class PortSet {
 public:
  struct Entry {
    PortConfig config;  // without a device: the name alone counts
    std::unique_ptr<Port> device;
    uint64_t serial = 0;         // of this device, never given out twice
    // While there is a device, or has been one until it was taken out.
    uint16_t number = kNoPort;
    InterfaceView interface;
    std::string wire;  // the port at the other end; empty: none
    std::string segment;  // that it is in; empty: none
    std::string router;   // that it belongs to; empty: none
    // Of a port of a router: the addresses that its interface of the kernel's
    // has. Rules see them beside those of its configuration.
    std::vector<Prefix> kernel_addresses{};
    size_t children = 0;  // logical ports on its device
    bool pass_non_ip = true;
    bool answer_arp = false;
    // With `answer_arp`, of both ends of the wire; null: nothing yet.
    std::shared_ptr<OwnAddresses> own{};
    bool enabled = true;  // by order
    bool excluded = false;
    uint32_t incarnation = 1;
    uint16_t filter = kMainFilter;
    std::unique_ptr<SpoofGuard> guard;  // of config.guard; null: none
    std::array<uint8_t, kMaxQueues> pollers{};
    PortSums base;  // what had been counted under its number before it
    uint16_t claims = 0;  // filters that are being made for it
  };

  // Nothing is owned. What workers are to know goes to `topology`.
  PortSet(const Port::Options& options,
          std::atomic<const Topology*>* topology,
          InterfaceRegistry* interfaces, GraceList* grace);
  // No worker runs any more.
  ~PortSet();
  PortSet(const PortSet&) = delete;
  PortSet& operator=(const PortSet&) = delete;

  // The ports and wires of the start, so that rules may name them. Touches no
  // device.
  absl::Status Declare(std::span<const PortConfig> ports,
                       std::span<const WireConfig> wires,
                       std::span<const SegmentConfig> segments = {},
                       std::span<const RouterConfig> routers = {});
  // Opens and starts their devices.
  absl::Status Open();
  absl::Status Start();
  // What each worker counts, by port number.
  void SetCounters(std::vector<std::span<const PortCounters>> counters) {
    counters_ = std::move(counters);
  }

  // Null: there is none of that name.
  Entry* Find(std::string_view name);
  const std::map<std::string, Entry, std::less<>>& entries() const {
    return entries_;
  }
  // Makes the name known without a device. InvalidArgument for what cannot
  // name a port.
  absl::StatusOr<Entry*> Name(const std::string& name);
  // The name is forgotten if it has no device, no wire, no filter but main
  // and no claim.
  void Forget(const std::string& name);

  // Whether it can send and receive: its own device is there, or its parent's.
  bool Present(const Entry& entry) const;
  // The port with whose device it does so; null: there is none.
  const Entry* DeviceOf(const Entry& entry) const;
  bool IsUp(const Entry& entry) const {
    const Entry* const device = DeviceOf(entry);
    return device != nullptr && device->device->link().up;
  }

  // ---- Ports that come and go (port_set_plug.cc).

  // Refuses what cannot be: words that sluice.toml would not take, names that
  // are taken, wires that have two ends.
  // Nor, but with `wire_may_come`, wires to ports that nobody knows.
  absl::Status CheckPlug(const PortConfig& config, const std::string& wire,
                         bool wire_may_come = false) const;
  // Enters a device that was opened and started. With an error the device is
  // gone. Rules that name it have to be compiled again afterwards. A port that
  // was known before stays as enabled as it was ordered to be; others begin as
  // `enabled` says.
  absl::StatusOr<Entry*> Plug(std::unique_ptr<Port> device,
                              const std::string& wire, bool pass_non_ip,
                              bool enabled, bool wire_may_come = false);
  // The same of a logical port, whose device is its parent's.
  absl::StatusOr<Entry*> PlugLogical(const PortConfig& config,
                                     const std::string& wire, bool pass_non_ip,
                                     bool enabled, bool wire_may_come = false);
  // Why a port cannot be taken out: others are on its device.
  absl::Status CheckUnplug(const Entry& entry) const;
  // Takes the device away from the workers; `release` gets it when none uses
  // it any more.
  void Unplug(Entry* entry,
              absl::AnyInvocable<void(std::unique_ptr<Port>)> release);

  // Ports whose device was taken out and that still hold it.
  std::vector<Entry*> RemovedByHand();
  // How many there have been.
  uint64_t removed() const { return removed_; }
  // Takes such a device away from the workers. The port stays, down, with its
  // wire and its filter, until it is unplugged.
  void TakeOut(Entry* entry,
               absl::AnyInvocable<void(std::unique_ptr<Port>)> release);

  // ---- What is known of them.

  // The addresses that the kernel has given it, as rules are to know them from
  // now on beside those of the configuration: `(if)` in force, and what names
  // it at the next load. False: they are as they were. NotFound if there is no
  // such port.
  absl::StatusOr<bool> SetAddresses(std::string_view name,
                                    std::span<const Prefix> addresses);

  // From now on what arrives there is held against these; what was learned is
  // forgotten.
  void Guard(Entry* entry, SpoofSettings settings);
  // ---- Segments (port_set_segments.cc). Errors say what and what to do, and
  // nothing has changed.

  struct SegmentEntry {
    SegmentConfig config;  // what `ports` says now
    bool configured = false;  // by sluice.toml
    uint16_t number = kNoSegment;
    std::shared_ptr<MacTable> macs;
  };
  absl::Status AddSegment(const SegmentConfig& config, bool configured);
  absl::Status RemoveSegment(const std::string& name);
  absl::Status Attach(const std::string& segment, const std::string& port);
  absl::Status Detach(const std::string& segment, const std::string& port);
  // Whether Attach() would do it for a port that is not there yet.
  absl::Status CheckAttach(const std::string& segment,
                           const std::string& port) const;
  absl::Status FixMac(const std::string& segment, LinkAddress mac,
                      const std::string& port);
  absl::Status UnfixMac(const std::string& segment, LinkAddress mac);
  absl::Status ForgetMacs(const std::string& segment);
  const std::map<std::string, SegmentEntry, std::less<>>& segments() const {
    return segments_;
  }
  // ---- Routers (port_set_routers.cc), which are those of the start.

  struct RouterEntry {
    RouterConfig config;  // what `ports` says now
    uint16_t number = kNoRouter;
    std::shared_ptr<RoutingTables> tables;
  };
  const std::map<std::string, RouterEntry, std::less<>>& routers() const {
    return routers_;
  }
  // Where packets of that router go, from the next Publish() on.
  void SetTables(const std::string& router,
                 std::shared_ptr<RoutingTables> tables);
  // Whether a port of that name, with that interface, may belong to it.
  absl::Status CheckJoin(const std::string& router, const std::string& port,
                         const std::string& tap) const;
  absl::Status Join(const std::string& router, const std::string& port);

  // Ends addresses that nothing came from for a while.
  void AgeMacs(Tick now);
  // The name of the port with that number; empty: none.
  std::string NameOf(uint16_t number) const;

  // Asks devices whose link may have changed; publishes what is new.
  void PollLinks(uint64_t milliseconds);
  // Tells the workers of everything.
  void Publish();
  // What the firewall answers for at the wire of that port, which has
  // `answer_arp`, from the next Publish() on.
  void SetOwn(Entry* entry, std::vector<Address> addresses,
              std::vector<Address> leaving);

  // What rulesets may name: the ports as interfaces, the common services and
  // protocols. Immutable; a change makes another one.
  // Any thread.
  std::shared_ptr<const HostFacts> facts() const;
  const Port::Options& options() const { return options_; }
  // Since the port was plugged in.
  PortSums Counters(const Entry& entry) const;

 private:
  // Whether a port may have that name, and be as it says.
  static absl::Status CheckName(const std::string& name);
  static absl::Status CheckWords(const PortConfig& config);
  absl::Status Register(Entry* entry);
  void AssignPollers(Entry* entry);
  // Numbers that no port of that kind has.
  std::deque<uint16_t>& FreeNumbers(const PortConfig& config);
  uint16_t TakeNumber(const PortConfig& config);
  absl::Status CheckLogical(const PortConfig& config) const;
  absl::StatusOr<Entry*> Enter(const PortConfig& config,
                               std::unique_ptr<Port> device,
                               const std::string& wire, bool pass_non_ip,
                               bool enabled, bool wire_may_come);
  void ChangeChildren(std::string_view parent);
  void PublishSegments(Topology* next) const;
  void PublishRouters(Topology* next) const;
  absl::Status DeclareRouter(const RouterConfig& config);
  void Fix(const SegmentEntry& segment, const std::string& port);
  PortSums SumOf(uint16_t number) const;
  // Of a port that has got its wire: whether that answers, at both ends. A wire
  // of sluice.toml does as is said there, others if they take the place of one
  // that did, at the end that is left.
  void SettleAnswers(Entry* entry);
  // The port of that name is another one than before, or is not known any more.
  void RefreshFacts(const std::string& name);

  const Port::Options options_;
  std::atomic<const Topology*>* const published_;
  InterfaceRegistry* const interfaces_;
  GraceList* const grace_;
  std::vector<std::span<const PortCounters>> counters_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<const Entry*> by_number_;  // null: no port has it
  mutable std::mutex facts_mutex_;
  // Guarded by facts_mutex_: what they are made of, and they themselves once
  // somebody has asked. Thousands of ports come without anybody asking.
  std::map<std::string, PortConfig> facts_of_;
  mutable std::shared_ptr<const HostFacts> facts_;
  // Longest free first, so that a packet that is still in a ring meets no
  // other port of its number.
  std::deque<uint16_t> free_numbers_;
  std::deque<uint16_t> free_vhosts_;   // the same, of vhost ports
  std::deque<uint16_t> free_logical_;  // and of logical ports
  // Of ports with children, by name. Made anew when there are others.
  std::map<std::string, std::shared_ptr<const LogicalPorts>, std::less<>>
      logical_;
  // Wires of sluice.toml with `answer_arp`: the names of their ends, ascending.
  std::set<std::pair<std::string, std::string>> answering_;
  std::map<std::string, SegmentEntry, std::less<>> segments_;
  std::deque<uint16_t> free_segments_;
  std::map<std::string, RouterEntry, std::less<>> routers_;
  uint64_t mac_seed_ = 0;
  std::string aged_;          // the segment of which some was looked at last
  uint32_t age_cursor_ = 0;   // and from where the rest is to be
  uint16_t end_ = kMaxDevicePorts;  // numbers that were ever used are below it
  size_t turn_ = 0;  // the worker that gets the next queue
  uint64_t next_serial_ = 1;
  uint64_t removed_ = 0;
  std::unique_ptr<const Topology> topology_;
  // What workers read until they have seen another topology than this one.
  std::vector<std::shared_ptr<OwnAddresses>> retired_own_;
  uint64_t last_link_poll_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PORT_SET_H_
