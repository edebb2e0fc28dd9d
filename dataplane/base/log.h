// The daemon's messages, and where they go: standard error, the journal, or a
// file that can be opened anew after somebody has moved it. Behind this is
// spdlog, which only log.cc knows: its headers cost every unit a second.
#ifndef SLUICE_DATAPLANE_BASE_LOG_H_
#define SLUICE_DATAPLANE_BASE_LOG_H_

#include <fmt/core.h>

#include <cstdint>
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

// Writes out what spdlog may still have. Nothing can be logged afterwards.
void EndLog();

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kCritical };

// The message, if messages of that level are wanted. Control side only.
void WriteLog(LogLevel level, fmt::string_view format, fmt::format_args values);

template <typename... T>
void Log(LogLevel level, fmt::format_string<T...> format, const T&... values) {
  WriteLog(level, format, fmt::make_format_args(values...));
}
template <typename... T>
void LogDebug(fmt::format_string<T...> format, const T&... values) {
  WriteLog(LogLevel::kDebug, format, fmt::make_format_args(values...));
}
template <typename... T>
void LogInfo(fmt::format_string<T...> format, const T&... values) {
  WriteLog(LogLevel::kInfo, format, fmt::make_format_args(values...));
}
template <typename... T>
void LogWarning(fmt::format_string<T...> format, const T&... values) {
  WriteLog(LogLevel::kWarning, format, fmt::make_format_args(values...));
}
template <typename... T>
void LogError(fmt::format_string<T...> format, const T&... values) {
  WriteLog(LogLevel::kError, format, fmt::make_format_args(values...));
}
template <typename... T>
void LogCritical(fmt::format_string<T...> format, const T&... values) {
  WriteLog(LogLevel::kCritical, format, fmt::make_format_args(values...));
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_LOG_H_
