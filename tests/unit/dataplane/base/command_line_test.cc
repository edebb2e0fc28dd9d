#include "dataplane/base/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommandLineTest : public ::testing::Test {
 protected:
  std::string Read(std::vector<std::string> words) {
    taken_.clear();
    words.insert(words.begin(), "program");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    const absl::Status status =
        ReadCommandLine(static_cast<int>(arguments.size()), arguments.data(),
                        options_, &help_);
    return std::string(status.message());
  }

  std::function<absl::Status(std::string_view)> Take(std::string name) {
    return [this, name](std::string_view value) {
      if (value == "bad") return absl::InvalidArgumentError("no good value");
      taken_.push_back(name + "=" + std::string(value));
      return absl::OkStatus();
    };
  }

  const std::vector<CommandOption> options_ = {
      {.name = "file", .letter = 'f', .value = "FILE",
       .help = "a file to be read", .take = Take("file"), .required = true},
      {.name = "net", .value = "NETWORK",
       .help = "a long text that has to be broken into two lines, because no "
               "terminal is so wide that it would hold all of it",
       .take = Take("net"), .repeated = true},
      {.letter = 'D', .value = "NAME=VALUE", .help = "define",
       .take = Take("D"), .repeated = true},
      {.name = "quiet", .letter = 'q', .help = "say nothing",
       .take = Take("quiet")},
  };
  std::vector<std::string> taken_;
  bool help_ = false;
};

TEST_F(CommandLineTest, EachSpelling) {
  EXPECT_EQ(Read({"-f", "a", "--net", "b", "--net=c", "-Dx=1", "-D", "y=",
                  "-q"}),
            "");
  EXPECT_THAT(taken_, ElementsAre("file=a", "net=b", "net=c", "D=x=1", "D=y=",
                                  "quiet="));
  EXPECT_EQ(Read({"-qfa"}), "");
  EXPECT_THAT(taken_, ElementsAre("quiet=", "file=a"));
  EXPECT_EQ(Read({"--file", "-"}), "");
  EXPECT_THAT(taken_, ElementsAre("file=-"));
}

TEST_F(CommandLineTest, WhatIsWrongIsSaid) {
  EXPECT_EQ(Read({}), "--file is required");
  EXPECT_EQ(Read({"-f"}), "--file needs a value: FILE");
  EXPECT_EQ(Read({"-f", "a", "-D"}), "-D needs a value: NAME=VALUE");
  EXPECT_EQ(Read({"-f", "a", "--net"}), "--net needs a value: NETWORK");
  EXPECT_EQ(Read({"-f", "a", "--file", "b"}), "--file is given more than once");
  EXPECT_EQ(Read({"-f", "a", "--frob", "x"}),
            "the argument --frob is not expected");
  EXPECT_EQ(Read({"-f", "a", "-x"}), "the argument -x is not expected");
  EXPECT_EQ(Read({"-f", "a", "--quiet=1"}),
            "the argument --quiet=1 is not expected");
  EXPECT_EQ(Read({"-f", "a", "more"}), "the argument more is not expected");
  EXPECT_EQ(Read({"-f", "bad"}), "--file: no good value");
}

TEST_F(CommandLineTest, HelpComesBeforeWhatIsMissing) {
  EXPECT_EQ(Read({"--help"}), "");
  EXPECT_TRUE(help_);
  EXPECT_EQ(Read({"-h", "--frob"}), "");
  EXPECT_TRUE(help_);
  EXPECT_EQ(Read({"-f", "a"}), "");
  EXPECT_FALSE(help_);
}

TEST_F(CommandLineTest, HelpHasAColumn) {
  const std::string help = OptionHelp(options_);
  EXPECT_THAT(help, HasSubstr("  -h, --help              print this\n"));
  EXPECT_THAT(help, HasSubstr("  -f, --file FILE         a file to be read\n"));
  EXPECT_THAT(help, HasSubstr("  -D NAME=VALUE           define\n"));
  size_t begin = 0;
  for (size_t end; (end = help.find('\n', begin)) != help.npos;
       begin = end + 1) {
    EXPECT_LE(end - begin, 80u) << help.substr(begin, end - begin);
  }
}

}  // namespace
}  // namespace sluice
