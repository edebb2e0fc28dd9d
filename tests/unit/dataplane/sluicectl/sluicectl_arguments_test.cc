#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/sluicectl/arguments.h"
#include "tests/unit/dataplane/sluicectl/sluicectl_words.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(SluicectlArguments, FlagsMayBeJoined) {
  const Arguments a = Parse({"-nvvf", "pf.conf", "-Dif=em0", "-D", "x=a=b"});
  EXPECT_TRUE(a.no_action);
  EXPECT_EQ(a.verbose, 2);
  EXPECT_EQ(a.file, "pf.conf");
  EXPECT_THAT(a.macros, ElementsAre(Pair("if", "em0"), Pair("x", "a=b")));
  EXPECT_EQ(Parse({"-vsr"}).show, Show::kRules);
  EXPECT_EQ(Parse({"-vsr"}).verbose, 1);
  EXPECT_EQ(Parse({"-f-"}).file, "-");
  EXPECT_EQ(Parse({"-f", "-"}).file, "-");
}

TEST(SluicectlArguments, WordsMayBeCutShort) {
  const std::vector<std::pair<std::string, Show>> shows = {
      {"r", Show::kRules},   {"rules", Show::kRules}, {"s", Show::kStates},
      {"st", Show::kStates}, {"i", Show::kInfo},      {"I", Show::kInterfaces},
      {"l", Show::kLabels},  {"ti", Show::kTimeouts}, {"t", Show::kTimeouts},
      {"m", Show::kMemory},  {"T", Show::kTables},    {"Tables", Show::kTables},
      {"a", Show::kAll},     {"n", Show::kNat},       {"nat", Show::kNat},
  };
  for (const auto& [word, show] : shows) {
    EXPECT_EQ(Parse({"-s" + word}).show, show) << word;
    EXPECT_EQ(Parse({"-s", word}).show, show) << word;
  }
  EXPECT_EQ(Parse({"-Fr"}).flush, Flush::kRules);
  EXPECT_EQ(Parse({"-Fs"}).flush, Flush::kStates);
  EXPECT_EQ(Parse({"-Fi"}).flush, Flush::kInfo);
  EXPECT_EQ(Parse({"-FT"}).flush, Flush::kTables);
  EXPECT_EQ(Parse({"-F", "all"}).flush, Flush::kAll);
  EXPECT_EQ(Parse({"-t", "x", "-Td"}).table_action, TableAction::kDelete);
  EXPECT_EQ(Parse({"-tx", "-Tr"}).table_action, TableAction::kReplace);
  EXPECT_EQ(Parse({"-tx", "-Tz"}).table_action, TableAction::kZero);
  EXPECT_THAT(ErrorOf({"-s", "x"}), "Unknown show modifier 'x'");
  EXPECT_THAT(ErrorOf({"-s", "rulesx"}), "Unknown show modifier 'rulesx'");
  EXPECT_THAT(ErrorOf({"-F", "x"}), "Unknown flush modifier 'x'");
  EXPECT_THAT(ErrorOf({"-t", "x", "-T", "x"}),
              "Unknown table command modifier 'x'");
}

TEST(SluicectlArguments, WhatFollowsTheFlagsIsAddresses) {
  const Arguments a =
      Parse({"-t", "bad", "-T", "add", "10.0.0.1", "-v", "!10.0.0.2"});
  EXPECT_EQ(a.table, "bad");
  EXPECT_EQ(a.table_action, TableAction::kAdd);
  EXPECT_THAT(a.operands, ElementsAre("10.0.0.1", "-v", "!10.0.0.2"));
  EXPECT_EQ(a.verbose, 0);
  EXPECT_THAT(Parse({"-t", "t", "-Tadd", "--", "-x"}).operands,
              ElementsAre("-x"));
}

TEST(SluicectlArguments, LongOptions) {
  const Arguments a = Parse({"--dialect", "freebsd", "--facts=f.toml", "--json",
                             "-n", "-f", "x", "--socket", "/s"});
  EXPECT_EQ(a.dialect, Dialect::kFreeBsd);
  EXPECT_EQ(a.facts, "f.toml");
  EXPECT_TRUE(a.json);
  EXPECT_EQ(a.socket, "/s");
  EXPECT_EQ(Parse({"-p", "/t", "-sr"}).socket, "/t");
  EXPECT_FALSE(Parse({"-sr"}).dialect.has_value());
  EXPECT_THAT(ErrorOf({"--dialect=linux", "-nf", "x"}), HasSubstr("openbsd"));
  EXPECT_THAT(ErrorOf({"--nonsense"}), "unknown option --nonsense");
  EXPECT_THAT(ErrorOf({"--json=1"}), "unknown option --json=1");
  EXPECT_THAT(ErrorOf({"--dialect"}), HasSubstr("requires an argument"));
}

TEST(SluicectlArguments, SomeFlagsMeanWhatTheDialectSays) {
  EXPECT_TRUE(Parse({"-nNf", "x"}).no_dns);
  EXPECT_FALSE(Parse({"-nNf", "x"}).parts.has_value());
  EXPECT_EQ(Parse({"-sr", "-R", "7"}).rule_number, 7u);
  for (const char* flag : {"-A", "-m", "-O", "-S"}) {
    EXPECT_THAT(ErrorOf({flag, "-nf", "x"}), HasSubstr("unknown option"));
  }
  EXPECT_THAT(ErrorOf({"-sr", "-R", "x"}), HasSubstr("number of a rule"));
  EXPECT_THAT(ErrorOf({"-ss", "-R", "1"}), HasSubstr("-sr"));

  const std::string freebsd = "--dialect=freebsd";
  const Arguments n = Parse({"-nNf", "x", freebsd});
  EXPECT_FALSE(n.no_dns);
  ASSERT_TRUE(n.parts.has_value());
  EXPECT_TRUE(n.parts->translation);
  EXPECT_FALSE(n.parts->filter || n.parts->options || n.parts->queues ||
               n.parts->tables || n.parts->ether);
  EXPECT_TRUE(Parse({"-nAROf", "x", freebsd}).parts->queues);
  EXPECT_TRUE(Parse({"-nAROf", "x", freebsd}).parts->filter);
  EXPECT_TRUE(Parse({"-nAROf", "x", freebsd}).parts->options);
  EXPECT_TRUE(Parse({"-Sf", "x", freebsd}).no_dns);
  EXPECT_TRUE(Parse({"-mf", "x", freebsd}).merge_options);
  EXPECT_TRUE(Parse({"-Tload", "-nf", "x", freebsd}).parts->tables);
  EXPECT_FALSE(Parse({"-Tload", "-nf", "x"}).table_action.has_value());
  EXPECT_TRUE(Parse({"-Rf", "x", freebsd}).parts->filter);
  EXPECT_THAT(ErrorOf({"-Rf", "x", "-a", "y", freebsd}), HasSubstr("whole"));
  EXPECT_THAT(ErrorOf({"-Tload"}), HasSubstr("-f file"));
}

TEST(SluicectlArguments, LevelOfTheOptimiser) {
  EXPECT_EQ(Parse({"-onone", "-f", "x"}).optimization,
            RulesetOptimization::kNone);
  EXPECT_EQ(Parse({"-o", "b", "-f", "x"}).optimization,
            RulesetOptimization::kBasic);
  EXPECT_EQ(Parse({"-o", "profile", "-f", "x"}).optimization,
            RulesetOptimization::kProfile);
  EXPECT_EQ(ErrorOf({"-o", "fast", "-f", "x"}),
            "Unknown optimization modifier 'fast'");
  EXPECT_THAT(ErrorOf({"-o", "none", "-sr"}), HasSubstr("-f"));
}

TEST(SluicectlArguments, AnEmptyValueIsNone) {
  for (const char* flag : {"-D", "-F", "-f", "-i", "-k", "-o", "-p", "-s", "-T",
                           "-t"}) {
    EXPECT_THAT(ErrorOf({flag, "", "-sr"}), HasSubstr("the value is empty"))
        << flag;
  }
  EXPECT_THAT(ErrorOf({"--socket", "", "-sr"}), HasSubstr("argument"));
  EXPECT_THAT(ErrorOf({"--filter=", "-sr"}), HasSubstr("argument"));
  EXPECT_THAT(ErrorOf({"-t", "x", "-T", "add", ""}), "an address is empty");
}

TEST(SluicectlArguments, KillsOneOrTwo) {
  EXPECT_THAT(Parse({"-k", "a", "-k", "b"}).kill, ElementsAre("a", "b"));
  EXPECT_THAT(Parse({"-k", "label", "-k", "web"}).kill,
              ElementsAre("label", "web"));
  EXPECT_THAT(Parse({"-k", "nat", "-k", "a", "-k", "b"}).kill,
              ElementsAre("nat", "a", "b"));
  EXPECT_THAT(ErrorOf({"-k", "nat"}), HasSubstr("second -k"));
  EXPECT_EQ(ErrorOf({"-k", "nat", "-k", "a", "-k", "b", "-k", "c"}),
            "can only specify -k twice");
  EXPECT_EQ(ErrorOf({"-k", "a", "-k", "b", "-k", "c"}),
            "can only specify -k twice");
  EXPECT_THAT(ErrorOf({"-k", "label"}), HasSubstr("second -k"));
  EXPECT_THAT(ErrorOf({"-k", "id"}), HasSubstr("second -k"));
}

TEST(SluicectlArguments, RefusesWhatMakesNoSense) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"-v"},
                                             {"-y"},
                                             {"-s"},
                                             {"-f"},
                                             {"-sr", "word"},
                                             {"-T", "show"},
                                             {"-t", "x"},
                                             {"-D", "x", "-f", "y"},
                                             {"-D", "=x", "-f", "y"},
                                             {"-e", "-d"},
                                             {"-a", "x", "-e"},
                                             {"--facts", "x", "-f", "y"}}) {
    EXPECT_FALSE(ParseArguments(words).ok()) << testing::PrintToString(words);
  }
  for (const char* flag : {"-e", "-d", "-z", "-sr", "-Fa", "-h"}) {
    EXPECT_TRUE(ParseArguments(std::vector<std::string>{flag}).ok()) << flag;
  }
}

}  // namespace
}  // namespace sluice
