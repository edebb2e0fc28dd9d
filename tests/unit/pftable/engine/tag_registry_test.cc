#include "pftable/engine/tag_registry.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(TagRegistry, OneNumberAName) {
  TagRegistry tags;
  const uint16_t a = *tags.Intern("A");
  const uint16_t b = *tags.Intern("B");
  EXPECT_NE(a, kNoTag);
  EXPECT_NE(a, b);
  EXPECT_EQ(*tags.Intern("A"), a);
  EXPECT_EQ(tags.Find("B"), b);
  EXPECT_EQ(tags.Find("C"), kNoTag);
  EXPECT_EQ(tags.NameOf(b), "B");
  EXPECT_EQ(tags.NameOf(kNoTag), "");
  EXPECT_EQ(tags.NameOf(999), "");
}

TEST(TagRegistry, IsBounded) {
  TagRegistry tags;
  EXPECT_EQ(tags.Intern("").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(
      tags.Intern(std::string(TagRegistry::kMaxNameLength, 'x')).ok());
  EXPECT_EQ(tags.Intern(std::string(TagRegistry::kMaxNameLength + 1, 'x'))
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  for (size_t i = 1; i < TagRegistry::kMaxTags; ++i) {
    ASSERT_TRUE(tags.Intern("t" + std::to_string(i)).ok());
  }
  EXPECT_EQ(tags.Intern("one more").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(tags.Intern("t1").ok());
}

}  // namespace
}  // namespace sluice
