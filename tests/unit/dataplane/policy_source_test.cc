#include "dataplane/policy_source.h"

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "pftable/diagnostic.h"

namespace sluice {
namespace {

Diagnostic Error(std::string file, uint32_t line, uint32_t column,
                 std::string message) {
  Diagnostic diagnostic;
  diagnostic.file = std::move(file);
  diagnostic.line = line;
  diagnostic.column = column;
  diagnostic.message = std::move(message);
  return diagnostic;
}

TEST(DiagnosticsOfTest, ReadsBackWhatACompilerFormats) {
  std::vector<Diagnostic> errors = {
      Error("pf.conf", 3, 5, "parsed, not enforced yet: nat-to"),
      Error("a:b/more.conf", 12, 1, "anchor loop"),
      Error("pf.conf", 20, 7, "too many rules")};
  errors[0].source_line = "pass out nat-to 192.0.2.1";
  errors[0].hint = "translation is another machine's work";
  errors[1].source_line = "\tanchor ^";
  const absl::Status status =
      absl::InvalidArgumentError(FormatDiagnostics(errors));
  EXPECT_EQ(DiagnosticsOf(status, "stdin"), errors);
}

TEST(DiagnosticsOfTest, WhatHasNoPlaceIsOfTheFile) {
  const std::vector<Diagnostic> read = DiagnosticsOf(
      absl::ResourceExhaustedError("no rule slots are left\nnor tables"),
      "pf.conf");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0], Error("pf.conf", 0, 0, "no rule slots are left"));
  EXPECT_EQ(read[1], Error("pf.conf", 0, 0, "nor tables"));
}

}  // namespace
}  // namespace sluice
