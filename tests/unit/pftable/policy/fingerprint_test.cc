#include "pftable/policy/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::ElementsAre;

Fingerprint Parsed(const std::string& line) {
  Fingerprint fingerprint;
  std::string wrong;
  EXPECT_TRUE(ParseFingerprint(line, &fingerprint, &wrong)) << line << wrong;
  return fingerprint;
}

TEST(FingerprintTest, PrintsWhatItReads) {
  for (const char* const line :
       {"S4:64:1:60:M*,S,T,N,W7:Linux:2.6::Linux",
        "%8192:255:0:%4:M%4,W%2,T0:@Any:1.0-1.12:3-5:Any",
        "T4:1:0:*:.:*Alone:::Alone", "*:128:1:48:M1460,N,N,S:A b:C d::A b"}) {
    EXPECT_EQ(PrintFingerprint(Parsed(line)), line);
  }
}

TEST(FingerprintTest, BlanksAndCaseOfOptionsMeanNothing) {
  EXPECT_EQ(Parsed(" S4 : 64:1:60: m*,s ,t: Linux :2.6::x y "),
            Parsed("S4:64:1:60:M*,S,T:Linux:2.6::z"));
}

TEST(FingerprintTest, RefusesWhatIsNone) {
  struct Case {
    const char* line;
    const char* wrong;
  };
  for (const Case& c : {
           Case{"S4:64:1:60:M*:Linux:2.6:", "nine fields"},
           Case{"S4:64:1:60:M*:Linux:2.6::x:y", "nine fields"},
           Case{"Q4:64:1:60:M*:Linux:2.6::x", "window"},
           Case{"65536:64:1:60:M*:Linux:2.6::x", "window"},
           Case{"%:64:1:60:M*:Linux:2.6::x", "window"},
           Case{"*1:64:1:60:M*:Linux:2.6::x", "window"},
           Case{"S4:256:1:60:M*:Linux:2.6::x", "TTL"},
           Case{"S4:64:2:60:M*:Linux:2.6::x", "do not fragment"},
           Case{"S4:64:1:S1:M*:Linux:2.6::x", "size"},
           Case{"S4:64:1:8193:M*:Linux:2.6::x", "size"},
           Case{"S4:64:1:60:M:Linux:2.6::x", "options"},
           Case{"S4:64:1:60:X:Linux:2.6::x", "options"},
           Case{"S4:64:1:60:N,:Linux:2.6::x", "options"},
           Case{"S4:64:1:60:N1:Linux:2.6::x", "options"},
           Case{"S4:64:1:60:W256:Linux:2.6::x", "options"},
           Case{"S4:64:1:60:N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N,N:Linux:"
                "2.6::x",
                "options"},
           Case{"S4:64:1:60:M*::2.6::x", "class"},
           Case{"S4:64:1:60:M*:@::2.6:x", "class"},
           Case{"S4:64:1:60:M*:NoMatch:2.6::x", "reserved"},
           Case{"S4:64:1:60:M*:a\"b:2.6::x", "odd"},
           Case{"S4:64:1:60:M*:abcdefghijklmnopqrstuvwxyzabcdef:2.6::x",
                "31"}}) {
    Fingerprint fingerprint;
    std::string wrong;
    EXPECT_FALSE(ParseFingerprint(c.line, &fingerprint, &wrong)) << c.line;
    EXPECT_THAT(wrong, testing::HasSubstr(c.wrong)) << c.line;
  }
}

TEST(FingerprintTest, AFileLeavesOutWhatItCannotRead) {
  const FingerprintFile file = ParseFingerprints(
      "# all\n\nS4:64:1:60:M*:Linux:2.6::x # one\nnothing\n"
      "S4:64:1:60:M*:Linux:2.4::x");
  EXPECT_TRUE(file.usable());
  ASSERT_EQ(file.fingerprints.size(), 2u);
  EXPECT_EQ(file.fingerprints[1].version, "2.4");
  ASSERT_EQ(file.mistakes.size(), 1u);
  EXPECT_EQ(file.mistakes[0].line, 4u);
}

TEST(FingerprintTest, AFileHasBounds) {
  const auto refused = [](const std::string& text) {
    const FingerprintFile file = ParseFingerprints(text);
    EXPECT_TRUE(file.fingerprints.empty());
    return file.usable() ? "" : file.mistakes[0].message;
  };
  EXPECT_THAT(refused(std::string(kMaxFingerprintFile + 1, '#')),
              testing::HasSubstr("larger than"));
  std::string many;
  for (size_t i = 0; i <= kMaxFingerprintLines; ++i) many += "1:1:1:1:.:a:::x\n";
  EXPECT_THAT(refused(many), testing::HasSubstr("more than 8192"));
  EXPECT_THAT(refused("1:1:1:1:.:a:0-99:0-999:x\n"),
              testing::HasSubstr("more than 32768"));
}

std::vector<std::string> Names(const OsNames& names) {
  std::vector<std::string> all;
  for (const OsNames::Entry& entry : names.entries()) {
    if (!entry.ipv6) all.push_back(names.Print(entry.name));
  }
  return all;
}

TEST(OsNamesTest, WritesRangesOut) {
  const std::vector<Fingerprint> some = {
      Parsed("1:1:1:1:.:A:2.0-2.2::x"), Parsed("1:1:1:1:.:B:9-11:1-2:x"),
      Parsed("1:1:1:1:.:C:2.0-3.2::x"), Parsed("1:1:1:1:.:D:10-x::x")};
  const OsNames names(some);
  EXPECT_THAT(Names(names),
              ElementsAre("A 2.0", "A 2.1", "A 2.2", "A 2.0-2.2", "B 9 1",
                          "B 9 2", "B 9 1-2", "B 10 1", "B 10 2", "B 10 1-2",
                          "B 11 1", "B 11 2", "B 11 1-2", "B 9-11 1",
                          "B 9-11 2", "B 9-11 1-2", "C 2.0-3.2", "D 10-x"));
  EXPECT_EQ(names.entries().size(), 36u);
}

TEST(OsNamesTest, FindsAsPfctl) {
  const std::vector<Fingerprint> some = {
      Parsed("1:1:1:1:.:Linux:2.4:20:x"), Parsed("1:1:1:1:.:Linux:2.6::x"),
      Parsed("1:1:1:1:.:Windows:XP:SP1:x"),
      Parsed("1:1:1:1:.:FreeBSD:4.0:STABLE:x")};
  const OsNames names(some);
  const auto find = [&](std::string_view text) {
    const std::optional<OsName> name = names.Find(text);
    return name ? names.Print(*name) : std::string();
  };
  EXPECT_EQ(find("linux"), "Linux");
  EXPECT_EQ(find("LINUX 2.6"), "Linux 2.6");
  EXPECT_EQ(find("Linux 2.4.20"), "Linux 2.4.20");
  EXPECT_EQ(find("Linux 2.4 20"), "Linux 2.4.20");
  EXPECT_EQ(find("windows xp sp1"), "Windows XP SP1");
  EXPECT_EQ(find("FreeBSD 4.0-stable"), "FreeBSD 4.0 STABLE");
  EXPECT_EQ(find("Unknown"), "unknown");
  for (const char* const none : {"Lin", "Linux 2.5", "Linux 2.4.21", "Linux ",
                                 "Windows SP1", "2.4", ""}) {
    EXPECT_EQ(find(none), "") << none;
  }
}

TEST(OsNamesTest, ListsInOrder) {
  const std::vector<Fingerprint> some = {
      Parsed("1:1:1:1:.:b:2::x"), Parsed("1:1:1:1:.:A:1:z:x"),
      Parsed("1:1:1:1:.:A:1:Y:x"), Parsed("1:1:1:1:.:B:1::x")};
  const OsNames names(some);
  std::vector<std::string> rows;
  for (const OsRow& row : ListOsNames(names)) {
    rows.push_back(row.class_name + "/" + row.version + "/" + row.subtype);
  }
  EXPECT_THAT(rows, ElementsAre("A//", "A/1/", "A/1/Y", "A/1/z", "b//", "b/1/",
                                "b/2/"));
}

TEST(OsNamesTest, ANameCoversThoseBelowIt) {
  const OsName linux_24 = {.class_number = 1, .version = 2, .subtype = 0};
  EXPECT_TRUE(linux_24.Covers({.class_number = 1, .version = 2, .subtype = 5}));
  EXPECT_FALSE(linux_24.Covers({.class_number = 1, .version = 3}));
  EXPECT_FALSE(linux_24.Covers({.class_number = 2, .version = 2}));
  // A fingerprint that says less is not all of what the rule asks for.
  EXPECT_FALSE(linux_24.Covers({.class_number = 1}));
}

TEST(DefaultFingerprintsTest, AreTheInstalledFile) {
  std::ifstream in(SLUICE_SOURCE_ROOT "/configs/sluice.os");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), DefaultFingerprintText());
  const FingerprintFile file = ParseFingerprints(DefaultFingerprintText());
  EXPECT_TRUE(file.mistakes.empty());
  EXPECT_EQ(file.fingerprints, DefaultFingerprints());
  EXPECT_GT(file.fingerprints.size(), 20u);
}

}  // namespace
}  // namespace sluice
