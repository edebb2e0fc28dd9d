#include "dataplane/ports/run_time_devices.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/ports/device_text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// An interface of Linux has at most 15 bytes, the path of a socket 107.
constexpr size_t kMaxInterface = 15;
constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

struct ArgumentRule {
  enum class Type : uint8_t { kNumber, kWord, kInterface, kMac, kSocket };

  std::string_view key;
  Type type;
  uint64_t min = 0, max = 1;                 // kNumber
  std::array<std::string_view, 2> words{};  // kWord
  bool required = false;
};

struct DriverRule {
  std::string_view driver;
  std::span<const ArgumentRule> arguments;
  // The argument that, with this value, has the driver make the socket, and
  // whether it makes it without that argument.
  std::string_view role = {};
  std::string_view serving = {};
  bool serves_by_default = false;
};

using Type = ArgumentRule::Type;

// Sizes are limits of the drivers; where these have none, what one port may
// cost: 16 rings of 64 MiB.
constexpr ArgumentRule kAfPacket[] = {
    {.key = "iface", .type = Type::kInterface, .required = true},
    {.key = "qpairs", .type = Type::kNumber, .min = 1, .max = 16},
    {.key = "blocksz", .type = Type::kNumber, .min = 4096, .max = 1 << 20},
    {.key = "framesz", .type = Type::kNumber, .min = 128, .max = 1 << 16},
    {.key = "framecnt", .type = Type::kNumber, .min = 1, .max = 1 << 15},
    {.key = "qdisc_bypass", .type = Type::kNumber},
};
// Not xdp_prog: the file that it names becomes a program of the kernel's.
constexpr ArgumentRule kAfXdp[] = {
    {.key = "iface", .type = Type::kInterface, .required = true},
    {.key = "start_queue", .type = Type::kNumber, .max = 255},
    {.key = "queue_count", .type = Type::kNumber, .min = 1, .max = 64},
    {.key = "shared_umem", .type = Type::kNumber},
    {.key = "busy_budget", .type = Type::kNumber, .max = 1024},
    {.key = "force_copy", .type = Type::kNumber},
};
constexpr ArgumentRule kVhost[] = {
    {.key = "iface", .type = Type::kSocket, .required = true},
    {.key = "queues", .type = Type::kNumber, .min = 1, .max = 32},
    {.key = "client", .type = Type::kNumber},
    {.key = "iommu-support", .type = Type::kNumber},
    {.key = "postcopy-support", .type = Type::kNumber},
    {.key = "tso", .type = Type::kNumber},
    {.key = "linear-buffer", .type = Type::kNumber},
    {.key = "ext-buffer", .type = Type::kNumber},
    {.key = "legacy-ol-flags", .type = Type::kNumber},
};
// Not iface: with a path in /dev it names an interface to be made. Not speed.
constexpr ArgumentRule kVirtioUser[] = {
    {.key = "path", .type = Type::kSocket, .required = true},
    {.key = "server", .type = Type::kNumber},
    {.key = "queues", .type = Type::kNumber, .min = 1, .max = 8},
    {.key = "queue_size", .type = Type::kNumber, .min = 32, .max = 32768},
    {.key = "cq", .type = Type::kNumber},
    {.key = "mac", .type = Type::kMac},
    {.key = "mrg_rxbuf", .type = Type::kNumber},
    {.key = "in_order", .type = Type::kNumber},
    {.key = "packed_vq", .type = Type::kNumber},
    {.key = "vectorized", .type = Type::kNumber},
};
// Without a role, or in the abstract name space, it is not clear who may be at
// the other end.
constexpr ArgumentRule kMemif[] = {
    {.key = "role", .type = Type::kWord, .words = {"server", "client"},
     .required = true},
    {.key = "socket", .type = Type::kSocket, .required = true},
    {.key = "socket-abstract", .type = Type::kWord, .words = {"no"},
     .required = true},
    {.key = "id", .type = Type::kNumber, .max = UINT32_MAX},
    {.key = "bsize", .type = Type::kNumber, .min = 64, .max = 1 << 14},
    {.key = "rsize", .type = Type::kNumber, .min = 4, .max = 14},
    {.key = "zero-copy", .type = Type::kWord, .words = {"yes", "no"}},
    {.key = "mac", .type = Type::kMac},
};
constexpr ArgumentRule kNull[] = {
    {.key = "size", .type = Type::kNumber, .min = 60, .max = 9216},
    {.key = "copy", .type = Type::kNumber},
    {.key = "no-rx", .type = Type::kNumber},
};
// Interfaces only: its other arguments are files that it reads, or empties.
constexpr ArgumentRule kPcap[] = {
    {.key = "iface", .type = Type::kInterface, .required = true},
};

constexpr DriverRule kDrivers[] = {
    {.driver = "net_af_packet", .arguments = kAfPacket},
    {.driver = "net_af_xdp", .arguments = kAfXdp},
    {.driver = "net_memif", .arguments = kMemif, .role = "role",
     .serving = "server"},
    {.driver = "net_null", .arguments = kNull},
    {.driver = "net_pcap", .arguments = kPcap},
    {.driver = "net_vhost", .arguments = kVhost, .role = "client",
     .serving = "0", .serves_by_default = true},
    {.driver = "net_virtio_user", .arguments = kVirtioUser, .role = "server",
     .serving = "1"},
};

const DriverRule* RuleOf(std::string_view driver) {
  const auto found = std::ranges::find(kDrivers, driver, &DriverRule::driver);
  return found == std::end(kDrivers) ? nullptr : found;
}

std::string Known() {
  std::string all;
  for (const DriverRule& rule : kDrivers) {
    absl::StrAppend(&all, all.empty() ? "" : ", ", View(rule.driver));
  }
  return all;
}

bool IsMac(std::string_view text) {
  if (text.size() != 17) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                     (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

// Of the text of a path alone.
absl::Status CheckSocketText(std::string_view path,
                             const RunTimeDevices& allowed) {
  if (absl::Status status = CheckSocketPath(path); !status.ok()) return status;
  if (allowed.directories.empty()) {
    return absl::PermissionDeniedError(
        "is a path, and sluice.toml names no directory for sockets of devices: "
        "set `device_dirs` of [control]");
  }
  for (const std::string& directory : allowed.directories) {
    if (path.size() > directory.size() + 1 && path.starts_with(directory) &&
        (path[directory.size()] == '/' || directory == "/")) {
      return absl::OkStatus();
    }
  }
  return absl::PermissionDeniedError(
      "lies outside of the directories that `device_dirs` of [control] names");
}

absl::Status CheckArgument(const ArgumentRule& rule, std::string_view value,
                           const RunTimeDevices& allowed) {
  switch (rule.type) {
    case Type::kNumber: {
      uint64_t number = 0;
      const char* const end = value.data() + value.size();
      const auto [at, error] = std::from_chars(value.data(), end, number);
      if (error == std::errc() && at == end && number >= rule.min &&
          number <= rule.max) {
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "must be a number from ", rule.min, " to ", rule.max));
    }
    case Type::kWord:
      if (std::ranges::find(rule.words, value) != rule.words.end()) {
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "must be '", View(rule.words[0]), "'",
          rule.words[1].empty() ? ""
                                : absl::StrCat(" or '", View(rule.words[1]),
                                               "'")));
    case Type::kInterface:
      if (value.size() <= kMaxInterface && value != "." && value != ".." &&
          value.find('/') == std::string_view::npos) {
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "must be the name of an interface, at most ", kMaxInterface,
          " bytes"));
    case Type::kMac:
      if (IsMac(value)) return absl::OkStatus();
      return absl::InvalidArgumentError(
          "must be a MAC address like 02:00:00:00:00:01");
    case Type::kSocket:
      return CheckSocketText(value, allowed);
  }
  return absl::InternalError("has no type");
}

absl::Status Of(std::string_view device, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("device '", View(device), "': ",
                                   status.message()));
}

absl::Status OfArgument(const DeviceText& device, std::string_view key,
                        const absl::Status& status) {
  return Of(device.name,
            absl::Status(status.code(), absl::StrCat("'", View(key), "' ",
                                                     status.message())));
}

absl::Status CheckArguments(const DeviceText& device, const DriverRule& rule,
                            const RunTimeDevices& allowed) {
  for (const DeviceArgument& argument : device.arguments) {
    const auto found = std::ranges::find(rule.arguments, argument.key,
                                         &ArgumentRule::key);
    if (found == rule.arguments.end()) {
      std::string known;
      for (const ArgumentRule& other : rule.arguments) {
        absl::StrAppend(&known, known.empty() ? "" : ", ", View(other.key));
      }
      return Of(device.name,
                absl::PermissionDeniedError(absl::StrCat(
                    "an order may not give the argument '", View(argument.key),
                    "' to ", View(rule.driver), ", only ", known,
                    "; a [[port]] of sluice.toml may")));
    }
    absl::Status status = CheckArgument(*found, argument.value, allowed);
    if (!status.ok()) return OfArgument(device, argument.key, status);
  }
  for (const ArgumentRule& needed : rule.arguments) {
    if (needed.required && !device.Find(needed.key)) {
      return Of(device.name,
                absl::InvalidArgumentError(absl::StrCat(
                    View(rule.driver), " needs the argument '",
                    View(needed.key), "'")));
    }
  }
  return absl::OkStatus();
}

const ArgumentRule* SocketArgument(const DriverRule& rule) {
  const auto found =
      std::ranges::find(rule.arguments, Type::kSocket, &ArgumentRule::type);
  return found == rule.arguments.end() ? nullptr : &*found;
}

bool IsIn(const fs::path& path, const fs::path& directory) {
  const auto [rest, end] =
      std::mismatch(directory.begin(), directory.end(), path.begin(),
                    path.end());
  return rest == directory.end();
}

// Whether somebody listens at the path; a full queue is a listener's too.
bool IsServed(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(),
              std::min(path.size(), kMaxSocketPath));
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    const UniqueFd probe(
        ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe.valid()) return true;
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) == 0) {
      return true;
    }
    // A listener of the other type.
    if (errno == EPROTOTYPE) continue;
    return errno != ECONNREFUSED && errno != ENOENT;
  }
  return true;
}

}  // namespace

absl::Status CheckRunTimeDevice(std::string_view device,
                                const RunTimeDevices& allowed) {
  const std::string_view name = device.substr(0, device.find(','));
  const std::string driver(DriverOf(name));
  if (std::ranges::find(allowed.drivers, driver) != allowed.drivers.end()) {
    return absl::OkStatus();
  }
  absl::StatusOr<DeviceText> text = ParseDeviceText(device);
  if (!text.ok()) return Of(name, text.status());
  if (text->driver.empty()) {
    if (text->arguments.empty()) return absl::OkStatus();
    return Of(name, absl::PermissionDeniedError(
                        "an order may not give arguments to a PCI device; a "
                        "[[port]] of sluice.toml may"));
  }
  const DriverRule* const rule = RuleOf(text->driver);
  if (rule == nullptr) {
    return Of(name, absl::PermissionDeniedError(absl::StrCat(
                        "an order may not use the driver ", driver, ", only ",
                        Known(),
                        " and what `allow_devices` of [control] names; a "
                        "[[port]] of sluice.toml may")));
  }
  return CheckArguments(*text, *rule, allowed);
}

absl::Status CheckRunTimePath(std::string_view device,
                              const RunTimeDevices& allowed) {
  const std::string_view name = device.substr(0, device.find(','));
  const auto driver = std::ranges::find(allowed.drivers, DriverOf(name));
  if (driver != allowed.drivers.end()) return absl::OkStatus();
  const std::optional<DeviceSocket> socket = SocketOf(device);
  if (!socket) return absl::OkStatus();
  absl::Status status = CheckRunTimeSocketPath(socket->path, allowed);
  return status.ok() ? status : Of(name, status);
}

absl::Status CheckSocketPath(std::string_view path) {
  if (path.size() > kMaxSocketPath) {
    return absl::InvalidArgumentError(absl::StrCat(
        "must be a path of at most ", kMaxSocketPath, " bytes"));
  }
  // "." and "..", "//" and "/" at the end.
  if (path.empty() || path.front() != '/' ||
      path.find('\0') != std::string_view::npos ||
      fs::path(path).lexically_normal().native() != path ||
      path.back() == '/' || fs::path(path).filename() == "..") {
    return absl::InvalidArgumentError(
        "must be an absolute path, without '.', '..' and '//'");
  }
  return absl::OkStatus();
}

absl::Status CheckRunTimeSocket(std::string_view path,
                                const RunTimeDevices& allowed) {
  absl::Status status = CheckSocketText(path, allowed);
  return status.ok() ? status : Of(path, status);
}

absl::Status CheckRunTimeSocketPath(const std::string& path,
                                    const RunTimeDevices& allowed) {
  std::error_code error;
  const fs::path folder = fs::canonical(fs::path(path).parent_path(), error);
  if (error) {
    return SystemError(fs::path(path).parent_path().string(), error.value());
  }
  bool inside = false;
  for (const std::string& directory : allowed.directories) {
    const fs::path real = fs::canonical(directory, error);
    inside = inside || (!error && IsIn(folder, real));
  }
  if (!inside) {
    return absl::PermissionDeniedError(
        absl::StrCat(folder.string(),
                     " lies outside of the directories that `device_dirs` "
                     "of [control] names"));
  }
  struct stat status;
  if (::stat(folder.c_str(), &status) != 0) {
    return SystemError(folder.string(), errno);
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("everybody may write to ", folder.string(),
                     ", and so replace the socket; take that right away"));
  }
  if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is there and is no socket"));
  }
  return absl::OkStatus();
}

std::optional<DeviceSocket> SocketOf(std::string_view device) {
  const absl::StatusOr<DeviceText> text = ParseDeviceText(device);
  if (!text.ok()) return std::nullopt;
  const DriverRule* const rule = RuleOf(text->driver);
  if (rule == nullptr) return std::nullopt;
  const ArgumentRule* const argument = SocketArgument(*rule);
  if (argument == nullptr) return std::nullopt;
  const std::optional<std::string_view> path = text->Find(argument->key);
  if (!path || path->front() != '/') return std::nullopt;
  const std::optional<std::string_view> role = text->Find(rule->role);
  return DeviceSocket{
      .path = std::string(*path),
      .serves = role ? *role == rule->serving : rule->serves_by_default};
}

absl::Status GiveAccess(const DeviceSocket& socket,
                        const SocketAccess& access) {
  struct stat status;
  if (!socket.serves || ::lstat(socket.path.c_str(), &status) != 0 ||
      !S_ISSOCK(status.st_mode)) {
    return absl::OkStatus();
  }
  // Nobody may do more meanwhile than afterwards.
  if (::chmod(socket.path.c_str(), status.st_mode & access.mode & 0777) != 0) {
    return SystemError(socket.path, errno);
  }
  if (access.group && *access.group != status.st_gid &&
      ::lchown(socket.path.c_str(), static_cast<uid_t>(-1), *access.group) !=
          0) {
    return SystemError(
        absl::StrCat(socket.path, " cannot be given to group ", *access.group),
        errno);
  }
  if (::chmod(socket.path.c_str(), access.mode) != 0) {
    return SystemError(socket.path, errno);
  }
  return absl::OkStatus();
}

absl::Status MakeRoomFor(const DeviceSocket& socket) {
  if (!socket.serves) return absl::OkStatus();
  struct stat status;
  if (::lstat(socket.path.c_str(), &status) != 0) {
    return errno == ENOENT ? absl::OkStatus()
                           : SystemError(socket.path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(
        socket.path, " is there and is no socket; remove it, or give another "
        "path"));
  }
  if (IsServed(socket.path)) {
    return absl::AlreadyExistsError(absl::StrCat(
        socket.path, " is served by a process already; give another path"));
  }
  if (::unlink(socket.path.c_str()) != 0 && errno != ENOENT) {
    return SystemError(absl::StrCat("cannot remove the stale ", socket.path),
                       errno);
  }
  return absl::OkStatus();
}

}  // namespace sluice
