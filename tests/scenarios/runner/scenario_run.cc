#include "tests/scenarios/runner/scenario_run.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "dataplane/forward/flow_ring.h"
#include "dataplane/packetlog/session_text.h"
#include "dataplane/replay/capture.h"
#include "dataplane/replay/simulation.h"
#include "dataplane/replay/state_text.h"
#include "pftable/language/parser.h"
#include "tests/scenarios/runner/scenario_checks.h"
#include "tests/scenarios/runner/scenario_routes.h"
#include "tests/support/packet_text.h"
#include "tests/support/scapy.h"

namespace sluice {
namespace {

using Frame = std::vector<uint8_t>;

// Close to where the 32 bits wrap around, so that every scenario that lasts a
// minute crosses it.
constexpr Tick kStart = 0xffff8000;

// Of both link addresses.
constexpr size_t kMacBytes = 12;
// Of a packet that waits for other fragments.
constexpr auto kHeld = static_cast<DropReason>(kDropReasonCount);

std::string OneBlank(std::string_view text) {
  const std::vector<std::string> words =
      absl::StrSplit(absl::string_view(text.data(), text.size()),
                     absl::ByAnyChar(" \t"), absl::SkipEmpty());
  return absl::StrJoin(words, " ");
}

class Run {
 public:
  Run(const Scenario& scenario, const RunOptions& options, MbufPool& pool)
      : scenario_(scenario), options_(options), pool_(pool) {}

  absl::Status Execute() {
    if (absl::Status s = Start(); !s.ok()) return s;
    for (const Step& step : scenario_.steps) {
      line_ = step.line;
      absl::Status status = std::visit(
          [this](const auto& action) { return Do(action); }, step.action);
      if (!status.ok()) return status;
      if (status = CheckConsistency(*simulation_); !status.ok()) {
        return Failure(status.message());
      }
    }
    if (absl::Status s = CheckEnding(*simulation_); !s.ok()) {
      return Failure(s.message());
    }
    if (pool_.InUse() != 0) {
      return Failure(absl::StrCat(pool_.InUse(), " mbufs did not come back"));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Failure(absl::string_view what) const {
    return absl::InternalError(
        absl::StrCat(scenario_.path, ":", line_, ": ", what));
  }

  absl::Status Start() {
    SimulationOptions options{.state_capacity = scenario_.state_capacity,
                              .expectations = scenario_.expectations,
                              .parse = {.verify_checksums =
                                            scenario_.verify_checksums},
                              .pool = pool_.get(),
                              .flows = &flows_,
                              .all_flows = scenario_.sessions,
                              .start = kStart,
                              .on_verdict = &Run::OnVerdict,
                              .on_verdict_context = this};
    for (const ScenarioPort& port : scenario_.ports) {
      SimulatedPort& made = options.ports.emplace_back();
      made.name = port.name;
      made.groups = port.groups;
      made.addresses = port.addresses;
      made.guard = port.guard;
      made.mtu = port.mtu;
      if (port.vlan == 0) continue;
      made.parent = Port(port.parent);
      made.tags = {.outer = port.vlan, .inner = port.inner_vlan};
    }
    for (const ScenarioSegment& segment : scenario_.segments) {
      SimulatedSegment& made = options.segments.emplace_back();
      for (const std::string& port : segment.ports) {
        made.ports.push_back(Port(port));
      }
      made.flood_unknown = segment.flood_unknown;
      made.flood_multicast = segment.flood_multicast;
      made.flood_broadcast = segment.flood_broadcast;
      made.macs = {.capacity = segment.macs,
                   .age = static_cast<uint32_t>(segment.age),
                   .per_port = segment.macs_per_port};
      for (const auto& [mac, port] : segment.fixed) {
        const auto address = ParseLinkAddress(mac);
        if (!address || Port(port) == kNoPort) {
          return Failure("fixed: MAC PORT");
        }
        made.fixed.emplace_back(*address, Port(port));
      }
    }
    for (const ScenarioWire& wire : scenario_.wires) {
      options.wires.push_back(
          {Port(wire.first), Port(wire.second), wire.pass_non_ip,
           wire.answer_arp});
    }
    for (const ScenarioRouter& router : scenario_.routers) {
      SimulatedRouter& made = options.routers.emplace_back();
      for (const std::string& port : router.ports) {
        made.ports.push_back(Port(port));
      }
    }
    auto simulation = Simulation::Build(options);
    if (!simulation.ok()) return Failure(simulation.status().message());
    simulation_ = *std::move(simulation);
    const absl::Status routers = BeginRouters(scenario_, *simulation_);
    return routers.ok() ? routers : Failure(routers.message());
  }

  bool IsRouted(uint16_t port) const {
    return std::any_of(
        scenario_.routers.begin(), scenario_.routers.end(),
        [&](const ScenarioRouter& router) {
          return std::any_of(
              router.ports.begin(), router.ports.end(),
              [&](const std::string& name) { return Port(name) == port; });
        });
  }
  static void SetMac(Frame& frame, size_t at, uint16_t port) {
    const MacAddress mac = Simulation::MacOf(port);
    if (frame.size() >= kMacBytes) {
      std::copy(mac.begin(), mac.end(),
                frame.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  std::string NameOf(uint16_t port) const {
    return port == kNoPort ? "host" : scenario_.ports[port].name;
  }

  uint16_t Port(std::string_view name) const {
    for (size_t i = 0; i < scenario_.ports.size(); ++i) {
      if (scenario_.ports[i].name == name) return static_cast<uint16_t>(i);
    }
    return kNoPort;
  }

  static void OnVerdict(void* context, uint32_t index,
                        const PacketVerdict& verdict) {
    Run& run = *static_cast<Run*>(context);
    run.verdicts_.resize(std::max<size_t>(run.verdicts_.size(), index + 1));
    run.passed_.resize(run.verdicts_.size());
    // What is flooded has a verdict for each port: it has passed if one of its
    // copies has.
    if (verdict.passed) run.passed_[index] = true;
    if (run.passed_[index]) {
      run.verdicts_[index] = std::nullopt;
    } else if (verdict.held) {
      run.verdicts_[index] = kHeld;
    } else if (!verdict.passed) {
      run.verdicts_[index] = verdict.reason;
    }
  }

  // --- packets

  absl::Status Do(const SendStep& step) {
    const uint16_t port = Port(step.port);
    PacketBurst burst;
    std::vector<Frame> frames;
    std::vector<PacketSpec> specs;
    if (step.packets.size() > kMaxBurst) return Failure("too many packets");
    for (const SendStep::Packet& packet : step.packets) {
      line_ = packet.line;
      const auto spec =
          ParsePacketText(packet.text, last_ ? &*last_ : nullptr);
      if (!spec.ok()) return Failure(spec.status().message());
      auto frame = BuildFrame(*spec);
      if (!frame.ok()) return Failure(frame.status().message());
      if (step.from_host) {
        SetMac(*frame, kMacBytes / 2, port);
      } else if (IsRouted(port) && ((*frame)[0] & 1) == 0 &&
                 packet.text.find("ethdst") == std::string::npos) {
        SetMac(*frame, 0, port);
      }
      last_ = *spec;
      specs.push_back(*spec);
      frames.push_back(*frame);
    }
    std::vector<PacketInfo> parsed;
    for (const Frame& frame : frames) {
      rte_mbuf* mbuf = pool_.Make(frame, options_.segment_size);
      burst.mbufs[burst.count++] = mbuf;
      ParsePacket(*mbuf, {.verify_checksums = scenario_.verify_checksums},
                  &parsed.emplace_back());
    }
    // The burst parser takes shortcuts; the packet parser takes none.
    PacketBurst copy = burst;
    ParseBurst(copy, {.verify_checksums = scenario_.verify_checksums});
    for (uint32_t i = 0; i < burst.count; ++i) {
      if (std::memcmp(&parsed[i], &copy.infos[i], sizeof parsed[i]) != 0) {
        return Failure(absl::StrCat("two parsers differ about\n  ",
                                    ScapyLine(frames[i])));
      }
    }
    const DropCounts before = AllDrops(*simulation_);
    verdicts_.clear();
    passed_.clear();
    Left left;
    step.from_host ? simulation_->DeliverFromHost(port, burst, Taker(left))
                   : simulation_->Deliver(port, burst, Taker(left));
    last_frame_ = frames.back();
    absl::Status status = CheckVerdicts(step, frames);
    if (status.ok()) {
      status = CheckLeft(step, specs, frames, left);
    }
    if (status.ok()) status = CheckDrops(step, before);
    if (!status.ok()) WriteCapture(frames, left);
    return status;
  }

  absl::Status CheckVerdicts(const SendStep& step,
                             const std::vector<Frame>& frames) {
    verdicts_.resize(step.packets.size());
    for (size_t i = 0; i < step.packets.size(); ++i) {
      line_ = step.packets[i].line;
      std::optional<DropReason> expected;
      // What leaves first says what becomes of the packet, unless that is an
      // answer; drops behind it are those of packets that had waited.
      const auto& results = step.packets[i].results;
      const bool passes =
          !results.empty() && !results[0].drop && !results[0].held &&
          Port(results[0].port) !=
              (step.from_host
                   ? kNoPort
                   : simulation_->arrival(static_cast<uint32_t>(i)));
      for (const ExpectedResult& result : results) {
        if (passes) break;
        if (result.drop) expected = result.drop;
        if (result.held) expected = kHeld;
        if (expected == kHeld) break;
      }
      if (verdicts_[i] == expected) continue;
      const auto name = [](std::optional<DropReason> reason) {
        if (reason == kHeld) return std::string("held");
        return reason ? absl::StrCat("dropped: ",
                                     absl::string_view(Name(*reason).data(),
                                                       Name(*reason).size()))
                      : std::string("passed");
      };
      return Failure(absl::StrCat("packet ", name(verdicts_[i]),
                                  " (expected ", name(expected),
                                  ")\n  sent: ", ScapyLine(frames[i])));
    }
    return absl::OkStatus();
  }

  using Left = std::map<uint16_t, std::vector<Frame>>;
  static Simulation::Take Taker(Left& left) {
    return [&left](uint16_t by, rte_mbuf* mbuf) {
      left[by].push_back(BytesOf(mbuf));
      rte_pktmbuf_free(mbuf);
    };
  }

  // A packet whose results are looked at.
  struct Sent {
    const PacketSpec* spec;
    const Frame* frame;
    uint16_t arrival;  // kNoPort: the host sent it, or nobody does now
    bool from_host;
  };

  absl::Status CheckLeft(const SendStep& step,
                         const std::vector<PacketSpec>& specs,
                         const std::vector<Frame>& frames, const Left& left) {
    std::map<uint16_t, size_t> seen;
    for (size_t i = 0; i < step.packets.size(); ++i) {
      line_ = step.packets[i].line;
      const Sent sent = {
          .spec = &specs[i],
          .frame = &frames[i],
          .arrival = step.from_host
                         ? kNoPort
                         : simulation_->arrival(static_cast<uint32_t>(i)),
          .from_host = step.from_host};
      for (const ExpectedResult& result : step.packets[i].results) {
        if (absl::Status s = CheckResult(result, sent, left, seen); !s.ok()) {
          return s;
        }
      }
    }
    return CheckNoOthers(left, seen);
  }

  absl::Status CheckNoOthers(const Left& left,
                             std::map<uint16_t, size_t>& seen) {
    for (const auto& [port, packets] : left) {
      if (seen[port] < packets.size()) {
        return Failure(absl::StrCat(
            "an unexpected packet left by ", NameOf(port), "\n  sent:     ",
            ScapyLine(last_frame_),
            "\n  received: ", ScapyLine(packets[seen[port]])));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckResult(const ExpectedResult& result, const Sent& sent,
                           const Left& left,
                           std::map<uint16_t, size_t>& seen) {
    if (result.drop || result.held) return absl::OkStatus();
    const uint16_t port = Port(result.port);
    const auto found = left.find(port);
    const size_t number = seen[port]++;
    if (found == left.end() || number >= found->second.size()) {
      return Failure(absl::StrCat("no packet left by ", result.port,
                                  "\n  sent: ", ScapyLine(*sent.frame)));
    }
    const Frame& received = found->second[number];
    Frame expected = *sent.frame;
    const bool says_link = result.packet.find("eth") != std::string::npos;
    if (!result.packet.empty()) {
      const auto spec = ParsePacketText(result.packet, sent.spec);
      if (!spec.ok()) return Failure(spec.status().message());
      const auto frame = BuildFrame(*spec, received);
      if (!frame.ok()) return Failure(frame.status().message());
      expected = *frame;
      // A wire leaves the link's addresses as they are, whatever the packet's
      // become.
      if (port != sent.arrival && !says_link &&
          sent.frame->size() >= kMacBytes && expected.size() >= kMacBytes) {
        std::copy_n(sent.frame->begin(), kMacBytes, expected.begin());
      }
    }
    if (!says_link && IsRouted(port)) {
      if (absl::Status s = ExpectLink(port, sent, received, expected);
          !s.ok()) {
        return s;
      }
    } else if (!says_link && sent.from_host && expected.size() >= kMacBytes) {
      // An answer to what the host has sent.
      std::copy_n(sent.frame->begin() + kMacBytes / 2, kMacBytes / 2,
                  expected.begin());
      std::copy_n(sent.frame->begin(), kMacBytes / 2,
                  expected.begin() + kMacBytes / 2);
    }
    if (received != expected) {
      return Failure(Difference(*sent.frame, expected, received));
    }
    return absl::OkStatus();
  }

  // A router's packets come from its port and go to a neighbour of it; answers
  // to whoever is answered; the host's are as the host has sent them.
  absl::Status ExpectLink(uint16_t port, const Sent& sent,
                          const Frame& received, Frame& expected) {
    if (received.size() < kMacBytes || expected.size() < kMacBytes) {
      return absl::OkStatus();
    }
    if (sent.from_host) {
      std::copy_n(sent.frame->begin(), kMacBytes, expected.begin());
      return absl::OkStatus();
    }
    SetMac(expected, kMacBytes / 2, port);
    const auto goes_to = [&](auto mac) {
      return std::equal(received.begin(), received.begin() + kMacBytes / 2,
                        mac);
    };
    bool known = goes_to(sent.frame->begin() + kMacBytes / 2);
    for (size_t i = 0; i < simulation_->routers(); ++i) {
      for (const auto& neighbor :
           simulation_->tables(i).Neighbors(0, 65536)) {
        known |= neighbor.port == port && goes_to(neighbor.mac.begin());
      }
    }
    if (!known) {
      return Failure(absl::StrCat("to nobody who is a neighbour by ",
                                  NameOf(port), ": ", ScapyLine(received)));
    }
    std::copy_n(received.begin(), kMacBytes / 2, expected.begin());
    return absl::OkStatus();
  }

  // What has waited leaves, or is dropped.
  absl::Status CheckResumed(const std::vector<ExpectedResult>& results,
                            const Left& left, DropCounts expected) {
    const PacketSpec nothing{};
    const Sent sent = {.spec = last_ ? &*last_ : &nothing,
                       .frame = &last_frame_,
                       .arrival = kNoPort,
                       .from_host = false};
    std::map<uint16_t, size_t> seen;
    for (const ExpectedResult& result : results) {
      if (result.drop) ++expected[static_cast<size_t>(*result.drop)];
      if (absl::Status s = CheckResult(result, sent, left, seen); !s.ok()) {
        return s;
      }
    }
    if (absl::Status s = CheckNoOthers(left, seen); !s.ok()) return s;
    if (!results.empty() && AllDrops(*simulation_) != expected) {
      return Failure("the drop counters do not tell what was dropped");
    }
    return absl::OkStatus();
  }

  static std::string Difference(const Frame& sent, const Frame& expected,
                                const Frame& received) {
    size_t at = 0;
    while (at < expected.size() && at < received.size() &&
           expected[at] == received[at]) {
      ++at;
    }
    return absl::StrCat("another packet than expected, from byte ", at,
                        " on\n  sent:     ", ScapyLine(sent),
                        "\n  expected: ", ScapyLine(expected),
                        "\n  received: ", ScapyLine(received));
  }

  absl::Status CheckDrops(const SendStep& step, const DropCounts& before) {
    DropCounts expected = before;
    for (const SendStep::Packet& packet : step.packets) {
      for (const ExpectedResult& result : packet.results) {
        if (result.drop) ++expected[static_cast<size_t>(*result.drop)];
      }
    }
    if (AllDrops(*simulation_) != expected) {
      return Failure("the drop counters do not tell what was dropped");
    }
    return absl::OkStatus();
  }

  void WriteCapture(const std::vector<Frame>& sent,
                    const Left& left) {
    if (options_.capture_folder.empty()) return;
    std::string name = scenario_.name;
    std::replace(name.begin(), name.end(), '/', '-');
    const auto write = [&](const std::string& what,
                           const std::vector<Frame>& frames) {
      auto writer = CaptureWriter::Create(absl::StrCat(
          options_.capture_folder, "/", name, "-", what, ".pcap"));
      if (!writer.ok()) return;
      for (const Frame& frame : frames) (*writer)->Write(0, frame);
      if ((*writer)->Finish().ok()) (void)(*writer)->Publish();
    };
    std::error_code error;
    std::filesystem::create_directories(options_.capture_folder, error);
    write("sent", sent);
    for (const auto& [port, frames] : left) {
      write(absl::StrCat("received-", NameOf(port)), frames);
    }
  }

  // --- orders

  absl::Status Do(const WaitStep& step) {
    const DropCounts before = AllDrops(*simulation_);
    Left left;
    simulation_->Advance(step.milliseconds, Taker(left));
    // Whoever says nothing does not care what wires have made of it.
    if (scenario_.routers.empty() && step.results.empty()) {
      return absl::OkStatus();
    }
    return CheckResumed(step.results, left, before);
  }

  absl::Status Do(const RouteStep& step) {
    const DropCounts before = AllDrops(*simulation_);
    const absl::Status applied =
        ApplyRouteWords(scenario_, step.words, *simulation_);
    if (!applied.ok()) return Failure(applied.message());
    Left left;
    simulation_->ResumeRouted(Taker(left));
    return CheckResumed(step.results, left, before);
  }

  absl::Status Do(const CommitStep& step) {
    const uint64_t before = simulation_->store().generation()->number;
    const std::vector<std::string> errors = LoadRules(step.rules);
    if (!step.refused) {
      if (errors.empty()) return absl::OkStatus();
      return Failure(absl::StrCat("the rules were refused:\n  ",
                                  absl::StrJoin(errors, "\n  ")));
    }
    bool as_expected = errors.size() == step.errors.size();
    for (size_t i = 0; as_expected && i < errors.size(); ++i) {
      as_expected = errors[i].starts_with(step.errors[i]);
    }
    if (!as_expected) {
      return Failure(absl::StrCat("other errors than expected:\n  ",
                                  absl::StrJoin(errors, "\n  ")));
    }
    if (simulation_->store().generation()->number != before) {
      return Failure("a refused commit changed the generation");
    }
    return absl::OkStatus();
  }

  // The errors, as "line:column: message"; none: the rules are in force.
  std::vector<std::string> LoadRules(const std::string& text) {
    const HostFacts facts = simulation_->Facts();
    ParseResult parsed = ParsePolicy(
        {.file_name = "rules",
         .text = text,
         .macros = {},
         .load_file = [this](std::string_view path, size_t)
             -> absl::StatusOr<std::string> {
           const auto found = scenario_.files.find(std::string(path));
           if (found == scenario_.files.end()) {
             return absl::NotFoundError("No such file or directory");
           }
           return found->second;
         },
         .dialect = scenario_.freebsd ? Dialect::kFreeBsd : Dialect::kOpenBsd,
         .facts = &facts,
         .no_dns = true,
         .anchor = "",
         .limits = {}});
    std::vector<std::string> errors;
    for (const Diagnostic& diagnostic : parsed.diagnostics) {
      if (diagnostic.severity != Severity::kError) continue;
      errors.push_back(
          absl::StrCat(diagnostic.file == "rules" ? "" : diagnostic.file,
                       diagnostic.file == "rules" ? "" : ":", diagnostic.line,
                       ":", diagnostic.column, ": ", diagnostic.message));
    }
    if (!parsed.ok()) return errors;
    const absl::Status status = simulation_->Load(std::move(parsed.policy));
    if (status.ok()) return errors;
    const std::vector<std::string> lines =
        absl::StrSplit(status.message(), '\n', absl::SkipEmpty());
    // Below each error stand the source line and a caret.
    static const std::regex kPlace("^[^ ]+:[0-9]+:[0-9]+: .*");
    for (std::string line : lines) {
      if (!std::regex_match(line, kPlace)) continue;
      if (line.starts_with("rules:")) line = line.substr(6);
      errors.push_back(std::move(line));
    }
    // What has no place is an error all the same.
    if (errors.empty()) errors = lines;
    return errors;
  }

  absl::Status Do(const TableStep& step) {
    const absl::StatusOr<std::string> result =
        EditTable(*simulation_, step.table, step.verb, step.arguments);
    const std::string text =
        result.ok() ? *result
                    : absl::StrCat("error: ", result.status().message());
    if (OneBlank(text) == OneBlank(step.expected)) return absl::OkStatus();
    return Failure(absl::StrCat("table ", step.table, " ", step.verb, ": `",
                                text, "`, expected `", step.expected, "`"));
  }

  absl::Status Do(const StatesStep& step) {
    const Tick now = simulation_->now();
    StateTable& states = simulation_->states();
    std::vector<std::string> lines;
    uint32_t cursor = 0;
    states.entries().Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
      lines.push_back(StateLine(states, states.Record(index, now), now));
    });
    return Compare("states", step, std::move(lines));
  }

  absl::Status Do(const SourcesStep& step) {
    std::vector<std::string> lines;
    uint32_t cursor = 0;
    simulation_->sources().Visit(
        &cursor, ~uint32_t{0}, simulation_->now(),
        [&](const SourceRecord& node) { lines.push_back(SourceLine(node)); });
    return Compare("sources", step, std::move(lines));
  }

  absl::Status Do(const FlowsStep& step) {
    std::vector<std::string> lines;
    while (const FlowRecord* const record = flows_.Front()) {
      lines.push_back(FlowText(*record));
      flows_.Pop();
    }
    if (flows_.lost() != 0) return Failure("records of flows were lost");
    return Compare("flows", step, std::move(lines));
  }

  absl::Status Do(const KillSourcesStep& step) {
    simulation_->sources().Remove(
        [&](const SourceRecord& node) {
          return !step.from ||
                 step.from->Contains(Address::FromBytes(
                     node.key.family, node.key.address.data()));
        },
        simulation_->now());
    return absl::OkStatus();
  }

  template <typename ListStep>
  absl::Status Compare(absl::string_view what, const ListStep& step,
                       std::vector<std::string> lines) {
    std::sort(lines.begin(), lines.end());
    bool as_expected = lines.size() == step.count;
    if (as_expected && step.lines) {
      std::vector<std::string> expected;
      for (const std::string& line : *step.lines) {
        expected.push_back(OneBlank(line));
      }
      std::sort(expected.begin(), expected.end());
      as_expected = lines == expected;
    }
    if (as_expected) return absl::OkStatus();
    return Failure(absl::StrCat("other ", what, " than expected:\n  ",
                                absl::StrJoin(lines, "\n  ")));
  }

  absl::Status Do(const CountersStep& step) {
    for (const auto& [name, expected] : step.values) {
      const absl::StatusOr<uint64_t> value =
          ReadCounter(*simulation_, step, Port(step.subject), name);
      if (!value.ok()) return Failure(value.status().message());
      if (*value != expected) {
        return Failure(absl::StrCat(step.subject, " ", name, " is ", *value,
                                    ", expected ", expected));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Do(const KillStep& step) {
    StateTable& states = simulation_->states();
    uint32_t cursor = 0;
    states.entries().Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
      const StateRecord record = states.Record(index, simulation_->now());
      if (step.from && !step.from->Contains(record.address[0])) return;
      if (step.to && !step.to->Contains(record.address[1])) return;
      states.Remove(index);
    });
    return absl::OkStatus();
  }

  absl::Status Do(const LinkStep& step) {
    if (Port(step.port) == kNoPort) return Failure("no such port");
    simulation_->SetLink(Port(step.port), step.up);
    return absl::OkStatus();
  }

  absl::Status Do(const MacsStep& step) {
    if (simulation_->segments() == 0) return Failure("there is no segment");
    std::vector<std::string> known;
    for (const MacTable::Entry& entry :
         simulation_->macs(0).Entries(simulation_->now())) {
      known.push_back(absl::StrCat(ToString(entry.mac), " ",
                                   scenario_.ports[entry.port].name,
                                   entry.fixed ? " fixed" : ""));
    }
    std::vector<std::string> expected = step.lines;
    std::sort(known.begin(), known.end());
    std::sort(expected.begin(), expected.end());
    if (known == expected) return absl::OkStatus();
    return Failure(absl::StrCat("other addresses than expected:\n  ",
                                absl::StrJoin(known, "\n  ")));
  }

  absl::Status Do(const FilterStep& step) {
    simulation_->SetEnabled(step.enabled);
    return absl::OkStatus();
  }

  const Scenario& scenario_;
  const RunOptions& options_;
  MbufPool& pool_;
  FlowRing flows_{256};
  std::unique_ptr<Simulation> simulation_;
  int line_ = 1;
  std::optional<PacketSpec> last_;
  Frame last_frame_;
  // Of the packets of the last burst: why each was dropped, if it was.
  std::vector<std::optional<DropReason>> verdicts_;
  std::vector<bool> passed_;
};

}  // namespace

absl::Status RunScenario(const Scenario& scenario, const RunOptions& options,
                         MbufPool& pool) {
  return Run(scenario, options, pool).Execute();
}

}  // namespace sluice
