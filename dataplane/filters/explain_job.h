// What a filter's rules, or others, say of a packet, and why.
#ifndef SLUICE_DATAPLANE_FILTERS_EXPLAIN_JOB_H_
#define SLUICE_DATAPLANE_FILTERS_EXPLAIN_JOB_H_

#include <memory>

#include "dataplane/control/api/rule_control.h"
#include "dataplane/filters/filter_core.h"

namespace sluice {

// Control lcore; Build() runs on the builder thread, for as long as there are
// rules.
std::unique_ptr<BuildJob<ExplainResult>> MakeExplainJob(
    std::shared_ptr<FilterCore> core, ExplainRequest request);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_EXPLAIN_JOB_H_
