#include "dataplane/base/line_diff.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

TEST(LineDiffTest, EqualTextsHaveNone) {
  EXPECT_EQ(DiffLines("", "").text, "");
  EXPECT_EQ(DiffLines("a\nb\n", "a\nb\n").text, "");
}

TEST(LineDiffTest, AsDiffSaysIt) {
  const LineDiff diff = DiffLines("1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                                  "1\n2\n3\n4\nfive\n6\n7\n8\n9\nten\n");
  EXPECT_EQ(diff.text,
            "@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n+ten\n");
  EXPECT_EQ(diff.removed, 1u);
  EXPECT_EQ(diff.added, 2u);
}

TEST(LineDiffTest, TwoHunksWhereMuchIsEqualBetween) {
  std::string before, after;
  for (int i = 0; i < 20; ++i) {
    before += std::to_string(i) + "\n";
    after += (i == 2 || i == 17 ? "new" : std::to_string(i)) + "\n";
  }
  EXPECT_EQ(DiffLines(before, after, 1).text,
            "@@ -2,3 +2,3 @@\n 1\n-2\n+new\n 3\n"
            "@@ -17,3 +17,3 @@\n 16\n-17\n+new\n 18\n");
}

TEST(LineDiffTest, FromNothingAndToNothing) {
  EXPECT_EQ(DiffLines("", "a\nb\n").text, "@@ -0,0 +1,2 @@\n+a\n+b\n");
  EXPECT_EQ(DiffLines("a\n", "").text, "@@ -1 +0,0 @@\n-a\n");
}

// Puts the diff of `before` back together.
std::string Patched(const std::string& before, const std::string& diff) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < before.size();) {
    const size_t end = before.find('\n', at);
    lines.push_back(before.substr(at, end - at));
    at = end + 1;
  }
  std::string after;
  size_t next = 0;
  for (size_t at = 0; at < diff.size();) {
    const size_t end = diff.find('\n', at);
    const std::string line = diff.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("@@ -")) {
      size_t first = std::stoul(line.substr(4));
      const bool none = line.substr(4, line.find(' ', 4) - 4).ends_with(",0");
      if (!none) --first;
      while (next < first) after += lines[next++] + "\n";
      continue;
    }
    if (line[0] == '+') {
      after += line.substr(1) + "\n";
    } else {
      EXPECT_EQ(line.substr(1), lines.at(next));
      if (line[0] == ' ') after += lines.at(next) + "\n";
      ++next;
    }
  }
  while (next < lines.size()) after += lines[next++] + "\n";
  return after;
}

TEST(LineDiffTest, MakesOneTextOfTheOther) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const uint32_t words = 1 + random() % 30;
    const auto text = [&] {
      std::string made;
      for (uint32_t n = random() % 40; n > 0; --n) {
        made += "l" + std::to_string(random() % words) + "\n";
      }
      return made;
    };
    const std::string before = text();
    std::string after = random() % 2 == 0 ? text() : before;
    if (!after.empty() && random() % 2 == 0) {
      const size_t at = after.find('\n') + 1;
      after.insert(at, "inserted\n");
    }
    const LineDiff diff = DiffLines(before, after, random() % 4);
    ASSERT_EQ(Patched(before, diff.text), after) << before << "--\n" << after;
    if (before == after) {
      EXPECT_EQ(diff.removed + diff.added, 0u);
    }
  }
}

TEST(LineDiffTest, ManyLines) {
  std::string before, after;
  for (int i = 0; i < 200'000; ++i) {
    const std::string line = "pass in from 10.0.0." + std::to_string(i) + "\n";
    before += line;
    if (i % 1000 != 7) after += line;
    if (i % 5000 == 3) after += "block all " + std::to_string(i) + "\n";
  }
  const LineDiff diff = DiffLines(before, after);
  EXPECT_EQ(diff.removed, 200u);
  EXPECT_EQ(diff.added, 40u);
}

}  // namespace
}  // namespace sluice
