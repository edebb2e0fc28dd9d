// The options of a packet in a test of a policy, and what is expected of it.
#include <string>
#include <vector>

#include "packet/drop_reason.h"
#include "pftable/language/policy_test_parser.h"
#include "pftable/language/words.h"
#include "pftable/policy/names.h"

namespace sluice {
namespace {

constexpr size_t kMaxTestName = 63;  // of tags and labels
constexpr size_t kMaxTestAnchor = 1023;

}  // namespace

bool PolicyTestParser::ParseOption(Expectation* e) {
  const Token word = in_.token();
  if (word.kind != TokenKind::kWord) {
    return in_.Unexpected("an option or the end of the statement");
  }
  const std::string& w = word.text;
  if (w == "flags") return Once(Taken(), 0) && ParseFlags(e);
  if (w == "icmp-type" || w == "icmp6-type") {
    const Family family =
        w == "icmp-type" ? Family::kIpv4 : Family::kIpv6;
    return Once(Taken(), family == Family::kIpv4 ? 1 : 2) &&
           in_.ParseList([&] { return ParseIcmp(family, &e->icmp); });
  }
  if (w == "tos") return Once(Taken(), 3) && ParseTos(&e->tos);
  if (w == "fragment") {
    e->fragment = true;
    return Once(Taken(), 4);
  }
  if (w == "ip-options") {
    e->ip_options = true;
    return Once(Taken(), 5);
  }
  if (w == "tagged") {
    return Once(Taken(), 6) &&
           in_.TakeName("a tag", e->tagged, kMaxTestName);
  }
  if (w == "received-on") return Once(word, 7) && ParseReceivedOn(e);
  // From here on what is expected.
  if (w == "tag") {
    return Once(Taken(), 8) &&
           in_.TakeName("a tag", e->tag.emplace(), kMaxTestName);
  }
  if (w == "label") {
    return Once(Taken(), 9) &&
           in_.TakeName("a label", e->label.emplace(), kMaxTestName);
  }
  if (w == "rule") {
    int64_t number = 0;
    if (!Once(Taken(), 10) ||
        !in_.TakeNumber("the number of a rule", 0, kMaxUint32, number)) {
      return false;
    }
    e->rule = static_cast<uint32_t>(number);
    return true;
  }
  if (w == "anchor") {
    return Once(Taken(), 11) &&
           in_.TakeName("an anchor", e->anchor.emplace(), kMaxTestAnchor);
  }
  if (w == "reason") return Once(Taken(), 12) && ParseReason(e);
  if (w == "keep" || w == "no") {
    if (!Once(Taken(), 13)) return false;
    if (!in_.AcceptWord("state")) return in_.Unexpected("'state'", {"state"});
    e->keeps_state = w == "keep";
    return true;
  }
  if (w == "nat-to") {
    return Once(Taken(), 14) && ParseTarget(&e->nat_to, &e->nat_port);
  }
  if (w == "rdr-to") {
    return Once(Taken(), 15) && ParseTarget(&e->rdr_to, &e->rdr_port);
  }
  return in_.Unexpected(
      "an option or the end of the statement",
      {"flags", "icmp-type", "icmp6-type", "tos", "fragment", "ip-options",
       "tagged", "received-on", "tag", "label", "rule", "anchor", "reason",
       "keep", "no", "nat-to", "rdr-to"});
}

bool PolicyTestParser::ParseFlags(Expectation* e) {
  // `flags S/SA`, as rules have it: of the mask, those and no others.
  uint8_t flags[2] = {0, 0};
  for (int i = 0; i < 2; ++i) {
    const Token word = in_.token();
    const auto parsed = word.kind == TokenKind::kWord && word.text != "any"
                            ? ParseTcpFlags(word.text)
                            : std::nullopt;
    if (!parsed) {
      return in_.Error(word.place,
                       "bad flags " + word.text.substr(0, 64),
                       "flags are of F S R P A U E W, as in S or S/SA");
    }
    in_.Take();
    flags[i] = *parsed;
    if (i == 0 && !in_.Accept('/')) break;
    if (i == 1 && (flags[0] & flags[1]) != flags[0]) {
      return in_.Error(word.place,
                       "no packet can have these flags: " +
                           TcpFlagsText(flags[0]) + " is not in the mask " +
                           TcpFlagsText(flags[1]));
    }
  }
  e->tcp_flags = flags[0];
  return true;
}

bool PolicyTestParser::ParseIcmp(Family family,
                                 std::vector<Expectation::Icmp>* all) {
  Expectation::Icmp icmp{.family = family};
  const Token word = in_.token();
  if (!TakeIcmpNumber("icmp type", IcmpTypeByName(word.text, family),
                      &icmp.type)) {
    return false;
  }
  if (in_.AcceptWord("code") &&
      !TakeIcmpNumber("icmp code",
                      IcmpCodeByName(in_.token().text, icmp.type, family),
                      &icmp.code)) {
    return false;
  }
  all->push_back(icmp);
  return true;
}

bool PolicyTestParser::TakeIcmpNumber(const char* what,
                                      std::optional<uint8_t> named,
                                      uint8_t* out) {
  if (in_.token().kind == TokenKind::kWord && named) {
    *out = *named;
    in_.Take();
    return true;
  }
  int64_t number = 0;
  if (!in_.TakeNumber(what, 0, 255, number)) return false;
  *out = static_cast<uint8_t>(number);
  return true;
}

bool PolicyTestParser::ParseTos(uint8_t* tos) {
  const auto named = in_.token().kind == TokenKind::kWord
                         ? TosByName(in_.token().text)
                         : std::nullopt;
  if (named) {
    *tos = *named;
    in_.Take();
    return true;
  }
  int64_t number = 0;
  if (!in_.TakeNumber("tos", 0, 255, number)) return false;
  *tos = static_cast<uint8_t>(number);
  return true;
}

bool PolicyTestParser::ParseReason(Expectation* e) {
  const Token word = in_.token();
  if (!word.IsString()) return in_.Unexpected("a reason");
  if (!DropReasonNamed(word.text)) {
    return in_.Error(word.place,
                     "unknown reason " + word.text.substr(0, 64),
                     DidYouMean(word.text, {kDropReasonNames.begin(),
                                            kDropReasonNames.end()}));
  }
  if (e->passes) {
    return in_.Error(word.place, "a packet that passes has no reason");
  }
  e->reason = word.text;
  in_.Take();
  return true;
}

bool PolicyTestParser::ParseTarget(std::optional<Address>* address,
                                   std::optional<uint16_t>* port) {
  const SourcePlace place = in_.token().place;
  std::string text;
  if (!in_.TakeString("an address", text, 255)) return false;
  *address = ParseAddress(text);
  if (!address->has_value()) return NoAddress(place, text);
  if (!in_.AcceptWord("port")) return true;
  const Token word = in_.token();
  if (!in_.TakeString("a port", text, 255)) return false;
  uint16_t number = 0;
  if (!ports_.ParsePortNumber(text, word.place, number)) return false;
  *port = number;
  return true;
}

}  // namespace sluice
