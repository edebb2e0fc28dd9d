// What the control socket asks of the daemon's filters and ports: making,
// showing and removing them. The operations of the socket know the daemon only
// by this interface and FilterControl; a test has a fake of both.
//
// Every function is called on the control lcore and returns within a few
// milliseconds. What is long is a BuildJob, or answers later by `done`, which
// is called once, on the control lcore.
#ifndef SLUICE_DATAPLANE_CONTROL_API_FILTER_DIRECTORY_H_
#define SLUICE_DATAPLANE_CONTROL_API_FILTER_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/api/filter_control.h"
#include "dataplane/control/api/trace_control.h"
#include "restore/filter_status.h"
#include "restore/hold_queue.h"
#include "restore/restore_job.h"
#include "restore/restore_queue.h"

namespace sluice {

struct KeptFilter;

// The name of the filter that judges at every port without one of its own. It
// is always there.
inline constexpr std::string_view kMainFilterName = "main";
// Letters, digits and _ . : - ; filters and snapshots in a directory have such
// names.
inline constexpr size_t kMaxFilterName = 31;
inline constexpr size_t kMaxPortsOfFilter = 64;

// A filter to be made.
struct FilterSpec {
  std::string name;
  // At least one, in no other filter but main. A port may come later than its
  // filter.
  std::vector<std::string> ports{};
  // None: everything is blocked until one is loaded or restored.
  std::optional<LoadRequest> ruleset{};
  // Nothing is judged before a restore has ended.
  bool expect_restore = false;
  // Where its snapshot is: a file, or a directory with NAME.snap in it or to
  // come. Empty: an order brings it.
  std::string source{};
  // In place of it: the snapshot itself, a plain file, and what it is called in
  // listings.
  std::shared_ptr<UniqueFd> snapshot = nullptr;
  std::string snapshot_name{};
  // Whose snapshot that is, if not the filter's own.
  std::string from_filter{};
  // Seconds after which failed attempts to restore it end; none: as
  // configured.
  std::optional<uint32_t> restore_give_up{};
  FailPolicy fail_policy = FailPolicy::kClosed;
  // Set if and only if the policy is kOpen: what holds after a failure.
  std::optional<LoadRequest> emergency{};
  // Whether ARP, neighbour discovery and DHCP pass while others are held.
  bool bypass_hold = true;
  // Set when the filter was there before the process was: its policy, and the
  // states of its first incarnation.
  std::shared_ptr<KeptFilter> kept = nullptr;
};

// Sums over workers.
struct HoldCounts {
  uint64_t held = 0;
  uint64_t waiting = 0;  // of those, in the queues now
  uint64_t replayed = 0;
  uint64_t bypassed = 0;
  uint64_t dropped = 0;  // expired, failed, cancelled
  uint64_t refused = 0;  // no room
  uint64_t longest = 0;  // milliseconds that one has waited
};

struct FilterListing {
  std::string name;
  std::vector<std::string> ports{};
  std::vector<std::string> macs;  // of the ports; empty: not there
  FilterStatus status;              // of the filter's ports
  FailPolicy fail_policy = FailPolicy::kClosed;
  bool failed = false;  // the fail policy is in force
  bool loaded = false;  // some ruleset, or a restore, has been
  bool enabled = true;
  uint64_t states = 0;
  uint64_t rules = 0;
  uint64_t tables = 0;
  uint64_t table_addresses = 0;
  uint64_t generation = 0;
  std::string hash;        // of the ruleset, hexadecimal
  int64_t created = 0;     // Unix time
  int64_t last_purge = 0;  // when states last ended by their time, Unix time
  std::string source{};
  // What the restore of this incarnation came to, or the last one's.
  std::optional<RestoreAnswer> restore;
  HoldCounts hold;
};

struct PortSpec {
  std::string name;
  std::string device{};  // as in sluice.toml
  std::string wire{};    // the port at the other end; empty: none
  std::vector<std::string> groups{};
  std::vector<Prefix> addresses{};
  uint16_t queues = 0;  // 0: one a worker
  uint16_t mtu = 1500;
  bool pass_non_ip = true;
  std::vector<std::string> bindings{};  // as in sluice.toml
  uint8_t learn = 0;
  bool disabled = false;  // comes up only when it is enabled
  // The process before had it: the other end of its wire may come after it.
  bool kept = false;
};

struct PortListing {
  std::string name;
  std::string filter;
  std::string wire;    // empty: none
  std::string device;  // empty: not there
  std::string driver;
  std::string mac;
  bool enabled = true;
  bool excluded = false;
  bool link_up = false;
  uint32_t speed = 0;        // Mbit/s, 0: unknown
  uint32_t incarnation = 0;  // grows each time it is enabled or disabled
  uint16_t rx_queues = 0;
  uint16_t tx_queues = 0;
  uint64_t received_packets = 0;
  uint64_t received_bytes = 0;
  uint64_t transmitted_packets = 0;
  uint64_t transmitted_bytes = 0;
  uint64_t missed = 0;  // no descriptor was free
  uint64_t errors = 0;
  bool guarded = false;
};

// What a port may claim to be, each as in sluice.toml.
struct PortBindings {
  std::vector<std::string> bindings{};
  uint8_t learn = 0;  // addresses of each family that are bound as they come
  std::vector<std::string> learned{};
  uint64_t spoofed = 0;  // frames that claimed something else
};

class FilterDirectory {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  using DoneStatus = std::function<void(absl::Status)>;

  virtual ~FilterDirectory() = default;

  // Null: there is none. Valid until control returns to the loop; a BuildJob
  // of it may outlive it.
  virtual FilterControl* Find(std::string_view name) = 0;
  // Main first, then ascending by name; at most `limit` of those that come
  // after the name `after`, which need not be there any more. Empty: from the
  // beginning.
  virtual std::vector<FilterListing> Filters(std::string_view after,
                                             size_t limit) = 0;
  virtual absl::StatusOr<FilterListing> Filter(std::string_view name) = 0;

  // AlreadyExists, InvalidArgument for names, FailedPrecondition for a port
  // that another filter has, ResourceExhausted. Errors of a ruleset are in the
  // result's diagnostics, and then nothing was made.
  virtual std::unique_ptr<BuildJob<LoadResult>> BeginCreateFilter(
      FilterSpec spec) = 0;
  // Its ports fall to main; its states, tables and what it holds are gone
  // when `done` is called. NotFound; FailedPrecondition for main.
  virtual void DestroyFilter(std::string_view name, DoneStatus done) = 0;

  // Ascending by name; at most `limit` of those that come after the name
  // `after`. A port that only a filter names is listed without device.
  virtual std::vector<PortListing> Ports(std::string_view after,
                                         size_t limit) = 0;
  // Attaches a device while packets flow.
  virtual std::unique_ptr<BuildJob<PortListing>> BeginAddPort(
      PortSpec spec) = 0;
  // Releases the device; `done` is called when no worker uses it any more.
  virtual void RemovePort(std::string_view name, DoneStatus done) = 0;
  // FailedPrecondition if it is so already; NotFound. With the first port of
  // a filter its next incarnation begins, with the last one it ends; `done`
  // of a disable may have to wait for a commit.
  virtual absl::Status EnablePort(std::string_view name) = 0;
  virtual void DisablePort(std::string_view name, DoneStatus done) = 0;
  // Whether packets pass the port unjudged.
  virtual absl::Status ExcludePort(std::string_view name, bool excluded) = 0;
  // What arrives there is held against these from now on; neither: no more.
  // NotFound, InvalidArgument.
  virtual absl::Status BindPort(std::string_view name,
                                const std::vector<std::string>& bindings,
                                uint8_t learn) = 0;
  virtual absl::StatusOr<PortBindings> Bindings(std::string_view name) = 0;
  // The driver's own counters.
  virtual absl::StatusOr<std::vector<NamedCounter>> PortStatistics(
      std::string_view name) = 0;

  virtual TraceControl& Traces() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_FILTER_DIRECTORY_H_
