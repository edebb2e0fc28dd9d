#include "dataplane/filters/policy_source.h"

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "dataplane/ports/port_config.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

Diagnostic Error(std::string file, uint32_t line, uint32_t column,
                 std::string message) {
  Diagnostic diagnostic;
  diagnostic.file = std::move(file);
  diagnostic.line = line;
  diagnostic.column = column;
  diagnostic.message = std::move(message);
  return diagnostic;
}

TEST(DiagnosticsOfTest, ReadsBackWhatACompilerFormats) {
  std::vector<Diagnostic> errors = {
      Error("pf.conf", 3, 5, "parsed, not enforced yet: nat-to"),
      Error("a:b/more.conf", 12, 1, "anchor loop"),
      Error("pf.conf", 20, 7, "too many rules")};
  errors[0].source_line = "pass out nat-to 192.0.2.1";
  errors[0].hint = "translation is another machine's work";
  errors[1].source_line = "\tanchor ^";
  const absl::Status status =
      absl::InvalidArgumentError(FormatDiagnostics(errors));
  EXPECT_EQ(DiagnosticsOf(status, "stdin"), errors);
}

TEST(DiagnosticsOfTest, WhatHasNoPlaceIsOfTheFile) {
  const std::vector<Diagnostic> read = DiagnosticsOf(
      absl::ResourceExhaustedError("no rule slots are left\nnor tables"),
      "pf.conf");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0], Error("pf.conf", 0, 0, "no rule slots are left"));
  EXPECT_EQ(read[1], Error("pf.conf", 0, 0, "nor tables"));
}

// A load's rules are optimised, as the text or the request says.
TEST(ParseRequest, OptimisesTheRules) {
  const HostFacts facts;
  LoadRequest request;
  request.name = "pf.conf";
  request.text =
      "block from { 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 "
      "192.0.2.6 }\nblock to 2001:db8::1\nblock to 2001:db8::1\n";
  const auto rules = [&] {
    const ParseResult result =
        ParseRequest(request, Dialect::kOpenBsd, facts);
    EXPECT_TRUE(result.ok());
    return result.policy.main.rules.filter.size();
  };
  EXPECT_EQ(rules(), 2u);
  request.optimization = RulesetOptimization::kNone;
  EXPECT_EQ(rules(), 8u);
  request.text = "set ruleset-optimization none\n" + request.text;
  request.optimization.reset();
  EXPECT_EQ(rules(), 8u);
  request.optimization = RulesetOptimization::kBasic;
  EXPECT_EQ(rules(), 2u);
}

TEST(ParseRequest, KeepsOptionsThatTheTextDoesNotSet) {
  const HostFacts facts;
  LoadRequest request;
  request.name = "pf.conf";
  request.text =
      "set block-policy return\nset timeout tcp.first 7\n"
      "set limit states 500\n";
  const ParseResult first = ParseRequest(request, Dialect::kFreeBsd, facts);
  request.text = "set limit states 900\nset timeout udp.first 3\nblock\n";
  const ParseResult second = ParseRequest(request, Dialect::kFreeBsd, facts,
                                          nullptr, &first.policy.options);
  ASSERT_TRUE(first.ok() && second.ok());
  const Options& options = second.policy.options;
  EXPECT_EQ(options.block_policy, BlockReturn::kReturn);
  EXPECT_EQ(second.policy.main.rules.filter[0].block_return,
            BlockReturn::kReturn);
  EXPECT_EQ(options.timeout(Timeout::kTcpFirst), 7u);
  EXPECT_EQ(options.timeout(Timeout::kUdpFirst), 3u);
  EXPECT_EQ(options.limit(Limit::kStates), 900u);
  // And without them.
  const ParseResult bare = ParseRequest(request, Dialect::kFreeBsd, facts);
  EXPECT_EQ(bare.policy.options.block_policy, BlockReturn::kDrop);
  EXPECT_EQ(bare.policy.options.timeout(Timeout::kTcpFirst), 120u);
}

TEST(ProfileOf, CountsThePacketsOfTheRulesInForce) {
  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  ASSERT_TRUE(interfaces.AddPort("em0").ok());
  PolicyStore store({.workers = 1}, &interfaces, &reclaimer);
  const HostFacts facts;
  LoadRequest request;
  request.name = "pf.conf";
  request.text =
      "block in quick proto tcp to port 1\n"
      "block in quick proto tcp to port 2\n";
  request.optimization = RulesetOptimization::kProfile;
  const auto load = [&] {
    ParseResult result = ParseRequest(request, Dialect::kOpenBsd, facts,
                                      ProfileOf(store));
    EXPECT_TRUE(store.Load(std::move(result.policy)).ok());
    const RuleStatus first = PolicyListing(store).Rules("")->at(0);
    return first.rule.rule->destination.port.low;
  };
  EXPECT_EQ(load(), 1);
  PacketInfo packet{};
  packet.kind = Kind::kIp;
  packet.family = Family::kIpv4;
  packet.proto = protocol::kTcp;
  packet.destination_port = Be16(2);
  const Verdict verdict =
      Evaluate(*store.current(),
               {.packet = packet,
                .direction = Direction::kIn,
                .interface = {},
                .received_on = {}},
               store.worker_counters(0));
  CountPacket(*store.current(), verdict, Direction::kIn, packet, false,
              store.worker_counters(0));
  EXPECT_EQ(load(), 2);
}

TEST(PolicySource, FactsAreThePortsAndTheNamesOfTheSystem) {
  PortConfig port;
  port.name = "outside";
  port.groups = {"egress"};
  port.addresses = {*ParsePrefix("192.0.2.1/24"),
                    *ParsePrefix("2001:db8::1/64")};
  const HostFacts facts = FactsOf({&port, 1});
  ASSERT_EQ(facts.interfaces().size(), 1u);
  EXPECT_EQ(facts.interfaces()[0].addresses[0].broadcast,
            ParseAddress("192.0.2.255"));
  EXPECT_EQ(facts.interfaces()[0].addresses[1].prefix, 64);
  EXPECT_TRUE(facts.names_all_interfaces());
  EXPECT_EQ(facts.User("root"), 0u);
  EXPECT_EQ(facts.Service("https"), 443);
  // No resolver is asked.
  EXPECT_TRUE(facts.Host("localhost", /*ask=*/true).empty());
  EXPECT_FALSE(FactsOf({}).names_all_interfaces());

  LoadRequest request;
  request.name = "pf.conf";
  request.text = "pass on outsid proto tcp user root\n";
  const ParseResult result = ParseRequest(request, Dialect::kOpenBsd, facts);
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics[0].hint, "did you mean 'outside'?");
}

}  // namespace
}  // namespace sluice
