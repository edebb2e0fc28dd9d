// Rules that can do nothing.
#include "pftable/compile/lint.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/engine/evaluate.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class LintTest : public EngineTest {
 protected:
  // The lines of the warnings: "3<1" for one that a rule before shadows,
  // "1>3" for one that a later one overrules, "2t" for a table.
  std::string Warned(const std::string& text) {
    const absl::Status status = Load(text);
    EXPECT_TRUE(status.ok()) << status;
    std::string warned;
    for (const Diagnostic& d :
         LintPolicy(*store_->current()->policy, interfaces_.Views(), 100)) {
      EXPECT_EQ(d.severity, Severity::kWarning);
      absl::StrAppend(&warned, warned.empty() ? "" : " ", d.line);
      const size_t at = d.message.find("line ");
      if (at == std::string::npos) {
        warned += "t";
        continue;
      }
      absl::StrAppend(
          &warned,
          d.message.find("never reached") != std::string::npos ? "<" : ">",
          std::atoi(d.message.c_str() + at + 5));
    }
    return warned;
  }
};

TEST_F(LintTest, SeesWhatAQuickRuleHides) {
  EXPECT_EQ(Warned("block in quick from 10.0.0.0/8\n"
                   "pass in proto tcp from 10.1.0.0/16 to any port 80\n"
                   "pass in proto tcp from 11.0.0.0/8 to any port 80\n"
                   "pass from 10.1.0.0/16\n"),
            "2<1");
  EXPECT_EQ(Warned("block quick proto tcp to any port 20:30\n"
                   "pass out proto tcp to any port 22\n"),
            "2<1");
}

TEST_F(LintTest, SeesWhatALaterRuleUndoes) {
  EXPECT_EQ(Warned("pass in proto tcp to 10.0.0.0/24 port 80\n"
                   "block in\n"),
            "1>2");
  // The state's flags, and answers to queries, are left to the block.
  EXPECT_EQ(Warned("block return\npass\n"), "");
  EXPECT_EQ(Warned("block proto udp\npass proto udp\n"), "1>2");
  EXPECT_EQ(Warned("block proto icmp\npass proto icmp\n"), "");
}

TEST_F(LintTest, SaysNothingThatItCannotProve) {
  for (const char* text :
       {"block quick probability 50%\npass no state\n",
        "block quick tagged X\npass no state\n",
        "block quick on outside\npass no state\n",
        "block quick fragment\npass no state\n",
        "block quick proto tcp flags S/SA\npass proto tcp no state flags any\n",
        "table <t> persist { 10.0.0.1 }\n"
        "block quick from <t>\npass from 10.0.0.1 no state\n",
        "pass tag T no state\nblock\n",
        "pass no state\nmatch quick from 10.0.0.1\nblock\n",
        "block quick from 10.0.0.1 - 10.0.0.5\npass from 10.0.0.4/30\n"}) {
    EXPECT_EQ(Warned(text), "") << text;
  }
}

TEST_F(LintTest, SeesTablesThatNobodyCanUse) {
  EXPECT_EQ(Warned("table <a> { 10.0.0.1 }\n"
                   "table <b> persist\n"
                   "table <c> { 10.0.0.2 }\n"
                   "block from <c>\n"),
            "1t");
}

TEST_F(LintTest, ShowsAPacket) {
  ASSERT_TRUE(Load("block in quick\n"
                   "pass in proto udp from 10.0.0.0/8 to any port 53\n")
                  .ok());
  const auto found =
      LintPolicy(*store_->current()->policy, interfaces_.Views(), 100);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].hint,
            "for example protocol 17 from 10.0.0.0 port 1024 to 192.0.2.1 "
            "port 53, in");
  EXPECT_EQ(found[0].source_line,
            "pass in proto udp from 10.0.0.0/8 to any port 53");
}

// No packet is ever decided by a rule that is said to decide none.
TEST_F(LintTest, IsNeverWrong) {
  std::mt19937 random(3);
  const auto below = [&](uint32_t n) {
    return static_cast<uint32_t>(random()) % n;
  };
  uint32_t warned = 0;
  for (int round = 0; round < 300; ++round) {
    static constexpr const char* kActions[] = {"pass", "block", "match"};
    static constexpr const char* kFrom[] = {
        "", " from 10.0.0.0/8", " from 10.0.0.0/30", " from 10.0.0.1",
        " from ! 10.0.0.1", " from 10.0.0.0 - 10.0.0.2"};
    static constexpr const char* kProto[] = {
        "", " proto tcp", " proto udp", " proto icmp", " proto tcp",
        " proto tcp"};
    static constexpr const char* kPort[] = {"", " port 80", " port 79:81",
                                            " port != 80"};
    std::string text;
    for (uint32_t n = 2 + below(8); n > 0; --n) {
      absl::StrAppend(&text, kActions[below(20) == 0 ? 2 : below(2)],
                      below(3) == 0 ? " in" : "",
                      below(4) == 0 ? " quick" : "",
                      below(6) == 0 ? " on outside" : "");
      const char* const proto = kProto[below(6)];
      const bool ports = (std::string_view(proto) == " proto tcp" ||
                          std::string_view(proto) == " proto udp") &&
                         below(2) == 0;
      absl::StrAppend(&text, " inet", proto, kFrom[below(6)], " to any",
                      ports ? kPort[below(4)] : "",
                      below(3) == 0 && std::string_view(proto) == " proto tcp"
                          ? " flags any"
                          : "");
      absl::StrAppend(&text, below(12) == 0 ? " tag T" : "",
                      below(12) == 0 ? " tagged T" : "", "\n");
    }
    ASSERT_TRUE(Load(text).ok()) << text;
    std::vector<bool> useless(20);
    for (const Diagnostic& d :
         LintPolicy(*store_->current()->policy, interfaces_.Views(), 100)) {
      useless[d.line] = true;
      ++warned;
    }
    for (int i = 0; i < 400; ++i) {
      TestPacket packet;
      static constexpr uint8_t kProtos[] = {protocol::kTcp, protocol::kUdp,
                                            protocol::kIcmp, 47};
      packet.proto = kProtos[below(4)];
      const std::string from = absl::StrCat("10.0.0.", below(4));
      packet.from = from;
      packet.destination_port = static_cast<uint16_t>(78 + below(5));
      packet.tcp_flags = static_cast<uint8_t>(below(32));
      packet.icmp_type = below(2) == 0 ? 8 : 0;
      if (below(8) == 0) packet.flags = kFragment;
      const Verdict verdict =
          JudgeAt(packet, below(2) == 0 ? Direction::kIn : Direction::kOut,
                  below(2) == 0 ? outside_ : inside_, outside_);
      if (verdict.rule == nullptr) continue;
      const size_t line =
          store_->current()
              ->policy->listed[verdict.rule -
                               store_->current()->rules().data()]
              .rule->place.line;
      ASSERT_FALSE(useless[line]) << line << " of\n" << text;
    }
  }
  EXPECT_GT(warned, 100u);
}

}  // namespace
}  // namespace sluice
