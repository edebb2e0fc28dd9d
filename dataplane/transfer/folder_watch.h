// Directories in which filters find their snapshots.
#ifndef SLUICE_DATAPLANE_TRANSFER_FOLDER_WATCH_H_
#define SLUICE_DATAPLANE_TRANSFER_FOLDER_WATCH_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "dataplane/transfer/directory_watch.h"
#include "dataplane/transfer/known_filter.h"

namespace sluice {

// The order to restore a filter from what is in its directory now. Nothing if
// there is no snapshot, or only the one that was restored last.
std::optional<RestoreOrder> OrderFromFolder(const KnownFilter& filter,
                                            RequestSource source);

// Control lcore.
class FolderWatch {
 public:
  // Told of an enabled filter whose snapshot is, or may be, in its directory.
  using Appeared = std::function<void(KnownFilter& filter)>;
  // `filters` is not owned.
  FolderWatch(const KnownFilters* filters, Appeared appeared);

  // As DirectoryWatch::Add().
  absl::Status Add(const std::string& directory) {
    return watch_.Add(directory);
  }
  // Tells what has happened. Never waits.
  void Poll() { watch_.Poll(); }

 private:
  void FileAppeared(const std::string& directory, const std::string& file);

  const KnownFilters& filters_;
  const Appeared appeared_;
  DirectoryWatch watch_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_FOLDER_WATCH_H_
