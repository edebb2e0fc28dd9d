// The same text in both dialects beside each other: what each prints of it, or
// where and why it refuses it.
#ifndef SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_CONTRAST_H_
#define SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_CONTRAST_H_

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {

struct Contrast {
  const char* name;
  const char* text;
  // What is printed, warnings first; or where and why it is refused.
  const char* openbsd;
  const char* freebsd;
};

inline void PrintTo(const Contrast& c, std::ostream* out) { *out << c.name; }

// What a text does, as in Contrast; what is printed reads back to the same.
std::string Outcome(const std::string& text, Dialect dialect);

class ContrastTest : public testing::TestWithParam<Contrast> {};

inline std::string ContrastName(
    const testing::TestParamInfo<Contrast>& info) {
  return info.param.name;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_CONTRAST_H_
