// A port that is an ethdev of DPDK's: a NIC, or a virtual device.
//
// Belongs to the control lcore; workers know it by its ethdev number and
// queues.
#ifndef SLUICE_DATAPLANE_PORTS_ETHDEV_PORT_H_
#define SLUICE_DATAPLANE_PORTS_ETHDEV_PORT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/forward/steering.h"
#include "dataplane/ports/port.h"
#include "dataplane/ports/removal_watch.h"
#include "packet/neighbor.h"

struct rte_device;
struct rte_eth_conf;
struct rte_eth_dev_info;

namespace sluice {

// The device string that DPDK gets: for net_af_packet without `qpairs`, one
// pair of queues a worker is asked for.
std::string DeviceArguments(const PortConfig& config, uint16_t workers);

class EthdevPort final : public Port {
 public:
  static absl::StatusOr<std::unique_ptr<Port>> Open(const PortConfig& config,
                                                    const Options& options,
                                                    const Steering& steering);
  ~EthdevPort() override;

  absl::Status Start() override;
  void Stop() override;

  bool rss() const override { return rss_ == Rss::kSymmetric; }
  bool TakeLinkInterrupt() override {
    return link_interrupt_.exchange(false, std::memory_order_acquire);
  }
  std::string Mac() const override;
  MacAddress link_address() const override;
  bool TakeRemoval() override {
    return removal_.exchange(false, std::memory_order_acquire);
  }
  PortStatistics Statistics() const override;
  std::vector<std::pair<std::string, uint64_t>> ExtendedStatistics()
      const override;

 private:
  // What a device with several receive queues does with packets.
  enum class Rss : uint8_t {
    kNone,       // all come to one queue
    kOwn,        // spreads them by a key of its own: directions may differ
    kSymmetric,  // as Steering does
  };

  EthdevPort(const PortConfig& config, const Options& options,
             const Steering& steering)
      : Port(config, options), steering_(steering) {}

  LinkState ReadLink() override;
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

  const Steering steering_;
  rte_device* device_ = nullptr;
  std::string device_name_;  // EAL's name of it
  Rss rss_ = Rss::kNone;
  bool started_ = false;
  // Writer of both: EAL's interrupt thread, release. Reader: the control
  // lcore, acquire.
  std::atomic<bool> link_interrupt_{false};
  std::atomic<bool> removal_{false};
  std::optional<RemovalWatch> removal_watch_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_ETHDEV_PORT_H_
