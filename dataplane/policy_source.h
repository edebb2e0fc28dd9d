// From the texts of a ruleset, given as a client or a file system has them, to
// a policy with its diagnostics.
#ifndef SLUICE_DATAPLANE_POLICY_SOURCE_H_
#define SLUICE_DATAPLANE_POLICY_SOURCE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/config.h"
#include "dataplane/control/filter_control.h"
#include "pftable/diagnostic.h"
#include "pftable/host_facts.h"
#include "pftable/parser.h"
#include "pftable/policy.h"
#include "pftable/policy_store.h"

namespace sluice {

// What rules may name of the machine: the ports as interfaces, and the common
// services and protocols.
HostFacts FactsOf(std::span<const PortConfig> ports);

// Parses the request's text and optimises the rules as they or the request ask
// for; `include` and `file` read its files and nothing else. `profile` is what
// the rules in force have met, `base` their options if they are to be kept.
ParseResult ParseRequest(const LoadRequest& request, Dialect dialect,
                         const HostFacts& facts,
                         const RulePackets& profile = nullptr,
                         const Options* base = nullptr);

// The same for a file of the daemon's own machine, whose includes are read
// from the file system. NotFound if it is not there.
absl::StatusOr<ParseResult> ParseFile(const std::string& path, Dialect dialect,
                                      const HostFacts& facts,
                                      const RulePackets& profile = nullptr);

// Packets by rule of what is in force now; holds it until it is destroyed.
RulePackets ProfileOf(const PolicyStore& store);

// Rules that a packet may meet, in all anchors.
uint64_t CountRules(const Anchor& anchor);

// `set limit states` above what the workers' tables hold is an error.
void CheckStateLimit(const Policy& policy, uint32_t capacity,
                     std::vector<Diagnostic>* diagnostics);

// The lines of a compiler's status, "file:line:column: what", as diagnostics.
std::vector<Diagnostic> DiagnosticsOf(const absl::Status& status,
                                      const std::string& file);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_POLICY_SOURCE_H_
