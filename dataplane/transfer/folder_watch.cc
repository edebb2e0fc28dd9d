#include "dataplane/transfer/folder_watch.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace sluice {

std::optional<RestoreOrder> OrderFromFolder(const KnownFilter& filter,
                                            RequestSource source) {
  const std::string path =
      absl::StrCat(filter.directory, "/", filter.snapshot_file());
  const absl::StatusOr<SnapshotHeader> header = PeekSnapshotHeader(path);
  if (!header.ok()) {
    if (!absl::IsNotFound(header.status())) {
      LogWarning("filter {}: {}: {}", filter.name(), path,
                   Text(header.status()));
    }
    return std::nullopt;
  }
  if (header->id == filter.applied) {
    LogInfo("filter {}: {} was restored before; it waits for another one",
                 filter.name(), path);
    return std::nullopt;
  }
  return RestoreOrder{
      .incarnation = 0,
      .source = source,
      .snapshot = header->id,
      .snapshot_source =
          std::make_shared<FileSource>(path, filter.options.choice,
                                       filter.options.pace)};
}

FolderWatch::FolderWatch(const KnownFilters* filters, Appeared appeared)
    : filters_(*filters),
      appeared_(std::move(appeared)),
      watch_([this](const std::string& directory, const std::string& file) {
        FileAppeared(directory, file);
      }) {}

void FolderWatch::FileAppeared(const std::string& directory,
                               const std::string& file) {
  if (file.empty()) {
    // Whatever has gone wrong, another watch sees what comes from now on.
    if (absl::Status status = watch_.Add(directory); !status.ok()) {
      LogWarning("snapshots are not looked for any more: {}", Text(status));
    }
  }
  for (const auto& [name, filter] : filters_) {
    if (filter->directory != directory || filter->removed) continue;
    if (!file.empty() && file != filter->snapshot_file()) continue;
    if (!filter->plane().status.Load().enabled()) continue;
    appeared_(*filter);
  }
}

}  // namespace sluice
