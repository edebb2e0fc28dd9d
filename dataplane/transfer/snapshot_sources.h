// Where snapshots come from: bytes that an order brought, a file, a file and
// the one before it. What an order wants done with the snapshot goes with it.
#ifndef SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_SOURCES_H_
#define SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_SOURCES_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/transfer/transfer_limits.h"
#include "restore/import.h"
#include "restore/snapshot.h"
#include "restore/snapshot_source.h"

namespace sluice {

struct ImportChoice {
  // Rules, options and tables come from the snapshot too.
  bool policy = false;
  // Without them: what was added at run time to tables that are here, too.
  bool run_time_tables = false;
  // Whose snapshot it has to be; empty: that of the filter that is restored.
  std::string from_filter{};
  OrphanPolicy orphans = OrphanPolicy::kKeep;

  friend bool operator==(const ImportChoice&, const ImportChoice&) = default;
};

class TransferSource : public SnapshotSource {
 public:
  explicit TransferSource(const ImportChoice& choice) : choice_(choice) {}
  const ImportChoice& choice() const { return choice_; }

 private:
  const ImportChoice choice_;
};

// What was read already.
class MemorySource final : public TransferSource {
 public:
  // `lease` is kept for as long as the bytes are.
  MemorySource(std::vector<uint8_t> bytes, const ImportChoice& choice,
               std::shared_ptr<const void> lease = nullptr)
      : TransferSource(choice),
        bytes_(std::make_shared<const std::vector<uint8_t>>(
            std::move(bytes))),
        lease_(std::move(lease)) {}
  absl::StatusOr<SharedBytes> Read(const SnapshotReading& reading) override;

 private:
  const SharedBytes bytes_;
  const std::shared_ptr<const void> lease_;
};

// A file that moves as it has to (TransferPace): some, as those of /proc, have
// no end.
class FileSource final : public TransferSource {
 public:
  FileSource(std::string path, const ImportChoice& choice,
             const TransferLimits& limits = {})
      : TransferSource(choice), path_(std::move(path)), limits_(limits) {}
  absl::StatusOr<SharedBytes> Read(const SnapshotReading& reading) override;

 private:
  const std::string path_;
  const TransferLimits limits_;
};

// A plain file that somebody has passed: it is read from its beginning each
// time, by nobody else meanwhile.
class DescriptorSource final : public TransferSource {
 public:
  DescriptorSource(std::shared_ptr<UniqueFd> file, const ImportChoice& choice,
                   const TransferLimits& limits)
      : TransferSource(choice), file_(std::move(file)), limits_(limits) {}
  absl::StatusOr<SharedBytes> Read(const SnapshotReading& reading) override;

 private:
  const std::shared_ptr<UniqueFd> file_;
  const TransferLimits limits_;
};

// A file that is kept beside its predecessor, NAME.old: the newer one that is
// whole and belongs to the filter. NotFound if there is neither; what is wrong
// with the newer one if both are damaged.
class KeptFileSource final : public TransferSource {
 public:
  using FilterId = std::array<uint8_t, 16>;
  // `complain` is told, on the thread that reads, what was passed over.
  KeptFileSource(std::string path, const FilterId& filter,
                 const ImportChoice& choice,
                 std::function<void(const std::string&)> complain)
      : TransferSource(choice),
        path_(std::move(path)),
        filter_(filter),
        complain_(std::move(complain)) {}
  absl::StatusOr<SharedBytes> Read(const SnapshotReading& reading) override;

 private:
  const std::string path_;
  const FilterId filter_;
  const std::function<void(const std::string&)> complain_;
};

// The header of a file, without moving the descriptor's offset.
absl::StatusOr<SnapshotHeader> PeekSnapshotHeader(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_SOURCES_H_
