#include "dataplane/forward/mac_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using Learnt = MacTable::Learnt;

LinkAddress Mac(uint64_t n) { return {.value = n << 8 | 0x02}; }

TEST(LinkAddressTest, IsReadAndWritten) {
  const auto mac = ParseLinkAddress("00:53:00:Aa:00:01");
  ASSERT_TRUE(mac.has_value());
  EXPECT_EQ(ToString(*mac), "00:53:00:aa:00:01");
  EXPECT_FALSE(mac->IsGroup());
  EXPECT_TRUE(ParseLinkAddress("01:80:c2:00:00:0f")->IsReserved());
  EXPECT_FALSE(ParseLinkAddress("01:80:c2:00:00:10")->IsReserved());
  EXPECT_TRUE(ParseLinkAddress("ff:ff:ff:ff:ff:ff")->IsBroadcast());
  for (const char* wrong : {"", "00:53:00:00:00", "00:53:00:00:00:0g",
                            "00-53-00-00-00-01", "00:53:00:00:00:011"}) {
    EXPECT_FALSE(ParseLinkAddress(wrong).has_value()) << wrong;
  }
}

TEST(MacTableTest, LearnsMovesAndForgets) {
  MacTable table({.capacity = 64, .age = 1000});
  EXPECT_EQ(table.Find(Mac(1)), kNoPort);
  EXPECT_EQ(table.Learn(Mac(1), 3, 0), Learnt::kNew);
  EXPECT_EQ(table.Learn(Mac(1), 3, 0), Learnt::kKnown);
  EXPECT_EQ(table.Find(Mac(1)), 3);
  EXPECT_EQ(table.Learn(Mac(1), 4, 0), Learnt::kMoved);
  EXPECT_EQ(table.Find(Mac(1)), 4);
  EXPECT_EQ(table.Learn(Mac(2), 5, 0), Learnt::kNew);
  EXPECT_EQ(table.size(), 2u);
  table.ForgetPort(4);
  EXPECT_EQ(table.Find(Mac(1)), kNoPort);
  EXPECT_EQ(table.Find(Mac(2)), 5);
  table.ForgetLearnt();
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.counts().learnt, 2u);
  EXPECT_EQ(table.counts().moved, 1u);
}

// The clock wraps around.
TEST(MacTableTest, WhatIsHeardOfStays) {
  MacTable table({.capacity = 64, .age = 5000});
  const Tick start = 0xfffff000;
  uint32_t cursor = 0;
  table.Learn(Mac(1), 1, start);
  table.Learn(Mac(2), 2, start);
  table.Learn(Mac(1), 1, start + 4000);
  table.Age(start + 4999, 100, &cursor);
  EXPECT_EQ(table.size(), 2u);
  table.Age(start + 5000, 100, &cursor);
  EXPECT_EQ(table.Find(Mac(1)), 1);
  EXPECT_EQ(table.Find(Mac(2)), kNoPort);
  table.Age(start + 9000, 100, &cursor);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.counts().aged, 2u);
}

TEST(MacTableTest, AFloodOfAddressesFillsItsShareOnly) {
  MacTable table({.capacity = 4096, .per_port = 10});
  table.Learn(Mac(1), 1, 0);
  for (uint64_t i = 100; i < 100'000; ++i) table.Learn(Mac(i), 2, 0);
  EXPECT_EQ(table.size(), 11u);
  EXPECT_EQ(table.Find(Mac(1)), 1);
  EXPECT_EQ(table.counts().limit, 99'900u - 10);
  // One that moves there is not let in either, and stays where it was.
  EXPECT_EQ(table.Learn(Mac(1), 2, 0), Learnt::kLimit);
  EXPECT_EQ(table.Find(Mac(1)), 1);
}

TEST(MacTableTest, IsBounded) {
  MacTable table({.capacity = 256});
  uint64_t full = 0;
  for (uint64_t i = 1; i <= 10'000; ++i) {
    full += table.Learn(Mac(i), 1, 0) == Learnt::kFull ? 1 : 0;
  }
  EXPECT_LE(table.size(), table.capacity());
  EXPECT_EQ(table.size() + full, 10'000u);
  // Addresses that differ in their last bytes only find room as others do.
  MacTable alike({.capacity = 8192});
  for (uint64_t i = 1; i <= 2000; ++i) {
    EXPECT_EQ(alike.Learn({.value = i << 32 | 0x5300}, 1, 0), Learnt::kNew);
  }
  // Two buckets to choose from fill it well before the first is refused.
  EXPECT_GT(table.size(), table.capacity() * 9 / 10);
  EXPECT_EQ(table.counts().full, full);
}

// Page after page, as they are written, all and none twice.
TEST(MacTableTest, PagesAreInTheOrderOfTheirTexts) {
  MacTable table({.capacity = 4096});
  std::mt19937_64 random(1);
  std::set<std::string> expected;
  for (int i = 0; i < 1000; ++i) {
    const LinkAddress mac = {.value = random() & LinkAddress::kMask & ~1ull};
    if (table.Learn(mac, 1, 0) == Learnt::kNew) expected.insert(ToString(mac));
  }
  for (const size_t limit : {1, 7, 999, 1000, 5000}) {
    std::vector<std::string> found;
    std::optional<LinkAddress> after;
    while (true) {
      const auto page = table.EntriesAfter(after, limit, 0);
      if (page.empty()) break;
      EXPECT_LE(page.size(), limit);
      for (const MacTable::Entry& entry : page) {
        found.push_back(ToString(entry.mac));
        EXPECT_EQ(entry.port, 1);
      }
      after = page.back().mac;
    }
    EXPECT_EQ(found,
              std::vector<std::string>(expected.begin(), expected.end()))
        << limit;
  }
  EXPECT_TRUE(table.EntriesAfter(std::nullopt, 0, 0).empty());
}

TEST(MacTableTest, FixedOnesNeitherMoveNorEnd) {
  MacTable table({.capacity = 64, .age = 1000, .per_port = 1});
  EXPECT_EQ(table.Learn(Mac(1), 1, 0), Learnt::kNew);
  EXPECT_TRUE(table.Fix(Mac(1), 2));
  EXPECT_EQ(table.Find(Mac(1)), 2);
  EXPECT_EQ(table.Learn(Mac(1), 1, 0), Learnt::kFixed);
  // It takes no share, and has given back the one that it had.
  EXPECT_EQ(table.Learn(Mac(2), 1, 0), Learnt::kNew);
  EXPECT_EQ(table.Learn(Mac(3), 2, 0), Learnt::kNew);
  uint32_t cursor = 0;
  table.Age(100'000, 100, &cursor);
  table.ForgetLearnt();
  EXPECT_EQ(table.Find(Mac(1)), 2);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_TRUE(table.Unfix(Mac(1)));
  EXPECT_FALSE(table.Unfix(Mac(1)));
  EXPECT_EQ(table.size(), 0u);
}

// Threads put in, move and take out the same few addresses: each is there once
// afterwards, and the shares are what is there.
TEST(MacTableTest, WorkersAgree) {
  constexpr uint16_t kWorkers = 4;
  constexpr uint64_t kMacs = 40;
  MacTable table({.capacity = 128, .age = 1, .per_port = 30});
  std::atomic<bool> go{false};
  std::vector<std::thread> workers;
  for (uint16_t w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&, w] {
      while (!go.load()) {
      }
      uint64_t random = w + 1;
      for (int i = 0; i < 50'000; ++i) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const LinkAddress mac = Mac(1 + (random >> 33) % kMacs);
        if (w == 0 && i % 16 == 0) {
          uint32_t cursor = 0;
          table.Age(static_cast<Tick>(i) + 2, 100, &cursor);
        } else {
          table.Learn(mac, static_cast<uint16_t>(1 + (random >> 20) % 3),
                      static_cast<Tick>(i));
        }
      }
    });
  }
  go.store(true);
  for (std::thread& worker : workers) worker.join();
  std::set<LinkAddress> seen;
  std::array<uint32_t, 4> at_port{};
  const std::vector<MacTable::Entry> entries = table.Entries(0);
  for (const MacTable::Entry& entry : entries) {
    EXPECT_TRUE(seen.insert(entry.mac).second) << ToString(entry.mac);
    ++at_port[entry.port];
    EXPECT_EQ(table.Find(entry.mac), entry.port);
  }
  EXPECT_EQ(table.size(), entries.size());
  // Each port has room for as many as its limit says, no more and no less.
  for (uint16_t port = 1; port <= 3; ++port) {
    uint32_t more = 0;
    for (uint64_t i = 0; i < 40; ++i) {
      more += table.Learn(Mac(1000 * port + i), port, 0) == Learnt::kNew;
    }
    EXPECT_EQ(at_port[port] + more, 30u) << port;
  }
}

}  // namespace
}  // namespace sluice
