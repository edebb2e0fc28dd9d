#include "dataplane/base/log.h"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

// spdlog's own file sinks cannot be told to open their file again.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) {}

  absl::Status Open() {
    UniqueFd file(open(path_.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!file.valid()) {
      return absl::ErrnoToStatus(
          errno, absl::StrCat("[log] file: cannot write ", path_));
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    file_ = std::move(file);
    return absl::OkStatus();
  }

 private:
  // One write a line: lines of several programs in one file stay whole.
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    size_t done = 0;
    while (done < line.size()) {
      const ssize_t n =
          write(file_.get(), line.data() + done, line.size() - done);
      // A full disk must not end a firewall.
      if (n < 0 && errno != EINTR) return;
      if (n > 0) done += static_cast<size_t>(n);
    }
  }
  void flush_() override {}

  const std::string path_;
  UniqueFd file_;
};

// "<6>" for syslog's LOG_INFO and so on.
class PriorityFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& line) override {
    char priority = '7';
    switch (message.level) {
      case spdlog::level::critical:
        priority = '2';
        break;
      case spdlog::level::err:
        priority = '3';
        break;
      case spdlog::level::warn:
        priority = '4';
        break;
      case spdlog::level::info:
        priority = '6';
        break;
      default:
        break;
    }
    const char text[] = {'<', priority, '>'};
    line.append(text, text + sizeof text);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PriorityFlag>();
  }
};

// systemd says in JOURNAL_STREAM which file the journal's stream is.
bool StandardErrorIsJournal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status;
  if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
  return absl::StrCat(status.st_dev, ":", status.st_ino) == stream;
}

std::shared_ptr<FileSink> file_sink;

}  // namespace

absl::Status SetUpLog(const LogTarget& options) {
  std::shared_ptr<spdlog::logger> log;
  if (options.file.empty()) {
    file_sink.reset();
    log = std::make_shared<spdlog::logger>(
        "sluiced", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  } else {
    auto sink = std::make_shared<FileSink>(options.file);
    if (absl::Status status = sink->Open(); !status.ok()) return status;
    file_sink = sink;
    log = std::make_shared<spdlog::logger>("sluiced", std::move(sink));
  }
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (options.file.empty() && StandardErrorIsJournal()) {
    formatter->add_flag<PriorityFlag>('*').set_pattern("%*%v");
  } else {
    formatter->set_pattern("%Y-%m-%d %H:%M:%S.%e %l: %v");
  }
  log->set_formatter(std::move(formatter));
  log->set_level(spdlog::level::from_str(options.level));
  log->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(log));
  return absl::OkStatus();
}

absl::Status ReopenLog() {
  return file_sink ? file_sink->Open() : absl::OkStatus();
}

void EndLog() { spdlog::shutdown(); }

void WriteLog(LogLevel level, fmt::string_view format,
              fmt::format_args values) {
  constexpr spdlog::level::level_enum kLevels[] = {
      spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
      spdlog::level::err, spdlog::level::critical};
  const spdlog::level::level_enum of = kLevels[static_cast<size_t>(level)];
  spdlog::logger* const logger = spdlog::default_logger_raw();
  if (logger == nullptr || !logger->should_log(of)) return;
  spdlog::memory_buf_t text;
  fmt::vformat_to(fmt::appender(text), format, values);
  // Names in it may come from anywhere.
  logger->log(of, Printable(std::string_view(text.data(), text.size())));
}

}  // namespace sluice
