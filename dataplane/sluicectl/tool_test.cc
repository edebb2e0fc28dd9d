// test: whether a ruleset, or the rules of a filter, make of packets what a
// file of expectations says.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/control/api/explain_answer.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/ruleset_file.h"
#include "dataplane/sluicectl/tool.h"
#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "pftable/language/policy_test.h"
#include "pftable/policy/names.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr int kFailed = 1;
constexpr int kBroken = 2;
// Of one expectation, packets that are told of.
constexpr size_t kMostTold = 5;

bool IsPorted(const PacketInfo& packet) {
  return packet.proto == protocol::kTcp || packet.proto == protocol::kUdp ||
         packet.proto == protocol::kSctp;
}

// As rules.explain takes it.
json ToParams(const ExpectedPacket& expected) {
  const PacketInfo& packet = expected.packet;
  json params = {
      {"direction", expected.direction == Direction::kIn ? "in" : "out"},
      {"interface", expected.interface},
      {"protocol", packet.proto},
      {"source", ToString(packet.source_address())},
      {"destination", ToString(packet.destination_address())},
      {"tos", packet.tos},
      {"length", packet.ip_length}};
  if (!expected.received_on.empty()) {
    params["received_on"] = expected.received_on;
  }
  if (!expected.tagged.empty()) params["tag"] = expected.tagged;
  if (packet.has(kIpOptions)) params["ip_options"] = true;
  if (packet.has(kFragment)) {
    params["fragment"] = true;
    return params;
  }
  if (IsPorted(packet)) {
    params["source_port"] = packet.source_port.host();
    params["destination_port"] = packet.destination_port.host();
  }
  if (packet.proto == protocol::kTcp) params["tcp_flags"] = packet.tcp_flags;
  if (packet.proto == protocol::kIcmp || packet.proto == protocol::kIcmp6) {
    params["icmp_type"] = packet.icmp_type;
    params["icmp_code"] = packet.icmp_code;
  }
  return params;
}

std::string EndText(const json& address, const json& port) {
  const std::string host = address.get<std::string>();
  if (port.is_null()) return host;
  const bool v6 = host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]:" : ":",
                      port.get<uint64_t>());
}

std::string PacketText(const json& packet) {
  std::string text = absl::StrCat(
      Text(packet, "direction"), " on ", Text(packet, "interface"), ", ",
      ProtocolName(Number(packet, "protocol")), " ",
      EndText(packet["source"], Member(packet, "source_port")), " > ",
      EndText(packet["destination"], Member(packet, "destination_port")));
  if (Has(packet, "tcp_flags")) {
    absl::StrAppend(
        &text, " ",
        TcpFlagsText(static_cast<uint8_t>(Number(packet, "tcp_flags"))));
  }
  if (Has(packet, "icmp_type")) {
    absl::StrAppend(&text, " type ", Number(packet, "icmp_type"), " code ",
                    Number(packet, "icmp_code"));
  }
  if (Truth(packet, "fragment")) absl::StrAppend(&text, " fragment");
  if (Truth(packet, "ip_options")) absl::StrAppend(&text, " options");
  return text;
}

const json* Decider(const json& answer) {
  for (const json& rule : Member(answer, "rules")) {
    if (Truth(rule, "decides")) return &rule;
  }
  return nullptr;
}

std::string RuleText(const json& rule) {
  return absl::StrCat(Text(rule, "anchor"), "@", Number(rule, "number"));
}

// A translated end is what it has to be. "": it is.
std::string WrongEnd(const json& answer, const char* what, const Address& want,
                     std::optional<uint16_t> port, const char* address_name,
                     const char* port_name) {
  const json& translated = Member(answer, "translated");
  const std::string wanted = ToString(want);
  if (translated.is_null()) {
    return absl::StrCat("it is not translated, and not ", what, " ", wanted);
  }
  const std::string got = Text(translated, address_name);
  if (Truth(translated, "guessed_address")) {
    return absl::StrCat("which address of its pool it gets is not known; ",
                        what, " ", wanted, " wants one");
  }
  if (got != wanted) {
    return absl::StrCat("it is translated to ", got, ", and not ", what, " ",
                        wanted);
  }
  if (!port) return "";
  if (std::string_view(port_name) == "source_port" &&
      Truth(translated, "guessed_port")) {
    return absl::StrCat("which port it gets is not known; ", what, " ", wanted,
                        " wants port ", *port);
  }
  if (Number(translated, port_name) != *port) {
    return absl::StrCat("it is translated to port ",
                        Number(translated, port_name), ", and not ", *port);
  }
  return "";
}

// Why the answer is not the one that is expected; empty: it is.
std::string WhatIsWrong(const Expectation& e, const json& answer) {
  const bool passes = Truth(answer, "passes");
  const std::string reason = Text(answer, "reason");
  if (e.passes != passes) {
    return passes ? "it passes" : absl::StrCat("it is dropped, ", reason);
  }
  if (e.reason && *e.reason != reason) {
    return absl::StrCat("the reason is ", reason, ", not ", *e.reason);
  }
  const json* const rule = Decider(answer);
  if (rule == nullptr && (e.rule || e.anchor || e.label)) {
    return Truth(answer, "skipped")
               ? "nothing is judged there (set skip)"
               : "no rule decides";
  }
  if (e.rule && Number(*rule, "number") != *e.rule) {
    return absl::StrCat("rule ", RuleText(*rule), " decides, not ", *e.rule);
  }
  if (e.anchor && Text(*rule, "anchor") != *e.anchor) {
    return absl::StrCat("rule ", RuleText(*rule),
                        " decides, which is not in anchor \"", *e.anchor,
                        "\"");
  }
  if (e.label) {
    const json& labels = Member(*rule, "labels");
    if (std::find(labels.begin(), labels.end(), json(*e.label)) ==
        labels.end()) {
      return absl::StrCat("rule ", RuleText(*rule),
                          " decides, which has no label \"", *e.label, "\"");
    }
  }
  if (e.tag && Text(answer, "tag") != *e.tag) {
    const std::string tag = Text(answer, "tag");
    return tag.empty() ? absl::StrCat("it has no tag, not ", *e.tag)
                       : absl::StrCat("its tag is ", tag, ", not ", *e.tag);
  }
  if (e.keeps_state && Truth(answer, "keeps_state") != *e.keeps_state) {
    return *e.keeps_state ? "it makes no state" : "it makes a state";
  }
  if (e.nat_to) {
    std::string wrong = WrongEnd(answer, "nat-to", *e.nat_to, e.nat_port,
                                 "source", "source_port");
    if (!wrong.empty()) return wrong;
  }
  if (e.rdr_to) {
    return WrongEnd(answer, "rdr-to", *e.rdr_to, e.rdr_port, "destination",
                    "destination_port");
  }
  return "";
}

bool AnyErrors(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) {
                       return d.severity == Severity::kError;
                     });
}

// A ruleset that no daemon has.
class TestedRuleset {
 public:
  // What is known of this machine, and what the expectations name.
  absl::Status AddInterfaces(const HostFacts& facts, const PolicyTest& test) {
    for (const InterfaceFacts& known : facts.interfaces()) {
      std::vector<InterfaceRegistry::PortAddress> addresses;
      for (const InterfaceAddress& address : known.addresses) {
        addresses.push_back(
            {{.address = address.address, .length = address.prefix}});
      }
      const auto added =
          interfaces_.AddPort(known.name, known.groups, addresses);
      if (!added.ok()) return added.status();
    }
    for (const Expectation& e : test.expectations) {
      std::vector<std::string> names = e.interfaces;
      if (!e.received_on.empty()) names.push_back(e.received_on);
      for (const std::string& name : names) {
        if (interfaces_.Resolve(name).id != 0) continue;
        if (facts.names_all_interfaces()) {
          return absl::NotFoundError(absl::StrCat(
              e.file, ":", e.place.line, ": there is no interface \"", name,
              "\" in the facts"));
        }
        const auto added = interfaces_.AddPort(name);
        if (!added.ok()) return added.status();
        unknown_.push_back(name);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Load(Policy policy) { return store_.Load(std::move(policy)); }

  absl::Status Ask(const HostFacts& facts, const ExpectedPacket& packet,
                   json* answer) const {
    ExplainResult result;
    const absl::Status status = AnswerExplain(
        *store_.generation(), interfaces_, store_.tags(), facts,
        {.direction = packet.direction,
         .interface = packet.interface,
         .received_on = packet.received_on,
         .packet = packet.packet,
         .tag = packet.tagged},
        /*now=*/0, /*routes=*/nullptr, &result);
    if (status.ok()) *answer = ToJson(result);
    return status;
  }

  // Interfaces that only the expectations know.
  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
  PolicyStore store_{{.classifier = false}, &interfaces_, &reclaimer_};
  std::vector<std::string> unknown_;
};

}  // namespace

bool Tool::Untestable(const std::string& message,
                      const std::vector<Diagnostic>& diagnostics) {
  output_.Complain(FormatDiagnostics(diagnostics));
  Fail(message);
  if (output_.json()) {
    json listed = json::array();
    for (const Diagnostic& d : diagnostics) listed.push_back(ToJson(d));
    output_.Put("error", {{"code", static_cast<int>(RpcError::kRuleset)},
                          {"message", message},
                          {"data", std::move(listed)}});
  }
  status_ = kBroken;
  return true;  // with that status
}

bool Tool::TestPolicy() {
  const Command& c = *arguments_.command;
  absl::StatusOr<HostFacts> facts = ReadFacts(arguments_);
  if (!facts.ok()) {
    return Untestable(std::string(facts.status().message()));
  }
  facts->KeepResolved();
  absl::StatusOr<PolicyTest> test =
      ReadPolicyTest(c.name, arguments_, *facts, in_);
  if (!test.ok()) return Untestable(std::string(test.status().message()));
  if (!test->ok()) {
    return Untestable(absl::StrCat(c.name, ": nothing was tested"),
                      test->diagnostics);
  }
  output_.Complain(FormatDiagnostics(test->diagnostics));
  if (test->expectations.empty()) {
    return Untestable(absl::StrCat(c.name, ": there is no expectation in it"));
  }
  std::unique_ptr<TestedRuleset> tested;
  if (arguments_.file) {
    absl::StatusOr<RulesetFile> ruleset =
        ReadRuleset(*arguments_.file, arguments_, *facts, in_);
    if (!ruleset.ok()) {
      return Untestable(std::string(ruleset.status().message()));
    }
    std::vector<Diagnostic> diagnostics =
        std::move(ruleset->parsed.diagnostics);
    if (!AnyErrors(diagnostics)) {
      for (Diagnostic& d :
           CheckEnforced(&ruleset->parsed.policy, arguments_.without,
                         kEngineCapabilities)) {
        diagnostics.push_back(std::move(d));
      }
    }
    const std::string broken =
        absl::StrCat(ruleset->name, ": the ruleset has errors, nothing was "
                                    "tested");
    if (AnyErrors(diagnostics)) return Untestable(broken, diagnostics);
    output_.Complain(FormatDiagnostics(diagnostics));
    tested = std::make_unique<TestedRuleset>();
    absl::Status status = tested->AddInterfaces(*facts, *test);
    if (status.ok()) status = tested->Load(std::move(ruleset->parsed.policy));
    if (!status.ok()) return Untestable(std::string(status.message()));
    for (const std::string& name : tested->unknown()) {
      output_.Complain(absl::StrCat(
          "sluicectl: no interface ", name,
          " is known here: it is taken for one without groups and addresses "
          "(--facts)\n"));
    }
  }

  json results = json::array();
  uint64_t held = 0, packets = 0;
  std::string text;
  for (const Expectation& e : test->expectations) {
    json failures = json::array();
    uint64_t wrong_packets = 0;
    bool broken = false;
    std::string told;
    e.ForEachPacket([&](const ExpectedPacket& packet) {
      json answer;
      json params = ToParams(packet);
      if (tested != nullptr) {
        const absl::Status status = tested->Ask(*facts, packet, &answer);
        broken = !status.ok();
        if (broken) Untestable(std::string(status.message()));
      } else {
        json asked = params;
        if (!c.trace_filter.empty()) asked["filter"] = c.trace_filter;
        const auto result = Ask("rules.explain", std::move(asked));
        broken = result == nullptr;
        if (!broken) answer = std::move(*result);
      }
      if (broken) return false;
      ++packets;
      const std::string wrong = WhatIsWrong(e, answer);
      if (wrong.empty()) return true;
      if (++wrong_packets > kMostTold) return true;
      params["wrong"] = wrong;
      absl::StrAppend(&told, "  ", PacketText(params), ": ", wrong, "\n");
      if (const json* const rule = Decider(answer)) {
        absl::StrAppend(&told, "    ", RuleText(*rule), " ",
                        Text(*rule, "text"), "\n");
      }
      params["answer"] = std::move(answer);
      failures.push_back(std::move(params));
      return true;
    });
    if (broken) {
      status_ = kBroken;
      return true;
    }
    const bool holds = wrong_packets == 0;
    held += holds ? 1 : 0;
    if (!holds) {
      absl::StrAppend(&text,
                      FormatDiagnostic({.file = e.file,
                                        .line = e.place.line,
                                        .column = e.place.column,
                                        .message = absl::StrCat(
                                            "this does not hold for ",
                                            wrong_packets, " of ", e.packets,
                                            e.packets == 1 ? " packet"
                                                           : " packets"),
                                        .source_line = e.text,
                                        .hint = {}}),
                      told);
      if (wrong_packets > kMostTold) {
        absl::StrAppend(&text, "  and ", wrong_packets - kMostTold, " more\n");
      }
    } else if (arguments_.verbose > 0) {
      absl::StrAppend(&text, e.file, ":", e.place.line, ": holds, ", e.packets,
                      e.packets == 1 ? " packet" : " packets", "\n");
    }
    results.push_back({{"file", e.file},
                       {"line", e.place.line},
                       {"column", e.place.column},
                       {"text", e.text},
                       {"held", holds},
                       {"packets", e.packets},
                       {"wrong_packets", wrong_packets},
                       {"failures", std::move(failures)}});
  }
  const uint64_t failed = test->expectations.size() - held;
  output_.Print(text);
  if (!arguments_.quiet) {
    output_.Print(absl::StrCat(held, held == 1 ? " expectation" :
                               " expectations", " held, ", failed,
                               " failed (", packets,
                               packets == 1 ? " packet)\n" : " packets)\n"));
  }
  output_.Put("test", {{"held", held},
                       {"failed", failed},
                       {"packets", packets},
                       {"results", std::move(results)}});
  if (failed > 0) status_ = kFailed;
  return true;
}

}  // namespace sluice
