#include "dataplane/control/socket/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

absl::Status Failed(std::string_view what) { return SystemError(what, errno); }

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  uint32_t number;
  if (absl::SimpleAtoi(name, &number)) return static_cast<gid_t>(number);
  std::vector<char> buffer(16384);
  group entry;
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(),
                   &found) != 0 ||
      found == nullptr) {
    return absl::NotFoundError(absl::StrCat(
        "control socket: no group \"", name,
        "\" on this system; make it with groupadd, or change control.group"));
  }
  return found->gr_gid;
}

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
  listener.everyone_ = (options.mode & 0006) == 0006;
  if (!options.group.empty()) {
    absl::StatusOr<gid_t> group = FindGroup(options.group);
    if (!group.ok()) return group.status();
    listener.group_ = *group;
  }
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
  if (::listen(listener.socket_.get(), 128) != 0) {
    return Failed(
        absl::StrCat("control socket: cannot listen at ", options.path));
  }
  listener.spare_.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return listener;
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
  const PeerCredentials peer = {
      .pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
  if (everyone_ || peer.uid == 0 || peer.uid == ::geteuid()) return peer;
  const gid_t wanted = group_.value_or(::getegid());
  if (peer.gid == wanted) return peer;
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
  if (result == 0) {
    groups.resize(size / sizeof(gid_t));
    if (std::find(groups.begin(), groups.end(), wanted) != groups.end()) {
      return peer;
    }
  }
  return absl::PermissionDeniedError(
      absl::StrCat("user ", peer.uid, " (process ", peer.pid,
                   ") is neither root nor in group ", wanted));
}

}  // namespace sluice
