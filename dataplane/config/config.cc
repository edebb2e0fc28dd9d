#include "dataplane/config/config.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/config/config_metrics.h"
#include "dataplane/config/config_ports.h"
#include "dataplane/config/config_reader.h"
#include "dataplane/config/config_web.h"
#include "dataplane/config/config_words.h"
#include "dataplane/host/pci_address.h"
#include "dataplane/packetlog/flow_socket.h"
#include "dataplane/ports/device_text.h"
#include "pftable/host/text_file.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 16> kSections = {
    "eal",     "port", "wire",   "workers", "memory",
    "control", "log",  "policy", "state",   "restore",
    "transfer", "pflow", "segment", "metrics", "web",
    "router"};
constexpr std::array<std::string_view, 4> kEalKeys = {
    "args", "hugepages", "file_prefix", "telemetry"};
constexpr std::array<std::string_view, 6> kWorkersKeys = {
    "lcores", "count", "control_lcore", "pin", "idle", "classifier"};
constexpr std::array<std::string_view, 9> kMemoryKeys = {
    "mbufs",      "mbuf_cache",     "mbuf_data",
    "handoff_ring", "states",       "rule_slots",
    "all_rule_slots", "expectations", "source_nodes"};
constexpr std::array<std::string_view, 10> kControlKeys = {
    "socket",        "mode",        "group",         "read_group",
    "operate_group", "admin_group", "device_group",  "device_mode",
    "allow_devices", "device_dirs"};
constexpr std::array<std::string_view, 8> kLogKeys = {
    "level",  "file",  "packets",  "packet_rate",
    "format", "audit", "sessions", "sessions_format"};
constexpr std::array<std::string_view, 4> kPflowKeys = {"collector", "source",
                                                        "protocol", "domain"};
constexpr std::array<std::string_view, 2> kSessionForms = {"json", "text"};
constexpr std::array<std::string_view, 2> kStateKeys = {"dir", "interval"};
constexpr std::array<std::string_view, 8> kTransferKeys = {
    "max_snapshot", "memory",   "parallel", "per_client",
    "per_filter",   "min_rate", "patience", "total_time"};
// What a snapshot may have without states, and for each of [memory].
constexpr uint64_t kPolicyBytes = uint64_t{256} << 20;
constexpr uint64_t kStateBytes = 256;
constexpr std::array<std::string_view, 4> kRestoreKeys = {
    "restore_give_up", "queue_deadline", "validate_deadline",
    "commit_deadline"};
constexpr std::array<std::string_view, 6> kPolicyKeys = {
    "ruleset", "dialect", "missing_ruleset",
    "without", "helpers", "verify_checksums"};

constexpr std::array<std::string_view, 3> kHugepagesWords = {"auto", "yes",
                                                             "no"};
constexpr std::array<std::string_view, 3> kIdleWords = {"auto", "poll",
                                                        "sleep"};
constexpr std::array<std::string_view, 2> kClassifierWords = {"compiled",
                                                              "linear"};
constexpr std::array<std::string_view, 2> kDialectWords = {"openbsd",
                                                           "freebsd"};
constexpr std::array<std::string_view, 2> kFormatWords = {"text", "json"};
constexpr std::array<std::string_view, 2> kMissingWords = {"refuse", "block"};

class ConfigBuilder {
 public:
  ConfigBuilder(const std::string& file, std::string_view text)
      : file_(file), reader_(file, text) {}

  ParsedConfig Build(std::string_view text);

 private:
  // Section by section; each reports what is wrong and goes on.
  void ReadEal(const toml::table& root);
  void ReadWorkers(const toml::table& root);
  void ReadMemory(const toml::table& root);
  void ReadControl(const toml::table& root);
  void ReadRunTimeDevices(const toml::table& control);
  void ReadLog(const toml::table& root);
  void ReadPflow(const toml::table& root);
  void ReadPolicy(const toml::table& root);
  // After the memory.
  void ReadTransfer(const toml::table& root);
  void ReadState(const toml::table& root);
  void ReadRestore(const toml::table& root);
  void CheckMemory(const toml::table& root);

  // A path of the file, relative to the configuration's folder.
  std::string Resolve(const std::string& path) const {
    std::error_code error;
    const std::filesystem::path folder =
        std::filesystem::absolute(file_, error).parent_path();
    return (folder / path).lexically_normal().string();
  }

  const std::string& file_;
  ConfigReader reader_;
  Config config_;
  std::optional<toml::source_region> no_pci_place_;  // of the EAL argument
};

void ConfigBuilder::ReadEal(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "eal");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[eal]", kEalKeys);
  EalConfig& eal = config_.eal;
  reader_.Strings(
      *table, "args", kMaxEalArguments,
      [&](const std::string& argument, const toml::source_region& place) {
        if (const char* instead = InsteadOfEalArgument(argument)) {
          reader_.Error(place,
                        absl::StrCat("EAL argument '", argument,
                                     "' is set by sluiced itself"),
                        instead);
          return;
        }
        if (argument == "--no-pci") no_pci_place_ = place;
        eal.args.push_back(argument);
      });
  size_t word;
  if (reader_.Word(*table, "hugepages", kHugepagesWords, &word)) {
    eal.hugepages = static_cast<Hugepages>(word);
  }
  if (reader_.String(*table, "file_prefix", &eal.file_prefix) &&
      !(std::ranges::all_of(eal.file_prefix, IsNameByte) &&
        eal.file_prefix.size() <= 64)) {
    reader_.Error(table->get("file_prefix")->source(),
                  absl::StrCat("'file_prefix' cannot be \"", eal.file_prefix,
                               "\""),
                  "use up to 64 letters, digits, '_', '-' and '.'");
  }
  reader_.Boolean(*table, "telemetry", &eal.telemetry);
}

void ConfigBuilder::ReadWorkers(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "workers");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[workers]", kWorkersKeys);
  WorkersConfig& workers = config_.workers;
  const bool listed = reader_.Integers(
      *table, "lcores", kMaxWorkers, 0, kMaxCore,
      [&](int64_t core, const toml::source_region& place) {
        if (std::ranges::find(workers.lcores, core) != workers.lcores.end()) {
          reader_.Error(place,
                        absl::StrCat("lcore ", core, " is listed twice"),
                        "give each worker a processor of its own; set `count` "
                        "instead to let workers share");
          return;
        }
        workers.lcores.push_back(static_cast<uint16_t>(core));
      });
  if (listed && table->get("lcores")->as_array()->empty()) {
    reader_.Error(table->get("lcores")->source(), "'lcores' is empty",
                  "list at least one processor, or remove it");
  }
  const bool counted =
      reader_.Number(*table, "count", 1, kMaxWorkers, &workers.count);
  if (listed && counted) {
    reader_.Error(table->get("count")->source(),
                  "both 'lcores' and 'count' are given",
                  "remove one: a list of processors already says how many");
  }
  uint16_t control;
  if (reader_.Number(*table, "control_lcore", 0, kMaxCore, &control)) {
    workers.control_lcore = control;
  }
  reader_.Boolean(*table, "pin", &workers.pin);
  size_t word;
  if (reader_.Word(*table, "idle", kIdleWords, &word)) {
    workers.idle = static_cast<IdleMode>(word);
  }
  if (reader_.Word(*table, "classifier", kClassifierWords, &word)) {
    workers.classifier = word == 0;
  }
}

void ConfigBuilder::ReadMemory(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "memory");
  if (table != nullptr) {
    reader_.RefuseUnknownKeys(*table, "[memory]", kMemoryKeys);
    MemoryConfig& memory = config_.memory;
    reader_.Number(*table, "mbufs", 1024, 16 << 20, &memory.mbufs);
    reader_.Number(*table, "mbuf_cache", 0, 512, &memory.mbuf_cache);
    reader_.Number(*table, "mbuf_data", 128, 16384, &memory.mbuf_data);
    reader_.Number(*table, "handoff_ring", 64, 65536, &memory.handoff_ring);
    reader_.Number(*table, "states", 1024, 64 << 20, &memory.states);
    reader_.Number(*table, "rule_slots", 64, 1 << 20, &memory.rule_slots);
    reader_.Number(*table, "all_rule_slots", 64, 16 << 20,
                   &memory.all_rule_slots);
    reader_.Number(*table, "expectations", 1, 65536, &memory.expectations);
    reader_.Number(*table, "source_nodes", 64, 16 << 20,
                   &memory.source_nodes);
  }
  CheckMemory(root);
}

void ConfigBuilder::CheckMemory(const toml::table& root) {
  // What the rings of all ports may hold has to be there with some to spare,
  // else a port starves as soon as another one is full.
  const MemoryConfig& memory = config_.memory;
  const toml::node* given =
      root["memory"].is_table() ? root["memory"]["mbufs"].node() : nullptr;
  if (given == nullptr || memory.mbufs == 0) return;
  uint64_t needed = 0;
  for (const PortConfig& port : config_.ports) {
    const uint32_t queues =
        port.queues > 0 ? port.queues : config_.workers.size();
    needed += uint64_t{queues} * (port.rx_descriptors + port.tx_descriptors);
  }
  needed += 64 * (config_.workers.size() + 1u);
  if (memory.mbufs < needed) {
    reader_.Error(given->source(),
                  absl::StrCat("'mbufs' is ", memory.mbufs,
                               ", fewer than the ", needed,
                               " that the ports' rings can hold"),
                  "raise it, remove it to have it computed, or lower the "
                  "ports' descriptors");
  }
}

void ConfigBuilder::ReadControl(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "control");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[control]", kControlKeys);
  ControlConfig& control = config_.control;
  if (reader_.String(*table, "socket", &control.socket)) {
    // sockaddr_un has room for 107 bytes and a NUL.
    if (control.socket.empty() || Resolve(control.socket).size() > 107) {
      reader_.Error(table->get("socket")->source(),
                    absl::StrCat("the path of the control socket has ",
                                 Resolve(control.socket).size(), " bytes"),
                    "give a path of 1 to 107 bytes");
    }
  }
  reader_.Mode(*table, "mode", "lets every user change the rules",
               &control.mode);
  reader_.Mode(*table, "device_mode",
               "lets every user into the guests' networks",
               &control.device_mode);
  reader_.String(*table, "device_group", &control.device_group);
  reader_.String(*table, "group", &control.group);
  reader_.String(*table, "read_group", &control.read_group);
  reader_.String(*table, "operate_group", &control.operate_group);
  reader_.String(*table, "admin_group", &control.admin_group);
  ReadRunTimeDevices(*table);
}

void ConfigBuilder::ReadRunTimeDevices(const toml::table& table) {
  RunTimeDevices& devices = config_.control.devices;
  reader_.Strings(
      table, "allow_devices", kMaxDeviceRules,
      [&](const std::string& driver, const toml::source_region& place) {
        if (!IsVdevName(driver) || DriverOf(driver) != driver) {
          reader_.Error(place, absl::StrCat("there is no driver '", driver,
                                            "'"),
                        "give the names of drivers, without a number: "
                        "\"net_tap\"");
          return;
        }
        devices.drivers.push_back(driver);
      });
  reader_.Strings(
      table, "device_dirs", kMaxDeviceRules,
      [&](const std::string& path, const toml::source_region& place) {
        std::string directory = Resolve(path);
        if (directory.ends_with('/')) directory.pop_back();
        if (path.empty() || directory.empty()) {
          reader_.Error(place,
                        absl::StrCat("'device_dirs' cannot hold \"", path,
                                     "\""),
                        "give directories that only the daemon and those who "
                        "use its sockets may write to");
          return;
        }
        devices.directories.push_back(std::move(directory));
      });
}

void ConfigBuilder::ReadLog(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "log");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[log]", kLogKeys);
  size_t word;
  if (reader_.Word(*table, "level", kLogLevels, &word)) {
    config_.log.level = std::string(kLogLevels[word]);
  }
  if (reader_.String(*table, "file", &config_.log.file) &&
      !config_.log.file.empty()) {
    config_.log.file = Resolve(config_.log.file);
  }
  if (reader_.String(*table, "packets", &config_.log.packets) &&
      !config_.log.packets.empty()) {
    config_.log.packets = Resolve(config_.log.packets);
  }
  if (reader_.Word(*table, "format", kFormatWords, &word)) {
    config_.log.json = word == 1;
  }
  if (reader_.String(*table, "audit", &config_.log.audit) &&
      !config_.log.audit.empty()) {
    config_.log.audit = Resolve(config_.log.audit);
  }
  reader_.Number(*table, "packet_rate", 1, 1'000'000,
                 &config_.log.packet_rate);
  FlowLogOptions& flows = config_.flows;
  if (reader_.String(*table, "sessions", &flows.sessions) &&
      !flows.sessions.empty()) {
    flows.sessions = Resolve(flows.sessions);
  }
  if (reader_.Word(*table, "sessions_format", kSessionForms, &word)) {
    flows.form = static_cast<SessionForm>(word);
  }
}

void ConfigBuilder::ReadPflow(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "pflow");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[pflow]", kPflowKeys);
  FlowLogOptions& flows = config_.flows;
  const auto endpoint = [&](const char* key, bool port, const char* hint,
                            FlowEndpoint* out) {
    std::string text;
    if (!reader_.String(*table, key, &text)) return;
    if (ParseFlowEndpoint(text, port, out)) return;
    *out = FlowEndpoint();
    reader_.Error(table->get(key)->source(),
                  absl::StrCat("'", key, "' cannot be \"", text, "\""), hint);
  };
  endpoint("collector", true,
           "an address and a port: \"192.0.2.1:4739\" or "
           "\"[2001:db8::1]:4739\"",
           &flows.collector);
  endpoint("source", false, "an address of this machine, or one and a port",
           &flows.source);
  if (!table->contains("collector")) {
    reader_.Error(table->source(), "[pflow] has no 'collector'",
                  "say where flows are sent to, or remove the section");
  }
  if (flows.exports() && flows.source.address.family != Family::kNone &&
      flows.source.address.family != flows.collector.address.family) {
    reader_.Error(table->get("source")->source(),
                  "'source' and 'collector' are of two families",
                  "give both as IPv4, or both as IPv6");
  }
  if (reader_.Number(*table, "protocol", 5, 10, &flows.protocol) &&
      flows.protocol != 5 && flows.protocol != 10) {
    reader_.Error(table->get("protocol")->source(),
                  absl::StrCat("'protocol' is ", flows.protocol),
                  "5 (NetFlow) or 10 (IPFIX)");
  }
  reader_.Number(*table, "domain", 0, UINT32_MAX, &flows.domain);
  if (flows.protocol == 5 && flows.domain > UINT8_MAX) {
    reader_.Error(table->get("domain")->source(),
                  absl::StrCat("'domain' is ", flows.domain),
                  "NetFlow 5 has room for 0 to 255");
  }
}

void ConfigBuilder::ReadPolicy(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "policy");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[policy]", kPolicyKeys);
  PolicyConfig& policy = config_.policy;
  if (reader_.String(*table, "ruleset", &policy.ruleset) &&
      policy.ruleset.empty()) {
    reader_.Error(table->get("ruleset")->source(), "'ruleset' is empty",
                  "give the path of a file with rules");
  }
  size_t word;
  if (reader_.Word(*table, "dialect", kDialectWords, &word)) {
    policy.dialect = word == 0 ? Dialect::kOpenBsd : Dialect::kFreeBsd;
  }
  if (reader_.Word(*table, "missing_ruleset", kMissingWords, &word)) {
    policy.missing_ruleset = static_cast<MissingRuleset>(word);
  }
  reader_.Strings(*table, "without", 256,
                  [&](const std::string& name, const toml::source_region&) {
                    policy.without.push_back(name);
                  });
  if (table->contains("helpers")) policy.helpers.clear();
  reader_.Strings(
      *table, "helpers", kHelperNames.size(),
      [&](const std::string& name, const toml::source_region& place) {
        if (std::ranges::find(kHelperNames, name) == kHelperNames.end()) {
          reader_.Error(place, absl::StrCat("there is no helper '", name, "'"),
                        "known helpers: ftp, tftp");
          return;
        }
        if (std::ranges::find(policy.helpers, name) == policy.helpers.end()) {
          policy.helpers.push_back(name);
        }
      });
  reader_.Boolean(*table, "verify_checksums", &policy.verify_checksums);
}

void ConfigBuilder::ReadState(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "state");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[state]", kStateKeys);
  StateConfig& state = config_.state;
  if (reader_.String(*table, "dir", &state.directory) &&
      !state.directory.empty()) {
    state.directory = Resolve(state.directory);
  }
  reader_.Number(*table, "interval", 1, 86400, &state.interval);
}

void ConfigBuilder::ReadTransfer(const toml::table& root) {
  TransferConfig& transfer = config_.transfer;
  TransferLimits& limits = transfer.limits;
  constexpr int64_t kMostMebibytes = 16 << 20;
  const toml::table* table = reader_.Table(root, "transfer");
  uint64_t snapshot = 0;
  uint64_t memory = 0;
  if (table != nullptr) {
    reader_.RefuseUnknownKeys(*table, "[transfer]", kTransferKeys);
    reader_.Number(*table, "max_snapshot", 1, kMostMebibytes, &snapshot);
    reader_.Number(*table, "memory", 1, kMostMebibytes, &memory);
    reader_.Number(*table, "parallel", 1, 1024, &limits.parallel);
    reader_.Number(*table, "per_client", 1, 1024, &limits.per_client);
    reader_.Number(*table, "per_filter", 1, 1024, &limits.per_filter);
    uint64_t rate = 0;
    if (reader_.Number(*table, "min_rate", 0, 1 << 20, &rate)) {
      limits.min_rate = rate << 10;
    }
    uint64_t seconds = 0;
    if (reader_.Number(*table, "patience", 1, 3600, &seconds)) {
      limits.patience = seconds * 1000;
    }
    if (reader_.Number(*table, "total_time", 1, 86400, &seconds)) {
      limits.total_time = seconds * 1000;
    }
  }
  transfer.max_snapshot = snapshot != 0
                              ? snapshot << 20
                              : kPolicyBytes + config_.memory.states * kStateBytes;
  limits.memory = memory != 0 ? memory << 20 : 2 * transfer.max_snapshot;
  if (limits.memory < transfer.max_snapshot) {
    reader_.Error(table->find("memory")->second.source(),
                  absl::StrCat("'memory' is ", memory,
                               " MiB, and one snapshot may take ",
                               (transfer.max_snapshot + (1 << 20) - 1) >> 20),
                  "raise it, or lower 'max_snapshot'");
  }
}

void ConfigBuilder::ReadRestore(const toml::table& root) {
  const toml::table* table = reader_.Table(root, "restore");
  if (table == nullptr) return;
  reader_.RefuseUnknownKeys(*table, "[restore]", kRestoreKeys);
  RestoreConfig& restore = config_.restore;
  reader_.Number(*table, "restore_give_up", 0, 86400, &restore.give_up);
  reader_.Number(*table, "queue_deadline", 10, 3600000, &restore.queue);
  reader_.Number(*table, "validate_deadline", 100, 3600000,
                 &restore.validate);
  reader_.Number(*table, "commit_deadline", 10, 60000, &restore.commit);
}

ParsedConfig ConfigBuilder::Build(std::string_view text) {
  config_.file = file_;
  try {
    const toml::table root = toml::parse(text, std::string_view(file_));
    reader_.RefuseUnknownKeys(root, "the file",
                              kSections);
    ReadEal(root);
    PortSections ports(&reader_, &config_);
    ports.ReadPorts(root);
    if (no_pci_place_ && config_.uses_pci()) {
      reader_.Error(*no_pci_place_,
                    "EAL argument '--no-pci' hides the PCI device of a port",
                    "remove it: only devices that a [[port]] names are used");
    }
    ports.ReadWires(root);
    ports.ReadSegments(root);
    ports.ReadRouters(root);
    ReadWorkers(root);
    ReadMemory(root);
    ReadControl(root);
    ReadLog(root);
    ReadPflow(root);
    const toml::table* metrics = ReadMetricsSection(
        root, [this](const std::string& path) { return Resolve(path); },
        &reader_, &config_.metrics);
    if (metrics != nullptr) {
      reader_.Mode(*metrics, "mode", "lets every user ask",
                   &config_.metrics.mode);
    }
    const toml::table* web = ReadWebSection(
        root, [this](const std::string& path) { return Resolve(path); },
        &reader_, &config_.web);
    if (web != nullptr) {
      reader_.Mode(*web, "mode", "lets every user look", &config_.web.mode);
    }
    ReadPolicy(root);
    ReadState(root);
    ReadTransfer(root);
    ReadRestore(root);
  } catch (const toml::parse_error& error) {
    // toml++ stops at its first syntax error.
    reader_.Error(error.source(), std::string(error.description()),
                  "the file is not valid TOML (https://toml.io)");
  }
  config_.policy.ruleset = Resolve(config_.policy.ruleset);
  config_.control.socket = Resolve(config_.control.socket);
  ParsedConfig result;
  result.diagnostics = reader_.TakeDiagnostics();
  if (!reader_.failed()) result.config = std::move(config_);
  return result;
}

ParsedConfig Refuse(const std::string& path, std::string message,
                    std::string hint) {
  ParsedConfig result;
  Diagnostic diagnostic;
  diagnostic.file = path;
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  result.diagnostics.push_back(std::move(diagnostic));
  return result;
}

}  // namespace

size_t Config::devices() const {
  return static_cast<size_t>(std::ranges::count_if(
      ports, [](const PortConfig& port) { return port.has_ethdev(); }));
}

size_t Config::vhosts() const {
  return static_cast<size_t>(
      std::ranges::count_if(ports, &PortConfig::is_vhost));
}

bool Config::uses_pci() const {
  return std::ranges::any_of(ports, &PortConfig::is_pci);
}

ParsedConfig ParseConfig(std::string_view text, const std::string& file) {
  if (text.size() > kMaxConfigBytes) {
    return Refuse(file,
                  absl::StrCat("the file has more than ", kMaxConfigBytes,
                               " bytes"),
                  "is this really a configuration of sluiced?");
  }
  return ConfigBuilder(file, text).Build(text);
}

ParsedConfig LoadConfig(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadTextFile(path, kMaxConfigBytes);
  if (text.ok()) return ParseConfig(*text, path);
  return Refuse(path,
                absl::StrCat("cannot be read: ", text.status().message()),
                "give the path of a sluice.toml with -c");
}

}  // namespace sluice
