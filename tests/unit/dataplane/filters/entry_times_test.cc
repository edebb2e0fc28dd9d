#include "dataplane/filters/entry_times.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/compile/policy_pool.h"

namespace sluice {
namespace {

TEST(EntryTimes, TheLastTimeOfEachCounts) {
  const TableKey key{.anchor = "a", .name = "t"};
  EntryTimes times;
  // Against the obvious, with additions of all sizes.
  std::map<Prefix, int64_t> expected;
  std::vector<TableEntry> entries;
  for (int i = 0; i < 4096; ++i) {
    entries.push_back({.prefix = *ParsePrefix(
                           absl::StrCat("10.0.", i / 256, ".", i % 256))});
  }
  const AddressTable contents = BuildTable(entries);
  std::mt19937 random(7);
  size_t most = 0;
  for (int64_t now = 1; now <= 300; ++now) {
    std::vector<Prefix> fresh;
    const size_t count = size_t{1} << random() % 9;
    for (size_t i = 0; i < count; ++i) {
      fresh.push_back(entries[random() % entries.size()].prefix);
      expected[fresh.back()] = now;
    }
    times.Set(key, times.With(key, fresh, now, contents));
    most = std::max(most, times.Get(key).size());
  }
  for (const TableEntry& entry : entries) {
    const auto known = expected.find(entry.prefix);
    EXPECT_EQ(EntryTimes::Find(times.Get(key), entry.prefix),
              known == expected.end() ? 0 : known->second);
  }
  EXPECT_LE(most, 13u) << "runs of ever half the length";
  // What the table has no more is forgotten as runs are merged.
  EntryTimes::Runs runs =
      times.With(key, {entries[0].prefix, entries[1].prefix}, 400,
                 BuildTable({entries.data(), 2}));
  for (int i = 0; i < 16; ++i) {
    times.Set(key, std::move(runs));
    runs = times.With(key, {entries[0].prefix, entries[1].prefix}, 400 + i,
                      BuildTable({entries.data(), 2}));
  }
  EXPECT_EQ(EntryTimes::Find(runs, entries[0].prefix), 415);
  times.Set(key, {});
  EXPECT_EQ(EntryTimes::Find(times.Get(key), entries[0].prefix), 0);
}

}  // namespace
}  // namespace sluice
