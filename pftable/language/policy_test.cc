#include "pftable/language/policy_test.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pftable/language/policy_test_parser.h"
#include "pftable/policy/reserved_words.h"
#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

constexpr size_t kMaxTestMacro = 63;

bool HasPorts(uint8_t proto) {
  return proto == protocol::kTcp || proto == protocol::kUdp ||
         proto == protocol::kSctp;
}
bool IsIcmp(uint8_t proto) {
  return proto == protocol::kIcmp || proto == protocol::kIcmp6;
}

}  // namespace

void PolicyTestParser::Run() {
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

void PolicyTestParser::Finish() {
  test_.diagnostics = std::move(result_.diagnostics);
  test_.truncated = result_.truncated;
}

bool PolicyTestParser::EndStatement() {
  if (in_.AtStatementEnd()) return true;
  return in_.Unexpected("the end of the statement");
}

void PolicyTestParser::Recover() {
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

bool PolicyTestParser::ParseStatement() {
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

bool PolicyTestParser::ParseMacro(const Token& name) {
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

bool PolicyTestParser::ParseExpectation(SourcePlace place) {
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

bool PolicyTestParser::Once(const Token& word, int bit) {
  if ((given_ >> bit & 1) != 0) {
    return in_.Error(word.place, "'" + word.text + "' is given twice");
  }
  given_ |= 1u << bit;
  return true;
}

bool PolicyTestParser::Check(Expectation* e, SourcePlace place) {
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
  PolicyTestParser(std::move(input), &test).Run();
  return test;
}

}  // namespace sluice
