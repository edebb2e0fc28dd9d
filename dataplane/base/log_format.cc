#include "dataplane/base/log_format.h"

#include <fcntl.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

// Of the message that this thread is about to write: sinks and formatters are
// called by the thread that logs.
thread_local std::span<const LogField> fields_of_message;

// "2026-01-31T12:00:00.123Z"
std::string UtcTime(std::chrono::system_clock::time_point time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(since - seconds);
  const std::time_t whole = seconds.count();
  std::tm utc{};
  ::gmtime_r(&whole, &utc);
  return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                         utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                         utc.tm_hour, utc.tm_min, utc.tm_sec,
                         milliseconds.count());
}

std::string_view LevelName(spdlog::level::level_enum level) {
  const spdlog::string_view_t name = spdlog::level::to_string_view(level);
  return {name.data(), name.size()};
}

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message,
              spdlog::memory_buf_t& line) override {
    const std::string text =
        JsonLine(UtcTime(message.time), LevelName(message.level),
                 {message.payload.data(), message.payload.size()},
                 fields_of_message);
    line.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

char PriorityOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical: return '2';
    case spdlog::level::err: return '3';
    case spdlog::level::warn: return '4';
    case spdlog::level::info: return '6';
    default: return '7';
  }
}

// systemd says in JOURNAL_STREAM which file the journal's stream is.
bool IsJournal(int fd) {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status;
  if (stream == nullptr || ::fstat(fd, &status) != 0) return false;
  return absl::StrCat(status.st_dev, ":", status.st_ino) == stream;
}

class JournalSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JournalSink(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, path.data(),
                std::min(path.size(), sizeof address_.sun_path - 1));
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string entry =
        JournalEntry(PriorityOf(message.level),
                     {message.payload.data(), message.payload.size()},
                     fields_of_message);
    // A journal that is full or gone must not keep a firewall waiting.
    if (::sendto(socket_.get(), entry.data(), entry.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&address_),
                 sizeof address_) == static_cast<ssize_t>(entry.size())) {
      return;
    }
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    [[maybe_unused]] const ssize_t written =
        ::write(STDERR_FILENO, line.data(), line.size());
  }
  void flush_() override {}

  const UniqueFd socket_;
  sockaddr_un address_{};
};

// ---- The audit log ---------------------------------------------------------

class AuditFile {
 public:
  AuditFile(std::string path, LogFormat format)
      : path_(std::move(path)), format_(format) {}

  absl::Status Open() {
    UniqueFd file(::open(path_.c_str(),
                         O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!file.valid()) {
      return SystemError(absl::StrCat("[log] audit: cannot write ", path_),
                         errno);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    file_ = std::move(file);
    return absl::OkStatus();
  }

  void Write(std::span<const LogField> fields, std::string_view message) {
    const std::string time = UtcTime(std::chrono::system_clock::now());
    std::string line;
    if (format_ == LogFormat::kJson) {
      line = JsonLine(time, "info", message, fields);
    } else {
      line = time;
      for (const LogField& field : fields) {
        const std::string value = PrintableName(field.value);
        const bool quoted = value.empty() || value.find_first_of(" \"=") !=
                                                 std::string::npos;
        absl::StrAppend(&line, " ", field.name, "=",
                        quoted ? Quoted(value) : value);
      }
      line += "\n";
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    // Whole or not at all as far as that can be; a full disk stops nobody.
    [[maybe_unused]] const ssize_t written =
        ::write(file_.get(), line.data(), line.size());
  }

 private:
  static std::string Quoted(const std::string& value) {
    std::string text = "\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    return text + "\"";
  }

  const std::string path_;
  const LogFormat format_;
  std::mutex mutex_;
  UniqueFd file_;
};

std::unique_ptr<AuditFile> audit_file;

}  // namespace

std::string JsonLine(std::string_view time, std::string_view level,
                     std::string_view message,
                     std::span<const LogField> fields) {
  nlohmann::ordered_json line = {
      {"time", time}, {"level", level}, {"message", message}};
  for (const LogField& field : fields) {
    uint64_t number = 0;
    if (field.is_number && absl::SimpleAtoi(field.value, &number)) {
      line[field.name] = number;
    } else {
      line[field.name] = field.value;
    }
  }
  return line.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

std::string JournalEntry(char priority, std::string_view message,
                         std::span<const LogField> fields) {
  std::string entry;
  const auto add = [&entry](std::string name, std::string_view value) {
    if (value.find('\n') == std::string_view::npos) {
      absl::StrAppend(&entry, name, "=", View(value), "\n");
      return;
    }
    // Its length, little endian, in place of the newline as the end.
    absl::StrAppend(&entry, name, "\n");
    uint64_t size = value.size();
    for (int i = 0; i < 8; ++i, size >>= 8) {
      entry.push_back(static_cast<char>(size & 0xff));
    }
    absl::StrAppend(&entry, View(value), "\n");
  };
  add("MESSAGE", message);
  add("PRIORITY", std::string_view(&priority, 1));
  add("SYSLOG_IDENTIFIER", "sluiced");
  for (const LogField& field : fields) {
    std::string name = "SLUICE_" + field.name;
    std::ranges::transform(name, name.begin(), [](unsigned char c) {
      return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    });
    add(std::move(name), field.value);
  }
  return entry;
}

void SetLogFormat(LogFormat format, bool to_standard_error,
                  const std::string& journal) {
  const std::shared_ptr<spdlog::logger> logger = spdlog::default_logger();
  if (format == LogFormat::kJson) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
    return;
  }
  if (!to_standard_error || !IsJournal(STDERR_FILENO)) return;
  auto sink = std::make_shared<JournalSink>(journal);
  logger->sinks() = {std::move(sink)};
}

void LogWithFields(LogLevel level, std::span<const LogField> fields,
                   std::string_view message) {
  const std::span<const LogField> before =
      std::exchange(fields_of_message, fields);
  Log(level, "{}", message);
  fields_of_message = before;
}

bool SetLogLevel(std::string_view level) {
  constexpr std::array<std::string_view, 7> kLevels = {
      "trace", "debug", "info", "warning", "error", "critical", "off"};
  const auto found = std::ranges::find(kLevels, level);
  if (found == kLevels.end()) return false;
  spdlog::default_logger()->set_level(
      static_cast<spdlog::level::level_enum>(found - kLevels.begin()));
  return true;
}

absl::Status OpenAuditLog(const std::string& file, LogFormat format) {
  audit_file.reset();
  if (file.empty()) return absl::OkStatus();
  auto opened = std::make_unique<AuditFile>(file, format);
  if (absl::Status status = opened->Open(); !status.ok()) return status;
  audit_file = std::move(opened);
  return absl::OkStatus();
}

absl::Status ReopenAuditLog() {
  return audit_file == nullptr ? absl::OkStatus() : audit_file->Open();
}

void LogChange(std::span<const LogField> fields, std::string_view message) {
  LogWithFields(LogLevel::kInfo, fields, message);
  if (audit_file != nullptr) audit_file->Write(fields, message);
}

}  // namespace sluice
