// One port: what sends and receives, with the name that rules use. Either an
// ethdev of DPDK's (EthdevPort), or the socket of a virtual machine's NIC
// (VhostPort).
//
// Everything here is the control lcore's; workers know a port by what the
// topology says of it (PortDevice, VhostDevice), and call only burst functions.
#ifndef SLUICE_DATAPLANE_PORTS_PORT_H_
#define SLUICE_DATAPLANE_PORTS_PORT_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/forward/steering.h"
#include "dataplane/ports/port_config.h"
#include "dataplane/ports/run_time_devices.h"
#include "packet/neighbor.h"

struct rte_mempool;

namespace sluice {

class VhostChannel;

// Whether the port's peers run on this machine, so that a worker that never
// leaves its processor would take their time.
bool HasLocalPeers(const PortConfig& config);

struct LinkState {
  bool up = false;
  uint32_t speed = 0;  // Mbit/s; 0: unknown
  bool full_duplex = false;

  friend bool operator==(const LinkState&, const LinkState&) = default;
};

// What the device has counted since it was started.
struct PortStatistics {
  uint64_t received_packets = 0;
  uint64_t received_bytes = 0;
  uint64_t transmitted_packets = 0;
  uint64_t transmitted_bytes = 0;
  uint64_t missed = 0;   // no descriptor was free
  uint64_t receive_errors = 0;
  uint64_t transmit_errors = 0;
  uint64_t no_mbuf = 0;  // the pool was empty
};

class Port {
 public:
  struct Options {
    uint16_t workers = 1;
    rte_mempool* pool = nullptr;
    uint16_t mbuf_data = 2048;  // bytes of frame an mbuf of the pool holds
    bool checksum_offload = true;
    SocketAccess sockets{};  // that drivers make
  };

  // Attaches and configures what the configuration names; it is stopped. Errors
  // say what that is, what it refused, and what to change.
  static absl::StatusOr<std::unique_ptr<Port>> Open(const PortConfig& config,
                                                    const Options& options,
                                                    const Steering& steering);
  // Stops and releases it. No worker may use it any more.
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  virtual absl::Status Start() = 0;
  virtual void Stop() = 0;

  const PortConfig& config() const { return config_; }
  const std::string& name() const { return config_.name; }
  const std::string& driver() const { return driver_; }
  // Its number among DPDK's; UINT16_MAX: it is none of them.
  uint16_t ethdev() const { return ethdev_; }
  // How workers reach it if it is no ethdev; null: it is one.
  virtual VhostChannel* vhost() { return nullptr; }
  // Queues that packets arrive in; each has to be polled by one worker.
  uint16_t rx_queues() const { return rx_queues_; }
  // Queues that workers may transmit by, one writer each; there may be fewer
  // than workers.
  uint16_t tx_queues() const { return tx_queues_; }
  // Whether it steers as Steering does, or leaves it to us. Known once it is
  // started.
  virtual bool rss() const { return false; }
  // Whether it takes packets of several mbufs; others have to be made one.
  bool sends_segments() const { return sends_segments_; }
  // What was asked for and is not to be had; for the log.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Asks the device. Cheap; true in `*changed` if it is not as at the last
  // call.
  LinkState PollLink(bool* changed);
  // Set by another thread: PollLink() is worth a call now.
  virtual bool TakeLinkInterrupt() = 0;
  const LinkState& link() const { return link_; }
  // "00:53:00:00:00:01"; empty: the device has none.
  virtual std::string Mac() const = 0;
  virtual MacAddress link_address() const = 0;  // the same; zero: it has none
  // True once, after the device was taken out or its kernel driver wants it
  // back: nobody may use the port any more, and it is to be destroyed soon.
  // The kernel waits for that.
  virtual bool TakeRemoval() { return false; }

  virtual PortStatistics Statistics() const = 0;
  // The driver's own counters by name, in its order.
  virtual std::vector<std::pair<std::string, uint64_t>> ExtendedStatistics()
      const = 0;

 protected:
  Port(const PortConfig& config, const Options& options)
      : config_(config), options_(options) {}
  virtual LinkState ReadLink() = 0;
  void LinkIsDown() { link_ = {}; }

  const PortConfig config_;
  const Options options_;
  uint16_t ethdev_ = UINT16_MAX;
  std::string driver_;
  uint16_t rx_queues_ = 0;
  uint16_t tx_queues_ = 0;
  bool sends_segments_ = false;
  std::vector<std::string> warnings_;

 private:
  LinkState link_;
};

// By receive queue of a port with so many, the worker that polls it. Queue q of
// a port with a queue for each worker belongs to worker q, as the NICs' tables
// have it; those of ports with fewer are dealt out in turn, from *turn on.
std::array<uint8_t, kMaxQueues> PollersOf(uint16_t rx_queues, uint16_t workers,
                                          size_t* turn);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PORT_H_
