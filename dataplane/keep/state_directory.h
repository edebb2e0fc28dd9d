// The directory in which a daemon keeps what it needs to come back as it was.
//
//   lock            held by the daemon that uses it
//   manifest        which filters there are, and what they are made with; and
//                   the ports that orders have plugged in
//   NAME.policy     a snapshot without states: the policy committed last
//   NAME.snap       a snapshot with states, of the last interval
//   ... .old        the one before, of each of these
//
// Each file is whole or not there (ReplaceFile), and says itself whether it is
// damaged. What belongs together has the same id: a filter's, in the manifest
// and in the headers of both snapshots.
#ifndef SLUICE_DATAPLANE_KEEP_STATE_DIRECTORY_H_
#define SLUICE_DATAPLANE_KEEP_STATE_DIRECTORY_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/api/filter_directory.h"
#include "dataplane/transfer/kept_filter.h"
#include "dataplane/transfer/snapshot_export.h"

namespace sluice {

struct ManifestEntry {
  FilterSpec spec;  // without the ruleset
  std::array<uint8_t, 16> id{};
};

// What orders have made of ports beside filters.
struct KeptPorts {
  std::vector<PortSpec> ports;
  std::vector<SegmentSpec> segments;
};

// The text of a manifest, which ends with its own digest.
std::string FormatManifest(const std::vector<ManifestEntry>& entries,
                           const std::vector<PortSpec>& ports = {},
                           const std::vector<SegmentSpec>& segments = {});
// InvalidArgument: damaged, or not one. Unimplemented: of a later format.
// `ports`, if not null: those that orders had plugged in.
absl::StatusOr<std::vector<ManifestEntry>> ParseManifest(
    std::string_view text, std::vector<PortSpec>* ports = nullptr,
    std::vector<SegmentSpec>* segments = nullptr);

class StateDirectory {
 public:
  // Makes it if only its last component is missing. FailedPrecondition:
  // another process uses it.
  static absl::StatusOr<std::unique_ptr<StateDirectory>> Open(
      const std::string& path);
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  // None if there is no manifest yet. If the newer one is damaged the older
  // one is taken and `complain` told; an error if both are.
  using Complain = std::function<void(const std::string&)>;
  absl::StatusOr<std::vector<ManifestEntry>> ReadManifest(
      const Complain& complain, std::vector<PortSpec>* ports = nullptr,
      std::vector<SegmentSpec>* segments = nullptr) const;
  // What there is of a filter. Files that are damaged, or of another filter of
  // this name, count as not there; the former are complained of.
  // Nothing longer than `max_snapshot` bytes is read.
  std::shared_ptr<KeptFilter> Read(const ManifestEntry& entry,
                                   uint64_t max_snapshot,
                                   Complain complain) const;

  // One thread at a time.
  absl::Status WriteManifest(const std::vector<ManifestEntry>& entries,
                             const std::vector<PortSpec>& ports = {},
                             const std::vector<SegmentSpec>& segments = {})
      const;
  // Where an export of a filter's policy, or of its states, goes: the file is
  // another one when all of it is there, and what there was before stays
  // until then. `written` counts bytes, on the thread that writes.
  std::shared_ptr<ExportSink> PolicySink(
      const std::string& name, std::atomic<uint64_t>* written) const;
  std::shared_ptr<ExportSink> StatesSink(
      const std::string& name, std::atomic<uint64_t>* written) const;
  // Removes files of filters that are in neither list.
  void Sweep(const std::vector<ManifestEntry>& entries) const;

  std::string PathOf(std::string_view file) const;

 private:
  StateDirectory(std::string path, UniqueFd directory, UniqueFd lock);

  const std::string path_;
  const UniqueFd directory_;
  const UniqueFd lock_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_KEEP_STATE_DIRECTORY_H_
