// What is wanted of ports and wires, as plain values, and the words that they
// may be given.
#ifndef SLUICE_DATAPLANE_PORTS_PORT_CONFIG_H_
#define SLUICE_DATAPLANE_PORTS_PORT_CONFIG_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/forward/spoof_guard.h"
#include "packet/address.h"
#include "packet/frame_tags.h"
#include "packet/link_address.h"
#include "pftable/host/host_facts.h"

namespace sluice {

// A port of a virtual machine: the socket where DPDK's vhost library meets its
// vhost-user NIC.
struct VhostConfig {
  std::string path = {};  // empty: it is no such port
  bool client = false;    // the virtual machine makes the socket
  // Of a socket that is made here; empty, nothing: as of other devices.
  std::string group = {};
  std::optional<uint16_t> mode = std::nullopt;

  friend bool operator==(const VhostConfig&, const VhostConfig&) = default;
};

struct PortConfig {
  std::string name;    // as rules say it: `on outside`
  // PCI address or vdev string, with driver arguments. Logical ports have none:
  // theirs is their parent's.
  std::string device = {};
  VhostConfig vhost = {};  // in place of a device
  std::string parent = {};
  VlanTags tags = {};  // of a logical port's frames on that device
  std::vector<std::string> groups = {};
  // The port's own addresses with their networks, for `self`, `outside`,
  // `(outside)` and `outside:network`. Host bits are kept.
  std::vector<Prefix> addresses = {};
  uint16_t queues = 0;  // 0: one a worker
  uint16_t rx_descriptors = 1024;
  uint16_t tx_descriptors = 1024;
  uint16_t mtu = 1500;  // bytes of the IP packet
  bool promiscuous = true;
  SpoofSettings guard = {};  // what may come from it
  // Of a port of a router: the interface by which the kernel has it. Empty:
  // one of the port's name.
  std::string tap = {};

  bool is_logical() const { return !parent.empty(); }
  bool is_vhost() const { return !vhost.path.empty(); }
  // Whether it takes one of the few places for devices that DPDK has.
  bool has_ethdev() const { return !is_logical() && !is_vhost(); }
  bool is_pci() const;
  // The device without driver arguments: "0000:03:00.0", "net_af_packet0". Of a
  // vhost port its socket.
  std::string_view device_name() const;
  // The Linux interface that a virtual device stands on, as its argument
  // `iface=` says: "veth0". Empty: none.
  std::string_view interface() const;
  const std::string& tap_name() const { return tap.empty() ? name : tap; }

  friend bool operator==(const PortConfig&, const PortConfig&) = default;
};

struct WireConfig {
  std::array<uint16_t, 2> ports{};  // indexes into the ports
  bool pass_non_ip = true;
  // The firewall answers ARP and neighbour discovery for the addresses that its
  // rules translate to, and sends on what such an address has brought to it.
  bool answer_arp = false;

  friend bool operator==(const WireConfig&, const WireConfig&) = default;
};

struct SegmentConfig {
  std::string name = {};
  std::vector<std::string> ports = {};  // by name; they may come later
  bool pass_non_ip = true;
  // Whether frames leave by all other ports: to hosts that nobody knows where
  // they are, to groups, to everybody.
  bool flood_unknown = true;
  bool flood_multicast = true;
  bool flood_broadcast = true;
  uint32_t macs = 8192;        // at most
  uint32_t macs_per_port = 0;  // learnt at one; 0: as many as there are
  uint32_t age = 300;          // seconds
  struct Fixed {
    LinkAddress mac;
    std::string port = {};

    friend bool operator==(const Fixed&, const Fixed&) = default;
  };
  std::vector<Fixed> fixed = {};  // addresses that are not learnt

  friend bool operator==(const SegmentConfig&, const SegmentConfig&) = default;
};

// Ports between which packets go as the kernel's routes say.
struct RouterConfig {
  std::string name = {};
  std::vector<std::string> ports = {};  // by name
  // Whose routes: a network namespace by its name (`ip netns add`) or path.
  // Empty: the process's own.
  std::string netns = {};
  uint32_t max_routes = 4'000'000;
  uint32_t max_neighbors = 65'536;

  friend bool operator==(const RouterConfig&, const RouterConfig&) = default;
};

// The group that all logical ports are in.
inline constexpr std::string_view kVlanGroup = "vlan";
// 1 to 4094: 0 says a priority only, and 4095 is reserved (IEEE 802.1Q).
inline constexpr uint16_t kMinVlan = 1;
inline constexpr uint16_t kMaxVlan = 4094;

// What rules may name of the machine: the ports as interfaces, and the common
// services and protocols.
HostFacts FactsOf(std::span<const PortConfig> ports);

// A letter, digit, '_', '-' or '.'.
bool IsNameByte(char c);
// A letter, then name bytes, at most kMaxPortName of them.
bool IsPortName(std::string_view name);
// The same, but no digit at the end: pf tells groups from units by that.
bool IsGroupName(std::string_view name);
// Names with a meaning in rules, which no port may have: "any", "self", ...
bool IsReservedName(std::string_view name);
// What the kernel takes as the name of an interface, and shells too: letters,
// digits, '_', '-' and '.', with a letter first, at most kMaxTapName.
bool IsTapName(std::string_view name);
// The name of a network namespace, or the absolute path of its file.
bool IsNetns(std::string_view name);
// The path of its file: "/run/netns/blue".
std::string NetnsPath(std::string_view netns);
// The name of a virtual device: "net_af_packet0".
bool IsVdevName(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PORT_CONFIG_H_
