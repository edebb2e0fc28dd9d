#include <array>
#include <cstdio>
#include <optional>
#include <string>

#include "pftable/policy/names.h"
#include "pftable/print/print_internal.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {


void PrintReturn(const Rule& rule, Dialect dialect, std::string& out) {
  switch (rule.block_return) {
    case BlockReturn::kDrop:
      out += " drop";
      return;
    case BlockReturn::kReturn:
      out += " return";
      return;
    case BlockReturn::kReturnRst:
      out += " return-rst";
      if (rule.return_rst_ttl != 0) {
        out += "(ttl " + std::to_string(rule.return_rst_ttl) + ")";
      }
      return;
    case BlockReturn::kReturnIcmp:
      break;
  }
  const std::string v4 =
      IcmpCodeText(3, rule.return_icmp_code, Family::kIpv4, dialect);
  const std::string v6 =
      IcmpCodeText(1, rule.return_icmp6_code, Family::kIpv6, dialect);
  if (rule.family == Family::kIpv4) {
    out += " return-icmp(" + v4 + ")";
  } else if (rule.family == Family::kIpv6) {
    out += " return-icmp6(" + v6 + ")";
  } else {
    out += " return-icmp(" + v4 + ", " + v6 + ")";
  }
}

// FreeBSD has one TOS to set, wherever a rule has it.
std::optional<uint8_t> SetTos(const Rule& rule, Dialect dialect) {
  const bool scrub_too = dialect == Dialect::kFreeBsd && !rule.set_tos &&
                         rule.action != RuleAction::kScrub;
  return scrub_too ? rule.scrub.set_tos : rule.set_tos;
}

void PrintSet(const Rule& rule, Dialect dialect, std::string& out) {
  const ForeignOptions& f = rule.foreign;
  const bool openbsd = dialect == Dialect::kOpenBsd;
  const bool queue = openbsd && !f.queue.empty();
  const std::optional<uint8_t> tos = SetTos(rule, dialect);
  if (!rule.set_prio && !tos && !queue && f.delay == 0) return;
  // FreeBSD has blanks inside of the brackets.
  out += openbsd ? " set (" : " set ( ";
  const char* comma = "";
  if (rule.set_prio) {
    const auto [low, high] = *rule.set_prio;
    out += low == high ? "prio " + std::to_string(low)
                       : "prio(" + std::to_string(low) + ", " +
                             std::to_string(high) + ")";
    comma = ", ";
  }
  if (queue) {
    out += comma;
    out += f.priority_queue.empty()
               ? "queue " + NameText(f.queue, dialect)
               : "queue(" + NameText(f.queue, dialect) + ", " +
                     NameText(f.priority_queue, dialect) + ")";
    comma = ", ";
  }
  if (tos) {
    out += comma + ("tos " + TosText(*tos));
    comma = ", ";
  }
  if (f.delay != 0) out += comma + ("delay " + std::to_string(f.delay));
  out += openbsd ? ")" : " )";
}

void PrintProbability(uint32_t probability, std::string& out) {
  std::array<char, 32> buffer;
  const int length =
      std::snprintf(buffer.data(), buffer.size(), "%f",
                    probability * 100.0 / 4294967296.0);
  std::string text(buffer.data(), static_cast<size_t>(length));
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  out += " probability " + text + "%";
}

// OpenBSD: " scrub (no-df random-id)"; FreeBSD: " scrub( no-df random-id)".
void PrintScrubBrackets(const Rule& rule, Dialect dialect, std::string& out) {
  const bool freebsd = dialect == Dialect::kFreeBsd;
  ScrubOptions scrub = rule.scrub;
  // There it is in both places, but not alone here.
  if (freebsd) scrub.set_tos.reset();
  if (!scrub.IsSet()) return;
  if (freebsd) scrub.set_tos = SetTos(rule, dialect);
  out += freebsd ? " scrub(" : " scrub (";
  const char* blank = freebsd ? " " : "";
  const auto add = [&](const std::string& text) {
    out += blank;
    out += text;
    blank = " ";
  };
  if (scrub.no_df) add("no-df");
  if (scrub.random_id) add("random-id");
  if (scrub.min_ttl != 0) add("min-ttl " + std::to_string(scrub.min_ttl));
  if (scrub.set_tos) add("set-tos " + TosText(*scrub.set_tos));
  if (scrub.reassemble_tcp) add("reassemble tcp");
  if (scrub.max_mss != 0) add("max-mss " + std::to_string(scrub.max_mss));
  out += ")";
}

void PrintScrubRule(const ScrubOptions& scrub, std::string& out) {
  if (scrub.no_df) out += " no-df";
  if (scrub.random_id) out += " random-id";
  if (scrub.min_ttl != 0) out += " min-ttl " + std::to_string(scrub.min_ttl);
  if (scrub.max_mss != 0) out += " max-mss " + std::to_string(scrub.max_mss);
  if (scrub.set_tos) out += " set-tos " + TosText(*scrub.set_tos);
  if (scrub.reassemble_tcp) out += " reassemble tcp";
  out += scrub.no_fragment_reassembly ? " fragment no reassemble"
                                      : " fragment reassemble";
}

void PrintDivert(const ForeignOptions& f, Dialect dialect, std::string& out) {
  switch (f.divert) {
    case DivertKind::kNone:
      return;
    case DivertKind::kReply:
      out += " divert-reply";
      return;
    case DivertKind::kPacket:
      out += " divert-packet port " + std::to_string(f.divert_port);
      return;
    case DivertKind::kTo:
      out += " divert-to ";
      if (dialect == Dialect::kOpenBsd && f.divert_address) {
        out += ToString(*f.divert_address) + " port ";
      }
      out += std::to_string(f.divert_port);
      return;
  }
}

void PrintTranslation(const Rule& rule, const PrintOptions& options, std::string& out) {
  if (rule.action == RuleAction::kNat || rule.action == RuleAction::kBinat) {
    if (rule.nat) {
      out += " -> ";
      PrintPool(*rule.nat,
                rule.action == RuleAction::kNat ? PoolUse::kNat
                                                : PoolUse::kBinat,
                options, out);
    }
    return;
  }
  if (rule.action == RuleAction::kRdr) {
    if (rule.rdr) {
      out += " -> ";
      PrintPool(*rule.rdr, PoolUse::kRdr, options, out);
    }
    return;
  }
  if (rule.af_to != Family::kNone) {
    out += rule.af_to == Family::kIpv4 ? " af-to inet from "
                                       : " af-to inet6 from ";
    PrintPool(*rule.nat, PoolUse::kNat, options, out);
    if (rule.rdr) {
      out += " to ";
      PrintPool(*rule.rdr, PoolUse::kRdr, options, out);
    }
    return;
  }
  if (rule.nat) {
    out += " nat-to ";
    PrintPool(*rule.nat, PoolUse::kNat, options, out);
  }
  if (rule.rdr) {
    out += " rdr-to ";
    PrintPool(*rule.rdr, PoolUse::kRdr, options, out);
  }
}

void PrintRoute(const Rule& rule, const PrintOptions& options, std::string& out) {
  if (!rule.route_pool) return;
  out += " ";
  out += Name(rule.route);
  out += " ";
  PrintPool(*rule.route_pool, PoolUse::kRoute, options, out);
}

std::string_view ActionText(const Rule& rule) {
  if (rule.IsAnchorCall()) {
    switch (rule.action) {
      case RuleAction::kNat:
        return "nat-anchor";
      case RuleAction::kRdr:
        return "rdr-anchor";
      case RuleAction::kBinat:
        return "binat-anchor";
      case RuleAction::kScrub:
        return "scrub-anchor";
      default:
        return "anchor";
    }
  }
  switch (rule.action) {
    case RuleAction::kPass:
      return "pass";
    case RuleAction::kBlock:
      return "block";
    case RuleAction::kMatch:
      return "match";
    case RuleAction::kScrub:
      return "scrub";
    case RuleAction::kNoScrub:
      return "no scrub";
    case RuleAction::kNat:
      return "nat";
    case RuleAction::kNoNat:
      return "no nat";
    case RuleAction::kRdr:
      return "rdr";
    case RuleAction::kNoRdr:
      return "no rdr";
    case RuleAction::kBinat:
      return "binat";
    case RuleAction::kNoBinat:
      return "no binat";
  }
  return "";
}

void PrintIcmp(const Rule& rule, Dialect dialect, std::string& out) {
  if (!rule.icmp_type) return;
  out += rule.family == Family::kIpv6 ? " icmp6-type " : " icmp-type ";
  out += IcmpTypeText(*rule.icmp_type, rule.family);
  if (rule.icmp_code) {
    out += " code " + IcmpCodeText(*rule.icmp_type, *rule.icmp_code,
                                   rule.family, dialect);
  }
}

// What follows the brackets of the state, up to the translation.
void PrintTail(const Rule& rule, const PrintOptions& options,
               std::string& out) {
  const Dialect dialect = options.dialect;
  const ForeignOptions& f = rule.foreign;
  const bool freebsd = dialect == Dialect::kFreeBsd;
  if (freebsd && rule.allow_opts) out += " allow-opts";
  if (rule.fragment) out += " fragment";
  const bool scrub_rule = rule.action == RuleAction::kScrub ||
                          rule.action == RuleAction::kNoScrub;
  if (!scrub_rule) PrintScrubBrackets(rule, dialect, out);
  if (!freebsd && rule.allow_opts) out += " allow-opts";
  if (rule.action == RuleAction::kScrub && !rule.IsAnchorCall()) {
    PrintScrubRule(rule.scrub, out);
  }
  for (const std::string& label : rule.labels) {
    out += " label " + QuotedText(label);
  }
  if (rule.ridentifier != 0) {
    out += " ridentifier " + std::to_string(rule.ridentifier);
  }
  if (f.dummynet_pipe != 0 || f.dummynet_return_pipe != 0) {
    out += f.dummynet_is_queue ? " dnqueue" : " dnpipe";
    out += f.dummynet_return_pipe != 0
               ? "(" + std::to_string(f.dummynet_pipe) + ", " +
                     std::to_string(f.dummynet_return_pipe) + ")"
               : " " + std::to_string(f.dummynet_pipe);
  }
  const auto limiter = [&](const char* what, const std::string& name,
                           bool blocks) {
    if (name.empty()) return;
    out += what + QuotedText(name) + (blocks ? " (block)" : " (no-match)");
  };
  limiter(" state limiter ", f.state_limiter, f.state_limiter_blocks);
  limiter(" source limiter ", f.source_limiter, f.source_limiter_blocks);
  if (rule.once) out += " once";
  if (freebsd && !f.queue.empty()) {
    out += f.priority_queue.empty()
               ? " queue " + NameText(f.queue, dialect)
               : " queue(" + NameText(f.queue, dialect) + ", " +
                     NameText(f.priority_queue, dialect) + ")";
  }
  const auto tag = [&](const std::string& text) {
    return options.as_pfctl ? TagText(text, dialect) : NameText(text, dialect);
  };
  if (!rule.tag.empty()) out += " tag " + tag(rule.tag);
  if (!rule.tagged.empty()) {
    if (rule.tagged_negated) out += " !";
    out += " tagged " + tag(rule.tagged);
  }
  if (f.rtable >= 0) out += " rtable " + std::to_string(f.rtable);
  PrintDivert(f, dialect, out);
}

}  // namespace

std::string PrintRule(const Rule& rule, const PrintOptions& options,
                      size_t number) {
  const Dialect dialect = options.dialect;
  std::string out;
  out.reserve(96);
  if (options.rule_numbers) out += "@" + std::to_string(number) + " ";
  out += ActionText(rule);
  if (rule.IsAnchorCall()) {
    const size_t slash = rule.anchor_call.rfind('/');
    const bool unnamed =
        rule.anchor_call[slash == std::string::npos ? 0 : slash + 1] == '_';
    if (!unnamed || options.anchor_names) {
      out += " " + QuotedText(rule.anchor_call);
    }
  } else if (rule.translation_pass) {
    out += " pass";
  }
  if (rule.action == RuleAction::kBlock) PrintReturn(rule, dialect, out);
  if (rule.direction == Direction::kIn) out += " in";
  if (rule.direction == Direction::kOut) out += " out";
  PrintLog(rule.log, out);
  if (rule.quick) out += " quick";
  if (rule.on.IsSet()) {
    out += rule.on.negated ? " on ! " : " on ";
    out += NameText(rule.on.name, dialect);
  }
  if (rule.foreign.on_rdomain >= 0) {
    out += rule.on.negated ? " on ! rdomain " : " on rdomain ";
    out += std::to_string(rule.foreign.on_rdomain);
  }
  if (dialect == Dialect::kFreeBsd) PrintRoute(rule, options, out);
  if (rule.family == Family::kIpv4) out += " inet";
  if (rule.family == Family::kIpv6) out += " inet6";
  if (rule.protocol != 0) {
    out += " proto " + ProtocolText(rule.protocol, options.facts);
  }
  PrintFromTo(rule, options, out);
  if (rule.received_on.IsSet()) {
    out += rule.received_on.negated ? " !received-on " : " received-on ";
    out += NameText(rule.received_on.name, dialect);
  }
  PrintId(rule.user, "user", out);
  PrintId(rule.group, "group", out);
  if (rule.flags.mask != 0) {
    out += " flags " + TcpFlagsText(rule.flags.set) + "/" +
           TcpFlagsText(rule.flags.mask);
  } else if (rule.action == RuleAction::kPass &&
             (rule.protocol == 0 || rule.protocol == protocol::kTcp) &&
             !rule.fragment && !rule.IsAnchorCall() &&
             rule.state != StateKind::kNone) {
    out += " flags any";
  }
  PrintIcmp(rule, dialect, out);
  if (rule.tos) out += " tos " + TosText(*rule.tos);
  if (rule.prio) out += " prio " + std::to_string(*rule.prio);
  if (rule.max_pkt_rate.IsSet()) {
    out += " max-pkt-rate " + RateText(rule.max_pkt_rate);
  }
  if (rule.max_pkt_size != 0) {
    out += " max-pkt-size " + std::to_string(rule.max_pkt_size);
  }
  PrintSet(rule, dialect, out);
  PrintState(rule, options, out);
  if (!options.as_pfctl) PrintStateOptions(rule, out);
  if (rule.probability != 0) PrintProbability(rule.probability, out);
  if (options.as_pfctl) PrintStateOptions(rule, out);
  PrintTail(rule, options, out);
  if (!rule.IsAnchorCall()) {
    PrintTranslation(rule, options, out);
    if (dialect == Dialect::kOpenBsd) PrintRoute(rule, options, out);
  }
  return out;
}

}  // namespace sluice
