#include "pftable/host/text_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class TextFileTest : public ::testing::Test {
 protected:
  TextFileTest() {
    char path[] = "/tmp/sluice-text.XXXXXX";
    folder_ = mkdtemp(path);
  }
  ~TextFileTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const char* name) const { return folder_ + "/" + name; }

  std::string folder_;
};

std::string Message(const absl::StatusOr<std::string>& text) {
  return std::string(text.status().message());
}

TEST_F(TextFileTest, ReadsAFileUpToTheLimit) {
  std::ofstream(Path("a"), std::ios::binary) << std::string("a\0b\n", 4);
  const auto text = ReadTextFile(Path("a"), 4);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, std::string("a\0b\n", 4));
  EXPECT_EQ(Message(ReadTextFile(Path("a"), 3)), "more than 3 bytes");
  EXPECT_EQ(Message(ReadTextFile("/dev/zero", 1 << 20)),
            "more than 1048576 bytes");
}

TEST_F(TextFileTest, SaysWhyItCannotRead) {
  EXPECT_EQ(Message(ReadTextFile(Path("absent"), 9)),
            "No such file or directory");
  EXPECT_TRUE(absl::IsNotFound(ReadTextFile(Path("absent"), 9).status()));
  EXPECT_EQ(Message(ReadTextFile(folder_, 9)), "Is a directory");
  EXPECT_FALSE(ReadTextFile("", 9).ok());
}

TEST_F(TextFileTest, APipeWithoutAWriterIsGivenUp) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto text = ReadTextFile(Path("fifo"), 9, milliseconds(20));
  EXPECT_TRUE(absl::IsDeadlineExceeded(text.status())) << text.status();
  EXPECT_THAT(Message(text), HasSubstr("nobody wrote to it"));
}

TEST_F(TextFileTest, APipeByWhichNothingComesIsGivenUp) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const int both = ::open(Path("fifo").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(both, 0);
  ASSERT_EQ(::write(both, "a", 1), 1);
  const auto text = ReadTextFile(Path("fifo"), 9, milliseconds(20));
  EXPECT_TRUE(absl::IsDeadlineExceeded(text.status())) << text.status();
  ::close(both);
}

TEST_F(TextFileTest, APipeIsReadToItsEnd) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const std::string wanted(300'000, 'x');
  std::thread writer([&] {
    std::ofstream(Path("fifo"), std::ios::binary) << wanted;
  });
  const auto text = ReadTextFile(Path("fifo"), 1 << 20);
  writer.join();
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, wanted);
}

}  // namespace
}  // namespace sluice
