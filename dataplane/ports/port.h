// One port: a DPDK ethdev with the name that rules use.
//
// Everything here is the control lcore's; workers know a port by its ethdev
// number and queues, and call only the burst functions of DPDK.
#ifndef SLUICE_DATAPLANE_PORTS_PORT_H_
#define SLUICE_DATAPLANE_PORTS_PORT_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/forward/steering.h"
#include "dataplane/ports/port_config.h"
#include "dataplane/ports/removal_watch.h"
#include "dataplane/ports/run_time_devices.h"
#include "packet/neighbor.h"

struct rte_device;
struct rte_eth_conf;
struct rte_eth_dev_info;
struct rte_mempool;

namespace sluice {

// The device string that DPDK gets: for net_af_packet without `qpairs`, one
// pair of queues a worker is asked for.
std::string DeviceArguments(const PortConfig& config, uint16_t workers);

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

  // Attaches and configures the device; it is stopped. Errors say what the
  // device is, what it refused, and what to change.
  static absl::StatusOr<std::unique_ptr<Port>> Open(const PortConfig& config,
                                                    const Options& options,
                                                    const Steering& steering);
  // Stops and releases it. No worker may use it any more.
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  absl::Status Start();
  void Stop();

  const PortConfig& config() const { return config_; }
  const std::string& name() const { return config_.name; }
  const std::string& driver() const { return driver_; }
  uint16_t ethdev() const { return ethdev_; }
  // Queues that packets arrive in; each has to be polled by one worker.
  uint16_t rx_queues() const { return rx_queues_; }
  // Queues that workers may transmit by, one writer each; there may be fewer
  // than workers.
  uint16_t tx_queues() const { return tx_queues_; }
  // Whether the device steers as Steering does, or leaves it to us. Known once
  // it is started.
  bool rss() const { return rss_ == Rss::kSymmetric; }
  // Whether it takes packets of several mbufs; others have to be made one.
  bool sends_segments() const { return sends_segments_; }
  // What was asked for and is not to be had; for the log.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Asks the device. Cheap; true in `*changed` if it is not as at the last
  // call.
  LinkState PollLink(bool* changed);
  // Set by an interrupt of the device: PollLink() is worth a call now.
  bool TakeLinkInterrupt() {
    return link_interrupt_.exchange(false, std::memory_order_acquire);
  }
  const LinkState& link() const { return link_; }
  // "00:53:00:00:00:01"; empty: the device has none.
  std::string Mac() const;
  MacAddress link_address() const;  // the same; zero: it has none
  // True once, after the device was taken out or its kernel driver wants it
  // back: nobody may use the port any more, and it is to be destroyed soon.
  // The kernel waits for that.
  bool TakeRemoval() {
    return removal_.exchange(false, std::memory_order_acquire);
  }

  PortStatistics Statistics() const;
  // The driver's own counters by name, in its order.
  std::vector<std::pair<std::string, uint64_t>> ExtendedStatistics() const;

 private:
  // What a device with several receive queues does with packets.
  enum class Rss : uint8_t {
    kNone,       // all come to one queue
    kOwn,        // spreads them by a key of its own: directions may differ
    kSymmetric,  // as Steering does
  };

  Port(const PortConfig& config, const Options& options,
       const Steering& steering)
      : config_(config), options_(options), steering_(steering) {}

  absl::Status Attach();
  void DiscardStrays();
  absl::Status Configure();
  absl::Status SetUpQueues(const rte_eth_dev_info& info);
  absl::Status SetMtu();
  absl::Status CheckFrameSize(const rte_eth_dev_info& info) const;
  int ConfigureDevice(const rte_eth_dev_info& info, rte_eth_conf* conf);
  void WatchForEvents();
  bool SpreadsPackets(const rte_eth_dev_info& info) const;
  void SetRss();
  void SetReta(uint16_t size);
  absl::Status Error(int code, const std::string& what,
                     const std::string& advice) const;

  const PortConfig config_;
  const Options options_;
  const Steering steering_;
  uint16_t ethdev_ = UINT16_MAX;
  rte_device* device_ = nullptr;
  std::string device_name_;  // EAL's name of it
  std::string driver_;
  uint16_t rx_queues_ = 0;
  uint16_t tx_queues_ = 0;
  Rss rss_ = Rss::kNone;
  bool sends_segments_ = false;
  bool started_ = false;
  std::vector<std::string> warnings_;
  LinkState link_;
  // Writer of both: EAL's interrupt thread, release. Reader: the control
  // lcore, acquire.
  std::atomic<bool> link_interrupt_{false};
  std::atomic<bool> removal_{false};
  std::optional<RemovalWatch> removal_watch_;
};

// By receive queue of a port with so many, the worker that polls it. Queue q of
// a port with a queue for each worker belongs to worker q, as the NICs' tables
// have it; those of ports with fewer are dealt out in turn, from *turn on.
std::array<uint8_t, kMaxQueues> PollersOf(uint16_t rx_queues, uint16_t workers,
                                          size_t* turn);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PORT_H_
