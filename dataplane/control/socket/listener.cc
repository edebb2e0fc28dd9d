#include "dataplane/control/socket/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

absl::Status Failed(std::string_view what) { return SystemError(what, errno); }

// What the kernel shows of groups that the process's user namespace lacks:
// whoever is in none of ours would be in this one.
constexpr gid_t kOverflowGroup = 65534;

absl::StatusOr<gid_t> FindGroup(std::string_view key, const std::string& name) {
  uint32_t number;
  if (absl::SimpleAtoi(name, &number)) {
    if (number != kOverflowGroup) return static_cast<gid_t>(number);
    return absl::InvalidArgumentError(absl::StrCat(
        "control socket: control.", View(key), " cannot be group ", number,
        ", which users of other name spaces seem to have; choose another"));
  }
  std::vector<char> buffer(16384);
  group entry;
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(),
                   &found) != 0 ||
      found == nullptr) {
    return absl::NotFoundError(absl::StrCat(
        "control socket: no group \"", name,
        "\" on this system; make it with groupadd, or change control.",
        View(key)));
  }
  return FindGroup(key, std::to_string(found->gr_gid));
}

// An access list as the kernel reads it (linux/posix_acl_xattr.h).
struct AccessEntry {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id;
};
constexpr uint32_t kAccessVersion = 2;
constexpr uint16_t kOwner = 0x01, kFileGroup = 0x04, kGroup = 0x08,
                   kMask = 0x10, kOther = 0x20;
constexpr uint16_t kReadWrite = 06;
constexpr uint32_t kNobody = 0xffffffff;

absl::Status MakeFolder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return absl::OkStatus();
  const std::string folder = path.substr(0, slash);
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return Failed(absl::StrCat("control socket: cannot make ", folder));
  }
  return absl::OkStatus();
}

// True if somebody listens at the address.
bool IsLive(const sockaddr_un& address) {
  UniqueFd probe(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return true;
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof address) == 0) {
    return true;
  }
  // A full queue is a live server's too.
  return errno != ECONNREFUSED && errno != ENOENT;
}

absl::Status InUse(const std::string& path) {
  return absl::AlreadyExistsError(absl::StrCat(
      "control socket: ", path,
      " is served by another process; stop that one, or give this one its own "
      "control.socket"));
}

}  // namespace

absl::StatusOr<Listener> Listener::Open(const ListenerOptions& options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options.path.empty() || options.path.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(absl::StrCat(
        "control socket: the path must have 1 to ", sizeof address.sun_path - 1,
        " bytes, \"", options.path, "\" has ", options.path.size()));
  }
  std::memcpy(address.sun_path, options.path.data(), options.path.size());

  Listener listener;
  if (absl::Status read = listener.ReadGroups(options); !read.ok()) return read;
  if (absl::Status made = MakeFolder(options.path); !made.ok()) return made;

  // The lock, and not the socket, decides who is first: two daemons that
  // start at once would both find a stale file and remove each other's.
  const std::string lock_path = options.path + ".lock";
  listener.lock_.Reset(::open(lock_path.c_str(),
                              O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!listener.lock_.valid()) {
    return Failed(absl::StrCat("control socket: cannot open ", lock_path));
  }
  if (::flock(listener.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return InUse(options.path);
    return Failed(absl::StrCat("control socket: cannot lock ", lock_path));
  }

  struct stat status;
  if (::lstat(options.path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "control socket: ", options.path,
          " is there and is no socket; remove it, or change control.socket"));
    }
    if (IsLive(address)) return InUse(options.path);
    if (::unlink(options.path.c_str()) != 0 && errno != ENOENT) {
      return Failed(absl::StrCat(
          "control socket: cannot remove the stale ", options.path));
    }
  }

  listener.socket_.Reset(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.socket_.valid()) return Failed("control socket: socket");
  if (::bind(listener.socket_.get(),
             reinterpret_cast<const sockaddr*>(&address),
             sizeof address) != 0) {
    return Failed(
        absl::StrCat("control socket: cannot bind ", options.path));
  }
  if (::lstat(options.path.c_str(), &status) != 0) {
    return Failed(absl::StrCat("control socket: ", options.path));
  }
  listener.path_ = options.path;
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  // Nobody can connect before listen(), so the mode that bind() gave it does
  // not matter.
  if (listener.group_ && ::chown(options.path.c_str(), static_cast<uid_t>(-1),
                                 *listener.group_) != 0) {
    return Failed(absl::StrCat("control socket: cannot give ",
                                    options.path, " to group ", options.group));
  }
  if (::chmod(options.path.c_str(), options.mode) != 0) {
    return Failed(
        absl::StrCat("control socket: cannot set the mode of ", options.path));
  }
  if (absl::Status given = listener.GiveAccess(options); !given.ok()) {
    return given;
  }
  if (::listen(listener.socket_.get(), 128) != 0) {
    return Failed(
        absl::StrCat("control socket: cannot listen at ", options.path));
  }
  listener.spare_.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return listener;
}

absl::Status Listener::ReadGroups(const ListenerOptions& options) {
  if (!options.group.empty()) {
    absl::StatusOr<gid_t> group = FindGroup("group", options.group);
    if (!group.ok()) return group.status();
    group_ = *group;
  }
  for (const auto& [key, name, role] :
       {std::tuple("read_group", &options.read_group, Role::kRead),
        std::tuple("operate_group", &options.operate_group, Role::kOperate),
        std::tuple("admin_group", &options.admin_group, Role::kAdmin)}) {
    if (name->empty()) continue;
    absl::StatusOr<gid_t> group = FindGroup(key, *name);
    if (!group.ok()) return group.status();
    roles_.emplace_back(*group, role);
  }
  everyone_ = roles_.empty() && (options.mode & 0006) == 0006;
  if (options.admin_group.empty()) {
    roles_.emplace_back(group_.value_or(::getegid()), Role::kAdmin);
  }
  return absl::OkStatus();
}

absl::Status Listener::GiveAccess(const ListenerOptions& options) const {
  if (options.read_group.empty() && options.operate_group.empty() &&
      options.admin_group.empty()) {
    return absl::OkStatus();
  }
  const auto bits = [&options](int shift) {
    return static_cast<uint16_t>(options.mode >> shift & 07);
  };
  std::vector<gid_t> groups;
  for (const auto& [group, role] : roles_) groups.push_back(group);
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  std::vector<AccessEntry> entries = {{kOwner, bits(6), kNobody},
                                      {kFileGroup, bits(3), kNobody}};
  for (const gid_t group : groups) {
    entries.push_back({kGroup, kReadWrite, group});
  }
  entries.push_back(
      {kMask, static_cast<uint16_t>(kReadWrite | bits(3)), kNobody});
  entries.push_back({kOther, bits(0), kNobody});
  std::string list(sizeof kAccessVersion + entries.size() * sizeof entries[0],
                   '\0');
  std::memcpy(list.data(), &kAccessVersion, sizeof kAccessVersion);
  std::memcpy(list.data() + sizeof kAccessVersion, entries.data(),
              entries.size() * sizeof entries[0]);
  if (::setxattr(path_.c_str(), "system.posix_acl_access", list.data(),
                 list.size(), 0) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  return absl::FailedPreconditionError(absl::StrCat(
      SystemText(absl::StrCat("control socket: cannot let the groups of "
                              "[control] use ", path_), error),
      error == EINVAL
          ? "; is one of them unknown in the name space of the daemon "
            "(PrivateUsers of its unit)?"
          : "; put the socket on a file system with access lists, such as the "
            "one at /run"));
}

Listener::~Listener() {
  if (!socket_.valid()) return;
  struct stat status;
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ &&
      status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

UniqueFd Listener::Accept() {
  for (;;) {
    UniqueFd client(::accept4(socket_.get(), nullptr, nullptr,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client.valid()) return client;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if ((errno == EMFILE || errno == ENFILE) && spare_.valid()) {
      // Left in the queue it would keep the listener readable for ever.
      spare_.Reset();
      UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      spare_.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      continue;
    }
    return UniqueFd();
  }
}

absl::StatusOr<PeerCredentials> Listener::Check(int client) const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Failed("control socket: SO_PEERCRED");
  }
  PeerCredentials peer = {
      .pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
  if (everyone_ || peer.uid == 0 || peer.uid == ::geteuid()) {
    peer.role = Role::kAdmin;
    return peer;
  }
  // The supplementary groups, to which the effective one need not belong.
  std::vector<gid_t> groups(256);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int result =
      ::getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  if (result != 0 && errno == ERANGE) {
    // The kernel has set `size` to what it needs.
    groups.resize(size / sizeof(gid_t));
    result =
        ::getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  }
  groups.resize(result == 0 ? size / sizeof(gid_t) : 0);
  groups.push_back(peer.gid);
  for (const auto& [group, role] : roles_) {
    if (std::find(groups.begin(), groups.end(), group) != groups.end()) {
      peer.role = std::max(peer.role, role);
    }
  }
  if (peer.role != Role::kNone) return peer;
  return absl::PermissionDeniedError(
      absl::StrCat("user ", peer.uid, " (process ", peer.pid,
                   ") is neither root nor in a group that may use the control "
                   "socket"));
}

}  // namespace sluice
