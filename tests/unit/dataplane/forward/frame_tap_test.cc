// Frames for whoever captures them: the ring, filters, segments, and what is
// wanted only once it is judged.
#include "dataplane/forward/frame_tap.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <rte_mbuf.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "dataplane/forward/trace_tap.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

TEST(FrameRing, GivesBackWhatWasPutInWhateverItsLength) {
  FrameRing ring(4096);
  uint64_t put = 0, got = 0, lost = 0;
  for (int round = 0; round < 5000; ++round) {
    const size_t size = 1 + static_cast<size_t>(round * 37) % 900;
    if (auto* place = static_cast<uint8_t*>(ring.Begin(size))) {
      std::memset(place, static_cast<int>(put % 251), size);
      // Some are shorter than was thought, and some are not wanted at all.
      if (round % 7 == 0) ring.Shorten(size / 2 + 1);
      if (round % 11 == 0) {
        ring.Shorten(0);
      } else {
        ++put;
      }
    } else {
      ++lost;
    }
    ring.Publish();
    while (round % 3 == 0) {
      const auto* front = static_cast<const uint8_t*>(ring.Front());
      if (front == nullptr) break;
      EXPECT_EQ(front[0], got % 251);
      ring.Pop();
      ++got;
    }
  }
  while (const auto* front = static_cast<const uint8_t*>(ring.Front())) {
    EXPECT_EQ(front[0], got % 251);
    ring.Pop();
    ++got;
  }
  EXPECT_EQ(got, put);
  EXPECT_GT(put, 1000u);
  EXPECT_EQ(ring.lost(), lost);
  EXPECT_EQ(ring.Begin(5000), nullptr) << "larger than the ring";
}

TEST(FrameRing, NothingIsSeenBeforeItIsPublished) {
  FrameRing ring(4096);
  std::memset(ring.Begin(10), 1, 10);
  EXPECT_EQ(ring.Front(), nullptr);
  ring.Publish();
  EXPECT_NE(ring.Front(), nullptr);
}

std::vector<FilterStep> Compiled(const std::string& expression) {
  pcap_t* const pcap = ::pcap_open_dead(DLT_EN10MB, 65535);
  bpf_program program{};
  EXPECT_EQ(::pcap_compile(pcap, &program, expression.c_str(), 1,
                           PCAP_NETMASK_UNKNOWN),
            0);
  std::vector<FilterStep> steps;
  for (u_int i = 0; i < program.bf_len; ++i) {
    const bpf_insn& step = program.bf_insns[i];
    steps.push_back({step.code, step.jt, step.jf, step.k});
  }
  ::pcap_freecode(&program);
  ::pcap_close(pcap);
  return steps;
}

// The library's interpreter ends the process where it does not know a code.
TEST(FilterProgram, RunsWhateverIsTaken) {
  const std::vector<uint8_t> frame(300, 0x45);
  size_t taken = 0;
  for (uint32_t code = 0; code <= UINT16_MAX; ++code) {
    for (const uint32_t value : {0u, 1u, 15u, 16u, 0xffffffffu}) {
      const std::vector<FilterStep> steps = {
          {static_cast<uint16_t>(code), 0, 0, value},
          {BPF_RET | BPF_K, 0, 0, 1}};
      if (!IsGoodFilter(steps)) continue;
      ++taken;
      ::bpf_filter(reinterpret_cast<const bpf_insn*>(steps.data()),
                   frame.data(), 300, 300);
    }
  }
  EXPECT_GT(taken, 100u);
}

TEST(FilterProgram, EndsOnEveryWay) {
  EXPECT_TRUE(IsGoodFilter(Compiled("tcp port 80 and not host 192.0.2.1")));
  EXPECT_TRUE(IsGoodFilter({{BPF_RET | BPF_K, 0, 0, 1}}));
  EXPECT_FALSE(IsGoodFilter({}));
  EXPECT_FALSE(IsGoodFilter({{BPF_LD | BPF_IMM, 0, 0, 1}})) << "no end";
  EXPECT_FALSE(IsGoodFilter({{0xffff, 0, 0, 0}, {BPF_RET, 0, 0, 0}}));
  // To itself, for ever; and out of it.
  EXPECT_FALSE(IsGoodFilter(
      {{BPF_JMP | BPF_JA, 0, 0, 0xffffffff}, {BPF_RET, 0, 0, 0}}));
  EXPECT_FALSE(
      IsGoodFilter({{BPF_JMP | BPF_JA, 0, 0, 1}, {BPF_RET, 0, 0, 0}}));
  EXPECT_FALSE(IsGoodFilter(
      {{BPF_JMP | BPF_JEQ, 5, 0, 1}, {BPF_RET | BPF_K, 0, 0, 0}}));
  EXPECT_FALSE(IsGoodFilter(
      {{BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 0}}));
  EXPECT_FALSE(IsGoodFilter(std::vector<FilterStep>(
      kMaxFilterSteps + 1, {BPF_RET | BPF_K, 0, 0, 0})));
}

class FrameTapTest : public testing::Test {
 protected:
  void SetUp() override { conditions_.ports.set(1); }

  // IPv4 and UDP to the port, of so many bytes in all, in pieces.
  rte_mbuf* Frame(uint16_t port, size_t bytes, size_t piece) {
    std::vector<uint8_t> frame(bytes);
    std::iota(frame.begin(), frame.end(), uint8_t{0});
    const uint8_t head[] = {0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17};
    std::memcpy(frame.data() + 12, head, sizeof head);
    frame[36] = static_cast<uint8_t>(port >> 8);
    frame[37] = static_cast<uint8_t>(port);
    frame_ = frame;
    return pool_.Make(frame, static_cast<uint32_t>(piece));
  }
  // One burst of it, of which the trace wants what has passed.
  void Pass(FrameTap& tap, uint16_t port, std::vector<rte_mbuf*> frames,
            bool wanted) {
    PacketBurst burst;
    for (rte_mbuf* frame : frames) {
      burst.infos[burst.count] = {};
      burst.infos[burst.count].kind = Kind::kIp;
      burst.mbufs[burst.count++] = frame;
    }
    tap.Arrive(port, burst);
    for (uint32_t i = 0; i < burst.count; ++i) {
      tap.Decide(i, {.rule = 7, .port = port, .judged = {}}, wanted);
    }
    tap.Finish();
    for (rte_mbuf* frame : frames) rte_pktmbuf_free(frame);
  }

  MbufPool pool_;
  FrameConditions conditions_;
  std::vector<uint8_t> frame_;  // the last one's bytes
};

TEST_F(FrameTapTest, CopiesSegmentsUpToTheLengthThatIsWanted) {
  for (const uint32_t snap : {40u, 300u, 65535u}) {
    conditions_.snap_length = snap;
    FrameTap tap(&conditions_);
    Pass(tap, 1, {Frame(53, 1000, 90)}, true);
    const auto* record = static_cast<const FrameRecord*>(tap.ring().Front());
    ASSERT_NE(record, nullptr);
    EXPECT_TRUE(record->wanted);
    EXPECT_EQ(record->length, 1000u);
    ASSERT_EQ(record->captured, std::min(snap, 1000u));
    EXPECT_EQ(std::memcmp(record->bytes(), frame_.data(), record->captured),
              0);
    EXPECT_EQ(record->traced.rule, 7u);
    tap.ring().Pop();
    EXPECT_EQ(tap.ring().Front(), nullptr);
  }
}

TEST_F(FrameTapTest, FiltersBeforeItTakesRoom) {
  conditions_.steps = Compiled("udp dst port 53");
  conditions_.snap_length = 20;  // less than the filter looks at
  FrameTap tap(&conditions_);
  Pass(tap, 1, {Frame(54, 100, 100), Frame(53, 100, 30), Frame(55, 100, 100)},
       true);
  const auto* record = static_cast<const FrameRecord*>(tap.ring().Front());
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->captured, 20u);
  tap.ring().Pop();
  EXPECT_EQ(tap.ring().Front(), nullptr);
  EXPECT_EQ(tap.ring().lost(), 0u);
}

TEST_F(FrameTapTest, OtherPortsAndWaysAreNotCopied) {
  FrameTap tap(&conditions_);
  Pass(tap, 2, {Frame(53, 100, 100)}, true);
  EXPECT_EQ(tap.ring().Front(), nullptr);
  conditions_.arriving = false;
  Pass(tap, 1, {Frame(53, 100, 100)}, true);
  EXPECT_EQ(tap.ring().Front(), nullptr);
  rte_mbuf* const frame = Frame(53, 100, 100);
  const TraceRecord record{.rule = 3, .port = 2, .judged = {}};
  tap.Leave(1, *frame, &record);
  tap.Leave(2, *frame, &record);
  tap.Leave(1, *frame, nullptr);
  tap.Finish();
  rte_pktmbuf_free(frame);
  const auto* left = static_cast<const FrameRecord*>(tap.ring().Front());
  ASSERT_NE(left, nullptr);
  EXPECT_TRUE(left->leaving && left->wanted && !left->answer);
  EXPECT_EQ(left->at, 1);
  tap.ring().Pop();
  left = static_cast<const FrameRecord*>(tap.ring().Front());
  ASSERT_NE(left, nullptr);
  EXPECT_TRUE(left->answer);
  tap.ring().Pop();
  EXPECT_EQ(tap.ring().Front(), nullptr);
}

TEST_F(FrameTapTest, WhatIsNotWantedIsPassedOver) {
  FrameTap tap(&conditions_);
  Pass(tap, 1, {Frame(53, 100, 100)}, false);
  const auto* record = static_cast<const FrameRecord*>(tap.ring().Front());
  ASSERT_NE(record, nullptr);
  EXPECT_FALSE(record->wanted);
}

TEST_F(FrameTapTest, AFullRingCostsFramesAndCountsThem) {
  FrameTap tap(&conditions_);
  uint64_t given = 0;
  for (; given < 4000; ++given) {
    Pass(tap, 1, {Frame(53, 2000, 2000)}, true);
  }
  uint64_t got = 0;
  while (tap.ring().Front() != nullptr) {
    tap.ring().Pop();
    ++got;
  }
  EXPECT_GT(got, 1000u);
  EXPECT_EQ(got + tap.ring().lost(), given);
}

}  // namespace
}  // namespace sluice
