// Random fragments, overlapping and contradicting each other, into the fragment
// cache and into a plain map of bytes: both families, any segments.
//
// SLUICE_SEED is the first seed, SLUICE_ROUNDS how many follow it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "tests/property/fragment_check.h"

namespace sluice {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class FragmentProperty : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Families, FragmentProperty, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "inet6" : "inet";
                         });

TEST_P(FragmentProperty, SaysWhatTheByteMapSays) {
  MbufPool pool(16383);
  const uint64_t first = FromEnvironment("SLUICE_SEED", 1);
  const uint64_t rounds = FromEnvironment("SLUICE_ROUNDS", 300);
  uint64_t wholes = 0;
  for (uint64_t seed = first; seed < first + rounds; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&random](uint32_t n) {
      return static_cast<uint32_t>(random() % n);
    };
    FragmentCheck check(&pool, GetParam());
    uint32_t base = 1;
    for (int step = 0; step < 120; ++step) {
      if (below(16) == 0) ++base;
      ModelFragment fragment;
      fragment.id = base + below(2);
      fragment.offset = 8 * below(8);
      // The first one is never the last.
      fragment.more = fragment.offset == 0 || below(3) != 0;
      uint32_t length = fragment.more ? 8 * (1 + below(4)) : 1 + below(24);
      // Half of the datagrams come from an honest sender.
      const bool honest = fragment.id % 2 == 0;
      if (honest) {
        fragment.offset = 16 * below(3);
        fragment.more = fragment.offset < 32;
        length = fragment.more ? 16 : 5;
      }
      for (uint32_t i = 0; i < length; ++i) {
        // Few values, so that copies come by.
        fragment.data.push_back(static_cast<uint8_t>(
            honest ? fragment.offset + i : below(8) == 0));
      }
      const uint32_t segment = below(3) == 0 ? 5 + below(60) : 0;
      const auto wrong = check.Step(fragment, segment, below(4) * 3);
      ASSERT_FALSE(wrong) << "seed " << seed << ", step " << step << ": "
                          << *wrong;
    }
    ASSERT_TRUE(check.Finish()) << "seed " << seed;
    wholes += check.wholes();
  }
  // The walk reaches what it is about.
  EXPECT_GT(wholes, rounds);
}

}  // namespace
}  // namespace sluice
