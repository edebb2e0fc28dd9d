// What methods that load a ruleset have in common: how it is asked for and how
// the outcome is told.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_RULESET_CALL_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_RULESET_CALL_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/control/api/rule_control.h"
#include "dataplane/control/api/state_control.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/params.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

// What a ruleset consists of, as in ruleset.load.
void ReadLoadRequest(Params& params, LoadRequest* request);
// Answers a load that did not succeed, and logs it; false if it did. What is
// said of an error is `consequence`.
bool AnswerFailedLoad(Call& call, absl::StatusOr<LoadResult>& result,
                      std::string_view consequence);
// {"generation", "rules", "diagnostics"}
nlohmann::json LoadToJson(const LoadResult& result);
// {"looked_at", "blocked", "killed", "states"}
nlohmann::json BlockedToJson(const BlockedStates& blocked);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_RULESET_CALL_H_
