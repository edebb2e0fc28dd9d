// The listening end of the control socket: its path, who may use it as what,
// the lock that keeps a second daemon out, and a file that a dead one has left.
//
// Who may connect is the kernel's to decide, by the mode, the group and the
// access list of the socket's file: a stranger fills neither the queue nor the
// log. What a client may do then goes by its credentials.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_LISTENER_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_LISTENER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/socket/role.h"

namespace sluice {

struct ListenerOptions {
  std::string path;    // at most 107 bytes; its folder is made if it lacks
  mode_t mode = 0600;  // of the socket's file
  std::string group;   // name or number; empty: the process's own
  // Whose members have which role; names or numbers. Without `admin_group`
  // that is `group`; without all three everybody who may connect is an
  // administrator.
  std::string read_group{};
  std::string operate_group{};
  std::string admin_group{};
};

// A client's identity as the kernel tells it.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  Role role = Role::kNone;
  // Of a client of the server: expires when it is gone.
  std::weak_ptr<const void> connection{};
};

class Listener {
 public:
  // Binds and listens. AlreadyExistsError if a live process serves the path;
  // a socket that a dead one has left is replaced. A file that is no socket is
  // never removed.
  static absl::StatusOr<Listener> Open(const ListenerOptions& options);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;
  // Removes the socket's file if it is still this one's.
  ~Listener();

  // The next waiting client, non-blocking and close-on-exec; an invalid one if
  // there is none. Without a free descriptor the client is dropped.
  UniqueFd Accept();

  // The client's credentials with its role, as they were when it connected.
  // Root and the process's own user are administrators; else it is the highest
  // role that one of its groups has. A PermissionDeniedError that names the
  // client if it has none.
  absl::StatusOr<PeerCredentials> Check(int client) const;

  int fd() const { return socket_.get(); }

 private:
  Listener() = default;

  absl::Status ReadGroups(const ListenerOptions& options);
  // The list of who may connect beside the file's owner and group.
  absl::Status GiveAccess(const ListenerOptions& options) const;

  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::optional<gid_t> group_;
  std::vector<std::pair<gid_t, Role>> roles_;
  bool everyone_ = false;  // is an administrator
  UniqueFd lock_;
  UniqueFd socket_;
  UniqueFd spare_;  // given up for a moment to accept and drop a client
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_LISTENER_H_
