// Where the daemon's messages go: standard error, the journal, or a file that
// can be opened anew after somebody has moved it.
#ifndef SLUICE_DATAPLANE_BASE_LOG_H_
#define SLUICE_DATAPLANE_BASE_LOG_H_

#include <string>

#include "absl/status/status.h"

namespace sluice {

struct LogTarget {
  std::string level = "info";  // as spdlog calls it
  std::string file{};           // empty: standard error
};

// Makes spdlog's default logger. When standard error is the journal, lines
// begin with their priority (sd-daemon(3)) instead of the time. Fails, saying
// which key to change, if the file cannot be written.
absl::Status SetUpLog(const LogTarget& options);

// Goes on in a new file of the same name: what `logrotate` needs after it has
// renamed the old one. Without a file, nothing. If there can be no new file,
// the old one is still written to.
absl::Status ReopenLog();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_LOG_H_
