// Keeps the state directory up to date while the daemon runs: the manifest
// when filters come or go, a filter's policy when it has changed, its states
// at each interval and at the end.
//
// A policy is on the disk some milliseconds after it was committed, and then
// at most twice a second. What cannot be written leaves the file that was there
// before, is tried again, and is said once a minute.
#ifndef SLUICE_DATAPLANE_KEEP_STATE_KEEPER_H_
#define SLUICE_DATAPLANE_KEEP_STATE_KEEPER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/base/builder.h"
#include "dataplane/keep/state_directory.h"
#include "dataplane/transfer/restore_service.h"

namespace sluice {

// A filter as it is now; what it refers to lives until control returns.
struct KeeperView {
  const FilterSpec& spec;
  const std::array<uint8_t, 16>& id;
  FilterPlane& plane;
};

class StateKeeper {
 public:
  using Visit = std::function<void(const KeeperView&)>;
  // Visits all filters.
  using ForEach = std::function<void(const Visit&)>;
  // The ports that orders have plugged in.
  using Ports = std::function<KeptPorts()>;
  // All but the values outlive it. Interval: milliseconds between the states
  // of a filter. `kept`: what the manifest has, whose policies are there.
  StateKeeper(std::unique_ptr<StateDirectory> directory,
              RestoreService* service, ForEach for_each, Ports ports,
              uint64_t interval, const std::vector<ManifestEntry>& kept);
  // Waits for the file that is being written.
  ~StateKeeper();
  StateKeeper(const StateKeeper&) = delete;
  StateKeeper& operator=(const StateKeeper&) = delete;

  const StateDirectory& directory() const { return *directory_; }

  // Control lcore, now and then. Milliseconds of any clock.
  void Poll(uint64_t now);
  // Whether it works on something that Poll() has to move.
  bool busy() const { return working_; }
  // Whether its thread is at something, which its end waits for.
  bool at_work() const { return builder_.at_work(); }
  int event_fd() const { return builder_.event_fd(); }

  // From here on only what is left to be done is done: everything that has
  // changed, and the states of all once more. finished() after some Poll()s.
  void Finish();
  bool finished() const { return finished_; }
  // Changes as long as the work goes on.
  uint64_t progress() const;
  // After Finish(), whenever nobody wants to wait any longer: an error says
  // what is not on the disk, and why.
  absl::Status Kept() const;

 private:
  struct Known {
    std::array<uint8_t, 16> id{};
    uint64_t generation = 0;     // on the disk
    uint64_t policy_at = 0;      // when that may be tried again
    uint64_t states_at = 0;      // when it is due
    bool has_policy = false;
    bool given_up = false;       // at the end, after an error
    bool states_wanted = false;  // at the end
  };
  struct Work {
    std::string name;
    bool states = false;
  };
  // What has failed and was not mended since.
  struct Trouble {
    std::string why;
    uint64_t attempts = 0;
    uint64_t said_at = 0;  // in the log
  };

  uint64_t PolicyInterval() const;
  void Look(uint64_t now);
  void Begin();
  void SaveManifest(std::vector<ManifestEntry> entries,
                    KeptPorts ports, std::string text);
  void Saved(const Work& work, uint64_t generation, const absl::Status& status);
  // Notes how writing `what` ended; returns when it may be tried again.
  uint64_t Note(const std::string& what, const absl::Status& status);

  const std::unique_ptr<StateDirectory> directory_;
  RestoreService* const service_;
  const ForEach for_each_;
  const Ports ports_;
  const uint64_t interval_;
  std::map<std::string, Known, std::less<>> known_;
  std::deque<Work> work_;
  std::string manifest_;         // what is on the disk
  uint64_t manifest_at_ = 0;     // when it may be tried again
  bool working_ = false;
  bool saving_manifest_ = false;
  bool finishing_ = false;
  bool finished_ = false;
  uint64_t now_ = 0;
  uint64_t last_look_ = 0;
  std::map<std::string, Trouble> troubles_;  // by what it is
  std::optional<Work> at_;     // that is being written
  std::shared_ptr<const SnapshotExport> export_;
  uint64_t files_ = 0;  // written or not
  std::atomic<uint64_t> written_{0};  // bytes, by the thread
  // Last: its thread writes into the directory.
  Builder builder_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_KEEP_STATE_KEEPER_H_
