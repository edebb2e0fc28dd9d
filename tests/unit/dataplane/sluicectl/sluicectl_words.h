// sluicectl's command line as tests read it.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_SLUICECTL_SLUICECTL_WORDS_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_SLUICECTL_SLUICECTL_WORDS_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/sluicectl/arguments.h"

namespace sluice {

// What the words mean; the test fails if they are refused.
inline Arguments Parse(const std::vector<std::string>& words) {
  absl::StatusOr<Arguments> arguments = ParseArguments(words);
  EXPECT_TRUE(arguments.ok()) << arguments.status();
  return arguments.value_or(Arguments());
}

// Why the words are refused, or "no error".
inline std::string ErrorOf(const std::vector<std::string>& words) {
  const absl::Status status = ParseArguments(words).status();
  return status.ok() ? "no error" : std::string(status.message());
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_SLUICECTL_SLUICECTL_WORDS_H_
