#include "dataplane/replay/replay_setup.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/language/parser.h"
#include "pftable/policy/diagnostic.h"

namespace sluice {
namespace {

// Room for states if the ruleset sets no limit.
constexpr uint32_t kDefaultStates = 1u << 20;

constexpr size_t kMaxRulesBytes = size_t{64} << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) {
      return absl::NotFoundError(
          absl::StrCat(path, ": ", std::strerror(errno)));
    }
  }
  std::istream& stream = path == "-" ? std::cin : file;
  std::string text(std::istreambuf_iterator<char>(stream), {});
  if (stream.bad() || text.size() > kMaxRulesBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  }
  return text;
}

// What the ruleset may name: the facts of the file, and the ports.
absl::StatusOr<HostFacts> ReadFacts(const ReplayOptions& options) {
  HostFacts facts;
  if (!options.facts_file.empty()) {
    absl::StatusOr<std::string> text = ReadFile(options.facts_file);
    if (!text.ok()) return text.status();
    absl::StatusOr<HostFacts> read =
        HostFacts::FromToml(*text, options.facts_file);
    if (!read.ok()) return read.status();
    facts = *std::move(read);
  }
  for (const ReplayOptions::Wire& wire : options.wires) {
    for (const std::string& name : {wire.outside, wire.inside}) {
      if (facts.FindInterface(name) == nullptr) {
        facts.AddInterface({.name = name,
                            .groups = {},
                            .addresses = {},
                            .loopback = false});
      }
    }
  }
  return facts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Simulation>> BuildReplay(
    const ReplayOptions& options, const std::string& rules_file,
    rte_mempool* pool,
    void (*on_verdict)(void* context, uint32_t index,
                       const PacketVerdict& verdict),
    void* context) {
  absl::StatusOr<std::string> text = ReadFile(rules_file);
  if (!text.ok()) return text.status();
  absl::StatusOr<HostFacts> facts = ReadFacts(options);
  if (!facts.ok()) return facts.status();
  const std::string name =
      rules_file == "-" ? "stdin" : rules_file;
  ParseResult parsed =
      ParsePolicy({.file_name = name,
                   .text = *std::move(text),
                   .macros = options.macros,
                   .load_file = SystemFileLoader(rules_file),
                   .dialect = options.dialect,
                   .facts = &*facts,
                   .no_dns = true,
                   .anchor = "",
                   .limits = {},
                   .optimize = options.optimization.has_value(),
                   .optimization = options.optimization});
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(FormatDiagnostics(parsed.diagnostics),
                     "the ruleset has errors; nothing was replayed"));
  }
  std::cerr << FormatDiagnostics(parsed.diagnostics);

  SimulationOptions simulation{
      .state_capacity = options.state_capacity != 0
                            ? options.state_capacity
                            : std::min(parsed.policy.options.limit(Limit::kStates),
                                       kDefaultStates),
      .parse = {.verify_checksums = !options.ignore_checksums},
      .pool = pool,
      .on_verdict = on_verdict,
      .on_verdict_context = context};
  for (const ReplayOptions::Wire& wire : options.wires) {
    const auto first = static_cast<uint16_t>(simulation.ports.size());
    for (const std::string& port : {wire.outside, wire.inside}) {
      SimulatedPort& simulated = simulation.ports.emplace_back();
      const InterfaceFacts& interface = *facts->FindInterface(port);
      simulated.name = port;
      simulated.groups = interface.groups;
      for (const InterfaceAddress& a : interface.addresses) {
        simulated.addresses.push_back({a.address, a.prefix});
      }
    }
    simulation.wires.push_back(
        {first, static_cast<uint16_t>(first + 1), !options.block_non_ip});
  }
  auto built = Simulation::Build(simulation);
  if (!built.ok()) return built.status();
  if (absl::Status s = (*built)->Load(std::move(parsed.policy)); !s.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        s.message(), "\nthe ruleset has errors; nothing was replayed"));
  }
  return built;
}

std::optional<uint16_t> FindPort(const Simulation& simulation,
                                 const std::string& name) {
  for (size_t i = 0; i < simulation.ports().size(); ++i) {
    if (simulation.ports()[i].name == name) return static_cast<uint16_t>(i);
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<PacketSource>> OpenCaptures(
    const ReplayOptions& options, const Simulation& simulation) {
  auto source = std::make_unique<PacketSource>(
      CaptureOptions{.strict = options.strict});
  for (const ReplayOptions::File& input : options.inputs) {
    absl::Status status;
    if (input.port.empty()) {
      status = source->Add(
          input.path,
          SidesByAddress{.inside_nets = options.inside_nets,
                         .inside = *FindPort(simulation, options.wires[0].inside),
                         .outside = *FindPort(simulation, options.wires[0].outside)});
    } else {
      status = source->Add(input.path, *FindPort(simulation, input.port));
    }
    if (!status.ok()) return status;
  }
  return source;
}

}  // namespace sluice
