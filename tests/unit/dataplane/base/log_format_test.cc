// Messages as JSON, as entries of the journal, and in the log of changes.
#include "dataplane/base/log_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<LogField> kFields = {
    {.name = "uid", .value = "18446744073709551615", .is_number = true},
    {.name = "command", .value = "say \"a\"\nb"}};

TEST(LogFormatTest, JsonIsOneValidLineWhateverTheMessage) {
  for (const std::string& message :
       {std::string("plain"), std::string("quote \" slash \\ line\nend\t"),
        std::string("bad \xff utf-8 \xc3"), std::string("nul\0byte", 8)}) {
    const std::string line = JsonLine("t", "info", message, kFields);
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    const json parsed = json::parse(line);
    EXPECT_EQ(parsed["level"], "info");
    EXPECT_EQ(parsed["uid"], UINT64_MAX);
    EXPECT_EQ(parsed["command"], "say \"a\"\nb");
  }
  EXPECT_EQ(json::parse(JsonLine("t", "info", "m",
                                 std::vector<LogField>{
                                     {.name = "n", .value = "x", .is_number = true}}))["n"],
            "x");
}

TEST(LogFormatTest, JournalEntriesKeepLinesApart) {
  const std::string entry = JournalEntry('6', "one", kFields);
  EXPECT_THAT(entry, HasSubstr("MESSAGE=one\nPRIORITY=6\n"
                               "SYSLOG_IDENTIFIER=sluiced\n"
                               "SLUICE_UID=18446744073709551615\n"));
  // A value with a newline has its length in front.
  EXPECT_THAT(entry, HasSubstr(std::string("SLUICE_COMMAND\n\x09\0\0\0\0\0\0\0"
                                           "say \"a\"\nb\n",
                                           15 + 8 + 10)));
  EXPECT_THAT(JournalEntry('3', "two\nPRIORITY=0", {}),
              Not(HasSubstr("MESSAGE=two")));
}

class LogFormatFileTest : public testing::Test {
 protected:
  LogFormatFileTest() : before_(spdlog::default_logger()) {
    char folder[] = "/tmp/sluice_log_XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~LogFormatFileTest() override {
    EXPECT_TRUE(OpenAuditLog("", LogFormat::kText).ok());
    spdlog::set_default_logger(before_);
    std::filesystem::remove_all(folder_);
  }
  static std::string TextOf(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::string folder_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST_F(LogFormatFileTest, FieldsAreOfTheirMessageOnly) {
  const std::string file = folder_ + "/log";
  ASSERT_TRUE(SetUpLog({.file = file}).ok());
  SetLogFormat(LogFormat::kJson, false);
  LogWithFields(LogLevel::kInfo, kFields, "with");
  LogInfo("without");
  std::istringstream lines(TextOf(file));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_TRUE(json::parse(first).contains("uid"));
  EXPECT_FALSE(json::parse(second).contains("uid"));
  EXPECT_EQ(json::parse(second)["message"], "without");
  EXPECT_TRUE(SetLogLevel("error"));
  LogInfo("more");
  EXPECT_THAT(TextOf(file), Not(HasSubstr("more")));
  EXPECT_FALSE(SetLogLevel("loud"));
}

TEST_F(LogFormatFileTest, TheAuditLogHasChangesAndIsOpenedAnew) {
  const std::string file = folder_ + "/audit";
  ASSERT_TRUE(OpenAuditLog(file, LogFormat::kText).ok());
  LogChange(kFields, "hidden");
  EXPECT_THAT(TextOf(file),
              HasSubstr(" uid=18446744073709551615 command=\"say \\\"a\\\"\\\\x0ab\"\n"));
  std::filesystem::rename(file, file + ".1");
  ASSERT_TRUE(ReopenAuditLog().ok());
  LogChange(std::vector<LogField>{{.name = "command", .value = "two"}}, "m");
  EXPECT_THAT(TextOf(file), HasSubstr(" command=two\n"));
  EXPECT_THAT(TextOf(file + ".1"), Not(HasSubstr("two")));
  EXPECT_FALSE(OpenAuditLog(folder_ + "/no/such", LogFormat::kText).ok());
}

// As systemd has it: standard error is what JOURNAL_STREAM names.
TEST_F(LogFormatFileTest, UnderSystemdEntriesGoToTheJournal) {
  const std::string path = folder_ + "/journal";
  const UniqueFd journal(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  ASSERT_EQ(::bind(journal.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof address),
            0);
  struct stat status;
  ASSERT_EQ(::fstat(STDERR_FILENO, &status), 0);
  ::setenv("JOURNAL_STREAM",
           absl::StrCat(status.st_dev, ":", status.st_ino).c_str(), 1);
  ASSERT_TRUE(SetUpLog({}).ok());
  SetLogFormat(LogFormat::kText, true, path);
  LogWithFields(LogLevel::kError, kFields, "it failed");
  ::unsetenv("JOURNAL_STREAM");
  char entry[4096];
  const ssize_t size = ::recv(journal.get(), entry, sizeof entry, 0);
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(entry, static_cast<size_t>(size)),
              HasSubstr("MESSAGE=it failed\nPRIORITY=3\n"));
  // Without systemd nothing of it is used.
  ASSERT_TRUE(SetUpLog({}).ok());
  SetLogFormat(LogFormat::kText, true, path);
  LogInfo("to standard error");
  EXPECT_LT(::recv(journal.get(), entry, sizeof entry, 0), 0);
}

}  // namespace
}  // namespace sluice
