// The configuration of the daemon, `sluice.toml`, as plain values.
//
// Reading it touches no NIC, no EAL and no file but the configuration itself:
// `sluiced --check` does no more than this and a compilation of the ruleset.
// docs/configuration.md is the reference for every key.
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/packetlog/flow_log.h"
#include "dataplane/ports/port_config.h"
#include "dataplane/ports/run_time_devices.h"
#include "dataplane/transfer/transfer_limits.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Hard limits, all checked before anything is allocated for their contents.
inline constexpr size_t kMaxConfigBytes = 2048 * 1024;
inline constexpr size_t kMaxWires = kMaxPorts / 2;
inline constexpr size_t kMaxEalArguments = 64;
inline constexpr size_t kMaxDeviceRules = 32;  // of [control]
inline constexpr uint32_t kMaxCore = 1023;

enum class Hugepages : uint8_t {
  kAuto,  // use them when enough are free, else say so and go without
  kYes,   // refuse to start without
  kNo,
};

// What a worker does while no packets come.
enum class IdleMode : uint8_t {
  kAuto,  // kSleep if cores are shared or a port's peers run on this machine
  kPoll,  // never leaves the core
  kSleep,  // steps back to short sleeps
};

enum class MissingRuleset : uint8_t {
  kRefuse,  // do not start
  kBlock,   // start, and block everything until a ruleset is loaded
};

struct EalConfig {
  std::vector<std::string> args;  // given to rte_eal_init as they are
  Hugepages hugepages = Hugepages::kAuto;
  // Sets this instance's run-time files apart from those of other DPDK
  // programs. Empty: "sluice-" and the process id.
  std::string file_prefix;
  bool telemetry = true;

  friend bool operator==(const EalConfig&, const EalConfig&) = default;
};

struct WorkersConfig {
  // Processor numbers, one a worker. Empty: `count` workers on the
  // processors that the process may use, the control lcore's last.
  std::vector<uint16_t> lcores;
  uint16_t count = 1;
  // Processor of the control lcore; nothing: the first that is allowed.
  std::optional<uint16_t> control_lcore;
  bool pin = true;
  IdleMode idle = IdleMode::kAuto;
  bool classifier = true;  // false: rules are walked one by one

  uint16_t size() const {
    return lcores.empty() ? count : static_cast<uint16_t>(lcores.size());
  }

  friend bool operator==(const WorkersConfig&, const WorkersConfig&) = default;
};

struct MemoryConfig {
  uint32_t mbufs = 0;         // in the pool; 0: from ports and rings
  uint16_t mbuf_cache = 256;  // per lcore
  uint16_t mbuf_data = 2048;  // bytes of frame an mbuf holds
  uint32_t handoff_ring = 2048;  // packets between each pair of workers
  uint32_t states = 262144;      // over all workers, in equal shards
  uint32_t rule_slots = 1 << 19;      // rules of a filter, at most
  uint32_t all_rule_slots = 2 << 20;  // of all filters together
  uint32_t expectations = 8192;
  uint32_t source_nodes = 65536;  // of all filters

  friend bool operator==(const MemoryConfig&, const MemoryConfig&) = default;
};

struct ControlConfig {
  std::string socket = "/run/sluice/control.sock";
  uint16_t mode = 0600;
  std::string group;  // empty: the process's own
  // Who may do what; empty: see Listener. Names or numbers.
  std::string read_group;
  std::string operate_group;
  std::string admin_group;
  // Of the sockets that vhost-user and memif devices make; no group: `group`.
  std::string device_group;
  uint16_t device_mode = 0660;
  RunTimeDevices devices;  // that orders may plug in

  friend bool operator==(const ControlConfig&, const ControlConfig&) = default;
};

struct LogConfig {
  std::string level = "info";
  std::string file{};  // empty: standard error
  // The folder for packets of `log` rules; empty: they are not kept.
  std::string packets{};
  uint32_t packet_rate = 10000;  // of them a second that are written
  bool json = false;      // lines of JSON
  std::string audit{};    // who has changed what; empty: only in the log

  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct MetricsConfig {
  // Where they are served over HTTP: the absolute path of a Unix socket, or
  // what `address` and `port` say; empty: they are not.
  std::string listen{};
  Address address{};
  uint16_t port = 0;
  uint16_t mode = 0600;   // of a Unix socket,
  std::string group{};    // and its group; empty: the process's
  uint32_t clients = 8;
  // What there are series of their own for, at most.
  uint32_t filters = 256;
  uint32_t labels = 100;
  uint32_t tables = 100;

  bool is_unix() const { return listen.starts_with('/'); }

  friend bool operator==(const MetricsConfig&, const MetricsConfig&) = default;
};

struct WebConfig {
  // Where the page is served, as in MetricsConfig.
  std::string listen{};
  Address address{};
  uint16_t port = 0;
  uint16_t mode = 0600;
  std::string group{};
  uint32_t clients = 16;
  // `listen` may be an address that other machines reach.
  bool remote = false;
  // Names by which browsers may ask for it, beside addresses and localhost.
  std::vector<std::string> hosts{};

  bool is_unix() const { return listen.starts_with('/'); }

  friend bool operator==(const WebConfig&, const WebConfig&) = default;
};

struct StateConfig {
  // Where the daemon keeps what it needs to come back as it was. Empty: it
  // does not. Absolute after ParseConfig.
  std::string directory;
  uint32_t interval = 30;  // seconds between the states of a filter

  friend bool operator==(const StateConfig&, const StateConfig&) = default;
};

struct TransferConfig {
  // Bytes that an import takes; 0, or not given: what follows from the states
  // of [memory].
  uint64_t max_snapshot = 0;
  TransferLimits limits{.memory = 0};  // memory: twice as much

  friend bool operator==(const TransferConfig&,
                         const TransferConfig&) = default;
};

// Of restores: after how much time without movement an attempt has failed, in
// milliseconds, and after how many seconds it is not tried again.
struct RestoreConfig {
  uint32_t give_up = 60;
  uint32_t queue = 1000;
  uint32_t validate = 5000;
  uint32_t commit = 50;

  friend bool operator==(const RestoreConfig&, const RestoreConfig&) = default;
};

struct PolicyConfig {
  std::string ruleset = "pf.conf";  // absolute after ParseConfig
  Dialect dialect = Dialect::kOpenBsd;
  MissingRuleset missing_ruleset = MissingRuleset::kRefuse;
  // What may be left out of the ruleset, by its names in messages.
  std::vector<std::string> without{};
  std::vector<std::string> helpers = {"ftp"};  // of kHelperNames
  bool verify_checksums = true;

  friend bool operator==(const PolicyConfig&, const PolicyConfig&) = default;
};

inline constexpr std::array<std::string_view, 2> kHelperNames = {"ftp",
                                                                 "tftp"};
inline constexpr std::array<std::string_view, 7> kLogLevels = {
    "trace", "debug", "info", "warning", "error", "critical", "off"};

struct Config {
  std::string file;
  EalConfig eal;
  std::vector<PortConfig> ports;
  std::vector<WireConfig> wires;
  std::vector<SegmentConfig> segments;
  std::vector<RouterConfig> routers;
  WorkersConfig workers;
  MemoryConfig memory;
  ControlConfig control;
  LogConfig log;
  MetricsConfig metrics;
  WebConfig web;
  PolicyConfig policy;
  StateConfig state;
  TransferConfig transfer;
  RestoreConfig restore;
  FlowLogOptions flows;  // of [log] and [pflow]

  bool uses_pci() const;
  size_t devices() const;  // ports that are ethdevs of DPDK's
  size_t vhosts() const;   // ports of virtual machines

  friend bool operator==(const Config&, const Config&) = default;
};

struct ParsedConfig {
  // Set if and only if no diagnostic is an error.
  std::optional<Config> config;
  std::vector<Diagnostic> diagnostics;  // ascending by place
};

// Reads `text`. `file` names it in messages, and relative paths in it count
// from that file's folder.
ParsedConfig ParseConfig(std::string_view text, const std::string& file);
// The same for a file. A file that cannot be read, or is larger than
// kMaxConfigBytes, is a diagnostic like any other.
ParsedConfig LoadConfig(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_H_
