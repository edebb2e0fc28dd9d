// The rings between workers and the host's side of routers.
#include "dataplane/forward/router_exchange.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <thread>
#include <vector>

#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

rte_mbuf* NewMbuf(const MbufPool& pool, uint16_t port) {
  rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool.get());
  mbuf->port = port;
  return mbuf;
}

TEST(RouterExchange, BothWaysAreInOrderAndAWorkersOwn) {
  const MbufPool pool(64);
  RouterExchange exchange(2, 8);
  EXPECT_EQ(exchange.workers(), 2);
  std::vector<rte_mbuf*> mbufs;
  for (uint16_t port = 0; port < 6; ++port) {
    mbufs.push_back(NewMbuf(pool, port));
  }
  const std::span all(mbufs);
  EXPECT_EQ(exchange.ToHost(1, all.first(2)), 2u);
  EXPECT_EQ(exchange.SendToWorker(1, all.subspan(2, 3)), 3u);
  EXPECT_EQ(exchange.SendToWorker(0, all.subspan(5, 1)), 1u);

  std::array<rte_mbuf*, 8> got{};
  EXPECT_EQ(exchange.TakeForHost(0, got), 0u);
  ASSERT_EQ(exchange.TakeForHost(1, got), 2u);
  EXPECT_EQ(got[0], mbufs[0]);
  EXPECT_EQ(got[1], mbufs[1]);
  ASSERT_EQ(exchange.FromHost(0, got), 1u);
  EXPECT_EQ(got[0], mbufs[5]);
  // No more than there is room for.
  ASSERT_EQ(exchange.FromHost(1, std::span(got).first(2)), 2u);
  EXPECT_EQ(got[0], mbufs[2]);
  ASSERT_EQ(exchange.FromHost(1, got), 1u);
  EXPECT_EQ(got[0], mbufs[4]);
  EXPECT_EQ(exchange.FromHost(1, got), 0u);
  for (rte_mbuf* mbuf : mbufs) rte_pktmbuf_free(mbuf);
}

TEST(RouterExchange, WhatHasNoRoomStaysTheCallersAndTheRestIsFreed) {
  const MbufPool pool(64);
  {
    RouterExchange exchange(1, 4);
    std::vector<rte_mbuf*> mbufs;
    for (int i = 0; i < 6; ++i) mbufs.push_back(NewMbuf(pool, 0));
    EXPECT_EQ(exchange.ToHost(0, mbufs), 4u);
    EXPECT_EQ(exchange.SendToWorker(0, std::span(mbufs).subspan(4)), 2u);
    rte_mbuf* one = nullptr;
    ASSERT_EQ(exchange.TakeForHost(0, {&one, 1}), 1u);
    EXPECT_EQ(exchange.ToHost(0, {&one, 1}), 1u) << "its place is free again";
    EXPECT_EQ(exchange.ToHost(0, {&one, 1}), 0u);
  }
  EXPECT_EQ(pool.InUse(), 0u);
}

TEST(RouterExchange, QuestionsAreBounded) {
  RouterExchange exchange(1, 4);
  const Address address = ParseAddress("192.0.2.9").value();
  uint32_t asked = 0;
  while (asked < 100'000 &&
         exchange.Ask(0, {.port = static_cast<uint16_t>(asked),
                          .address = address})) {
    ++asked;
  }
  EXPECT_GE(asked, 64u);
  EXPECT_LT(asked, 100'000u);
  NeighborQuestion question;
  for (uint32_t i = 0; i < asked; ++i) {
    ASSERT_TRUE(exchange.NextQuestion(0, &question));
    EXPECT_EQ(question.port, i);
    EXPECT_EQ(question.address, address);
  }
  EXPECT_FALSE(exchange.NextQuestion(0, &question));
  EXPECT_TRUE(exchange.Ask(0, {.port = 1, .address = address}));
}

// One writer and one reader a ring, at the same time.
TEST(RouterExchange, NothingIsLostBetweenThreads) {
  constexpr uint32_t kPackets = 20'000;
  RouterExchange exchange(1, 64);
  // Packets are not looked at: numbers do for them.
  std::vector<rte_mbuf> numbers(kPackets);
  std::thread host([&] {
    std::array<rte_mbuf*, 32> some{};
    for (uint32_t sent = 0; sent < kPackets;) {
      uint32_t count = 0;
      while (count < some.size() && sent + count < kPackets) {
        some[count] = &numbers[sent + count];
        ++count;
      }
      sent += exchange.SendToWorker(0, std::span(some).first(count));
    }
  });
  std::array<rte_mbuf*, 32> got{};
  for (uint32_t next = 0; next < kPackets;) {
    const uint32_t count = exchange.FromHost(0, got);
    for (uint32_t i = 0; i < count; ++i, ++next) {
      ASSERT_EQ(got[i], &numbers[next]);
    }
  }
  host.join();
}

}  // namespace
}  // namespace sluice
