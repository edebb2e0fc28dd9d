// Which vhost ports a worker looks at, and when.
#include "dataplane/workers/vhost_queues.h"

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include <deque>
#include <memory>
#include <string>

#include "dataplane/ports/vhost_channel.h"
#include "dataplane/workers/plane.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

class VhostQueuesTest : public ::testing::Test {
 protected:
  // Channels without a machine: nothing ever comes from them.
  explicit VhostQueuesTest(uint16_t workers = 2)
      : pool_(255), plane_(workers, 64), queues_(0, &plane_) {}

  void Add(uint16_t poller) {
    channels_.emplace_back("vm" + std::to_string(channels_.size()),
                           pool_.get(), 1522);
    topology_->vhosts[channels_.size() - 1] = {.channel = &channels_.back(),
                                               .poller = poller};
  }
  void Round(bool idle) {
    queues_.BeginRound(idle, now_ += 1000);
    uint16_t port;
    EXPECT_FALSE(queues_.Next(&port, burst_));
  }

  MbufPool pool_;
  Plane plane_;
  std::deque<VhostChannel> channels_;
  std::unique_ptr<Topology> topology_ = std::make_unique<Topology>();
  VhostQueues queues_;
  PacketBurst burst_;
  uint64_t now_ = 1'000'000'000;
};

TEST_F(VhostQueuesTest, AWorkerHasItsOwnAndThoseOfOneThatDoesNotRun) {
  Add(1);
  queues_.Adopt(*topology_, 0);
  EXPECT_TRUE(queues_.empty());
  queues_.Adopt(*topology_, 1u << 1);
  EXPECT_EQ(queues_.active(), 1u);
  Add(0);
  queues_.Adopt(*topology_, 0);
  EXPECT_EQ(queues_.active(), 1u);
  *topology_ = {};
  queues_.Adopt(*topology_, 0);
  EXPECT_TRUE(queues_.empty());
}

TEST_F(VhostQueuesTest, OnesThatSayNothingAreSilentAfterSomeRounds) {
  for (int i = 0; i < 100; ++i) Add(0);
  queues_.Adopt(*topology_, 0);
  Round(false);
  EXPECT_EQ(queues_.active(), 100u);
  for (int i = 0; i < 62; ++i) Round(false);
  EXPECT_EQ(queues_.active(), 100u);
  Round(false);
  EXPECT_EQ(queues_.active(), 0u);
  // A change of the topology has all of them looked at again.
  queues_.Adopt(*topology_, 0);
  EXPECT_EQ(queues_.active(), 100u);
}

TEST_F(VhostQueuesTest, SilentOnesAreAllLookedAtInTheirInterval) {
  for (int i = 0; i < 100; ++i) Add(0);
  queues_.Adopt(*topology_, 0);
  for (int i = 0; i < 64; ++i) Round(false);
  ASSERT_EQ(queues_.active(), 0u);
  const uint64_t interval =
      rte_get_tsc_hz() / 1'000'000 * VhostQueues::kLookInterval;
  // What is due is as the time that has passed, however many rounds that is.
  for (const uint64_t rounds : {1u, 7u, 64u}) {
    size_t looks = 0;
    queues_.BeginRound(false, now_ += interval);
    for (uint64_t i = 0; i < rounds; ++i) {
      queues_.BeginRound(false, now_ += interval / rounds + 1);
      looks += queues_.due();
    }
    EXPECT_GE(looks, 99u) << rounds;
    EXPECT_LE(looks, 101u) << rounds;
  }
  // A round without packets before it has time for many.
  queues_.BeginRound(true, now_);
  EXPECT_EQ(queues_.due(), 64u);
  queues_.BeginRound(false, now_);
  EXPECT_EQ(queues_.due(), 0u);
}

}  // namespace
}  // namespace sluice
