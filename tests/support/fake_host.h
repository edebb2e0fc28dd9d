// A machine made of files: a folder with what sysfs and procfs would show.
//
// Built in a temporary folder and read through HostFiles. Links are relative,
// as the kernel's are.
#ifndef SLUICE_TESTS_SUPPORT_FAKE_HOST_H_
#define SLUICE_TESTS_SUPPORT_FAKE_HOST_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dataplane/host/files.h"

namespace sluice {

struct FakeNic {
  std::string address = {};
  std::string vendor = "0x8086";
  std::string device = "0x10fb";
  std::string class_code = "0x020000";
  std::string driver = {};  // "": none
  int numa_node = -1;
  int group = -1;  // -1: none
  std::string interface = {};
  bool up = false;
  bool below_virtio = false;  // where the interface is shown
};

class FakeHost {
 public:
  FakeHost() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fake-host.XXXXXX")
            .string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    root_ = name;
    for (const char* folder :
         {"/sys/bus/pci/devices", "/sys/bus/pci/drivers", "/sys/class/net",
          "/proc/net", "/dev/vfio", "/sys/kernel/iommu_groups"}) {
      std::filesystem::create_directories(root_ + folder);
    }
    Put("/sys/bus/pci/drivers_probe", "");
    Put("/proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
  }
  ~FakeHost() {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  HostFiles files() const { return HostFiles(root_); }

  void Put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(
        std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void Append(const std::string& path, const std::string& text) {
    std::ofstream(root_ + path, std::ios::app) << text;
  }
  void Link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories(
        std::filesystem::path(root_ + path).parent_path());
    std::filesystem::remove(root_ + path);
    std::filesystem::create_symlink(target, root_ + path);
  }
  void Remove(const std::string& path) {
    std::filesystem::remove_all(root_ + path);
  }
  bool Exists(const std::string& path) const {
    return std::filesystem::exists(
        std::filesystem::symlink_status(root_ + path));
  }

  void AddDriver(const std::string& name) {
    Put("/sys/bus/pci/drivers/" + name + "/unbind", "");
  }
  void SetDriver(const std::string& address, const std::string& driver) {
    const std::string link = Device(address) + "/driver";
    Remove(link);
    if (!driver.empty()) Link(link, "../../drivers/" + driver);
  }
  std::string DriverOf(const std::string& address) const {
    return files().LinkName(Device(address) + "/driver");
  }

  void Add(const FakeNic& nic) {
    const std::string folder = Device(nic.address);
    Put(folder + "/vendor", nic.vendor + "\n");
    Put(folder + "/device", nic.device + "\n");
    Put(folder + "/class", nic.class_code + "\n");
    Put(folder + "/numa_node", std::to_string(nic.numa_node) + "\n");
    Put(folder + "/driver_override", "(null)\n");
    Put(folder + "/modalias", "pci:v00008086d000010FB\n");
    if (!nic.driver.empty()) {
      AddDriver(nic.driver);
      SetDriver(nic.address, nic.driver);
    }
    if (nic.group >= 0) {
      const std::string group = std::to_string(nic.group);
      Link(folder + "/iommu_group",
           "../../../../kernel/iommu_groups/" + group);
      Put("/sys/kernel/iommu_groups/" + group + "/devices/" + nic.address,
          "");
    }
    if (!nic.interface.empty()) {
      Put(folder + (nic.below_virtio ? "/virtio0" : "") + "/net/" +
              nic.interface + "/ifindex",
          "2\n");
      Put("/sys/class/net/" + nic.interface + "/flags",
          nic.up ? "0x1003\n" : "0x1002\n");
      Put("/sys/class/net/" + nic.interface + "/carrier", nic.up ? "1\n" : "");
    }
  }

  // A machine with vfio-pci loaded, as it should be.
  void LoadVfio() {
    AddDriver("vfio-pci");
    Put("/dev/vfio/vfio", "");
  }

  static std::string Device(const std::string& address) {
    return "/sys/bus/pci/devices/" + address;
  }

 private:
  std::string root_;
};

// Lines of the routing tables, as the kernel prints them.
inline constexpr char kRoutes4[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n"
    "ens1f0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "ens1f0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
inline constexpr char kRoutes6[] =
    "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001 "
    "  ens1f1\n"
    "20010db8000000010000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001 "
    "  ens1f1\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "20010db8000000010000000000000001 00000400 00000001 00000000 00000003 "
    "  ens1f1\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 "
    "      lo\n";

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_FAKE_HOST_H_
