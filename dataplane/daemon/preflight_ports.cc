// vfio, PCI ports and virtual ports.
#include <filesystem>
#include <linux/capability.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "dataplane/base/text.h"
#include "dataplane/daemon/preflight_parts.h"
#include "dataplane/ports/vhost_port.h"
#include "dataplane/host/nic_models.h"
#include "dataplane/host/pci.h"
#include "dataplane/ports/device_text.h"

namespace sluice {
namespace {

std::string WhereOf(const PortConfig& port) {
  return absl::StrCat("port '", port.name, "' (",
                      std::string(port.device_name()), ")");
}

// "its interface eth0 is up and has the default route", or "".
std::string UseOf(const PciDevice& device) {
  std::vector<std::string> uses;
  for (const HostInterface& interface : device.interfaces) {
    if (!interface.in_use()) continue;
    std::vector<std::string> parts;
    if (interface.up) parts.push_back("is up");
    if (interface.default_route) {
      parts.push_back("HAS THE DEFAULT ROUTE");
    } else if (interface.routes > 0) {
      parts.push_back(absl::StrCat("has ", interface.routes, " route(s)"));
    }
    if (!interface.master.empty()) {
      parts.push_back(absl::StrCat("belongs to ", interface.master));
    }
    uses.push_back(absl::StrCat("its interface ", interface.name, " ",
                                absl::StrJoin(parts, " and ")));
  }
  return absl::StrJoin(uses, "; ");
}

// Who has a device that should be vfio's.
void CheckDriver(const PreflightContext& context, const std::string& where,
                 const PciDevice& device) {
  const std::string bind =
      absl::StrCat("`sluicectl nic bind ", device.address, "`");
  if (device.driver.empty()) {
    context.Add(FindingLevel::kError, where, "it is bound to no driver",
                absl::StrCat("give it to vfio-pci: ", bind));
    return;
  }
  if (IsUserSpaceDriver(device.driver)) {
    context.Add(FindingLevel::kWarning, where,
                absl::StrCat("it is bound to ", device.driver,
                             ": the device may write anywhere in memory, and "
                             "only root can use it"),
                absl::StrCat("vfio-pci with an IOMMU is safer: ", bind));
    return;
  }
  context.Add(
      FindingLevel::kError, where,
      absl::StrCat("it is bound to the kernel's driver ", device.driver),
      absl::StrCat("give it to vfio-pci: ", bind));
  const std::string use = UseOf(device);
  if (!use.empty()) {
    context.Add(FindingLevel::kWarning, where,
                absl::StrCat("the machine uses it: ", use),
                "binding it to vfio-pci takes the interface away, and with "
                "it your own connection if it comes this way: take another "
                "NIC, or first `ip link set DEV down` from the console");
  }
}

// Its group's file: whether it is there, ours to open, and not taken.
void CheckGroup(const PreflightContext& context, const std::string& where,
                const PciDevice& device, const VfioFacts& vfio) {
  if (!device.iommu_group) {
    if (vfio.iommu) {
      context.Add(FindingLevel::kError, where,
                  "it is behind no IOMMU: it has no IOMMU group",
                  "use a slot or (in a virtual machine) a model that the "
                  "IOMMU covers; virtio needs iommu_platform=on");
    }
    return;
  }
  const uint32_t group = *device.iommu_group;
  std::vector<std::string> mates;
  for (const std::string& address : device.group_mates) {
    const auto mate = ReadPciDevice(context.input.host, address);
    if (!mate || MayShareGroup(*mate) || mate->is_bridge()) continue;
    mates.push_back(absl::StrCat(address, " (", mate->driver, ")"));
  }
  if (!mates.empty()) {
    context.Add(
        FindingLevel::kError, where,
        absl::StrCat("its IOMMU group ", group,
                     " also holds devices of the kernel's: ",
                     absl::StrJoin(mates, ", ")),
        "bind all of the group to vfio-pci, or unbind them from their "
        "drivers, or put the NIC into another slot: the IOMMU cannot keep "
        "them apart");
  }
  if (device.driver != "vfio-pci") return;
  const std::string path = VfioGroupPath(group, !vfio.iommu);
  const int code = context.input.open_errno(context.input.host.Path(path));
  if (code == 0) return;
  if (code == EBUSY) {
    const std::vector<std::string> users =
        ProcessesWithFile(context.input.host, path);
    context.Add(FindingLevel::kError, where,
                absl::StrCat("another process uses it: ", path,
                             " is open already",
                             users.empty() ? "" : " by ",
                             absl::StrJoin(users, ", ")),
                users.empty() ? absl::StrCat("see who: `fuser ", path, "`")
                              : "stop that process, or take another NIC");
    return;
  }
  context.Add(
      FindingLevel::kError, where,
      absl::StrCat("user ", context.input.process.user, " cannot open ", path,
                   ": ", std::strerror(code)),
      code == ENOENT
          ? absl::StrCat("bind it again: `sluicectl nic unbind ",
                         device.address, "` and `sluicectl nic bind ",
                         device.address, "`")
          : "add the user to the group that /dev/vfio's files have by the "
            "udev rule that comes with sluice (sluice), then `udevadm "
            "trigger -s vfio`");
}

void CheckPlacement(const PreflightContext& context, const std::string& where,
                    const PciDevice& device) {
  const HostFiles& host = context.input.host;
  if (device.numa_node < 0 || NumaNodes(host).size() < 2) return;
  std::vector<uint16_t> far;
  for (const uint16_t core : context.plan.worker_cores) {
    if (NodeOfCore(host, core) != device.numa_node) far.push_back(core);
  }
  const std::string near =
      host.Read(absl::StrCat("/sys/devices/system/node/node",
                             device.numa_node, "/cpulist"))
          .value_or("");
  if (!far.empty()) {
    context.Add(FindingLevel::kWarning, where,
                absl::StrCat("it is on NUMA node ", device.numa_node,
                             ", worker processor(s) ",
                             absl::StrJoin(far, ", "), " are not"),
                absl::StrCat("take [workers] lcores from ", near));
  }
  // The packets' pool comes from the main lcore's node.
  if (NodeOfCore(host, context.plan.control_core) != device.numa_node) {
    context.Add(FindingLevel::kWarning, where,
                absl::StrCat("it is on NUMA node ", device.numa_node,
                             ", and packets lie on that of control_lcore ",
                             context.plan.control_core),
                absl::StrCat("take [workers] control_lcore from ", near));
  }
}

// Of NICs whose number of queues their host decides: what the kernel's virtio
// driver has read from the device. Other drivers say how many they would use
// on this machine, which is not how many there are.
uint16_t QueuesOfVirtio(const PreflightContext& context,
                        const PciDevice& device) {
  if (device.driver != "virtio-pci") return 0;
  for (const HostInterface& interface : device.interfaces) {
    const auto queues = context.input.interface_queues(interface.name);
    if (queues) return static_cast<uint16_t>(std::min(*queues, 65535u));
  }
  return 0;
}

void CheckQueues(const PreflightContext& context, const std::string& where,
                 const PortConfig& port, const PciDevice& device) {
  NicModel model = FindNicModel(device.vendor, device.device);
  if (model.receive_queues == 0) {
    model.receive_queues = QueuesOfVirtio(context, device);
  }
  const uint16_t workers = context.config.workers.size();
  if (port.queues > 0 && model.receive_queues > 0 &&
      port.queues > model.receive_queues) {
    context.Add(FindingLevel::kError, where,
                absl::StrCat("it has ", model.receive_queues,
                             " receive queue(s), and `queues` is ",
                             port.queues),
                "lower `queues`, or remove it");
    return;
  }
  if (port.queues > 0 && port.queues < workers) {
    context.Add(FindingLevel::kWarning, where,
                absl::StrCat("`queues` is ", port.queues, " for ", workers,
                             " workers: those without one get packets only "
                             "from others"),
                "remove `queues`, or give it the number of workers");
  }
  if (workers < 2 && port.queues < 2) return;
  if (model.receive_queues == 0) {
    context.Add(FindingLevel::kNote, where,
                "how many queues it has is known only when DPDK drives it",
                "");
  } else if (port.queues == 0 && model.receive_queues < workers) {
    context.Add(FindingLevel::kWarning, where,
                absl::StrCat("it has ", model.receive_queues,
                             " receive queue(s) for ", workers,
                             " workers, which hand packets on to one another"),
                "fewer workers may be faster");
  }
  if (model.rss == RssSupport::kUnknown) {
    context.Add(FindingLevel::kNote, where,
                "whether it has RSS with a key of ours is known only when "
                "DPDK drives it; without, software steers",
                "");
  } else if (model.rss == RssSupport::kNone) {
    context.Add(FindingLevel::kNote, where,
                "it has no RSS: software steers packets to their workers",
                "");
  }
}

// Arguments that drivers take and do not speak of.
constexpr std::array<std::pair<std::string_view, std::string_view>, 1>
    kUnspokenArguments = {{{"net_vhost", "legacy-ol-flags"}}};

// Whether DPDK has a driver for a virtual device, which takes its arguments.
// False: it has none.
bool CheckDriverOf(const PreflightContext& context, const PortConfig& port) {
  if (!context.input.drivers) return true;
  const std::string device(port.device_name());
  const DriverList::value_type* driver =
      DriverFor(*context.input.drivers, device);
  if (driver == nullptr) {
    if (context.input.interface_flags(device)) {
      context.Add(FindingLevel::kError, WhereOf(port),
                  "it is an interface of the kernel's, and no device of DPDK's",
                  absl::StrCat("device = \"net_af_packet0,iface=", device,
                               "\" takes it through the kernel; a NIC of its "
                               "own has a PCI address (`sluicectl nic list`)"));
      return false;
    }
    std::vector<std::string_view> names;
    for (const auto& known : *context.input.drivers) {
      names.push_back(known.first);
    }
    const std::string_view nearest = Nearest(DriverOf(device), names);
    context.Add(
        FindingLevel::kError, WhereOf(port),
        absl::StrCat("DPDK has no driver '", View(DriverOf(device)), "'"),
        nearest.empty()
            ? "virtual devices are net_af_packet, net_vhost, net_memif, "
              "net_tap and others, with a number: \"net_tap0\""
            : absl::StrCat("did you mean '", View(nearest), "'?"));
    return false;
  }
  for (const auto& argument : absl::StrSplit(port.device, ',')) {
    const size_t equals = argument.find('=');
    if (equals == absl::string_view::npos) continue;
    const std::string key(argument.substr(0, equals));
    const std::pair<std::string_view, std::string_view> unspoken(
        driver->first, key);
    if (driver->second.empty() ||
        driver->second.find(key + "=") != std::string::npos ||
        std::ranges::find(kUnspokenArguments, unspoken) !=
            kUnspokenArguments.end()) {
      continue;
    }
    context.Add(FindingLevel::kError, WhereOf(port),
                absl::StrCat("the driver ", driver->first,
                             " takes no argument '", key, "'"),
                absl::StrCat("it takes: ", driver->second));
  }
  return true;
}

}  // namespace

void CheckVfio(const PreflightContext& context) {
  const HostFiles& host = context.input.host;
  bool needed = false;
  for (const PortConfig& port : context.config.ports) {
    if (!port.is_pci()) continue;
    const auto device = ReadPciDevice(host, port.device_name());
    needed |= device && !IsBifurcatedDriver(device->driver) &&
              (!IsUserSpaceDriver(device->driver) ||
               device->driver == "vfio-pci");
    // What is not there yet would be vfio's, too.
    needed |= !device;
  }
  if (!needed) return;
  const VfioFacts vfio = ReadVfioFacts(host);
  if (!vfio.driver_loaded) {
    context.Add(FindingLevel::kError, "vfio-pci", "the driver is not loaded",
                "`modprobe vfio-pci`, and a line vfio-pci in "
                "/etc/modules-load.d/ for the next boot");
  } else {
    const std::string path = "/dev/vfio/vfio";
    if (const int code = context.input.open_errno(host.Path(path));
        code != 0) {
      context.Add(FindingLevel::kError, "vfio-pci",
                  absl::StrCat("user ", context.input.process.user,
                               " cannot open ", path, ": ",
                               std::strerror(code)),
                  code == ENOENT ? "`modprobe vfio`; in a container, pass the "
                                   "file into it"
                                 : "it is usually open to all: `chmod 666 "
                                   "/dev/vfio/vfio`");
    }
  }
  if (!vfio.iommu && vfio.no_iommu_mode) {
    context.Add(FindingLevel::kWarning, "IOMMU",
                "there is none, and vfio works without: the NICs may write "
                "anywhere in memory",
                "switch the IOMMU on if the machine has one");
  } else if (!vfio.iommu) {
    context.Add(FindingLevel::kError, "IOMMU",
                "there is none, or it is switched off: vfio-pci takes no "
                "device without",
                absl::StrCat("switch it on in the firmware (VT-d, AMD-Vi) "
                             "and boot with ",
                             IommuArgument(host),
                             "; give a virtual machine a virtual one"));
  }
}

void CheckPciPort(const PreflightContext& context, const PortConfig& port) {
  const HostFiles& host = context.input.host;
  const std::string where = WhereOf(port);
  const auto device = ReadPciDevice(host, port.device_name());
  if (!device) {
    context.Add(FindingLevel::kError, where, "there is no such PCI device",
                "`sluicectl nic list` shows the NICs of this machine");
    return;
  }
  if (!device->is_network()) {
    context.Add(FindingLevel::kError, where,
                absl::StrCat("it is no network controller but ",
                             ModelName(host, *device)),
                "`sluicectl nic list` shows the NICs of this machine");
    return;
  }
  if (IsBifurcatedDriver(device->driver)) {
    context.Add(FindingLevel::kNote, where,
                absl::StrCat("it stays with ", device->driver,
                             ", and DPDK works beside it"),
                "");
  } else {
    if (device->driver != "vfio-pci") CheckDriver(context, where, *device);
    CheckGroup(context, where, *device, ReadVfioFacts(host));
  }
  CheckPlacement(context, where, *device);
  CheckQueues(context, where, port, *device);
}

void CheckVirtualPort(const PreflightContext& context,
                      const PortConfig& port) {
  if (!CheckDriverOf(context, port)) return;
  const std::string interface(port.interface());
  const std::string device(port.device_name());
  if (interface.empty()) return;
  const std::string where = absl::StrCat("port '", port.name, "' (", device,
                                         ", ", interface, ")");
  const auto flags = context.input.interface_flags(interface);
  if (!flags) {
    context.Add(FindingLevel::kError, where,
                absl::StrCat("there is no interface ", interface),
                "`ip -br link` shows those of this network namespace");
    return;
  }
  if ((*flags & IFF_UP) == 0) {
    context.Add(FindingLevel::kWarning, where, "the interface is down",
                absl::StrCat("`ip link set ", interface, " up`"));
  }
  const ProcessFacts& process = context.input.process;
  const auto require = [&](int capability, const char* name,
                           const char* reason) {
    if (process.Has(capability)) return;
    context.Add(FindingLevel::kError, where,
                absl::StrCat("user ", process.user, " lacks ", name, ", ",
                             reason),
                absl::StrCat("AmbientCapabilities=", name,
                             " in the unit, or run it as root"));
  };
  const auto uses = [&device](const char* driver) {
    return device.starts_with(driver);
  };
  if (uses("net_af_packet") || uses("net_af_xdp") || uses("net_pcap")) {
    require(CAP_NET_RAW, "CAP_NET_RAW", "which packet sockets need");
  }
  if (uses("net_af_packet") || uses("net_af_xdp")) {
    // Starting a device writes its address and its promiscuous mode, even
    // where that changes nothing.
    require(CAP_NET_ADMIN, "CAP_NET_ADMIN",
            "which DPDK's driver needs to start the interface");
  }
}

void CheckVhostPort(const PreflightContext& context, const PortConfig& port) {
  const VhostConfig& vhost = port.vhost;
  const std::string where =
      absl::StrCat("port '", port.name, "' (vhost ", vhost.path, ")");
  if (!vhost.group.empty() && context.input.has_group != nullptr &&
      !context.input.has_group(vhost.group)) {
    context.Add(FindingLevel::kError, where,
                absl::StrCat("there is no group '", vhost.group,
                             "' on this system"),
                absl::StrCat("make it (`groupadd --system ", vhost.group,
                             "`), or set another `vhost_group`"));
  }
  const std::string folder =
      std::filesystem::path(vhost.path).parent_path().string();
  std::error_code error;
  if (vhost.client) {
    // The machine makes it, and perhaps its folder, when it starts.
    if (std::filesystem::is_directory(context.input.host.Path(folder), error)) {
      return;
    }
    context.Add(FindingLevel::kError, where,
                absl::StrCat("there is no folder ", folder),
                "make it, and have the virtual machine make its socket there");
    return;
  }
  const int code = context.input.folder_errno(context.input.host.Path(folder));
  if (code == 0) return;
  context.Add(FindingLevel::kError, where,
              absl::StrCat("user ", context.input.process.user,
                           " cannot make a socket in ", folder, ": ",
                           std::strerror(code)),
              code == ENOENT
                  ? absl::StrCat("make it: `install -d -m 0750 -o ",
                                 context.input.process.user, " ", folder,
                                 "`, or RuntimeDirectory= in the unit")
                  : absl::StrCat("let ", context.input.process.user,
                                 " write there, or give another path"));
}

void CheckDescriptors(const PreflightContext& context) {
  const size_t ports = context.config.vhosts();
  if (ports == 0) return;
  const uint64_t needed = DescriptorsFor(ports);
  if (context.input.process.descriptors >= needed) return;
  context.Add(FindingLevel::kWarning, "RLIMIT_NOFILE",
              absl::StrCat("the process may have ",
                           context.input.process.descriptors,
                           " descriptors, and ", ports,
                           " virtual machines may take ", needed),
              absl::StrCat("raise it: LimitNOFILE=", needed, " in the unit"));
}

}  // namespace sluice
