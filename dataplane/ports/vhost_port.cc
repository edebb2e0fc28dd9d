#include "dataplane/ports/vhost_port.h"

#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_vhost.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/base/user_group.h"
#include "packet/link_address.h"

namespace sluice {
namespace {

// A frame may hold two VLAN tags beside its header and the packet.
constexpr uint32_t kTags = 8;
// Of each machine: its socket, what wakes the one side and the other, regions
// of its memory.
constexpr uint64_t kDescriptorsAPort = 16;
constexpr uint64_t kOtherDescriptors = 1024;

// virtio 1.2, 5.1.3: what a device or a driver would leave to the other side,
// and more pairs than one. Nothing of it is done here. Rings in the packed form
// are code of the library's that nothing here bounds.
constexpr uint64_t Bit(unsigned n) { return uint64_t{1} << n; }
constexpr uint64_t kNotOffered =
    Bit(0) | Bit(1) |                               // sums: CSUM, GUEST_CSUM
    Bit(7) | Bit(8) | Bit(9) | Bit(10) |            // GUEST_TSO4/6, ECN, UFO
    Bit(11) | Bit(12) | Bit(13) | Bit(14) |         // HOST_TSO4/6, ECN, UFO
    Bit(22) | Bit(34);                              // MQ, packed rings
// Frames that take several buffers, which are only sent one by one
// (VhostChannel::Begin): for those that fit into no common buffer.
constexpr uint64_t kMergeable = Bit(15);
constexpr uint16_t kCommonMtu = 1500;

// The library knows its callers by the path of their sockets, and devices by
// number.
std::mutex paths_mutex;
std::map<std::string, VhostChannel*, std::less<>>& Paths() {
  static auto* const paths =
      new std::map<std::string, VhostChannel*, std::less<>>();
  return *paths;
}

// Written by threads of the library when a connection comes and goes; read by
// workers, too, that are in the rings of that one.
std::array<std::atomic<VhostChannel*>, RTE_MAX_VHOST_DEVICE> channels{};

VhostChannel* ChannelOf(int id) {
  return channels[static_cast<size_t>(id)].load(std::memory_order_acquire);
}

// The size of a ring is read when the machine's driver is there, and bounds what
// workers ask the library for (VhostChannel::Begin). The library itself would
// change it under them.
rte_vhost_msg_result OnMessage(int id, void* message) {
  constexpr uint32_t kSetRingSize = 8;  // VHOST_USER_SET_VRING_NUM
  constexpr uint32_t kRings = 2;
  // As it came: request, flags, length, and which ring.
  std::array<uint32_t, 4> words;
  std::memcpy(words.data(), message, sizeof words);
  if (words[0] != kSetRingSize || words[3] >= kRings) [[likely]] {
    return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
  }
  const VhostChannel* const channel = ChannelOf(id);
  return channel != nullptr && channel->connected()
             ? RTE_VHOST_MSG_RESULT_ERR
             : RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

constexpr rte_vhost_user_extern_ops kMessages = {.pre_msg_handle = OnMessage,
                                                 .post_msg_handle = nullptr};

int OnConnection(int id) {
  std::array<char, PATH_MAX> path{};
  if (id < 0 || static_cast<size_t>(id) >= channels.size() ||
      rte_vhost_get_ifname(id, path.data(), path.size()) != 0) {
    return -1;
  }
  VhostChannel* channel = nullptr;
  {
    const std::lock_guard lock(paths_mutex);
    const auto found = Paths().find(std::string_view(path.data()));
    if (found != Paths().end()) channel = found->second;
  }
  if (channel == nullptr ||
      rte_vhost_extern_callback_register(id, &kMessages, nullptr) != 0 ||
      !channel->Connect()) {
    return -1;
  }
  channels[static_cast<size_t>(id)].store(channel, std::memory_order_release);
  return 0;
}

void OnDisconnection(int id) {
  VhostChannel* const channel = channels[static_cast<size_t>(id)].exchange(
      nullptr, std::memory_order_acq_rel);
  if (channel != nullptr) channel->Disconnect();
}

int OnDevice(int id) {
  VhostChannel* const channel = ChannelOf(id);
  if (channel == nullptr) return -1;
  channel->Begin(id);
  return 0;
}

void OnDeviceGone(int id) {
  if (VhostChannel* const channel = ChannelOf(id)) channel->End();
}

int OnRing(int id, uint16_t ring, int on) {
  if (VhostChannel* const channel = ChannelOf(id)) {
    channel->SetRing(ring, on != 0);
  }
  return 0;
}

void OnInterrupt(int id) {
  if (VhostChannel* const channel = ChannelOf(id)) channel->CountInterrupt();
}

constexpr rte_vhost_device_ops kCallbacks = {
    .new_device = OnDevice,
    .destroy_device = OnDeviceGone,
    .vring_state_changed = OnRing,
    .features_changed = nullptr,
    .new_connection = OnConnection,
    .destroy_connection = OnDisconnection,
    .guest_notified = OnInterrupt,
    .reserved = {}};

// Once: the library writes a dozen lines for each connection, and whatever a
// machine does wrong a worker would log.
void QuietTheLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    rte_log_set_level_pattern("lib.vhost.config", RTE_LOG_CRIT);
    rte_log_set_level_pattern("lib.vhost.data", RTE_LOG_EMERG);
  });
}

// Many processes are started with a low limit for what select(2) can bear,
// which nothing here uses, and may raise it.
void RaiseDescriptorLimit(size_t ports) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = DescriptorsFor(ports);
  if (limit.rlim_cur >= wanted || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

// FNV-1a.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

// Locally administered; of this machine and the port's name.
MacAddress MacOf(const std::string& name) {
  std::array<char, HOST_NAME_MAX + 1> host{};
  static_cast<void>(gethostname(host.data(), host.size() - 1));
  const uint64_t hash = HashOf(absl::StrCat(host.data(), "/", name));
  MacAddress mac{0x02};
  std::memcpy(mac.data() + 1, &hash, mac.size() - 1);
  return mac;
}

}  // namespace

uint64_t DescriptorsFor(size_t vhost_ports) {
  return kOtherDescriptors + vhost_ports * kDescriptorsAPort;
}

VhostPort::VhostPort(const PortConfig& config, const Options& options)
    : Port(config, options),
      channel_(config.name, options.pool,
               config.mtu + RTE_ETHER_HDR_LEN + kTags),
      mac_(MacOf(config.name)),
      access_(options.sockets) {
  driver_ = "vhost";
  rx_queues_ = 1;
  tx_queues_ = 1;
  sends_segments_ = true;
}

absl::Status VhostPort::Error(const std::string& what,
                              const std::string& advice) const {
  return absl::FailedPreconditionError(
      absl::StrCat("port '", config_.name, "' (vhost ", config_.vhost.path,
                   "): ", what, "; ", advice));
}

DeviceSocket VhostPort::Socket() const {
  return {.path = config_.vhost.path, .serves = !config_.vhost.client};
}

absl::StatusOr<std::unique_ptr<Port>> VhostPort::Open(
    const PortConfig& config, const Options& options) {
  std::unique_ptr<VhostPort> port(new VhostPort(config, options));
  const VhostConfig& vhost = config.vhost;
  if (!vhost.group.empty()) {
    port->access_.group = FindGroupId(vhost.group);
    if (!port->access_.group) {
      return port->Error(
          absl::StrCat("there is no group '", vhost.group, "'"),
          "set `vhost_group` to one that `getent group` shows");
    }
  }
  if (vhost.mode) port->access_.mode = *vhost.mode;
  const std::string folder =
      std::filesystem::path(vhost.path).parent_path().string();
  if (::access(folder.c_str(), vhost.client ? X_OK : W_OK | X_OK) != 0) {
    return port->Error(
        SystemText(folder, errno),
        vhost.client ? "give the path where the virtual machine makes it"
                     : "make the folder, and let the daemon's user write "
                       "there, so that the socket can be made");
  }
  if (absl::Status status = MakeRoomFor(port->Socket()); !status.ok()) {
    return port->Error(std::string(status.message()),
                       "the socket was not made");
  }
  if (absl::Status status = port->Register(); !status.ok()) return status;
  return std::unique_ptr<Port>(std::move(port));
}

absl::Status VhostPort::Register() {
  QuietTheLibrary();
  const std::string& path = config_.vhost.path;
  {
    const std::lock_guard lock(paths_mutex);
    if (Paths().size() >= kMaxVhostPorts) {
      return Error(absl::StrCat("DPDK's vhost library has room for ",
                                kMaxVhostPorts, " sockets"),
                   "take another port away first: `sluicectl port remove`");
    }
    if (!Paths().try_emplace(path, &channel_).second) {
      return Error("another port has that socket", "give another path");
    }
    RaiseDescriptorLimit(Paths().size());
  }
  registered_ = true;
  const uint64_t flags = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS |
                         (config_.vhost.client ? RTE_VHOST_USER_CLIENT : 0);
  if (rte_vhost_driver_register(path.c_str(), flags) != 0) {
    const std::lock_guard lock(paths_mutex);
    Paths().erase(path);
    registered_ = false;
    return Error("DPDK's vhost library refuses the socket",
                 "give a path of at most 107 bytes; with the module "
                 "lib.vhost.config at debug, the library says why in the log");
  }
  rte_vhost_driver_disable_features(
      path.c_str(),
      kNotOffered | (config_.mtu <= kCommonMtu ? kMergeable : 0));
  rte_vhost_driver_callback_register(path.c_str(), &kCallbacks);
  return absl::OkStatus();
}

absl::Status VhostPort::Start() {
  if (!registered_) {
    if (absl::Status status = Register(); !status.ok()) return status;
  }
  errno = 0;
  if (rte_vhost_driver_start(config_.vhost.path.c_str()) != 0) {
    const int code = errno;
    return Error(code != 0 ? absl::StrCat("the socket cannot be made: ",
                                          std::strerror(code))
                           : std::string("the socket cannot be made"),
                 "see that the daemon's user may write to its folder and that "
                 "descriptors are left (LimitNOFILE= of the unit)");
  }
  if (absl::Status status = GiveAccess(Socket(), access_); !status.ok()) {
    warnings_.push_back(absl::StrCat(
        "port '", config_.name, "': ", status.message(),
        "; only the daemon's user may connect: see `vhost_group` and "
        "`vhost_mode`, `device_group` and `device_mode` of [control]"));
  }
  bool changed;
  PollLink(&changed);
  return absl::OkStatus();
}

void VhostPort::Stop() {
  if (!registered_) return;
  registered_ = false;
  // Ends the connection, too: the callbacks come on this thread.
  rte_vhost_driver_unregister(config_.vhost.path.c_str());
  channel_.Disconnect();
  {
    const std::lock_guard lock(paths_mutex);
    Paths().erase(config_.vhost.path);
  }
  for (std::atomic<VhostChannel*>& of : channels) {
    VhostChannel* mine = &channel_;
    of.compare_exchange_strong(mine, nullptr);
  }
  LinkIsDown();
}

VhostPort::~VhostPort() { Stop(); }

LinkState VhostPort::ReadLink() {
  const bool up = registered_ && channel_.up();
  return {.up = up, .speed = 0, .full_duplex = up};
}

std::string VhostPort::Mac() const {
  LinkAddress mac;
  std::memcpy(&mac.value, mac_.data(), mac_.size());
  return ToString(mac);
}

PortStatistics VhostPort::Statistics() const {
  return {.receive_errors = channel_.statistics().oversized};
}

std::vector<std::pair<std::string, uint64_t>> VhostPort::ExtendedStatistics()
    const {
  const VhostChannel::Statistics counted = channel_.statistics();
  return {{"connections", counted.connections},
          {"refused_connections", counted.refused},
          {"oversized_frames", counted.oversized},
          {"guest_interrupts", counted.interrupts}};
}

}  // namespace sluice
