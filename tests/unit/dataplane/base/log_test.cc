// The log file, before and after it is opened again.
#include "dataplane/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LogTest : public ::testing::Test {
 protected:
  LogTest() : before_(spdlog::default_logger()) {
    folder_ = absl::StrCat(::testing::TempDir(), "/log-", getpid());
    std::filesystem::create_directory(folder_);
    file_ = folder_ + "/sluiced.log";
  }
  ~LogTest() override {
    EXPECT_TRUE(SetUpLog({}).ok());
    spdlog::set_default_logger(before_);
    std::filesystem::remove_all(folder_);
  }

  static std::string TextOf(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::shared_ptr<spdlog::logger> before_;
  std::string folder_, file_;
};

TEST_F(LogTest, GoesOnInANewFile) {
  ASSERT_TRUE(SetUpLog({.file = file_}).ok());
  spdlog::info("one");
  std::filesystem::rename(file_, file_ + ".1");
  spdlog::info("two");
  ASSERT_TRUE(ReopenLog().ok());
  spdlog::info("three");
  EXPECT_THAT(TextOf(file_ + ".1"),
              AllOf(HasSubstr("info: one\n"), HasSubstr("info: two\n"),
                    Not(HasSubstr("three"))));
  EXPECT_THAT(TextOf(file_), AllOf(HasSubstr("info: three\n"),
                                   Not(HasSubstr("two"))));
}

TEST_F(LogTest, AppendsAndKeepsOthersOut) {
  ASSERT_TRUE(SetUpLog({.level = "warning", .file = file_}).ok());
  spdlog::warn("one");
  spdlog::info("not this");
  ASSERT_TRUE(SetUpLog({.file = file_}).ok());
  spdlog::info("two");
  EXPECT_THAT(TextOf(file_), AllOf(HasSubstr("warning: one\n"),
                                   HasSubstr("info: two\n"),
                                   Not(HasSubstr("not this"))));
  struct stat status;
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0007, 0u);
}

TEST_F(LogTest, KeepsTheOldFileIfThereCanBeNoNewOne) {
  ASSERT_TRUE(SetUpLog({.file = file_}).ok());
  std::filesystem::rename(folder_, folder_ + ".moved");
  const absl::Status status = ReopenLog();
  EXPECT_THAT(std::string(status.message()), HasSubstr(file_));
  spdlog::info("still here");
  EXPECT_THAT(TextOf(folder_ + ".moved/sluiced.log"),
              HasSubstr("still here"));
  std::filesystem::rename(folder_ + ".moved", folder_);
}

TEST_F(LogTest, FolderThatIsNotThere) {
  const absl::Status status = SetUpLog({.file = folder_ + "/no/log"});
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("[log] file: cannot write"));
}

TEST_F(LogTest, JournalLinesBeginWithTheirPriority) {
  // Standard error is a file for a moment, and systemd says it is its own.
  const int saved = dup(STDERR_FILENO);
  FILE* stream = std::fopen(file_.c_str(), "w");
  ASSERT_NE(stream, nullptr);
  dup2(fileno(stream), STDERR_FILENO);
  struct stat status;
  fstat(STDERR_FILENO, &status);
  setenv("JOURNAL_STREAM", absl::StrCat(status.st_dev, ":", status.st_ino)
                               .c_str(), 1);
  EXPECT_TRUE(SetUpLog({}).ok());
  spdlog::error("bad");
  spdlog::info("good");
  unsetenv("JOURNAL_STREAM");
  dup2(saved, STDERR_FILENO);
  close(saved);
  std::fclose(stream);
  EXPECT_EQ(TextOf(file_), "<3>bad\n<6>good\n");
}

}  // namespace
}  // namespace sluice
