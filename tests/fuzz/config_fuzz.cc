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
  Require(config.ports.size() <= kMaxDevices);
  std::set<std::string> names;
  std::set<std::string_view> devices;
  for (const PortConfig& port : config.ports) {
    Require(!port.name.empty() && port.name.size() <= kMaxPortName);
    Require(names.insert(port.name).second);
    Require(devices.insert(port.device_name()).second);
    Require(port.device.size() <= kMaxConfigString + 5);
    Require(port.groups.size() <= kMaxGroupsPerPort);
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
  sluice::CheckRest(*parsed.config);
  // The same text means the same.
  sluice::Require(sluice::ParseConfig(text, sluice::kFile).config ==
                  parsed.config);
  return 0;
}
