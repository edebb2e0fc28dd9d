// Whatever rules there are: what the optimiser makes of them at each level
// judges every packet as the rules themselves do, in both dialects and both
// families. The plain model says what that is, beside the engine.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"
#include "tests/property/plain_model.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  std::string Ruleset() {
    // What the plain model does not know is left out of every other ruleset.
    modelled_ = OneIn(2);
    std::string text = "set reassemble no\n";
    if (OneIn(4)) text += "set state-policy if-bound\n";
    if (OneIn(4)) text += "set block-policy return\n";
    text += "table <few> { 192.0.2.0/29 ! 192.0.2.2 2001:db8::/64 }\n";
    const uint32_t runs = 1 + Below(6);
    for (uint32_t i = 0; i < runs; ++i) text += Run();
    if (OneIn(3)) {
      text += "anchor \"sub\" " + Of<std::string>({"", "in ", "quick "}) +
              "{\n" + Run() + (OneIn(3) ? "anchor {\n" + Run() + "}\n" : "") +
              Run() + "}\n";
      // Twice is not once, where it tags.
      for (uint32_t i = Below(4); i > 1; --i) {
        text += "anchor \"sub\"" + Of<std::string>({"", "", " in"}) + "\n";
      }
    }
    return text + (OneIn(2) ? Run() : "");
  }

  // Whether the plain model knows all of the last ruleset.
  bool modelled() const { return modelled_; }

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
    p.ip_length = Of<uint16_t>({40, 60});
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
    switch (Below(14)) {
      case 0:
        return v6 ? "2001:db8::/126" : "192.0.2.0/30";
      case 1:
        return v6 ? "2001:db8::/124" : "192.0.2.0/28";
      case 2:
        return "<few>";
      case 3:
        return "! " + Host(v6);
      case 12:
        return "! <few>";
      case 4:
        return (v6 ? "2001:db8::1 - 2001:db8::" : "192.0.2.1 - 192.0.2.") +
               Of<std::string>({"4", "6"});
      case 5:
      case 6:
        return "any";
      default:
        return Host(v6);
    }
  }
  // One of a few networks that are inside of one another.
  std::string Network(bool v6) {
    return (v6 ? "2001:db8::" : "192.0.2.") + Of<std::string>({"0", "0", "8"}) +
           "/" + std::to_string((v6 ? 128 : 32) - Below(5));
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
    if (OneIn(8)) {
      tail += Of<std::string>({" received-on em0", " received-on em1"});
    }
    std::string text;
    const bool sweep = OneIn(2);
    const bool v6 = OneIn(2);
    const std::string fixed = Address(v6);
    const bool negates = OneIn(3) && fixed[0] != '!' && fixed != "any";
    const bool both_ways = OneIn(3);
    const bool nested = !sweep && OneIn(3);
    const bool flags = tcp || OneIn(2);
    for (uint32_t i = sweep ? 4 + Below(8) : 1 + Below(6); i > 0; --i) {
      if (nested) {
        text += action + Of<std::string>({"", "", " in"}) +
                (head == action ? "" : " quick") + (flags ? " proto tcp" : "") +
                " from " + Network(v6) + " to " +
                (OneIn(2) ? Network(v6) : "any") +
                (flags ? Of<std::string>({"", " flags any", " flags S/SA",
                                          " flags A/A"})
                       : "") +
                Of<std::string>({"", "", " tagged A", " tagged B",
                                 " ! tagged A"}) +
                tail + "\n";
        continue;
      }
      std::string rule =
          action + Of<std::string>({"", "", " in", " out"}) +
          (OneIn(40) ? " log" : "");
      if (head != action) rule += " quick";
      if (sweep) {
        rule = action + (both_ways && OneIn(2) ? " out" : " in") +
               (head == action ? "" : " quick");
        if (tcp) rule += " proto tcp";
        rule += " from " + Host(v6) + " to " +
                (negates && OneIn(2) ? "! " : "") + fixed;
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
      if (OneIn(6)) rule += Of<std::string>({" tagged A", " tagged B",
                                           " ! tagged A"});
      if (OneIn(15)) rule += Of<std::string>({" label x$nr", " label web"});
      if (pass && tail.find("no state") == tail.npos && OneIn(10)) {
        rule += Of<std::string>({modelled_ ? "" : " keep state (max 5)",
                                 " keep state (tcp.first 7)",
                                 " keep state (sloppy)"});
      }
      if (!modelled_ && OneIn(20)) rule += " probability 0.000001%";
      text += rule + tail + "\n";
    }
    return text;
  }

  std::minstd_rand random_;
  bool modelled_ = false;
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

  // `first`: on em0, else em1; `came_first`: it had come by em0.
  Verdict Judge(const TestPacket& packet, Direction direction, bool first,
                bool came_first) {
    const PacketInfo info = packet.Info();
    return Evaluate(*store->current(),
                    EvaluationInput{.packet = info,
                                    .direction = direction,
                                    .interface = first ? em0 : em1,
                                    .received_on = came_first ? em0 : em1,
                                    .random = 1},
                    store->worker_counters(0));
  }

  // The rule as it was loaded; null for the default rule.
  const Rule* RuleOf(const Verdict& verdict) {
    if (verdict.rule == nullptr) return nullptr;
    if (by_slot_.empty()) {
      for (const RuleStatus& status : PolicyListing(*store).AllRules()) {
        by_slot_[status.rule.slot] = status.rule.rule;
      }
    }
    return by_slot_.at(verdict.rule->slot);
  }

  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  InterfaceView em0, em1;
  std::unique_ptr<PolicyStore> store;

 private:
  std::map<uint32_t, const Rule*> by_slot_;
};

// How rules are optimised: by `set ruleset-optimization` or by -o.
struct Level {
  RulesetOptimization level = RulesetOptimization::kNone;
  bool by_option = true;
};

ParseResult Parse(const std::string& text, Dialect dialect,
                  const std::optional<Level>& level, uint32_t seed = 0) {
  ParseInput input;
  input.file_name = "rules";
  input.text = text;
  input.dialect = dialect;
  input.optimize = level.has_value();
  // -o wins over the text, which says what is not wanted.
  if (level && level->by_option) input.optimization = level->level;
  if (level) {
    // Some traffic that has been: the same for one rule each time.
    input.profile = [seed](const Rule& rule, std::string_view path) {
      const std::string text = RuleIdentity(rule, path);
      return std::hash<std::string>()(text + std::to_string(seed)) % 7;
    };
  }
  return ParsePolicy(std::move(input));
}

std::string WithOption(const std::string& text, const Level& level) {
  RulesetOptimization said = level.level;
  if (level.by_option) {
    said = said == RulesetOptimization::kNone ? RulesetOptimization::kProfile
                                              : RulesetOptimization::kNone;
  }
  return "set ruleset-optimization " + std::string(Name(said)) + "\n" + text;
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

// What a rule does to a packet that it decides on. Numbers in labels are the
// rules' own, which the optimiser changes.
std::string Effects(const Rule* rule) {
  if (rule == nullptr) return "default";
  Rule r;
  r.action = rule->action;
  r.block_return = rule->block_return;
  r.return_rst_ttl = rule->return_rst_ttl;
  r.return_icmp_code = rule->return_icmp_code;
  r.return_icmp6_code = rule->return_icmp6_code;
  r.log = rule->log;
  r.quick = rule->quick;
  r.allow_opts = rule->allow_opts;
  r.state = rule->state;
  r.state_options = rule->state_options;
  for (const std::string& label : rule->labels) {
    r.labels.push_back(label[0] == 'x' ? "x" : label);
  }
  return PrintRule(r, {});
}

struct Tally {
  size_t before = 0, after = 0, tables = 0, moved = 0;
  size_t passed = 0, blocked = 0, tagged = 0, labelled = 0, modelled = 0;
};

// A packet and how it comes.
struct Arrival {
  std::string from, to;  // TestPacket points into them
  TestPacket packet;
  Direction direction = Direction::kIn;
  bool first = true;       // judged on em0, else on em1
  bool came_first = true;  // came by em0

  std::string Describe() const {
    return from + " > " + to + " proto " + std::to_string(packet.proto) +
           " port " + std::to_string(packet.destination_port) +
           (direction == Direction::kIn ? " in" : " out") +
           (first ? " on em0" : " on em1") +
           (came_first ? " from em0" : " from em1");
  }
};

void Compare(Filter& one, Filter& two, const PlainModel* model_one,
             const PlainModel* model_two, const Arrival& arrival,
             Tally& tally) {
  TestPacket packet = arrival.packet;
  packet.from = arrival.from;
  packet.to = arrival.to;
  const Verdict a = one.Judge(packet, arrival.direction, arrival.first,
                              arrival.came_first);
  const Verdict b = two.Judge(packet, arrival.direction, arrival.first,
                              arrival.came_first);
  const auto tag = [](Filter& f, const Verdict& v) {
    return v.state.tag == kNoTag
               ? std::string()
               : std::string(f.store->tags().NameOf(v.state.tag));
  };
  // Tags are numbers of the filter's own.
  Verdict same = b;
  same.state.tag = a.state.tag;
  ASSERT_EQ(Describe(a), Describe(same));
  ASSERT_EQ(tag(one, a), tag(two, b));
  const std::string effects = Effects(one.RuleOf(a));
  ASSERT_EQ(effects, Effects(two.RuleOf(b)));
  ++(a.action == VerdictAction::kPass ? tally.passed : tally.blocked);
  tally.tagged += a.state.tag != kNoTag;
  tally.labelled += effects.find("label") != effects.npos;
  if (model_one == nullptr) return;
  const PacketInfo info = packet.Info();
  for (const PlainModel* model : {model_one, model_two}) {
    const PlainModel::Decision decision =
        model->Decide(arrival.first ? 0 : 1, arrival.came_first ? 0 : 1,
                      arrival.direction, info);
    ASSERT_EQ(Effects(decision.rule), effects) << (model == model_two);
    ASSERT_EQ(decision.tag, tag(one, a)) << (model == model_two);
  }
  ++tally.modelled;
}

void RunOne(uint32_t seed, Dialect dialect, Level level, Tally& tally) {
  Generator generator(seed);
  const std::string text = WithOption(generator.Ruleset(), level);
  const ParseResult plain = Parse(text, dialect, std::nullopt);
  const ParseResult optimised = Parse(text, dialect, level, seed);
  ASSERT_TRUE(plain.ok()) << FormatDiagnostics(plain.diagnostics) << text;
  ASSERT_TRUE(optimised.ok()) << FormatDiagnostics(optimised.diagnostics);
  const PrintOptions print = {.dialect = dialect};
  const std::string printed = PrintPolicy(optimised.policy, print);
  SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text + "--- becomes\n" +
               printed);
  // Once more changes nothing. How rules are optimised is not printed.
  const ParseResult again =
      Parse(printed, dialect, Level{.level = level.level}, seed);
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  ASSERT_EQ(PrintPolicy(again.policy, print), printed);

  const bool moved = PrintPolicy(plain.policy, print) != printed;
  ASSERT_FALSE(moved && level.level == RulesetOptimization::kNone);
  tally.moved += moved;
  tally.before += plain.policy.main.rules.filter.size();
  tally.after += optimised.policy.main.rules.filter.size();
  tally.tables += optimised.policy.main.tables.size() - 1;
  Filter one, two;
  ASSERT_TRUE(one.store->Load(plain.policy).ok());
  const absl::Status loaded = two.store->Load(optimised.policy);
  ASSERT_TRUE(loaded.ok()) << loaded;
  const std::vector<ModelPort> ports = {
      {.name = "em0", .groups = {"edge"}, .peer = 1},
      {.name = "em1", .peer = 0}};
  std::optional<PlainModel> model_one, model_two;
  if (generator.modelled()) {
    const absl::Status supported = PlainModel::Supports(plain.policy);
    ASSERT_TRUE(supported.ok()) << supported;
    model_one.emplace(plain.policy, ports);
    model_two.emplace(optimised.policy, ports);
  }
  for (int i = 0; i < 100; ++i) {
    Arrival arrival;
    arrival.packet = generator.Packet();
    arrival.from = std::string(arrival.packet.from);
    arrival.to = std::string(arrival.packet.to);
    arrival.direction = generator.OneIn(2) ? Direction::kIn : Direction::kOut;
    arrival.first = generator.OneIn(2);
    arrival.came_first =
        arrival.direction == Direction::kIn ? arrival.first
                                            : generator.OneIn(2);
    Compare(one, two, model_one ? &*model_one : nullptr,
            model_two ? &*model_two : nullptr, arrival, tally);
    if (testing::Test::HasFatalFailure()) {
      ADD_FAILURE() << arrival.Describe();
      return;
    }
  }
}

class OptimizeProperty
    : public testing::TestWithParam<
          std::tuple<Dialect, RulesetOptimization>> {};

TEST_P(OptimizeProperty, JudgesAsTheRulesThemselvesDo) {
  const auto [dialect, level] = GetParam();
  Tally tally;
  for (uint32_t seed = 1; seed <= 4000; ++seed) {
    RunOne(seed, dialect, {.level = level, .by_option = seed % 2 == 0},
           tally);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(tally.passed, 100000u);
  EXPECT_GT(tally.blocked, 50000u);
  EXPECT_GT(tally.tagged, 10000u);
  EXPECT_GT(tally.labelled, 1000u);
  EXPECT_GT(tally.modelled, 50000u);
  if (level == RulesetOptimization::kNone) return;
  // That there was something to do.
  EXPECT_LT(tally.after * 10, tally.before * 9);
  EXPECT_GT(tally.tables, 1000u);
  EXPECT_GT(tally.moved, 2000u);
}

INSTANTIATE_TEST_SUITE_P(
    DialectsAndLevels, OptimizeProperty,
    testing::Combine(testing::Values(Dialect::kOpenBsd, Dialect::kFreeBsd),
                     testing::Values(RulesetOptimization::kNone,
                                     RulesetOptimization::kBasic,
                                     RulesetOptimization::kProfile)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param) == Dialect::kOpenBsd
                             ? "OpenBsd_"
                             : "FreeBsd_") +
             std::string(Name(std::get<1>(info.param)));
    });

}  // namespace
}  // namespace sluice
