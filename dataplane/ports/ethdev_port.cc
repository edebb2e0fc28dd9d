#include "dataplane/ports/ethdev_port.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "dataplane/ports/run_time_devices.h"

namespace sluice {
namespace {

// Drivers whose queues are sources of their own: all have to be polled.
constexpr std::array<std::string_view, 5> kFixedQueues = {
    "net_af_packet", "net_af_xdp", "net_pcap", "net_ring", "net_memif"};
bool StartsWithOneOf(std::string_view text, auto& prefixes) {
  return std::ranges::any_of(
      prefixes, [text](std::string_view p) { return text.starts_with(p); });
}

// Drivers that announce an interrupt for changes of the link, and then miss
// them: 82574 NICs (e1000e) with MSI-X, whose vector for it nobody sets up.
// Their link is polled, as that of drivers without an interrupt.
constexpr std::array<std::string_view, 1> kSilentLinks = {"net_e1000_em"};

static_assert(kMaxDevices == RTE_MAX_ETHPORTS);

// A frame may hold two VLAN tags beside its header and the packet.
constexpr uint32_t kTagBytes = 8;

// Frames of a ring of net_af_packet, as far as anybody makes them.
constexpr uint32_t kMostStrays = 65536;

// On EAL's interrupt thread; `context` is a flag of the port.
int OnEvent(uint16_t, rte_eth_event_type, void* context, void*) {
  static_cast<std::atomic<bool>*>(context)->store(true,
                                                  std::memory_order_release);
  return 0;
}

// Why no driver has taken a PCI device.
std::string PciAdvice(std::string_view address) {
  const std::filesystem::path device =
      std::filesystem::path("/sys/bus/pci/devices") / address;
  std::error_code error;
  if (!std::filesystem::exists(device, error)) {
    return "there is no such PCI device; `dpdk-devbind.py -s` lists them";
  }
  const std::string driver =
      std::filesystem::read_symlink(device / "driver", error)
          .filename()
          .string();
  if (driver == "vfio-pci" || driver.starts_with("uio") ||
      driver == "igb_uio") {
    return absl::StrCat("it is bound to ", driver,
                        ", but no DPDK driver took it");
  }
  if (!std::filesystem::exists(device / "iommu_group", error)) {
    return absl::StrCat(
        "it has no IOMMU group, so that vfio-pci cannot take it: turn the "
        "IOMMU on in the firmware and start the kernel with intel_iommu=on "
        "(or amd_iommu=on), then bind it with `dpdk-devbind.py -b vfio-pci ",
        std::string(address), "`");
  }
  return absl::StrCat(
      driver.empty() ? "it is bound to no driver"
                     : absl::StrCat("it is bound to the kernel's ", driver),
      "; bind it with `dpdk-devbind.py -b vfio-pci ", std::string(address),
      "`");
}

}  // namespace

std::string DeviceArguments(const PortConfig& config, uint16_t workers) {
  if (!config.device.starts_with("net_af_packet") ||
      config.device.find("qpairs=") != std::string::npos) {
    return config.device;
  }
  const uint16_t queues = config.queues > 0 ? config.queues : workers;
  if (queues <= 1) return config.device;
  // The driver has room for 16 pairs.
  return absl::StrCat(config.device, ",qpairs=", std::min<int>(queues, 16));
}

absl::Status EthdevPort::Error(int code, const std::string& what,
                         const std::string& advice) const {
  return absl::FailedPreconditionError(absl::StrCat(
      "port '", config_.name, "' (", config_.device, "): ", what,
      code == 0 ? "" : absl::StrCat(": ", rte_strerror(code)), "; ", advice));
}

absl::StatusOr<std::unique_ptr<Port>> EthdevPort::Open(
    const PortConfig& config, const Options& options,
    const Steering& steering) {
  std::unique_ptr<EthdevPort> port(new EthdevPort(config, options, steering));
  if (absl::Status status = port->Attach(); !status.ok()) return status;
  if (absl::Status status = port->Configure(); !status.ok()) return status;
  return std::unique_ptr<Port>(std::move(port));
}

absl::Status EthdevPort::Attach() {
  const std::string name(config_.device_name());
  if (!config_.is_pci()) {
    if (rte_eth_dev_count_total() >= RTE_MAX_ETHPORTS) {
      return Error(0,
                   absl::StrCat("DPDK as it is built has room for ",
                                kMaxDevices, " devices at once"),
                   "take another port away first: `sluicectl port remove`");
    }
    if (const std::optional<DeviceSocket> socket = SocketOf(config_.device)) {
      if (absl::Status status = MakeRoomFor(*socket); !status.ok()) {
        return Error(0, std::string(status.message()),
                     "the device was not started");
      }
    }
    const std::string arguments = DeviceArguments(config_, options_.workers);
    const int result = rte_dev_probe(arguments.c_str());
    if (result < 0) {
      return Error(-result, "the device does not start",
                   "check the driver's name and arguments, and that what "
                   "they name (an interface, a file) is there");
    }
  }
  // PCI devices were probed when EAL started.
  if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) != 0) {
    ethdev_ = UINT16_MAX;
    return config_.is_pci()
               ? Error(0, "no such port", PciAdvice(config_.device_name()))
               : Error(0, "the device made no Ethernet port",
                       "use a device of DPDK's net drivers");
  }
  return absl::OkStatus();
}

absl::Status EthdevPort::Configure() {
  rte_eth_dev_info info;
  if (const int result = rte_eth_dev_info_get(ethdev_, &info); result != 0) {
    return Error(-result, "the driver does not describe the device",
                 "use another driver");
  }
  driver_ = info.driver_name;
  device_ = info.device;
  device_name_ = rte_dev_name(info.device);

  const uint16_t workers = options_.workers;
  const uint16_t wanted = config_.queues > 0 ? config_.queues : workers;
  const auto limited = [](uint32_t queues) {
    return static_cast<uint16_t>(std::min<uint32_t>(queues, kMaxQueues));
  };
  const uint16_t most = limited(info.max_rx_queues);
  const uint16_t one = 1;
  if (config_.queues > most) {
    return Error(0,
                 absl::StrCat("`queues = ", config_.queues,
                              "` is more than the ", most,
                              " receive queue(s) that the device has"),
                 "lower it, or leave it out to get as many as there are");
  }
  rx_queues_ = StartsWithOneOf(config_.device, kFixedQueues)
                   ? most
                   : std::min(wanted, SpreadsPackets(info) ? most : one);
  tx_queues_ = std::min(workers, limited(info.max_tx_queues));
  if (rx_queues_ == 0 || tx_queues_ == 0) {
    return Error(0, "the driver has no queues", "use another driver");
  }
  if (rx_queues_ < wanted) {
    const std::string why =
        rx_queues_ < most
            ? "' has no RSS and uses 1 receive queue, not "
            : absl::StrCat("' has ", rx_queues_, " receive queue(s), not ");
    warnings_.push_back(
        absl::StrCat("port '", config_.name, why, wanted,
                     "; workers hand packets on to one another"));
  }
  if (tx_queues_ < workers) {
    warnings_.push_back(absl::StrCat(
        "port '", config_.name, "' has ", tx_queues_,
        " transmit queue(s) for ", workers,
        " workers; the others hand packets on to those that have one"));
  }
  if (absl::Status status = CheckFrameSize(info); !status.ok()) return status;

  // Tags stay in the frame (no stripping, no insertion, no filtering): what
  // crosses a wire leaves as it came, and the parser reads tags where they
  // are. Checksums of what leaves are right already: those of forwarded
  // packets are the senders', and the few packets of our own are made with
  // theirs.
  rte_eth_conf conf = {};
  conf.rxmode.mtu = config_.mtu;
  if (options_.checksum_offload) {
    conf.rxmode.offloads |=
        info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
  }
  if (config_.mtu + RTE_ETHER_HDR_LEN + kTagBytes > options_.mbuf_data) {
    conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
  }
  conf.txmode.offloads =
      info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  sends_segments_ = conf.txmode.offloads != 0;
  conf.intr_conf.lsc = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0 &&
                       !StartsWithOneOf(driver_, kSilentLinks);
  conf.intr_conf.rmv = (*info.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
  if (const int result = ConfigureDevice(info, &conf); result != 0) {
    return Error(-result, "the driver refuses the configuration",
                 "set `queues = 1`, or another `mtu`");
  }
  WatchForEvents();
  if (absl::Status status = SetMtu(); !status.ok()) return status;
  return SetUpQueues(info);
}

absl::Status EthdevPort::CheckFrameSize(const rte_eth_dev_info& info) const {
  if (config_.mtu > info.max_mtu || config_.mtu < info.min_mtu) {
    return Error(0, absl::StrCat("an MTU of ", config_.mtu, " is refused"),
                 absl::StrCat("set `mtu` from ", info.min_mtu, " to ",
                              info.max_mtu));
  }
  const uint32_t frame = config_.mtu + RTE_ETHER_HDR_LEN + kTagBytes;
  if (frame <= options_.mbuf_data) return absl::OkStatus();
  // They come and leave in several buffers then.
  if ((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0 &&
      (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0) {
    return absl::OkStatus();
  }
  return Error(0,
               absl::StrCat("frames of ", frame,
                            " bytes do not fit in buffers of ",
                            options_.mbuf_data),
               absl::StrCat("raise [memory] mbuf_data to ", frame,
                            " or lower `mtu`"));
}

void EthdevPort::WatchForEvents() {
  rte_eth_dev_callback_register(ethdev_, RTE_ETH_EVENT_INTR_LSC, OnEvent,
                                &link_interrupt_);
  rte_eth_dev_callback_register(ethdev_, RTE_ETH_EVENT_INTR_RMV, OnEvent,
                                &removal_);
  // vfio-pci says it of the device, not of its Ethernet port.
  removal_watch_.emplace(device_name_, &removal_);
}

absl::Status EthdevPort::SetMtu() {
  uint16_t mtu = 0;
  if (rte_eth_dev_get_mtu(ethdev_, &mtu) == 0 && mtu == config_.mtu) {
    return absl::OkStatus();
  }
  const int result = rte_eth_dev_set_mtu(ethdev_, config_.mtu);
  if (result == 0) return absl::OkStatus();
  if (result == -ENOTSUP) {
    warnings_.push_back(absl::StrCat("port '", config_.name,
                                     "' has a fixed MTU; `mtu` is not set"));
    return absl::OkStatus();
  }
  return Error(-result, absl::StrCat("an MTU of ", config_.mtu, " is refused"),
               "set another `mtu`");
}

absl::Status EthdevPort::SetUpQueues(const rte_eth_dev_info& info) {
  uint16_t rx_descriptors = config_.rx_descriptors;
  uint16_t tx_descriptors = config_.tx_descriptors;
  if (const int result = rte_eth_dev_adjust_nb_rx_tx_desc(
          ethdev_, &rx_descriptors, &tx_descriptors);
      result != 0) {
    return Error(-result, "the driver refuses the numbers of descriptors",
                 "set other `rx_descriptors` and `tx_descriptors`");
  }
  if (rx_descriptors != config_.rx_descriptors ||
      tx_descriptors != config_.tx_descriptors) {
    warnings_.push_back(absl::StrCat(
        "port '", config_.name, "' has ", rx_descriptors, " receive and ",
        tx_descriptors, " transmit descriptors, not ", config_.rx_descriptors,
        " and ", config_.tx_descriptors));
  }
  const int socket = rte_eth_dev_socket_id(ethdev_);
  const auto node =
      static_cast<unsigned>(socket >= 0 ? socket : SOCKET_ID_ANY);
  for (uint16_t queue = 0; queue < rx_queues_; ++queue) {
    rte_eth_rxconf conf = info.default_rxconf;
    conf.rx_drop_en = 1;
    int result = rte_eth_rx_queue_setup(ethdev_, queue, rx_descriptors, node,
                                        &conf, options_.pool);
    if (result == -EINVAL) {
      conf.rx_drop_en = info.default_rxconf.rx_drop_en;
      result = rte_eth_rx_queue_setup(ethdev_, queue, rx_descriptors, node,
                                      &conf, options_.pool);
    }
    if (result != 0) {
      return Error(-result,
                   absl::StrCat("receive queue ", queue, " is refused"),
                   "lower `rx_descriptors`, or raise [memory] mbufs");
    }
  }
  for (uint16_t queue = 0; queue < tx_queues_; ++queue) {
    if (const int result = rte_eth_tx_queue_setup(
            ethdev_, queue, tx_descriptors, node, &info.default_txconf);
        result != 0) {
      return Error(-result,
                   absl::StrCat("transmit queue ", queue, " is refused"),
                   "lower `tx_descriptors`");
    }
  }
  return absl::OkStatus();
}

absl::Status EthdevPort::Start() {
  if (started_) return absl::OkStatus();
  if (const int result = rte_eth_dev_start(ethdev_); result != 0) {
    return Error(-result, "the device does not start",
                 "see the driver's messages in the log");
  }
  started_ = true;
  SetRss();
  const int result = config_.promiscuous
                         ? rte_eth_promiscuous_enable(ethdev_)
                         : rte_eth_allmulticast_enable(ethdev_);
  if (result != 0) {
    warnings_.push_back(absl::StrCat(
        "port '", config_.name, "': ",
        config_.promiscuous ? "promiscuous mode" : "reception of multicasts",
        " cannot be turned on: ", rte_strerror(-result)));
  }
  if (const auto socket = SocketOf(config_.device)) {
    if (absl::Status status = GiveAccess(*socket, options_.sockets);
        !status.ok()) {
      warnings_.push_back(absl::StrCat(
          "port '", config_.name, "': ", status.message(),
          "; only the daemon's user may connect: see `device_group` and "
          "`device_mode` of [control]"));
    }
  }
  if (driver_ == "net_af_packet") DiscardStrays();
  bool changed;
  PollLink(&changed);
  return absl::OkStatus();
}

// The driver's socket hears all interfaces of the machine until it is bound to
// its own. What came by then is nobody's, and must not be judged as this
// port's.
void EthdevPort::DiscardStrays() {
  std::array<rte_mbuf*, 32> mbufs;
  for (uint16_t queue = 0; queue < rx_queues_; ++queue) {
    // Packets go on coming: at most what a ring holds.
    for (uint32_t left = kMostStrays; left > 0;) {
      const uint16_t count = rte_eth_rx_burst(
          ethdev_, queue, mbufs.data(),
          static_cast<uint16_t>(std::min<uint32_t>(left, mbufs.size())));
      if (count == 0) break;
      rte_pktmbuf_free_bulk(mbufs.data(), count);
      left -= count;
    }
  }
}

void EthdevPort::Stop() {
  if (!started_) return;
  started_ = false;
  rte_eth_dev_stop(ethdev_);
  LinkIsDown();
}

EthdevPort::~EthdevPort() {
  if (ethdev_ == UINT16_MAX) return;
  Stop();
  rte_eth_dev_callback_unregister(ethdev_, RTE_ETH_EVENT_INTR_LSC, OnEvent,
                                  &link_interrupt_);
  rte_eth_dev_callback_unregister(ethdev_, RTE_ETH_EVENT_INTR_RMV, OnEvent,
                                  &removal_);
  removal_watch_.reset();
  rte_eth_dev_close(ethdev_);
  if (device_ != nullptr) rte_dev_remove(device_);
}

LinkState EthdevPort::ReadLink() {
  rte_eth_link link = {};
  LinkState state;
  if (started_ && rte_eth_link_get_nowait(ethdev_, &link) == 0) {
    state.up = link.link_status == RTE_ETH_LINK_UP;
    state.speed = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN
                      ? 0
                      : link.link_speed;
    state.full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
  }
  return state;
}

PortStatistics EthdevPort::Statistics() const {
  rte_eth_stats stats = {};
  if (rte_eth_stats_get(ethdev_, &stats) != 0) return {};
  return {.received_packets = stats.ipackets,
          .received_bytes = stats.ibytes,
          .transmitted_packets = stats.opackets,
          .transmitted_bytes = stats.obytes,
          .missed = stats.imissed,
          .receive_errors = stats.ierrors,
          .transmit_errors = stats.oerrors,
          .no_mbuf = stats.rx_nombuf};
}

std::vector<std::pair<std::string, uint64_t>> EthdevPort::ExtendedStatistics()
    const {
  const int count = rte_eth_xstats_get(ethdev_, nullptr, 0);
  if (count <= 0) return {};
  const auto size = static_cast<unsigned>(count);
  std::vector<rte_eth_xstat> values(size);
  std::vector<rte_eth_xstat_name> names(size);
  if (rte_eth_xstats_get(ethdev_, values.data(), size) != count ||
      rte_eth_xstats_get_names(ethdev_, names.data(), size) != count) {
    return {};
  }
  std::vector<std::pair<std::string, uint64_t>> result;
  for (const rte_eth_xstat& value : values) {
    if (value.id < size) result.emplace_back(names[value.id].name, value.value);
  }
  return result;
}

MacAddress EthdevPort::link_address() const {
  rte_ether_addr address;
  MacAddress result{};
  if (rte_eth_macaddr_get(ethdev_, &address) == 0) {
    std::copy_n(address.addr_bytes, result.size(), result.begin());
  }
  return result;
}

std::string EthdevPort::Mac() const {
  rte_ether_addr address;
  if (rte_eth_macaddr_get(ethdev_, &address) != 0) return {};
  std::string text(RTE_ETHER_ADDR_FMT_SIZE, '\0');
  rte_ether_format_addr(text.data(), RTE_ETHER_ADDR_FMT_SIZE, &address);
  text.resize(text.find('\0'));
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace sluice
