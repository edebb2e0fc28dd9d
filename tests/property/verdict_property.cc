// Random rulesets and packets through the pipeline and through the plain
// model: each packet has to get the same verdict from both.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/replay/simulation.h"
#include "dataplane/replay/state_text.h"
#include "pftable/language/parser.h"
#include "tests/property/plain_model.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"
#include "tests/support/scapy.h"

namespace sluice {
namespace {

// How exactly ends of states are looked for: the simulation's step and the
// state table's wheel.
constexpr uint64_t kSlack = 1000;

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {
    if_bound_ = OneIn(4);
    short_ = OneIn(3);
    mostly_v4_ = OneIn(2);
  }

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  template <typename T, size_t N>
  const T& Of(const T (&choices)[N]) {
    return choices[Below(N)];
  }

  std::string Ruleset() {
    static constexpr const char* kActions[] = {
        "pass", "pass", "pass", "block", "block return", "match"};
    static constexpr const char* kDirections[] = {"", " in", " out", " in"};
    static constexpr const char* kPlaces[] = {"", "", " on outside",
                                              " on inside", " on ! outside",
                                              " on lan"};
    static constexpr const char* kHosts[] = {
        "any", "any", "10.0.0.2", "2001:db8::2", "10.0.0.0/30", "! 10.0.0.1",
        "<few>", "! <few>", "2001:db8::/126", "10.0.0.1 - 10.0.0.2"};
    static constexpr const char* kProtos[] = {
        "", "", " proto tcp", " proto udp", " proto icmp", " proto icmp6",
        " proto 47"};
    static constexpr const char* kPorts[] = {
        "", "", " port 80", " port { 53, 69 }", " port != 80", " port 50:70",
        " port 53 >< 80", " port > 79"};
    std::string text =
        "table <few> { 10.0.0.0/29, !10.0.0.2, 2001:db8::/64, !2001:db8::2 }\n";
    if (OneIn(6)) text += "set skip on inside\n";
    if (if_bound_) text += "set state-policy if-bound\n";
    if (short_) text += "set timeout { udp.first 20, tcp.closed 15 }\n";
    if (OneIn(8)) text += "set limit states 6\n";
    // With a table this small timeouts would shrink at every state.
    text += "set timeout { adaptive.start 0, adaptive.end 0 }\n";
    text += "set reassemble no\n";
    text += OneIn(2) ? "block all\n" : "";
    if (OneIn(2)) text += "pass in on outside\npass out on inside\n";
    for (uint32_t i = 2 + Below(7); i > 0; --i) {
      const std::string action = Of(kActions);
      const std::string proto = Of(kProtos);
      std::string rule = action + Of(kDirections);
      if (OneIn(5)) rule += " quick";
      rule += Of(kPlaces);
      const bool ports = proto == " proto tcp" || proto == " proto udp";
      const std::string from = Of(kHosts), to = OneIn(2) ? "any" : from;
      rule += proto + " from " + from;
      if (ports && OneIn(4)) rule += Of(kPorts);
      rule += " to " + to;
      if (ports) rule += Of(kPorts);
      if (proto == " proto tcp" && OneIn(3)) rule += " flags any";
      if (OneIn(10)) rule += " tos 0x10";
      if (OneIn(8)) rule += " tag T";
      if (OneIn(10)) rule += OneIn(2) ? " tagged T" : " ! tagged T";
      if (action == "pass" && OneIn(5)) rule += " allow-opts";
      if (action == "pass" && OneIn(4)) rule += " no state";
      text += rule + "\n";
    }
    return text;
  }

  // One packet in the notation of the tests, likely to have to do with the
  // ones before.
  std::string Packet() {
    static constexpr const char* kFlags[] = {"S",  "S",  "SA", "A",  "A",
                                             "PA", "FA", "R",  "RA", "A"};
    static constexpr const char* kTftp[] = {
        "tftp rrq \"f\" octet", "tftp wrq \"f\" octet blksize 600",
        "tftp data 1 20", "tftp ack 1", "tftp error 1 \"no\"",
        "tftp oack blksize 600", "data 0x0001", "data 9"};
    const bool v4 = OneIn(10) != mostly_v4_;
    const std::string c = v4 ? "10.0.0.2" : "2001:db8::2";
    const std::string s = v4 ? "10.0.0.1" : "2001:db8::1";
    const std::string x = v4 ? "10.0.0.9" : "2001:db8::9";
    static constexpr const char* kVlans[] = {
        " vlan 5", " vlan 6", " vlan 5 pcp 3", " qinq 5", " qinq 5 vlan 6",
        " qinq 6 vlan 5", " vlan 0", " qinq 0 vlan 5"};
    const std::string vlan = OneIn(6) ? Of(kVlans) : "";
    std::string from = c, to = s;
    if (OneIn(15)) from = x;
    if (OneIn(15)) to = x;
    static constexpr int kClientPorts[] = {5000, 5000, 5000, 5000, 5001};
    static constexpr int kServerPorts[] = {80, 80, 69, 69, 69, 53, 3000};
    int from_port = Of(kClientPorts), to_port = Of(kServerPorts);
    if (OneIn(2)) {
      std::swap(from, to);
      std::swap(from_port, to_port);
    }
    std::string text;
    switch (Below(8)) {
      case 0:
      case 1:
      case 2: {
        text = absl::StrCat(
            "tcp ", from, ":", from_port, " > ", to, ":", to_port, " ",
            Of(kFlags), " seq ", OneIn(8) ? Below(400000) : 1000 + Below(3),
            " ack ", OneIn(8) ? Below(400000) : 1000 + Below(3), " win ",
            OneIn(4) ? 0 : Below(3000));
        if (OneIn(3)) absl::StrAppend(&text, " data ", Below(40));
        if (OneIn(4)) absl::StrAppend(&text, " <wscale ", Below(16), ",nop>");
        break;
      }
      case 3:
      case 4:
      case 5:
        text = absl::StrCat("udp ", from, ":", from_port, " > ", to, ":",
                            to_port, vlan, " ", Of(kTftp));
        // Requests take all words that follow them.
        return text;
      case 6:
        if (OneIn(3)) {
          const std::string kind = OneIn(2) ? "udp" : "tcp";
          text = absl::StrCat(
              "icmp ", OneIn(3) ? x : from, " > ", to,
              " unreach port", vlan, " inner { ", kind, " ", to, ":", to_port, " > ",
              from, ":", from_port,
              kind == "tcp" ? absl::StrCat(" A seq ", 1000 + Below(900)) : "",
              " }");
          return text;
        }
        text = absl::StrCat("icmp ", from, " > ", to,
                            OneIn(2) ? " echo id " : " echoreply id ",
                            Below(2), " seq 1");
        break;
      default:
        text = absl::StrCat("ip ", from, " > ", to, " proto 47 data 20");
        break;
    }
    if (OneIn(10)) text += " tos 0x10";
    if (OneIn(15)) text += v4 ? " ipopts { rr }" : " ext { dstopts }";
    text += vlan;
    if (OneIn(20)) text += " part 0 8";
    if (OneIn(30)) text += " cut -1";
    return text;
  }

  uint64_t Gap() {
    static constexpr uint64_t kGaps[] = {0,   0,   0,   0,   1,     10,
                                         10,  700, 700, 700, 12000, 47000};
    return Of(kGaps);
  }

 private:
  std::minstd_rand random_;
  // Throughout: a floating and a bound state of one flow may both match.
  bool if_bound_ = false;
  // Throughout: states follow a shorter timeout at their next look only.
  bool short_ = false;
  bool mostly_v4_ = false;
};

struct Seen {
  PacketVerdict verdict{};
};

void Remember(void* context, uint32_t, const PacketVerdict& verdict) {
  static_cast<Seen*>(context)->verdict = verdict;
}

ParseResult Parse(const std::string& text, const HostFacts& facts) {
  return ParsePolicy({.file_name = "rules",
                      .text = text,
                      .macros = {},
                      .load_file = {},
                      .dialect = Dialect::kOpenBsd,
                      .facts = &facts,
                      .no_dns = true,
                      .anchor = "",
                      .limits = {}});
}

// Tries until nothing contradicts itself, like icmp6 from an IPv4 address.
std::string SoundRuleset(Generator& generator, const HostFacts& facts) {
  for (;;) {
    std::string text = generator.Ruleset();
    if (Parse(text, facts).ok()) return text;
  }
}

std::string Text(const ModelVerdict& verdict) {
  return absl::StrCat(verdict.passed ? "pass" : "drop ",
                      verdict.passed ? "" : std::string(Name(verdict.reason)),
                      " rule ",
                      verdict.rule ? absl::StrCat(*verdict.rule) : "-",
                      verdict.judged ? *verdict.judged == Direction::kIn
                                           ? " in"
                                           : " out"
                                     : "");
}

std::string States(Simulation& simulation) {
  std::string text;
  StateTable& states = simulation.states();
  uint32_t cursor = 0;
  states.entries().Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
    const StateRecord record = states.Record(index, simulation.now());
    absl::StrAppend(&text, StateLine(states, record, simulation.now()),
                    " on ", simulation.interfaces().NameOf(record.interface),
                    ", idle ", record.idle, " ms, ends in ",
                    record.expires_in, " ms");
    for (const size_t peer : {0, 1}) {
      absl::StrAppend(&text, ", ", record.window[peer].low, " to ",
                      record.window[peer].high, " window ",
                      record.max_window[peer], " scale ",
                      record.scale[peer] & kScaleMask);
    }
    text += "\n";
  });
  return text;
}

// How often each way of deciding was taken, to see that the test tests.
struct Tally {
  uint32_t passed = 0, blocked = 0, mismatch = 0, option = 0, limit = 0;
  uint64_t most_states = 0, matched = 0;
};

void RunOne(uint32_t seed, MbufPool& pool, Tally& tally) {
  Generator generator(seed);
  Seen seen;
  SimulationOptions options{.state_capacity = 200,
                            .pool = pool.get(),
                            .seed = seed,
                            .start = 0xffff0000,
                            .on_verdict = &Remember,
                            .on_verdict_context = &seen};
  options.ports = {{.name = "outside"}, {.name = "inside", .groups = {"lan"}}};
  options.wires = {{0, 1, true}};
  auto simulation = Simulation::Build(options);
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  const HostFacts facts = (*simulation)->Facts();
  std::string rules = SoundRuleset(generator, facts);
  ASSERT_TRUE((*simulation)->Load(Parse(rules, facts).policy).ok());
  ASSERT_TRUE(PlainModel::Supports(Parse(rules, facts).policy).ok());
  PlainModel model(Parse(rules, facts).policy,
                   {{.name = "outside", .peer = 1},
                    {.name = "inside", .groups = {"lan"}, .peer = 0}});
  uint64_t now = 0;
  std::vector<std::string> history;
  for (int i = 0; i < 400; ++i) {
    if (generator.OneIn(150)) {
      rules = SoundRuleset(generator, facts);
      ASSERT_TRUE((*simulation)->Load(Parse(rules, facts).policy).ok());
      model.Load(Parse(rules, facts).policy);
      history.push_back("commit of\n" + rules);
    }
    uint64_t gap = generator.Gap();
    while (model.NearAnEnd(now + gap, kSlack)) gap += 2 * kSlack;
    now += gap;
    (*simulation)->Advance(gap);
    const std::string text = generator.Packet();
    const auto port = static_cast<uint16_t>(generator.Below(2));
    const std::vector<uint8_t> frame = FrameFromText(text);
    history.push_back(absl::StrCat("+", gap, "ms port ", port, ": ", text));

    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = pool.Make(frame);
    PacketInfo info;
    ParsePacket(*burst.mbufs[0], {}, &info);
    BurstResult result;
    (*simulation)->Process(port, burst, result);
    for (uint32_t k = 0; k < result.forward_count; ++k) {
      rte_pktmbuf_free(result.forward[k]);
    }
    for (uint32_t k = 0; k < result.answer_count; ++k) {
      rte_pktmbuf_free(result.answers[k]);
    }
    ModelVerdict pipeline{.passed = seen.verdict.passed,
                          .reason = seen.verdict.passed
                                        ? DropReason::kMatch
                                        : seen.verdict.reason,
                          .rule = {},
                          .judged = seen.verdict.judged};
    if (seen.verdict.rule != kNoRule) pipeline.rule = seen.verdict.rule;
    const ModelVerdict expected = model.Judge(port, frame, info, now);
    ASSERT_EQ(pipeline, expected)
        << "seed " << seed << ": the pipeline says " << Text(pipeline)
        << ", the model says " << Text(expected) << "\n" << rules << "\n"
        << absl::StrJoin(history, "\n") << "\n" << ScapyLine(frame) << "\n"
        << States(**simulation) << "the model's:\n" << model.Describe(now);
    ASSERT_EQ((*simulation)->states().size(), model.states())
        << "seed " << seed << "\n" << rules << "\n"
        << absl::StrJoin(history, "\n");
    (expected.passed ? tally.passed : tally.blocked) += 1;
    if (expected.passed) continue;
    tally.mismatch += expected.reason == DropReason::kStateMismatch;
    tally.option += expected.reason == DropReason::kIpOption;
    tally.limit += expected.reason == DropReason::kStateLimit;
  }
  tally.most_states = std::max<uint64_t>(tally.most_states, model.states());
  tally.matched += (*simulation)->expectations().statistics().matched;
}

TEST(Verdict, PipelineAndModelAgree) {
  MbufPool pool(255);
  Tally tally;
  for (uint32_t seed = 1; seed <= 500; ++seed) {
    RunOne(seed, pool, tally);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(pool.InUse(), 0u);
  EXPECT_GT(tally.passed, 10000u);
  EXPECT_GT(tally.blocked, 10000u);
  EXPECT_GT(tally.mismatch, 500u);
  EXPECT_GT(tally.option, 100u);
  EXPECT_GT(tally.limit, 100u);
  EXPECT_GT(tally.most_states, 8u);
  EXPECT_GT(tally.matched, 50u);
}

}  // namespace
}  // namespace sluice
