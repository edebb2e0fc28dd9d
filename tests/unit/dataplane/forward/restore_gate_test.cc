// What the gate decides, packet by packet, without a worker.
#include "dataplane/forward/restore_gate.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr Tick kNow = 1000;

// The states that a restore goes through, from one that is expected.
void Bring(FilterStatusWord* word, RestoreState state) {
  FilterStatus status = word->Load();
  const std::vector<RestoreState> way = [state] {
    using enum RestoreState;
    switch (state) {
      case kQueued: return std::vector{kQueued};
      case kValidating: return std::vector{kQueued, kValidating};
      case kCommitting: return std::vector{kQueued, kValidating, kCommitting};
      case kRestored:
        return std::vector{kQueued, kValidating, kCommitting, kRestored};
      case kFailed: return std::vector{kQueued, kFailed};
      case kSkipped: return std::vector{kSkipped};
      default: return std::vector<RestoreState>{};
    }
  }();
  for (const RestoreState next : way) {
    ASSERT_TRUE(word->Advance(&status, next)) << Name(next);
  }
}

class GateTest : public testing::Test {
 protected:
  GateTest() : pool_(1023), gate_(0) {
    for (size_t i = 0; i < 2; ++i) {
      filters_[i].number = static_cast<uint16_t>(i);
      filters_[i].MakeHolds(1, &budget_);
    }
    emergency_.number = 9;
  }
  ~GateTest() override {
    // Nothing is left behind.
    std::array<rte_mbuf*, kMaxBurst> mbufs;
    for (FilterPlane& filter : filters_) {
      uint32_t count;
      while ((count = gate_.Abandon(filter, kNow, mbufs)) > 0) {
        rte_pktmbuf_free_bulk(mbufs.data(), count);
      }
    }
    EXPECT_EQ(gate_.held(), 0u);
    EXPECT_EQ(budget_.used(), 0u);
    EXPECT_EQ(pool_.InUse(), 0u);
  }

  void Expect(size_t i, RestoreState state) {
    filters_[i].status.Enable(state != RestoreState::kNone);
    Bring(&filters_[i].status, state);
  }
  // As a worker has seen them at the beginning of a round.
  GateEnds Ends() {
    GateEnds ends{};
    for (size_t i = 0; i < 2; ++i) {
      views_[i] = ReadStatus(filters_[i]);
      ends[i] = &views_[i];
    }
    return ends;
  }
  // The burst, with what is left to be judged in it.
  PacketBurst Arrive(const std::vector<std::string>& packets,
                     bool pass_non_ip = true, Tick now = kNow) {
    PacketBurst burst;
    for (const std::string& text : packets) {
      burst.mbufs[burst.count++] = pool_.Make(FrameFromText(text));
    }
    ParseBurst(burst, {});
    gate_.Admit(3, pass_non_ip, Ends(), now, burst, result_);
    return burst;
  }
  std::vector<DropReason> Drops() {
    std::vector<DropReason> reasons(
        result_.reasons.begin(),
        result_.reasons.begin() + result_.drop_count);
    rte_pktmbuf_free_bulk(result_.drops.data(), result_.drop_count);
    return reasons;
  }
  static void Free(PacketBurst& burst) {
    rte_pktmbuf_free_bulk(burst.mbufs.data(), burst.count);
  }
  // Releases everything that may leave; frees it.
  uint32_t Release(size_t i, HoldEnd* end, Tick now = kNow) {
    std::array<rte_mbuf*, kMaxBurst> mbufs;
    uint32_t count = 0, all = 0;
    Ends();
    *end = HoldEnd::kWait;
    while (true) {
      const HoldEnd next = gate_.Release(views_[i], now, mbufs, &count);
      if (count == 0) return all;
      *end = next;
      for (uint32_t k = 0; k < count; ++k) order_.push_back(mbufs[k]->pkt_len);
      all += count;
      rte_pktmbuf_free_bulk(mbufs.data(), count);
    }
  }

  MbufPool pool_;
  HoldBudget budget_{64};
  std::array<FilterPlane, 2> filters_;
  FilterPlane emergency_;
  std::array<FilterView, 2> views_;
  RestoreGate gate_;
  GateResult result_;
  std::vector<uint32_t> order_;  // lengths, as released
};

const char kUdp4[] = "udp 10.0.0.2:1000 > 10.1.0.1:53 data 8";
const char kUdp6[] = "udp 2001:db8::2:1000 > 2001:db8::1:53 data 8";
const char kArp[] = "arp request 10.0.0.2 > 10.0.0.1";
const char kNs[] = "icmp fe80::1 > ff02::1:ff00:1 neighbrsol ttl 255 "
                   "data 0x20010db8000000000000000000000001";

// By state of the filter at the port of arrival, of one at the port of
// departure that judges.
TEST_F(GateTest, EachStateHasItsAction) {
  using enum RestoreState;
  struct Case {
    RestoreState state;
    GateDecision expected;
  };
  const GateDecision judge;
  const GateDecision hold = {.action = GateAction::kHold};
  for (const Case& c : std::initializer_list<Case>{
           {kNone, judge},
           {kExpect, hold},
           {kQueued, hold},
           {kValidating, hold},
           {kCommitting, hold},
           {kRestored, judge},
           {kSkipped, judge},
           {kFailed,
            {.action = GateAction::kDrop, .reason = DropReason::kHeld}}}) {
    Expect(0, c.state);
    Expect(1, kNone);
    EXPECT_EQ(Decide(Ends(), false), c.expected) << Name(c.state);
  }
  filters_[0].status.Disable();
  EXPECT_EQ(Decide(Ends(), false),
            (GateDecision{.action = GateAction::kDrop,
                          .reason = DropReason::kPortDown}));
}

TEST_F(GateTest, TheFilterOfThePortOfArrivalComesFirst) {
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kQueued);
  EXPECT_EQ(Decide(Ends(), false).end, 0);
  Expect(0, RestoreState::kRestored);
  EXPECT_EQ(Decide(Ends(), false),
            (GateDecision{.action = GateAction::kHold, .end = 1}));
  // An end at which nothing is judged does not count.
  GateEnds ends = Ends();
  ends[1] = nullptr;
  EXPECT_EQ(Decide(ends, false).action, GateAction::kJudge);
  // Nor does a filter that is switched off.
  views_[1].disposition = Disposition::kUnfiltered;
  ends[1] = &views_[1];
  EXPECT_EQ(Decide(ends, false).action, GateAction::kJudge);
}

TEST_F(GateTest, AnEmergencyRulesetTakesTheFilterOutOfTheWay) {
  Expect(0, RestoreState::kFailed);
  Expect(1, RestoreState::kNone);
  filters_[0].emergency = &emergency_;
  EXPECT_EQ(Decide(Ends(), false).action, GateAction::kDrop)
      << "the policy is closed";
  filters_[0].fail_policy = FailPolicy::kOpen;
  EXPECT_EQ(Decide(Ends(), false).action, GateAction::kJudge);
  EXPECT_EQ(views_[0].disposition, Disposition::kEmergency);
  // Before the failure it is not in force.
  Expect(0, RestoreState::kValidating);
  EXPECT_EQ(Decide(Ends(), false).action, GateAction::kHold);
  EXPECT_EQ(views_[0].disposition, Disposition::kHold);
  // Open without a ruleset is closed: never no filter at all.
  Expect(0, RestoreState::kFailed);
  filters_[0].emergency = nullptr;
  EXPECT_EQ(Decide(Ends(), false).action, GateAction::kDrop);
}

TEST_F(GateTest, TheFirstPacketAsksAndWaits) {
  Expect(0, RestoreState::kExpect);
  Expect(1, RestoreState::kNone);
  EXPECT_EQ(Arrive({kUdp4, kUdp6}).count, 0u);
  EXPECT_EQ(filters_[0].status.Load().state, RestoreState::kQueued);
  EXPECT_EQ(views_[0].status.state, RestoreState::kQueued);
  EXPECT_EQ(gate_.held(), 2u);
  EXPECT_EQ(result_.drop_count, 0u);
  ASSERT_EQ(gate_.holding().size(), 1u);
  EXPECT_EQ(gate_.holding()[0], 0u);
  EXPECT_TRUE(gate_.Holds(0));
  EXPECT_EQ(filters_[0].holds[0]->size(), 2u);
}

TEST_F(GateTest, NeighbourDiscoveryPassesWhatHolds) {
  Expect(0, RestoreState::kExpect);
  Expect(1, RestoreState::kExpect);
  EXPECT_EQ(Arrive({kArp, kUdp4, kNs, kUdp6}).count, 0u);
  EXPECT_EQ(result_.bypass.count, 2u);
  EXPECT_EQ(result_.bypassed, 3u);
  EXPECT_EQ(gate_.held(), 2u);
  EXPECT_EQ(filters_[0].holds[0]->statistics().bypassed.load(), 2u);
  EXPECT_EQ(filters_[1].holds[0]->statistics().bypassed.load(), 2u);
  // What passed asked on its way.
  EXPECT_EQ(filters_[1].status.Load().state, RestoreState::kQueued);
  Free(result_.bypass);

  // The other end may not want it: then it waits there.
  filters_[1].bypass_hold = false;
  EXPECT_EQ(Arrive({kNs}).count, 0u);
  EXPECT_EQ(result_.bypass.count, 0u);
  EXPECT_EQ(filters_[1].holds[0]->size(), 1u);
  filters_[0].bypass_hold = false;
  EXPECT_EQ(Arrive({kNs}).count, 0u);
  EXPECT_EQ(filters_[0].holds[0]->size(), 3u);
}

TEST_F(GateTest, WhatIsNeverJudgedTakesNoRoom) {
  Expect(0, RestoreState::kExpect);
  Expect(1, RestoreState::kNone);
  // A wire that blocks what is not IP blocks ARP too.
  EXPECT_EQ(Arrive({kArp}, false).count, 0u);
  EXPECT_EQ(Drops(), std::vector{DropReason::kNonIp});
  EXPECT_EQ(gate_.held(), 0u);
  EXPECT_EQ(result_.bypass.count, 0u);
}

TEST_F(GateTest, TheNewestAreDroppedWithoutRoom) {
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kNone);
  for (int i = 0; i < 3; ++i) {
    Arrive(std::vector<std::string>(30, kUdp4));
    EXPECT_EQ(Drops(), std::vector<DropReason>(i == 2 ? 26 : 0,
                                               DropReason::kHeld));
  }
  EXPECT_EQ(gate_.held(), 64u);
  EXPECT_EQ(filters_[0].holds[0]->statistics().refused_budget.load(), 26u);
}

TEST_F(GateTest, ReleasesInOrderWhenTheRestoreHasEnded) {
  Expect(0, RestoreState::kExpect);
  Expect(1, RestoreState::kNone);
  std::vector<uint32_t> lengths;
  for (int i = 0; i < 40; ++i) {
    Arrive({"udp 10.0.0.2:1000 > 10.1.0.1:53 data " + std::to_string(20 + i)});
    lengths.push_back(static_cast<uint32_t>(14 + 20 + 8 + 20 + i));
  }
  HoldEnd end;
  EXPECT_EQ(Release(0, &end), 0u);
  EXPECT_EQ(end, HoldEnd::kWait);
  FilterStatus status = filters_[0].status.Load();
  for (const RestoreState next :
       {RestoreState::kValidating, RestoreState::kCommitting,
        RestoreState::kRestored}) {
    ASSERT_TRUE(filters_[0].status.Advance(&status, next));
  }
  EXPECT_EQ(Release(0, &end), 40u);
  EXPECT_EQ(end, HoldEnd::kReplay);
  EXPECT_EQ(order_, lengths);
  EXPECT_TRUE(gate_.IsEmpty(filters_[0]));
  gate_.Forget(0);
  EXPECT_FALSE(gate_.Holds(0));
  EXPECT_TRUE(gate_.holding().empty());
}

TEST_F(GateTest, DropsWhenItHasFailedOrTheIncarnationIsOver) {
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kNone);
  Arrive({kUdp4, kUdp6});
  FilterStatus status = filters_[0].status.Load();
  ASSERT_TRUE(filters_[0].status.Advance(&status, RestoreState::kFailed));
  HoldEnd end;
  EXPECT_EQ(Release(0, &end), 2u);
  EXPECT_EQ(end, HoldEnd::kDrop);
  EXPECT_EQ(filters_[0].holds[0]->statistics().dropped_failed.load(), 2u);

  Expect(0, RestoreState::kQueued);
  Arrive({kUdp4});
  filters_[0].status.Disable();
  filters_[0].status.Enable(false);
  EXPECT_EQ(Release(0, &end), 1u);
  EXPECT_EQ(end, HoldEnd::kDrop) << "another life's packet was judged";
  EXPECT_EQ(filters_[0].holds[0]->statistics().dropped_cancelled.load(), 1u);
}

TEST_F(GateTest, DropsWhatHasWaitedTooLong) {
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kNone);
  Arrive({kUdp4});
  Arrive({kUdp6}, true, kNow + 100);
  HoldEnd end;
  EXPECT_EQ(Release(0, &end, kNow + 199), 0u);
  EXPECT_EQ(Release(0, &end, kNow + 200), 1u);
  EXPECT_EQ(end, HoldEnd::kDrop);
  EXPECT_EQ(gate_.held(), 1u);
  EXPECT_EQ(Release(0, &end, kNow + 300), 1u);
}

// The status was read when the round began, and the port has begun another
// life since: nothing of the two may get into one queue.
TEST_F(GateTest, TwoLivesDoNotShareAQueue) {
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kNone);
  Arrive({kUdp4});
  filters_[0].status.Disable();
  filters_[0].status.Enable(true);
  Arrive({kUdp6});
  EXPECT_EQ(Drops(), std::vector{DropReason::kHeld});
  HoldEnd end;
  EXPECT_EQ(Release(0, &end), 1u);
  EXPECT_EQ(end, HoldEnd::kDrop);
  Arrive({kUdp6});
  EXPECT_EQ(Drops(), std::vector<DropReason>{});
  EXPECT_EQ(gate_.held(), 1u);
}

TEST_F(GateTest, AFilterThatIsSwitchedOffLetsGoOfWhatItHolds) {
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kNone);
  Arrive({kUdp4});
  Ends();
  views_[0].disposition = Disposition::kUnfiltered;
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  uint32_t count = 0;
  EXPECT_EQ(gate_.Release(views_[0], kNow, mbufs, &count), HoldEnd::kReplay);
  ASSERT_EQ(count, 1u);
  rte_pktmbuf_free(mbufs[0]);
}

TEST_F(GateTest, AFilterWithoutQueuesHoldsNothing) {
  filters_[0].holds.clear();
  Expect(0, RestoreState::kQueued);
  Expect(1, RestoreState::kNone);
  Arrive({kUdp4});
  EXPECT_EQ(Drops(), std::vector{DropReason::kHeld});
}

}  // namespace
}  // namespace sluice
