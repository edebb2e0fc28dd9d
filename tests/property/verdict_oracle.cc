// verdict_oracle: the same command line as sluice-replay, the same verdict
// lines on the standard output, but decided by the plain model. So
//
//   verdict_oracle -f RULES --wire a=b --in a=A.pcap --in b=B.pcap
//
// and `sluice-replay ... -q --verdicts -` have to print the same.
#include <rte_mbuf.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "dataplane/replay/packet_source.h"
#include "dataplane/replay/replay_options.h"
#include "dataplane/replay/verdict_text.h"
#include "packet/parse.h"
#include "pftable/language/parser.h"
#include "tests/property/plain_model.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

absl::StatusOr<Policy> ReadRules(const ReplayOptions& options) {
  std::ifstream file(options.rules_file, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(
        absl::StrCat(options.rules_file, ": ", std::strerror(errno)));
  }
  HostFacts facts;
  for (const ReplayOptions::Wire& wire : options.wires) {
    for (const std::string& name : {wire.outside, wire.inside}) {
      InterfaceFacts interface;
      interface.name = name;
      facts.AddInterface(std::move(interface));
    }
  }
  ParseResult parsed =
      ParsePolicy({.file_name = options.rules_file,
                   .text = {std::istreambuf_iterator<char>(file), {}},
                   .macros = options.macros,
                   .load_file = SystemFileLoader(options.rules_file),
                   .dialect = options.dialect,
                   .facts = &facts,
                   .no_dns = true,
                   .anchor = "",
                   .limits = {},
                   .optimize = options.optimization.has_value(),
                   .optimization = options.optimization});
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(FormatDiagnostics(parsed.diagnostics));
  }
  if (absl::Status s = PlainModel::Supports(parsed.policy); !s.ok()) return s;
  return std::move(parsed.policy);
}

absl::Status AddInputs(const ReplayOptions& options,
                       const std::vector<ModelPort>& ports,
                       PacketSource& source) {
  for (const ReplayOptions::File& input : options.inputs) {
    absl::Status status;
    if (input.port.empty()) {
      status = source.Add(input.path,
                          SidesByAddress{.inside_nets = options.inside_nets,
                                         .inside = 1,
                                         .outside = 0});
    } else {
      uint16_t port = 0;
      while (ports[port].name != input.port) ++port;
      status = source.Add(input.path, port);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Run(const ReplayOptions& options) {
  absl::StatusOr<Policy> policy = ReadRules(options);
  if (!policy.ok()) return policy.status();
  std::vector<ModelPort> ports;
  for (const ReplayOptions::Wire& wire : options.wires) {
    const size_t first = ports.size();
    ports.push_back({.name = wire.outside,
                     .peer = first + 1,
                     .pass_non_ip = !options.block_non_ip});
    ports.push_back({.name = wire.inside,
                     .peer = first,
                     .pass_non_ip = !options.block_non_ip});
  }
  PacketSource source({.strict = options.strict});
  if (absl::Status s = AddInputs(options, ports, source); !s.ok()) return s;
  PlainModel model(*std::move(policy), ports);
  for (uint64_t number = 1;; ++number) {
    SourcedPacket packet;
    const absl::StatusOr<bool> more = source.Next(packet);
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    VerdictLine line{.number = number,
                     .arrival = ports[packet.port].name,
                     .reason = kCutReason};
    if (packet.cut) {
      std::cout << VerdictText(line) << '\n';
      continue;
    }
    PlainMbuf mbuf(packet.frame);
    PacketInfo info;
    ParsePacket(*mbuf, {.verify_checksums = !options.ignore_checksums},
                &info);
    const ModelVerdict verdict =
        model.Judge(packet.port, packet.frame, info, packet.clock);
    line.passed = verdict.passed;
    line.reason = Name(verdict.reason);
    line.rule = verdict.rule;
    line.judged = verdict.judged;
    if (line.judged) {
      line.judged_at = *line.judged == Direction::kIn
                           ? ports[packet.port].name
                           : ports[ports[packet.port].peer].name;
    }
    line.info = &info;
    std::cout << VerdictText(line) << '\n';
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  std::string exit_early;
  const auto options = sluice::ParseReplayArguments(argc, argv, &exit_early);
  absl::Status status = options.status();
  if (options.ok() && exit_early.empty()) status = sluice::Run(*options);
  if (status.ok()) {
    std::cout << exit_early;
    return 0;
  }
  std::cerr << "verdict_oracle: " << status.message() << "\n";
  return 1;
}
