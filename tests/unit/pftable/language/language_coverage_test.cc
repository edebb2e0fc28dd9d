// Makes docs/language-coverage.md of the rows and compares it with the file:
//
//   build/tests/unit/pftable/language/unit_language_coverage --write
//
// writes it anew. So the file is the list of what each feature prints, of
// what is refused with place and reason, and of what a load carries out.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "tests/unit/pftable/language/coverage_rows.h"
#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

constexpr char kFile[] = SLUICE_SOURCE_ROOT "/docs/language-coverage.md";
bool writes_files = false;

constexpr char kHead[] =
    R"(# What of the pf language is read, printed, refused and carried out

Made by a test from its own examples, which fails when this page says something else; `unit_language_coverage --write` in
`build/tests/unit/pftable/language/` writes it anew. Each feature has a ruleset that is accepted, with what `sluicectl -nvf` prints of it
in both dialects (once if they print the same), one that is refused, with the place and the reason, and what a load does:
`yes` if it carries the feature out, or by what; `no: NAME` if it is refused with "parsed, not enforced yet: NAME"; `taken: NAME` if it
is loaded with "changes no verdict, not carried out: NAME".
Several code spans are several lines. The host is that of the examples in language.md.
)";

LanguageCase CaseOf(Dialect dialect) {
  return {.dialect = dialect,
          .files = {{"more", "pass\n"},
                    {"list", "192.0.2.1 ; one\n!192.0.2.2\n"},
                    {"broken", "pass\n\npas\n"}},
          .macros = {{"given", "em0"}},
          .optimize = true};
}

// The lines of a text as code spans; bars would end a cell.
std::string Spans(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string line(text.substr(0, end));
    text = end == text.npos ? "" : text.substr(end + 1);
    if (line.empty()) continue;
    for (char& c : line) {
      if (c == '\f') c = ' ';
    }
    out += (out.empty() ? "`" : " `") + line + "`";
  }
  return out.empty() ? "(nothing)" : out;
}

struct Outcome {
  std::string accepted, refused, carried_out;
};

Outcome Run(const CoverageRow& row, Dialect dialect) {
  Outcome outcome;
  const LanguageCase language = CaseOf(dialect);
  const ParseResult good = ParseText(row.accepted, language);
  EXPECT_TRUE(good.ok()) << row.feature << ": " << row.accepted << "\n"
                         << FormatDiagnostics(good.diagnostics);
  outcome.accepted = Spans(PrintText(good, dialect));
  const ParseResult again = ParseText(PrintText(good, dialect), language);
  EXPECT_EQ(Spans(PrintText(again, dialect)), outcome.accepted) << row.feature;
  std::string names;
  bool is_refused = false;
  for (const Diagnostic& d :
       UnenforcedConstructs(good.policy, kEngineCapabilities)) {
    const std::string name = d.message.substr(d.message.rfind(": ") + 2);
    is_refused = is_refused || d.severity == Severity::kError;
    if ((", " + names + ", ").find(", " + name + ", ") == std::string::npos) {
      names += (names.empty() ? "" : ", ") + name;
    }
  }
  outcome.carried_out = !names.empty() ? (is_refused ? "no: " : "taken: ") + names
                        : row.carried_out != nullptr
                            ? "by " + std::string(row.carried_out)
                            : "yes";
  if (names.empty() && row.carried_out != nullptr &&
      !std::string_view(row.carried_out).starts_with("the ")) {
    outcome.carried_out = row.carried_out;
  }
  const ParseResult bad = ParseText(row.refused, language);
  EXPECT_FALSE(bad.ok()) << row.feature << ": " << row.refused;
  for (const Diagnostic& d : bad.diagnostics) {
    if (d.severity != Severity::kError) continue;
    outcome.refused += (outcome.refused.empty() ? "" : "; ") +
                       (d.file == "pf.conf" ? "" : d.file + ":") +
                       std::to_string(d.line) + ":" +
                       std::to_string(d.column) + ": " + d.message;
    if (!d.hint.empty()) outcome.refused += " (" + d.hint + ")";
  }
  return outcome;
}

std::string Both(const std::string& openbsd, const std::string& freebsd) {
  if (openbsd == freebsd) return openbsd;
  return "OpenBSD: " + openbsd + "<br>FreeBSD: " + freebsd;
}

std::string Row(const CoverageRow& row) {
  std::string out = "| " + std::string(row.feature);
  Outcome o;
  if (row.only == Only::kBoth) {
    const Outcome a = Run(row, Dialect::kOpenBsd);
    const Outcome b = Run(row, Dialect::kFreeBsd);
    o = {.accepted = Both(a.accepted, b.accepted),
         .refused = Both(a.refused, b.refused),
         .carried_out = Both(a.carried_out, b.carried_out)};
  } else {
    const bool openbsd = row.only == Only::kOpenBsd;
    out += openbsd ? " (OpenBSD)" : " (FreeBSD)";
    o = Run(row, openbsd ? Dialect::kOpenBsd : Dialect::kFreeBsd);
  }
  out += " | " + Spans(row.accepted) + " | " + o.accepted + " | " +
         Spans(row.refused) + " | " + o.refused + " | " + o.carried_out +
         " |\n";
  return out;
}

std::string Page() {
  std::string page = kHead;
  int number = 0;
  for (const auto& sections :
       {CoverageBasics(), CoverageRules(), CoverageState()}) {
    for (const CoverageSection& section : sections) {
      page += "\n## " + std::to_string(++number) + ". " + section.title +
              "\n\n| feature | accepted | printed | refused | at, because | "
              "carried out |\n| --- | --- | --- | --- | --- | --- |\n";
      for (const CoverageRow& row : section.rows) page += Row(row);
    }
  }
  return page;
}

TEST(LanguageCoverage, ThePageSaysWhatIsSo) {
  const std::string page = Page();
  ASSERT_FALSE(HasFailure());
  if (WritesGoldenFiles()) {
    std::ofstream out(kFile, std::ios::binary);
    out << page;
    ASSERT_TRUE(out.flush()) << kFile;
    return;
  }
  std::ifstream in(kFile, std::ios::binary);
  const std::string committed{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(page, committed)
      << "docs/language-coverage.md is stale: --write writes it anew";
}

}  // namespace

void WriteGoldenFiles() { writes_files = true; }
bool WritesGoldenFiles() { return writes_files; }

}  // namespace sluice

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1 && std::strcmp(argv[1], "--write") == 0) {
    sluice::WriteGoldenFiles();
  }
  return RUN_ALL_TESTS();
}
