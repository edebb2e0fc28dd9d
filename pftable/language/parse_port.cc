#include "pftable/language/parse_port.h"

#include <string>
#include <string_view>
#include <vector>

#include "pftable/language/words.h"

namespace sluice {

bool PortParser::ParsePorts(std::vector<PortItem>& out) {
  return in_.ParseList([&] { return ParsePortItem(out); });
}

bool PortParser::ParsePortNumber(std::string_view text, SourcePlace place,
                                 uint16_t& port) {
  if (const auto number = ParseUnsigned(text)) {
    if (*number > 65535) {
      return in_.Error(place, "illegal port value " + std::string(text));
    }
    port = static_cast<uint16_t>(*number);
    return true;
  }
  const auto service = facts_.Service(text);
  if (!service) {
    const size_t dash = text.find('-');
    std::string hint = DidYouMean(text, facts_.ServiceNames());
    if (dash != std::string_view::npos && ParseUnsigned(text.substr(0, dash)) &&
        ParseUnsigned(text.substr(dash + 1))) {
      hint = "a range is written with a colon: " +
             std::string(text.substr(0, dash)) + ":" +
             std::string(text.substr(dash + 1));
    }
    return in_.Error(place, "unknown port " + std::string(text.substr(0, 64)),
                     std::move(hint));
  }
  port = *service;
  return true;
}

CompareOperator PortParser::AcceptUnaryOperator() {
  switch (in_.token().kind) {
    case TokenKind::kNotEqual:
      in_.Take();
      return CompareOperator::kNotEqual;
    case TokenKind::kLessOrEqual:
      in_.Take();
      return CompareOperator::kLessOrEqual;
    case TokenKind::kGreaterOrEqual:
      in_.Take();
      return CompareOperator::kGreaterOrEqual;
    default:
      break;
  }
  if (in_.Accept('=')) return CompareOperator::kEqual;
  if (in_.Accept('<')) return CompareOperator::kLess;
  if (in_.Accept('>')) return CompareOperator::kGreater;
  return CompareOperator::kNone;
}

bool PortParser::ParsePortItem(std::vector<PortItem>& out) {
  PortItem item;
  item.place = in_.token().place;
  const CompareOperator unary = AcceptUnaryOperator();
  if (!in_.token().IsString() && in_.token().kind != TokenKind::kNumber) {
    return in_.Unexpected("a port");
  }
  const Token first = in_.Take();
  const size_t colon = first.text.find(':');
  if (colon != std::string::npos) {
    if (unary != CompareOperator::kNone) {
      return in_.Error(first.place, "a port range has no operator before it");
    }
    item.match.op = CompareOperator::kRange;
    const std::string_view text = first.text;
    if (!ParsePortNumber(text.substr(0, colon), first.place,
                         item.match.low) ||
        !ParsePortNumber(text.substr(colon + 1), first.place,
                         item.match.high)) {
      return false;
    }
    if (item.match.low > item.match.high) {
      return in_.Error(first.place,
                       "port range " + first.text + " ends before it begins");
    }
    if (item.match.low == item.match.high) {
      item.match.op = CompareOperator::kEqual;
    }
    out.push_back(item);
    return true;
  }
  if (!ParsePortNumber(first.text, first.place, item.match.low)) return false;
  if (unary == CompareOperator::kNone &&
      (in_.token().kind == TokenKind::kExclusiveRange ||
       in_.token().kind == TokenKind::kExceptRange)) {
    item.match.op = in_.token().kind == TokenKind::kExclusiveRange
                        ? CompareOperator::kExclusiveRange
                        : CompareOperator::kExceptRange;
    in_.Take();
    const Token last = in_.token();
    std::string text;
    if (!in_.TakeString("a port", text, 255) ||
        !ParsePortNumber(text, last.place, item.match.high)) {
      return false;
    }
    // `9 >< 9` is no port.
    const bool none = item.match.op == CompareOperator::kExclusiveRange &&
                      item.match.low == item.match.high &&
                      in_.InDialect(Dialect::kOpenBsd);
    if (none || item.match.low > item.match.high) {
      return in_.Error(last.place, "the port range ends before it begins");
    }
  } else {
    item.match.op =
        unary == CompareOperator::kNone ? CompareOperator::kEqual : unary;
    item.match.high = item.match.low;
  }
  out.push_back(item);
  return true;
}

}  // namespace sluice
