// The features of pf's language, each with a ruleset that has it and one that
// has it wrong. The test makes docs/language-coverage.md of them.
#ifndef SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_COVERAGE_ROWS_H_
#define SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_COVERAGE_ROWS_H_

#include <span>

namespace sluice {

enum class Only : char { kBoth, kOpenBsd, kFreeBsd };
inline constexpr Only kO = Only::kOpenBsd;
inline constexpr Only kF = Only::kFreeBsd;

struct CoverageRow {
  const char* feature;
  const char* accepted;
  const char* refused;
  // Where a load takes it: what carries it out, or why nothing has to. Null:
  // the filter itself does. Without meaning where a load refuses it by name.
  const char* carried_out = nullptr;
  Only only = Only::kBoth;
};

struct CoverageSection {
  const char* title;
  std::span<const CoverageRow> rows;
};

// coverage_rows_basics.cc: file syntax to limits.
std::span<const CoverageSection> CoverageBasics();
// coverage_rows_rules.cc: actions, conditions and parameters of rules.
std::span<const CoverageSection> CoverageRules();
// coverage_rows_state.cc: translation, state, normalisation, anchors.
std::span<const CoverageSection> CoverageState();

// --write: files that a test compares with are written instead.
bool WritesGoldenFiles();

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_COVERAGE_ROWS_H_
