// Which devices may be plugged in by an order, while the process runs.
//
// A driver of DPDK does what its arguments say, as the daemon: net_failsafe
// runs commands, net_pcap empties files, net_vhost removes what is at the path
// of its socket. So an order may ask for the drivers below only, with the
// arguments that are known to do none of it, each of its own type; sockets lie
// in directories that sluice.toml names. sluice.toml itself may name any
// device, and further drivers that orders may use with any arguments.
#ifndef SLUICE_DATAPLANE_PORTS_RUN_TIME_DEVICES_H_
#define SLUICE_DATAPLANE_PORTS_RUN_TIME_DEVICES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace sluice {

struct RunTimeDevices {
  // Drivers beside those that are known here, "net_tap": their arguments go
  // to DPDK unread. `[control] allow_devices`.
  std::vector<std::string> drivers;
  // Absolute, normal paths; sockets of devices lie in or below one of them.
  // `[control] device_dirs`.
  std::vector<std::string> directories;

  friend bool operator==(const RunTimeDevices&,
                         const RunTimeDevices&) = default;
};

// Whether the text is a device that an order may ask for. Looks at no file.
// PermissionDenied for what is not allowed, InvalidArgument for wrong values;
// both say what may be written instead.
absl::Status CheckRunTimeDevice(std::string_view device,
                                const RunTimeDevices& allowed);

// The same for what the text names on this machine: the directory of a socket
// is, with all links followed, in or below one that is allowed, which not
// everybody may write to; at the path is nothing, or a socket. Looks at files.
absl::Status CheckRunTimePath(std::string_view device,
                              const RunTimeDevices& allowed);

// What a path of a socket must look like: absolute, normal, and as short as the
// system wants it.
absl::Status CheckSocketPath(std::string_view path);
// The two checks above for a vhost port, whose socket is at that path.
absl::Status CheckRunTimeSocket(std::string_view path,
                                const RunTimeDevices& allowed);
absl::Status CheckRunTimeSocketPath(const std::string& path,
                                    const RunTimeDevices& allowed);

// The socket of a driver that has one in the file system.
struct DeviceSocket {
  std::string path;
  bool serves = false;  // the driver makes it and waits there
};
std::optional<DeviceSocket> SocketOf(std::string_view device);

// Whose the sockets are that drivers make.
struct SocketAccess {
  uint32_t mode = 0660;
  std::optional<uint32_t> group = std::nullopt;  // none: the process's own

  friend bool operator==(const SocketAccess&, const SocketAccess&) = default;
};
// After the driver has made its socket. A driver that has none yet is no error.
absl::Status GiveAccess(const DeviceSocket& socket,
                        const SocketAccess& access);

// Before a driver makes its socket, which it does by removing what is there
// or by failing for it: a socket that nobody serves any more is removed, and
// anything else, or one that is served, is an error.
absl::Status MakeRoomFor(const DeviceSocket& socket);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_RUN_TIME_DEVICES_H_
