#include "dataplane/workers/handoff.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

const std::array<uint8_t, 60> kFrame = {};

TEST(PointerRingTest, HoldsExactlyItsCapacityInOrder) {
  PointerRing ring(100);
  std::array<int, 101> values;
  std::array<void*, 101> pointers;
  for (size_t i = 0; i < values.size(); ++i) pointers[i] = &values[i];
  EXPECT_EQ(ring.Push(pointers), 100u);
  EXPECT_EQ(ring.Push({pointers.data(), 1}), 0u);
  std::array<void*, 101> out;
  EXPECT_EQ(ring.Pop({out.data(), 40}), 40u);
  EXPECT_EQ(ring.Pop({out.data() + 40, 61}), 60u);
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(out[i], &values[i]);
  EXPECT_EQ(ring.Pop(out), 0u);
}

TEST(HandoffTest, GoesToTheOneThatItIsFor) {
  MbufPool pool(63);
  Handoff handoff(3, 8);
  std::array<rte_mbuf*, 2> sent = {pool.Make(kFrame), pool.Make(kFrame)};
  EXPECT_EQ(handoff.Send(0, 2, sent), 2u);
  std::array<rte_mbuf*, 8> got;
  EXPECT_EQ(handoff.Receive(1, 0, got), 0u);
  EXPECT_EQ(handoff.Receive(2, 1, got), 0u);
  EXPECT_EQ(handoff.Receive(0, 2, got), 0u);
  ASSERT_EQ(handoff.Receive(2, 0, got), 2u);
  EXPECT_EQ(got[0], sent[0]);
  EXPECT_EQ(got[1], sent[1]);
  rte_pktmbuf_free(got[0]);
  rte_pktmbuf_free(got[1]);
  EXPECT_EQ(pool.InUse(), 0u);
}

TEST(HandoffTest, AFullRingTakesTheFirstAndLeavesTheOthers) {
  MbufPool pool(63);
  {
    Handoff handoff(2, 4);
    std::array<rte_mbuf*, 6> sent;
    for (rte_mbuf*& mbuf : sent) mbuf = pool.Make(kFrame);
    EXPECT_EQ(handoff.Send(0, 1, sent), 4u);
    rte_pktmbuf_free(sent[4]);
    rte_pktmbuf_free(sent[5]);
    EXPECT_EQ(pool.InUse(), 4u);
  }
  // What nobody received is freed with the rings.
  EXPECT_EQ(pool.InUse(), 0u);
}

// Two workers hand packets to and fro at full speed; each finds what the other
// wrote into the packet before, in order.
TEST(HandoffTest, ConcurrentWorkersSeeWholePacketsInOrder) {
  constexpr uint32_t kPackets = 50000;
  MbufPool pool(1023);
  Handoff handoff(2, 64);
  std::atomic<uint32_t> mismatches{0};
  // Worker 0 writes numbers, worker 1 adds and sends back.
  std::thread other([&] {
    uint32_t seen = 0;
    std::array<rte_mbuf*, 32> got;
    while (seen < kPackets) {
      const uint32_t count = handoff.Receive(1, 0, got);
      if (count == 0) std::this_thread::yield();
      for (uint32_t i = 0; i < count; ++i) {
        auto* number = rte_pktmbuf_mtod(got[i], uint32_t*);
        if (number[0] != seen++) mismatches.fetch_add(1);
        number[1] = number[0] + 1;
      }
      uint32_t done = 0;
      while (done < count) {
        done += handoff.Send(1, 0, std::span(got).subspan(done, count - done));
        if (done < count) std::this_thread::yield();
      }
    }
  });
  uint32_t sent = 0, received = 0;
  std::array<rte_mbuf*, 32> got;
  while (received < kPackets) {
    // The pool is the first worker's alone.
    if (sent < kPackets && sent - received < 512) {
      rte_mbuf* mbuf = pool.Make(kFrame);
      rte_pktmbuf_mtod(mbuf, uint32_t*)[0] = sent;
      if (handoff.Send(0, 1, {&mbuf, 1}) == 1) {
        ++sent;
      } else {
        rte_pktmbuf_free(mbuf);
      }
    }
    const uint32_t count = handoff.Receive(0, 1, got);
    if (count == 0) std::this_thread::yield();
    for (uint32_t i = 0; i < count; ++i) {
      auto* number = rte_pktmbuf_mtod(got[i], uint32_t*);
      if (number[0] != received || number[1] != received + 1) {
        mismatches.fetch_add(1);
      }
      ++received;
      rte_pktmbuf_free(got[i]);
    }
  }
  other.join();
  EXPECT_EQ(mismatches.load(), 0u);
  EXPECT_EQ(pool.InUse(), 0u);
}

}  // namespace
}  // namespace sluice
