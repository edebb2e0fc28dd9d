// Directories in which files appear. A file counts as there when it was
// renamed into the directory, or closed by who wrote it.
#ifndef SLUICE_DATAPLANE_TRANSFER_DIRECTORY_WATCH_H_
#define SLUICE_DATAPLANE_TRANSFER_DIRECTORY_WATCH_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// Control lcore.
class DirectoryWatch {
 public:
  // Told of each file that appears; with an empty name that some may have
  // been missed, or that the directory went away.
  using Appeared = std::function<void(const std::string& directory,
                                      const std::string& name)>;
  explicit DirectoryWatch(Appeared appeared)
      : appeared_(std::move(appeared)) {}

  // Begins with a directory, once however often it is called. NotFound,
  // PermissionDenied, ResourceExhausted (the kernel's limit of watches).
  absl::Status Add(const std::string& directory);
  // Tells what has happened. Never waits.
  void Poll();

 private:
  UniqueFd inotify_;
  std::map<int, std::string> directories_;  // by watch descriptor
  const Appeared appeared_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_DIRECTORY_WATCH_H_
