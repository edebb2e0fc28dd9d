// Random rulesets and packets through the classifier and through the plain
// interpreter: verdict, effects and tags have to be equal.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/classify/classify.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/explain.h"
#include "pftable/engine/limiters.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/engine/route_view.h"
#include "pftable/language/parser.h"
#include "pftable/policy/stable_hash.h"
#include "pftable/store/policy_store.h"
#include "pftable/store/table_edits.h"

namespace sluice {
namespace {

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(engine_()) % n; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  template <typename T, size_t N>
  const T& Of(const T (&choices)[N]) {
    return choices[Below(N)];
  }

 private:
  std::mt19937 engine_;
};

// Has a route to one address in three, and of these half lead back.
class SomeRoutes final : public RouteView {
 public:
  bool HasRoute(const Address& address) const override {
    return Draw(address) % 3 == 0;
  }
  bool LeadsBack(const Address& address) const override {
    return Draw(address) % 6 == 0;
  }

 private:
  static uint32_t Draw(const Address& address) {
    uint32_t sum = 0;
    for (const uint8_t byte : address.bytes) sum = sum * 31 + byte;
    return MixBits(sum) >> 40;
  }
};

// What a ruleset is made of: the same few values come again and again, so that
// conditions overlap, and packets are made of the corners of the same values.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {
    ordered_ = random_.OneIn(2);
    wide_ = random_.OneIn(3);
    counted_ = random_.OneIn(2);
  }

  Random& random() { return random_; }

  std::string Host(bool v6) {
    const uint32_t hosts = wide_ ? 4000 : 12;
    const uint32_t n = random_.Below(hosts);
    if (v6) {
      static constexpr int kLengths[] = {128, 128, 127, 125, 64, 63, 48, 1};
      const std::string host =
          absl::StrCat("2001:db8:", n % 3, "::", absl::Hex(n / 3));
      switch (random_.Below(8)) {
        case 0:
          return "any";
        case 1:
          return absl::StrCat("! ", host);
        case 2:
          return absl::StrCat("2001:db8:0::", absl::Hex(n % 200),
                              " - 2001:db8:1::", absl::Hex(n));
        default:
          return absl::StrCat(host, "/", random_.Of(kLengths));
      }
    }
    static constexpr int kLengths[] = {32, 32, 31, 30, 28, 24, 20, 8, 1};
    const std::string host =
        absl::StrCat("10.", n / 200 % 4, ".", n % 4, ".", n % 256);
    switch (random_.Below(10)) {
      case 0:
        return "any";
      case 1:
        return absl::StrCat("! ", host, "/", random_.Of(kLengths));
      case 2:
        return absl::StrCat("10.0.", n % 4, ".", n % 100, " - 10.2.3.", n % 256);
      case 3:
        return random_.OneIn(6) ? "255.255.255.255" : "0.0.0.0/1";
      default:
        return absl::StrCat(host, "/", random_.Of(kLengths));
    }
  }
  std::string TableName() { return absl::StrCat("t", random_.Below(9)); }
  // Of a table.
  TableEntry RandomEntry() {
    static constexpr int kLess[] = {0, 0, 0, 1, 2, 4, 8, 16, 31};
    const bool v6 = random_.OneIn(3);
    return {.prefix = Prefix{.address = Corner(v6),
                             .length = static_cast<uint8_t>(
                                 (v6 ? 128 : 32) - random_.Of(kLess))}
                          .Masked(),
            .negated = random_.OneIn(4)};
  }
  std::string Place(bool v6) {
    switch (random_.Below(12)) {
      case 0:
        return random_.OneIn(2) ? "<few>" : "! <few>";
      case 1:
        return random_.OneIn(4)
                   ? "<many>"
                   : absl::StrCat(random_.OneIn(4) ? "! " : "", "<",
                                  TableName(), ">");
      case 2:
        return "(inside)";
      case 3:
        return "! (outside:network)";
      case 4:
        return "no-route";
      case 5:
      case 6:
      case 7:
        return "any";
      default:
        return Host(v6);
    }
  }
  std::string Ports() {
    const uint32_t n = wide_ ? random_.Below(60000) : 20 + random_.Below(8);
    switch (random_.Below(10)) {
      case 0:
        return absl::StrCat(" port != ", n);
      case 1:
        return absl::StrCat(" port ", n, ":", n + random_.Below(5000));
      case 2:
        return absl::StrCat(" port ", n, " >< ", n + 1 + random_.Below(9));
      case 3:
        return absl::StrCat(" port ", n, " <> ", n + 3 + random_.Below(9));
      case 4:
        return absl::StrCat(" port > ", n);
      case 5:
        return absl::StrCat(" port <= ", n);
      default:
        return absl::StrCat(" port ", n);
    }
  }

  // The conditions of a rule or anchor call.
  std::string Conditions() {
    static constexpr const char* kPlaces[] = {
        "", "", " on outside", " on inside", " on ! outside", " on lan",
        " on nowhere", " on ! lan"};
    static constexpr const char* kProtos[] = {
        "", "", " proto tcp", " proto tcp", " proto udp", " proto icmp",
        " proto 47"};
    static constexpr const char* kProtos6[] = {
        "", " proto tcp", " proto udp", " proto icmp6"};
    std::string text(random_.Of(kPlaces));
    const bool v6 = random_.OneIn(3);
    const bool family = random_.OneIn(2);
    const std::string proto(v6 ? random_.Of(kProtos6) : random_.Of(kProtos));
    if (family || proto.starts_with(" proto icmp")) {
      text += v6 ? " inet6" : " inet";
    }
    text += proto;
    std::string source = Place(v6), destination = Place(v6);
    if (random_.OneIn(25)) source = "urpf-failed";
    const bool ports = proto == " proto tcp" || proto == " proto udp";
    text += " from " + source;
    if (ports && random_.OneIn(4)) text += Ports();
    static constexpr const char* kSystems[] = {
        " os Linux", " os \"Linux 5.4\"", " os \"Windows 10\"", " os unknown"};
    if (proto == " proto tcp" && random_.OneIn(4)) text += random_.Of(kSystems);
    text += " to " + destination;
    if (ports && !random_.OneIn(3)) text += Ports();
    if (proto == " proto icmp" && random_.OneIn(2)) {
      text += random_.OneIn(2) ? " icmp-type echoreq"
                               : " icmp-type unreach code 3";
    }
    if (proto == " proto icmp6" && random_.OneIn(2)) {
      text += " icmp6-type echoreq";
    }
    return text;
  }

  std::string Rule() {
    static constexpr const char* kActions[] = {"pass", "pass", "block",
                                               "block return"};
    static constexpr const char* kDirections[] = {"", " in", " out", " in"};
    std::string action(random_.Of(kActions));
    if (ordered_ && random_.OneIn(6)) action = "match";
    std::string text = action + random_.Of(kDirections);
    if (random_.OneIn(8)) text += random_.OneIn(3) ? " log (all)" : " log";
    if (ordered_ && action == "match" && random_.OneIn(4)) {
      text = "match log (matches)";
    }
    if (random_.OneIn(5)) text += " quick";
    const std::string conditions = Conditions();
    text += conditions;
    const bool headers = conditions.find(" port ") != std::string::npos ||
                         conditions.find("-type ") != std::string::npos;
    if (!headers && random_.OneIn(12)) {
      text += " fragment";
    } else if (conditions.find("proto tcp") != std::string::npos &&
               random_.OneIn(3)) {
      text += random_.OneIn(2) ? " flags any" : " flags S/SAFR";
    }
    if (random_.OneIn(14)) text += " tos 0x10";
    if (random_.OneIn(14)) text += " probability 50%";
    if (random_.OneIn(14)) text += " received-on outside";
    if (ordered_ && random_.OneIn(6)) {
      text += random_.OneIn(2) ? " tag T" : " tag U";
    }
    if (ordered_ && random_.OneIn(7)) {
      text += random_.OneIn(2) ? " tagged T" : " ! tagged U";
    }
    const bool stateless = action == "pass" && random_.OneIn(4);
    if (stateless) text += " no state";
    if (counted_ && random_.OneIn(6)) {
      text += random_.OneIn(2) ? " max-pkt-rate 3/2" : " max-pkt-rate 1/1";
    }
    if (counted_ && action != "match" && random_.OneIn(6)) text += " once";
    if (counted_ && action == "pass" && !stateless) {
      if (random_.OneIn(6)) {
        text += " state limiter \"s\"";
        if (random_.OneIn(2)) text += " (block)";
      }
      if (random_.OneIn(6)) {
        text += " source limiter \"t\"";
        if (random_.OneIn(2)) text += " (block)";
      }
    }
    if (action == "pass" && random_.OneIn(8)) text += " allow-opts";
    return text + "\n";
  }

  std::string Rules(uint32_t count, int depth) {
    std::string text;
    for (uint32_t i = 0; i < count; ++i) {
      if (depth < 3 && random_.OneIn(depth == 0 ? 12 : 6)) {
        text += "anchor";
        if (random_.OneIn(3)) text += random_.OneIn(2) ? " in" : " out";
        if (ordered_ && random_.OneIn(3)) text += " quick";
        if (random_.OneIn(2)) text += Conditions();
        if (ordered_ && random_.OneIn(8)) text += " tagged T";
        if (counted_ && random_.OneIn(4)) text += " max-pkt-rate 5/1";
        text += " {\n" + Rules(1 + random_.Below(5), depth + 1) + "}\n";
      } else {
        text += Rule();
      }
    }
    return text;
  }

  std::string Ruleset(uint32_t rules) {
    std::string tables;
    for (int t = 0; t < 9; ++t) {
      absl::StrAppend(&tables, "table <t", t, "> { 192.0.2.", t);
      for (uint32_t n = random_.Below(6); n > 0; --n) {
        const TableEntry entry = RandomEntry();
        absl::StrAppend(&tables, entry.negated ? ", !" : ", ",
                        ToString(entry.prefix.address), "/",
                        int{entry.prefix.length});
      }
      tables += " }\n";
    }
    return tables +
           "set limit { table-entries 10000, anchors 100000 }\n"
           "set reassemble no\n"
           "state limiter \"s\" id 1 limit 100\n"
           "source limiter \"t\" id 1 entries 10 limit 1\n"
           "table <few> { 10.0.0.0/29, !10.0.0.2, 2001:db8::/64, "
           "!2001:db8::2 }\n"
           "table <many> { 10.0.0.0/16, 10.1.1.0/24, 2001:db8:1::/48 }\n" +
           Rules(rules, 0);
  }

  Address Corner(bool v6) {
    const uint32_t n = random_.Below(wide_ ? 4000 : 12);
    if (v6) {
      Address a = *ParseAddress(
          absl::StrCat("2001:db8:", n % 3, "::", absl::Hex(n / 3)));
      if (random_.OneIn(4)) a.bytes[15] ^= 1 << random_.Below(3);
      if (random_.OneIn(9)) a.bytes[random_.Below(16)] ^= 0xff;
      return a;
    }
    if (random_.OneIn(30)) return Address::V4(0xffffffff);
    uint32_t host = 0x0a000000 | n / 200 % 4 << 16 | n % 4 << 8 | n % 256;
    if (random_.OneIn(4)) host += random_.Below(3) - 1;
    if (random_.OneIn(9)) host ^= 1u << random_.Below(32);
    return Address::V4(host);
  }
  uint16_t Port() {
    const uint32_t n = wide_ ? random_.Below(66000) : 18 + random_.Below(12);
    return static_cast<uint16_t>(n);
  }

  PacketInfo Packet() {
    static constexpr uint8_t kProtos[] = {
        protocol::kTcp, protocol::kTcp, protocol::kUdp, protocol::kIcmp,
        protocol::kIcmp6, 47, protocol::kSctp};
    PacketInfo info{};
    const bool v6 = random_.OneIn(3);
    info.kind = Kind::kIp;
    info.family = v6 ? Family::kIpv6 : Family::kIpv4;
    info.source = Corner(v6).bytes;
    info.destination = Corner(v6).bytes;
    info.proto = random_.Of(kProtos);
    info.ip_length = 100;
    info.tos = random_.OneIn(3) ? 0x10 : 0;
    if (random_.OneIn(10)) {
      info.flags = kFragment;
      return info;
    }
    if (info.proto == protocol::kIcmp || info.proto == protocol::kIcmp6) {
      static constexpr uint8_t kTypes[] = {8, 0, 3, 128, 129, 11, 14};
      info.icmp_type = random_.Of(kTypes);
      info.icmp_code = random_.OneIn(2) ? 3 : 0;
      info.source_port = Be16(Port());
      return info;
    }
    info.source_port = Be16(Port());
    info.destination_port = Be16(Port());
    if (info.proto == protocol::kTcp) {
      info.tcp_flags = random_.OneIn(2)
                           ? uint8_t{kTcpSyn}
                           : static_cast<uint8_t>(random_.Below(256));
    }
    return info;
  }

 private:
  Random random_;
  bool ordered_;  // tags, match rules, quick anchors
  bool wide_;     // many different values
  bool counted_;  // rates, `once`, limiters
};

std::string Describe(const Verdict& v) {
  std::string text = absl::StrCat(
      v.action == VerdictAction::kPass ? "pass" : "block", " reason ",
      static_cast<int>(v.reason), " answer ", static_cast<int>(v.answer), " ",
      v.rst_ttl, " ", v.icmp_code, v.quick ? " quick" : "",
      v.keep_state ? " keep" : "", v.allow_options ? " options" : "",
      v.log ? " log" : "", " rule ",
      v.rule == nullptr ? "none" : absl::StrCat(v.rule->slot), " slot ",
      v.state.rule_slot, " anchor ", v.state.anchor_slot, " tag ",
      v.state.tag, " flags ", v.state.flags, " match");
  for (uint32_t i = 0; i < v.state.match_count; ++i) {
    absl::StrAppend(&text, " ", v.state.match_slots[i]);
  }
  absl::StrAppend(&text, " logged");
  for (uint32_t i = 0; i < v.logged_count; ++i) {
    absl::StrAppend(&text, " ", v.logged[i].rule_slot, "/",
                    v.logged[i].anchor_slot, "/",
                    static_cast<int>(v.logged[i].action));
  }
  return text;
}

// What SYNs look like: Linux since 5, Linux before 3, Windows 10, nobody.
constexpr auto Options(std::initializer_list<SynOption> all) {
  uint64_t packed = 0;
  for (const SynOption option : all) {
    packed = packed << kSynOptionBits | static_cast<uint8_t>(option);
  }
  return packed;
}
constexpr SynSignature LinuxSyn(uint16_t window) {
  return {.options = Options({SynOption::kMss, SynOption::kSackPermitted,
                              SynOption::kTimestamp, SynOption::kNop,
                              SynOption::kWindowScale}),
          .option_count = 5,
          .ttl = 60,
          .scale = 7,
          .dont_fragment = true,
          .window = window,
          .size = 60,
          .mss = 1460};
}
constexpr SynSignature kSyns[] = {
    LinuxSyn(64240),
    LinuxSyn(5840),
    {.options = Options({SynOption::kMss, SynOption::kNop,
                         SynOption::kWindowScale, SynOption::kNop,
                         SynOption::kNop, SynOption::kSackPermitted}),
     .option_count = 6,
     .ttl = 128,
     .scale = 8,
     .dont_fragment = true,
     .window = 8192,
     .size = 52,
     .mss = 1460},
    LinuxSyn(1)};

// Says no now and then, and what it says depends on who was asked before: two
// evaluations agree only if they ask the same rules in the same order.
class MoodyGate : public LimiterGate {
 public:
  explicit MoodyGate(uint64_t mood) : mood_(mood) {}
  LimiterAnswer Ask(const CompiledRule& rule, bool* by_source) override {
    mood_ = MixBits(mood_ + rule.slot);
    absl::StrAppend(&asked_, " ", rule.slot);
    *by_source = rule.state_limiter == 0 ||
                 (rule.source_limiter != 0 && (mood_ & 4) != 0);
    return (mood_ & 3) == 0 ? LimiterAnswer::kFull : LimiterAnswer::kAdmits;
  }
  uint64_t mood() const { return mood_; }
  const std::string& asked() const { return asked_; }

 private:
  uint64_t mood_;
  std::string asked_;  // slots, in their order
};

// Makes rules with `once` match again.
void Renew(PolicyStore& store) {
  for (const CompiledRule& rule : store.current()->rules()) {
    rule.record->ended_life.store(0, std::memory_order_relaxed);
  }
}

class ClassifyPropertyTest : public testing::Test {
 protected:
  ClassifyPropertyTest() {
    const std::string lan[] = {"lan"};
    const InterfaceRegistry::PortAddress outside[] = {
        {*ParsePrefix("10.0.1.7/24")}, {*ParsePrefix("2001:db8:1::7/64")}};
    const InterfaceRegistry::PortAddress inside[] = {
        {*ParsePrefix("10.0.0.1/24")}, {*ParsePrefix("2001:db8::1/64")}};
    ports_ = {*interfaces_.AddPort("outside", {}, outside),
              *interfaces_.AddPort("inside", lan, inside),
              *interfaces_.AddPort("third", lan)};
  }

  // The same edit of both; the oracle asks tables one by one whatever they
  // are, and what is tested has an index of them that lags behind.
  void EditTables(Generator& generator, PolicyStore& store,
                  PolicyStore& plain) {
    Random& random = generator.random();
    const TableKey key = {.anchor = "", .name = generator.TableName()};
    std::vector<TableEntry> entries;
    for (uint32_t n = 1 + random.Below(4); n > 0; --n) {
      entries.push_back(generator.RandomEntry());
    }
    const uint32_t kind = random.Below(8);
    for (PolicyStore* const of : {&store, &plain}) {
      auto staged = kind == 0  ? StageReplaceAddresses(*of, key, entries)
                    : kind < 5 ? StageAddAddresses(*of, key, entries)
                               : StageDeleteAddresses(*of, key, entries);
      // No rule may name it, or nothing changes.
      if (!staged.ok()) continue;
      ASSERT_TRUE(of->Publish(std::move(staged->generation)).ok());
    }
    if (!random.OneIn(3) || !store.WantsIndex()) return;
    absl::StatusOr<StagedGeneration> index = store.StageIndex();
    ASSERT_TRUE(index.ok());
    ASSERT_TRUE(store.Publish(*std::move(index)).ok());
    EXPECT_FALSE(store.WantsIndex());
  }
  void CountBits(const Generation& generation) {
    for (const TableView& table : generation.tables) {
      (table.bit != TableIndex::kNoBit ? with_bit_ : without_bit_) += 1;
    }
  }

  // As many packets as told, each by both.
  void Run(uint32_t seed, uint32_t rules, uint32_t packets,
           const ClassifierBounds& bounds) {
    Generator generator(seed);
    ParseInput input;
    input.file_name = "pf.conf";
    input.text = generator.Ruleset(rules);
    const std::string text = input.text;
    const ParseResult parsed = ParsePolicy(std::move(input));
    ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics) << text;
    PolicyStore store({.workers = 1, .rule_slots = 65536, .table_slots = 4096,
                       .tables_alone = static_cast<uint8_t>(seed % 3)},
                      &interfaces_, &reclaimer_);
    const absl::Status loaded = store.Load(parsed.policy);
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    // What counts when it is met is the oracle's own.
    PolicyStore plain({.workers = 1, .rule_slots = 65536, .table_slots = 4096,
                       .classifier = false},
                      &interfaces_, &reclaimer_);
    ASSERT_TRUE(plain.Load(parsed.policy).ok());
    Tick now = 100000;
    const std::shared_ptr<const Classifier> classifier = Classifier::Build(
        *store.current()->policy, interfaces_.Views(), bounds);
    demoted_ += classifier->report().demoted;
    in_lists_ += classifier->report().listed;
    const SomeRoutes routes;
    VerdictCache cache;
    Random& random = generator.random();
    for (uint32_t done = 0; done < packets;) {
      const uint32_t count = 1 + random.Below(kMaxBurst);
      if (random.OneIn(2)) EditTables(generator, store, plain);
      if (HasFatalFailure()) return;
      const Generation& generation = *store.current();
      const Generation& oracle = *plain.current();
      CountBits(generation);
      const Direction direction =
          random.OneIn(2) ? Direction::kIn : Direction::kOut;
      const InterfaceView at = ports_[random.Below(3)];
      const InterfaceView arrival =
          direction == Direction::kIn ? at : ports_[random.Below(3)];
      std::vector<PacketInfo> infos;
      for (uint32_t i = 0; i < count; ++i) {
        infos.push_back(generator.Packet());
      }
      std::vector<const PacketInfo*> pointers;
      for (const PacketInfo& info : infos) pointers.push_back(&info);
      std::vector<Candidates> candidates(count);
      FindCandidates(*classifier, direction, at, pointers, cache, candidates);
      PrefetchCandidates(generation, candidates);
      if (random.OneIn(4)) {
        Renew(store);
        Renew(plain);
      }
      now += random.Below(700);
      for (uint32_t i = 0; i < count; ++i) {
        EvaluationInput one{
            .packet = infos[i],
            .direction = direction,
            .interface = at,
            .received_on = arrival,
            .tag = static_cast<uint16_t>(random.OneIn(3) ? 1 : kNoTag),
            .now = now,
            .random = random.Below(1000),
            .syn = random.OneIn(5) ? nullptr : &random.Of(kSyns),
            .routes = random.OneIn(3) ? nullptr : &routes};
        const uint64_t mood = random.Below(1000000);
        MoodyGate gates[] = {MoodyGate(mood), MoodyGate(mood)};
        const bool limits = random.OneIn(2);
        std::optional<Explanation> told;
        if (i == 0 && !limits) told = Explain(oracle, one, 1000);
        if (limits) one.limiters = &gates[0];
        const std::string expected =
            Describe(Evaluate(oracle, one, plain.worker_counters(0)));
        if (limits) one.limiters = &gates[1];
        const std::string found = Describe(EvaluateCandidates(
            generation, one, candidates[i], store.worker_counters(0)));
        ASSERT_EQ(gates[0].asked(), gates[1].asked())
            << expected << "\n" << found << "\n" << text;
        refused_ += gates[0].mood() != mood;
        ASSERT_EQ(expected, found)
            << "seed " << seed << " packet " << done + i << "\n"
            << infos[i].source_address().bytes.size() << " "
            << ToString(infos[i].source_address()) << ":"
            << infos[i].source_port.host() << " > "
            << ToString(infos[i].destination_address()) << ":"
            << infos[i].destination_port.host() << " proto "
            << int{infos[i].proto} << "\n"
            << (text.size() < 20000 ? text : "");
        if (told) CheckExplained(oracle, *told, expected);
        compiled_ += candidates[i].part != nullptr;
        listed_ += candidates[i].complete;
      }
      done += count;
    }
    CheckCounted(*store.current(), *plain.current(), now);
  }

  // What rules have counted as they were met.
  void CheckCounted(const Generation& generation, const Generation& oracle,
                    Tick now) {
    for (size_t i = 0; i < oracle.rules().size(); ++i) {
      const CompiledRule& one = oracle.rules()[i];
      const CompiledRule& other = generation.rules()[i];
      ASSERT_EQ(one.expired(), other.expired()) << i;
      expired_ += one.expired();
      if (!one.rated) continue;
      const RateLimit rate = one.record->packet_rate;
      ASSERT_EQ(one.record->packets.Value(rate, now),
                other.record->packets.Value(rate, now))
          << i;
      above_ += !one.record->WouldAcquirePacket(now);
    }
  }

  // The explanation decides alike, and knows the condition by which each rule
  // does not match.
  void CheckExplained(const Generation& oracle, const Explanation& told,
                      const std::string& expected) {
    EXPECT_EQ(Describe(told.verdict), expected);
    for (const ExplainedRule& rule : told.rules) {
      const CompiledRule& named = oracle.rules()[rule.rule];
      if (rule.failed == RuleCondition::kPacketRate) {
        EXPECT_TRUE(named.rated);
        ++told_rates_;
      } else if (rule.failed == RuleCondition::kSystem) {
        EXPECT_NE(named.os, 0);
        ++told_systems_;
      } else if (rule.failed == RuleCondition::kOnce) {
        EXPECT_NE(named.once, 0u);
        ++told_lives_;
      }
    }
    for (const ExplainedRule& rule : told.rules) {
      EXPECT_NE(rule.failed, RuleCondition::kOther);
      matched_ += rule.failed == RuleCondition::kNone;
      missed_ += rule.failed != RuleCondition::kNone;
    }
  }

  uint32_t Rounds(uint32_t usual) {
    const char* factor = std::getenv("SLUICE_PROPERTY_FACTOR");
    return factor == nullptr ? usual
                             : usual * static_cast<uint32_t>(std::atoi(factor));
  }

  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
  std::vector<InterfaceView> ports_;
  uint64_t compiled_ = 0;
  uint64_t listed_ = 0;
  uint64_t demoted_ = 0;
  uint64_t in_lists_ = 0;
  uint64_t matched_ = 0;
  uint64_t missed_ = 0;
  uint64_t refused_ = 0;
  uint64_t expired_ = 0;
  uint64_t above_ = 0;
  uint64_t told_rates_ = 0;
  uint64_t told_lives_ = 0;
  uint64_t told_systems_ = 0;
  uint64_t with_bit_ = 0;
  uint64_t without_bit_ = 0;
};

TEST_F(ClassifyPropertyTest, SmallRulesets) {
  for (uint32_t seed = 0; seed < Rounds(450); ++seed) {
    Run(seed, 1 + seed % 60, 3000, {.least_rules = 1});
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(compiled_, 1'000'000u);
  EXPECT_GT(listed_, compiled_ / 2);
  EXPECT_LT(listed_, compiled_);
  EXPECT_GT(matched_, 30'000u);
  EXPECT_GT(missed_, 50'000u);
  EXPECT_GT(refused_, 10'000u);
  EXPECT_GT(expired_, 100u);
  EXPECT_GT(above_, 10u);
  EXPECT_GT(told_rates_, 100u);
  EXPECT_GT(told_lives_, 100u);
  EXPECT_GT(told_systems_, 100u);
  EXPECT_GT(with_bit_, 10'000u);
  EXPECT_GT(without_bit_, 10'000u);
}

TEST_F(ClassifyPropertyTest, RulesetsInLists) {
  for (uint32_t seed = 10000; seed < 10000 + Rounds(40); ++seed) {
    Run(seed, 300 + seed % 5 * 900, 4000,
        {.least_rules = 1, .least_listed = 200, .longest_list = 20});
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(in_lists_, 10000u);
}

TEST_F(ClassifyPropertyTest, ConditionsThatTakeTooMuch) {
  for (uint32_t seed = 20000; seed < 20000 + Rounds(20); ++seed) {
    Run(seed, 600 + seed % 5 * 200, 2000,
        {.least_rules = 1, .blocks_per_rule = 1, .least_blocks = 40,
         .least_listed = 1 << 20});
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(demoted_, 100u);
}

}  // namespace
}  // namespace sluice
