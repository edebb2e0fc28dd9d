#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "pftable/policy/names.h"
#include "pftable/policy/reserved_words.h"
#include "pftable/print/print_internal.h"

namespace sluice {
namespace {

std::string_view OperatorText(CompareOperator op) {
  switch (op) {
    case CompareOperator::kEqual:
      return "=";
    case CompareOperator::kNotEqual:
      return "!=";
    case CompareOperator::kLess:
      return "<";
    case CompareOperator::kLessOrEqual:
      return "<=";
    case CompareOperator::kGreater:
      return ">";
    case CompareOperator::kGreaterOrEqual:
      return ">=";
    case CompareOperator::kRange:
      return ":";
    case CompareOperator::kExclusiveRange:
      return "><";
    case CompareOperator::kExceptRange:
      return "<>";
    case CompareOperator::kNone:
      break;
  }
  return "";
}

// " = 80", " 1:9", " 1 >< 9".
std::string Comparison(CompareOperator op, const std::string& low,
                       const std::string& high) {
  const std::string text(OperatorText(op));
  switch (op) {
    case CompareOperator::kNone:
      return "";
    case CompareOperator::kRange:
      return " " + low + ":" + high;
    case CompareOperator::kExclusiveRange:
    case CompareOperator::kExceptRange:
      return " " + low + " " + text + " " + high;
    default:
      return " " + text + " " + low;
  }
}

int LeadingOnes(const Address& mask) {
  int bits = 0;
  while (bits < AddressBits(mask.family) && mask.bit(bits)) ++bits;
  return bits;
}

void PrintEndpointPort(const PortMatch& port, uint8_t protocol,
                       const PrintOptions& options, std::string& out) {
  if (!port.IsSet()) return;
  const bool names =
      (options.dialect == Dialect::kFreeBsd) != options.flip_port_names;
  const bool equality = port.op == CompareOperator::kEqual ||
                        port.op == CompareOperator::kNotEqual;
  std::string low = std::to_string(port.low);
  if (names && equality && options.facts != nullptr) {
    low = options.facts->ServiceName(port.low, protocol).value_or(low);
  }
  out += " port" + Comparison(port.op, low, std::to_string(port.high));
}

}  // namespace

std::string QuotedText(std::string_view text) {
  std::string out = "\"";
  char before = '\0';
  for (char c : text) {
    if (c == '"' || ((c == ' ' || c == '\t') && before == '\\')) out += '\\';
    out += c;
    before = c;
  }
  return out + '"';
}

std::string NameText(std::string_view text, std::optional<Dialect> dialect) {
  const auto letter = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c == '_';
  };
  // A number is no name.
  bool bare = !text.empty() && letter(text[0]) &&
              text.find_first_not_of("0123456789") != text.npos;
  for (char c : text) {
    bare = bare && (letter(c) || c == '-' || c == '.' || c == ':' || c == '*' ||
                    c == '%' || c == '+' || c == '@');
  }
  const bool reserved =
      dialect ? IsReservedWord(text, *dialect) : IsReservedWord(text);
  if (bare && (text == "any" || !reserved)) {
    return std::string(text);
  }
  return QuotedText(text);
}

std::string TagText(std::string_view text, Dialect dialect) {
  bool words = text.find(' ') != text.npos;
  for (size_t at = 0; words && at < text.size();) {
    const std::string_view word =
        text.substr(at, text.find(' ', at) - at);
    words = NameText(word) == word && !EndsTag(word);
    at += word.size() + 1;
    words = words && at != text.size();  // a blank at the end
  }
  return words ? std::string(text) : NameText(text, dialect);
}

std::string TosText(uint8_t tos) {
  std::array<char, 8> buffer;
  const int length = std::snprintf(buffer.data(), buffer.size(), "0x%2.2x",
                                   static_cast<unsigned>(tos));
  return std::string(buffer.data(), static_cast<size_t>(length));
}

std::string RateText(const RateLimit& rate) {
  return std::to_string(rate.count) + "/" + std::to_string(rate.seconds);
}

std::string ProtocolText(uint8_t number, const HostFacts* facts) {
  if (facts != nullptr) {
    return facts->ProtocolName(number).value_or(std::to_string(number));
  }
  for (const NumberName& p : CommonProtocols()) {
    if (p.number == number) return std::string(p.name);
  }
  return std::to_string(number);
}

std::string AddressText(const AddressMatch& match,
                        const PrintOptions& options) {
  const auto count = [&] {
    if (!options.members) return std::string();
    const std::optional<uint64_t> members = options.members(match);
    return members ? ":" + std::to_string(*members) : std::string(":*");
  };
  switch (match.kind) {
    case AddressKind::kAny:
      return "any";
    case AddressKind::kNoRoute:
      return "no-route";
    case AddressKind::kUrpfFailed:
      return "urpf-failed";
    case AddressKind::kRouteLabel:
      return "route " + QuotedText(match.name);
    case AddressKind::kTable:
      return "<" + NameText(match.name) + count() + ">";
    case AddressKind::kRange:
      return ToString(match.address) + " - " + ToString(match.range_end);
    case AddressKind::kDynamicInterface: {
      std::string name = match.name;
      if (match.modifiers.network) name += ":network";
      if (match.modifiers.broadcast) name += ":broadcast";
      if (match.modifiers.peer) name += ":peer";
      if (match.modifiers.no_alias) name += ":0";
      std::string out = "(" + NameText(name) + count() + ")";
      if (match.dynamic_prefix != 255) {
        out += "/" + std::to_string(match.dynamic_prefix);
      }
      return out;
    }
    case AddressKind::kPrefix: {
      std::string out = ToString(match.address);
      const int bits = LeadingOnes(match.mask);
      if (bits < AddressBits(match.mask.family)) {
        out += "/" + std::to_string(bits);
      }
      return out;
    }
  }
  return "";
}

std::string PortLabelText(const PortMatch& port) {
  if (!port.IsSet()) return "";
  const std::string low = std::to_string(port.low);
  const std::string high = std::to_string(port.high);
  const std::string op(OperatorText(port.op));
  switch (port.op) {
    case CompareOperator::kEqual:
      return low;
    case CompareOperator::kRange:
      return "";
    case CompareOperator::kExclusiveRange:
    case CompareOperator::kExceptRange:
      return low + op + high;
    default:
      return op + low;
  }
}

void PrintFromTo(const Rule& rule, const PrintOptions& options,
                 std::string& out) {
  const auto trivial = [](const Endpoint& e) {
    return e.address.kind == AddressKind::kAny && !e.address.negated &&
           !e.port.IsSet();
  };
  if (trivial(rule.source) && trivial(rule.destination) && rule.os.empty()) {
    out += " all";
    return;
  }
  const auto endpoint = [&](const char* word, const Endpoint& e) {
    out += word;
    if (e.address.negated) out += "! ";
    out += AddressText(e.address, options);
    PrintEndpointPort(e.port, rule.protocol, options, out);
  };
  endpoint(" from ", rule.source);
  if (!rule.os.empty()) out += " os " + QuotedText(rule.os);
  endpoint(" to ", rule.destination);
}

void PrintLog(const LogOptions& log, std::string& out) {
  if (!log.enabled) return;
  out += " log";
  if (!log.all && !log.matches && !log.user && log.pflog == 0) return;
  out += " (";
  const char* comma = "";
  const auto add = [&](const std::string& text) {
    out += comma + text;
    comma = ", ";
  };
  if (log.all) add("all");
  if (log.matches) add("matches");
  if (log.user) add("user");
  if (log.pflog != 0) add("to pflog" + std::to_string(log.pflog));
  out += ")";
}

void PrintId(const IdMatch& id, std::string_view what, std::string& out) {
  if (!id.IsSet()) return;
  const std::string low =
      id.low == kUnknownId ? "unknown" : std::to_string(id.low);
  out += ' ';
  out += what;
  out += Comparison(id.op, low, std::to_string(id.high));
}

void PrintState(const Rule& rule, const PrintOptions& options,
                std::string& out) {
  switch (rule.state) {
    case StateKind::kNone:
      if (rule.action == RuleAction::kPass && !rule.IsAnchorCall()) {
        out += " no state";
      }
      return;
    case StateKind::kKeep:
      if (options.dialect == Dialect::kFreeBsd ||
          (rule.state_options.keep_given &&
           !options.without_state_defaults) ||
          !StateOptionsText(rule.state_options).empty()) {
        out += " keep state";
      }
      return;
    case StateKind::kModulate:
      out += " modulate state";
      return;
    case StateKind::kSynproxy:
      out += " synproxy state";
      return;
  }
}

std::string StateOptionsText(const StateOptions& o) {
  std::string out;
  const auto add = [&](const std::string& text) {
    if (!out.empty()) out += ", ";
    out += text;
  };
  const auto number = [&](const char* name, uint32_t value) {
    if (value != 0) add(name + std::to_string(value));
  };
  number("max ", o.max_states);
  if (o.no_sync) add("no-sync");
  if (o.source_track == SourceTrack::kRule) add("source-track rule");
  if (o.source_track == SourceTrack::kGlobal) add("source-track global");
  number("max-src-states ", o.max_src_states);
  number("max-src-conn ", o.max_src_conn);
  if (o.max_src_conn_rate.IsSet()) {
    add("max-src-conn-rate " + RateText(o.max_src_conn_rate));
  }
  number("max-src-nodes ", o.max_src_nodes);
  if (!o.overload_table.empty()) {
    std::string text = "overload <" + NameText(o.overload_table) + ">";
    if (o.overload_flush) text += " flush";
    if (o.overload_flush_global) text += " global";
    add(text);
  }
  if (o.if_bound) add("if-bound");
  if (o.floating_given) add("floating");
  if (o.sloppy) add("sloppy");
  if (o.allow_related) add("allow-related");
  if (o.pflow) add("pflow");
  if (o.no_helpers) add("no-helpers");
  // pf's own order: what came to the list later stands behind the rest.
  const auto rank = [](Timeout t) {
    const bool sctp = t >= Timeout::kSctpFirst && t <= Timeout::kSctpClosed;
    return sctp ? 2 : t == Timeout::kTcpTsDiff ? 1 : 0;
  };
  auto timeouts = o.timeouts;
  std::stable_sort(timeouts.begin(), timeouts.end(),
                   [&](const auto& a, const auto& b) {
                     return rank(a.first) < rank(b.first);
                   });
  for (const auto& [timeout, seconds] : timeouts) {
    add(std::string(kTimeoutNames[static_cast<size_t>(timeout)]) + " " +
        std::to_string(seconds));
  }
  return out;
}

void PrintStateOptions(const Rule& rule, std::string& out) {
  if (rule.state == StateKind::kNone) return;
  const std::string text = StateOptionsText(rule.state_options);
  if (!text.empty()) out += " (" + text + ")";
}

void PrintPool(const Pool& pool, PoolUse use, const PrintOptions& options,
               std::string& out) {
  const bool many = pool.addresses.size() > 1;
  if (many) out += "{ ";
  const char* comma = "";
  for (const PoolAddress& a : pool.addresses) {
    out += comma;
    comma = ", ";
    const bool address = a.address.kind != AddressKind::kAny;
    if (!a.interface.empty() && address) {
      out += "(" + NameText(a.interface) + " " +
             AddressText(a.address, options) + ")";
    } else if (!a.interface.empty()) {
      out += NameText(a.interface);
    } else {
      out += AddressText(a.address, options);
    }
    // Of one address it says nothing, and pfctl does not say it.
    if (many && a.weight != 0) {
      out += " weight " + std::to_string(a.weight);
    }
  }
  if (many) out += " }";
  if (use == PoolUse::kNat && pool.port_low != 0) {
    out += " port " + std::to_string(pool.port_low);
    if (pool.port_high != pool.port_low) {
      out += ":" + std::to_string(pool.port_high);
    }
  } else if (use == PoolUse::kRdr && pool.port_low != 0) {
    out += " port " + std::to_string(pool.port_low);
    if (pool.port_high != 0) {
      out += ":" + std::to_string(pool.port_high);
    }
  }
  switch (pool.method) {
    case PoolMethod::kNone:
      break;
    case PoolMethod::kBitmask:
      out += " bitmask";
      break;
    case PoolMethod::kRandom:
      out += " random";
      break;
    case PoolMethod::kRoundRobin:
      out += " round-robin";
      break;
    case PoolMethod::kSourceHash:
      out += " source-hash";
      if (!pool.hash_key.empty()) out += " " + pool.hash_key;
      break;
    case PoolMethod::kLeastStates:
      out += " least-states";
      break;
  }
  if (pool.sticky_address) out += " sticky-address";
  if (pool.static_port && use == PoolUse::kNat) out += " static-port";
  if (pool.endpoint_independent) out += " endpoint-independent";
  if (pool.map_e_length != 0) {
    out += " map-e-portset " + std::to_string(pool.map_e_offset) + "/" +
           std::to_string(pool.map_e_length) + "/" +
           std::to_string(pool.map_e_id);
  }
  if (pool.port_block != 0) {
    out += " port-block " + std::to_string(pool.port_block);
  }
  if (pool.prefer_ipv6_nexthop) out += " prefer-ipv6-nexthop";
}

}  // namespace sluice
