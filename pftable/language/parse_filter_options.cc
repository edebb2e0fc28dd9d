// What may follow the addresses of a rule, in any order.
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "pftable/policy/names.h"
#include "pftable/language/parser_internal.h"

namespace sluice {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxTag = 63;
constexpr size_t kMaxLabels = 5;  // FreeBSD; OpenBSD has one

}  // namespace

bool Parser::ParseFilterOptions(RuleSyntax& rule) {
  while (!AtStatementEnd() && !token_.Is('{')) {
    if (token_.Is('!')) {
      const SourcePlace place = Take().place;
      if (AcceptWord("tagged")) {
        rule.rule.tagged_negated = true;
        if (!rule.rule.tagged.empty()) {
          return Error(place, "'tagged' is given twice");
        }
        if (!ParseTag("tag", rule.rule.tagged)) return false;
      } else if (AcceptWord("received-on")) {
        rule.rule.received_on.negated = true;
        const SourcePlace name_place = token_.place;
        if (!TakeString("an interface name", rule.rule.received_on.name,
                        kMaxInterfaceName)) {
          return false;
        }
        UseInterface(rule.rule.received_on.name, name_place);
      } else {
        return Unexpected("'tagged' or 'received-on'",
                          {"tagged", "received-on"});
      }
      continue;
    }
    if (token_.kind != TokenKind::kWord) {
      return Unexpected("an option of the rule");
    }
    const Token word = Take();
    if (!ParseFilterOption(rule, word)) return false;
  }
  return true;
}

bool Parser::ParseFilterOption(RuleSyntax& rule, const Token& word) {
  Rule& r = rule.rule;
  const std::string& w = word.text;
  int64_t number = 0;
  const auto twice = [&] {
    return Error(word.place, "'" + w + "' is given twice");
  };
  if (w == "flags") {
    if (rule.flags_given) return twice();
    rule.flags_place = word.place;
    return ParseFlags(rule);
  }
  if (w == "keep" || w == "modulate" || w == "synproxy" || w == "no") {
    if (rule.state_given) {
      return Error(word.place, "the state option is given twice");
    }
    if (!AcceptWord("state")) return Unexpected("'state'");
    rule.state_place = word.place;
    return ParseState(rule, w == "keep"       ? StateKind::kKeep
                            : w == "modulate" ? StateKind::kModulate
                            : w == "synproxy" ? StateKind::kSynproxy
                                              : StateKind::kNone);
  }
  if (w == "icmp-type") return ParseIcmpTypes(rule, Family::kIpv4);
  if (w == "icmp6-type") return ParseIcmpTypes(rule, Family::kIpv6);
  if (w == "user") return ParseIds(rule.users, true);
  if (w == "group") return ParseIds(rule.groups, false);
  if (w == "tos") {
    if (r.tos) return twice();
    r.tos.emplace(0);
    return ParseTos(*r.tos);
  }
  if (w == "fragment") {
    rule.fragment_place = word.place;
    r.fragment = true;
    return true;
  }
  if (w == "allow-opts") {
    if (r.allow_opts) return twice();
    r.allow_opts = true;
    return true;
  }
  if (w == "label") return ParseLabel(r.labels);
  if (w == "tag") {
    if (!r.tag.empty()) return twice();
    return ParseTag("tag", r.tag);
  }
  if (w == "tagged") {
    if (!r.tagged.empty()) return twice();
    return ParseTag("tag", r.tagged);
  }
  if (w == "received-on") {
    if (r.received_on.IsSet()) return twice();
    const SourcePlace name_place = token_.place;
    if (!TakeString("an interface name", r.received_on.name,
                    kMaxInterfaceName)) {
      return false;
    }
    UseInterface(r.received_on.name, name_place);
    return true;
  }
  if (w == "once") {
    r.once = true;
    return true;
  }
  if (w == "probability") {
    if (r.probability != 0) return twice();
    return ParseProbability(r.probability);
  }
  if (w == "prio") {
    if (r.prio) return twice();
    if (!TakeNumber("prio", 0, 7, number)) return false;
    r.prio = static_cast<uint8_t>(number);
    return true;
  }
  if (w == "max-pkt-rate") {
    if (r.max_pkt_rate.IsSet()) return twice();
    return ParseRate("max-pkt-rate", r.max_pkt_rate);
  }
  if (w == "max-pkt-size") {
    if (r.max_pkt_size != 0) return twice();
    if (!TakeNumber("max-pkt-size", 1, 65535, number)) return false;
    r.max_pkt_size = static_cast<uint16_t>(number);
    return true;
  }
  if (w == "ridentifier") {
    if (r.ridentifier != 0) return twice();
    if (!TakeNumber("ridentifier", 1, kMaxUint32, number)) return false;
    r.ridentifier = static_cast<uint32_t>(number);
    return true;
  }
  if (w == "set") return ParseSet(rule);
  if (w == "scrub") return ParseScrubOptions(r.scrub, true);
  if (w == "nat-to") {
    if (rule.nat || rule.binat) return twice();
    return ParsePool(rule.nat, false);
  }
  if (w == "rdr-to") {
    if (rule.rdr || rule.binat) return twice();
    return ParsePool(rule.rdr, true);
  }
  if (w == "binat-to") {
    if (rule.nat || rule.rdr || rule.binat) return twice();
    return ParsePool(rule.binat, false);
  }
  if (w == "af-to") return ParseAfTo(rule);
  if (w == "route-to") return ParseRoute(rule, RouteKind::kRouteTo);
  if (w == "reply-to") return ParseRoute(rule, RouteKind::kReplyTo);
  if (w == "dup-to") return ParseRoute(rule, RouteKind::kDupTo);
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
  return Error(word.place,
               "syntax error: '" + w.substr(0, 64) +
                   "' is not an option of a rule",
               std::move(hint));
}

bool Parser::ParseFlags(RuleSyntax& rule) {
  rule.flags_given = true;
  if (AcceptWord("any")) return true;
  TcpFlagsMatch flags;
  const auto letters = [&](uint8_t& out) {
    const Token word = token_;
    if (word.kind != TokenKind::kWord) return Unexpected("TCP flags");
    const auto parsed = ParseTcpFlags(word.text);
    if (!parsed) {
      return Error(word.place, "bad flags " + word.text.substr(0, 64),
                   "flags are of F S R P A U E W, as in S/SA");
    }
    Take();
    out = *parsed;
    return true;
  };
  const SourcePlace place = token_.place;
  if (!token_.Is('/') && !letters(flags.set)) return false;
  if (!Expect('/', "in flags SET/MASK")) return false;
  if (!letters(flags.mask)) return false;
  if ((flags.set & flags.mask) != flags.set) {
    return Error(place, "no packet can have these flags: " +
                            TcpFlagsText(flags.set) + " is not in the mask " +
                            TcpFlagsText(flags.mask));
  }
  rule.rule.flags = flags;
  return true;
}

bool Parser::ParseIcmpTypes(RuleSyntax& rule, Family family) {
  return ParseList([&] {
    IcmpItem item;
    item.family = family;
    item.place = token_.place;
    const Token word = token_;
    if (word.kind == TokenKind::kNumber || ParseUnsigned(word.text)) {
      int64_t number = 0;
      if (!TakeNumber("icmp type", 0, 255, number)) return false;
      item.type = static_cast<uint8_t>(number);
    } else if (!word.IsString()) {
      return Unexpected("an icmp type");
    } else {
      const auto type = IcmpTypeByName(word.text, family);
      if (!type) {
        std::vector<std::string_view> names;
        for (const IcmpTypeName& t : IcmpTypeNames(family)) {
          names.push_back(t.name);
        }
        return Error(word.place,
                     std::string("unknown ") +
                         (family == Family::kIpv6 ? "icmp6" : "icmp") +
                         "-type " + word.text.substr(0, 64),
                     DidYouMean(word.text, names));
      }
      Take();
      item.type = *type;
    }
    if (AcceptWord("code")) {
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

bool Parser::ParseIdValue(const Token& token, bool users, uint32_t& id) {
  if (!token.IsString() && token.kind != TokenKind::kNumber) {
    return Error(token.place, std::string("a ") +
                                  (users ? "user" : "group") + " is wanted");
  }
  if (token.IsWord("unknown")) {
    id = kUnknownId;
    return true;
  }
  if (const auto number = ParseUnsigned(token.text)) {
    if (*number >= kUnknownId) {
      return Error(token.place, "illegal id " + token.text);
    }
    id = static_cast<uint32_t>(*number);
    return true;
  }
  const auto known =
      users ? facts_.User(token.text) : facts_.Group(token.text);
  if (!known) {
    return Error(token.place, std::string("unknown ") +
                                  (users ? "user " : "group ") +
                                  token.text.substr(0, 64),
                 DidYouMean(token.text, users ? facts_.UserNames()
                                              : facts_.GroupNames()));
  }
  id = *known;
  return true;
}

bool Parser::ParseIds(std::vector<IdMatch>& out, bool users) {
  return ParseList([&] {
    IdMatch match;
    const CompareOperator unary = AcceptUnaryOperator();
    const Token first = token_;
    if (!ParseIdValue(first, users, match.low)) return false;
    Take();
    if (unary == CompareOperator::kNone &&
        (token_.kind == TokenKind::kExclusiveRange ||
         token_.kind == TokenKind::kExceptRange)) {
      match.op = token_.kind == TokenKind::kExclusiveRange
                     ? CompareOperator::kExclusiveRange
                     : CompareOperator::kExceptRange;
      Take();
      const Token last = token_;
      if (!ParseIdValue(last, users, match.high)) return false;
      Take();
    } else {
      match.op =
          unary == CompareOperator::kNone ? CompareOperator::kEqual : unary;
      match.high = match.low;
    }
    const bool equality = match.op == CompareOperator::kEqual ||
                          match.op == CompareOperator::kNotEqual;
    if (!equality &&
        (match.low == kUnknownId || match.high == kUnknownId)) {
      return Error(first.place, "'unknown' requires operator = or !=");
    }
    out.push_back(match);
    return true;
  });
}

bool Parser::ParseTos(uint8_t& tos) {
  if (token_.kind == TokenKind::kWord) {
    if (const auto known = TosByName(token_.text)) {
      Take();
      tos = *known;
      return true;
    }
    if (!ParseUnsigned(token_.text)) {
      return Error(token_.place,
                   "illegal tos value " + token_.text.substr(0, 64),
                   DidYouMean(token_.text, TosNames()));
    }
  }
  int64_t number = 0;
  if (!TakeNumber("tos", 0, 255, number)) return false;
  tos = static_cast<uint8_t>(number);
  return true;
}

bool Parser::ParseLabel(std::vector<std::string>& labels) {
  const SourcePlace place = token_.place;
  std::string label;
  if (!TakeString("a label", label, kMaxTokenBytes)) return false;
  if (label.size() > kMaxLabel) {
    return Error(place, "rule label too long, max 63 chars");
  }
  const size_t most = InDialect(Dialect::kFreeBsd) ? kMaxLabels : 1;
  if (labels.size() >= most) {
    return Error(place,
                 most == 1 ? "label is given twice"
                           : "too many labels, max 5 per rule",
                 most == 1 ? "FreeBSD's pf takes up to five: --dialect freebsd"
                           : "");
  }
  labels.push_back(std::move(label));
  return true;
}

bool Parser::ParseTag(std::string_view what, std::string& tag) {
  const SourcePlace place = token_.place;
  if (!TakeString(what, tag, kMaxTokenBytes)) return false;
  if (tag.size() > kMaxTag) {
    return Error(place, "tag too long, max 63 chars");
  }
  if (tag.empty()) return Error(place, "empty tag");
  return true;
}

bool Parser::ParseProbability(uint32_t& probability) {
  const Token word = token_;
  std::string text;
  if (!TakeString("a probability", text, 64)) return false;
  const bool percent = !text.empty() && text.back() == '%';
  if (percent) text.pop_back();
  bool digits = !text.empty();
  for (char c : text) digits = digits && ((c >= '0' && c <= '9') || c == '.');
  char* end = nullptr;
  double p = digits ? std::strtod(text.c_str(), &end) : -1;
  if (!digits || *end != '\0') {
    return Error(word.place, "invalid probability: " + word.text,
                 "write a percentage such as 20%, or a number from 0 to 1");
  }
  // A percentage may also stand in a word of its own, as in "20 %".
  if (!percent && token_.Is('%')) Take();
  if (percent) p /= 100;
  if (p < 0 || p > 1) {
    return Error(word.place, "probability " + word.text +
                                 " is out of range, 0 to 100%");
  }
  const double scaled = std::floor(p * 4294967296.0 + 0.5);
  // Never is not to be had; the least there is comes closest.
  probability = scaled >= 4294967295.0 ? 0
                : scaled < 1           ? 1
                                       : static_cast<uint32_t>(scaled);
  return true;
}

bool Parser::ParseRate(std::string_view what, RateLimit& rate) {
  int64_t count = 0;
  int64_t seconds = 0;
  if (!TakeNumber(what, 1, kMaxUint32, count) ||
      !Expect('/', "between a number and its seconds") ||
      !TakeNumber("the seconds of a rate", 1, kMaxUint32, seconds)) {
    return false;
  }
  rate.count = static_cast<uint32_t>(count);
  rate.seconds = static_cast<uint32_t>(seconds);
  return true;
}

bool Parser::ParseSet(RuleSyntax& rule) {
  if (!Accept('(')) return ParseSetItem(rule);
  if (token_.Is(')')) return Unexpected("something to set");
  while (!Accept(')')) {
    if (!ParseSetItem(rule)) return false;
    Accept(',');
  }
  return true;
}

bool Parser::ParseSetItem(RuleSyntax& rule) {
  Rule& r = rule.rule;
  int64_t number = 0;
  const Token word = token_;
  if (AcceptWord("prio")) {
    if (r.set_prio) return Error(word.place, "prio is given twice");
    std::array<uint8_t, 2> prio{};
    const bool pair = Accept('(');
    if (!TakeNumber("prio", 0, 7, number)) return false;
    prio[0] = prio[1] = static_cast<uint8_t>(number);
    if (pair) {
      Accept(',');
      if (!TakeNumber("prio", 0, 7, number)) return false;
      prio[1] = static_cast<uint8_t>(number);
      if (!Expect(')', "after two priorities")) return false;
    }
    r.set_prio = prio;
    return true;
  }
  if (AcceptWord("tos")) {
    if (r.set_tos) return Error(word.place, "tos is given twice");
    r.set_tos.emplace(0);
    return ParseTos(*r.set_tos);
  }
  if (AcceptWord("delay")) {
    if (!TakeNumber("delay", 1, 65535, number)) return false;
    r.foreign.delay = static_cast<uint16_t>(number);
    return true;
  }
  if (token_.IsWord("queue")) {
    Take();
    bool known = false;
    return ParseForeignOption(rule, word, known);
  }
  return Unexpected("prio, tos, queue or delay",
                    {"prio", "tos", "queue", "delay"});
}

}  // namespace sluice
