// The state table against std::map: random packets, ends, slices and clock,
// in small tables whose buckets overflow, for mixed families.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "conntrack/state_table.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr uint16_t kFilters = 3;
constexpr uint32_t kSecond = 1000;

// A flow as the model knows it: an unordered look at both ends.
using ModelKey = std::tuple<Family, uint16_t, uint8_t, std::array<uint8_t, 16>,
                            uint16_t, std::array<uint8_t, 16>, uint16_t,
                            std::string>;

// Frames in VLANs, by what says which; the first one is in none.
struct Tagged {
  std::string vlan;
  std::vector<uint8_t> tags;
};
const std::vector<Tagged> kFrames = {
    {"", {}},
    {"1", {0x81, 0, 0x60, 1}},
    {"4095", {0x81, 0, 0x0f, 0xff}},
    {"1.4095", {0x88, 0xa8, 0, 1, 0x81, 0, 0x0f, 0xff}},
    {"4095.1", {0x81, 0, 0x0f, 0xff, 0x81, 0, 0, 1}},
    {"1", {0x88, 0xa8, 0, 0, 0x81, 0, 0, 1}},
    {"1.4095",
     {0x81, 0, 0, 1, 0x81, 0, 0x0f, 0xff, 0x81, 0, 0, 7}},
    {"", {0x81, 0, 0xe0, 0}},
};

struct ModelState {
  Direction direction;
  StateId id;
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  uint64_t last_seen;
  bool answered = false;  // phase of the originator is kMultiple
  bool both = false;
  bool second = false;  // more than its first packet
};

ModelKey KeyOf(const PacketInfo& info, const JudgePoint& where,
               size_t frame) {
  const bool in = where.direction == Direction::kIn;
  return {info.family, where.filter, info.proto,
          in ? info.source : info.destination,
          (in ? info.source_port : info.destination_port).raw(),
          in ? info.destination : info.source,
          (in ? info.destination_port : info.source_port).raw(),
          kFrames[frame].vlan};
}

uint64_t LifeOf(const ModelState& state) {
  if (!state.second) return 60 * kSecond;
  return (state.both ? 60 : 30) * kSecond;
}

class Model : public testing::TestWithParam<uint32_t> {
 protected:
  PacketInfo RandomPacket() {
    PacketInfo info{};
    info.kind = Kind::kIp;
    info.family = random_() % 2 ? Family::kIpv4 : Family::kIpv6;
    info.proto = protocol::kUdp;
    // Few addresses and ports, so that packets meet.
    for (auto* address : {&info.source, &info.destination}) {
      (*address)[3] = static_cast<uint8_t>(1 + random_() % 6);
      if (info.family == Family::kIpv6) {
        (*address)[0] = 0x20;
        (*address)[15] = static_cast<uint8_t>(random_() % 3);
      }
    }
    info.source_port = Be16(static_cast<uint16_t>(1000 + random_() % 5));
    info.destination_port = Be16(static_cast<uint16_t>(1000 + random_() % 5));
    info.ip_length = static_cast<uint16_t>(28 + random_() % 1400);
    return info;
  }

  std::mt19937 random_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Seeds, Model, testing::Range(1u, 9u));

TEST_P(Model, TheTableDoesWhatAMapWouldDo) {
  // 64 slots to 2048: tiny ones are full all the time.
  const uint32_t capacity = 64u << (GetParam() % 6);
  auto built = StateTable::Build({.worker = 3,
                                  .capacity = capacity,
                                  .filters = kFilters,
                                  .secret = HashSecret::FromSeed(GetParam()),
                                  .huge_pages = false,
                                  .prefault = false});
  ASSERT_TRUE(built.ok());
  StateTable& table = **built;
  StateBudget budget(1u << 30);
  for (uint16_t i = 0; i < kFilters; ++i) {
    table.SetFilter(i, &budget, kDefaultTimeoutProfile);
  }
  std::vector<std::unique_ptr<PlainMbuf>> mbufs;
  for (const Tagged& tagged : kFrames) {
    std::vector<uint8_t> bytes(96);
    std::copy(tagged.tags.begin(), tagged.tags.end(), bytes.begin() + 12);
    mbufs.push_back(std::make_unique<PlainMbuf>(bytes));
  }
  std::map<ModelKey, ModelState> model;
  uint64_t now = 0xfffe0000;  // ticks wrap on the way
  StateId last_id = 0;
  uint64_t inserted = 0, refused = 0, expired = 0;

  for (int round = 0; round < 4000; ++round) {
    // A burst at one place.
    PacketBurst burst;
    burst.count = 1 + random_() % kMaxBurst;
    const JudgePoint where = {
        .direction = random_() % 2 ? Direction::kIn : Direction::kOut,
        .filter = static_cast<uint16_t>(random_() % kFilters)};
    std::vector<uint8_t> indices;
    std::array<size_t, kMaxBurst> frames{};
    for (uint32_t i = 0; i < burst.count; ++i) {
      PacketInfo& info = burst.infos[i];
      info = RandomPacket();
      frames[i] = random_() % 3 == 0 ? 0 : random_() % kFrames.size();
      const size_t tags = kFrames[frames[i]].tags.size();
      info.l3_offset = static_cast<uint8_t>(14 + tags);
      if (tags != 0) info.flags |= kVlanTagged;
      burst.mbufs[i] = mbufs[frames[i]]->get();
      if (random_() % 16 != 0) indices.push_back(static_cast<uint8_t>(i));
    }
    std::array<StateIndex, kMaxBurst> states;
    table.Lookup(burst, indices, where, states);
    for (const uint8_t i : indices) {
      const auto found = model.find(KeyOf(burst.infos[i], where, frames[i]));
      ASSERT_EQ(states[i] != kNoState, found != model.end());
      if (states[i] != kNoState) {
        ASSERT_EQ(table.entries().HandleOf(states[i]).id, found->second.id);
      }
    }
    for (const uint8_t i : indices) {
      const PacketInfo& info = burst.infos[i];
      const rte_mbuf& mbuf = *burst.mbufs[i];
      const ModelKey key = KeyOf(info, where, frames[i]);
      const auto found = model.find(key);
      const StateIndex state = table.Find(info, mbuf, where);
      ASSERT_EQ(state != kNoState, found != model.end());
      if (state != kNoState) {
        const Tick tick = static_cast<Tick>(now);
        if (random_() % 2 == 0 ||
            !table.StepOpen(state, info, where.direction, tick)) {
          const StepResult step =
              table.Step(state, info, mbuf, where.direction, tick);
          ASSERT_EQ(step.verdict, StepVerdict::kPass);
        }
        ModelState& m = found->second;
        const int peer = where.direction == m.direction ? 0 : 1;
        ++m.packets[peer];
        m.bytes[peer] += info.ip_length;
        m.last_seen = now;
        m.second = true;
        if (peer == 1) m.answered = true;
        if (peer == 0 && m.answered) m.both = true;
        continue;
      }
      const InsertResult result = table.Insert(info, mbuf, where, {},
                                               static_cast<Tick>(now));
      if (model.size() >= capacity) {
        ASSERT_EQ(result.state, kNoState);
        ASSERT_EQ(result.reason, DropReason::kStateLimit);
        ++refused;
        continue;
      }
      if (result.state == kNoState) {
        // The index may refuse before the table is full, for its own reason.
        ASSERT_EQ(result.reason, DropReason::kStateInsert);
        ++refused;
        continue;
      }
      const StateId id = table.entries().HandleOf(result.state).id;
      ASSERT_GT(id, last_id);
      last_id = id;
      model[key] = {.direction = where.direction,
                    .id = id,
                    .packets = {1, 0},
                    .bytes = {info.ip_length, 0},
                    .last_seen = now};
      ++inserted;
    }
    ASSERT_EQ(table.size(), model.size());
    ASSERT_EQ(budget.used(), model.size());

    // Some end.
    if (random_() % 4 == 0 && !model.empty()) {
      auto victim = model.begin();
      std::advance(victim, random_() % std::min<size_t>(model.size(), 50));
      uint32_t cursor = 0;
      StateIndex slot = kNoState;
      table.entries().Visit(&cursor, capacity, [&](StateIndex s) {
        if (table.entries().HandleOf(s).id == victim->second.id) slot = s;
      });
      ASSERT_NE(slot, kNoState);
      const StateRecord record = table.Record(slot, static_cast<Tick>(now));
      ASSERT_EQ(record.packets, victim->second.packets);
      ASSERT_EQ(record.bytes, victim->second.bytes);
      ASSERT_EQ(record.direction, victim->second.direction);
      const std::string& vlan = std::get<std::string>(victim->first);
      ASSERT_EQ(ToString(record.vlan), vlan.empty() ? "0" : vlan);
      if (random_() % 2) table.Fold(slot);
      ASSERT_EQ(table.Record(slot, static_cast<Tick>(now)).packets,
                victim->second.packets);
      if (random_() % 2) {
        table.Remove(slot);
        model.erase(victim);
      }
    }
    // Time passes, in small and in large steps.
    now += random_() % (round % 100 == 99 ? 40 * kSecond : 300);
    while (!table.Expire(static_cast<Tick>(now), 50)) {
    }
    std::map<StateId, int> alive;
    uint32_t cursor = 0;
    while (table.entries().Visit(&cursor, 37, [&](StateIndex s) {
      ++alive[table.entries().HandleOf(s).id];
    })) {
    }
    for (auto it = model.begin(); it != model.end();) {
      const uint64_t idle = now - it->second.last_seen;
      const bool lives = alive.erase(it->second.id) == 1;
      if (idle < LifeOf(it->second)) {
        ASSERT_TRUE(lives);
      }
      if (idle >= LifeOf(it->second) + TimerWheel::kSlotTicks) {
        ASSERT_FALSE(lives);
      }
      if (!lives) ++expired;
      it = lives ? std::next(it) : model.erase(it);
    }
    ASSERT_TRUE(alive.empty());
  }
  EXPECT_GT(inserted, 1000u);
  EXPECT_GT(expired, 500u);
  if (capacity <= 128) {
    EXPECT_GT(refused, 100u);
  }
}

}  // namespace
}  // namespace sluice
