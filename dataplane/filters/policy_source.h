// From the texts of a ruleset, given as a client or a file system has them, to
// a policy with its diagnostics.
#ifndef SLUICE_DATAPLANE_FILTERS_POLICY_SOURCE_H_
#define SLUICE_DATAPLANE_FILTERS_POLICY_SOURCE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/control/api/filter_control.h"
#include "pftable/host/host_facts.h"
#include "pftable/language/parser.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/policy.h"
#include "pftable/store/policy_store.h"

namespace sluice {

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

#endif  // SLUICE_DATAPLANE_FILTERS_POLICY_SOURCE_H_
