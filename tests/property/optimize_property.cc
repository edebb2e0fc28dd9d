// Whatever rules there are: what the optimiser makes of them judges every
// packet as the rules themselves do, in both dialects and both families.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pftable/printer.h"
#include "tests/unit/pftable/engine_fixture.h"

namespace sluice {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  std::string Ruleset() {
    std::string text = "set reassemble no\n";
    if (OneIn(4)) text += "set state-policy if-bound\n";
    if (OneIn(4)) text += "set block-policy return\n";
    text += "table <few> { 192.0.2.0/29 ! 192.0.2.2 2001:db8::/64 }\n";
    const uint32_t runs = 1 + Below(6);
    for (uint32_t i = 0; i < runs; ++i) text += Run();
    if (OneIn(3)) {
      text += "anchor \"sub\" " + std::string(OneIn(2) ? "in " : "") + "{\n" +
              Run() + Run() + "}\n";
    }
    return text + (OneIn(2) ? Run() : "");
  }

  TestPacket Packet() {
    const bool v6 = OneIn(2);
    from_ = Host(v6);
    to_ = Host(v6);
    TestPacket p;
    p.from = from_;
    p.to = to_;
    p.proto = Of<uint8_t>({protocol::kTcp, protocol::kTcp, protocol::kUdp,
                           v6 ? protocol::kIcmp6 : protocol::kIcmp, 47});
    p.source_port = Of<uint16_t>({53, 1024, 40000});
    p.destination_port = Of<uint16_t>({22, 53, 80, 443, 8080});
    p.tcp_flags = Of<uint8_t>({kTcpSyn, kTcpSyn, kTcpSyn | kTcpAck, kTcpAck});
    p.icmp_type = Of<uint8_t>({0, 3, 8, 128});
    p.tos = Of<uint8_t>({0, 0x10});
    if (OneIn(12)) p.flags |= kFragment;
    return p;
  }

 private:
  template <typename T>
  T Of(std::initializer_list<T> values) {
    return *(values.begin() + Below(static_cast<uint32_t>(values.size())));
  }
  std::string Host(bool v6) {
    return (v6 ? "2001:db8::" : "192.0.2.") + std::to_string(Below(10));
  }
  std::string Address(bool v6) {
    switch (Below(12)) {
      case 0:
        return v6 ? "2001:db8::/126" : "192.0.2.0/30";
      case 1:
        return v6 ? "2001:db8::/124" : "192.0.2.0/28";
      case 2:
        return "<few>";
      case 3:
        return "! " + Host(v6);
      case 4:
        return v6 ? "2001:db8::1 - 2001:db8::4" : "192.0.2.1 - 192.0.2.4";
      case 5:
      case 6:
        return "any";
      default:
        return Host(v6);
    }
  }
  // Rules that do the same, most of them, so that there is something to merge.
  std::string Run() {
    const std::string action =
        Of<std::string>({"pass", "pass", "block", "block return", "match",
                         "block return-icmp", "block return-rst"});
    std::string head = action;
    if (OneIn(2)) head += " quick";
    const bool tcp = action == "block return-rst";
    std::string tail;
    if (OneIn(4)) tail += Of<std::string>({" tag A", " tag B"});
    const bool pass = action == "pass";
    if (pass && OneIn(4)) tail += " no state";
    if (pass && OneIn(5)) tail += " allow-opts";
    std::string text;
    const bool sweep = OneIn(2);
    const bool v6 = OneIn(2);
    const std::string fixed = Address(v6);
    for (uint32_t i = sweep ? 4 + Below(8) : 1 + Below(6); i > 0; --i) {
      std::string rule = action + (OneIn(40) ? " log" : "");
      rule += Of<std::string>({"", "", " in", " out"});
      if (head != action) rule += " quick";
      if (sweep) {
        rule = head + " in";
        if (tcp) rule += " proto tcp";
        rule += " from " + Host(v6) + " to " + fixed;
        text += rule + tail + "\n";
        continue;
      }
      rule += Of<std::string>({"", "", "", " on em0", " on ! em0", " on em1",
                               " on edge"});
      const bool six = OneIn(2);
      const std::string protocol =
          tcp ? " proto tcp"
              : Of<std::string>({"", "", " proto tcp", " proto udp"});
      rule += protocol + " from " + Address(six) + " to " + Address(six);
      if (!protocol.empty() && OneIn(2)) {
        rule += Of<std::string>({" port 80", " port { 22 443 }", " port 22:80",
                                 " port > 80", " port != 53"});
      }
      if (protocol == " proto tcp" && OneIn(4)) rule += " flags any";
      if (OneIn(8)) rule += " tos 0x10";
      if (OneIn(6)) rule += Of<std::string>({" tagged A", " ! tagged A"});
      if (OneIn(15)) rule += " label x$nr";
      if (pass && tail.find("no state") == tail.npos && OneIn(10)) {
        rule += Of<std::string>({" keep state (max 5)",
                                 " keep state (tcp.first 7)",
                                 " keep state (sloppy)"});
      }
      if (OneIn(20)) rule += " probability 0.000001%";
      text += rule + tail + "\n";
    }
    return text;
  }

  std::minstd_rand random_;
  std::string from_, to_;
};

struct Filter {
  Filter() {
    const std::string groups[] = {"edge"};
    em0 = *interfaces.AddPort("em0", groups);
    em1 = *interfaces.AddPort("em1");
    store = std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 1, .rule_slots = 8192, .table_slots = 512},
        &interfaces, &reclaimer);
  }

  Verdict Judge(const TestPacket& packet, Direction direction, bool first) {
    const PacketInfo info = packet.Info();
    return Evaluate(*store->current(),
                    EvaluationInput{.packet = info,
                                    .direction = direction,
                                    .interface = first ? em0 : em1,
                                    .received_on = em0,
                                    .random = 1},
                    store->worker_counters(0));
  }

  // What a state of the verdict would take from its rule.
  StateOptions Options(const Verdict& verdict) {
    for (const RuleStatus& status : store->ListAllRules()) {
      if (status.rule.slot == verdict.state.rule_slot) {
        return status.rule.rule->state_options;
      }
    }
    return {};
  }

  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  InterfaceView em0, em1;
  std::unique_ptr<PolicyStore> store;
};

ParseResult Parse(const std::string& text, Dialect dialect, bool optimize) {
  ParseInput input;
  input.file_name = "rules";
  input.text = text;
  input.dialect = dialect;
  input.optimize = optimize;
  return ParsePolicy(std::move(input));
}

std::string Describe(const Verdict& v) {
  return std::string(v.action == VerdictAction::kPass ? "pass" : "block") +
         " answer " + std::to_string(static_cast<int>(v.answer)) + " ttl " +
         std::to_string(v.rst_ttl) + " code " + std::to_string(v.icmp_code) +
         (v.quick ? " quick" : "") + (v.keep_state ? " state" : "") +
         (v.allow_options ? " options" : "") + (v.log ? " log" : "") +
         " tag " + std::to_string(v.state.tag) + " flags " +
         std::to_string(v.state.flags);
}

struct Tally {
  size_t before = 0, after = 0, tables = 0, moved = 0;
  size_t passed = 0, blocked = 0;
};

void RunOne(uint32_t seed, Dialect dialect, Tally& tally) {
  Generator generator(seed);
  const std::string text = generator.Ruleset();
  const ParseResult plain = Parse(text, dialect, false);
  const ParseResult optimised = Parse(text, dialect, true);
  ASSERT_EQ(plain.ok(), optimised.ok());
  if (!plain.ok()) return;  // families that exclude each other
  const PrintOptions print = {.dialect = dialect};
  const std::string printed = PrintPolicy(optimised.policy, print);
  const ParseResult again = Parse(printed, dialect, true);
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics) << printed;
  ASSERT_EQ(PrintPolicy(again.policy, print), printed) << text;

  tally.before += plain.policy.main.rules.filter.size();
  tally.after += optimised.policy.main.rules.filter.size();
  tally.tables += optimised.policy.main.tables.size() - 1;
  tally.moved += PrintPolicy(plain.policy, print) != printed;
  Filter one, two;
  ASSERT_TRUE(one.store->Load(plain.policy).ok());
  const absl::Status loaded = two.store->Load(optimised.policy);
  ASSERT_TRUE(loaded.ok()) << loaded << "\n" << printed;
  // Tags have the same number in both.
  for (int i = 0; i < 200; ++i) {
    const TestPacket packet = generator.Packet();
    const auto direction =
        generator.OneIn(2) ? Direction::kIn : Direction::kOut;
    const bool first = generator.OneIn(2);
    const Verdict a = one.Judge(packet, direction, first);
    const Verdict b = two.Judge(packet, direction, first);
    const auto tag = [](Filter& f, const Verdict& v) {
      return v.state.tag == kNoTag
                 ? std::string()
                 : f.store->tags().NameOf(v.state.tag);
    };
    Verdict same = b;
    same.state.tag = a.state.tag;
    ASSERT_EQ(Describe(a), Describe(same))
        << "seed " << seed << ": " << packet.from << " > " << packet.to
        << " proto " << int{packet.proto} << " port "
        << packet.destination_port << "\n" << text << "\n" << printed;
    ASSERT_EQ(tag(one, a), tag(two, b)) << "seed " << seed << "\n" << text;
    ASSERT_EQ(a.rule == nullptr, b.rule == nullptr) << text;
    if (a.keep_state) {
      ASSERT_TRUE(one.Options(a) == two.Options(b)) << text << printed;
    }
    ++(a.action == VerdictAction::kPass ? tally.passed : tally.blocked);
  }
}

class OptimizeProperty : public testing::TestWithParam<Dialect> {};

TEST_P(OptimizeProperty, JudgesAsTheRulesThemselvesDo) {
  Tally tally;
  for (uint32_t seed = 1; seed <= 2500; ++seed) {
    RunOne(seed, GetParam(), tally);
    if (HasFatalFailure()) return;
  }
  // That there was something to do.
  EXPECT_LT(tally.after * 10, tally.before * 9);
  EXPECT_GT(tally.tables, 100u);
  EXPECT_GT(tally.moved, 500u);
  EXPECT_GT(tally.passed, 10000u);
  EXPECT_GT(tally.blocked, 10000u);
}

INSTANTIATE_TEST_SUITE_P(Dialects, OptimizeProperty,
                         testing::Values(Dialect::kOpenBsd,
                                         Dialect::kFreeBsd),
                         [](const auto& info) {
                           return info.param == Dialect::kOpenBsd ? "OpenBsd"
                                                                  : "FreeBsd";
                         });

}  // namespace
}  // namespace sluice
