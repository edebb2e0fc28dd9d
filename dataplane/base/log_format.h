// In which form the daemon's messages leave: text, JSON lines, or entries of
// the journal, with fields of their own; and the log of who has changed what.
#ifndef SLUICE_DATAPLANE_BASE_LOG_FORMAT_H_
#define SLUICE_DATAPLANE_BASE_LOG_FORMAT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "dataplane/base/log.h"

namespace sluice {

// Beside the message; `name` in lower case, with '_'. A number is one in JSON.
struct LogField {
  std::string name;
  std::string value;
  bool is_number = false;
};

enum class LogFormat : uint8_t { kText, kJson };

// After SetUpLog(). With kText, where the log goes to standard error and that is
// the journal, entries go to `journal`, the socket that systemd has for them,
// with their fields; what it does not take goes to standard error.
void SetLogFormat(LogFormat format, bool to_standard_error,
                  const std::string& journal = "/run/systemd/journal/socket");

// A message with fields. In text they are not shown.
void LogWithFields(LogLevel level, std::span<const LogField> fields,
                   std::string_view message);

// The least level that is logged, as [log] has it: "trace" ... "off". False:
// there is no such level.
bool SetLogLevel(std::string_view level);

// Where changes are written beside the log: a file of lines "time name=value
// ...", or of JSON objects. Fails if it cannot be written; empty: nowhere.
absl::Status OpenAuditLog(const std::string& file, LogFormat format);
// As ReopenLog().
absl::Status ReopenAuditLog();
// To the log, and to the audit log.
void LogChange(std::span<const LogField> fields, std::string_view message);

// ---- For tests -------------------------------------------------------------

// A line of JSON, with its newline.
std::string JsonLine(std::string_view time, std::string_view level,
                     std::string_view message,
                     std::span<const LogField> fields);
// A datagram of the journal's protocol.
std::string JournalEntry(char priority, std::string_view message,
                         std::span<const LogField> fields);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_LOG_FORMAT_H_
