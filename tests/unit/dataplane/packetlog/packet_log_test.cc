// From packets of `log` rules to the files that tcpdump reads.
#include "dataplane/packetlog/packet_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/replay/simulation.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_listing.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- What is logged --------------------------------------------------------

struct Logged {
  RuleAction action;
  uint32_t rule;  // its number
  DropReason reason;
  Direction direction;

  friend bool operator==(const Logged&, const Logged&) = default;
};
void PrintTo(const Logged& logged, std::ostream* out) {
  *out << "rule " << logged.rule << " action " << int(logged.action)
       << " reason " << Name(logged.reason) << " direction "
       << int(logged.direction);
}

class LogRuleTest : public ::testing::Test {
 protected:
  LogRuleTest() {
    simulation_ = *Simulation::Build({.ports = {{.name = "in"},
                                                {.name = "out"}},
                                      .wires = {{.first = 0, .second = 1}},
                                      .state_capacity = 1000,
                                      .log = &ring_});
  }

  void Load(const std::string& text) {
    ParseInput input;
    input.text = text;
    const ParseResult parsed = ParsePolicy(std::move(input));
    ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    ASSERT_TRUE(simulation_->Load(parsed.policy).ok());
  }

  // What the packet, arriving by `in`, leaves in the log.
  std::vector<Logged> Send(const std::string& text) {
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = pool_.Make(FrameFromText(text));
    BurstResult result;
    simulation_->Process(0, burst, result);
    for (uint32_t i = 0; i < result.forward_count; ++i) {
      rte_pktmbuf_free(result.forward[i]);
    }
    for (uint32_t i = 0; i < result.answer_count; ++i) {
      rte_pktmbuf_free(result.answers[i]);
    }
    std::vector<Logged> logged;
    while (const LogRecord* record = ring_.Front()) {
      uint32_t number = ~0u;
      const PolicyListing listing(simulation_->store());
      for (const RuleStatus& rule : listing.AllRules()) {
        if (rule.rule.slot == record->rule_slot) number = rule.rule.number;
      }
      logged.push_back({.action = record->action,
                        .rule = number,
                        .reason = record->reason,
                        .direction = record->direction});
      last_ = *record;
      ring_.Pop();
    }
    return logged;
  }

  MbufPool pool_{255};
  LogRing ring_{64};
  std::unique_ptr<Simulation> simulation_;
  LogRecord last_;
};

constexpr Logged PassIn(uint32_t rule) {
  return {RuleAction::kPass, rule, DropReason::kMatch, Direction::kIn};
}
constexpr Logged BlockIn(uint32_t rule) {
  return {RuleAction::kBlock, rule, DropReason::kMatch, Direction::kIn};
}

class LogRuleFamilyTest : public LogRuleTest,
                          public ::testing::WithParamInterface<const char*> {
 protected:
  std::string Udp(int port) const {
    return std::string("udp ") + GetParam() + ":" + std::to_string(port) +
           " > " + GetParam() + ":53";
  }
};
INSTANTIATE_TEST_SUITE_P(Both, LogRuleFamilyTest,
                         ::testing::Values("10.0.0.1", "[fd00::1]"));

TEST_P(LogRuleFamilyTest, TheFirstPacketOfAState) {
  Load("pass out\npass in log\n");
  EXPECT_THAT(Send(Udp(1)), ElementsAre(PassIn(1)));
  EXPECT_EQ(last_.captured, last_.length);
  EXPECT_EQ(last_.bytes[0] >> 4, last_.family == Family::kIpv4 ? 4 : 6);
  EXPECT_THAT(Send(Udp(1)), IsEmpty());
  EXPECT_THAT(Send(Udp(2)), ElementsAre(PassIn(1)));
}

// What passes the rules and can have no state, too: as what it became.
TEST_P(LogRuleFamilyTest, AStateThatCannotBe) {
  Load("pass out no state\npass in log keep state (max-src-states 1)\n");
  EXPECT_THAT(Send(Udp(1)), ElementsAre(PassIn(1)));
  EXPECT_THAT(Send(Udp(2)),
              ElementsAre(PassIn(1),
                          Logged{RuleAction::kBlock, 1, DropReason::kSrcLimit,
                                 Direction::kIn}));
  Load("pass out no state\npass in log keep state (max 1)\n");
  EXPECT_THAT(Send(Udp(3)), ElementsAre(PassIn(1)));
  EXPECT_THAT(Send(Udp(4)),
              ElementsAre(Logged{RuleAction::kBlock, 1,
                                 DropReason::kStateLimit, Direction::kIn}));
}

// As by the default rule, which has no number, whatever the rules say.
TEST_P(LogRuleFamilyTest, WhatIsMalformed) {
  const auto dropped = [](DropReason reason) {
    return Logged{RuleAction::kBlock, ~0u, reason, Direction::kIn};
  };
  Load("pass\n");
  EXPECT_THAT(Send(Udp(1) + " udplen 7"),
              ElementsAre(dropped(DropReason::kShort)));
  EXPECT_GT(last_.captured, 0);
  EXPECT_EQ(last_.rule_slot, kNoRuleSlot);
  EXPECT_THAT(Send(Udp(1) + " cut 30"),
              ElementsAre(dropped(DropReason::kShort)));
  EXPECT_EQ(last_.captured, 16);
  const std::string tcp =
      std::string("tcp ") + GetParam() + ":1 > " + GetParam() + ":2 ";
  EXPECT_THAT(Send(tcp + "SF"), ElementsAre(dropped(DropReason::kNormalize)));
  // pf looks at no checksums, and at nothing where it is told to skip.
  EXPECT_THAT(Send(tcp + "S cksum bad"), IsEmpty());
  Load("set skip on \"in\"\npass\n");
  EXPECT_THAT(Send(tcp + "SF"), IsEmpty());
}

TEST_P(LogRuleFamilyTest, AllPacketsOfAState) {
  Load("pass out\npass in log (all)\n");
  EXPECT_THAT(Send(Udp(1)), ElementsAre(PassIn(1)));
  EXPECT_THAT(Send(Udp(1)), ElementsAre(PassIn(1)));
}

// An error that a state explains is one of its packets.
TEST_P(LogRuleFamilyTest, IcmpErrorsOfAState) {
  const std::string host = GetParam();
  const std::string error = "icmp " + host + " > " + host +
                            " unreach port inner { udp " + host + ":53 > " +
                            host + ":1 data 8 }";
  Load("pass out\npass in log (all)\n");
  EXPECT_THAT(Send(Udp(1)), ElementsAre(PassIn(1)));
  EXPECT_THAT(Send(error), ElementsAre(PassIn(1)));
  EXPECT_EQ(last_.family, host[0] == '[' ? Family::kIpv6 : Family::kIpv4);
  Load("pass out\npass in log\n");
  EXPECT_THAT(Send(Udp(2)), ElementsAre(PassIn(1)));
  const std::string other = "icmp " + host + " > " + host +
                            " unreach port inner { udp " + host + ":53 > " +
                            host + ":2 data 8 }";
  EXPECT_THAT(Send(other), IsEmpty());
}

TEST_P(LogRuleFamilyTest, BlockedPacketsEachTime) {
  Load("block in log\n");
  EXPECT_THAT(Send(Udp(1)), ElementsAre(BlockIn(0)));
  EXPECT_THAT(Send(Udp(1)), ElementsAre(BlockIn(0)));
}

TEST_P(LogRuleFamilyTest, OnlyTheWinnerAmongRulesThatPassOrBlock) {
  Load("block in log\npass in\n");
  EXPECT_THAT(Send(Udp(1)), IsEmpty());
}

TEST_P(LogRuleFamilyTest, MatchRulesByThemselves) {
  Load("match in log\npass in\n");
  EXPECT_THAT(Send(Udp(1)), ElementsAre(Logged{RuleAction::kMatch, 0,
                                               DropReason::kMatch,
                                               Direction::kIn}));
}

TEST_P(LogRuleFamilyTest, AllRulesThatMatchAfterLogMatches) {
  Load("block in\nmatch in log (matches)\npass in\nblock in proto tcp\n"
       "pass in log\n");
  EXPECT_THAT(Send(Udp(1)),
              ElementsAre(Logged{RuleAction::kMatch, 1, DropReason::kMatch,
                                 Direction::kIn},
                          PassIn(2), PassIn(4)));
}

TEST_F(LogRuleTest, OptionsThatAreNotAllowedInAnyCase) {
  Load("pass in\n");
  EXPECT_THAT(Send("udp 10.0.0.1:1 > 10.0.0.2:53 ipopts { nop nop nop nop }"),
              ElementsAre(Logged{RuleAction::kBlock, 0, DropReason::kIpOption,
                                 Direction::kIn}));
}

TEST_F(LogRuleTest, AFullRingCostsRecordsOnly) {
  Load("block in log\n");
  PacketBurst burst;
  BurstResult result;
  for (int i = 0; i < 100; ++i) {
    burst.count = 1;
    burst.mbufs[0] = pool_.Make(FrameFromText("udp 10.0.0.1:1 > 10.0.0.2:2"));
    simulation_->Process(0, burst, result);
  }
  EXPECT_EQ(ring_.lost(), 100u - 64);
  EXPECT_EQ(pool_.InUse(), 0u);
}

// ---- What is written -------------------------------------------------------

class PacketLogTest : public ::testing::Test {
 protected:
  PacketLogTest() {
    spdlog::set_level(spdlog::level::off);
    std::string name = std::filesystem::temp_directory_path() / "pflogXXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~PacketLogTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<PacketLog> Make(uint32_t rate = 10000) {
    return std::make_unique<PacketLog>(
        folder_, rate, 1,
        [](const LogRecord& record, PflogContext* context) -> uint8_t {
          context->interface = "outside";
          context->anchor = "ftp-proxy/4711.overlong";
          context->rule = 7;
          context->subrule = 2;
          context->loader_uid = 0;
          context->loader_pid = 99;
          return static_cast<uint8_t>(record.rule_slot);
        });
  }
  static void Put(PacketLog& log, uint8_t pflog, Tick now = 0) {
    LogRecord* const record = log.ring(0)->Begin();
    ASSERT_NE(record, nullptr);
    record->now = now;
    record->rule_slot = pflog;
    record->length = 1000;
    record->captured = kLogBytes;
    record->action = RuleAction::kBlock;
    record->reason = DropReason::kIpOption;
    record->direction = Direction::kOut;
    record->family = Family::kIpv4;
    record->bytes.fill(0x11);
    record->bytes[0] = 0x45;
    log.ring(0)->Commit();
  }
  std::string Contents(int pflog) const {
    std::ifstream file(folder_ + "/pflog" + std::to_string(pflog),
                       std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_;
};

TEST_F(PacketLogTest, TheBytesAreThoseOfPflogd) {
  {
    auto log = Make();
    Put(*log, 0, /*now=*/5);
    log->Drain(/*now=*/7, /*wall=*/1'600'000'000'250'000);
  }
  const std::string file = Contents(0);
  ASSERT_EQ(file.size(), 24u + 16 + 100 + kLogBytes);
  const auto byte = [&](size_t at) {
    return static_cast<uint8_t>(file[at]);
  };
  EXPECT_EQ(file.substr(0, 4), "\xd4\xc3\xb2\xa1");
  EXPECT_EQ(byte(20), 117) << "link type";
  // 2 ms before the moment of the look.
  EXPECT_EQ(byte(24) | byte(25) << 8 | byte(26) << 16 | byte(27) << 24,
            1'600'000'000);
  EXPECT_EQ(byte(28) | byte(29) << 8 | byte(30) << 16, 248'000);
  EXPECT_EQ(byte(32) | byte(33) << 8, 100 + int{kLogBytes});
  EXPECT_EQ(byte(36) | byte(37) << 8, 100 + 1000);
  const size_t header = 40;
  EXPECT_EQ(byte(header), 100);
  EXPECT_EQ(byte(header + 1), 2) << "AF_INET";
  EXPECT_EQ(byte(header + 2), 1) << "block";
  EXPECT_EQ(byte(header + 3), 8) << "ip-option";
  EXPECT_EQ(std::string(file.c_str() + header + 4), "outside");
  EXPECT_EQ(std::string(file.c_str() + header + 20), "ftp-proxy/4711.");
  EXPECT_EQ(byte(header + 39), 7) << "rule";
  EXPECT_EQ(byte(header + 43), 2) << "subrule";
  EXPECT_EQ(byte(header + 59), 99) << "who loaded it";
  EXPECT_EQ(byte(header + 60), 2) << "out";
  EXPECT_EQ(byte(header + 64), 0x11) << "source address";
  EXPECT_EQ(byte(header + 100), 0x45) << "the packet";
}

TEST_F(PacketLogTest, ARecordThatIsYoungerThanTheLookIsOfThisMoment) {
  const auto seconds = [](const std::string& file, size_t record) {
    const size_t at = 24 + record * (16 + 100 + kLogBytes);
    uint32_t value = 0;
    for (int i = 3; i >= 0; --i) {
      value = value << 8 | static_cast<uint8_t>(file[at + i]);
    }
    return value;
  };
  {
    auto log = Make();
    Put(*log, 0, /*now=*/8);
    log->Drain(/*now=*/7, /*wall=*/1'600'000'000'250'000);
    // The same where ticks wrap around between the two.
    Put(*log, 0, /*now=*/2);
    log->Drain(/*now=*/UINT32_MAX, /*wall=*/1'600'000'000'250'000);
    // And one that is older than that.
    Put(*log, 0, /*now=*/UINT32_MAX - 1000);
    log->Drain(/*now=*/1000, /*wall=*/1'600'000'000'250'000);
  }
  const std::string file = Contents(0);
  ASSERT_EQ(file.size(), 24u + 3 * (16 + 100 + kLogBytes));
  EXPECT_EQ(seconds(file, 0), 1'600'000'000u);
  EXPECT_EQ(seconds(file, 1), 1'600'000'000u);
  EXPECT_EQ(seconds(file, 2), 1'599'999'998u);
}

TEST_F(PacketLogTest, EachPflogHasItsFileAndItGoesOnWhereItWas) {
  for (int round = 0; round < 2; ++round) {
    auto log = Make();
    Put(*log, 0);
    Put(*log, 3);
    Put(*log, 3);
    log->Drain(0, 1'000'000);
  }
  const size_t record = 16 + 100 + kLogBytes;
  EXPECT_EQ(Contents(0).size(), 24 + 2 * record);
  EXPECT_EQ(Contents(3).size(), 24 + 4 * record);
}

TEST_F(PacketLogTest, BeyondTheRateRecordsAreCountedAndNotWritten) {
  auto log = Make(/*rate=*/100);
  for (int i = 0; i < 150; ++i) Put(*log, 0);
  log->Drain(0, 1'000'000);
  EXPECT_EQ(log->counts().suppressed, 50u);
  // Half a second later there is room for fifty again.
  for (int i = 0; i < 60; ++i) Put(*log, 0);
  log->Drain(500, 1'500'000);
  EXPECT_EQ(log->counts().suppressed, 60u);
  while (log->counts().written < 150) usleep(1000);
}

TEST_F(PacketLogTest, AFileThatIsNoPacketLogIsLeftAlone) {
  { std::ofstream(folder_ + "/pflog0") << "a diary\n"; }
  auto log = Make();
  Put(*log, 0);
  log->Drain(0, 1'000'000);
  while (log->counts().lost < 1) usleep(1000);
  EXPECT_EQ(Contents(0), "a diary\n");
  // Moved away and opened again, it works.
  std::filesystem::remove(folder_ + "/pflog0");
  log->Reopen();
  Put(*log, 0);
  log->Drain(0, 1'000'000);
  while (log->counts().written < 1) usleep(1000);
}

TEST_F(PacketLogTest, AFullDiskCostsRecordsOnly) {
  std::filesystem::create_symlink("/dev/full", folder_ + "/pflog0");
  auto log = Make();
  Put(*log, 0);
  Put(*log, 1);
  log->Drain(0, 1'000'000);
  while (log->counts().lost < 1) usleep(1000);
  while (log->counts().written < 1) usleep(1000);
  EXPECT_EQ(Contents(1).size(), 24u + 16 + 100 + kLogBytes);
}

}  // namespace
}  // namespace sluice
