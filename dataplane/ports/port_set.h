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
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/base/grace_list.h"
#include "dataplane/forward/filter_plane.h"
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
    bool pass_non_ip = true;
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
                       std::span<const WireConfig> wires);
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

  // From now on what arrives there is held against these; what was learned is
  // forgotten.
  void Guard(Entry* entry, SpoofSettings settings);

  // Asks devices whose link may have changed; publishes what is new.
  void PollLinks(uint64_t milliseconds);
  // Tells the workers of everything.
  void Publish();

  // What rulesets may name: the ports as interfaces, the common services and
  // protocols. Immutable; a change makes another one.
  // Any thread.
  std::shared_ptr<const HostFacts> facts() const {
    const std::lock_guard lock(facts_mutex_);
    return facts_;
  }
  const Port::Options& options() const { return options_; }
  // Since the port was plugged in.
  PortSums Counters(const Entry& entry) const;

 private:
  absl::Status Register(Entry* entry);
  void AssignPollers(Entry* entry);
  uint16_t TakeNumber();
  PortSums SumOf(uint16_t number) const;
  void RefreshFacts();

  const Port::Options options_;
  std::atomic<const Topology*>* const published_;
  InterfaceRegistry* const interfaces_;
  GraceList* const grace_;
  std::vector<std::span<const PortCounters>> counters_;
  std::map<std::string, Entry, std::less<>> entries_;
  mutable std::mutex facts_mutex_;
  std::shared_ptr<const HostFacts> facts_;  // guarded by facts_mutex_
  // Longest free first, so that a packet that is still in a ring meets no
  // other port of its number.
  std::deque<uint16_t> free_numbers_;
  size_t turn_ = 0;  // the worker that gets the next queue
  uint64_t next_serial_ = 1;
  uint64_t removed_ = 0;
  std::unique_ptr<const Topology> topology_;
  uint64_t last_link_poll_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PORT_SET_H_
