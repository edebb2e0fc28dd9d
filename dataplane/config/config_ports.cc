#include "dataplane/config/config_ports.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/host/pci_address.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 11> kPortKeys = {
    "name",           "device",         "groups", "addresses", "queues",
    "rx_descriptors", "tx_descriptors", "mtu",    "promiscuous",
    "bindings",       "learn_bindings"};
constexpr std::array<std::string_view, 2> kWireKeys = {"ports", "non_ip"};
constexpr std::array<std::string_view, 2> kNonIpWords = {"pass", "block"};

}  // namespace

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
  ReadDevice(table, port);
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
      root, "port", kMaxDevices,
      "DPDK as Debian builds it has room for 32 devices, of [[port]] and of "
      "`sluicectl port add` together");
  if (ports == nullptr) return;
  for (const toml::node& element : *ports) {
    PortConfig port;
    ReadPort(*element.as_table(), &port);
    config_->ports.push_back(std::move(port));
  }
  CheckNames();
}

void PortSections::CheckNames() {
  for (size_t i = 0; i < config_->ports.size(); ++i) {
    const std::string& name = config_->ports[i].name;
    if (name.empty()) continue;
    for (size_t j = 0; j < i; ++j) {
      if (config_->ports[j].name != name) continue;
      reader_->Error(port_places_[i],
                    absl::StrCat("there are two ports named '", name, "'"),
                    "give each port a name of its own");
      break;
    }
  }
  for (const GroupPlace& group : groups_) {
    for (const PortConfig& port : config_->ports) {
      if (port.name != group.name) continue;
      reader_->Error(group.place,
                    absl::StrCat("group '", group.name,
                                 "' has the name of a port"),
                    "rename one of them: rules could not tell them apart");
    }
  }
}

void PortSections::ReadWires(const toml::table& root) {
  const toml::array* wires = reader_->Tables(root, "wire", kMaxWires);
  if (wires == nullptr) return;
  std::vector<bool> used(config_->ports.size());
  for (const toml::node& element : *wires) {
    const toml::table& table = *element.as_table();
    reader_->RefuseUnknownKeys(table, "[[wire]]", kWireKeys);
    WireConfig wire;
    size_t count = 0;
    const bool given = reader_->Strings(
        table, "ports", kMaxDevices,
        [&](const std::string& name, const toml::source_region& place) {
          const auto port =
              std::ranges::find(config_->ports, name, &PortConfig::name);
          ++count;
          if (port == config_->ports.end()) {
            reader_->Error(place, absl::StrCat("there is no port '", name, "'"),
                          "give the name of a [[port]]");
            return;
          }
          const auto index =
              static_cast<uint16_t>(port - config_->ports.begin());
          if (used[index]) {
            reader_->Error(place,
                          absl::StrCat("port '", name,
                                       "' is already on a wire"),
                          "a port can be one end of one wire");
            return;
          }
          used[index] = true;
          if (count <= 2) wire.ports[count - 1] = index;
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
    config_->wires.push_back(wire);
  }
}

}  // namespace sluice
