#include "dataplane/host/pci.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice {
namespace {

constexpr std::string_view kDevices = "/sys/bus/pci/devices/";
constexpr uint32_t kInterfaceUp = 0x1;    // IFF_UP
constexpr uint32_t kRouteReject = 0x200;  // RTF_REJECT

bool IsOneOf(std::string_view word, const auto& words) {
  return std::ranges::find(words, word) != std::end(words);
}

std::string Join(std::string_view a, std::string_view b) {
  return std::string(a).append(b);
}

uint32_t HexOf(std::string_view text) {
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

// /proc/net/route: interface, destination, gateway, flags, 3 columns, mask.
void CountRoutes4(const HostFiles& host, HostInterface* interface) {
  std::istringstream lines(host.Read("/proc/net/route").value_or(""));
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string name, destination, gateway, flags, skipped, mask;
    words >> name >> destination >> gateway >> flags >> skipped >> skipped >>
        skipped >> mask;
    if (name != interface->name || mask.empty()) continue;
    ++interface->routes;
    if (HexOf(destination) == 0 && HexOf(mask) == 0) {
      interface->default_route = true;
    }
  }
}

// /proc/net/ipv6_route: destination, its length, source, its length, next
// hop, metric, references, uses, flags, interface.
void CountRoutes6(const HostFiles& host, HostInterface* interface) {
  std::istringstream lines(host.Read("/proc/net/ipv6_route").value_or(""));
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string destination, length, skipped, flags, name;
    words >> destination >> length >> skipped >> skipped >> skipped >>
        skipped >> skipped >> skipped >> flags >> name;
    if (name != interface->name) continue;
    // Every interface that is up has these.
    if (destination.starts_with("fe80") || destination.starts_with("ff")) {
      continue;
    }
    if ((HexOf(flags) & kRouteReject) != 0) continue;
    ++interface->routes;
    if (HexOf(length) == 0) interface->default_route = true;
  }
}

HostInterface ReadInterface(const HostFiles& host, const std::string& name) {
  const std::string folder = Join("/sys/class/net/", name);
  HostInterface interface;
  interface.name = name;
  interface.up = (static_cast<uint32_t>(
                      host.ReadNumber(folder + "/flags").value_or(0)) &
                  kInterfaceUp) != 0;
  interface.carrier = host.ReadNumber(folder + "/carrier").value_or(0) == 1;
  interface.master = host.LinkName(folder + "/master");
  CountRoutes4(host, &interface);
  CountRoutes6(host, &interface);
  return interface;
}

// Interfaces lie below the device, or below its virtio device.
std::vector<std::string> InterfaceNames(const HostFiles& host,
                                        const std::string& folder) {
  std::vector<std::string> names = host.List(folder + "/net");
  for (const std::string& entry : host.List(folder)) {
    if (!entry.starts_with("virtio")) continue;
    std::ranges::move(host.List(absl::StrCat(folder, "/", entry, "/net")),
                      std::back_inserter(names));
  }
  return names;
}

}  // namespace

std::optional<PciDevice> ReadPciDevice(const HostFiles& host,
                                       std::string_view address) {
  const std::string folder = Join(kDevices, address);
  if (!host.Exists(folder)) return std::nullopt;
  const auto number = [&](const char* file) {
    return host.ReadNumber(folder + file).value_or(0);
  };
  PciDevice device;
  device.address = std::string(address);
  device.vendor = static_cast<uint16_t>(number("/vendor"));
  device.device = static_cast<uint16_t>(number("/device"));
  device.class_code = static_cast<uint32_t>(number("/class")) & 0xffffff;
  device.driver = host.LinkName(folder + "/driver");
  device.driver_override =
      host.Read(folder + "/driver_override").value_or("");
  if (device.driver_override == "(null)") device.driver_override.clear();
  device.numa_node = static_cast<int>(
      host.ReadNumber(folder + "/numa_node").value_or(-1));
  const std::string group = host.LinkName(folder + "/iommu_group");
  if (!group.empty()) {
    uint32_t value = 0;
    std::from_chars(group.data(), group.data() + group.size(), value);
    device.iommu_group = value;
    device.group_mates = host.List(
        absl::StrCat("/sys/kernel/iommu_groups/", value, "/devices"));
    std::erase(device.group_mates, device.address);
  }
  for (const std::string& name : InterfaceNames(host, folder)) {
    device.interfaces.push_back(ReadInterface(host, name));
  }
  return device;
}

std::vector<PciDevice> ListNetworkDevices(const HostFiles& host) {
  std::vector<PciDevice> devices;
  for (const std::string& address : host.List(kDevices)) {
    std::optional<PciDevice> device = ReadPciDevice(host, address);
    if (device && device->is_network()) devices.push_back(*std::move(device));
  }
  return devices;
}

std::string ModelName(const HostFiles& host, const PciDevice& device) {
  const std::string vendor = absl::StrFormat("%04x", device.vendor);
  const std::string model = absl::StrFormat("%04x", device.device);
  const std::string numbers = absl::StrCat(vendor, ":", model);
  // Larger than other files, and read a line at a time.
  std::istringstream lines(host.Read("/usr/share/misc/pci.ids").value_or(""));
  std::string line, vendor_name;
  while (std::getline(lines, line)) {
    if (vendor_name.empty()) {
      if (line.starts_with(vendor + "  ")) vendor_name = line.substr(6);
    } else if (line.starts_with("\t\t") || line.starts_with('#')) {
      continue;
    } else if (!line.starts_with('\t')) {
      break;
    } else if (line.starts_with(absl::StrCat("\t", model, "  "))) {
      return absl::StrCat(vendor_name, " ", line.substr(7));
    }
  }
  return numbers;
}

bool IsUserSpaceDriver(std::string_view driver) {
  constexpr std::array<std::string_view, 3> kDrivers = {
      "vfio-pci", "uio_pci_generic", "igb_uio"};
  return IsOneOf(driver, kDrivers);
}

bool IsBifurcatedDriver(std::string_view driver) {
  constexpr std::array<std::string_view, 2> kDrivers = {"mlx4_core",
                                                        "mlx5_core"};
  return IsOneOf(driver, kDrivers);
}

bool MayShareGroup(const PciDevice& device) {
  constexpr std::array<std::string_view, 3> kDrivers = {"vfio-pci", "pci-stub",
                                                        "pcieport"};
  return device.driver.empty() || IsOneOf(device.driver, kDrivers);
}

VfioFacts ReadVfioFacts(const HostFiles& host) {
  VfioFacts facts;
  facts.driver_loaded = host.Exists("/sys/bus/pci/drivers/vfio-pci");
  facts.iommu = !host.List("/sys/kernel/iommu_groups").empty();
  facts.no_iommu_mode =
      host.Read("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") ==
      "Y";
  return facts;
}

std::string IommuArgument(const HostFiles& host) {
  const std::string cpu = host.Read("/proc/cpuinfo").value_or("");
  if (cpu.find("AuthenticAMD") != std::string::npos) {
    // Its driver is on by itself where the firmware has it on.
    return "amd_iommu=on";
  }
  return "intel_iommu=on";
}

std::string VfioGroupPath(uint32_t group, bool no_iommu) {
  return absl::StrCat("/dev/vfio/", no_iommu ? "noiommu-" : "", group);
}

std::vector<std::string> ProcessesWithFile(const HostFiles& host,
                                           std::string_view path) {
  std::vector<std::string> found;
  for (const std::string& process : host.List("/proc")) {
    if (process.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string folder = Join("/proc/", process);
    for (const std::string& fd : host.List(folder + "/fd")) {
      std::error_code error;
      const std::string target =
          std::filesystem::read_symlink(
              host.Path(absl::StrCat(folder, "/fd/", fd)), error)
              .string();
      if (target != path) continue;
      found.push_back(absl::StrCat(
          process, " (", host.Read(folder + "/comm").value_or("?"), ")"));
      break;
    }
  }
  return found;
}

}  // namespace sluice
