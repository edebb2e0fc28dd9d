#include "pftable/language/parse_host.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/parse_address.h"
#include "pftable/language/words.h"
#include "pftable/policy/name.h"

namespace sluice {

bool HostParser::ParseHosts(std::vector<HostItem>& out, HostContext context) {
  // One `any` makes a list any, whatever stands beside it.
  bool any = false;
  const bool good = in_.ParseList([&] {
    if (context != HostContext::kRule || !in_.AcceptWord("any")) {
      return ParseHostItem(out, context);
    }
    any = true;
    return true;
  });
  if (any) out.clear();
  return good;
}

bool HostParser::ParseHostItem(std::vector<HostItem>& out,
                               HostContext context) {
  const SourcePlace place = in_.token().place;
  const size_t first = out.size();
  const bool negated = in_.Accept('!');
  if (negated && context != HostContext::kRule &&
      context != HostContext::kTable) {
    return in_.Error(place, "an address to translate or route to has no '!'");
  }
  if (in_.token().IsWord("any")) {
    return in_.Error(in_.token().place,
                     negated ? "'! any' matches nothing"
                             : "'any' cannot be used here");
  }
  HostItem item;
  item.place = in_.token().place;
  if (in_.token().IsWord("no-route") || in_.token().IsWord("urpf-failed")) {
    const Token word = in_.Take();
    if (context != HostContext::kRule) {
      return in_.Error(word.place, "'" + word.text + "' cannot be used here");
    }
    item.match.kind = word.text == "no-route" ? AddressKind::kNoRoute
                                              : AddressKind::kUrpfFailed;
    out.push_back(std::move(item));
  } else if (in_.token().IsWord("route") && context == HostContext::kRule) {
    in_.Take();
    item.match.kind = AddressKind::kRouteLabel;
    if (!in_.TakeName("a route label", item.match.name, 63)) return false;
    out.push_back(std::move(item));
  } else if (in_.token().Is('<')) {
    if (context == HostContext::kTable) {
      return in_.Error(in_.token().place,
                       "a table cannot be an entry of a table");
    }
    item.match.kind = AddressKind::kTable;
    if (!ParseTableName(item.match.name)) return false;
    names_.UseTable(item.match.name, item.place);
    out.push_back(std::move(item));
  } else if (in_.token().Is('(')) {
    if (!ParseDynamicInterface(out, context, place)) return false;
  } else {
    if (!in_.token().IsString() && in_.token().kind != TokenKind::kNumber) {
      return in_.Unexpected("an address");
    }
    const Token name = in_.Take();
    // FreeBSD routes by interface alone.
    if (context == HostContext::kRoute && in_.InDialect(Dialect::kFreeBsd) &&
        (facts_.FindInterface(name.text) != nullptr)) {
      item.route_interface = name.text;
      out.push_back(std::move(item));
      return true;
    }
    if (in_.token().Is('-')) {
      in_.Take();
      const SourcePlace last_place = in_.token().place;
      std::string last;
      if (!in_.TakeString("the last address of a range", last, 255))
        return false;
      if (!ParseRange(name, last, last_place, out)) return false;
    } else if (in_.Accept('/')) {
      int64_t bits = 0;
      if (!in_.TakeNumber("network mask", 0, 128, bits)) return false;
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
  if (context != HostContext::kRule && in_.AcceptWord("weight")) {
    int64_t number = 0;
    if (!in_.TakeNumber("weight", 1, 65535, number)) return false;
    weight = static_cast<uint16_t>(number);
  }
  for (size_t i = first; i < out.size(); ++i) {
    if (context == HostContext::kTable && out[i].excess_mask != 0) {
      return ExcessMask(out[i]);
    }
    if (negated && context == HostContext::kRule &&
        out[i].match.kind == AddressKind::kAny) {
      return in_.Error(place, "a negated address that is every address");
    }
    out[i].match.negated = negated;
    out[i].weight = weight;
  }
  return true;
}

bool HostParser::ParseTableName(std::string& name) {
  in_.Take();  // '<'
  const SourcePlace place = in_.token().place;
  if (!in_.TakeName("a table name", name, kMaxTokenBytes)) return false;
  if (name.size() > kMaxTableName) {
    return in_.Error(place, "table name '" + name.substr(0, 64) +
                                "' too long, at most 31 characters");
  }
  if (!IsName(name, kMaxTableName)) {
    return in_.Error(place, "'" + name + "' cannot name a table",
                     "use letters, digits and _ . : -");
  }
  return in_.Expect('>', "after a table name");
}

bool HostParser::ParseDynamicInterface(std::vector<HostItem>& out,
                                       HostContext context, SourcePlace place) {
  if (context == HostContext::kTable) {
    return in_.Error(place, "a dynamic address cannot be an entry of a table",
                     "write the interface without brackets");
  }
  in_.Take();  // '('
  HostItem item;
  item.place = place;
  const SourcePlace name_place = in_.token().place;
  std::string text;
  if (!in_.TakeName("an interface name", text, kMaxInterfaceName))
    return false;
  const char first_letter = text.empty() ? '\0' : text[0];
  if (!(first_letter >= 'a' && first_letter <= 'z') &&
      !(first_letter >= 'A' && first_letter <= 'Z')) {
    return in_.Error(name_place, "invalid interface name '" + text + "'",
                     "an address stands without brackets");
  }
  if (context == HostContext::kRoute && !in_.token().Is(')')) {
    // (if gateway)
    names_.UseInterface(text, name_place);
    const size_t first = out.size();
    if (!ParseHostItem(out, HostContext::kPool)) return false;
    for (size_t i = first; i < out.size(); ++i) out[i].route_interface = text;
    return in_.Expect(')', "after a gateway");
  }
  std::string unknown;
  item.match.kind = AddressKind::kDynamicInterface;
  if (!SplitModifiers(text, item.match.name, item.match.modifiers, unknown)) {
    return in_.Error(name_place,
                     "illegal interface modifier ':" + unknown + "'",
                     ModifierHint(unknown));
  }
  if (!in_.Expect(')', "after an interface name")) return false;
  names_.UseInterface(item.match.name, name_place);
  const InterfaceModifiers& m = item.match.modifiers;
  if (m.network + m.broadcast + m.peer > 1) {
    return in_.Error(name_place, "illegal combination of interface modifiers");
  }
  if (in_.Accept('/')) {
    const SourcePlace mask_place = in_.token().place;
    int64_t bits = 0;
    if (!in_.TakeNumber("network mask", 0, 128, bits)) return false;
    if (m.network || m.broadcast) {
      return in_.Error(mask_place,
                       "a network or broadcast address has its own mask");
    }
    if (bits < 128) item.match.dynamic_prefix = static_cast<uint8_t>(bits);
  }
  out.push_back(std::move(item));
  return true;
}

bool HostParser::ParseRange(const Token& first, const std::string& last_text,
                            SourcePlace last_place,
                            std::vector<HostItem>& out) {
  const auto begin = ParseAddress(first.text);
  const auto end = ParseAddress(last_text);
  if (!begin) {
    return in_.Error(first.place, "'" + first.text.substr(0, 64) +
                                      "' is not an address: a range has two");
  }
  if (!end) {
    return in_.Error(last_place, "'" + last_text.substr(0, 64) +
                                     "' is not an address: a range has two");
  }
  if (begin->family != end->family) {
    return in_.Error(last_place,
                     "the addresses of a range are of two families");
  }
  if (begin->bytes > end->bytes) {
    return in_.Error(last_place, "the range ends before it begins");
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

bool HostParser::ResolveHost(const Token& token, int mask, bool has_mask,
                             std::vector<HostItem>& out) {
  const std::string& text = token.text;
  const auto too_long = [&](Family family) {
    return in_.Error(token.place, "illegal netmask value /" +
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
      return in_.Error(token.place,
                       "illegal interface modifier ':" + unknown + "'",
                       ModifierHint(unknown));
    }
    if (modifiers.network + modifiers.broadcast + modifiers.peer > 1) {
      return in_.Error(token.place,
                       "illegal combination of interface modifiers");
    }
    if (has_mask && (modifiers.network || modifiers.broadcast)) {
      return in_.Error(token.place,
                       "a network or broadcast address has its own mask");
    }
    std::vector<HostItem> found = InterfaceAddresses(interfaces, modifiers);
    if (found.empty()) {
      return in_.Error(
          token.place, "no IP address found for " + text,
          "write (" + text + ") to follow the interface's addresses");
    }
    for (HostItem& f : found) {
      f.place = token.place;
      if (has_mask) {
        const int all = AddressBits(f.family);
        if (mask > all) f.excess_mask = static_cast<uint8_t>(mask);
        f.match = PrefixMatch(f.match.address, std::min(mask, all));
      }
      out.push_back(std::move(f));
    }
    return true;
  }
  std::vector<Address> addresses = facts_.Host(text, !no_dns_);
  if (addresses.empty() && text.ends_with(":0")) {
    // Of a host with `:0`, the first address of each family.
    const auto add = [&](Family family, const std::vector<Address>& all) {
      for (const Address& a : all) {
        if (a.family != family) continue;
        addresses.push_back(a);
        return;
      }
    };
    const std::vector<Address> all =
        facts_.Host(text.substr(0, text.size() - 2), !no_dns_);
    add(Family::kIpv4, all);
    add(Family::kIpv6, all);
  }
  if (addresses.empty()) {
    std::string hint;
    if (split && name != text) {
      hint = "no interface or group is named '" + name + "'";
      if (const std::string near = names_.InterfaceHint(name); !near.empty()) {
        hint += "; " + near;
      }
    } else if (text.find('/') == text.npos) {
      std::vector<std::string_view> names = names_.InterfaceNames();
      const std::vector<std::string_view> hosts = facts_.HostNames();
      names.insert(names.end(), hosts.begin(), hosts.end());
      hint = DidYouMean(text, names);
      if (hint.empty()) {
        hint = "neither an interface, nor a group, nor a known host";
      }
    }
    return in_.Error(token.place,
                     "no IP address found for " + text.substr(0, 64),
                     std::move(hint));
  }
  for (const Address& address : addresses) {
    const int all = AddressBits(address.family);
    HostItem found = item;
    found.family = address.family;
    if (mask > all) found.excess_mask = static_cast<uint8_t>(mask);
    found.match = PrefixMatch(address, has_mask ? std::min(mask, all) : all);
    out.push_back(std::move(found));
  }
  return true;
}

bool HostParser::ExcessMask(const HostItem& host) {
  return in_.Error(host.place, "netmask " + std::to_string(host.excess_mask) +
                                   " invalid for IPv4 address");
}

bool HostParser::ParseFamily(Family& family) {
  if (in_.AcceptWord("inet")) {
    family = Family::kIpv4;
  } else if (in_.AcceptWord("inet6")) {
    family = Family::kIpv6;
  }
  return true;
}

}  // namespace sluice
