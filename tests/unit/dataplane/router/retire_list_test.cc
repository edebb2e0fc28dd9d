#include "dataplane/router/retire_list.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

class FakeReclaimer final : public Reclaimer {
 public:
  uint64_t StartGracePeriod() override { return ++started; }
  bool HasPassed(uint64_t period) override { return period <= passed; }
  uint64_t started = 0;
  uint64_t passed = 0;
};

TEST(RetireListTest, FreesWhatWorkersHaveLeft) {
  FakeReclaimer reclaimer;
  RetireList list(&reclaimer);
  std::vector<int> freed;
  for (int i = 0; i < 3; ++i) {
    list.Retire([&freed, i] { freed.push_back(i); });
  }
  list.Poll();
  EXPECT_TRUE(freed.empty());
  reclaimer.passed = 2;
  list.Poll();
  EXPECT_EQ(freed, (std::vector<int>{0, 1}));
  // What is freed may give the next thing back.
  list.Retire([&] { list.Retire([&freed] { freed.push_back(9); }); });
  list.Drain();
  EXPECT_EQ(freed, (std::vector<int>{0, 1, 2, 9}));
  list.Retire([&freed] { freed.push_back(10); });
  EXPECT_EQ(freed.back(), 10);
}

}  // namespace
}  // namespace sluice
