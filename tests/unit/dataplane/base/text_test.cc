#include "dataplane/base/text.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

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

TEST(NearestTest, FindsWhatWasMeant) {
  const std::array<std::string_view, 6> words = {"create", "destroy", "list",
                                                 "show",   "states",  "on"};
  EXPECT_EQ(Nearest("ls", words), "list");
  EXPECT_EQ(Nearest("crate", words), "create");
  EXPECT_EQ(Nearest("statess", words), "states");
  EXPECT_EQ(Nearest("destory", words), "destroy");
  EXPECT_EQ(Nearest("", words), "");
  EXPECT_EQ(Nearest("quit", words), "");
  EXPECT_EQ(Nearest("zz", words), "");
  EXPECT_EQ(Nearest(std::string(1000, 'a'), words), "");
}

}  // namespace
}  // namespace sluice
