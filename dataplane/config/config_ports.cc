#include "dataplane/config/config_ports.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/host/pci_address.h"
#include "dataplane/ports/run_time_devices.h"
#include "packet/vlan.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 19> kPortKeys = {
    "name",           "device",         "groups", "addresses",   "queues",
    "rx_descriptors", "tx_descriptors", "mtu",    "promiscuous", "parent",
    "vlan",           "inner_vlan",     "bindings", "learn_bindings",
    "vhost",          "vhost_client",   "vhost_group", "vhost_mode", "tap"};
// They say something about a device.
constexpr std::array<std::string_view, 5> kDeviceKeys = {
    "device", "queues", "rx_descriptors", "tx_descriptors", "promiscuous"};
// They say something about the socket of a virtual machine.
constexpr std::array<std::string_view, 4> kVhostKeys = {
    "vhost", "vhost_client", "vhost_group", "vhost_mode"};
constexpr std::array<std::string_view, 3> kWireKeys = {"ports", "non_ip",
                                                        "answer_arp"};
constexpr std::array<std::string_view, 2> kAnswerArpWords = {"off",
                                                             "translation"};
constexpr std::array<std::string_view, 2> kNonIpWords = {"pass", "block"};

constexpr char kWire[] = "a wire";
constexpr std::array<std::string_view, 8> kSegmentKeys = {
    "name", "ports", "non_ip", "flood", "macs", "macs_per_port", "age", "fixed"};

constexpr char kDevicesReason[] =
    "DPDK as Debian builds it has room for 32 devices, of [[port]] and of "
    "`sluicectl port add` together; VLANs of a port are no devices, nor are "
    "ports with a `vhost`";
constexpr char kVhostReason[] =
    "DPDK's vhost library has room for 500 sockets, of [[port]] and of "
    "`sluicectl port add` together";
static_assert(kMaxVhostPorts == 500);

}  // namespace

void PortSections::ReadParent(const toml::table& table, PortConfig* port) {
  if (!reader_->String(table, "parent", &port->parent)) return;
  for (const std::string_view key : kDeviceKeys) {
    const toml::node* const node = table.get(key);
    if (node == nullptr) continue;
    reader_->Error(node->source(),
                   absl::StrCat("a port with a 'parent' cannot have '",
                                std::string(key), "'"),
                   "its device is its parent's: say it there");
  }
  if (!table.contains("vlan")) {
    reader_->Error(table.get("parent")->source(),
                   "a port with a 'parent' needs a 'vlan'",
                   "give the number of its VLAN there: vlan = 5");
    return;
  }
  reader_->Number(table, "vlan", kMinVlan, kMaxVlan, &port->tags.outer);
  reader_->Number(table, "inner_vlan", kMinVlan, kMaxVlan,
                  &port->tags.inner);
  if (std::ranges::find(port->groups, kVlanGroup) == port->groups.end()) {
    port->groups.emplace_back(kVlanGroup);
  }
}

void PortSections::ReadVhost(const toml::table& table, PortConfig* port) {
  VhostConfig& vhost = port->vhost;
  if (!reader_->String(table, "vhost", &vhost.path)) return;
  const toml::source_region& place = table.get("vhost")->source();
  for (const std::string_view key : kDeviceKeys) {
    const toml::node* const node = table.get(key);
    if (node == nullptr) continue;
    reader_->Error(node->source(),
                   absl::StrCat("a port with a 'vhost' cannot have '",
                                std::string(key), "'"),
                   "its rings are made by the virtual machine: leave it out");
  }
  if (absl::Status status = CheckSocketPath(vhost.path); !status.ok()) {
    reader_->Error(place,
                   absl::StrCat("'vhost' ", status.message()),
                   "give the path of the virtual machine's socket: "
                   "\"/run/sluice/vm1.sock\"");
    return;
  }
  for (const PortConfig& other : config_->ports) {
    if (other.vhost.path != vhost.path) continue;
    reader_->Error(place,
                   absl::StrCat("port '", other.name, "' already has socket ",
                                vhost.path),
                   "give every port a socket of its own");
  }
  reader_->Boolean(table, "vhost_client", &vhost.client);
  reader_->String(table, "vhost_group", &vhost.group);
  uint16_t mode;
  if (reader_->Mode(table, "vhost_mode",
                    "lets every user into the guest's network", &mode)) {
    vhost.mode = mode;
  }
  if (!vhost.client) return;
  for (const std::string_view key : {"vhost_group", "vhost_mode"}) {
    const toml::node* const node = table.get(key);
    if (node == nullptr) continue;
    reader_->Error(node->source(),
                   absl::StrCat("'", std::string(key),
                                "' says nothing of a socket that the virtual "
                                "machine makes (vhost_client)"),
                   "leave it out, and set it there");
  }
}

void PortSections::ReadDevice(const toml::table& table, PortConfig* port) {
  if (!table.contains("device")) {
    reader_->Error(table.source(), "[[port]] has no 'device'",
                  "give a PCI address (\"0000:03:00.0\") or a virtual device "
                  "(\"net_af_packet0,iface=veth0\")");
    return;
  }
  if (!reader_->String(table, "device", &port->device)) return;
  const toml::source_region& place = table.get("device")->source();
  if (!IsPciAddress(port->device_name()) &&
      !IsVdevName(port->device_name())) {
    reader_->Error(place,
                  absl::StrCat("'device' cannot be \"", port->device, "\""),
                  "give a PCI address (\"0000:03:00.0\") or a virtual device "
                  "(\"net_af_packet0,iface=veth0\"), then its arguments after "
                  "a comma");
    return;
  }
  if (port->is_pci()) NormalisePciAddress(&port->device);
  for (const PortConfig& other : config_->ports) {
    if (other.device_name() == port->device_name()) {
      reader_->Error(place,
                    absl::StrCat("port '", other.name, "' already has device ",
                                 std::string(port->device_name())),
                    "give every port a device of its own; virtual devices "
                    "differ by the number at the end of their name");
    } else if (!port->interface().empty() &&
               other.interface() == port->interface()) {
      reader_->Error(place,
                    absl::StrCat("port '", other.name,
                                 "' already has interface ",
                                 std::string(port->interface())),
                    "give every port an interface of its own");
    }
  }
}

void PortSections::ReadPort(const toml::table& table, PortConfig* port) {
  reader_->RefuseUnknownKeys(table, "[[port]]", kPortKeys);
  port_places_.push_back(table.source());
  if (!table.contains("name")) {
    reader_->Error(table.source(), "[[port]] has no 'name'",
                  "give the name that rules use: name = \"outside\"");
  } else if (reader_->String(table, "name", &port->name)) {
    port_places_.back() = table.get("name")->source();
    if (!IsPortName(port->name)) {
      reader_->Error(port_places_.back(),
                    absl::StrCat("a port cannot be named \"", port->name,
                                 "\""),
                    absl::StrCat("use a letter, then letters, digits, '_', "
                                 "'-' and '.', at most ",
                                 kMaxPortName, " bytes"));
    } else if (IsReservedName(port->name)) {
      reader_->Error(port_places_.back(),
                    absl::StrCat("a port cannot be named \"", port->name,
                                 "\", which has a meaning in rules"),
                    "choose another name");
    }
  }
  if (!table.contains("vhost")) {
    for (const std::string_view key : kVhostKeys) {
      const toml::node* const node = table.get(key);
      if (node == nullptr) continue;
      reader_->Error(node->source(),
                     absl::StrCat("'", std::string(key), "' needs a 'vhost'"),
                     "name the virtual machine's socket: vhost = "
                     "\"/run/sluice/vm1.sock\"");
    }
  } else if (table.contains("parent")) {
    reader_->Error(table.get("vhost")->source(),
                   "a port with a 'parent' cannot have 'vhost'",
                   "its device is its parent's: say it there");
  } else {
    ReadVhost(table, port);
  }
  if (!table.contains("parent")) {
    if (!table.contains("vhost")) ReadDevice(table, port);
    for (const std::string_view key : {"vlan", "inner_vlan"}) {
      const toml::node* const node = table.get(key);
      if (node == nullptr) continue;
      reader_->Error(node->source(),
                     absl::StrCat("'", std::string(key), "' needs a 'parent'"),
                     "name the port on whose device the VLAN is: parent = "
                     "\"uplink\"");
    }
  }
  reader_->Strings(
      table, "groups", kMaxGroupsPerPort,
      [&](const std::string& group, const toml::source_region& place) {
        if (!IsGroupName(group)) {
          reader_->Error(place,
                        absl::StrCat("a group cannot be named \"", group,
                                     "\""),
                        absl::StrCat("use a letter, then letters, digits, "
                                     "'_', '-' and '.', no digit at the end, "
                                     "at most ",
                                     kMaxPortName, " bytes"));
          return;
        }
        groups_.push_back({group, place});
        port->groups.push_back(group);
      });
  reader_->Strings(
      table, "addresses", kMaxAddressesPerPort,
      [&](const std::string& text, const toml::source_region& place) {
        const std::optional<Prefix> prefix = ParsePrefix(text);
        if (!prefix) {
          reader_->Error(place, absl::StrCat("'", text, "' is not an address"),
                        "give an IPv4 or IPv6 address, with its network's "
                        "prefix length: \"192.0.2.1/24\"");
          return;
        }
        port->addresses.push_back(*prefix);
      });
  has_mtu_.push_back(table.contains("mtu"));
  ReadTap(table, port);
  if (table.contains("parent")) {
    ReadParent(table, port);
    reader_->Number(table, "mtu", 576, 9216, &port->mtu);
    return;
  }
  reader_->Number(table, "queues", 1, kMaxQueues, &port->queues);
  reader_->Number(table, "rx_descriptors", 32, 32768, &port->rx_descriptors);
  reader_->Number(table, "tx_descriptors", 32, 32768, &port->tx_descriptors);
  reader_->Number(table, "mtu", 576, 9216, &port->mtu);
  reader_->Boolean(table, "promiscuous", &port->promiscuous);
  reader_->Strings(
      table, "bindings", kMaxSpoofBindings,
      [&](const std::string& text, const toml::source_region& place) {
        const std::optional<SpoofBinding> binding = ParseSpoofBinding(text);
        if (!binding) {
          reader_->Error(place, absl::StrCat("'", text, "' is no binding"),
                         "write \"02:00:00:00:00:01 10.0.0.2\", one of the two "
                         "alone, or a network, and \"vlan 42\" behind");
          return;
        }
        port->guard.bindings.push_back(*binding);
      });
  reader_->Number(table, "learn_bindings", 1, kMaxSpoofLearned,
                  &port->guard.learn);
}

void PortSections::ReadPorts(const toml::table& root) {
  // Without any, ports come by orders.
  const toml::array* ports = reader_->Tables(
      root, "port",
      kMaxDevices + size_t{kMaxVhostPorts} + size_t{kMaxLogicalPorts},
      kDevicesReason);
  if (ports == nullptr) return;
  for (const toml::node& element : *ports) {
    PortConfig port;
    ReadPort(*element.as_table(), &port);
    config_->ports.push_back(std::move(port));
    if (config_->devices() == kMaxDevices + 1 &&
        config_->ports.back().has_ethdev()) {
      reader_->Error(element.source(),
                     absl::StrCat("more than ", kMaxDevices,
                                  " [[port]] with a device"),
                     kDevicesReason);
    }
    if (config_->ports.back().is_vhost() &&
        config_->vhosts() == kMaxVhostPorts + 1) {
      reader_->Error(element.source(),
                     absl::StrCat("more than ", kMaxVhostPorts,
                                  " [[port]] with a 'vhost'"),
                     kVhostReason);
    }
  }
  CheckNames();
  CheckParents();
}

void PortSections::CheckParents() {
  std::map<std::pair<std::string, VlanTags>, std::string> taken;
  for (size_t i = 0; i < config_->ports.size(); ++i) {
    PortConfig& port = config_->ports[i];
    if (!port.is_logical()) continue;
    const auto parent = by_name_.find(port.parent);
    if (parent == by_name_.end()) {
      reader_->Error(port_places_[i],
                     absl::StrCat("port '", port.name, "': there is no port '",
                                  port.parent, "' that could be its parent"),
                     "give the name of a [[port]] with a device");
      continue;
    }
    const PortConfig& of = config_->ports[parent->second];
    if (of.is_logical()) {
      reader_->Error(port_places_[i],
                     absl::StrCat("port '", port.name, "': its parent '",
                                  port.parent, "' is a VLAN itself"),
                     "give that one's parent, and both numbers: vlan and "
                     "inner_vlan");
      continue;
    }
    if (!has_mtu_[i]) {
      port.mtu = of.mtu;
    } else if (port.mtu > of.mtu) {
      reader_->Error(port_places_[i],
                     absl::StrCat("port '", port.name, "' has an mtu of ",
                                  port.mtu, ", and its parent one of ",
                                  of.mtu),
                     "raise the parent's, or lower this one");
    }
    const auto [at, fresh] =
        taken.try_emplace({port.parent, port.tags}, port.name);
    if (fresh) continue;
    reader_->Error(port_places_[i],
                   absl::StrCat("port '", at->second, "' already has VLAN ",
                                ToString(VlanId::Of(port.tags.outer,
                                                    port.tags.inner)),
                                " of '", port.parent, "'"),
                   "give each port of a parent a VLAN of its own");
  }
}

void PortSections::CheckNames() {
  for (size_t i = 0; i < config_->ports.size(); ++i) {
    const std::string& name = config_->ports[i].name;
    if (name.empty() ||
        by_name_.try_emplace(name, static_cast<uint16_t>(i)).second) {
      continue;
    }
    reader_->Error(port_places_[i],
                  absl::StrCat("there are two ports named '", name, "'"),
                  "give each port a name of its own");
  }
  used_.resize(config_->ports.size());
  for (const GroupPlace& group : groups_) {
    if (!by_name_.contains(group.name)) continue;
    reader_->Error(group.place,
                  absl::StrCat("group '", group.name,
                               "' has the name of a port"),
                  "rename one of them: rules could not tell them apart");
  }
  const auto vlan = by_name_.find(kVlanGroup);
  if (vlan != by_name_.end() &&
      std::ranges::any_of(config_->ports, &PortConfig::is_logical)) {
    reader_->Error(port_places_[vlan->second],
                   "a port has the name of the group of all VLANs, 'vlan'",
                   "rename it: rules could not tell them apart");
  }
}

std::optional<uint16_t> PortSections::TakePort(
    const std::string& name, const toml::source_region& place) {
  const auto port = by_name_.find(name);
  if (port == by_name_.end()) {
    reader_->Error(place, absl::StrCat("there is no port '", name, "'"),
                  "give the name of a [[port]]");
    return std::nullopt;
  }
  const std::string& on = used_[port->second];
  if (on.empty()) return port->second;
  reader_->Error(place, absl::StrCat("port '", name, "' is already on ", on),
                 on == kWire ? "a port can be one end of one wire"
                             : "a port can be on one segment, on a wire, or of "
                               "a router");
  return std::nullopt;
}

void PortSections::ReadWires(const toml::table& root) {
  const toml::array* wires = reader_->Tables(root, "wire", kMaxWires);
  if (wires == nullptr) return;
  for (const toml::node& element : *wires) {
    const toml::table& table = *element.as_table();
    reader_->RefuseUnknownKeys(table, "[[wire]]", kWireKeys);
    WireConfig wire;
    size_t count = 0;
    const bool given = reader_->Strings(
        table, "ports", kMaxDevices,
        [&](const std::string& name, const toml::source_region& place) {
          ++count;
          const std::optional<uint16_t> index = TakePort(name, place);
          if (!index) return;
          used_[*index] = kWire;
          if (count <= 2) wire.ports[count - 1] = *index;
        });
    if (!table.contains("ports") || (given && count != 2)) {
      reader_->Error(table.contains("ports") ? table.get("ports")->source()
                                            : table.source(),
                    "a wire needs two ports", "write ports = [\"a\", \"b\"]");
    }
    size_t word;
    if (reader_->Word(table, "non_ip", kNonIpWords, &word)) {
      wire.pass_non_ip = word == 0;
    }
    if (reader_->Word(table, "answer_arp", kAnswerArpWords, &word)) {
      wire.answer_arp = word == 1;
    }
    config_->wires.push_back(wire);
  }
}

void PortSections::ReadSegments(const toml::table& root) {
  const toml::array* segments = reader_->Tables(root, "segment", kMaxSegments);
  if (segments == nullptr) return;
  for (const toml::node& element : *segments) {
    SegmentConfig segment;
    ReadSegment(*element.as_table(), &segment);
    config_->segments.push_back(std::move(segment));
  }
}

void PortSections::ReadPortNames(const toml::table& table, const Holder& holder,
                                 const std::string& name,
                                 std::vector<std::string>* ports) {
  if (!table.contains("ports")) {
    reader_->Error(table.source(),
                   absl::StrCat("[[", holder.kind, "]] has no 'ports'"),
                   absl::StrCat("write ports = ", holder.ports));
  }
  const std::string on = absl::StrCat(holder.kind, " ", name);
  reader_->Strings(table, "ports", kMaxPorts,
                   [&](const std::string& port,
                       const toml::source_region& place) {
                     const std::optional<uint16_t> index =
                         TakePort(port, place);
                     if (!index) return;
                     used_[*index] = on;
                     ports->push_back(port);
                   });
}

void PortSections::ReadSegment(const toml::table& table,
                               SegmentConfig* segment) {
  constexpr Holder kSegment = {
      .kind = "segment",
      .name = "\"lan\"",
      .ports = "[\"a\", \"b\"], or ports = [] for those that are attached "
               "later"};
  reader_->RefuseUnknownKeys(table, "[[segment]]", kSegmentKeys);
  ReadName(table, kSegment, config_->segments, &segment->name);
  ReadPortNames(table, kSegment, segment->name, &segment->ports);
  size_t word;
  if (reader_->Word(table, "non_ip", kNonIpWords, &word)) {
    segment->pass_non_ip = word == 0;
  }
  if (table.contains("flood")) {
    segment->flood_unknown = segment->flood_multicast =
        segment->flood_broadcast = false;
  }
  reader_->Strings(table, "flood", 3,
                   [&](const std::string& what,
                       const toml::source_region& place) {
                     if (what == "unknown") {
                       segment->flood_unknown = true;
                     } else if (what == "multicast") {
                       segment->flood_multicast = true;
                     } else if (what == "broadcast") {
                       segment->flood_broadcast = true;
                     } else {
                       reader_->Error(
                           place, absl::StrCat("nobody floods \"", what, "\""),
                           "give any of \"unknown\", \"multicast\" and "
                           "\"broadcast\", or none");
                     }
                   });
  reader_->Number(table, "macs", 8, kMaxSegmentMacs, &segment->macs);
  reader_->Number(table, "macs_per_port", 0, kMaxSegmentMacs,
                  &segment->macs_per_port);
  reader_->Number(table, "age", 1, 86400, &segment->age);
  ReadFixed(table, segment);
}

void PortSections::ReadFixed(const toml::table& table,
                             SegmentConfig* segment) {
  reader_->Strings(
      table, "fixed", kMaxFixedMacs,
      [&](const std::string& text, const toml::source_region& place) {
        const size_t blank = text.find(' ');
        const std::optional<LinkAddress> mac =
            ParseLinkAddress(std::string_view(text).substr(0, blank));
        const std::string port =
            blank == std::string::npos ? "" : text.substr(blank + 1);
        if (!mac || mac->IsGroup() || mac->value == 0) {
          reader_->Error(place,
                         absl::StrCat("'", text,
                                      "' begins with no address of a host"),
                         "write \"00:53:00:00:00:01 vm1\": the address, and "
                         "the port that it is behind");
          return;
        }
        if (std::ranges::find(segment->ports, port) == segment->ports.end()) {
          reader_->Error(place,
                         absl::StrCat("'", port,
                                      "' is no port of this segment"),
                         "write \"00:53:00:00:00:01 vm1\": the address, and "
                         "the port that it is behind");
          return;
        }
        if (std::ranges::find(segment->fixed, *mac,
                              &SegmentConfig::Fixed::mac) !=
            segment->fixed.end()) {
          reader_->Error(place, absl::StrCat(ToString(*mac), " is fixed twice"),
                         "an address is behind one port");
          return;
        }
        segment->fixed.push_back({.mac = *mac, .port = port});
      });
}

}  // namespace sluice
