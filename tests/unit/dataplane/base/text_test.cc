#include "dataplane/base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(PrintableTest, ControlCharactersAreShown) {
  EXPECT_EQ(Printable("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(Printable("\x1b[2J\x07\r\x7f"), "\\x1b[2J\\x07\\x0d\\x7f");
  EXPECT_EQ(Printable(std::string("a\0b", 3)), "a\\x00b");
  // Other alphabets stay, and halves of their characters too.
  EXPECT_EQ(Printable("gr\xc3\xbcn \xc3"), "gr\xc3\xbcn \xc3");
  EXPECT_EQ(PrintableName("a\tb\nc"), "a\\x09b\\x0ac");
}

}  // namespace
}  // namespace sluice
