// What `sluicectl nic list` prints.
#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/output.h"
#include "dataplane/sluicectl/nic.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kColumns = 7;
using Row = std::array<std::string, kColumns>;

// "up, default route" or who has it open.
std::string UseWord(const PciDevice& device,
                    const std::vector<std::string>& users) {
  std::vector<std::string> words;
  for (const HostInterface& interface : device.interfaces) {
    words.push_back(!interface.up       ? "down"
                    : interface.carrier ? "up"
                                        : "up (no carrier)");
    if (interface.default_route) {
      words.push_back("default route");
    } else if (interface.routes > 0) {
      words.push_back(absl::StrCat(interface.routes, " routes"));
    }
    if (!interface.master.empty()) {
      words.push_back(absl::StrCat("in ", interface.master));
    }
  }
  for (const std::string& user : users) words.push_back(user);
  return OrDash(absl::StrJoin(words, ", "));
}

void PrintTable(const std::vector<Row>& rows, std::ostream& out) {
  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < kColumns; ++i) {
      line += row[i];
      if (i + 1 < kColumns) {
        line.append(widths[i] - row[i].size() + 2, ' ');
      }
    }
    out << line << '\n';
  }
}

json ToJson(const HostFiles& host, const PciDevice& device,
            const std::vector<std::string>& users) {
  json interfaces = json::array();
  for (const HostInterface& interface : device.interfaces) {
    interfaces.push_back({{"name", interface.name},
                          {"up", interface.up},
                          {"carrier", interface.carrier},
                          {"master", interface.master},
                          {"routes", interface.routes},
                          {"default_route", interface.default_route}});
  }
  return {{"address", device.address},
          {"model", ModelName(host, device)},
          {"vendor", device.vendor},
          {"device", device.device},
          {"driver", device.driver},
          {"numa_node", device.numa_node},
          {"iommu_group",
           device.iommu_group ? json(*device.iommu_group) : json(nullptr)},
          {"group_mates", device.group_mates},
          {"interfaces", std::move(interfaces)},
          {"used_by", users}};
}

}  // namespace

int NicTool::List(bool as_json) {
  const std::vector<PciDevice> devices = ListNetworkDevices(host_);
  const VfioFacts vfio = ReadVfioFacts(host_);
  std::vector<Row> rows = {
      {"DEVICE", "DRIVER", "INTERFACE", "USE", "NODE", "GROUP", "MODEL"}};
  json list = json::array();
  for (const PciDevice& device : devices) {
    std::vector<std::string> users;
    if (device.driver == "vfio-pci" && device.iommu_group) {
      users = ProcessesWithFile(
          host_, VfioGroupPath(*device.iommu_group, !vfio.iommu));
    }
    if (as_json) {
      list.push_back(ToJson(host_, device, users));
      continue;
    }
    std::vector<std::string> names;
    for (const HostInterface& interface : device.interfaces) {
      names.push_back(interface.name);
    }
    rows.push_back(
        {device.address, OrDash(device.driver),
         OrDash(absl::StrJoin(names, ",")), UseWord(device, users),
         device.numa_node < 0 ? "-" : absl::StrCat(device.numa_node),
         device.iommu_group ? absl::StrCat(*device.iommu_group) : "-",
         ModelName(host_, device)});
  }
  if (as_json) {
    const json document = {{"json_version", kJsonVersion},
                           {"nics", std::move(list)},
                           {"vfio_pci_loaded", vfio.driver_loaded},
                           {"iommu", vfio.iommu}};
    // Bytes of names that are not UTF-8 must not end the program.
    out_ << document.dump(2, ' ', false, json::error_handler_t::replace)
         << '\n';
    return 0;
  }
  if (devices.empty()) {
    out_ << "no PCI network devices\n";
  } else {
    PrintTable(rows, out_);
  }
  if (!vfio.driver_loaded) {
    err_ << "vfio-pci is not loaded: `modprobe vfio-pci`\n";
  }
  if (!vfio.iommu && !vfio.no_iommu_mode) {
    err_ << "there is no IOMMU, or it is switched off: boot with "
         << IommuArgument(host_) << '\n';
  }
  return 0;
}

}  // namespace sluice
