#include "pftable/language/parse_filter_options.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/policy/names.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxTag = 63;
constexpr size_t kMaxLabels = 5;  // FreeBSD; OpenBSD has one

}  // namespace

bool RuleOptionParser::ParseFilterOptions(RuleSyntax& rule) {
  while (!in_.AtStatementEnd() && !in_.token().Is('{')) {
    if (in_.token().Is('!')) {
      in_.Take();
      if (in_.AcceptWord("tagged")) {
        rule.rule.tagged_negated = true;
        if (!ParseTag("tag", rule.rule.tagged)) return false;
      } else if (in_.AcceptWord("received-on")) {
        rule.rule.received_on.negated = true;
        const SourcePlace name_place = in_.token().place;
        if (!in_.TakeInterface(rule.rule.received_on.name)) {
          return false;
        }
        names_.UseInterface(rule.rule.received_on.name, name_place);
      } else {
        return in_.Unexpected("'tagged' or 'received-on'",
                              {"tagged", "received-on"});
      }
      continue;
    }
    if (in_.token().kind != TokenKind::kWord) {
      return in_.Unexpected("an option of the rule");
    }
    const Token word = in_.Take();
    if (!ParseFilterOption(rule, word)) return false;
  }
  return true;
}

bool RuleOptionParser::ParseFilterOption(RuleSyntax& rule, const Token& word) {
  Rule& r = rule.rule;
  const std::string& w = word.text;
  int64_t number = 0;
  const auto twice = [&] {
    return in_.Error(word.place, "'" + w + "' is given twice");
  };
  if (w == "flags") {
    if (rule.flags_given) return twice();
    rule.flags_place = word.place;
    return ParseFlags(rule);
  }
  if (w == "keep" || w == "modulate" || w == "synproxy" || w == "no") {
    if (rule.state_given) {
      return in_.Error(word.place, "the state option is given twice");
    }
    if (!in_.AcceptWord("state")) return in_.Unexpected("'state'");
    rule.state_place = word.place;
    return states_.ParseState(rule, w == "keep"       ? StateKind::kKeep
                                    : w == "modulate" ? StateKind::kModulate
                                    : w == "synproxy" ? StateKind::kSynproxy
                                                      : StateKind::kNone);
  }
  if (w == "icmp-type" || w == "icmp6-type") {
    if (!rule.icmp.empty()) return twice();
    return ParseIcmpTypes(rule, w == "icmp-type" ? Family::kIpv4
                                                 : Family::kIpv6);
  }
  if (w == "user" || w == "group") {
    // Given again, what is new goes in front.
    std::vector<IdMatch>& all = w == "user" ? rule.users : rule.groups;
    std::vector<IdMatch> more;
    if (!ParseIds(more, w == "user")) return false;
    all.insert(all.begin(), more.begin(), more.end());
    return true;
  }
  if (w == "tos") {
    if (r.tos) return twice();
    if (!ParseTos(r.tos.emplace(0))) return false;
    // pf takes it for none.
    if (*r.tos == 0) r.tos.reset();
    return true;
  }
  if (w == "fragment") {
    rule.fragment_place = word.place;
    r.fragment = true;
    return true;
  }
  if (w == "allow-opts") {
    r.allow_opts = true;
    return true;
  }
  if (w == "label") return ParseLabel(r.labels);
  if (w == "tag") return ParseTag("tag", r.tag);
  if (w == "tagged") {
    r.tagged_negated = false;
    return ParseTag("tag", r.tagged);
  }
  if (w == "received-on") {
    if (r.received_on.IsSet()) return twice();
    const SourcePlace name_place = in_.token().place;
    if (!in_.TakeInterface(r.received_on.name)) {
      return false;
    }
    names_.UseInterface(r.received_on.name, name_place);
    return true;
  }
  if (w == "once") {
    r.once = true;
    return true;
  }
  if (w == "probability") {
    if (!ParseProbability(r.probability)) return false;
    // pfctl prints it between a state and the brackets of that.
    const bool brackets = in_.token().Is('(') && rule.state_given &&
                          !rule.state_options_given;
    return !brackets || states_.ParseBrackets(rule);
  }
  if (w == "prio") {
    if (r.prio) return twice();
    if (!in_.TakeNumber("prio", 0, 7, number)) return false;
    r.prio = static_cast<uint8_t>(number);
    return true;
  }
  if (w == "max-pkt-rate") {
    if (r.max_pkt_rate.IsSet()) return twice();
    return in_.ParseRate("max-pkt-rate", r.max_pkt_rate);
  }
  if (w == "max-pkt-size") {
    if (r.max_pkt_size != 0) return twice();
    if (!in_.TakeNumber("max-pkt-size", 0, 65535, number)) return false;
    r.max_pkt_size = static_cast<uint16_t>(number);
    return true;
  }
  if (w == "ridentifier") {
    if (!in_.TakeNumber("ridentifier", 0, kMaxUint32, number)) return false;
    r.ridentifier = static_cast<uint32_t>(number);
    return true;
  }
  if (w == "set") return ParseSet(rule);
  if (w == "scrub") {
    if (!ParseScrubOptions(r.scrub, true)) return false;
    // FreeBSD has one TOS to set, wherever it stands; the last one holds.
    if (r.scrub.set_tos && in_.InDialect(Dialect::kFreeBsd)) {
      r.set_tos = std::exchange(r.scrub.set_tos, std::nullopt);
    }
    return true;
  }
  if (w == "nat-to") {
    if (rule.nat || rule.binat) return twice();
    return pools_.ParsePool(rule.nat, false);
  }
  if (w == "rdr-to") {
    if (rule.rdr || rule.binat) return twice();
    return pools_.ParsePool(rule.rdr, true);
  }
  if (w == "binat-to") {
    if (rule.nat || rule.rdr || rule.binat) return twice();
    return pools_.ParsePool(rule.binat, false);
  }
  if (w == "af-to") return pools_.ParseAfTo(rule);
  if (w == "route-to") return pools_.ParseRoute(rule, RouteKind::kRouteTo);
  if (w == "reply-to") return pools_.ParseRoute(rule, RouteKind::kReplyTo);
  if (w == "dup-to") return pools_.ParseRoute(rule, RouteKind::kDupTo);
  bool known = false;
  if (!ParseForeignOption(rule, word, known)) return false;
  if (known) return true;
  std::string hint;
  if (IsReservedWord(w)) {
    hint = "the order is: action, direction, log, quick, on, family, proto, "
           "from, to, options";
  } else {
    hint = DidYouMean(w, ReservedWords());
  }
  return in_.Error(
      word.place,
      "syntax error: '" + w.substr(0, 64) + "' is not an option of a rule",
      std::move(hint));
}

bool RuleOptionParser::ParseFlags(RuleSyntax& rule) {
  rule.flags_given = true;
  if (in_.AcceptWord("any")) return true;
  TcpFlagsMatch flags;
  const auto letters = [&](uint8_t& out) {
    const Token word = in_.token();
    if (word.kind != TokenKind::kWord) return in_.Unexpected("TCP flags");
    const auto parsed = ParseTcpFlags(word.text);
    if (!parsed) {
      return in_.Error(word.place, "bad flags " + word.text.substr(0, 64),
                       "flags are of F S R P A U E W, as in S/SA");
    }
    in_.Take();
    out = *parsed;
    return true;
  };
  const SourcePlace place = in_.token().place;
  if (!in_.token().Is('/') && !letters(flags.set)) return false;
  if (!in_.Expect('/', "in flags SET/MASK")) return false;
  if (!letters(flags.mask)) return false;
  if ((flags.set & flags.mask) != flags.set) {
    return in_.Error(
        place, "no packet can have these flags: " + TcpFlagsText(flags.set) +
                   " is not in the mask " + TcpFlagsText(flags.mask));
  }
  rule.rule.flags = flags;
  return true;
}

bool RuleOptionParser::ParseIcmpTypes(RuleSyntax& rule, Family family) {
  return in_.ParseList([&] {
    IcmpItem item;
    item.is_set = true;
    item.family = family;
    item.place = in_.token().place;
    const Token word = in_.token();
    if (word.kind == TokenKind::kNumber || ParseUnsigned(word.text)) {
      int64_t number = 0;
      if (!in_.TakeNumber("icmp type", 0, 255, number)) return false;
      item.type = static_cast<uint8_t>(number);
    } else if (!word.IsString()) {
      return in_.Unexpected("an icmp type");
    } else {
      const auto type = IcmpTypeByName(word.text, family);
      if (!type) {
        std::vector<std::string_view> names;
        for (const IcmpTypeName& t : IcmpTypeNames(family)) {
          names.push_back(t.name);
        }
        return in_.Error(word.place,
                         std::string("unknown ") +
                             (family == Family::kIpv6 ? "icmp6" : "icmp") +
                             "-type " + word.text.substr(0, 64),
                         DidYouMean(word.text, names));
      }
      in_.Take();
      item.type = *type;
    }
    if (in_.AcceptWord("code")) {
      item.code.emplace(0);
      if (!ParseIcmpCode(family == Family::kIpv6 ? "icmp6 code" : "icmp code",
                         item.type, family, *item.code)) {
        return false;
      }
    }
    rule.icmp.push_back(item);
    return true;
  });
}

bool RuleOptionParser::ParseIdValue(const Token& token, bool users,
                                    uint32_t& id) {
  if (!token.IsString() && token.kind != TokenKind::kNumber) {
    return in_.Error(
        token.place,
        std::string("a ") + (users ? "user" : "group") + " is wanted");
  }
  if (token.IsWord("unknown")) {
    id = kUnknownId;
    return true;
  }
  if (const auto number = ParseUnsigned(token.text)) {
    if (*number >= kUnknownId) {
      return in_.Error(token.place, "illegal id " + token.text);
    }
    id = static_cast<uint32_t>(*number);
    return true;
  }
  const auto known =
      users ? facts_.User(token.text) : facts_.Group(token.text);
  if (!known) {
    return in_.Error(token.place,
                     std::string("unknown ") + (users ? "user " : "group ") +
                         token.text.substr(0, 64),
                     DidYouMean(token.text, users ? facts_.UserNames()
                                                  : facts_.GroupNames()));
  }
  id = *known;
  return true;
}

bool RuleOptionParser::ParseIds(std::vector<IdMatch>& out, bool users) {
  return in_.ParseList([&] {
    IdMatch match;
    const CompareOperator unary = ports_.AcceptUnaryOperator();
    const Token first = in_.token();
    if (!ParseIdValue(first, users, match.low)) return false;
    in_.Take();
    if (unary == CompareOperator::kNone &&
        (in_.token().kind == TokenKind::kExclusiveRange ||
         in_.token().kind == TokenKind::kExceptRange)) {
      match.op = in_.token().kind == TokenKind::kExclusiveRange
                     ? CompareOperator::kExclusiveRange
                     : CompareOperator::kExceptRange;
      in_.Take();
      const Token last = in_.token();
      if (!ParseIdValue(last, users, match.high)) return false;
      in_.Take();
    } else {
      match.op =
          unary == CompareOperator::kNone ? CompareOperator::kEqual : unary;
      match.high = match.low;
    }
    const bool equality = match.op == CompareOperator::kEqual ||
                          match.op == CompareOperator::kNotEqual;
    if (!equality &&
        (match.low == kUnknownId || match.high == kUnknownId)) {
      return in_.Error(first.place, "'unknown' requires operator = or !=");
    }
    out.push_back(match);
    return true;
  });
}

bool RuleOptionParser::ParseTos(uint8_t& tos) {
  if (in_.token().kind == TokenKind::kWord) {
    if (const auto known = TosByName(in_.token().text)) {
      in_.Take();
      tos = *known;
      return true;
    }
    if (!ParseUnsigned(in_.token().text)) {
      return in_.Error(in_.token().place,
                       "illegal tos value " + in_.token().text.substr(0, 64),
                       DidYouMean(in_.token().text, TosNames()));
    }
  }
  int64_t number = 0;
  if (!in_.TakeNumber("tos", 0, 255, number)) return false;
  tos = static_cast<uint8_t>(number);
  return true;
}

bool RuleOptionParser::ParseLabel(std::vector<std::string>& labels) {
  const SourcePlace place = in_.token().place;
  std::string label;
  if (!in_.TakeName("a label", label, kMaxTokenBytes)) return false;
  if (label.size() > kMaxLabel) {
    return in_.Error(place, "rule label too long, max 63 chars");
  }
  // pf takes an empty one for none.
  if (label.empty()) return true;
  const size_t most = in_.InDialect(Dialect::kFreeBsd) ? kMaxLabels : 1;
  if (labels.size() >= most) {
    return in_.Error(
        place,
        most == 1 ? "label is given twice" : "too many labels, max 5 per rule",
        most == 1 ? "FreeBSD's pf takes up to five: --dialect freebsd" : "");
  }
  labels.push_back(std::move(label));
  return true;
}

bool RuleOptionParser::ParseTag(std::string_view what, std::string& tag) {
  const SourcePlace place = in_.token().place;
  if (!in_.TakeName(what, tag, kMaxTokenBytes)) return false;
  // Words that follow belong to it.
  while (in_.IsName() && (in_.token().kind == TokenKind::kQuoted ||
                          !EndsTag(in_.token().text))) {
    std::string more;
    if (!in_.TakeName(what, more, kMaxTokenBytes)) return false;
    tag += ' ' + more;
  }
  if (tag.size() > kMaxTag) {
    return in_.Error(place, "tag too long, max 63 chars");
  }
  if (tag.empty()) return in_.Error(place, "empty tag");
  return true;
}

bool RuleOptionParser::ParseProbability(uint32_t& probability) {
  const Token word = in_.token();
  std::string text;
  if (!in_.TakeString("a probability", text, 64)) return false;
  const bool percent = !text.empty() && text.back() == '%';
  if (percent) text.pop_back();
  bool digits = !text.empty();
  for (char c : text) digits = digits && ((c >= '0' && c <= '9') || c == '.');
  char* end = nullptr;
  double p = digits ? std::strtod(text.c_str(), &end) : -1;
  if (!digits || *end != '\0') {
    return in_.Error(word.place, "invalid probability: " + word.text,
                     "write a percentage such as 20%, or a number from 0 to 1");
  }
  // A percentage may also stand in a word of its own, as in "20 %".
  if (!percent && in_.token().Is('%')) in_.Take();
  if (percent) p /= 100;
  if (p < 0 || p > 1) {
    return in_.Error(
        word.place, "probability " + word.text + " is out of range, 0 to 100%");
  }
  // As pfctl scales it: neither never nor always is to be had.
  const double scaled = std::floor(p * 4294967295.0 + 0.5);
  probability = scaled < 1 ? 1 : static_cast<uint32_t>(scaled);
  return true;
}

bool RuleOptionParser::ParseSet(RuleSyntax& rule) {
  if (!in_.Accept('(')) return ParseSetItem(rule);
  if (in_.token().Is(')')) return in_.Unexpected("something to set");
  while (!in_.Accept(')')) {
    if (!ParseSetItem(rule)) return false;
    in_.Accept(',');
  }
  return true;
}

bool RuleOptionParser::ParseSetItem(RuleSyntax& rule) {
  Rule& r = rule.rule;
  int64_t number = 0;
  const Token word = in_.token();
  if (in_.AcceptWord("prio")) {
    if (r.set_prio) return in_.Error(word.place, "prio is given twice");
    std::array<uint8_t, 2> prio{};
    const bool pair = in_.Accept('(');
    if (!in_.TakeNumber("prio", 0, 7, number)) return false;
    prio[0] = prio[1] = static_cast<uint8_t>(number);
    if (pair) {
      in_.Accept(',');
      if (!in_.TakeNumber("prio", 0, 7, number)) return false;
      prio[1] = static_cast<uint8_t>(number);
      if (!in_.Expect(')', "after two priorities")) return false;
    }
    r.set_prio = prio;
    return true;
  }
  if (in_.AcceptWord("tos")) {
    if (r.set_tos) return in_.Error(word.place, "tos is given twice");
    r.set_tos.emplace(0);
    return ParseTos(*r.set_tos);
  }
  if (in_.AcceptWord("delay")) {
    if (!in_.TakeNumber("delay", 0, 65535, number)) return false;
    r.foreign.delay = static_cast<uint16_t>(number);
    return true;
  }
  if (in_.token().IsWord("queue")) {
    in_.Take();
    bool known = false;
    return ParseForeignOption(rule, word, known);
  }
  return in_.Unexpected("prio, tos, queue or delay",
                        {"prio", "tos", "queue", "delay"});
}

bool RuleOptionParser::ParseIcmpCode(std::string_view what, uint8_t type,
                                     Family family, uint8_t& code) {
  const Token word = in_.token();
  if (word.kind == TokenKind::kNumber || ParseUnsigned(word.text)) {
    int64_t number = 0;
    if (!in_.TakeNumber(what, 0, 255, number)) return false;
    code = static_cast<uint8_t>(number);
    return true;
  }
  if (!word.IsString()) return in_.Unexpected(what);
  const auto known = IcmpCodeByName(word.text, type, family);
  if (!known) {
    std::vector<std::string_view> names;
    for (const IcmpCodeName& c : IcmpCodeNames(family)) {
      if (c.type == type) names.push_back(c.name);
    }
    return in_.Error(
        word.place,
        "unknown " + std::string(what) + " " + word.text.substr(0, 64),
        DidYouMean(word.text, names));
  }
  in_.Take();
  code = *known;
  return true;
}

}  // namespace sluice
