#include "dataplane/sluicectl/nic.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "absl/strings/str_join.h"
#include "dataplane/host/pci_address.h"

namespace sluice {
namespace {

std::string Device(std::string_view address, std::string_view file) {
  return std::string("/sys/bus/pci/devices/")
      .append(address)
      .append("/")
      .append(file);
}

// What the machine does with a device's interfaces, or "".
std::string UseOf(const PciDevice& device) {
  std::vector<std::string> uses;
  for (const HostInterface& interface : device.interfaces) {
    std::vector<std::string> parts;
    if (interface.up) parts.push_back("is up");
    if (interface.default_route) {
      parts.push_back("has the default route");
    } else if (interface.routes > 0) {
      parts.push_back(absl::StrCat("has ", interface.routes, " route(s)"));
    }
    if (!interface.master.empty()) {
      parts.push_back(absl::StrCat("belongs to ", interface.master));
    }
    if (parts.empty()) continue;
    uses.push_back(absl::StrCat("interface ", interface.name, " ",
                                absl::StrJoin(parts, " and ")));
  }
  return absl::StrJoin(uses, "; ");
}

std::string DriverWord(std::string_view driver) {
  return driver.empty() ? "no driver" : std::string(driver);
}

}  // namespace

absl::StatusOr<NicArguments> ParseNicArguments(
    std::span<const std::string> words) {
  NicArguments arguments;
  bool commanded = false;
  bool driver_given = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      arguments.help = true;
      return arguments;
    }
    if (word == "--force" || word == "-f") {
      arguments.force = true;
    } else if (word == "--json") {
      arguments.json = true;
    } else if (word.starts_with("--driver=")) {
      arguments.driver = word.substr(9);
      driver_given = true;
    } else if (word == "--driver" || word == "-d") {
      if (i + 1 == words.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("nic: ", word, " needs the name of a driver"));
      }
      arguments.driver = words[++i];
      driver_given = true;
    } else if (word.starts_with('-')) {
      return absl::InvalidArgumentError(
          absl::StrCat("nic: unknown option ", word));
    } else if (!commanded) {
      commanded = true;
      if (word == "list") {
        arguments.command = NicCommand::kList;
      } else if (word == "bind") {
        arguments.command = NicCommand::kBind;
      } else if (word == "unbind") {
        arguments.command = NicCommand::kUnbind;
      } else {
        constexpr std::array<std::string_view, 3> kVerbs = {"list", "bind",
                                                            "unbind"};
        const std::string_view nearest = Nearest(word, kVerbs);
        return absl::InvalidArgumentError(absl::StrCat(
            "unknown command: nic ", word,
            nearest.empty()
                ? "; there are list, bind and unbind"
                : absl::StrCat("; did you mean nic ", View(nearest), "?")));
      }
    } else {
      arguments.devices.push_back(word);
    }
  }
  if (!commanded) {
    return absl::InvalidArgumentError("nic: say list, bind or unbind");
  }
  const bool list = arguments.command == NicCommand::kList;
  if (list && (!arguments.devices.empty() || arguments.force)) {
    return absl::InvalidArgumentError(
        "nic list: takes no devices and no --force");
  }
  if (!list && arguments.devices.empty()) {
    return absl::InvalidArgumentError(
        "nic: name the PCI addresses or interfaces");
  }
  if (!list && arguments.json) {
    return absl::InvalidArgumentError("nic: --json goes with list");
  }
  if (driver_given && (arguments.command != NicCommand::kBind ||
                       !IsUserSpaceDriver(arguments.driver))) {
    return absl::InvalidArgumentError(
        "nic: --driver goes with bind and is vfio-pci, uio_pci_generic or "
        "igb_uio; unbind gives a NIC back to its kernel driver");
  }
  return arguments;
}

std::string_view NicUsage() {
  return R"(usage: sluicectl nic list [--json]
       sluicectl nic bind [--force] [--driver driver] device ...
       sluicectl nic unbind device ...
  A device is a PCI address (0000:03:00.0, 03:00.0) or an interface (ens1f0).
)";
}

void NicTool::Complain(const absl::Status& status) {
  err_ << "sluicectl: " << status.message() << '\n';
}

int NicTool::Run(const NicArguments& arguments) {
  switch (arguments.command) {
    case NicCommand::kList:
      return List(arguments.json);
    case NicCommand::kBind:
      return Bind(arguments);
    case NicCommand::kUnbind:
      return Unbind(arguments);
  }
  return 1;
}

absl::StatusOr<PciDevice> NicTool::Find(const std::string& name) const {
  if (IsPciAddress(name)) {
    std::string address = name;
    NormalisePciAddress(&address);
    if (auto device = ReadPciDevice(host_, address)) {
      if (device->is_network()) return *std::move(device);
      return absl::InvalidArgumentError(
          absl::StrCat(address, " is no network controller but ",
                       ModelName(host_, *device)));
    }
  } else {
    for (PciDevice& device : ListNetworkDevices(host_)) {
      if (std::ranges::find(device.interfaces, name, &HostInterface::name) !=
          device.interfaces.end()) {
        return std::move(device);
      }
    }
  }
  return absl::NotFoundError(
      absl::StrCat("there is no PCI network device ", name,
                   "; `sluicectl nic list` shows those that there are"));
}

bool NicTool::FindAll(const std::vector<std::string>& names,
                      std::vector<PciDevice>* devices) {
  bool good = true;
  for (const std::string& name : names) {
    absl::StatusOr<PciDevice> device = Find(name);
    if (!device.ok()) {
      Complain(device.status());
      good = false;
    } else if (std::ranges::find(*devices, device->address,
                                 &PciDevice::address) == devices->end()) {
      devices->push_back(*std::move(device));
    }
  }
  return good;
}

absl::Status NicTool::MayBind(const PciDevice& device,
                              const NicArguments& arguments,
                              const VfioFacts& vfio) const {
  const auto refuse = [&device](const std::string& what) {
    return absl::FailedPreconditionError(
        absl::StrCat(device.address, ": ", what));
  };
  if (const std::string use = UseOf(device);
      !use.empty() && !arguments.force) {
    return refuse(absl::StrCat(
        use, "; binding takes it away from the machine: take it down first "
             "(`ip link set DEV down`), or say --force"));
  }
  if (!host_.Exists(absl::StrCat("/sys/bus/pci/drivers/", arguments.driver))) {
    return refuse(absl::StrCat("driver ", arguments.driver,
                               " is not loaded; `modprobe ", arguments.driver,
                               "`"));
  }
  if (arguments.driver != "vfio-pci" || vfio.no_iommu_mode) {
    return absl::OkStatus();
  }
  if (!vfio.iommu) {
    return refuse(absl::StrCat(
        "the machine has no IOMMU or it is switched off, and vfio-pci takes "
        "no device without; switch it on in the firmware and boot with ",
        IommuArgument(host_)));
  }
  if (!device.iommu_group) {
    return refuse(
        "it is behind no IOMMU; vfio-pci would not take it. A virtual NIC "
        "needs a model that the virtual IOMMU covers");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> NicTool::Rebind(const PciDevice& device,
                                            std::string_view driver) {
  const std::string override_file = Device(device.address, "driver_override");
  // A line's end takes an override away.
  absl::Status status = write_(
      override_file, driver.empty() ? std::string_view("\n") : driver);
  if (!status.ok()) return status;
  if (!host_.LinkName(Device(device.address, "driver")).empty()) {
    status = write_(Device(device.address, "driver/unbind"), device.address);
    if (!status.ok()) return status;
  }
  status = write_("/sys/bus/pci/drivers_probe", device.address);
  // It fails, too, when a driver does not want the device.
  const std::string now = host_.LinkName(Device(device.address, "driver"));
  if (!status.ok() && now.empty() && !driver.empty()) return status;
  return now;
}

void NicTool::Undo(std::span<const PciDevice> devices) {
  for (const PciDevice& device : devices) {
    const absl::StatusOr<std::string> now =
        Rebind(device, device.driver_override);
    if (now.ok() && *now == device.driver) {
      err_ << device.address << ": left with " << DriverWord(*now) << '\n';
    } else {
      err_ << device.address << ": could not be given back to "
           << DriverWord(device.driver) << "; it is with "
           << DriverWord(now.ok() ? *now : "") << '\n';
    }
  }
}

int NicTool::Bind(const NicArguments& arguments) {
  std::vector<PciDevice> devices;
  bool good = FindAll(arguments.devices, &devices);
  std::erase_if(devices, [&](const PciDevice& device) {
    if (device.driver != arguments.driver) return false;
    out_ << device.address << ": is bound to " << device.driver
         << " already\n";
    return true;
  });
  const VfioFacts vfio = ReadVfioFacts(host_);
  for (const PciDevice& device : devices) {
    if (const absl::Status status = MayBind(device, arguments, vfio);
        !status.ok()) {
      Complain(status);
      good = false;
    }
  }
  if (!good) {
    err_ << "sluicectl: nothing was changed\n";
    return 1;
  }
  for (size_t i = 0; i < devices.size(); ++i) {
    const PciDevice& device = devices[i];
    absl::StatusOr<std::string> now = Rebind(device, arguments.driver);
    if (now.ok() && *now != arguments.driver) {
      now = absl::FailedPreconditionError(absl::StrCat(
          arguments.driver, " did not take it; see the kernel's log (dmesg)"));
    }
    if (!now.ok()) {
      Complain(absl::FailedPreconditionError(
          absl::StrCat(device.address, ": ", now.status().message())));
      Undo(std::span(devices).first(i + 1));
      return 1;
    }
    out_ << device.address << ": " << DriverWord(device.driver) << " -> "
         << *now << '\n';
  }
  // The group works for nobody while the kernel drives a part of it.
  for (const PciDevice& device : devices) {
    std::vector<std::string> mates;
    for (const std::string& address : device.group_mates) {
      const auto mate = ReadPciDevice(host_, address);
      if (!mate || MayShareGroup(*mate) || mate->is_bridge()) continue;
      mates.push_back(absl::StrCat(address, " (", mate->driver, ")"));
    }
    if (mates.empty()) continue;
    err_ << "sluicectl: warning: " << device.address
         << " cannot be used yet: IOMMU group " << *device.iommu_group
         << " also holds " << absl::StrJoin(mates, ", ")
         << "; bind these, too, or unbind them from their drivers\n";
  }
  return 0;
}

int NicTool::Unbind(const NicArguments& arguments) {
  std::vector<PciDevice> devices;
  bool good = FindAll(arguments.devices, &devices);
  const VfioFacts vfio = ReadVfioFacts(host_);
  for (const PciDevice& device : devices) {
    if (device.driver != "vfio-pci" || !device.iommu_group) continue;
    const std::vector<std::string> users = ProcessesWithFile(
        host_, VfioGroupPath(*device.iommu_group, !vfio.iommu));
    if (users.empty()) continue;
    // The kernel would wait for them, and nobody could interrupt it.
    Complain(absl::FailedPreconditionError(
        absl::StrCat(device.address, ": is used by ",
                     absl::StrJoin(users, ", "), "; stop that first")));
    good = false;
  }
  if (!good) {
    err_ << "sluicectl: nothing was changed\n";
    return 1;
  }
  int result = 0;
  for (const PciDevice& device : devices) {
    if (!device.driver.empty() && !IsUserSpaceDriver(device.driver)) {
      out_ << device.address << ": is with the kernel's " << device.driver
           << " already\n";
      continue;
    }
    const absl::StatusOr<std::string> now = Rebind(device, "");
    if (!now.ok()) {
      Complain(absl::FailedPreconditionError(
          absl::StrCat(device.address, ": ", now.status().message())));
      result = 1;
    } else if (now->empty() || IsUserSpaceDriver(*now)) {
      Complain(absl::FailedPreconditionError(absl::StrCat(
          device.address, ": ", DriverWord(*now),
          " has it: the module of its kernel driver is not loaded; "
          "`modprobe ",
          host_.Read(Device(device.address, "modalias")).value_or("MODULE"),
          "`, then again")));
      result = 1;
    } else {
      out_ << device.address << ": " << DriverWord(device.driver) << " -> "
           << *now << '\n';
    }
  }
  return result;
}

}  // namespace sluice
