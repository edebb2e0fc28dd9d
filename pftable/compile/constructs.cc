#include "pftable/compile/constructs.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "packet/embedded_address.h"

namespace sluice {
namespace {

bool UsesKind(const Rule& r, AddressKind kind) {
  return r.source.address.kind == kind || r.destination.address.kind == kind;
}

void DropRoute(Rule& r) {
  r.route = RouteKind::kNone;
  r.route_pool.reset();
}

void DropOverload(Rule& r) {
  r.state_options.overload_table.clear();
  r.state_options.overload_flush = false;
  r.state_options.overload_flush_global = false;
}

void DropDivert(Rule& r) {
  r.foreign.divert = DivertKind::kNone;
  r.foreign.divert_address.reset();
  r.foreign.divert_port = 0;
}

void DropQueue(Rule& r) {
  r.foreign.queue.clear();
  r.foreign.priority_queue.clear();
}

void DropDummynet(Rule& r) {
  r.foreign.dummynet_pipe = 0;
  r.foreign.dummynet_return_pipe = 0;
  r.foreign.dummynet_is_queue = false;
}

bool UsesDummynet(const Rule& r) {
  return r.foreign.dummynet_pipe != 0 || r.foreign.dummynet_return_pipe != 0;
}

int PrefixLength(const Address& mask) {
  int bits = 0;
  while (bits < AddressBits(mask.family) && mask.bit(bits)) ++bits;
  return bits;
}

// Both pfs would send such packets to 0.0.0.0, or to the network itself.
bool UsesOddPrefix(const Rule& r) {
  const auto odd = [](const AddressMatch& address) {
    return address.kind == AddressKind::kPrefix &&
           !IsEmbeddingLength(static_cast<uint8_t>(PrefixLength(address.mask)));
  };
  if (r.af_to == Family::kNone) return false;
  if (r.af_to == Family::kIpv4) {
    // Below 32 bits, any address included, it counts as one of 96.
    return !r.rdr && odd(r.destination.address) &&
           PrefixLength(r.destination.address.mask) >= 32;
  }
  const std::optional<Pool>& pool = r.rdr ? r.rdr : r.nat;
  return pool && std::any_of(pool->addresses.begin(), pool->addresses.end(),
                             [&](const PoolAddress& member) {
                               return odd(member.address);
                             });
}

constexpr RuleConstruct kRuleConstructs[] = {
    {.name = "anchor",
     .capability = &EngineCapabilities::anchors,
     .used = [](const Rule& r) { return r.IsAnchorCall(); }},
    {.name = "nat-to",
     .capability = &EngineCapabilities::translation,
     .used =
         [](const Rule& r) {
           return r.nat.has_value() && r.af_to == Family::kNone &&
                  r.action == RuleAction::kPass;
         },
     .drop = [](Rule& r) { r.nat.reset(); }},
    {.name = "nat-to on match rules",
     .capability = &EngineCapabilities::translation,
     .used =
         [](const Rule& r) {
           return r.nat.has_value() && r.action == RuleAction::kMatch;
         },
     .drop = [](Rule& r) { r.nat.reset(); }},
    {.name = "rdr-to",
     .capability = &EngineCapabilities::translation,
     .used =
         [](const Rule& r) {
           return r.rdr.has_value() && r.af_to == Family::kNone &&
                  (r.action == RuleAction::kPass ||
                   r.action == RuleAction::kMatch);
         },
     .drop = [](Rule& r) { r.rdr.reset(); }},
    {.name = "af-to",
     .capability = &EngineCapabilities::address_families,
     .used = [](const Rule& r) { return r.af_to != Family::kNone; }},
    {.name = "af-to with a prefix of other than 32, 40, 48, 56, 64 or 96 bits",
     .capability = &EngineCapabilities::odd_prefixes,
     .used = UsesOddPrefix},
    {.name = "af-to with sticky-address, least-states or endpoint-independent",
     .capability = &EngineCapabilities::remembering_families,
     .used = [](const Rule& r) {
       const auto remembers = [](const std::optional<Pool>& pool) {
         return pool && (pool->sticky_address || pool->endpoint_independent ||
                         pool->method == PoolMethod::kLeastStates);
       };
       return r.af_to != Family::kNone && (remembers(r.nat) || remembers(r.rdr));
     }},
    {.name = "sticky-address",
     .capability = &EngineCapabilities::sticky_addresses,
     .used =
         [](const Rule& r) {
           return (r.nat && r.nat->sticky_address) ||
                  (r.rdr && r.rdr->sticky_address);
         },
     .drop =
         [](Rule& r) {
           if (r.nat) r.nat->sticky_address = false;
           if (r.rdr) r.rdr->sticky_address = false;
         }},
    {.name = "least-states",
     .capability = &EngineCapabilities::least_states,
     .used =
         [](const Rule& r) {
           return (r.nat && r.nat->method == PoolMethod::kLeastStates) ||
                  (r.rdr && r.rdr->method == PoolMethod::kLeastStates);
         }},
    {.name = "endpoint-independent",
     .capability = &EngineCapabilities::endpoint_independence,
     .used =
         [](const Rule& r) { return r.nat && r.nat->endpoint_independent; },
     .drop = [](Rule& r) { r.nat->endpoint_independent = false; }},
    {.name = "map-e-portset",
     .capability = &EngineCapabilities::port_sets,
     .used = [](const Rule& r) { return r.nat && r.nat->map_e_length != 0; }},
    {.name = "port-block",
     .capability = &EngineCapabilities::port_blocks,
     .used = [](const Rule& r) { return r.nat && r.nat->port_block != 0; }},
    {.name = "route-to",
     .capability = &EngineCapabilities::routing,
     .used = [](const Rule& r) { return r.route == RouteKind::kRouteTo; },
     .drop = [](Rule& r) { DropRoute(r); }},
    {.name = "reply-to",
     .capability = &EngineCapabilities::routing,
     .used = [](const Rule& r) { return r.route == RouteKind::kReplyTo; },
     .drop = [](Rule& r) { DropRoute(r); }},
    {.name = "dup-to",
     .capability = &EngineCapabilities::routing,
     .used = [](const Rule& r) { return r.route == RouteKind::kDupTo; },
     .drop = [](Rule& r) { DropRoute(r); }},
    {.name = "scrub",
     .capability = &EngineCapabilities::scrub,
     .used = [](const Rule& r) { return r.scrub.IsSet(); },
     .drop = [](Rule& r) { r.scrub = ScrubOptions(); }},
    {.name = "modulate state",
     .capability = &EngineCapabilities::sequence_rewriting,
     .used = [](const Rule& r) { return r.state == StateKind::kModulate; },
     .drop = [](Rule& r) { r.state = StateKind::kKeep; }},
    {.name = "synproxy state",
     .capability = &EngineCapabilities::synproxy,
     .used = [](const Rule& r) { return r.state == StateKind::kSynproxy; },
     .drop = [](Rule& r) { r.state = StateKind::kKeep; }},
    {.name = "source-track",
     .capability = &EngineCapabilities::source_tracking,
     .used =
         [](const Rule& r) {
           return r.state_options.source_track != SourceTrack::kNone;
         },
     .drop =
         [](Rule& r) { r.state_options.source_track = SourceTrack::kNone; }},
    {.name = "max-src-nodes",
     .capability = &EngineCapabilities::source_tracking,
     .used = [](const Rule& r) { return r.state_options.max_src_nodes != 0; },
     .drop = [](Rule& r) { r.state_options.max_src_nodes = 0; }},
    {.name = "max-src-states",
     .capability = &EngineCapabilities::source_tracking,
     .used = [](const Rule& r) { return r.state_options.max_src_states != 0; },
     .drop = [](Rule& r) { r.state_options.max_src_states = 0; }},
    {.name = "max-src-conn",
     .capability = &EngineCapabilities::source_tracking,
     .used = [](const Rule& r) { return r.state_options.max_src_conn != 0; },
     .drop = [](Rule& r) { r.state_options.max_src_conn = 0; }},
    {.name = "max-src-conn-rate",
     .capability = &EngineCapabilities::source_tracking,
     .used =
         [](const Rule& r) {
           return r.state_options.max_src_conn_rate.IsSet();
         },
     .drop = [](Rule& r) { r.state_options.max_src_conn_rate = RateLimit(); }},
    {.name = "overload",
     .capability = &EngineCapabilities::source_tracking,
     .used =
         [](const Rule& r) { return !r.state_options.overload_table.empty(); },
     .drop = [](Rule& r) { DropOverload(r); }},
    {.name = "pflow",
     .capability = &EngineCapabilities::flow_export,
     .verdict = false,
     .used = [](const Rule& r) { return r.state_options.pflow; },
     .drop = [](Rule& r) { r.state_options.pflow = false; }},
    {.name = "allow-related",
     .capability = &EngineCapabilities::sctp_multihoming,
     .used = [](const Rule& r) { return r.state_options.allow_related; },
     .drop = [](Rule& r) { r.state_options.allow_related = false; }},
    {.name = "if-bound",
     .capability = &EngineCapabilities::if_bound,
     .used = [](const Rule& r) { return r.state_options.if_bound; },
     .drop = [](Rule& r) { r.state_options.if_bound = false; }},
    {.name = "max-pkt-rate",
     .capability = &EngineCapabilities::packet_rates,
     .used = [](const Rule& r) { return r.max_pkt_rate.IsSet(); },
     .drop = [](Rule& r) { r.max_pkt_rate = RateLimit(); }},
    {.name = "max-pkt-size",
     .capability = &EngineCapabilities::packet_sizes,
     .used = [](const Rule& r) { return r.max_pkt_size != 0; }},
    {.name = "prio",
     .capability = &EngineCapabilities::priorities,
     .used = [](const Rule& r) { return r.prio.has_value(); }},
    {.name = "set prio",
     .capability = &EngineCapabilities::priorities,
     .verdict = false,
     .used = [](const Rule& r) { return r.set_prio.has_value(); },
     .drop = [](Rule& r) { r.set_prio.reset(); }},
    {.name = "set tos",
     .capability = &EngineCapabilities::set_tos,
     .used = [](const Rule& r) { return r.set_tos.has_value(); },
     .drop = [](Rule& r) { r.set_tos.reset(); }},
    {.name = "once",
     .capability = &EngineCapabilities::once,
     .used = [](const Rule& r) { return r.once; }},
    {.name = "received-on",
     .capability = &EngineCapabilities::received_on,
     .used = [](const Rule& r) { return r.received_on.IsSet(); }},
    {.name = "os",
     .capability = &EngineCapabilities::fingerprints,
     .used = [](const Rule& r) { return !r.os.empty(); }},
    {.name = "user",
     .capability = &EngineCapabilities::sockets,
     .used = [](const Rule& r) { return r.user.IsSet(); }},
    {.name = "group",
     .capability = &EngineCapabilities::sockets,
     .used = [](const Rule& r) { return r.group.IsSet(); }},
    {.name = "no-route",
     .capability = &EngineCapabilities::routes,
     .used = [](const Rule& r) { return UsesKind(r, AddressKind::kNoRoute); }},
    {.name = "urpf-failed",
     .capability = &EngineCapabilities::routes,
     .used =
         [](const Rule& r) { return UsesKind(r, AddressKind::kUrpfFailed); }},
    {.name = "(interface)",
     .capability = &EngineCapabilities::dynamic_interfaces,
     .used =
         [](const Rule& r) {
           return UsesKind(r, AddressKind::kDynamicInterface);
         }},
    {.name = "probability",
     .capability = &EngineCapabilities::probability,
     .used = [](const Rule& r) { return r.probability != 0; }},
    {.name = "route label",
     .used =
         [](const Rule& r) { return UsesKind(r, AddressKind::kRouteLabel); }},
    {.name = "on rdomain",
     .used = [](const Rule& r) { return r.foreign.on_rdomain >= 0; }},
    {.name = "rtable",
     .used = [](const Rule& r) { return r.foreign.rtable >= 0; },
     .drop = [](Rule& r) { r.foreign.rtable = -1; }},
    {.name = "divert-to",
     .used = [](const Rule& r) { return r.foreign.divert == DivertKind::kTo; },
     .drop = [](Rule& r) { DropDivert(r); }},
    {.name = "divert-reply",
     .used =
         [](const Rule& r) { return r.foreign.divert == DivertKind::kReply; },
     .drop = [](Rule& r) { DropDivert(r); }},
    {.name = "divert-packet",
     .used =
         [](const Rule& r) { return r.foreign.divert == DivertKind::kPacket; },
     .drop = [](Rule& r) { DropDivert(r); }},
    {.name = "queue",
     .verdict = false,
     .used = [](const Rule& r) { return !r.foreign.queue.empty(); },
     .drop = [](Rule& r) { DropQueue(r); }},
    {.name = "state limiter",
     .capability = &EngineCapabilities::limiters,
     .used = [](const Rule& r) { return !r.foreign.state_limiter.empty(); },
     .drop = [](Rule& r) { r.foreign.state_limiter.clear(); }},
    {.name = "source limiter",
     .capability = &EngineCapabilities::limiters,
     .used = [](const Rule& r) { return !r.foreign.source_limiter.empty(); },
     .drop = [](Rule& r) { r.foreign.source_limiter.clear(); }},
    {.name = "set delay",
     .verdict = false,
     .used = [](const Rule& r) { return r.foreign.delay != 0; },
     .drop = [](Rule& r) { r.foreign.delay = 0; }},
    {.name = "dnpipe",
     .verdict = false,
     .used =
         [](const Rule& r) {
           return !r.foreign.dummynet_is_queue && UsesDummynet(r);
         },
     .drop = [](Rule& r) { DropDummynet(r); }},
    {.name = "dnqueue",
     .verdict = false,
     .used =
         [](const Rule& r) {
           return r.foreign.dummynet_is_queue && UsesDummynet(r);
         },
     .drop = [](Rule& r) { DropDummynet(r); }},
};

constexpr EtherConstruct kEtherConstructs[] = {
    {.name = "ether",
     .capability = &EngineCapabilities::layer2,
     .used = [](const EtherRule&) { return true; }},
    {.name = "queue",
     .verdict = false,
     .used = [](const EtherRule& r) { return !r.foreign.queue.empty(); },
     .drop = [](EtherRule& r) { r.foreign.queue.clear(); }},
    {.name = "dnpipe",
     .verdict = false,
     .used =
         [](const EtherRule& r) {
           return r.foreign.dummynet_pipe != 0 &&
                  !r.foreign.dummynet_is_queue;
         },
     .drop = [](EtherRule& r) { r.foreign.dummynet_pipe = 0; }},
    {.name = "dnqueue",
     .verdict = false,
     .used =
         [](const EtherRule& r) {
           return r.foreign.dummynet_pipe != 0 && r.foreign.dummynet_is_queue;
         },
     .drop = [](EtherRule& r) { r.foreign.dummynet_pipe = 0; }},
};

constexpr OptionConstruct kOptionConstructs[] = {
    {.name = "set syncookies",
     .begins = "syncookies",
     .capability = &EngineCapabilities::synproxy,
     .used =
         [](const Options& o) { return o.syncookies != Syncookies::kNever; },
     .drop = [](Options& o) { o.syncookies = Syncookies::kNever; }},
    {.name = "set reassemble",
     .begins = "reassemble yes",
     .capability = &EngineCapabilities::reassembly,
     .drop = [](Options& o) { o.reassemble = Options(o.dialect).reassemble; }},
    {.name = "set fail-policy",
     .begins = "fail-policy",
     .capability = &EngineCapabilities::fail_policy,
     .drop = [](Options& o) { o.fail_policy = BlockReturn::kDrop; }},
    {.name = "set keepcounters",
     .begins = "keepcounters",
     .capability = &EngineCapabilities::keep_counters,
     .drop = [](Options& o) { o.keep_counters = false; }},
    {.name = "set fingerprints",
     .begins = "fingerprints",
     .capability = &EngineCapabilities::fingerprints,
     .verdict = false,
     .drop = [](Options& o) { o.fingerprints_file.clear(); }},
    {.name = "set debug",
     .begins = "debug",
     .capability = &EngineCapabilities::debug_levels,
     .verdict = false,
     .drop = [](Options& o) { o.debug = Options(o.dialect).debug; }},
};

constexpr RulesetConstruct kRulesetConstructs[] = {
    {.name = "scrub rule",
     .capability = &EngineCapabilities::scrub,
     .rules = &Ruleset::scrub},
    {.name = "nat rule",
     .capability = &EngineCapabilities::translation_rules,
     .rules = &Ruleset::nat},
    {.name = "rdr rule",
     .capability = &EngineCapabilities::translation_rules,
     .rules = &Ruleset::rdr},
    {.name = "binat rule",
     .capability = &EngineCapabilities::translation_rules,
     .rules = &Ruleset::binat},
};

// Of ForeignDefinition; the others only say how fast packets go.
constexpr std::string_view kDeciding[] = {"state limiter", "source limiter"};

}  // namespace

std::span<const RuleConstruct> RuleConstructs() { return kRuleConstructs; }
std::span<const EtherConstruct> EtherConstructs() { return kEtherConstructs; }
std::span<const OptionConstruct> OptionConstructs() {
  return kOptionConstructs;
}
std::span<const RulesetConstruct> RulesetConstructs() {
  return kRulesetConstructs;
}

bool DefinitionChangesVerdicts(std::string_view kind) {
  for (const std::string_view deciding : kDeciding) {
    if (kind == deciding) return true;
  }
  return false;
}

}  // namespace sluice
