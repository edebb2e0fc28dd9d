// Lists of addresses with repetitions: each network once, by its first entry.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pftable/language/parser.h"

namespace sluice {
namespace {

// Entries of both families that come again and again, with and without `!`.
std::vector<std::string> Words(size_t count) {
  std::minstd_rand random(7);
  std::vector<std::string> words;
  for (size_t i = 0; i < count; ++i) {
    const auto number = static_cast<uint32_t>(random()) % 3000;
    std::string word = random() % 4 == 0 ? "!" : "";
    if (random() % 2 == 0) {
      word += "10." + std::to_string(number / 256) + "." +
              std::to_string(number % 256) + ".0/" +
              std::to_string(24 + random() % 2);
    } else {
      word += "2001:db8::" + std::to_string(number) +
              (random() % 2 == 0 ? "/128" : "");
    }
    words.push_back(std::move(word));
  }
  return words;
}

std::vector<TableEntry> Expected(const std::vector<std::string>& words) {
  std::vector<TableEntry> entries;
  std::map<Prefix, bool> seen;
  for (const std::string& word : words) {
    TableEntry entry;
    entry.negated = word[0] == '!';
    entry.prefix = ParsePrefix(word.substr(entry.negated))->Masked();
    if (seen.emplace(entry.prefix, true).second) entries.push_back(entry);
  }
  return entries;
}

TEST(TableFile, HasEachNetworkOnce) {
  for (const size_t count : {0u, 1u, 7u, 8u, 9u, 20000u}) {
    const std::vector<std::string> words = Words(count);
    std::string text;
    for (const std::string& word : words) text += word + "\n";
    const TableFileResult read =
        ParseTableFile("list", text, HostFacts(), true, 100000);
    EXPECT_TRUE(read.diagnostics.empty());
    EXPECT_EQ(read.entries, Expected(words)) << count;
  }
}

TEST(TableFile, AndSoHaveTablesOfListsAndFiles) {
  const std::vector<std::string> words = Words(9000);
  std::string list, first, second;
  for (size_t i = 0; i < words.size(); ++i) {
    (i < 3000 ? first : i < 6000 ? list : second) += words[i] + "\n";
  }
  ParseInput input;
  input.text = "table <t> file \"first\" {\n" + list + "} file \"second\"\n";
  input.load_file = [&](std::string_view path,
                        size_t) -> absl::StatusOr<std::string> {
    return path == "first" ? first : second;
  };
  const ParseResult parsed = ParsePolicy(std::move(input));
  ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  EXPECT_EQ(parsed.policy.main.tables.at(0).entries, Expected(words));
}

}  // namespace
}  // namespace sluice
