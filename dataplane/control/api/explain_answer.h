// What a generation says of a packet, as ExplainRequest asks for it: for the
// filters of a running process, and for tests of a policy without one.
#ifndef SLUICE_DATAPLANE_CONTROL_API_EXPLAIN_ANSWER_H_
#define SLUICE_DATAPLANE_CONTROL_API_EXPLAIN_ANSWER_H_

#include "absl/status/status.h"
#include "dataplane/control/api/rule_control.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/route_view.h"
#include "pftable/engine/tag_registry.h"
#include "pftable/host/host_facts.h"

namespace sluice {

// As it is `now`. All but the diagnostics, the generation's number and the way.
// The request's ruleset is not looked at. `routes` are of the interface; null: it
// has no router. NotFound for an interface that is not there.
absl::Status AnswerExplain(const Generation& generation,
                           const InterfaceRegistry& interfaces,
                           const TagRegistry& tags, const HostFacts& facts,
                           const ExplainRequest& request, Tick now,
                           const RouteView* routes, ExplainResult* result);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_EXPLAIN_ANSWER_H_
