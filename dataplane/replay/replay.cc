#include "dataplane/replay/replay.h"

#include <rte_mbuf.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/replay/verdict_text.h"
#include "packet/parse.h"
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

// To a file, to the standard output ("-") or nowhere ("").
absl::Status WriteText(const std::string& path, const std::string& text) {
  if (path.empty()) return absl::OkStatus();
  if (path != "-") return WriteWholeFile(path, text);
  std::cout << text << std::flush;
  return std::cout ? absl::OkStatus()
                   : absl::UnavailableError("cannot write to stdout");
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

absl::StatusOr<std::unique_ptr<Replay>> Replay::Open(
    const ReplayOptions& options) {
  std::unique_ptr<Replay> replay(new Replay(options));
  if (absl::Status s = replay->LoadRules(); !s.ok()) return s;
  if (absl::Status s = replay->OpenFiles(); !s.ok()) return s;
  return replay;
}

absl::Status Replay::LoadRules() {
  absl::StatusOr<std::string> text = ReadFile(options_.rules_file);
  if (!text.ok()) return text.status();
  absl::StatusOr<HostFacts> facts = ReadFacts(options_);
  if (!facts.ok()) return facts.status();
  const std::string name =
      options_.rules_file == "-" ? "stdin" : options_.rules_file;
  ParseResult parsed =
      ParsePolicy({.file_name = name,
                   .text = *std::move(text),
                   .macros = options_.macros,
                   .load_file = SystemFileLoader(options_.rules_file),
                   .dialect = options_.dialect,
                   .facts = &*facts,
                   .no_dns = true,
                   .anchor = "",
                   .limits = {},
                   .optimize = options_.optimization.has_value(),
                   .optimization = options_.optimization});
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(FormatDiagnostics(parsed.diagnostics),
                     "the ruleset has errors; nothing was replayed"));
  }
  std::cerr << FormatDiagnostics(parsed.diagnostics);

  auto pool = FramePool::Create();
  if (!pool.ok()) return pool.status();
  pool_ = *std::move(pool);
  SimulationOptions simulation{
      .state_capacity = options_.state_capacity != 0
                            ? options_.state_capacity
                            : std::min(parsed.policy.options.limit(Limit::kStates),
                                       kDefaultStates),
      .parse = {.verify_checksums = !options_.ignore_checksums},
      .pool = pool_->get(),
      .on_verdict = &Replay::OnVerdict,
      .on_verdict_context = this};
  for (const ReplayOptions::Wire& wire : options_.wires) {
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
        {first, static_cast<uint16_t>(first + 1), !options_.block_non_ip});
  }
  auto built = Simulation::Build(simulation);
  if (!built.ok()) return built.status();
  simulation_ = *std::move(built);
  if (absl::Status s = simulation_->Load(std::move(parsed.policy)); !s.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        s.message(), "\nthe ruleset has errors; nothing was replayed"));
  }
  return absl::OkStatus();
}

std::optional<uint16_t> Replay::FindPort(const std::string& name) const {
  for (size_t i = 0; i < simulation_->ports().size(); ++i) {
    if (simulation_->ports()[i].name == name) return static_cast<uint16_t>(i);
  }
  return std::nullopt;
}

absl::Status Replay::OpenFiles() {
  source_ = std::make_unique<PacketSource>(
      CaptureOptions{.strict = options_.strict});
  for (const ReplayOptions::File& input : options_.inputs) {
    absl::Status status;
    if (input.port.empty()) {
      status = source_->Add(
          input.path,
          SidesByAddress{.inside_nets = options_.inside_nets,
                         .inside = *FindPort(options_.wires[0].inside),
                         .outside = *FindPort(options_.wires[0].outside)});
    } else {
      status = source_->Add(input.path, *FindPort(input.port));
    }
    if (!status.ok()) return status;
  }
  writers_.resize(simulation_->ports().size());
  for (const ReplayOptions::File& output : options_.outputs) {
    auto writer = CaptureWriter::Create(output.path);
    if (!writer.ok()) return writer.status();
    writers_[*FindPort(output.port)] = *std::move(writer);
  }
  return absl::OkStatus();
}

void Replay::OnVerdict(void* context, uint32_t, const PacketVerdict& verdict) {
  static_cast<Replay*>(context)->verdict_ = verdict;
}

absl::Status Replay::Run() {
  uint64_t clock = 0;
  for (;;) {
    SourcedPacket packet;
    const absl::StatusOr<bool> more = source_->Next(packet);
    if (!more.ok()) return more.status();
    if (!*more) break;
    simulation_->Advance(packet.clock - clock);
    clock = packet.clock;
    if (absl::Status s = OnePacket(packet); !s.ok()) return s;
  }
  if (absl::Status s = CheckSums(); !s.ok()) return s;
  return Publish();
}

absl::Status Replay::OnePacket(const SourcedPacket& packet) {
  ++packets_;
  if (packet.cut) {
    ++cut_;
    if (!options_.verdicts_file.empty()) WriteVerdict(packet, nullptr);
    return absl::OkStatus();
  }
  PacketBurst burst;
  burst.mbufs[0] = pool_->Make(packet.frame);
  if (burst.mbufs[0] == nullptr) {
    return absl::ResourceExhaustedError("no mbufs are left");
  }
  burst.count = 1;
  PacketInfo info;
  if (!options_.verdicts_file.empty()) {
    ParsePacket(*burst.mbufs[0],
                {.verify_checksums = !options_.ignore_checksums}, &info);
  }
  BurstResult result;
  simulation_->Process(packet.port, burst, result);
  if (!options_.verdicts_file.empty()) WriteVerdict(packet, &info);
  simulation_->Send(packet.port, result, [&](uint16_t port, rte_mbuf* mbuf) {
    if (port < writers_.size() && writers_[port] != nullptr) {
      writers_[port]->Write(packet.nanoseconds, FrameBytes(*mbuf, buffer_));
    }
    rte_pktmbuf_free(mbuf);
  });
  return absl::OkStatus();
}

void Replay::WriteVerdict(const SourcedPacket& packet,
                          const PacketInfo* info) {
  VerdictLine line{.number = packets_,
                   .arrival = simulation_->ports()[packet.port].name,
                   .reason = kCutReason,
                   .info = info};
  if (info != nullptr) {
    line.passed = verdict_.passed;
    line.held = verdict_.held;
    if (!line.passed && !line.held) line.reason = Name(verdict_.reason);
    if (verdict_.rule != kNoRule) line.rule = verdict_.rule;
    line.judged = verdict_.judged;
    if (line.judged) {
      const uint16_t port = *line.judged == Direction::kIn
                                ? packet.port
                                : simulation_->peer(packet.port);
      line.judged_at = simulation_->ports()[port].name;
    }
  }
  absl::StrAppend(&verdicts_, VerdictText(line), "\n");
}

absl::Status Replay::CheckSums() const {
  uint64_t received = 0;
  uint64_t settled = 0;
  int64_t refragmented = 0;
  for (uint16_t i = 0; i < simulation_->ports().size(); ++i) {
    const PortCounters& counters = simulation_->counters(i);
    uint64_t accounted = counters.forwarded_packets.value();
    for (const Counter& drops : counters.drops) accounted += drops.value();
    received += counters.received_packets.value();
    refragmented += counters.made_here();
    settled += accounted;
  }
  const FragmentCache& fragments = simulation_->fragments();
  if (received + static_cast<uint64_t>(refragmented) !=
      settled + fragments.held()) {
    return absl::InternalError(absl::StrCat(
        "the sums do not close: ", received, " packets received, ", settled,
        " transmitted or dropped, ", fragments.held(), " held"));
  }
  if (received + cut_ != packets_ ||
      pool_->InUse() != fragments.segments()) {
    return absl::InternalError(absl::StrCat(
        "the sums do not close: ", packets_, " packets read, ", received,
        " received, ", cut_, " cut, ", pool_->InUse(), " buffers not returned"));
  }
  return absl::OkStatus();
}

absl::Status Replay::Publish() {
  for (const auto& writer : writers_) {
    if (writer == nullptr) continue;
    if (absl::Status s = writer->Finish(); !s.ok()) return s;
  }
  if (absl::Status s = WriteText(options_.verdicts_file, verdicts_); !s.ok()) {
    return s;
  }
  if (!options_.report_file.empty()) {
    if (absl::Status s = WriteText(options_.report_file, JsonReport());
        !s.ok()) {
      return s;
    }
  }
  for (const auto& writer : writers_) {
    if (writer == nullptr) continue;
    if (absl::Status s = writer->Publish(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

uint64_t Replay::checksum_drops() const {
  uint64_t count = 0;
  for (uint16_t i = 0; i < simulation_->ports().size(); ++i) {
    count += simulation_->counters(i)
                 .drops[static_cast<size_t>(DropReason::kProtoCksum)]
                 .value();
  }
  return count;
}

}  // namespace sluice
