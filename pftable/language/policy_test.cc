#include "pftable/language/policy_test.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "packet/drop_reason.h"
#include "pftable/language/messages.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/token_reader.h"
#include "pftable/language/words.h"
#include "pftable/policy/names.h"
#include "pftable/policy/reserved_words.h"
#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

constexpr size_t kMaxTestMacro = 63;
constexpr size_t kMaxTestName = 63;  // of tags and labels
constexpr size_t kMaxTestAnchor = 1023;

bool HasPorts(uint8_t proto) {
  return proto == protocol::kTcp || proto == protocol::kUdp ||
         proto == protocol::kSctp;
}
bool IsIcmp(uint8_t proto) {
  return proto == protocol::kIcmp || proto == protocol::kIcmp6;
}

// From `first` to `last`, ends included; more than anybody may name: one more
// than that.
uint64_t Between(const Address& first, const Address& last) {
  uint64_t distance = 0;
  for (int i = 0; i < AddressBits(first.family) / 8; ++i) {
    if (distance > kMaxExpectedPackets) return kMaxExpectedPackets + 1;
    // A borrow is made good by the next byte: the last address is the greater.
    distance = distance * 256 + last.bytes[i] - first.bytes[i];
  }
  return std::min(distance, kMaxExpectedPackets) + 1;
}

// What a condition on ports names.
void AddPorts(const PortMatch& match, std::vector<PortSpan>* spans) {
  const auto add = [&](uint32_t low, uint32_t high) {
    if (low > high || low > UINT16_MAX) return;
    spans->push_back(
        {static_cast<uint16_t>(low), static_cast<uint16_t>(high)});
  };
  const uint32_t low = match.low, high = match.high;
  switch (match.op) {
    case CompareOperator::kNone:
    case CompareOperator::kEqual:
      return add(low, low);
    case CompareOperator::kNotEqual:
      if (low > 0) add(0, low - 1);
      return add(low + 1, UINT16_MAX);
    case CompareOperator::kLess:
      if (low > 0) add(0, low - 1);
      return;
    case CompareOperator::kLessOrEqual:
      return add(0, low);
    case CompareOperator::kGreater:
      return add(low + 1, UINT16_MAX);
    case CompareOperator::kGreaterOrEqual:
      return add(low, UINT16_MAX);
    case CompareOperator::kRange:
      return add(low, high);
    case CompareOperator::kExclusiveRange:
      if (high > 0) add(low + 1, high - 1);
      return;
    case CompareOperator::kExceptRange:
      if (low > 0) add(0, low - 1);
      return add(high + 1, UINT16_MAX);
  }
}

class TestParser {
 public:
  TestParser(ParseInput input, PolicyTest* test)
      : input_(std::move(input)),
        facts_(input_.facts != nullptr ? *input_.facts : no_facts_),
        result_{.policy = Policy(input_.dialect),
                .diagnostics = {},
                .truncated = false},
        messages_(input_, result_),
        in_(input_, messages_),
        ports_(in_, facts_),
        test_(*test) {}

  void Run() {
    if (input_.text.size() > input_.limits.file_bytes) {
      in_.Error({.file = messages_.AddFile(input_.file_name, ""),
                 .line = 0,
                 .column = 0},
                "the file is larger than " +
                    std::to_string(input_.limits.file_bytes) + " bytes");
      return Finish();
    }
    const std::string text = input_.text;
    const SourceLines lines(text);
    lines_ = &lines;
    in_.Begin(messages_.AddFile(input_.file_name, std::move(input_.text)));
    while (!messages_.truncated()) {
      in_.SkipNewlines();
      if (in_.token().kind == TokenKind::kEnd) break;
      in_.LeaveLists();
      if (!ParseStatement() || !EndStatement()) Recover();
    }
    Finish();
  }

 private:
  void Finish() {
    test_.diagnostics = std::move(result_.diagnostics);
    test_.truncated = result_.truncated;
  }

  bool EndStatement() {
    if (in_.AtStatementEnd()) return true;
    return in_.Unexpected("the end of the statement");
  }

  // To the end of the line, and of a list that is open there.
  void Recover() {
    size_t depth = in_.LeaveLists();
    while (in_.token().kind != TokenKind::kEnd) {
      if (in_.token().kind == TokenKind::kNewline) {
        in_.Take();
        if (depth == 0 || in_.token().IsWord("expect")) return;
        continue;
      }
      if (in_.token().Is('{')) ++depth;
      if (in_.token().Is('}') && depth > 0) --depth;
      in_.Take();
    }
  }

  bool ParseStatement() {
    const Token word = in_.token();
    if (word.kind != TokenKind::kWord) return in_.Unexpected("'expect'");
    in_.Take();
    if (in_.token().Is('=')) {
      if (ParseMacro(word)) return true;
      in_.lexer().DefineBroken(word.text);
      return false;
    }
    if (word.text == "expect") return ParseExpectation(word.place);
    const bool is_action = word.text == "pass" || word.text == "block";
    return in_.Error(
        word.place,
        "syntax error: '" + word.text.substr(0, 64) +
            "' does not begin a statement",
        is_action ? "write: expect " + word.text + " ..."
                  : "statements are: expect ..., NAME = \"VALUE\"");
  }

  // As in a ruleset.
  bool ParseMacro(const Token& name) {
    if (IsReservedWord(name.text, in_.dialect()) || name.text == "expect") {
      return in_.Error(
          name.place,
          "'" + name.text + "' is a reserved word, not a macro's name");
    }
    const bool fits =
        name.text.size() <= kMaxTestMacro &&
        std::all_of(name.text.begin(), name.text.end(), [](char c) {
          return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                 (c >= 'A' && c <= 'Z') || c == '_';
        });
    if (!fits) {
      return in_.Error(name.place,
                       "a macro's name has letters, digits and '_' only, at "
                       "most 63");
    }
    in_.Accept('=');
    std::string value;
    if (!in_.TakeMacroValue(value)) return false;
    in_.lexer().Define(name.text, std::move(value));
    return true;
  }

  bool ParseExpectation(SourcePlace place) {
    Expectation e;
    e.place = place;
    e.file = messages_.file_name(place.file);
    e.text = lines_->Line(place.line);
    if (!ParseHead(&e)) return false;
    while (!in_.AtStatementEnd()) {
      if (!ParseOption(&e)) return false;
    }
    if (!Check(&e, place)) return false;
    given_ = 0;
    test_.expectations.push_back(std::move(e));
    return true;
  }

  bool ParseHead(Expectation* e) {
    given_ = 0;
    if (in_.AcceptWord("block")) {
      e->passes = false;
    } else if (!in_.AcceptWord("pass")) {
      return in_.Unexpected("'pass' or 'block'", {"pass", "block"});
    }
    if (in_.AcceptWord("out")) {
      e->direction = Direction::kOut;
    } else if (!in_.AcceptWord("in")) {
      return in_.Unexpected("'in' or 'out'", {"in", "out"});
    }
    if (!in_.AcceptWord("on")) return in_.Unexpected("'on'", {"on"});
    if (!in_.ParseList([&] {
          std::string name;
          if (in_.token().IsWord("any")) return NoValue("an interface");
          if (!in_.TakeName("an interface name", name, kMaxInterfaceName)) {
            return false;
          }
          e->interfaces.push_back(std::move(name));
          return true;
        })) {
      return false;
    }
    if (in_.token().IsWord("received-on") &&
        !(Once(in_.token(), 7) && ParseReceivedOn(e))) {
      return false;
    }
    if (in_.AcceptWord("inet")) {
      e->family = Family::kIpv4;
    } else if (in_.AcceptWord("inet6")) {
      e->family = Family::kIpv6;
    }
    if (!in_.AcceptWord("proto")) return in_.Unexpected("'proto'", {"proto"});
    if (!in_.ParseList([&] { return ParseProtocol(&e->protocols); })) {
      return false;
    }
    if (!in_.AcceptWord("from")) return in_.Unexpected("'from'", {"from"});
    if (!ParseEnd(&e->sources, &e->source_ports)) return false;
    if (!in_.AcceptWord("to")) {
      return in_.Unexpected("'port' or 'to'", {"port", "to"});
    }
    return ParseEnd(&e->destinations, &e->destination_ports);
  }

  bool ParseReceivedOn(Expectation* e) {
    const Token word = in_.Take();
    if (e->direction == Direction::kIn) {
      return in_.Error(word.place,
                       "'received-on' is of packets that go out: what comes "
                       "in was received there");
    }
    if (in_.token().IsWord("any")) return NoValue("an interface");
    return in_.TakeName("an interface name", e->received_on,
                        kMaxInterfaceName);
  }

  bool NoValue(const char* what) {
    return in_.Error(in_.token().place,
                     "'" + in_.token().text +
                         "' is a condition; a packet has one value",
                     "name " + std::string(what) + ", or a list of them");
  }

  bool ParseProtocol(std::vector<uint8_t>* protocols) {
    const Token word = in_.token();
    if (!word.IsString() && word.kind != TokenKind::kNumber) {
      return in_.Unexpected("a protocol");
    }
    in_.Take();
    if (const auto number = ParseUnsigned(word.text)) {
      if (*number == 0 || *number > 255) {
        return in_.Error(word.place, "protocol outside range 1 to 255");
      }
      protocols->push_back(static_cast<uint8_t>(*number));
    } else if (const auto known = facts_.Protocol(word.text);
               known && *known != 0) {
      protocols->push_back(*known);
    } else {
      return in_.Error(word.place,
                       "unknown protocol " + word.text.substr(0, 64),
                       DidYouMean(word.text, facts_.ProtocolNames()));
    }
    return true;
  }

  bool ParseEnd(std::vector<AddressSpan>* addresses,
                std::vector<PortSpan>* ports) {
    if (!in_.ParseList([&] { return ParseAddressItem(addresses); })) {
      return false;
    }
    if (!in_.AcceptWord("port")) return true;
    const SourcePlace place = in_.token().place;
    if (in_.token().IsWord("any")) return NoValue("a port");
    std::vector<PortItem> items;
    if (!ports_.ParsePorts(items)) return false;
    for (const PortItem& item : items) AddPorts(item.match, ports);
    if (ports->empty()) return in_.Error(place, "there is no such port");
    return true;
  }

  bool ParseAddressItem(std::vector<AddressSpan>* addresses) {
    const SourcePlace place = in_.token().place;
    if (in_.token().IsWord("any")) return NoValue("an address");
    if (in_.token().Is('!') || in_.token().Is('<') || in_.token().Is('(')) {
      return in_.Error(place,
                       "syntax error: '" + in_.token().text +
                           "' where an address is wanted",
                       "a packet has an address: no '!', table or '(if)'");
    }
    if (!in_.token().IsString() && in_.token().kind != TokenKind::kNumber) {
      return in_.Unexpected("an address");
    }
    const Token word = in_.Take();
    std::string text = word.text, last;
    if (in_.Accept('/')) {
      int64_t bits = 0;
      if (!in_.TakeNumber("network mask", 0, 128, bits)) return false;
      const auto prefix = ParsePrefix(text + "/" + std::to_string(bits));
      if (!prefix) return NoAddress(place, text + "/" + std::to_string(bits));
      return AddNetwork(*prefix, place, addresses);
    }
    if (in_.token().Is('-')) {
      in_.Take();
      if (!in_.TakeString("the last address of a range", last, 255)) {
        return false;
      }
    } else if (const size_t dash = text.find('-'); dash != text.npos) {
      if (ParseAddress(text.substr(0, dash))) {
        last = text.substr(dash + 1);
        text.resize(dash);
      }
    }
    if (const auto first = ParseAddress(text)) {
      if (last.empty()) {
        addresses->push_back({.first = *first});
        return true;
      }
      const auto end = ParseAddress(last);
      if (!end) return NoAddress(place, last);
      if (end->family != first->family || end->bytes < first->bytes) {
        return in_.Error(place, "the range of addresses ends before it begins");
      }
      return Add({.first = *first, .count = Between(*first, *end)}, place,
                 addresses);
    }
    const std::vector<Address> known = facts_.Host(text, /*ask=*/false);
    for (const Address& address : known) {
      addresses->push_back({.first = address});
    }
    return !known.empty() || NoAddress(place, text);
  }

  bool NoAddress(SourcePlace place, const std::string& text) {
    return in_.Error(place, "'" + text.substr(0, 64) + "' is no address",
                     "IPv4 is written a.b.c.d, IPv6 without brackets; no "
                     "resolver is asked");
  }

  bool AddNetwork(const Prefix& prefix, SourcePlace place,
                  std::vector<AddressSpan>* addresses) {
    const int host_bits = AddressBits(prefix.address.family) - prefix.length;
    const uint64_t count = host_bits > 16 ? kMaxExpectedPackets + 1
                                          : uint64_t{1} << host_bits;
    return Add({.first = prefix.Masked().address, .count = count}, place,
               addresses);
  }

  bool Add(const AddressSpan& span, SourcePlace place,
           std::vector<AddressSpan>* addresses) {
    if (span.count > kMaxExpectedPackets) {
      return in_.Error(place,
                       "more addresses than can be tried, at most " +
                           std::to_string(kMaxExpectedPackets),
                       "each of them is a packet: name some");
    }
    addresses->push_back(span);
    return true;
  }

  // Says that the option stands there twice, or takes note of it.
  bool Once(const Token& word, int bit) {
    if ((given_ >> bit & 1) != 0) {
      return in_.Error(word.place, "'" + word.text + "' is given twice");
    }
    given_ |= 1u << bit;
    return true;
  }

  bool ParseOption(Expectation* e) {
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

  Token Taken() { return in_.Take(); }

  bool ParseFlags(Expectation* e) {
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

  bool ParseIcmp(Family family, std::vector<Expectation::Icmp>* all) {
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

  bool TakeIcmpNumber(const char* what, std::optional<uint8_t> named,
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

  bool ParseTos(uint8_t* tos) {
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

  bool ParseReason(Expectation* e) {
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

  bool ParseTarget(std::optional<Address>* address,
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

  // What only makes sense together.
  bool Check(Expectation* e, SourcePlace place) {
    const auto any = [&](bool (*is)(uint8_t)) {
      return std::any_of(e->protocols.begin(), e->protocols.end(), is);
    };
    const auto all = [&](bool (*is)(uint8_t)) {
      return std::all_of(e->protocols.begin(), e->protocols.end(), is);
    };
    const bool ports = !e->source_ports.empty() ||
                       !e->destination_ports.empty();
    if (ports && !all(HasPorts)) {
      return in_.Error(place, "port only applies to tcp, udp and sctp");
    }
    if (e->fragment && (ports || e->tcp_flags || !e->icmp.empty())) {
      return in_.Error(place,
                       "a fragment has no ports, flags and types: rules that "
                       "ask for them do not see any");
    }
    if (any(HasPorts) && e->destination_ports.empty() && !e->fragment) {
      return in_.Error(place, "the port is missing: to ADDRESS port PORT",
                       "port 1:65535 is all of them");
    }
    if (e->tcp_flags && !all([](uint8_t proto) {
          return proto == protocol::kTcp;
        })) {
      return in_.Error(place, "flags only apply to tcp");
    }
    if (!e->icmp.empty() && !all(IsIcmp)) {
      return in_.Error(place, "icmp-type only applies to icmp and icmp6");
    }
    if (!e->passes && (e->keeps_state || e->nat_to || e->rdr_to)) {
      return in_.Error(place,
                       "a packet that is blocked makes no state and is not "
                       "translated");
    }
    e->packets = e->CountPackets();
    if (e->packets == 0) {
      return in_.Error(place, "no packet is like that: the families of its "
                              "addresses, protocol and types differ");
    }
    if (e->packets > kMaxExpectedPackets) {
      return in_.Error(place,
                       "more packets than can be tried, at most " +
                           std::to_string(kMaxExpectedPackets),
                       "the lists multiply");
    }
    packets_ += e->packets;
    if (packets_ > kMaxExpectedPacketsInAll) {
      return in_.Error(place,
                       "more packets in all than can be tried, at most " +
                           std::to_string(kMaxExpectedPacketsInAll),
                       "divide the file");
    }
    return true;
  }

  ParseInput input_;
  const HostFacts no_facts_;
  const HostFacts& facts_;
  ParseResult result_;
  Messages messages_;
  TokenReader in_;
  PortParser ports_;
  PolicyTest& test_;
  const SourceLines* lines_ = nullptr;
  uint32_t given_ = 0;  // options of the present statement
  uint64_t packets_ = 0;
};

}  // namespace

bool PolicyTest::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(),
                      [](const Diagnostic& d) {
                        return d.severity == Severity::kError;
                      });
}

PolicyTest ParsePolicyTest(ParseInput input) {
  if (input.file_name.empty() || input.file_name == "-") {
    input.file_name = "stdin";
  }
  PolicyTest test;
  TestParser(std::move(input), &test).Run();
  return test;
}

}  // namespace sluice
