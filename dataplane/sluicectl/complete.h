// What may stand where the cursor is, for the completion of shells. Words and
// options are read out of the usage that the program prints, so that there is
// one list of them; names of filters, ports, tables, anchors and labels are the
// daemon's.
#ifndef SLUICE_DATAPLANE_SLUICECTL_COMPLETE_H_
#define SLUICE_DATAPLANE_SLUICECTL_COMPLETE_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/metrics/caller.h"

namespace sluice {

// In place of candidates: names of files.
inline constexpr std::string_view kCompleteFiles = ":files";

// `words` without the program's name; the last one, which may be empty, is the
// one that the cursor is at. Ascending, each once. Without a daemon there are
// no names.
std::vector<std::string> Complete(std::span<const std::string> words,
                                  Caller* caller);

// Which commands and options there are, for Complete() and for tests.
struct UsageOption {
  std::string name;                 // "--fail"
  std::vector<std::string> values;  // what stands behind it; none: no value
};
struct UsageCommand {
  std::string noun;  // empty: flags
  std::string verb;  // empty: it needs none
  std::vector<UsageOption> options;
};
const std::vector<UsageCommand>& UsageCommands();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_COMPLETE_H_
