#include "pftable/language/parse_pool.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "pftable/policy/digest.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {
namespace {

constexpr uint16_t kNatPortLow = 50001;
constexpr uint16_t kNatPortHigh = 65535;

bool IsHexKey(std::string_view key) {
  if (key.size() != 34 || key.substr(0, 2) != "0x") return false;
  return key.find_first_not_of("0123456789abcdefABCDEF", 2) == key.npos;
}

}  // namespace

bool IsDynamicSet(const AddressMatch& address) {
  if (address.kind == AddressKind::kTable) return true;
  if (address.kind != AddressKind::kDynamicInterface) return false;
  // `(em0:0)` is one address; `(em:0)` is one of each interface of a group.
  const char last = address.name.empty() ? '\0' : address.name.back();
  return !address.modifiers.no_alias || last < '0' || last > '9';
}

bool PoolParser::ParsePool(std::optional<PoolSyntax>& out, bool is_rdr) {
  PoolSyntax pool;
  pool.place = in_.token().place;
  pool.in_braces = in_.token().Is('{');
  if (!hosts_.ParseHosts(pool.hosts, HostContext::kPool)) return false;
  if (!ParsePoolPort(pool, is_rdr) || !ParsePoolOptions(pool, !is_rdr)) {
    return false;
  }
  out = std::move(pool);
  return true;
}

bool PoolParser::ParsePoolPort(PoolSyntax& pool, bool is_rdr) {
  if (!in_.AcceptWord("port")) return true;
  const Token word = in_.token();
  std::string text;
  if (!in_.TakeString("a port", text, 255)) return false;
  Pool& p = pool.pool;
  const size_t colon = text.find(':');
  const std::string_view view = text;
  if (!ports_.ParsePortNumber(view.substr(0, colon), word.place, p.port_low)) {
    return false;
  }
  if (colon != text.npos && view.substr(colon + 1) == "*") {
    pool.port_to_any = is_rdr;
    p.port_high = is_rdr ? 65535 : p.port_low;
  } else if (colon != text.npos) {
    if (!ports_.ParsePortNumber(view.substr(colon + 1), word.place,
                                p.port_high)) {
      return false;
    }
    // nat takes its two ends in any order.
    if (is_rdr && p.port_high < p.port_low) {
      return in_.Error(word.place,
                       "port range " + text + " ends before it begins");
    }
  } else if (!is_rdr) {
    p.port_high = p.port_low;
  }
  if (p.port_low == 0) return in_.Error(word.place, "port 0 is not a target");
  if (is_rdr && !pool.port_to_any && p.port_high == p.port_low) p.port_high = 0;
  // What is the default anyway is not printed.
  if (!is_rdr && p.port_low == kNatPortLow && p.port_high == kNatPortHigh) {
    p.port_low = p.port_high = 0;
  }
  return true;
}

bool PoolParser::ParsePoolOptions(PoolSyntax& pool, bool is_nat) {
  Pool& p = pool.pool;
  const auto method = [&](SourcePlace place, PoolMethod m) {
    if (p.method != PoolMethod::kNone) {
      return in_.Error(place, "a pool has one method only");
    }
    p.method = m;
    return true;
  };
  for (;;) {
    const Token word = in_.token();
    const auto once = [&](bool& flag) {
      in_.Take();
      if (flag)
        return in_.Error(word.place, "'" + word.text + "' is given twice");
      flag = true;
      return true;
    };
    if (word.kind != TokenKind::kWord) break;
    if (word.text == "bitmask") {
      in_.Take();
      if (!method(word.place, PoolMethod::kBitmask)) return false;
    } else if (word.text == "random") {
      in_.Take();
      if (!method(word.place, PoolMethod::kRandom)) return false;
    } else if (word.text == "round-robin") {
      in_.Take();
      if (!method(word.place, PoolMethod::kRoundRobin)) return false;
    } else if (word.text == "least-states") {
      in_.Take();
      if (!method(word.place, PoolMethod::kLeastStates)) return false;
    } else if (word.text == "source-hash") {
      in_.Take();
      if (!method(word.place, PoolMethod::kSourceHash)) return false;
      // A key is a word that is no option of the rule.
      if (in_.token().kind == TokenKind::kQuoted ||
          (in_.token().kind == TokenKind::kWord &&
           !IsReservedWord(in_.token().text, in_.dialect()))) {
        const Token key = in_.Take();
        if (key.text.rfind("0x", 0) == 0) {
          if (!IsHexKey(key.text)) {
            return in_.Error(key.place,
                             "hash key must be 128 bits, 32 hex "
                             "digits after 0x");
          }
          p.hash_key = key.text;
          for (char& c : p.hash_key) {
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
          }
        } else {
          p.hash_key = "0x" + Md5Hex(key.text);
        }
      }
    } else if (word.text == "sticky-address") {
      if (!once(p.sticky_address)) return false;
    } else if (word.text == "static-port") {
      if (!once(p.static_port)) return false;
    } else if (word.text == "endpoint-independent") {
      if (!once(p.endpoint_independent)) return false;
    } else if (word.text == "prefer-ipv6-nexthop") {
      if (!once(p.prefer_ipv6_nexthop)) return false;
    } else if (word.text == "map-e-portset") {
      in_.Take();
      int64_t offset = 0;
      int64_t length = 0;
      int64_t id = 0;
      if (!in_.TakeNumber("map-e-portset offset", 0, 15, offset) ||
          !in_.Expect('/', "between the numbers of map-e-portset") ||
          !in_.TakeNumber("map-e-portset length", 1, 15, length) ||
          !in_.Expect('/', "between the numbers of map-e-portset") ||
          !in_.TakeNumber("map-e-portset id", 0, 65535, id)) {
        return false;
      }
      if (offset + length > 15) {
        return in_.Error(word.place,
                         "MAP-E PSID offset + PSID length must be at "
                         "most 15");
      }
      p.map_e_offset = static_cast<uint8_t>(offset);
      p.map_e_length = static_cast<uint8_t>(length);
      p.map_e_id = static_cast<uint16_t>(id);
    } else if (word.text == "port-block") {
      in_.Take();
      int64_t size = 0;
      if (!in_.TakeNumber("port-block", 1, 32768, size)) return false;
      p.port_block = static_cast<uint16_t>(size);
    } else {
      break;
    }
  }
  const std::string_view for_nat = p.static_port            ? "static-port"
                                   : p.map_e_length != 0    ? "map-e-portset"
                                   : p.endpoint_independent
                                       ? "endpoint-independent"
                                   : p.port_block != 0 ? "port-block"
                                                       : "";
  if (!is_nat && !for_nat.empty()) {
    return in_.Error(pool.place, "the '" + std::string(for_nat) +
                                     "' option is only valid with nat rules");
  }
  if (p.static_port && p.port_low != 0) {
    return in_.Error(pool.place,
                     "the 'static-port' option can't be used when "
                     "specifying a port range");
  }
  if (p.map_e_length != 0 && (p.static_port || p.port_low != 0)) {
    return in_.Error(pool.place,
                     "'map-e-portset' can't be used with a port or "
                     "'static-port'");
  }
  // The source alone says the address and the ports.
  if (p.port_block != 0 &&
      (p.static_port || p.map_e_length != 0 || p.sticky_address ||
       p.endpoint_independent || p.method != PoolMethod::kNone)) {
    return in_.Error(pool.place,
                     "'port-block' can't be used with another option or "
                     "method of the pool");
  }
  return true;
}

bool PoolParser::ParseRoute(RuleSyntax& rule, RouteKind kind) {
  if (rule.rule.route != RouteKind::kNone) {
    return in_.Error(in_.token().place,
                     "route-to, reply-to and dup-to are given twice");
  }
  PoolSyntax pool;
  pool.place = in_.token().place;
  rule.rule.route = kind;
  pool.in_braces = in_.token().Is('{');
  if (!hosts_.ParseHosts(pool.hosts, HostContext::kRoute)) return false;
  if (!ParsePoolOptions(pool, /*is_nat=*/false)) return false;
  rule.route = std::move(pool);
  return true;
}

bool PoolParser::ParseAfTo(RuleSyntax& rule) {
  const SourcePlace place = in_.token().place;
  if (rule.nat || rule.rdr || rule.binat) {
    return in_.Error(place, "af-to cannot be combined with nat-to or rdr-to");
  }
  hosts_.ParseFamily(rule.rule.af_to);
  if (rule.rule.af_to == Family::kNone) return in_.Unexpected("inet or inet6");
  if (!in_.AcceptWord("from")) return in_.Unexpected("'from'");
  if (!ParsePool(rule.nat, false)) return false;
  if (in_.AcceptWord("to")) return ParsePool(rule.rdr, true);
  return true;
}

bool PoolParser::CheckMembers(const PoolSyntax& syntax, const Pool& pool,
                              bool is_route) {
  const bool many = pool.addresses.size() > 1;
  const bool openbsd = in_.InDialect(Dialect::kOpenBsd);
  size_t sets = 0;
  for (const PoolAddress& a : pool.addresses) {
    const AddressKind kind = a.address.kind;
    if (kind == AddressKind::kTable || kind == AddressKind::kDynamicInterface)
      ++sets;
    if (kind == AddressKind::kAny && a.interface.empty()) {
      return in_.Error(syntax.place, "a pool cannot be every address");
    }
    if (kind == AddressKind::kRange && many) {
      return in_.Error(syntax.place,
                       "a range cannot be a member of a list of addresses");
    }
    const InterfaceModifiers& m = a.address.modifiers;
    if (openbsd && is_route && kind == AddressKind::kDynamicInterface &&
        !(m.peer && !m.no_alias)) {
      return in_.Error(syntax.place,
                       "route spec requires :peer with dynamic "
                       "interface addresses");
    }
  }
  if (!openbsd) return true;
  const AddressKind first = pool.addresses[0].address.kind;
  if (syntax.in_braces &&
      (first == AddressKind::kTable ||
       first == AddressKind::kDynamicInterface)) {
    return in_.Error(syntax.place,
                     "only addresses can be listed for redirection pools",
                     many ? "addresses come first" : "it stands without braces");
  }
  if (many && sets > 1) {
    return in_.Error(syntax.place,
                     "multiple tables or dynamic interfaces not supported for "
                     "translation or routing");
  }
  return true;
}

bool PoolParser::FillPool(const PoolSyntax& syntax, const Use& use,
                          std::optional<Pool>& out) {
  Pool pool = syntax.pool;
  for (const HostItem& host : syntax.hosts) {
    if (host.family != Family::kNone && use.family != Family::kNone &&
        host.family != use.family && !use.any_family) {
      continue;
    }
    if (host.excess_mask != 0) return hosts_.ExcessMask(host);
    pool.addresses.push_back({.address = host.match,
                              .interface = host.route_interface,
                              .weight = host.weight});
  }
  if (pool.addresses.empty()) {
    return in_.Error(
        syntax.place,
        in_.InDialect(Dialect::kOpenBsd)
            ? "af mismatch: no address of the pool is of the rule's "
              "address family"
            : "no routing or translation address with matching "
              "address family found");
  }
  if (!CheckMembers(syntax, pool, use.is_route)) return false;
  const bool many = pool.addresses.size() > 1;
  bool set = many;
  for (const PoolAddress& a : pool.addresses) {
    set = set || IsDynamicSet(a.address);
  }
  if (pool.method == PoolMethod::kBitmask && set) {
    return in_.Error(syntax.place,
                     "bitmask is for one network, not for lists or tables");
  }
  if (pool.port_block != 0 && set) {
    return in_.Error(syntax.place,
                     "port-block is for one address or network, not for "
                     "lists or tables");
  }
  if (pool.method == PoolMethod::kNone && set) {
    pool.method = PoolMethod::kRoundRobin;
  }
  if (syntax.port_to_any) {
    const int more = use.port.op == CompareOperator::kRange ||
                             use.port.op == CompareOperator::kExclusiveRange
                         ? use.port.high - use.port.low
                         : 0;
    if (pool.port_low + more > 65535) {
      return in_.Error(syntax.place, "the target's ports end above 65535");
    }
    pool.port_high =
        more == 0 ? 0 : static_cast<uint16_t>(pool.port_low + more);
  }
  out = std::move(pool);
  return true;
}

}  // namespace sluice
