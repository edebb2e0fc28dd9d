// PCI network devices of the machine: who has them, and what stands on them.
//
// Read from sysfs and procfs only; no device is opened.
#ifndef SLUICE_DATAPLANE_HOST_PCI_H_
#define SLUICE_DATAPLANE_HOST_PCI_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/host/files.h"

namespace sluice {

// A Linux interface of a device.
struct HostInterface {
  std::string name;
  bool up = false;       // administratively
  bool carrier = false;  // only known while it is up
  std::string master;    // the bridge or bond that it belongs to, or ""
  bool default_route = false;
  // Entries of the routing tables of both families by this interface, without
  // link-local and multicast ones.
  uint32_t routes = 0;

  bool in_use() const {
    return up || routes > 0 || default_route || !master.empty();
  }
};

struct PciDevice {
  std::string address;  // "0000:03:00.0"
  uint16_t vendor = 0;
  uint16_t device = 0;
  uint32_t class_code = 0;      // 24 bits; network controllers have 02 on top
  std::string driver;           // "": none
  std::string driver_override;  // "": none
  int numa_node = -1;           // -1: the machine has no nodes, or unknown
  std::optional<uint32_t> iommu_group;
  // Other devices of the group.
  std::vector<std::string> group_mates;
  std::vector<HostInterface> interfaces;

  bool is_network() const { return class_code >> 16 == 0x02; }
  bool is_bridge() const { return class_code >> 16 == 0x06; }
};

// Nothing: there is no such device. `address` in the kernel's form.
std::optional<PciDevice> ReadPciDevice(const HostFiles& host,
                                       std::string_view address);
// All network controllers, by address.
std::vector<PciDevice> ListNetworkDevices(const HostFiles& host);

// The names of vendor and device from the system's list (pci.ids), else their
// numbers: "Intel Corporation 82599ES", "8086:10fb".
std::string ModelName(const HostFiles& host, const PciDevice& device);

// Whether DPDK takes devices that this kernel driver has: vfio-pci and the
// uio drivers.
bool IsUserSpaceDriver(std::string_view driver);
// Drivers beside which DPDK's own work without taking the device away.
bool IsBifurcatedDriver(std::string_view driver);
// Whether a device may stay with its driver while another of its IOMMU group
// is used by vfio: no driver, vfio's own, and those that do no DMA.
bool MayShareGroup(const PciDevice& device);

// What the kernel has of vfio.
struct VfioFacts {
  bool driver_loaded = false;  // vfio-pci
  bool iommu = false;          // there are IOMMU groups
  bool no_iommu_mode = false;  // enable_unsafe_noiommu_mode
};
VfioFacts ReadVfioFacts(const HostFiles& host);

// The argument of the kernel's command line that switches the IOMMU on.
std::string IommuArgument(const HostFiles& host);

// "/dev/vfio/7"
std::string VfioGroupPath(uint32_t group, bool no_iommu);
// Processes that have the file open, as "1234 (name)". Sees only those whose
// /proc this process may read: all of them for root.
std::vector<std::string> ProcessesWithFile(const HostFiles& host,
                                           std::string_view path);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_HOST_PCI_H_
