#include "dataplane/ports/device_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/base/text.h"
#include "dataplane/host/pci_address.h"
#include "dataplane/ports/port_config.h"

namespace sluice {
namespace {

bool IsKeyByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

bool IsValueByte(char c) {
  return IsNameByte(c) || c == '/' || c == ':' || c == '@' || c == '+';
}

absl::Status ReadArgument(std::string_view part, DeviceText* device) {
  const size_t equals = part.find('=');
  const std::string_view key = part.substr(0, equals);
  if (key.empty() || key.size() > kMaxArgumentKey ||
      !std::ranges::all_of(key, IsKeyByte)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its ", device->arguments.size() + 1,
        ". argument has no name: arguments are written key=value, between "
        "commas"));
  }
  if (equals == std::string_view::npos || equals + 1 == part.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("its argument '", View(key), "' has no value"));
  }
  const std::string_view value = part.substr(equals + 1);
  if (!std::ranges::all_of(value, IsValueByte)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the value of '", View(key),
                     "' may have letters, digits and _-./:@+ only"));
  }
  if (device->Find(key)) {
    return absl::InvalidArgumentError(
        absl::StrCat("its argument '", View(key), "' is given twice"));
  }
  device->arguments.push_back({key, value});
  return absl::OkStatus();
}

}  // namespace

std::optional<std::string_view> DeviceText::Find(std::string_view key) const {
  const auto found = std::ranges::find(arguments, key, &DeviceArgument::key);
  if (found == arguments.end()) return std::nullopt;
  return found->value;
}

std::string_view DriverOf(std::string_view device_name) {
  // net_e1000_em and the like are drivers of PCI devices only.
  while (!device_name.empty() && device_name.back() >= '0' &&
         device_name.back() <= '9') {
    device_name.remove_suffix(1);
  }
  return device_name;
}

absl::StatusOr<DeviceText> ParseDeviceText(std::string_view text) {
  if (text.size() > kMaxConfigString) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has more than ", kMaxConfigString, " bytes"));
  }
  DeviceText device;
  size_t comma = text.find(',');
  device.name = text.substr(0, comma);
  if (IsVdevName(device.name)) {
    device.driver = DriverOf(device.name);
  } else if (!IsPciAddress(device.name)) {
    return absl::InvalidArgumentError(
        "it begins neither with the name of a virtual device "
        "(net_af_packet0) nor with a PCI address (0000:03:00.0)");
  }
  while (comma != std::string_view::npos) {
    if (device.arguments.size() == kMaxDeviceArguments) {
      return absl::InvalidArgumentError(absl::StrCat(
          "it has more than ", kMaxDeviceArguments, " arguments"));
    }
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    absl::Status status = ReadArgument(text.substr(0, comma), &device);
    if (!status.ok()) return status;
  }
  return device;
}

}  // namespace sluice
