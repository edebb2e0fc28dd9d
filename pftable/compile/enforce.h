// Which constructs of a policy an engine does not carry out. A rule that is
// not carried out in full is another rule, so they are refused by name.
#ifndef SLUICE_PFTABLE_COMPILE_ENFORCE_H_
#define SLUICE_PFTABLE_COMPILE_ENFORCE_H_

#include <cstddef>
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
  bool translation = false;        // nat-to, rdr-to, binat-to, nat, rdr, binat
  bool address_families = false;   // af-to
  bool routing = false;            // route-to, reply-to, dup-to
  bool scrub = false;              // scrub (...), but for reassemble tcp
  bool scrub_tcp = false;          // scrub (reassemble tcp)
  bool scrub_rules = false;
  bool sequence_rewriting = false;  // modulate state
  bool synproxy = false;           // synproxy state, set syncookies
  bool source_tracking = false;    // source-track, max-src-*, overload
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
};

// One error a use, "parsed, not enforced yet: NAME" with its place and the
// line if the policy came from text, in the order of the policy; at most
// `limit`. Things that no dataplane has a use
// for (queues, dummynet, divert, rdomains) are always among them.
std::vector<Diagnostic> UnenforcedConstructs(
    const Policy& policy, const EngineCapabilities& capabilities,
    size_t limit = 100);

// The names that may occur in those messages, for documentation.
std::vector<std::string_view> ConstructNames();

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_ENFORCE_H_
