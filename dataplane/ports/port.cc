#include "dataplane/ports/port.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "dataplane/ports/ethdev_port.h"
#include "dataplane/ports/vhost_port.h"

namespace sluice {
namespace {

// Drivers with peers on this machine.
constexpr std::array<std::string_view, 7> kLocalDrivers = {
    "net_af_packet", "net_af_xdp", "net_memif", "net_tap",
    "net_vhost",     "net_virtio_user", "virtio_user"};

}  // namespace

bool HasLocalPeers(const PortConfig& config) {
  if (config.is_vhost()) return true;
  const auto is_of = [&](std::string_view driver) {
    return config.device.starts_with(driver);
  };
  return std::ranges::any_of(kLocalDrivers, is_of) ||
         (config.device.starts_with("net_pcap") &&
          config.device.find("iface=") != std::string::npos);
}

absl::StatusOr<std::unique_ptr<Port>> Port::Open(const PortConfig& config,
                                                 const Options& options,
                                                 const Steering& steering) {
  if (config.is_vhost()) return VhostPort::Open(config, options);
  return EthdevPort::Open(config, options, steering);
}

LinkState Port::PollLink(bool* changed) {
  const LinkState state = ReadLink();
  *changed = state != link_;
  link_ = state;
  return state;
}

std::array<uint8_t, kMaxQueues> PollersOf(uint16_t rx_queues, uint16_t workers,
                                          size_t* turn) {
  std::array<uint8_t, kMaxQueues> pollers{};
  for (uint16_t queue = 0; queue < rx_queues; ++queue) {
    pollers[queue] = static_cast<uint8_t>(
        rx_queues >= workers ? queue % workers : (*turn)++ % workers);
  }
  return pollers;
}

}  // namespace sluice
