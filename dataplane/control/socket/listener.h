// The listening end of the control socket: its path, mode and group, the
// lock that keeps a second daemon out, and a file that a dead one has left.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_LISTENER_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_LISTENER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

struct ListenerOptions {
  std::string path;    // at most 107 bytes; its folder is made if it lacks
  mode_t mode = 0600;  // of the socket's file
  std::string group;   // name or number; empty: the process's own
};

// A client's identity as the kernel tells it.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
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

  // The client's credentials, if it is root, the process's own user, a member
  // of the configured group, or if the mode lets everyone in. Otherwise a
  // PermissionDeniedError that names it.
  absl::StatusOr<PeerCredentials> Check(int client) const;

  int fd() const { return socket_.get(); }

 private:
  Listener() = default;

  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::optional<gid_t> group_;
  bool everyone_ = false;
  UniqueFd lock_;
  UniqueFd socket_;
  UniqueFd spare_;  // given up for a moment to accept and drop a client
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_LISTENER_H_
