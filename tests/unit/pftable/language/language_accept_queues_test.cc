// Queues and limiters, which are printed and refused on a load.
#include <gtest/gtest.h>

#include "tests/unit/pftable/language/language_accept.h"

namespace sluice {
namespace {

struct Printed {
  const char* name;
  Dialect dialect;
  const char* text;
  const char* expected;
};

void PrintTo(const Printed& c, std::ostream* out) { *out << c.name; }

constexpr Printed kPrinted[] = {
    {"Queues", Dialect::kOpenBsd,
     "queue main on em0 bandwidth 100M max 100000K\n"
     "queue std parent main bandwidth 20M burst 90M for 100ms min 2M default\n"
     "queue fair on em1 flows 1024 quantum 300 qlimit 40\n"
     "queue \"two words\" parent main bandwidth 1500\n"
     "pass set queue std",
     "queue main on em0 bandwidth 100M, max 100M\n"
     "queue std parent main bandwidth 20M burst 90M for 100ms, min 2M "
     "default\n"
     "queue \"two words\" parent main bandwidth 1500 \n"
     "queue fair on em1 flows 1024 quantum 300 qlimit 40\n"
     "pass all flags S/SA set (queue std)\n"},
    {"QueuesStandBehindTheirParents", Dialect::kOpenBsd,
     "queue a on em0 bandwidth 9M\nqueue b on em1 bandwidth 9M\n"
     "queue b1 parent b bandwidth 1M default\n"
     "queue a1 parent a bandwidth 1M\nqueue a2 parent a bandwidth 1M\n"
     "queue a11 parent a1 bandwidth 500 burst 2M for 5ms default",
     "queue a on em0 bandwidth 9M\nqueue a1 parent a bandwidth 1M\n"
     "queue a11 parent a1 bandwidth 500  burst 2M for 5ms default\n"
     "queue a2 parent a bandwidth 1M\nqueue b on em1 bandwidth 9M\n"
     "queue b1 parent b bandwidth 1M default\n"},
    // As pfctl has it: blanks at the ends, defaults left out.
    {"Altq", Dialect::kFreeBsd,
     "altq on em0 hfsc bandwidth 10Mb qlimit 60 tbrsize 6000 queue { std ssh, "
     "bulk }\n"
     "queue std bandwidth 20% hfsc(default realtime 2Mb, linkshare (1Mb 10 "
     "500Kb), upperlimit (3Mb, 5, 50%))\n"
     "queue ssh bandwidth 1.5Mbit priority 7 qlimit 20 hfsc { interactive }\n"
     "queue interactive priority 3 hfsc(ecn linkshare 100%)\n"
     "queue bulk qlimit 50 priority 1\n"
     "altq on em1 codelq(target 5 interval 100 ecn) bandwidth 1Gb\n"
     "pass queue (std, ssh)",
     "altq on em0 hfsc bandwidth 10Mb qlimit 60 tbrsize 6000 queue { std ssh "
     "bulk }\n"
     "queue std bandwidth 20% hfsc( default realtime 2Mb linkshare(1Mb 10 "
     "500Kb) upperlimit(3Mb 5 50%) ) \n"
     "queue ssh bandwidth 1.50Mb priority 7 qlimit 20 { interactive }\n"
     "queue interactive priority 3 hfsc( red ecn ) \n"
     "queue bulk \n"
     "altq on em1 codel( ecn target 5 interval 100 ) bandwidth 1Gb tbrsize "
     "36000 \n"
     "pass all flags S/SA keep state queue(std, ssh)\n"},
    {"AltqPriq", Dialect::kFreeBsd,
     "altq on { em0 em1 } priq bandwidth 512Kb queue { a b }\n"
     "queue a on em0 priority 15 priq(default)\n"
     "queue b priority 2 priq(red)",
     "altq on em0 priq bandwidth 512Kb tbrsize 1500 queue { a b }\n"
     "altq on em1 priq bandwidth 512Kb tbrsize 1500 queue { a b }\n"
     "queue a on em0 priority 15 priq( default ) \n"
     "queue b priority 2 priq( red ) \n"},
    {"AltqCbq", Dialect::kFreeBsd,
     "altq on em0 cbq bandwidth 100Mb queue { a b }\n"
     "queue a bandwidth 10Mb priority 7 cbq(default borrow red) { c d }\n"
     "queue c bandwidth 5Mb\n"
     "queue d bandwidth 50%\n"
     "queue b bandwidth 100% cbq",
     "altq on em0 cbq bandwidth 100Mb tbrsize 12000 queue { a b }\n"
     "queue a bandwidth 10Mb priority 7 cbq( red borrow default ) { c d }\n"
     "queue c bandwidth 5Mb \n"
     "queue d bandwidth 50% \n"
     "queue b \n"},
    {"AltqFairq", Dialect::kFreeBsd,
     "altq on em0 fairq bandwidth 50% queue { a b }\n"
     "queue a bandwidth 10% fairq(buckets 64, hogs 10Kb, default)\n"
     "queue b fairq(linkshare 20%)",
     "altq on em0 fairq bandwidth 50% queue { a b }\n"
     "queue a bandwidth 10% fairq( default ) \n"
     "queue b fairq( linkshare 20% ) \n"},
    {"Limiters", Dialect::kFreeBsd,
     "state limiter ssh id 1 limit 100, rate 10/5\n"
     "source limiter \"dns\" id 2 entries 50 limit 4 rate 5/1 inet mask 24 "
     "inet6 mask 64 table <noisy> above 10 below 2\n"
     "pass in state limiter ssh\n"
     "pass in source limiter \"dns\" (block)",
     "state limiter \"ssh\" id 1 limit 100 rate 10/5\n"
     "source limiter \"dns\" id 2 entries 50 limit 4 rate 5/1 inet mask 24 "
     "inet6 mask 64 table <noisy> above 10 below 2\n"
     "pass in all flags S/SA keep state state limiter \"ssh\" (no-match)\n"
     "pass in all flags S/SA keep state source limiter \"dns\" (block)\n"},
};

class QueueTest : public testing::TestWithParam<Printed> {};

TEST_P(QueueTest, PrintsAndReadsBack) {
  const Printed& c = GetParam();
  const ParseResult result = ParseText(c.text, {.dialect = c.dialect});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const std::string printed = PrintText(result, c.dialect);
  EXPECT_EQ(printed, c.expected);
  const ParseResult again = ParseText(printed, {.dialect = c.dialect});
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintText(again, c.dialect), printed);
}

INSTANTIATE_TEST_SUITE_P(Language, QueueTest, testing::ValuesIn(kPrinted),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace sluice
