// The rulesets of configs/examples/language/, two large ones and two as
// programs write them: what is printed of them, and what a load would name, is
// what tests/golden/language/ has. `--write` writes that anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "tests/unit/pftable/language/coverage_rows.h"
#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::string kFolder = SLUICE_SOURCE_ROOT "/configs/examples/language/";

// As `sluicectl -n -v -f NAME --dialect D --facts campus.toml` prints it, the
// warnings behind.
std::string Printed(const std::string& name, Dialect dialect) {
  const auto facts =
      HostFacts::FromToml(Read(kFolder + "campus.toml"), "campus.toml");
  EXPECT_TRUE(facts.ok()) << facts.status();
  ParseInput input;
  input.file_name = name;
  input.text = Read(kFolder + name);
  EXPECT_GE(std::count(input.text.begin(), input.text.end(), '\n'), 50);
  input.load_file = SystemFileLoader(kFolder);
  input.dialect = dialect;
  input.facts = &*facts;
  input.no_dns = true;
  input.optimize = true;
  ParseInput second = input;
  const ParseResult result = ParsePolicy(std::move(input));
  EXPECT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const PrintOptions options = {.dialect = dialect, .facts = &*facts};
  const std::string text = PrintPolicy(result.policy, options);

  // What is printed reads back to the same.
  second.text = text;
  const ParseResult again = ParsePolicy(std::move(second));
  EXPECT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintPolicy(again.policy, options), text);
  EXPECT_EQ(RulesetChecksum(again.policy), RulesetChecksum(result.policy));

  std::string out = text + "\n";
  for (const Diagnostic& d :
       UnenforcedConstructs(result.policy, kEngineCapabilities)) {
    out += d.file + ":" + std::to_string(d.line) + ":" +
           std::to_string(d.column) + ": " + d.message + "\n";
  }
  return out;
}

struct Example {
  const char* name;
  Dialect dialect;
};

class LanguageExamples : public testing::TestWithParam<Example> {};

TEST_P(LanguageExamples, PrintAsTheyAreKnownTo) {
  const std::string name = GetParam().name;
  const std::string golden =
      SLUICE_SOURCE_ROOT "/tests/golden/language/" + name + ".txt";
  const std::string printed = Printed(name + ".conf", GetParam().dialect);
  if (WritesGoldenFiles()) {
    std::ofstream out(golden, std::ios::binary);
    out << printed;
    ASSERT_TRUE(out.flush()) << golden;
    return;
  }
  EXPECT_EQ(printed, Read(golden)) << golden << " is stale, or the printing is "
                                   << "wrong; --write writes it anew";
}

INSTANTIATE_TEST_SUITE_P(
    Rulesets, LanguageExamples,
    testing::Values(Example{"campus-openbsd", Dialect::kOpenBsd},
                    Example{"campus-freebsd", Dialect::kFreeBsd},
                    Example{"generated-tables", Dialect::kFreeBsd},
                    Example{"generated-lists", Dialect::kFreeBsd}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace sluice
