// A filter with rules in pf's language and packets to judge, for tests of the
// policy engine.
#ifndef SLUICE_TESTS_UNIT_PFTABLE_ENGINE_ENGINE_FIXTURE_H_
#define SLUICE_TESTS_UNIT_PFTABLE_ENGINE_ENGINE_FIXTURE_H_

#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "packet/packet.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/policy_store.h"

namespace sluice {

inline Policy Parsed(std::string text, Dialect dialect = Dialect::kOpenBsd) {
  ParseInput input;
  input.file_name = "pf.conf";
  input.text = std::move(text);
  input.dialect = dialect;
  ParseResult result = ParsePolicy(std::move(input));
  EXPECT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  return std::move(result.policy);
}

// A packet with the fields that rules look at.
struct TestPacket {
  std::string_view from = "192.0.2.1";
  std::string_view to = "198.51.100.2";
  uint8_t proto = protocol::kTcp;
  uint16_t source_port = 40000;
  uint16_t destination_port = 80;
  uint8_t tcp_flags = kTcpSyn;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  uint8_t tos = 0;
  uint16_t ip_length = 60;
  uint16_t flags = 0;

  PacketInfo Info() const {
    PacketInfo info{};
    const Address source = *ParseAddress(from);
    const Address destination = *ParseAddress(to);
    info.kind = Kind::kIp;
    info.family = source.family;
    info.source = source.bytes;
    info.destination = destination.bytes;
    info.proto = proto;
    info.ip_length = ip_length;
    info.flags = flags;
    info.tos = tos;
    info.ttl = 64;
    if ((flags & kFragment) != 0) return info;
    if (proto == protocol::kIcmp || proto == protocol::kIcmp6) {
      info.icmp_type = icmp_type;
      info.icmp_code = icmp_code;
    } else {
      info.source_port = Be16(source_port);
      info.destination_port = Be16(destination_port);
      if (proto == protocol::kTcp) info.tcp_flags = tcp_flags;
    }
    return info;
  }
};

inline TestPacket Tcp() { return TestPacket(); }
inline TestPacket Udp() { return {.proto = protocol::kUdp}; }
inline TestPacket Icmp(uint8_t type, uint8_t code = 0) {
  return {.proto = protocol::kIcmp, .icmp_type = type, .icmp_code = code};
}
inline TestPacket Tcp6() {
  return {.from = "2001:db8::1", .to = "2001:db8:1::2"};
}

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    const std::string groups[] = {"edge"};
    outside_ = *interfaces_.AddPort("outside", groups);
    inside_ = *interfaces_.AddPort("inside");
    store_ = std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 1, .rule_slots = 4096,
                          .table_slots = 256},
        &interfaces_, &reclaimer_);
  }

  absl::Status Load(std::string text, Dialect dialect = Dialect::kOpenBsd) {
    return store_->Load(Parsed(std::move(text), dialect));
  }

  // With a limit of which the text says nothing: a load holds a policy to it
  // whatever it is made of.
  absl::Status LoadWithLimit(Limit limit, uint32_t value, std::string text) {
    Policy policy = Parsed(std::move(text));
    policy.options.limits[static_cast<size_t>(limit)] = value;
    return store_->Load(std::move(policy));
  }

  // In at outside unless told.
  Verdict Judge(const TestPacket& packet,
                Direction direction = Direction::kIn, uint16_t tag = kNoTag) {
    return JudgeAt(packet, direction,
                   direction == Direction::kIn ? outside_ : inside_, outside_,
                   tag);
  }
  Verdict JudgeAt(const TestPacket& packet, Direction direction,
                  InterfaceView interface, InterfaceView received_on,
                  uint16_t tag = kNoTag, uint64_t random = 0) {
    const PacketInfo info = packet.Info();
    return Evaluate(*store_->current(),
                    EvaluationInput{.packet = info,
                                    .direction = direction,
                                    .interface = interface,
                                    .received_on = received_on,
                                    .tag = tag,
                                    .now = 0,
                                    .random = random},
                    counters());
  }
  bool Passes(const TestPacket& packet,
              Direction direction = Direction::kIn) {
    return Judge(packet, direction).action == VerdictAction::kPass;
  }
  // The number of the winning rule in its ruleset, -1 for the default.
  int Winner(const TestPacket& packet, Direction direction = Direction::kIn) {
    const Verdict verdict = Judge(packet, direction);
    return verdict.rule == nullptr ? -1
                                   : static_cast<int>(verdict.rule->number);
  }

  WorkerCounters& counters() { return store_->worker_counters(0); }
  // Of the n-th rule of the main ruleset.
  RuleCounts Counts(size_t n) {
    return PolicyListing(*store_).Rules("")->at(n).counts;
  }

  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
  InterfaceView outside_;
  InterfaceView inside_;
  std::unique_ptr<PolicyStore> store_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_PFTABLE_ENGINE_ENGINE_FIXTURE_H_
