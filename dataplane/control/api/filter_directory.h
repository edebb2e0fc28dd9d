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
#include "dataplane/control/api/commit_control.h"
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
  // Set if and only if the policy is kOpen: what holds after a failure. Of one
  // that was there before, also if it has been told to fail closed since.
  std::optional<LoadRequest> emergency{};
  // Whether ARP, neighbour discovery and DHCP pass while others are held.
  bool bypass_hold = true;
  // Set when the filter was there before the process was: its policy, and the
  // states of its first incarnation.
  std::shared_ptr<KeptFilter> kept = nullptr;
};

// What is to be different of a filter; what is not set stays.
struct FilterChange {
  std::string name;
  // All of them, at least one; those that are not named fall to main.
  std::optional<std::vector<std::string>> ports{};
  // kOpen only for a filter that was made with an emergency ruleset.
  std::optional<FailPolicy> fail_policy{};
  std::optional<bool> bypass_hold{};
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
  // In place of a device: the port whose device it shares, and the numbers of
  // its tags there.
  std::string parent{};
  uint16_t vlan = 0;
  uint16_t inner_vlan = 0;  // 0: one tag
  // In place of both: the socket of a virtual machine, which makes it itself if
  // this is the client.
  std::string vhost{};
  bool vhost_client = false;
  std::string wire{};    // the port at the other end; empty: none
  std::string segment{};  // in place of a wire
  std::string router{};   // in place of both
  std::string tap{};      // with a router; empty: the port's name
  std::vector<std::string> groups{};
  std::vector<Prefix> addresses{};
  uint16_t queues = 0;  // 0: one a worker
  uint16_t mtu = 0;  // 0: 1500, or that of the parent
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
  std::string segment;  // empty: none
  std::string router;   // empty: none
  std::string device;  // empty: not there; of a logical port its parent's
  std::string parent;  // empty: the device is its own
  uint16_t vlan = 0;
  uint16_t inner_vlan = 0;
  std::string vhost;  // the socket of a virtual machine; empty: it is none's
  bool vhost_client = false;
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
  uint64_t copies = 0;       // of what it floods on its segment, beyond the first
  uint64_t copies_lost = 0;  // no buffer for one
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

// A segment, and an address that is fixed behind a port of it.
struct FixedMac {
  std::string mac;  // "00:53:00:00:00:01"
  std::string port{};
};
struct SegmentSpec {
  std::string name;
  std::vector<std::string> ports{};
  bool pass_non_ip = true;
  bool flood_unknown = true;
  bool flood_multicast = true;
  bool flood_broadcast = true;
  uint32_t macs = 8192;
  uint32_t macs_per_port = 0;  // 0: no limit
  uint32_t age = 300;          // seconds
  std::vector<FixedMac> fixed{};
};
struct SegmentListing {
  SegmentSpec spec;
  uint64_t known = 0;     // addresses in its table now
  uint64_t capacity = 0;  // of the table
  uint64_t learnt = 0;    // since it was made
  uint64_t moved = 0;
  uint64_t aged = 0;
  uint64_t refused_full = 0;   // not learnt: no room
  uint64_t refused_limit = 0;  // not learnt: too many at that port
  uint64_t refused_fixed = 0;  // frames from an address fixed elsewhere
};
struct MacListing {
  std::string mac;
  std::string port;
  bool fixed = false;
  uint32_t age = 0;  // milliseconds since it was heard of
};

// A router and its ports, since the start.
struct RouterPortListing {
  std::string port;
  std::string tap;       // the kernel's interface
  bool present = false;  // which is there
  bool carrier = false;  // and whether it has a cable in it
  std::vector<std::string> addresses{};
  uint64_t to_host = 0;    // frames that the kernel got
  uint64_t from_host = 0;  // and that it sent
  // Frames for it beyond what it may get, by kind.
  uint64_t limited_arp = 0;
  uint64_t limited_discovery = 0;
  uint64_t limited_other = 0;
  uint64_t refused = 0;  // that it did not take
  uint64_t lost = 0;     // of its, for which there was no room
  uint64_t taken_away = 0;  // how often the interface was
};
struct RouterListing {
  std::string name;
  std::string netns;  // empty: the process's own
  uint64_t routes = 0;
  uint64_t max_routes = 0;
  uint64_t neighbors = 0;
  uint64_t max_neighbors = 0;
  uint64_t memory = 0;     // bytes of both
  bool synced = false;     // they are as the kernel's
  uint64_t questions = 0;  // for neighbours
  uint64_t dumps = 0;      // how often all was read of the kernel
  uint64_t lost_events = 0;  // of those, because some news were lost
  uint64_t skipped = 0;      // routes of the kernel that are not followed
  uint64_t refused = 0;      // routes and neighbours beyond the limits
  std::vector<RouterPortListing> ports{};
};
struct RouteHopListing {
  std::string port;
  std::string gateway;  // empty: it is on the link itself
  uint8_t weight = 1;
};
struct RouteListing {
  std::string prefix;
  std::string type;  // "forward", "local", "blackhole", ...
  std::vector<RouteHopListing> hops{};
};
struct RouteQuery {
  std::string router;
  std::optional<Family> family{};
  std::optional<Prefix> overlaps{};  // those that it lies in, or that lie in it
  std::string after{};               // as RoutePage::next
  size_t limit = 0;
};
struct RoutePage {
  std::vector<RouteListing> routes{};
  std::string next{};  // empty: there is no more
};
struct RouterNeighborListing {
  std::string port;
  std::string address;
  std::string state;  // "known", "pending", "failed", "unknown"
  std::string mac;    // empty: not known
};
struct RouterNeighborPage {
  std::vector<RouterNeighborListing> neighbors{};
  std::string next{};
};

class FilterDirectory : public CommitControl {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  using DoneStatus = std::function<void(absl::Status)>;

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
  // All of it or nothing. NotFound; FailedPrecondition for what cannot be
  // changed, with what to do instead. `done` may have to wait until an
  // incarnation has ended.
  virtual void ChangeFilter(const FilterChange& change, DoneStatus done) = 0;
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

  // Ascending by name; at most `limit` of those that come after `after`.
  virtual std::vector<SegmentListing> Segments(std::string_view after,
                                               size_t limit) = 0;
  // The same of what is known of its hosts, by address. NotFound.
  virtual absl::StatusOr<std::vector<MacListing>> SegmentMacs(
      std::string_view name, std::string_view after, size_t limit) = 0;
  // Errors say what and what to do, and nothing has changed.
  virtual absl::Status AddSegment(const SegmentSpec& spec) = 0;
  virtual absl::Status RemoveSegment(std::string_view name) = 0;
  virtual absl::Status AttachPort(std::string_view segment,
                                  std::string_view port) = 0;
  virtual absl::Status DetachPort(std::string_view segment,
                                  std::string_view port) = 0;
  // An address that is not learnt elsewhere; without a port: learnt again.
  virtual absl::Status FixMac(std::string_view segment, std::string_view mac,
                              std::string_view port) = 0;
  // Forgets what was learnt.
  virtual absl::Status ForgetMacs(std::string_view segment) = 0;

  // Ascending by name; at most `limit` of those that come after `after`.
  virtual std::vector<RouterListing> Routers(std::string_view after,
                                             size_t limit) = 0;
  virtual absl::StatusOr<RouterListing> Router(std::string_view name) = 0;
  // Pages, which may be short and still not the last. NotFound;
  // InvalidArgument for an `after` that was no `next`.
  virtual absl::StatusOr<RoutePage> Routes(const RouteQuery& query) = 0;
  virtual absl::StatusOr<RouterNeighborPage> RouterNeighbors(
      std::string_view name, std::string_view after, size_t limit) = 0;

  virtual TraceControl& Traces() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_FILTER_DIRECTORY_H_
