// Whether a filter judges, what it has counted, and how it is set.
#ifndef SLUICE_DATAPLANE_CONTROL_API_STATUS_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_STATUS_CONTROL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct NamedCounter {
  std::string name;
  uint64_t value = 0;
};

struct InterfaceTraffic {
  // By family ([0] IPv4, [1] IPv6), direction ([0] in, [1] out) and verdict
  // ([0] pass, [1] block).
  std::array<std::array<std::array<uint64_t, 2>, 2>, 2> packets{};
  std::array<std::array<std::array<uint64_t, 2>, 2>, 2> bytes{};
};

// How rules are asked for packets that no state decides.
struct ClassifierInfo {
  bool compiled = false;  // false: `classifier = "linear"`
  // Packets of one direction and family.
  struct Part {
    Direction direction = Direction::kIn;
    Family family = Family::kIpv4;
    bool compiled = false;  // false: rules are walked one by one, and why
    std::string why{};
    // Whether a bound or an unknown condition is the reason, and not that
    // there are few rules.
    bool is_slow = false;
  };
  std::vector<Part> parts;
  // "rules" (anchors written out), "listed" of them, "verified" (conditions
  // that are compared packet by packet), "classes", "blocks", "bytes".
  std::vector<NamedCounter> counters;
};

struct FilterInfo {
  bool enabled = false;
  // Seconds since it was enabled or disabled; none: it never was.
  std::optional<uint64_t> since;
  std::string debug = "err";
  uint32_t host_id = 0;
  std::string checksum;  // of the ruleset, hexadecimal
  uint64_t generation = 0;
  uint64_t states = 0;
  uint64_t half_open_states = 0;
  std::vector<NamedCounter> state_counters;   // searches, inserts, removals
  std::vector<NamedCounter> source_counters;  // of the source tracking table
  uint64_t source_nodes = 0;
  std::vector<NamedCounter> drop_counters;   // by DropReason, in its order
  std::vector<NamedCounter> limit_counters;  // "max states per rule", ...
  uint64_t decided = 0;  // packets that rules have passed or blocked
  // Of the TFTP helper; empty if it is off. "in_use", "families": now.
  std::vector<NamedCounter> tftp_counters;
  std::vector<NamedCounter> ftp_counters;   // the same of the FTP helper
  std::vector<NamedCounter> sctp_counters;  // and of SCTP's other paths
  // Of the cache of fragments, all workers and filters together; of the filter
  // main only. "held": now.
  std::vector<NamedCounter> fragment_counters;
  // Of the session log and the export of flows (`pflow`), of the filter main
  // only; empty if there is neither.
  std::vector<NamedCounter> flow_counters;
  // All packets since the start, at the last CollectCounters(): received,
  // transmitted, dropped; "unaccounted" is zero unless the program errs.
  std::vector<NamedCounter> packet_counters;
  // What the ruleset says and nothing carries out: "NAME: what becomes of it".
  std::vector<std::string> not_carried_out;
  // `set loginterface`.
  std::string log_interface;
  InterfaceTraffic log_traffic;
  ClassifierInfo classifier;
};

struct InterfaceListing {
  std::string name;
  std::vector<std::string> groups;
  bool skip = false;  // `set skip on`
  bool is_group = false;
  std::optional<bool> link_up;  // ports only
  // Ports only: grows each time that the port is enabled or disabled.
  std::optional<uint32_t> incarnation;
  int64_t cleared = 0;          // Unix time
  uint64_t states = 0;          // bound to it
  uint64_t rules = 0;           // that name it
  InterfaceTraffic traffic;
};

struct TimeoutListing {
  Timeout timeout;
  uint32_t value = 0;
};
struct LimitListing {
  Limit limit;
  uint32_t value = 0;
  uint64_t in_use = 0;
  // How often 80 percent of it were reached, of states.
  uint64_t alarms = 0;
};

class StatusControl {
 public:
  virtual ~StatusControl() = default;

  // Of the policy in force.
  virtual uint64_t Generation() = 0;
  virtual FilterInfo Info() = 0;
  // Zeroes what Info() counts, but not the states.
  virtual void ClearInfo() = 0;
  virtual std::vector<InterfaceListing> Interfaces() = 0;
  virtual std::vector<TimeoutListing> Timeouts() = 0;
  virtual std::vector<LimitListing> Limits() = 0;

  // FailedPreconditionError if it is so already. A disabled filter passes
  // everything and makes no states; those it has stay.
  virtual absl::Status Enable() = 0;
  virtual absl::Status Disable() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_STATUS_CONTROL_H_
