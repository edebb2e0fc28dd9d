#include "dataplane/config/config.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/config/config_reader.h"
#include "dataplane/config/config_words.h"
#include "dataplane/host/pci_address.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 9> kSections = {
    "eal",     "port", "wire",   "workers", "memory",
    "control", "log",  "policy", "state"};
constexpr std::array<std::string_view, 4> kEalKeys = {
    "args", "hugepages", "file_prefix", "telemetry"};
constexpr std::array<std::string_view, 9> kPortKeys = {
    "name",           "device",         "groups", "addresses", "queues",
    "rx_descriptors", "tx_descriptors", "mtu",    "promiscuous"};
constexpr std::array<std::string_view, 2> kWireKeys = {"ports", "non_ip"};
constexpr std::array<std::string_view, 5> kWorkersKeys = {
    "lcores", "count", "control_lcore", "pin", "idle"};
constexpr std::array<std::string_view, 7> kMemoryKeys = {
    "mbufs",  "mbuf_cache", "mbuf_data",   "handoff_ring",
    "states", "rule_slots", "expectations"};
constexpr std::array<std::string_view, 3> kControlKeys = {"socket", "mode",
                                                          "group"};
constexpr std::array<std::string_view, 4> kLogKeys = {
    "level", "file", "packets", "packet_rate"};
constexpr std::array<std::string_view, 2> kStateKeys = {"dir", "interval"};
constexpr std::array<std::string_view, 5> kPolicyKeys = {
    "ruleset", "dialect", "missing_ruleset", "helpers", "verify_checksums"};

constexpr std::array<std::string_view, 3> kHugepagesWords = {"auto", "yes",
                                                             "no"};
constexpr std::array<std::string_view, 3> kIdleWords = {"auto", "poll",
                                                        "sleep"};
constexpr std::array<std::string_view, 2> kDialectWords = {"openbsd",
                                                           "freebsd"};
constexpr std::array<std::string_view, 2> kMissingWords = {"refuse", "block"};
constexpr std::array<std::string_view, 2> kNonIpWords = {"pass", "block"};

class ConfigBuilder {
 public:
  ConfigBuilder(const std::string& file, std::string_view text)
      : file_(file), reader_(file, text) {}

  ParsedConfig Build(std::string_view text);

 private:
  // Section by section; each reports what is wrong and goes on.
  void ReadEal(const toml::table& root);
  void ReadPorts(const toml::table& root);
  void ReadPort(const toml::table& table, PortConfig* port);
  void ReadDevice(const toml::table& table, PortConfig* port);
  void ReadWires(const toml::table& root);
  void ReadWorkers(const toml::table& root);
  void ReadMemory(const toml::table& root);
  void ReadControl(const toml::table& root);
  void ReadLog(const toml::table& root);
  void ReadPolicy(const toml::table& root);
  void ReadState(const toml::table& root);
  void CheckNames();
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
  // Of each port and group name, in order, for the checks across ports.
  std::vector<toml::source_region> port_places_;
  std::optional<toml::source_region> no_pci_place_;
  struct GroupPlace {
    std::string name;
    toml::source_region place;
  };
  std::vector<GroupPlace> groups_;
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

void ConfigBuilder::ReadDevice(const toml::table& table, PortConfig* port) {
  if (!table.contains("device")) {
    reader_.Error(table.source(), "[[port]] has no 'device'",
                  "give a PCI address (\"0000:03:00.0\") or a virtual device "
                  "(\"net_af_packet0,iface=veth0\")");
    return;
  }
  if (!reader_.String(table, "device", &port->device)) return;
  const toml::source_region& place = table.get("device")->source();
  if (!IsPciAddress(port->device_name()) &&
      !IsVdevName(port->device_name())) {
    reader_.Error(place,
                  absl::StrCat("'device' cannot be \"", port->device, "\""),
                  "give a PCI address (\"0000:03:00.0\") or a virtual device "
                  "(\"net_af_packet0,iface=veth0\"), then its arguments after "
                  "a comma");
    return;
  }
  if (port->is_pci()) NormalisePciAddress(&port->device);
  for (const PortConfig& other : config_.ports) {
    if (other.device_name() == port->device_name()) {
      reader_.Error(place,
                    absl::StrCat("port '", other.name, "' already has device ",
                                 std::string(port->device_name())),
                    "give every port a device of its own; virtual devices "
                    "differ by the number at the end of their name");
    } else if (!port->interface().empty() &&
               other.interface() == port->interface()) {
      reader_.Error(place,
                    absl::StrCat("port '", other.name,
                                 "' already has interface ",
                                 std::string(port->interface())),
                    "give every port an interface of its own");
    }
  }
}

void ConfigBuilder::ReadPort(const toml::table& table, PortConfig* port) {
  reader_.RefuseUnknownKeys(table, "[[port]]", kPortKeys);
  port_places_.push_back(table.source());
  if (!table.contains("name")) {
    reader_.Error(table.source(), "[[port]] has no 'name'",
                  "give the name that rules use: name = \"outside\"");
  } else if (reader_.String(table, "name", &port->name)) {
    port_places_.back() = table.get("name")->source();
    if (!IsPortName(port->name)) {
      reader_.Error(port_places_.back(),
                    absl::StrCat("a port cannot be named \"", port->name,
                                 "\""),
                    absl::StrCat("use a letter, then letters, digits, '_', "
                                 "'-' and '.', at most ",
                                 kMaxPortName, " bytes"));
    } else if (IsReservedName(port->name)) {
      reader_.Error(port_places_.back(),
                    absl::StrCat("a port cannot be named \"", port->name,
                                 "\", which has a meaning in rules"),
                    "choose another name");
    }
  }
  ReadDevice(table, port);
  reader_.Strings(
      table, "groups", kMaxGroupsPerPort,
      [&](const std::string& group, const toml::source_region& place) {
        if (!IsGroupName(group)) {
          reader_.Error(place,
                        absl::StrCat("a group cannot be named \"", group,
                                     "\""),
                        absl::StrCat("use a letter, then letters, digits, "
                                     "'_', '-' and '.', no digit at the end, "
                                     "at most ",
                                     kMaxPortName, " bytes"));
          return;
        }
        groups_.push_back({group, place});
        port->groups.push_back(group);
      });
  reader_.Strings(
      table, "addresses", kMaxAddressesPerPort,
      [&](const std::string& text, const toml::source_region& place) {
        const std::optional<Prefix> prefix = ParsePrefix(text);
        if (!prefix) {
          reader_.Error(place, absl::StrCat("'", text, "' is not an address"),
                        "give an IPv4 or IPv6 address, with its network's "
                        "prefix length: \"192.0.2.1/24\"");
          return;
        }
        port->addresses.push_back(*prefix);
      });
  reader_.Number(table, "queues", 1, kMaxQueues, &port->queues);
  reader_.Number(table, "rx_descriptors", 32, 32768, &port->rx_descriptors);
  reader_.Number(table, "tx_descriptors", 32, 32768, &port->tx_descriptors);
  reader_.Number(table, "mtu", 576, 9216, &port->mtu);
  reader_.Boolean(table, "promiscuous", &port->promiscuous);
}

void ConfigBuilder::ReadPorts(const toml::table& root) {
  const toml::array* ports = reader_.Tables(root, "port", kMaxDevices);
  if (ports == nullptr || ports->empty()) {
    if (!reader_.failed()) {
      reader_.Error(toml::source_region{}, "there is no [[port]]",
                    "add a [[port]] with name and device for each NIC");
    }
    return;
  }
  for (const toml::node& element : *ports) {
    PortConfig port;
    ReadPort(*element.as_table(), &port);
    config_.ports.push_back(std::move(port));
  }
  CheckNames();
  if (no_pci_place_ && config_.uses_pci()) {
    reader_.Error(*no_pci_place_,
                  "EAL argument '--no-pci' hides the PCI device of a port",
                  "remove it: only devices that a [[port]] names are used");
  }
}

void ConfigBuilder::CheckNames() {
  for (size_t i = 0; i < config_.ports.size(); ++i) {
    const std::string& name = config_.ports[i].name;
    if (name.empty()) continue;
    for (size_t j = 0; j < i; ++j) {
      if (config_.ports[j].name != name) continue;
      reader_.Error(port_places_[i],
                    absl::StrCat("there are two ports named '", name, "'"),
                    "give each port a name of its own");
      break;
    }
  }
  for (const GroupPlace& group : groups_) {
    for (const PortConfig& port : config_.ports) {
      if (port.name != group.name) continue;
      reader_.Error(group.place,
                    absl::StrCat("group '", group.name,
                                 "' has the name of a port"),
                    "rename one of them: rules could not tell them apart");
    }
  }
}

void ConfigBuilder::ReadWires(const toml::table& root) {
  const toml::array* wires = reader_.Tables(root, "wire", kMaxWires);
  if (wires == nullptr || wires->empty()) {
    if (!reader_.failed()) {
      reader_.Error(toml::source_region{},
                    "there is no [[wire]]: nothing would be forwarded",
                    "add a [[wire]] with ports = [\"a\", \"b\"]");
    }
    return;
  }
  std::vector<bool> used(config_.ports.size());
  for (const toml::node& element : *wires) {
    const toml::table& table = *element.as_table();
    reader_.RefuseUnknownKeys(table, "[[wire]]", kWireKeys);
    WireConfig wire;
    size_t count = 0;
    const bool given = reader_.Strings(
        table, "ports", kMaxDevices,
        [&](const std::string& name, const toml::source_region& place) {
          const auto port =
              std::ranges::find(config_.ports, name, &PortConfig::name);
          ++count;
          if (port == config_.ports.end()) {
            reader_.Error(place, absl::StrCat("there is no port '", name, "'"),
                          "give the name of a [[port]]");
            return;
          }
          const auto index =
              static_cast<uint16_t>(port - config_.ports.begin());
          if (used[index]) {
            reader_.Error(place,
                          absl::StrCat("port '", name,
                                       "' is already on a wire"),
                          "a port can be one end of one wire");
            return;
          }
          used[index] = true;
          if (count <= 2) wire.ports[count - 1] = index;
        });
    if (!table.contains("ports") || (given && count != 2)) {
      reader_.Error(table.contains("ports") ? table.get("ports")->source()
                                            : table.source(),
                    "a wire needs two ports", "write ports = [\"a\", \"b\"]");
    }
    size_t word;
    if (reader_.Word(table, "non_ip", kNonIpWords, &word)) {
      wire.pass_non_ip = word == 0;
    }
    config_.wires.push_back(wire);
  }
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
    reader_.Number(*table, "expectations", 1, 65536, &memory.expectations);
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
  std::string mode;
  if (reader_.String(*table, "mode", &mode)) {
    const toml::source_region& place = table->get("mode")->source();
    uint32_t bits = 0;
    bool octal = mode.size() == 3 || mode.size() == 4;
    for (const char digit : mode) {
      octal = octal && digit >= '0' && digit <= '7';
      bits = bits * 8 + static_cast<uint32_t>(digit - '0');
    }
    if (!octal || bits > 0777) {
      reader_.Error(place, absl::StrCat("'mode' cannot be \"", mode, "\""),
                    "give file permissions in octal: \"0660\"");
    } else if ((bits & 0002) != 0) {
      reader_.Error(place,
                    absl::StrCat("'mode' \"", mode,
                                 "\" lets every user change the rules"),
                    "use \"0660\" and name a 'group'");
    } else {
      control.mode = static_cast<uint16_t>(bits);
    }
  }
  reader_.String(*table, "group", &control.group);
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
  reader_.Number(*table, "packet_rate", 1, 1'000'000,
                 &config_.log.packet_rate);
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
  reader_.Strings(
      *table, "helpers", kHelperNames.size(),
      [&](const std::string& name, const toml::source_region& place) {
        if (std::ranges::find(kHelperNames, name) == kHelperNames.end()) {
          reader_.Error(place, absl::StrCat("there is no helper '", name, "'"),
                        "known helpers: tftp");
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

ParsedConfig ConfigBuilder::Build(std::string_view text) {
  config_.file = file_;
  try {
    const toml::table root = toml::parse(text, std::string_view(file_));
    reader_.RefuseUnknownKeys(root, "the file",
                              kSections);
    ReadEal(root);
    ReadPorts(root);
    ReadWires(root);
    ReadWorkers(root);
    ReadMemory(root);
    ReadControl(root);
    ReadLog(root);
    ReadPolicy(root);
    ReadState(root);
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
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Refuse(path, "is a folder", "give the path of a sluice.toml");
  }
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return Refuse(path, absl::StrCat("cannot be read: ", strerror(errno)),
                  "give the path of a sluice.toml with -c");
  }
  std::string text(kMaxConfigBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  return ParseConfig(text, path);
}

}  // namespace sluice
