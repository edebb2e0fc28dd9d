#include "dataplane/replay/replay_options.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

absl::StatusOr<ReplayOptions> Parse(std::vector<std::string> words,
                                    std::string* early = nullptr) {
  words.insert(words.begin(), "sluice-replay");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  std::string text;
  auto options = ParseReplayArguments(static_cast<int>(arguments.size()),
                                      arguments.data(), &text);
  if (early != nullptr) *early = text;
  return options;
}

TEST(ReplayOptions, AllOfThem) {
  const auto options = Parse(
      {"-f", "r", "--wire", "a=b", "--wire", "c=d", "--in", "a=A.pcap", "--in",
       "d=D.pcap", "--out", "b=B.pcap", "-D", "x=1", "-D", "y=", "--dialect",
       "freebsd", "-o", "profile", "--report", "R", "--verdicts", "-", "--states", "7",
       "--ignore-checksums", "--block-non-ip", "-q"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->rules_file, "r");
  ASSERT_EQ(options->wires.size(), 2u);
  EXPECT_EQ(options->wires[1].inside, "d");
  ASSERT_EQ(options->inputs.size(), 2u);
  EXPECT_EQ(options->inputs[1].port, "d");
  EXPECT_EQ(options->inputs[1].path, "D.pcap");
  ASSERT_EQ(options->outputs.size(), 1u);
  EXPECT_EQ(options->macros[1], (std::pair<std::string, std::string>("y", "")));
  EXPECT_EQ(options->dialect, Dialect::kFreeBsd);
  EXPECT_EQ(options->optimization, RulesetOptimization::kProfile);
  EXPECT_EQ(options->verdicts_file, "-");
  EXPECT_EQ(options->state_capacity, 7u);
  EXPECT_TRUE(options->ignore_checksums && options->block_non_ip &&
              options->quiet);
}

TEST(ReplayOptions, TwoRulesets) {
  const auto options =
      Parse({"--wire", "a=b", "--compare", "old", "new", "--in", "a=x"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->rules_file, "old");
  EXPECT_EQ(options->compare_file, "new");
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--compare", "old"},
        {"--compare", "old", "-q"},
        {"--compare", "-", "-"},
        {"--compare", "a", "b", "--compare", "c", "d"},
        {"--compare", "a", "b", "-f", "c"},
        {"--compare", "a", "b", "--out", "b=B"}}) {
    std::vector<std::string> words = {"--wire", "a=b", "--in", "a=x"};
    words.insert(words.end(), wrong.begin(), wrong.end());
    EXPECT_FALSE(Parse(words).ok()) << wrong.back();
  }
}

TEST(ReplayOptions, OneCaptureOfBothSides) {
  const auto options =
      Parse({"-f", "r", "--wire", "a=b", "--in", "any=x", "--inside-net",
             "10.0.0.0/8", "--inside-net", "fd00::/8"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->inputs[0].port, "");
  EXPECT_EQ(options->inside_nets.size(), 2u);
}

TEST(ReplayOptions, LevelOfTheOptimiser) {
  const auto level = [](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"-f", "r", "--wire", "a=b", "--in", "a=x"});
    const auto options = Parse(words);
    EXPECT_TRUE(options.ok()) << options.status();
    return options.ok() ? options->optimization : std::nullopt;
  };
  EXPECT_EQ(level({}), std::nullopt);
  EXPECT_EQ(level({"-o", "none"}), RulesetOptimization::kNone);
  EXPECT_EQ(level({"-obasic"}), RulesetOptimization::kBasic);
  EXPECT_EQ(level({"-o", "p"}), RulesetOptimization::kProfile);
}

TEST(ReplayOptions, WhatIsWrongIsSaid) {
  const struct {
    std::vector<std::string> words;
    const char* message;
  } kCases[] = {
      {{"--wire", "a=b", "--in", "a=x"}, "is required"},
      {{"-f", "r", "--wire", "a=b"}, "is required"},
      {{"-f", "r", "--wire", "ab", "--in", "a=x"}, "`=` expected"},
      {{"-f", "r", "--wire", "a=b", "--wire", "b=c", "--in", "a=x"},
       "port b is in a wire already"},
      {{"-f", "r", "--wire", "a=a", "--in", "a=x"},
       "port a is in a wire already"},
      {{"-f", "r", "--wire", "a=b", "--in", "c=x"},
       "no --wire has a port c"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "--out", "any=y"},
       "no --wire has a port any"},
      {{"-f", "r", "--wire", "a=b", "--in", "any=x"}, "needs --inside-net"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "--inside-net", "::/0"},
       "is for --in any=FILE"},
      {{"-f", "r", "--wire", "a=b", "--in", "any=x", "--inside-net", "10/8"},
       "a network expected"},
      {{"-f", "r", "--wire", "a=b", "--wire", "c=d", "--in", "any=x",
        "--inside-net", "::/0"},
       "single --wire"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "--out", "b=y", "--out",
        "b=z"},
       "one file a port"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "-D", "=1"},
       "NAME=VALUE expected"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "--dialect", "net"},
       "net not in"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "-o", "fast"},
       "-o fast: none, basic or profile expected"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "-o", ""}, "-o"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "--frobnicate"},
       "--frobnicate"},
      {{"-f", "r", "--wire", "a=b", "--in", "a=x", "--states", "0"},
       "--states"},
  };
  for (const auto& [words, message] : kCases) {
    const auto options = Parse(words);
    ASSERT_FALSE(options.ok()) << message;
    EXPECT_NE(options.status().message().find(message), std::string::npos)
        << options.status().message() << " / " << message;
  }
}

TEST(ReplayOptions, HelpNamesEveryOption) {
  std::string help;
  ASSERT_TRUE(Parse({"--help"}, &help).ok());
  for (const char* option :
       {"-f", "--wire", "--in", "--out", "--inside-net", "-D", "--dialect",
        "-o", "--facts", "--report", "--verdicts", "--states", "--ignore-checksums",
        "--block-non-ip", "--quiet"}) {
    EXPECT_NE(help.find(option), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace sluice
