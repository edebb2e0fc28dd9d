// Any bytes as sluice.toml: no crash, bounded time and messages, and whatever
// is accepted keeps to the limits that the rest of the daemon relies on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "dataplane/config/config.h"

namespace sluice {
namespace {

constexpr char kFile[] = "/etc/sluice/sluice.toml";

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckPorts(const Config& config) {
  Require(config.devices() <= kMaxDevices);
  Require(config.vhosts() <= kMaxVhostPorts);
  Require(config.ports.size() <=
          kMaxDevices + size_t{kMaxVhostPorts} + size_t{kMaxLogicalPorts});
  std::set<std::pair<std::string, VlanTags>> vlans;
  std::set<std::string> names;
  std::set<std::string_view> devices;
  for (const PortConfig& port : config.ports) {
    Require(!port.name.empty() && port.name.size() <= kMaxPortName);
    Require(names.insert(port.name).second);
    if (port.is_logical()) {
      const auto parent =
          std::ranges::find(config.ports, port.parent, &PortConfig::name);
      Require(parent != config.ports.end() && !parent->is_logical());
      Require(port.device.empty() && port.mtu <= parent->mtu);
      Require(port.tags.outer >= kMinVlan && port.tags.outer <= kMaxVlan &&
              port.tags.inner <= kMaxVlan);
      Require(vlans.insert({port.parent, port.tags}).second);
    } else {
      Require(devices.insert(port.device_name()).second);
    }
    Require(port.device.size() <= kMaxConfigString + 5);
    Require(port.groups.size() <= kMaxGroupsPerPort + 1);
    Require(port.addresses.size() <= kMaxAddressesPerPort);
    Require(port.queues <= kMaxQueues);
    Require(port.rx_descriptors >= 32 && port.tx_descriptors >= 32);
    Require(port.mtu >= 576 && port.mtu <= 9216);
  }
  Require(config.wires.size() <= kMaxWires);
  std::set<uint16_t> ends;
  for (const WireConfig& wire : config.wires) {
    for (const uint16_t end : wire.ports) {
      Require(end < config.ports.size());
      Require(ends.insert(end).second);
    }
  }
}

void CheckSegments(const Config& config) {
  Require(config.segments.size() <= kMaxSegments);
  std::set<std::string> names, ports;
  for (const WireConfig& wire : config.wires) {
    for (const uint16_t end : wire.ports) ports.insert(config.ports[end].name);
  }
  for (const SegmentConfig& segment : config.segments) {
    Require(names.insert(segment.name).second);
    for (const std::string& port : segment.ports) {
      Require(ports.insert(port).second);
      Require(std::ranges::find(config.ports, port, &PortConfig::name) !=
              config.ports.end());
    }
    Require(segment.macs >= 8 && segment.macs <= kMaxSegmentMacs);
    Require(segment.age >= 1 && segment.age <= 86400);
    for (const SegmentConfig::Fixed& fixed : segment.fixed) {
      Require(!fixed.mac.IsGroup() && fixed.mac.value != 0);
      Require(std::ranges::find(segment.ports, fixed.port) !=
              segment.ports.end());
    }
  }
}

void CheckRouters(const Config& config) {
  Require(config.routers.size() <= kMaxRouters);
  std::set<std::string> names, spaces, ports;
  for (const WireConfig& wire : config.wires) {
    for (const uint16_t end : wire.ports) ports.insert(config.ports[end].name);
  }
  for (const SegmentConfig& segment : config.segments) {
    ports.insert(segment.ports.begin(), segment.ports.end());
  }
  for (const RouterConfig& router : config.routers) {
    Require(IsPortName(router.name) && names.insert(router.name).second);
    Require(spaces.insert(router.netns).second);
    Require(router.netns.empty() || IsNetns(router.netns));
    Require(router.max_routes >= 1 && router.max_routes <= kMaxRoutes);
    Require(router.max_neighbors >= 1 &&
            router.max_neighbors <= kMaxNeighbors);
    std::set<std::string> taps;
    for (const std::string& name : router.ports) {
      Require(ports.insert(name).second);
      const auto port =
          std::ranges::find(config.ports, name, &PortConfig::name);
      Require(port != config.ports.end());
      Require(IsTapName(port->tap_name()));
      Require(taps.insert(port->tap_name()).second);
    }
  }
}

void CheckRest(const Config& config) {
  const WorkersConfig& workers = config.workers;
  Require(workers.size() >= 1 && workers.size() <= kMaxWorkers);
  Require(std::set<uint16_t>(workers.lcores.begin(), workers.lcores.end())
              .size() == workers.lcores.size());
  const MemoryConfig& memory = config.memory;
  Require(memory.mbufs == 0 || memory.mbufs >= 1024);
  Require(memory.states >= 1024 && memory.states <= 64u << 20);
  Require(memory.rule_slots >= 64 && memory.rule_slots <= 1u << 20);
  Require(memory.all_rule_slots >= 64 && memory.all_rule_slots <= 16u << 20);
  Require(memory.mbuf_data >= 128 && memory.mbuf_data <= 16384);
  Require((config.control.mode & 0002) == 0 && config.control.mode <= 0777);
  Require(config.control.socket.front() == '/' &&
          config.control.socket.size() <= 107);
  Require(config.policy.ruleset.front() == '/');
  Require(std::ranges::find(kLogLevels, config.log.level) !=
          kLogLevels.end());
  Require(config.eal.args.size() <= kMaxEalArguments);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const sluice::ParsedConfig parsed = sluice::ParseConfig(text, sluice::kFile);
  bool errors = false;
  for (const sluice::Diagnostic& diagnostic : parsed.diagnostics) {
    errors |= diagnostic.severity == sluice::Severity::kError;
    sluice::Require(diagnostic.file == sluice::kFile);
    sluice::Require(!diagnostic.message.empty());
    sluice::Require(sluice::FormatDiagnostic(diagnostic).ends_with('\n'));
  }
  sluice::Require(parsed.config.has_value() != errors);
  if (!parsed.config) return 0;
  sluice::CheckPorts(*parsed.config);
  sluice::CheckSegments(*parsed.config);
  sluice::CheckRouters(*parsed.config);
  sluice::CheckRest(*parsed.config);
  // The same text means the same.
  sluice::Require(sluice::ParseConfig(text, sluice::kFile).config ==
                  parsed.config);
  return 0;
}
