// Rulesets and addresses as sluicectl reads them: with the rights and from the
// folder of whoever runs it. The daemon gets contents, never paths.
#ifndef SLUICE_DATAPLANE_SLUICECTL_RULESET_FILE_H_
#define SLUICE_DATAPLANE_SLUICECTL_RULESET_FILE_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/control/api/filter_control.h"
#include "dataplane/sluicectl/arguments.h"
#include "nlohmann/json_fwd.hpp"
#include "pftable/host/host_facts.h"
#include "pftable/language/parser.h"
#include "pftable/language/policy_test.h"

namespace sluice {

struct RulesetFile {
  std::string name;  // for messages
  std::string text;
  std::vector<SourceFile> files;  // all that it refers to
  // The text as this machine sees it. The daemon may see it otherwise: its
  // interfaces are its own.
  ParseResult parsed;
  // A file that it refers to could not be read.
  bool incomplete = false;
};

// Reads the file and what it refers to; "-" is `standard_input`. Macros, the
// dialect and such are the arguments'.
absl::StatusOr<RulesetFile> ReadRuleset(const std::string& path,
                                        const Arguments& arguments,
                                        const HostFacts& facts,
                                        std::istream& standard_input);

// The expectations of a file; "-" is `standard_input`.
absl::StatusOr<PolicyTest> ReadPolicyTest(const std::string& path,
                                          const Arguments& arguments,
                                          const HostFacts& facts,
                                          std::istream& standard_input);

// --facts, or what the system says and the ports that `configuration` has, if
// it can be read.
absl::StatusOr<HostFacts> ReadFacts(
    const Arguments& arguments,
    const std::string& configuration = "/etc/sluice/sluice.toml");

// The addresses for -T: the operands, and the file of -f.
absl::StatusOr<std::vector<TableEntry>> ReadEntries(
    const Arguments& arguments, std::istream& standard_input);

// As parameters of the control socket have them.
nlohmann::json EntryTexts(const std::vector<TableEntry>& entries);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_RULESET_FILE_H_
