#include "pftable/compile/enforce.h"

#include <algorithm>
#include <map>
#include <utility>

#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

using Capability = bool EngineCapabilities::*;

struct RuleConstruct {
  std::string_view name;
  Capability capability;  // null: never enforced
  bool (*used)(const Rule&);
};

bool UsesKind(const Rule& r, AddressKind kind) {
  return r.source.address.kind == kind || r.destination.address.kind == kind;
}

constexpr RuleConstruct kRuleConstructs[] = {
    {"anchor", &EngineCapabilities::anchors,
     [](const Rule& r) { return r.IsAnchorCall(); }},
    {"nat-to", &EngineCapabilities::translation,
     [](const Rule& r) {
       return r.nat.has_value() && r.af_to == Family::kNone &&
              r.action == RuleAction::kPass;
     }},
    {"nat-to on match rules", &EngineCapabilities::translation,
     [](const Rule& r) {
       return r.nat.has_value() && r.action == RuleAction::kMatch;
     }},
    {"rdr-to", &EngineCapabilities::translation,
     [](const Rule& r) {
       return r.rdr.has_value() && r.af_to == Family::kNone &&
              (r.action == RuleAction::kPass ||
               r.action == RuleAction::kMatch);
     }},
    {"af-to", &EngineCapabilities::address_families,
     [](const Rule& r) { return r.af_to != Family::kNone; }},
    {"route-to", &EngineCapabilities::routing,
     [](const Rule& r) { return r.route == RouteKind::kRouteTo; }},
    {"reply-to", &EngineCapabilities::routing,
     [](const Rule& r) { return r.route == RouteKind::kReplyTo; }},
    {"dup-to", &EngineCapabilities::routing,
     [](const Rule& r) { return r.route == RouteKind::kDupTo; }},
    {"scrub", &EngineCapabilities::scrub,
     [](const Rule& r) {
       ScrubOptions others = r.scrub;
       others.reassemble_tcp = false;
       return others.IsSet();
     }},
    {"scrub reassemble tcp", &EngineCapabilities::scrub_tcp,
     [](const Rule& r) { return r.scrub.reassemble_tcp; }},
    {"modulate state", &EngineCapabilities::sequence_rewriting,
     [](const Rule& r) { return r.state == StateKind::kModulate; }},
    {"synproxy state", &EngineCapabilities::synproxy,
     [](const Rule& r) { return r.state == StateKind::kSynproxy; }},
    {"source-track", &EngineCapabilities::source_tracking,
     [](const Rule& r) {
       return r.state_options.source_track != SourceTrack::kNone;
     }},
    {"max-src-nodes", &EngineCapabilities::source_tracking,
     [](const Rule& r) { return r.state_options.max_src_nodes != 0; }},
    {"max-src-states", &EngineCapabilities::source_tracking,
     [](const Rule& r) { return r.state_options.max_src_states != 0; }},
    {"max-src-conn", &EngineCapabilities::source_tracking,
     [](const Rule& r) { return r.state_options.max_src_conn != 0; }},
    {"max-src-conn-rate", &EngineCapabilities::source_tracking,
     [](const Rule& r) { return r.state_options.max_src_conn_rate.IsSet(); }},
    {"overload", &EngineCapabilities::source_tracking,
     [](const Rule& r) { return !r.state_options.overload_table.empty(); }},
    {"pflow", &EngineCapabilities::flow_export,
     [](const Rule& r) { return r.state_options.pflow; }},
    {"allow-related", &EngineCapabilities::sctp_multihoming,
     [](const Rule& r) { return r.state_options.allow_related; }},
    {"if-bound", &EngineCapabilities::if_bound,
     [](const Rule& r) { return r.state_options.if_bound; }},
    {"max-pkt-rate", &EngineCapabilities::packet_rates,
     [](const Rule& r) { return r.max_pkt_rate.IsSet(); }},
    {"max-pkt-size", &EngineCapabilities::packet_sizes,
     [](const Rule& r) { return r.max_pkt_size != 0; }},
    {"prio", &EngineCapabilities::priorities,
     [](const Rule& r) { return r.prio.has_value(); }},
    {"set prio", &EngineCapabilities::priorities,
     [](const Rule& r) { return r.set_prio.has_value(); }},
    {"set tos", &EngineCapabilities::set_tos,
     [](const Rule& r) { return r.set_tos.has_value(); }},
    {"once", &EngineCapabilities::once,
     [](const Rule& r) { return r.once; }},
    {"received-on", &EngineCapabilities::received_on,
     [](const Rule& r) { return r.received_on.IsSet(); }},
    {"os", &EngineCapabilities::fingerprints,
     [](const Rule& r) { return !r.os.empty(); }},
    {"user", &EngineCapabilities::sockets,
     [](const Rule& r) { return r.user.IsSet(); }},
    {"group", &EngineCapabilities::sockets,
     [](const Rule& r) { return r.group.IsSet(); }},
    {"no-route", &EngineCapabilities::routes,
     [](const Rule& r) { return UsesKind(r, AddressKind::kNoRoute); }},
    {"urpf-failed", &EngineCapabilities::routes,
     [](const Rule& r) { return UsesKind(r, AddressKind::kUrpfFailed); }},
    {"(interface)", &EngineCapabilities::dynamic_interfaces,
     [](const Rule& r) {
       return UsesKind(r, AddressKind::kDynamicInterface);
     }},
    {"probability", &EngineCapabilities::probability,
     [](const Rule& r) { return r.probability != 0; }},
    {"route label", nullptr,
     [](const Rule& r) { return UsesKind(r, AddressKind::kRouteLabel); }},
    {"on rdomain", nullptr,
     [](const Rule& r) { return r.foreign.on_rdomain >= 0; }},
    {"rtable", nullptr, [](const Rule& r) { return r.foreign.rtable >= 0; }},
    {"divert-to", nullptr,
     [](const Rule& r) { return r.foreign.divert == DivertKind::kTo; }},
    {"divert-reply", nullptr,
     [](const Rule& r) { return r.foreign.divert == DivertKind::kReply; }},
    {"divert-packet", nullptr,
     [](const Rule& r) { return r.foreign.divert == DivertKind::kPacket; }},
    {"queue", nullptr,
     [](const Rule& r) { return !r.foreign.queue.empty(); }},
    {"state limiter", nullptr,
     [](const Rule& r) { return !r.foreign.state_limiter.empty(); }},
    {"source limiter", nullptr,
     [](const Rule& r) { return !r.foreign.source_limiter.empty(); }},
    {"set delay", nullptr, [](const Rule& r) { return r.foreign.delay != 0; }},
    {"dnpipe", nullptr,
     [](const Rule& r) {
       return !r.foreign.dummynet_is_queue &&
              (r.foreign.dummynet_pipe != 0 ||
               r.foreign.dummynet_return_pipe != 0);
     }},
    {"dnqueue", nullptr,
     [](const Rule& r) {
       return r.foreign.dummynet_is_queue &&
              (r.foreign.dummynet_pipe != 0 ||
               r.foreign.dummynet_return_pipe != 0);
     }},
};

class Finder {
 public:
  Finder(const Policy& policy, const EngineCapabilities& can, size_t limit)
      : policy_(policy), can_(can), limit_(limit) {}

  std::vector<Diagnostic> Run() {
    const Options& o = policy_.options;
    for (const Options::Given& given : o.given) {
      const auto begins = [&](std::string_view what) {
        return given.text.rfind(what, 0) == 0;
      };
      if (begins("syncookies ") && o.syncookies != Syncookies::kNever &&
          !can_.synproxy) {
        Report(given.place, "set syncookies");
      }
      if (begins("reassemble yes") && !can_.reassembly) {
        Report(given.place, "set reassemble");
      }
      if (begins("fail-policy") && !can_.fail_policy) {
        Report(given.place, "set fail-policy");
      }
      if (begins("keepcounters") && !can_.keep_counters) {
        Report(given.place, "set keepcounters");
      }
      if (begins("fingerprints") && !can_.fingerprints) {
        Report(given.place, "set fingerprints");
      }
    }
    for (const ForeignDefinition& d : policy_.foreign) {
      Report(d.place, d.kind);
    }
    Walk(policy_.main);
    return std::move(found_);
  }

 private:
  void Report(const SourcePlace& place, std::string_view name) {
    if (found_.size() >= limit_) return;
    Diagnostic d;
    d.file = place.file < policy_.files.size() ? policy_.files[place.file]
                                               : std::string();
    d.line = place.line;
    d.column = place.column;
    d.message = "parsed, not enforced yet: " + std::string(name);
    d.source_line = SourceLine(place);
    // The rules of one list are one mistake.
    if (std::find(found_.begin(), found_.end(), d) == found_.end()) {
      found_.push_back(std::move(d));
    }
  }

  std::string SourceLine(const SourcePlace& place) {
    if (policy_.texts == nullptr || place.file >= policy_.texts->size()) {
      return std::string();
    }
    const auto [lines, made] =
        lines_.try_emplace(place.file, (*policy_.texts)[place.file]);
    return lines->second.Line(place.line);
  }

  void Walk(const Anchor& anchor) {
    const Ruleset& rules = anchor.rules;
    if (!can_.layer2) {
      for (const EtherRule& r : rules.ether) Report(r.place, "ether");
    }
    if (!can_.scrub_rules) {
      for (const Rule& r : rules.scrub) Report(r.place, "scrub rule");
    }
    if (!can_.translation) {
      for (const Rule& r : rules.nat) Report(r.place, "nat rule");
      for (const Rule& r : rules.rdr) Report(r.place, "rdr rule");
      for (const Rule& r : rules.binat) Report(r.place, "binat rule");
    }
    for (const std::vector<Rule>* list :
         {&rules.scrub, &rules.nat, &rules.rdr, &rules.binat,
          &rules.filter}) {
      for (const Rule& r : *list) {
        for (const RuleConstruct& c : kRuleConstructs) {
          if (found_.size() >= limit_) return;
          if (c.used(r) &&
              (c.capability == nullptr || !(can_.*c.capability))) {
            Report(r.place, c.name);
          }
        }
      }
    }
    for (const Anchor& child : anchor.children) Walk(child);
  }

  const Policy& policy_;
  const EngineCapabilities& can_;
  const size_t limit_;
  std::map<uint32_t, SourceLines> lines_;  // by file
  std::vector<Diagnostic> found_;
};

}  // namespace

std::vector<Diagnostic> UnenforcedConstructs(const Policy& policy,
                                             const EngineCapabilities& can,
                                             size_t limit) {
  return Finder(policy, can, limit).Run();
}

std::vector<std::string_view> ConstructNames() {
  std::vector<std::string_view> names = {
      "set syncookies",   "set reassemble",   "set fail-policy",
      "set keepcounters", "set fingerprints", "ether",
      "scrub rule",       "nat rule",         "rdr rule",
      "binat rule",       "altq"};
  for (const RuleConstruct& c : kRuleConstructs) names.push_back(c.name);
  return names;
}

}  // namespace sluice
