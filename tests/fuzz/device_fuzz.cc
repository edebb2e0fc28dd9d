// Any bytes as the device that an order wants to plug in.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/ports/device_text.h"
#include "dataplane/ports/run_time_devices.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// What is taken apart is all of the text, and puts together to it.
void CheckParts(std::string_view text, const DeviceText& device) {
  std::string whole(device.name);
  for (const DeviceArgument& argument : device.arguments) {
    Require(!argument.key.empty() && !argument.value.empty());
    whole.append(",").append(argument.key).append("=").append(argument.value);
    Require(device.Find(argument.key) == argument.value);
  }
  Require(whole == text);
  Require(device.name.starts_with(device.driver));
  // None of what DPDK gives a meaning of its own.
  Require(std::ranges::none_of(text, [](unsigned char c) {
    return c <= ' ' || c >= 0x7f || c == '(' || c == ')' || c == '[' ||
           c == ']' || c == '"' || c == '\'';
  }));
  Require(text.find("/bus=") == text.npos && text.find("/class=") == text.npos);
}

void CheckAllowed(std::string_view text, const RunTimeDevices& allowed) {
  const absl::StatusOr<DeviceText> device = ParseDeviceText(text);
  Require(device.ok());
  const std::optional<DeviceSocket> socket = SocketOf(text);
  for (const DeviceArgument& argument : device->arguments) {
    if (argument.value.find('/') == std::string_view::npos) continue;
    Require(socket.has_value() && socket->path == argument.value);
  }
  if (!socket) return;
  const std::filesystem::path path(socket->path);
  Require(path.is_absolute() && path == path.lexically_normal());
  Require(path.native().starts_with(allowed.directories[0] + "/"));
  Require(path.native().size() <= 107);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<sluice::DeviceText> device =
      sluice::ParseDeviceText(text);
  if (device.ok()) sluice::CheckParts(text, *device);
  static const sluice::RunTimeDevices allowed = {.drivers = {},
                                                 .directories = {"/r"}};
  const absl::Status status = sluice::CheckRunTimeDevice(text, allowed);
  sluice::Require(device.ok() || !status.ok());
  sluice::Require(status.ok() || !status.message().empty());
  if (status.ok()) sluice::CheckAllowed(text, allowed);
  return 0;
}
