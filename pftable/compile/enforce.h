// Which constructs of a policy an engine does not carry out. A rule that is
// not carried out in full is another rule, so they are refused by name.
#ifndef SLUICE_PFTABLE_COMPILE_ENFORCE_H_
#define SLUICE_PFTABLE_COMPILE_ENFORCE_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/policy/diagnostic.h"
#include "pftable/policy/policy.h"

namespace sluice {

// What an engine can do beyond stateful pass, block and match with addresses,
// tables, ports, flags, types, tags, labels and options of a plain state. The
// defaults are an engine that does no more than that; what sluice's does is
// kEngineCapabilities (compile.h), which the daemon's loads and `-n` ask.
struct EngineCapabilities {
  bool anchors = false;
  bool translation = false;        // nat-to, rdr-to, binat-to
  bool translation_rules = false;  // nat, rdr, binat
  bool sticky_addresses = false;
  bool least_states = false;
  bool endpoint_independence = false;
  bool port_sets = false;          // map-e-portset
  bool port_blocks = false;        // port-block
  bool address_families = false;   // af-to
  // ... behind prefixes that RFC 6052 does not have.
  bool odd_prefixes = false;
  bool remembering_families = false;  // af-to by pools that remember
  bool routing = false;            // route-to, reply-to, dup-to
  bool scrub = false;              // scrub (...) and scrub rules
  bool sequence_rewriting = false;  // modulate state
  bool synproxy = false;           // synproxy state, set syncookies
  bool source_tracking = false;    // source-track, max-src-*, overload
  bool limiters = false;           // state limiter, source limiter
  bool packet_rates = false;       // max-pkt-rate
  bool packet_sizes = false;       // max-pkt-size
  bool priorities = false;         // prio, set prio
  bool set_tos = false;
  bool once = false;
  bool received_on = false;
  bool fingerprints = false;       // os
  bool sockets = false;            // user, group
  bool routes = false;             // no-route, urpf-failed
  bool if_bound = false;
  bool flow_export = false;        // pflow
  bool sctp_multihoming = false;   // allow-related
  bool layer2 = false;             // ether
  bool dynamic_interfaces = false;  // (if): resolved when loaded
  bool probability = false;
  bool reassembly = false;         // set reassemble yes, where it is written
  bool fail_policy = false;
  bool keep_counters = false;
  bool debug_levels = false;
  bool address_counters = false;   // of tables with `counters`
};

// One for each use, with its place and the line if the policy came from text,
// in the order of the policy, at most `limit` errors and as many warnings:
// - an error, "parsed, not enforced yet: NAME", for what a packet's way
//   depends on. Divert, routing tables and rdomains are always among them;
// - a warning, "changes no verdict, not carried out: NAME", for the others,
//   which a load takes (queues, altq, dummynet).
std::vector<Diagnostic> UnenforcedConstructs(
    const Policy& policy, const EngineCapabilities& capabilities,
    size_t limit = 100);

// Takes those constructs away that are named and not enforced: an option of a
// rule leaves the rule without it; rules whose condition it is, and rules of
// its own, go. What was done is in Policy::left_out, and a warning each.
std::vector<Diagnostic> LeaveOut(Policy* policy,
                                 std::span<const std::string> names,
                                 const EngineCapabilities& capabilities);

// Both, for a load or what says what a load would say: without `names`, of
// which those that change nothing are warnings too.
std::vector<Diagnostic> CheckEnforced(Policy* policy,
                                      std::span<const std::string> names,
                                      const EngineCapabilities& capabilities);

// What of a policy that loads is not carried out, once each, for `-s info`:
// "NAME: rules with it are loaded without it", "NAME: changes no verdict".
std::vector<std::string> NotCarriedOut(const Policy& policy,
                                       const EngineCapabilities& capabilities);

// The names that may occur in those messages, for documentation.
std::vector<std::string_view> ConstructNames();

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_ENFORCE_H_
