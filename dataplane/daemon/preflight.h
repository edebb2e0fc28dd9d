// What this machine lacks for a configuration, told before any device is
// touched: `sluiced --check` prints it, and every start asks first.
//
// Facts are read from sysfs, procfs and the process's own limits. The only
// files opened for more than reading are vfio's group files, which tells
// whether somebody else has them and does nothing to a device.
#ifndef SLUICE_DATAPLANE_DAEMON_PREFLIGHT_H_
#define SLUICE_DATAPLANE_DAEMON_PREFLIGHT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/daemon/driver_list.h"
#include "dataplane/daemon/eal.h"
#include "dataplane/host/files.h"

namespace sluice {

enum class FindingLevel : uint8_t {
  kError,    // it would not start, or not with this device
  kWarning,  // it starts, and does less or is slower than it should be
  kNote,
};

struct Finding {
  FindingLevel level = FindingLevel::kError;
  std::string where;   // "port 'outside' (0000:03:00.0)", "[eal] hugepages"
  std::string what;    // what is wrong, no full stop
  std::string advice;  // what to do; may be empty for notes

  friend bool operator==(const Finding&, const Finding&) = default;
};

// What the process may do.
struct ProcessFacts {
  std::string user = "root";
  // Effective, one bit a capability as numbered in linux/capability.h.
  uint64_t capabilities = ~uint64_t{0};
  uint64_t lockable_bytes = UINT64_MAX;  // RLIMIT_MEMLOCK
  uint64_t descriptors = UINT64_MAX;     // RLIMIT_NOFILE, the hard limit

  bool Has(int capability) const { return capabilities >> capability & 1; }
  static ProcessFacts FromSystem(const HostFiles& host);
};

struct PreflightInput {
  HostFiles host;
  MachineFacts machine;
  ProcessFacts process;
  // Opens a file for reading and writing and closes it. 0, or the errno.
  std::function<int(const std::string& path)> open_errno;
  // Whether the process may make files in a folder. 0, or the errno.
  std::function<int(const std::string& path)> folder_errno;
  // IFF_ flags of an interface of the process's network namespace.
  std::function<std::optional<uint32_t>(const std::string& name)>
      interface_flags;
  // Receive queues that the kernel's driver of an interface could have at
  // most (`ethtool -l`), if it says so.
  std::function<std::optional<uint32_t>(const std::string& name)>
      interface_queues;
  // Whether the system has a group of that name or number. Null: unknown.
  std::function<bool(const std::string& name)> has_group;
  // DPDK's drivers of virtual devices; nothing: unknown.
  std::optional<DriverList> drivers;

  static PreflightInput FromSystem();
};

// All findings: the process and its files, memory, processors, then port by
// port. The configuration itself is right already.
std::vector<Finding> Preflight(const Config& config,
                               const PreflightInput& input);

bool HasErrors(const std::vector<Finding>& findings);

// "where: what", with "warning: " or "note: " before `what` if it is one, and
// "hint: advice" on a line of its own. Ends with a newline.
std::string FormatFinding(const Finding& finding);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_PREFLIGHT_H_
