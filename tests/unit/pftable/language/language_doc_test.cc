// docs/language.md says what is done with each construct; here each of its
// examples is held against what it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

struct Row {
  int line = 0;
  std::string section;
  std::string construct;
  std::string example;
  std::string result;
};

std::string Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == text.npos) return std::string();
  return std::string(
      text.substr(begin, text.find_last_not_of(' ') - begin + 1));
}

// The code spans of a cell are the lines of the example.
std::string Example(std::string_view cell) {
  std::string text;
  for (size_t at = cell.find('`'); at != cell.npos;
       at = cell.find('`', at)) {
    const size_t end = cell.find('`', at + 1);
    if (end == cell.npos) return std::string();
    text += std::string(cell.substr(at + 1, end - at - 1)) + '\n';
    at = end + 1;
  }
  return text;
}

const std::vector<Row>& Rows() {
  static const std::vector<Row>& rows = *new std::vector<Row>([] {
    std::vector<Row> read;
    std::ifstream in(SLUICE_SOURCE_ROOT "/docs/language.md");
    std::string line, section;
    for (int number = 1; std::getline(in, line); ++number) {
      if (line.starts_with("## ")) section = line.substr(3);
      if (!line.starts_with("| ") || line.starts_with("| construct") ||
          line.starts_with("| ---")) {
        continue;
      }
      std::vector<std::string> cells;
      for (size_t at = 2; at < line.size();) {
        const size_t bar = std::min(line.find(" |", at), line.size());
        cells.push_back(Trimmed(line.substr(at, bar - at)));
        at = bar + 2;
      }
      if (cells.size() != 3) {
        ADD_FAILURE() << "docs/language.md:" << number << ": three cells";
        continue;
      }
      read.push_back({.line = number, .section = section,
                      .construct = cells[0], .example = Example(cells[1]),
                      .result = cells[2]});
    }
    return read;
  }());
  return rows;
}

// What sluice does with the example, in the words of the page.
std::string Outcome(const std::string& example, const LanguageCase& language,
                    std::set<std::string>& reported) {
  const ParseResult parsed = ParseText(example, language);
  if (!parsed.ok()) return "refused: " + parsed.diagnostics[0].message;
  const std::string printed = PrintText(parsed, language.dialect);
  const ParseResult again = ParseText(printed, language);
  if (!again.ok() || PrintText(again, language.dialect) != printed) {
    return "printed as what does not read back: " + printed;
  }
  std::vector<std::string> names;
  bool refused = false;
  for (const Diagnostic& d :
       UnenforcedConstructs(parsed.policy, kEngineCapabilities)) {
    const std::string name(d.message.substr(d.message.rfind(": ") + 2));
    reported.insert(name);
    refused = refused || d.severity == Severity::kError;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  if (names.empty()) return "loads";
  std::string text = refused ? "not enforced:" : "warned:";
  for (const std::string& name : names) {
    text += (name == names[0] ? " " : ", ") + name;
  }
  return text;
}

TEST(LanguageDoc, EachExampleDoesWhatThePageSays) {
  std::set<std::string> reported;
  std::map<std::string, int> accepted, refused;
  for (const Row& row : Rows()) {
    SCOPED_TRACE("docs/language.md:" + std::to_string(row.line) + ": " +
                 row.construct);
    ASSERT_FALSE(row.example.empty());
    LanguageCase language = {
        .files = {{"more.conf", "pass\n"}, {"list.txt", "192.0.2.1\n"}}};
    for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
      const std::string_view other = dialect == Dialect::kOpenBsd
                                         ? "(FreeBSD only)"
                                         : "(OpenBSD only)";
      if (row.construct.ends_with(other)) continue;
      language.dialect = dialect;
      const std::string outcome = Outcome(row.example, language, reported);
      // "enforced", and "accepted" for what changes no verdict, load alike.
      const bool loads = row.result == "enforced" || row.result == "accepted";
      EXPECT_EQ(outcome, loads ? "loads" : row.result);
    }
    ++(row.result.starts_with("refused") ? refused : accepted)[row.section];
  }
  EXPECT_GE(accepted.size(), 12u);
  EXPECT_GE(refused.size(), 9u);
}

// A construct that an engine may lack has its row, enforced or not.
TEST(LanguageDoc, EveryConstructHasARow) {
  std::set<std::string> used;
  for (const Row& row : Rows()) {
    for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
      const ParseResult parsed = ParseText(
          row.example,
          {.dialect = dialect,
           .files = {{"more.conf", "pass\n"}, {"list.txt", "192.0.2.1\n"}}});
      if (!parsed.ok()) continue;
      // To an engine that can do nothing each of them is reported.
      for (const Diagnostic& d : UnenforcedConstructs(parsed.policy, {})) {
        used.insert(d.message.substr(d.message.rfind(": ") + 2));
      }
    }
  }
  for (const std::string_view name : ConstructNames()) {
    EXPECT_TRUE(used.contains(std::string(name)))
        << name << " has no example in docs/language.md";
  }
}

}  // namespace
}  // namespace sluice
