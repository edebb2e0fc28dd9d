// The text of a device as DPDK takes it, "net_vhost0,iface=/run/vm1,queues=2",
// taken apart.
//
// Strict, because what DPDK makes of such a text is more than a list of
// arguments: brackets make lists, "/bus=" and "bus=" another syntax of devices,
// and parentheses commands. Texts of sluice.toml are the administrator's, and
// go to DPDK as they are.
#ifndef SLUICE_DATAPLANE_PORTS_DEVICE_TEXT_H_
#define SLUICE_DATAPLANE_PORTS_DEVICE_TEXT_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

inline constexpr size_t kMaxDeviceArguments = 16;
inline constexpr size_t kMaxArgumentKey = 32;

struct DeviceArgument {
  std::string_view key;
  std::string_view value;
};

// Views of the text that was parsed.
struct DeviceText {
  std::string_view name;    // "net_vhost0", "0000:03:00.0"
  std::string_view driver;  // "net_vhost"; empty: a PCI address
  std::vector<DeviceArgument> arguments;

  // Nothing: it is not among them.
  std::optional<std::string_view> Find(std::string_view key) const;
};

// The driver in the name of a virtual device, "net_vhost" of "net_vhost0".
std::string_view DriverOf(std::string_view device_name);

// InvalidArgument says what is wrong with which part. Keys have lower-case
// letters, digits, '_' and '-'; values have letters, digits and "_-./:@+".
// None is empty and no key comes twice.
absl::StatusOr<DeviceText> ParseDeviceText(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_DEVICE_TEXT_H_
