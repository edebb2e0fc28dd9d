// Addresses and ports: what may stand after `from`, `to`, in pools, routes
// and tables.
#include <algorithm>
#include <string>
#include <utility>

#include "pftable/language/parser_internal.h"
#include "pftable/policy/name.h"

namespace sluice {
namespace {

AddressMatch PrefixMatch(const Address& address, int bits) {
  AddressMatch match;
  if (bits == 0) return match;  // any address of the family
  match.kind = AddressKind::kPrefix;
  match.mask = MaskOf(address.family, bits);
  match.address = And(address, match.mask);
  return match;
}

// "10", "10.1", "192.168.1": fewer than four numbers are the front of a
// network. Its length, if none is given, comes from the address's class, but
// is at least as long as what is written.
struct ShortAddress {
  Address address;
  int bits = 0;
};
std::optional<ShortAddress> ParseShortIpv4(std::string_view text) {
  uint32_t value = 0;
  int parts = 0;
  while (!text.empty()) {
    if (parts == 4) return std::nullopt;
    const size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty() || part.size() > 3) return std::nullopt;
    uint32_t number = 0;
    for (char c : part) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + static_cast<uint32_t>(c - '0');
    }
    if (number > 255) return std::nullopt;
    value |= number << (24 - 8 * parts++);
    if (dot == text.npos) break;
    text.remove_prefix(dot + 1);
    if (text.empty()) return std::nullopt;
  }
  if (parts == 0) return std::nullopt;
  const uint32_t first = value >> 24;
  const int by_class = first >= 240   ? 32
                       : first >= 224 ? 8
                       : first >= 192 ? 24
                       : first >= 128 ? 16
                                      : 8;
  return ShortAddress{.address = Address::V4(value),
                      .bits = std::max(by_class, parts * 8)};
}

// Splits "em0:network:0". False if a modifier is unknown.
bool SplitModifiers(std::string_view text, std::string& name,
                    InterfaceModifiers& modifiers, std::string& unknown) {
  const size_t colon = text.find(':');
  name = text.substr(0, colon);
  while (colon != text.npos && !text.empty()) {
    const size_t begin = text.find(':');
    if (begin == text.npos) break;
    text.remove_prefix(begin + 1);
    const std::string_view word = text.substr(0, text.find(':'));
    if (word == "network") {
      modifiers.network = true;
    } else if (word == "broadcast") {
      modifiers.broadcast = true;
    } else if (word == "peer") {
      modifiers.peer = true;
    } else if (word == "0") {
      modifiers.no_alias = true;
    } else {
      unknown = word;
      return false;
    }
  }
  return true;
}

std::string ModifierHint(std::string_view modifier) {
  const std::string nearest =
      NearestWord(modifier, {"network", "broadcast", "peer"});
  return nearest.empty()
             ? "the modifiers are :network, :broadcast, :peer and :0"
             : "did you mean ':" + nearest + "'?";
}

bool IsLinkLocal(const Address& a) {
  return a.family == Family::kIpv6 && a.bytes[0] == 0xfe &&
         (a.bytes[1] & 0xc0) == 0x80;
}

// The addresses that an interface or group has under the modifiers, as pf
// picks them.
std::vector<HostItem> InterfaceAddresses(
    const std::vector<const InterfaceFacts*>& interfaces,
    const InterfaceModifiers& modifiers) {
  std::vector<HostItem> out;
  for (const InterfaceFacts* interface : interfaces) {
    bool got4 = false;
    bool got6 = false;
    for (const InterfaceAddress& a : interface->addresses) {
      const bool is4 = a.address.family == Family::kIpv4;
      const bool link_local = IsLinkLocal(a.address);
      if (modifiers.broadcast && !a.broadcast) continue;
      if (modifiers.peer && !a.peer) continue;
      if (modifiers.network && link_local) continue;
      if (modifiers.no_alias &&
          (is4 ? got4 : got6 || link_local)) {
        continue;
      }
      (is4 ? got4 : got6) = true;
      HostItem item;
      const Address& address = modifiers.broadcast ? *a.broadcast
                               : modifiers.peer    ? *a.peer
                                                   : a.address;
      item.family = address.family;
      item.match = PrefixMatch(address, modifiers.network
                                            ? a.prefix
                                            : AddressBits(address.family));
      if (link_local && address == a.address) item.scope = interface->name;
      out.push_back(std::move(item));
    }
  }
  return out;
}

}  // namespace

bool Parser::ParseHosts(std::vector<HostItem>& out, HostContext context) {
  if (context == HostContext::kRule && token_.IsWord("any")) {
    Take();
    return true;
  }
  return ParseList([&] { return ParseHostItem(out, context); });
}

bool Parser::ParseHostItem(std::vector<HostItem>& out, HostContext context) {
  const SourcePlace place = token_.place;
  const size_t first = out.size();
  const bool negated = Accept('!');
  if (negated && context != HostContext::kRule &&
      context != HostContext::kTable) {
    return Error(place, "an address to translate or route to has no '!'");
  }
  if (token_.IsWord("any")) {
    return Error(token_.place, negated ? "'! any' matches nothing"
                                       : "'any' cannot be used in a list");
  }
  HostItem item;
  item.place = token_.place;
  if (token_.IsWord("no-route") || token_.IsWord("urpf-failed")) {
    const Token word = Take();
    if (context != HostContext::kRule || negated) {
      return Error(word.place, "'" + word.text + "' cannot be used here");
    }
    item.match.kind = word.text == "no-route" ? AddressKind::kNoRoute
                                              : AddressKind::kUrpfFailed;
    out.push_back(std::move(item));
  } else if (token_.IsWord("route") && context == HostContext::kRule) {
    Take();
    item.match.kind = AddressKind::kRouteLabel;
    if (!TakeString("a route label", item.match.name, 63)) return false;
    out.push_back(std::move(item));
  } else if (token_.Is('<')) {
    if (context == HostContext::kTable) {
      return Error(token_.place, "a table cannot be an entry of a table");
    }
    item.match.kind = AddressKind::kTable;
    if (!ParseTableName(item.match.name)) return false;
    UseTable(item.match.name, item.place);
    out.push_back(std::move(item));
  } else if (token_.Is('(')) {
    if (!ParseDynamicInterface(out, context, place)) return false;
  } else {
    if (!token_.IsString() && token_.kind != TokenKind::kNumber) {
      return Unexpected("an address");
    }
    const Token name = Take();
    // FreeBSD routes by interface alone.
    if (context == HostContext::kRoute && InDialect(Dialect::kFreeBsd) &&
        (facts_.FindInterface(name.text) != nullptr)) {
      item.route_interface = name.text;
      out.push_back(std::move(item));
      return true;
    }
    if (token_.Is('-')) {
      Take();
      const SourcePlace last_place = token_.place;
      std::string last;
      if (!TakeString("the last address of a range", last, 255)) return false;
      if (!ParseRange(name, last, last_place, out)) return false;
    } else if (Accept('/')) {
      int64_t bits = 0;
      if (!TakeNumber("network mask", 0, 128, bits)) return false;
      if (!ResolveHost(name, static_cast<int>(bits), true, out)) return false;
    } else {
      const size_t dash = name.text.find('-');
      if (dash != std::string::npos &&
          ParseAddress(name.text.substr(0, dash)) &&
          ParseAddress(name.text.substr(dash + 1))) {
        Token head = name;
        head.text.resize(dash);
        if (!ParseRange(head, name.text.substr(dash + 1), name.place, out)) {
          return false;
        }
      } else if (!ResolveHost(name, -1, false, out)) {
        return false;
      }
    }
  }
  uint16_t weight = 0;
  if (context != HostContext::kRule && AcceptWord("weight")) {
    int64_t number = 0;
    if (!TakeNumber("weight", 1, 65535, number)) return false;
    weight = static_cast<uint16_t>(number);
  }
  for (size_t i = first; i < out.size(); ++i) {
    if (negated && context == HostContext::kRule &&
        out[i].match.kind == AddressKind::kAny) {
      return Error(place, "a negated address that is every address");
    }
    out[i].match.negated = negated;
    out[i].weight = weight;
  }
  return true;
}

bool Parser::ParseTableName(std::string& name) {
  Take();  // '<'
  const SourcePlace place = token_.place;
  if (!TakeString("a table name", name, kMaxTokenBytes)) return false;
  if (name.size() > kMaxTableName) {
    return Error(place, "table name '" + name.substr(0, 64) +
                            "' too long, at most 31 characters");
  }
  if (!IsName(name, kMaxTableName)) {
    return Error(place, "'" + name + "' cannot name a table",
                 "use letters, digits and _ . : -");
  }
  return Expect('>', "after a table name");
}

bool Parser::ParseDynamicInterface(std::vector<HostItem>& out,
                                   HostContext context, SourcePlace place) {
  if (context == HostContext::kTable) {
    return Error(place, "a dynamic address cannot be an entry of a table",
                 "write the interface without brackets");
  }
  Take();  // '('
  HostItem item;
  item.place = place;
  const SourcePlace name_place = token_.place;
  std::string text;
  if (!TakeString("an interface name", text, kMaxInterfaceName)) return false;
  if (context == HostContext::kRoute && !token_.Is(')')) {
    // (if gateway)
    UseInterface(text, name_place);
    const size_t first = out.size();
    if (!ParseHostItem(out, HostContext::kPool)) return false;
    for (size_t i = first; i < out.size(); ++i) out[i].route_interface = text;
    return Expect(')', "after a gateway");
  }
  std::string unknown;
  item.match.kind = AddressKind::kDynamicInterface;
  if (!SplitModifiers(text, item.match.name, item.match.modifiers, unknown)) {
    return Error(name_place, "illegal interface modifier ':" + unknown + "'",
                 ModifierHint(unknown));
  }
  if (!Expect(')', "after an interface name")) return false;
  UseInterface(item.match.name, name_place);
  const InterfaceModifiers& m = item.match.modifiers;
  if (m.network + m.broadcast + m.peer > 1) {
    return Error(name_place, "illegal combination of interface modifiers");
  }
  if (Accept('/')) {
    const SourcePlace mask_place = token_.place;
    int64_t bits = 0;
    if (!TakeNumber("network mask", 0, 128, bits)) return false;
    if (m.network || m.broadcast) {
      return Error(mask_place,
                   "a network or broadcast address has its own mask");
    }
    if (bits < 128) item.match.dynamic_prefix = static_cast<uint8_t>(bits);
  }
  out.push_back(std::move(item));
  return true;
}

bool Parser::ParseRange(const Token& first, const std::string& last_text,
                        SourcePlace last_place, std::vector<HostItem>& out) {
  const auto begin = ParseAddress(first.text);
  const auto end = ParseAddress(last_text);
  if (!begin) {
    return Error(first.place, "'" + first.text.substr(0, 64) +
                                  "' is not an address: a range has two");
  }
  if (!end) {
    return Error(last_place, "'" + last_text.substr(0, 64) +
                                 "' is not an address: a range has two");
  }
  if (begin->family != end->family) {
    return Error(last_place, "the addresses of a range are of two families");
  }
  if (begin->bytes > end->bytes) {
    return Error(last_place, "the range ends before it begins");
  }
  HostItem item;
  item.place = first.place;
  item.family = begin->family;
  item.match.kind = AddressKind::kRange;
  item.match.address = *begin;
  item.match.range_end = *end;
  out.push_back(std::move(item));
  return true;
}

bool Parser::ResolveHost(const Token& token, int mask, bool has_mask,
                         std::vector<HostItem>& out) {
  const std::string& text = token.text;
  const auto too_long = [&](Family family) {
    return Error(token.place, "illegal netmask value /" +
                                  std::to_string(mask) + " for an IPv" +
                                  (family == Family::kIpv4 ? "4" : "6") +
                                  " address");
  };
  HostItem item;
  item.place = token.place;
  // Addresses first: they are the most, and no interface has such a name.
  if (const auto address = ParseAddress(text)) {
    const int all = AddressBits(address->family);
    if (mask > all) return too_long(address->family);
    item.family = address->family;
    item.match = PrefixMatch(*address, has_mask ? mask : all);
    out.push_back(std::move(item));
    return true;
  }
  if (const auto address = ParseShortIpv4(text)) {
    if (mask > 32) return too_long(Family::kIpv4);
    item.family = Family::kIpv4;
    item.match =
        PrefixMatch(address->address, has_mask ? mask : address->bits);
    out.push_back(std::move(item));
    return true;
  }
  if (const size_t percent = text.find('%'); percent != text.npos) {
    const auto address = ParseAddress(text.substr(0, percent));
    if (address && IsLinkLocal(*address)) {
      if (mask > 128) return too_long(Family::kIpv6);
      item.family = Family::kIpv6;
      item.match = PrefixMatch(*address, has_mask ? mask : 128);
      item.scope = text.substr(percent + 1);
      out.push_back(std::move(item));
      return true;
    }
  }
  std::string name;
  std::string unknown;
  InterfaceModifiers modifiers;
  const bool split = SplitModifiers(text, name, modifiers, unknown);
  const auto interfaces = facts_.Resolve(name);
  if (!interfaces.empty() || name == "self") {
    if (!split) {
      return Error(token.place,
                   "illegal interface modifier ':" + unknown + "'",
                   ModifierHint(unknown));
    }
    if (modifiers.network + modifiers.broadcast + modifiers.peer > 1) {
      return Error(token.place, "illegal combination of interface modifiers");
    }
    if (has_mask && (modifiers.network || modifiers.broadcast)) {
      return Error(token.place,
                   "a network or broadcast address has its own mask");
    }
    std::vector<HostItem> found = InterfaceAddresses(interfaces, modifiers);
    if (found.empty()) {
      return Error(token.place, "no IP address found for " + text,
                   "write (" + text + ") to follow the interface's addresses");
    }
    for (HostItem& f : found) {
      f.place = token.place;
      if (has_mask) {
        if (mask > AddressBits(f.family)) return too_long(f.family);
        f.match = PrefixMatch(f.match.address, mask);
      }
      out.push_back(std::move(f));
    }
    return true;
  }
  const std::vector<Address> addresses = facts_.Host(text, !input_.no_dns);
  if (addresses.empty()) {
    std::string hint;
    if (split && name != text) {
      hint = "no interface or group is named '" + name + "'";
      if (const std::string near = InterfaceHint(name); !near.empty()) {
        hint += "; " + near;
      }
    } else if (text.find('/') == text.npos) {
      std::vector<std::string_view> names = InterfaceNames();
      const std::vector<std::string_view> hosts = facts_.HostNames();
      names.insert(names.end(), hosts.begin(), hosts.end());
      hint = DidYouMean(text, names);
      if (hint.empty()) {
        hint = "neither an interface, nor a group, nor a known host";
      }
    }
    return Error(token.place, "no IP address found for " + text.substr(0, 64),
                 std::move(hint));
  }
  for (const Address& address : addresses) {
    const int all = AddressBits(address.family);
    if (mask > all) return too_long(address.family);
    HostItem found = item;
    found.family = address.family;
    found.match = PrefixMatch(address, has_mask ? mask : all);
    out.push_back(std::move(found));
  }
  return true;
}

bool Parser::ParsePorts(std::vector<PortItem>& out) {
  return ParseList([&] { return ParsePortItem(out); });
}

bool Parser::ParsePortNumber(std::string_view text, SourcePlace place,
                             uint16_t& port) {
  if (const auto number = ParseUnsigned(text)) {
    if (*number > 65535) {
      return Error(place, "illegal port value " + std::string(text));
    }
    port = static_cast<uint16_t>(*number);
    return true;
  }
  const auto service = facts_.Service(text);
  if (!service) {
    return Error(place, "unknown port " + std::string(text.substr(0, 64)),
                 DidYouMean(text, facts_.ServiceNames()));
  }
  port = *service;
  return true;
}

CompareOperator Parser::AcceptUnaryOperator() {
  switch (token_.kind) {
    case TokenKind::kNotEqual:
      Take();
      return CompareOperator::kNotEqual;
    case TokenKind::kLessOrEqual:
      Take();
      return CompareOperator::kLessOrEqual;
    case TokenKind::kGreaterOrEqual:
      Take();
      return CompareOperator::kGreaterOrEqual;
    default:
      break;
  }
  if (Accept('=')) return CompareOperator::kEqual;
  if (Accept('<')) return CompareOperator::kLess;
  if (Accept('>')) return CompareOperator::kGreater;
  return CompareOperator::kNone;
}

bool Parser::ParsePortItem(std::vector<PortItem>& out) {
  PortItem item;
  item.place = token_.place;
  const CompareOperator unary = AcceptUnaryOperator();
  if (!token_.IsString() && token_.kind != TokenKind::kNumber) {
    return Unexpected("a port");
  }
  const Token first = Take();
  const size_t colon = first.text.find(':');
  if (colon != std::string::npos) {
    if (unary != CompareOperator::kNone) {
      return Error(first.place, "a port range has no operator before it");
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
      return Error(first.place, "port range " + first.text +
                                    " ends before it begins");
    }
    out.push_back(item);
    return true;
  }
  if (!ParsePortNumber(first.text, first.place, item.match.low)) return false;
  if (unary == CompareOperator::kNone &&
      (token_.kind == TokenKind::kExclusiveRange ||
       token_.kind == TokenKind::kExceptRange)) {
    item.match.op = token_.kind == TokenKind::kExclusiveRange
                        ? CompareOperator::kExclusiveRange
                        : CompareOperator::kExceptRange;
    Take();
    const Token last = token_;
    std::string text;
    if (!TakeString("a port", text, 255) ||
        !ParsePortNumber(text, last.place, item.match.high)) {
      return false;
    }
    if (item.match.low > item.match.high) {
      return Error(last.place, "the port range ends before it begins");
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
