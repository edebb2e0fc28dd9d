// Whatever rule there is: what is printed of it reads back to an equal rule,
// in both dialects.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pftable/language/parser.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

constexpr uint32_t kSeed = 20240229;
constexpr int kRules = 20000;

class RuleMaker {
 public:
  explicit RuleMaker(Dialect dialect) : dialect_(dialect), random_(kSeed) {}

  Rule Make() {
    Rule r;
    r.action = Pick({RuleAction::kPass, RuleAction::kBlock,
                     RuleAction::kMatch});
    const bool pass = r.action == RuleAction::kPass;
    r.direction = Pick({Direction::kBoth, Direction::kIn, Direction::kOut});
    r.family = Pick({Family::kNone, Family::kIpv4, Family::kIpv6});
    r.protocol = Pick<uint8_t>({0, 1, 6, 6, 17, 58, 132, 200});
    if (r.protocol == 1 && r.family == Family::kIpv6) r.protocol = 58;
    if (r.protocol == 58 && r.family == Family::kIpv4) r.protocol = 1;
    if (r.action == RuleAction::kBlock) MakeReturn(r);
    MakeLog(r.log);
    r.quick = Chance(2);
    if (Chance(2)) {
      r.on = {.name = Pick<std::string>({"em0", "egress", "any", "a.b:c",
                                         "quick"}),
              .negated = false};
      r.on.negated = r.on.name != "any" && Chance(2);
    }
    MakeEndpoint(r, r.source);
    MakeEndpoint(r, r.destination);
    // A rule without a family says nothing that has one.
    r.fragment = Chance(8) && !r.source.port.IsSet() &&
                 !r.destination.port.IsSet();
    if (pass) MakeState(r);
    MakeFlags(r);
    if ((r.protocol == 1 || r.protocol == 58) && r.family != Family::kNone &&
        !r.fragment && Chance(2)) {
      r.icmp_type = static_cast<uint8_t>(Below(256));
      if (Chance(2)) r.icmp_code = static_cast<uint8_t>(Below(20));
    }
    // 0 is said as none.
    if (Chance(4)) r.tos = static_cast<uint8_t>(1 + Below(255));
    if (Chance(4)) r.prio = static_cast<uint8_t>(Below(8));
    if (Chance(8)) r.max_pkt_rate = {.count = Number(), .seconds = Number()};
    if (Chance(8)) r.max_pkt_size = static_cast<uint16_t>(1 + Below(65535));
    const bool sockets = r.protocol == 6 || r.protocol == 17;
    if (sockets && Chance(8)) r.user = MakeId();
    if (sockets && Chance(8)) r.group = MakeId();
    if (Chance(8)) {
      r.received_on = {.name = "em1", .negated = Chance(2)};
    }
    r.allow_opts = pass && Chance(4);
    r.once = r.action != RuleAction::kMatch && Chance(8);
    if (Chance(4)) r.tag = Name();
    if (Chance(4)) {
      r.tagged = Name();
      r.tagged_negated = Chance(2);
    }
    if (Chance(4)) {
      r.labels.push_back(Name());
      if (dialect_ == Dialect::kFreeBsd && Chance(2)) {
        r.labels.push_back(Name());
      }
    }
    if (Chance(8)) r.ridentifier = Number();
    if (Chance(4)) {
      const uint8_t low = static_cast<uint8_t>(Below(8));
      r.set_prio = {low, Chance(2) ? low : static_cast<uint8_t>(Below(8))};
    }
    if (Chance(8)) r.set_tos = static_cast<uint8_t>(Below(256));
    if (Chance(4)) MakeScrub(r.family, r.scrub);
    if (r.direction != Direction::kBoth && r.family != Family::kNone &&
        (pass ? r.state != StateKind::kNone
              : r.action == RuleAction::kMatch)) {
      if (Chance(3)) r.nat = MakePool(r.family, /*is_rdr=*/false);
      if (Chance(3)) r.rdr = MakePool(r.family, /*is_rdr=*/true);
    }
    return r;
  }

 private:
  uint32_t Below(uint32_t n) {
    return std::uniform_int_distribution<uint32_t>(0, n - 1)(random_);
  }
  bool Chance(uint32_t n) { return Below(n) == 0; }
  uint32_t Number() { return 1 + Below(0xfffffffe); }
  template <typename T>
  T Pick(std::initializer_list<T> values) {
    return *(values.begin() + Below(static_cast<uint32_t>(values.size())));
  }
  // Names that would be keywords, numbers or several words without quotes.
  std::string Name() {
    return Pick<std::string>({"a", "web-1", "two words", "pass", "12", "x\"y",
                              "b\\ c", "{x}", "'q'", "#no"});
  }
  Address MakeAddress(Family family) {
    Address a;
    a.family = family;
    for (int i = 0; i < AddressBits(family) / 8; ++i) {
      a.bytes[i] = static_cast<uint8_t>(Chance(3) ? 0 : Below(256));
    }
    return a;
  }
  AddressMatch MakePrefix(Family family) {
    AddressMatch m;
    const int bits = 1 + static_cast<int>(Below(
                             static_cast<uint32_t>(AddressBits(family))));
    m.kind = AddressKind::kPrefix;
    m.mask = MaskOf(family, bits);
    m.address = And(MakeAddress(family), m.mask);
    return m;
  }
  void MakeEndpoint(const Rule& r, Endpoint& e) {
    switch (Below(7)) {
      case 0:
        if (r.family != Family::kNone) e.address = MakePrefix(r.family);
        break;
      case 1:
        if (r.family != Family::kNone) {
          e.address.kind = AddressKind::kRange;
          e.address.address = MakeAddress(r.family);
          e.address.range_end = MakeAddress(r.family);
          if (e.address.range_end < e.address.address) {
            std::swap(e.address.range_end, e.address.address);
          }
        }
        break;
      case 2:
        e.address.kind = AddressKind::kTable;
        e.address.name = Pick<std::string>({"t", "a-b.c:d", "table"});
        break;
      case 3:
        e.address.kind = AddressKind::kDynamicInterface;
        e.address.name = Pick<std::string>({"em0", "self", "no-such"});
        switch (Below(4)) {
          case 0:
            e.address.modifiers.network = true;
            break;
          case 1:
            e.address.modifiers.broadcast = true;
            break;
          case 2:
            e.address.modifiers.peer = true;
            break;
          default:
            if (Chance(2)) e.address.dynamic_prefix = 24;
            break;
        }
        e.address.modifiers.no_alias = Chance(2);
        break;
      case 4:
        // Only of where a packet comes from.
        e.address.kind = &e == &r.source && Chance(2)
                             ? AddressKind::kUrpfFailed
                             : AddressKind::kNoRoute;
        break;
      default:
        break;
    }
    const AddressKind kind = e.address.kind;
    e.address.negated = kind != AddressKind::kAny &&
                        kind != AddressKind::kNoRoute &&
                        kind != AddressKind::kUrpfFailed && Chance(3);
    const bool ports =
        r.protocol == 6 || r.protocol == 17 || r.protocol == 132;
    if (ports && Chance(2)) {
      e.port.op = static_cast<CompareOperator>(1 + Below(9));
      e.port.low = static_cast<uint16_t>(Below(65535));
      e.port.high = e.port.low;
      if (e.port.op >= CompareOperator::kRange) {
        e.port.high = static_cast<uint16_t>(
            e.port.low + 1 + Below(65535u - e.port.low));
      }
    }
  }
  void MakeReturn(Rule& r) {
    r.block_return = Pick({BlockReturn::kDrop, BlockReturn::kReturn,
                           BlockReturn::kReturnIcmp});
    if (r.protocol == 6 && Chance(3)) {
      r.block_return = BlockReturn::kReturnRst;
      r.return_rst_ttl = static_cast<uint8_t>(Below(256));
    }
    if (r.block_return != BlockReturn::kReturnIcmp) return;
    if (r.family != Family::kIpv6) {
      r.return_icmp_code = static_cast<uint8_t>(Below(256));
    }
    if (r.family != Family::kIpv4) {
      r.return_icmp6_code = static_cast<uint8_t>(Below(256));
    }
  }
  void MakeLog(LogOptions& log) {
    log.enabled = Chance(3);
    if (!log.enabled) return;
    log.all = Chance(2);
    log.matches = Chance(2);
    log.user = Chance(2);
    log.pflog = static_cast<uint8_t>(Below(256));
  }
  void MakeState(Rule& r) {
    r.state = Pick({StateKind::kNone, StateKind::kKeep, StateKind::kKeep,
                    StateKind::kModulate, StateKind::kSynproxy});
    // These become another's where they mean nothing, and say so.
    if (r.protocol != 6 || r.direction != Direction::kIn) {
      if (r.state != StateKind::kNone) r.state = StateKind::kKeep;
    }
    if (r.state == StateKind::kNone || Chance(2)) return;
    StateOptions& o = r.state_options;
    if (Chance(2)) o.max_states = 10 + Below(100000);
    o.no_sync = Chance(3);
    o.pflow = Chance(3);
    o.no_helpers = Chance(3);
    o.allow_related = Chance(3);
    o.if_bound = Chance(3);
    o.sloppy = r.state == StateKind::kKeep && Chance(3);
    if (Chance(3)) {
      o.source_track = SourceTrack::kRule;
      if (Chance(2)) o.max_src_nodes = Number();
      if (Chance(2)) o.max_src_states = Number();
      if (Chance(2)) {
        o.max_src_conn = Number();
        o.overload_table = "bad";
        o.overload_flush = Chance(2);
        o.overload_flush_global = o.overload_flush && Chance(2);
      }
    }
    if (Chance(2)) {
      o.timeouts.emplace_back(Timeout::kTcpFirst, Number());
      o.timeouts.emplace_back(Timeout::kOtherMultiple, 1 + Below(10));
    }
    // A limit brings these, if nobody says otherwise.
    if (o.max_states != 0) {
      o.timeouts.emplace_back(Timeout::kAdaptiveStart, o.max_states / 10 * 6);
      o.timeouts.emplace_back(Timeout::kAdaptiveEnd, o.max_states / 10 * 12);
    }
  }
  void MakeFlags(Rule& r) {
    const bool tcp = r.protocol == 0 || r.protocol == 6;
    if (!tcp || r.fragment) return;
    if (r.action == RuleAction::kPass && r.state != StateKind::kNone) {
      r.flags = {.set = 2, .mask = 18};
    }
    if (Chance(3)) {
      r.flags.mask = static_cast<uint8_t>(1 + Below(255));
      r.flags.set = static_cast<uint8_t>(Below(256) & r.flags.mask);
    }
  }
  IdMatch MakeId() {
    IdMatch m;
    m.op = Pick({CompareOperator::kEqual, CompareOperator::kNotEqual,
                 CompareOperator::kGreater, CompareOperator::kExceptRange});
    m.low = Below(100000);
    m.high = m.op == CompareOperator::kExceptRange ? m.low + 5 : m.low;
    if (m.op == CompareOperator::kEqual && Chance(2)) {
      m.low = m.high = kUnknownId;
    }
    return m;
  }
  void MakeScrub(Family family, ScrubOptions& s) {
    // Of IPv4's header.
    s.no_df = family != Family::kIpv6 && Chance(2);
    s.random_id = family != Family::kIpv6 && Chance(2);
    s.reassemble_tcp = Chance(2);
    s.min_ttl = static_cast<uint8_t>(Below(256));
    s.max_mss = static_cast<uint16_t>(Below(65536));
  }
  Pool MakePool(Family family, bool is_rdr) {
    Pool p;
    const uint32_t n = 1 + Below(3);
    for (uint32_t i = 0; i < n; ++i) {
      PoolAddress a;
      a.address = MakePrefix(family);
      p.addresses.push_back(a);
    }
    if (n > 1 && dialect_ == Dialect::kOpenBsd) {
      // There several addresses are a table.
      PoolAddress table;
      table.address.kind = AddressKind::kTable;
      table.address.name = "__automatic_7";
      p.addresses = {std::move(table)};
    }
    p.method = n > 1 ? PoolMethod::kRoundRobin
                     : Pick({PoolMethod::kNone, PoolMethod::kBitmask,
                             PoolMethod::kRandom, PoolMethod::kSourceHash});
    if (p.method == PoolMethod::kSourceHash && Chance(2)) {
      p.hash_key = "0x0123456789abcdef0123456789abcdef";
    }
    p.sticky_address = n > 1 && Chance(2);
    if (is_rdr && Chance(2)) {
      p.port_low = static_cast<uint16_t>(1 + Below(65000));
      if (Chance(2)) p.port_high = static_cast<uint16_t>(p.port_low + 7);
    } else if (!is_rdr && Chance(2)) {
      p.port_low = static_cast<uint16_t>(1 + Below(50000));
      p.port_high = static_cast<uint16_t>(p.port_low + Below(9));
    } else if (!is_rdr) {
      p.static_port = Chance(2);
    }
    return p;
  }

  Dialect dialect_;
  std::mt19937 random_;
};

void Try(Dialect dialect) {
  RuleMaker maker(dialect);
  const PrintOptions options = {.dialect = dialect};
  std::string text;
  std::vector<Rule> rules;
  for (int i = 0; i < kRules; ++i) {
    rules.push_back(maker.Make());
    text += PrintRule(rules.back(), options) + "\n";
  }
  ParseInput input;
  input.text = text;
  input.dialect = dialect;
  const ParseResult result = ParsePolicy(std::move(input));
  ASSERT_TRUE(result.ok()) << FormatDiagnostic(result.diagnostics[0]);
  std::vector<Rule> parsed = result.policy.main.rules.filter;
  ASSERT_EQ(parsed.size(), rules.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    parsed[i].place = {};
    ASSERT_EQ(PrintRule(parsed[i], options), PrintRule(rules[i], options));
    ASSERT_TRUE(parsed[i] == rules[i]) << PrintRule(rules[i], options);
    ASSERT_EQ(RuleIdentity(parsed[i]), RuleIdentity(rules[i]));
  }
}

TEST(RulePrint, ReadsBackOnOpenBsd) { Try(Dialect::kOpenBsd); }
TEST(RulePrint, ReadsBackOnFreeBsd) { Try(Dialect::kFreeBsd); }

}  // namespace
}  // namespace sluice
