// Any bytes as what a machine says of its PCI devices. A line "=PATH" begins a
// file of it; what comes before the first is a list of lcores and the name of
// a device.
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/host/files.h"
#include "dataplane/host/pci.h"
#include "dataplane/host/pci_address.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

void Require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::string_view kAddress = "0000:03:00.0";
constexpr std::array<std::string_view, 12> kFiles = {
    "/sys/bus/pci/devices/0000:03:00.0/vendor",
    "/sys/bus/pci/devices/0000:03:00.0/device",
    "/sys/bus/pci/devices/0000:03:00.0/class",
    "/sys/bus/pci/devices/0000:03:00.0/driver_override",
    "/sys/bus/pci/devices/0000:03:00.0/numa_node",
    "/sys/class/net/eth0/flags",
    "/sys/class/net/eth0/carrier",
    "/proc/net/route",
    "/proc/net/ipv6_route",
    "/proc/cpuinfo",
    "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
    "/usr/share/misc/pci.ids"};

// A folder that goes away at the end.
class Machine {
 public:
  Machine() {
    char path[] = "/tmp/fuzz_pci_XXXXXX";
    Require(mkdtemp(path) != nullptr);
    root_ = path;
    fs::create_directories(
        PathOf("/sys/bus/pci/devices/0000:03:00.0/net/eth0"));
    for (const std::string_view file : kFiles) {
      fs::create_directories(fs::path(PathOf(file)).parent_path());
    }
  }
  ~Machine() { fs::remove_all(root_); }

  const std::string& root() const { return root_; }
  void Clear() const {
    for (const std::string_view file : kFiles) fs::remove(PathOf(file));
  }
  void Write(std::string_view file, std::string_view text) const {
    if (std::ranges::find(kFiles, file) == kFiles.end()) return;
    std::ofstream(PathOf(file), std::ios::binary) << text;
  }

 private:
  std::string PathOf(std::string_view file) const {
    return root_ + std::string(file);
  }

  std::string root_;
};

void CheckNames(std::string_view text) {
  const std::vector<uint16_t> list = ParseCpuList(text);
  Require(list.size() <= kMaxCpuList);
  Require(std::ranges::adjacent_find(list, std::ranges::greater_equal()) ==
          list.end());
  if (!IsPciAddress(text.substr(0, text.find(',')))) return;
  std::string device(text);
  NormalisePciAddress(&device);
  Require(IsPciAddress(std::string_view(device).substr(0, kAddress.size())));
  std::string again = device;
  NormalisePciAddress(&again);
  Require(again == device);
}

void CheckDevices(const HostFiles& host) {
  const auto device = ReadPciDevice(host, kAddress);
  Require(device.has_value() && device->interfaces.size() == 1);
  Require(device->class_code <= 0xffffff);
  Require(!ModelName(host, *device).empty());
  Require(!IommuArgument(host).empty());
  ReadVfioFacts(host);
  Require(ListNetworkDevices(host).size() == size_t{device->is_network()});
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const sluice::Machine machine;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  machine.Clear();
  bool first = true;
  while (!text.empty()) {
    const size_t end = text.find("\n=");
    const std::string_view part = text.substr(0, end);
    text = end == text.npos ? "" : text.substr(end + 2);
    if (first) {
      sluice::CheckNames(part);
    } else if (const size_t line = part.find('\n'); line != part.npos) {
      machine.Write(part.substr(0, line), part.substr(line + 1));
    }
    first = false;
  }
  sluice::CheckDevices(sluice::HostFiles(machine.root()));
  return 0;
}
