#include "pftable/engine/tag_registry.h"

#include <memory>
#include <string>
#include <vector>

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

TEST(TagRegistry, NumbersOfTagsThatNobodyUsesAreGivenBack) {
  TagRegistry tags(2);
  std::shared_ptr<const Epoch> policy = tags.Hold();
  const uint16_t a = *tags.Intern("a");
  const uint16_t b = *tags.Intern("b");
  EXPECT_EQ(tags.Intern("c").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(tags.IsWorthALook());
  EXPECT_TRUE(tags.Idle().empty()) << "the policy has both";
  // Another one, which says `b` only.
  const std::shared_ptr<const Epoch> next = tags.Hold();
  EXPECT_EQ(*tags.Intern("b"), b);
  EXPECT_TRUE(tags.Idle().empty()) << "the old one lives";
  policy.reset();
  std::vector<TagRegistry::IdleTag> idle = tags.Idle();
  ASSERT_EQ(idle.size(), 1u);
  EXPECT_EQ(idle[0].tag, a);
  // Somebody says it again while one looks for states that have it.
  EXPECT_EQ(*tags.Intern("a"), a);
  tags.Forget(idle);
  EXPECT_EQ(tags.NameOf(a), "a");
  idle[0].used = ~uint64_t{0};
  tags.Forget(idle);
  EXPECT_EQ(tags.Find("a"), a);
  EXPECT_TRUE(tags.Idle().empty()) << "it was said after the policy began";
  idle[0].used = 4;  // names were interned so often
  tags.Forget(idle);
  EXPECT_EQ(tags.Find("a"), kNoTag);
  EXPECT_EQ(tags.NameOf(a), "");
  EXPECT_FALSE(tags.IsWorthALook());
  EXPECT_EQ(*tags.Intern("c"), a);
  EXPECT_EQ(tags.NameOf(a), "c");
  EXPECT_EQ(tags.Find("b"), b);
}

}  // namespace
}  // namespace sluice
