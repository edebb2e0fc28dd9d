// The test that accepted constructs go through: what is printed is what is
// expected, and reads back to the same text.
#ifndef SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_ACCEPT_H_
#define SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_ACCEPT_H_

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <tuple>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {

struct Accepted {
  const char* name;
  const char* text;
  const char* openbsd;
  const char* freebsd;  // null: as OpenBSD's
};

inline void PrintTo(const Accepted& c, std::ostream* out) { *out << c.name; }

inline constexpr Dialect kDialects[] = {Dialect::kOpenBsd, Dialect::kFreeBsd};

class AcceptTest
    : public testing::TestWithParam<std::tuple<Accepted, Dialect>> {};

inline std::string AcceptTestName(
    const testing::TestParamInfo<std::tuple<Accepted, Dialect>>& info) {
  return std::string(std::get<0>(info.param).name) +
         (std::get<1>(info.param) == Dialect::kOpenBsd ? "OnOpenBsd"
                                                       : "OnFreeBsd");
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_ACCEPT_H_
