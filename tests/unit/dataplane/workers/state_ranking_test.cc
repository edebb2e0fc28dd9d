// The first of all states by a measure, and how many there are, against what a
// listing of all of them says.
#include "dataplane/workers/state_ranking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/test_plane.h"

namespace sluice {
namespace {

void RunOrders(TestPlane& plane) {
  Mailbox& mailbox = plane.worker(0).mailbox();
  while (mailbox.pending() > 0) {
    plane.worker(0).Round();
    mailbox.Collect();
  }
}

std::vector<StateRecord> ListAll(TestPlane& plane,
                                 std::shared_ptr<const StateMatcher> matcher) {
  std::vector<StateRecord> all;
  std::optional<uint32_t> cursor = 0;
  while (cursor) {
    plane.worker(0).mailbox().Post(std::make_unique<ListOrder>(
        matcher, *cursor, 64, [&](auto next, std::vector<StateRecord> states) {
          std::ranges::move(states, std::back_inserter(all));
          cursor = next;
        }));
    RunOrders(plane);
  }
  return all;
}

class StateRankingTest : public testing::Test {
 protected:
  StateRankingTest() {
    plane_.Load("pass all tag seen\n");
    // Client n sends n packets of n + 20 bytes of data, in both families.
    for (int client = 1; client <= 20; ++client) {
      for (int packet = 0; packet < client; ++packet) {
        const std::string n = std::to_string(client);
        const std::string data = " data " + std::to_string(client + 20);
        Send("udp 10.0.0." + n + ":1000 > 10.1.0.1:53" + data);
        Send("udp [2001:db8::" + n + "]:2000 > [2001:db8:1::1]:53" + data);
      }
      Send("tcp 10.0.1." + std::to_string(client) + ":4000 > 10.1.0.2:80 S");
    }
    Send("icmp 10.0.2.1 > 10.1.0.1 echo id 53 seq 1 data 8");
    all_ = std::make_shared<StateMatcher>();
  }
  void Send(const std::string& text) {
    ASSERT_TRUE(plane_.port(0).Arrive(plane_.Make(text))) << text;
    plane_.worker(0).Round();
    plane_.port(1).Drain();
  }
  std::vector<StateRecord> Top(std::shared_ptr<const StateMatcher> matcher,
                               StateOrder order, size_t limit) {
    std::vector<StateRecord> top;
    plane_.worker(0).mailbox().Post(std::make_unique<TopOrder>(
        std::move(matcher), order, limit,
        [&](std::vector<StateRecord> states) { top = std::move(states); }));
    RunOrders(plane_);
    return top;
  }

  TestPlane plane_{{}};
  std::shared_ptr<StateMatcher> all_;
};

TEST_F(StateRankingTest, TheFirstOfAllByEachMeasure) {
  const std::vector<StateRecord> listed = ListAll(plane_, all_);
  ASSERT_EQ(listed.size(), 2u * 61u);  // at both ends of the wire
  for (const StateOrder order : {StateOrder::kBytes, StateOrder::kPackets,
                                 StateOrder::kRate}) {
    for (const size_t limit : {1u, 7u, 122u, 500u}) {
      std::vector<uint64_t> expected;
      for (const StateRecord& state : listed) {
        expected.push_back(MeasureOf(state, order));
      }
      std::ranges::sort(expected, std::greater<>());
      expected.resize(std::min(limit, expected.size()));
      std::vector<uint64_t> found;
      for (const StateRecord& state : Top(all_, order, limit)) {
        found.push_back(MeasureOf(state, order));
      }
      std::ranges::sort(found, std::greater<>());
      EXPECT_EQ(found, expected) << static_cast<int>(order) << " " << limit;
    }
  }
}

TEST(StateMeasureTest, RateIsOfALifeOfASecondAtLeast) {
  StateRecord state;
  state.bytes = {3000, 1000};
  state.packets = {3, 4};
  state.age = 10;
  EXPECT_EQ(MeasureOf(state, StateOrder::kRate), 4'000'000u);
  state.age = 4000;
  EXPECT_EQ(MeasureOf(state, StateOrder::kRate), 1'000'000u);
  EXPECT_EQ(MeasureOf(state, StateOrder::kAge), 4000u);
  EXPECT_EQ(MeasureOf(state, StateOrder::kPackets), 7u);
  state.bytes = {UINT64_MAX / 2, 0};
  state.age = 1000;
  EXPECT_GT(MeasureOf(state, StateOrder::kRate), UINT64_MAX / 1000);
}

TEST_F(StateRankingTest, EachConditionNarrowsListingsAndCounts) {
  struct Case {
    const char* what;
    void (*set)(StateMatcher&);
    size_t states;
  };
  const Case cases[] = {
      {"host", [](StateMatcher& m) { m.query.host = ParsePrefix("10.0.0.3"); },
       2},
      {"its net of the other end",
       [](StateMatcher& m) { m.query.host = ParsePrefix("10.1.0.0/16"); },
       2 * 41},
      {"IPv6",
       [](StateMatcher& m) { m.query.host = ParsePrefix("2001:db8::/126"); },
       2 * 3},
      {"source port", [](StateMatcher& m) { m.query.port = 1000; }, 2 * 20},
      {"destination port, not ICMP's identifier",
       [](StateMatcher& m) { m.query.port = 53; }, 2 * 40},
      {"protocol", [](StateMatcher& m) { m.query.protocol = 6; }, 2 * 20},
      {"younger", [](StateMatcher& m) { m.query.max_age = 3600; }, 2 * 61},
      {"older", [](StateMatcher& m) { m.query.min_age = 3600; }, 0},
      {"another tag",
       [](StateMatcher& m) {
         m.by_tag = true;
         m.tag = 999;
       },
       0},
      {"a name that nothing has", [](StateMatcher& m) { m.nothing = true; },
       0}};
  for (const Case& c : cases) {
    auto matcher = std::make_shared<StateMatcher>();
    c.set(*matcher);
    const std::vector<StateRecord> listed = ListAll(plane_, matcher);
    EXPECT_EQ(listed.size(), c.states) << c.what;
    EXPECT_EQ(Top(matcher, StateOrder::kBytes, 1000).size(), c.states)
        << c.what;
    StateTally tally;
    plane_.worker(0).mailbox().Post(std::make_unique<CountOrder>(
        matcher, [&](const StateTally& counted) { tally = counted; }));
    RunOrders(plane_);
    EXPECT_EQ(tally.states(), c.states) << c.what;
    uint64_t packets = 0, bytes = 0;
    for (const StateRecord& state : listed) {
      packets += state.packets[0] + state.packets[1];
      bytes += state.bytes[0] + state.bytes[1];
    }
    EXPECT_EQ(tally.packets(), packets) << c.what;
    EXPECT_EQ(tally.bytes(), bytes) << c.what;
  }
}

TEST_F(StateRankingTest, CountsByProtocolAndPhase) {
  StateTally tally;
  plane_.worker(0).mailbox().Post(std::make_unique<CountOrder>(
      nullptr, [&](const StateTally& counted) { tally.Add(counted); }));
  RunOrders(plane_);
  std::map<std::pair<int, int>, uint64_t> found;
  tally.Visit([&](uint8_t proto, uint8_t phase, uint64_t states) {
    found[{proto, phase}] += states;
  });
  const int closed = static_cast<int>(TcpPhase::kClosed);
  const int none = static_cast<int>(DatagramPhase::kNoTraffic);
  const std::map<std::pair<int, int>, uint64_t> expected = {
      {{1, 0}, 2}, {{6, closed}, 40}, {{17, none}, 80}};
  EXPECT_EQ(found, expected);
  EXPECT_EQ(tally.states(), 122u);
}

}  // namespace
}  // namespace sluice
