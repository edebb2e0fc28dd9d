#include "pftable/policy/name.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Name, HasLettersDigitsAndFourSigns) {
  const std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
  for (int c = -128; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    EXPECT_EQ(IsNameCharacter(byte), allowed.find(byte) != allowed.npos) << c;
    EXPECT_EQ(IsName(std::string("a") + byte + "9", 3), IsNameCharacter(byte))
        << c;
  }
}

TEST(Name, HasALength) {
  EXPECT_FALSE(IsName("", 31));
  EXPECT_TRUE(IsName("a", 1));
  EXPECT_TRUE(IsName(std::string(31, 'a'), 31));
  EXPECT_FALSE(IsName(std::string(32, 'a'), 31));
}

}  // namespace
}  // namespace sluice
