// Snapshots on their way to the daemon, and what it answers: `state import` and
// `filter create --source`.
#ifndef SLUICE_DATAPLANE_SLUICECTL_IMPORT_ANSWER_H_
#define SLUICE_DATAPLANE_SLUICECTL_IMPORT_ANSWER_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

// The snapshot as a plain file: the file itself, or what a pipe has, in a file
// without a name. "-" is `in_fd`. Errors do not name it.
absl::StatusOr<UniqueFd> OpenSnapshot(const std::string& name, int in_fd);

// Of what `state import` answers: the exit status for its code, and what became
// of it, for people, who would try again with `file`.
int ExitStatusOfImport(const std::string& code);
std::string ExplainImport(const nlohmann::json& answer,
                          std::string_view filter, std::string_view file);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_IMPORT_ANSWER_H_
