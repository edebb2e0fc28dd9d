// The examples of configs/examples/sections/: each is read in its dialect,
// prints to text that reads back to the same, and marks exactly those lines
// that a load refuses by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

const std::string kSectionsFolder = SLUICE_SOURCE_ROOT "/configs/examples/sections/";
constexpr std::string_view kMark = "# not enforced";

std::string ReadSection(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kSectionsFolder)) {
    if (entry.path().extension() == ".conf") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Dialect DialectOf(const std::string& name) {
  return name.ends_with("-freebsd") ? Dialect::kFreeBsd : Dialect::kOpenBsd;
}

ParseInput InputOf(const std::string& name, std::string text,
                   const HostFacts& facts) {
  ParseInput input;
  input.file_name = name + ".conf";
  input.text = std::move(text);
  input.load_file = SystemFileLoader(kSectionsFolder);
  input.dialect = DialectOf(name);
  input.facts = &facts;
  input.no_dns = true;
  return input;
}

// The lines, from 1, on which a statement with the mark begins: a backslash
// joins lines.
std::set<uint32_t> MarkedLines(std::string_view text) {
  std::set<uint32_t> marked;
  uint32_t line = 0;
  uint32_t first = 0;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    ++line;
    if (first == 0) first = line;
    if (one.find(kMark) != one.npos) marked.insert(first);
    if (!one.ends_with('\\')) first = 0;
  }
  return marked;
}

class LanguageSections : public testing::TestWithParam<std::string> {};

TEST_P(LanguageSections, ReadPrintAndAreMarked) {
  const auto facts = HostFacts::FromToml(ReadSection(kSectionsFolder + "host.toml"), "host");
  ASSERT_TRUE(facts.ok()) << facts.status();
  const std::string text = ReadSection(kSectionsFolder + GetParam() + ".conf");
  const ParseResult result = ParsePolicy(InputOf(GetParam(), text, *facts));
  ASSERT_TRUE(result.diagnostics.empty())
      << FormatDiagnostics(result.diagnostics);

  const PrintOptions options = {.dialect = DialectOf(GetParam()),
                                .facts = &*facts};
  const std::string printed = PrintPolicy(result.policy, options);
  EXPECT_FALSE(printed.empty());
  const ParseResult again = ParsePolicy(InputOf(GetParam(), printed, *facts));
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintPolicy(again.policy, options), printed);
  // What is loaded into a path has no place in a text.
  if (result.policy.loaded_anchors.empty()) {
    EXPECT_EQ(RulesetChecksum(again.policy), RulesetChecksum(result.policy));
  }

  std::set<uint32_t> refused;
  for (const Diagnostic& d :
       UnenforcedConstructs(result.policy, kEngineCapabilities)) {
    EXPECT_EQ(d.file, GetParam() + ".conf");
    refused.insert(d.line);
  }
  EXPECT_EQ(MarkedLines(text), refused) << "lines marked, lines refused";
}

INSTANTIATE_TEST_SUITE_P(Examples, LanguageSections,
                         testing::ValuesIn(Names()), [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(LanguageSectionsFolder, HasEachSection) {
  std::set<std::string> sections;
  for (const std::string& name : Names()) {
    const std::string text = ReadSection(kSectionsFolder + name + ".conf");
    constexpr std::string_view kStart = "# Section";
    ASSERT_EQ(text.rfind(kStart, 0), 0u) << name;
    // "# Section 6: ..." or "# Sections 6 and 7: ...".
    std::string number;
    for (const char c : text.substr(0, text.find(". "))) {
      if (c >= '0' && c <= '9') {
        number += c;
      } else if (!number.empty()) {
        sections.insert(std::exchange(number, ""));
        if (c == ':') break;
      }
    }
  }
  for (int i = 1; i <= 12; ++i) {
    EXPECT_TRUE(sections.contains(std::to_string(i))) << i;
  }
}

}  // namespace
}  // namespace sluice
