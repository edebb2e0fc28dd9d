// Constructs that are accepted, with what both dialects print for them. What
// is printed must read back to the same text.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <tuple>

#include "tests/unit/pftable/language_fixture.h"

namespace sluice {
namespace {

struct Accepted {
  const char* name;
  const char* text;
  const char* openbsd;
  const char* freebsd;  // null: as OpenBSD's
};

void PrintTo(const Accepted& c, std::ostream* out) { *out << c.name; }

constexpr Accepted kAccepted[] = {
    {"BlockAll", "block all", "block drop all\n", nullptr},
    {"PassAll", "pass", "pass all flags S/SA\n",
     "pass all flags S/SA keep state\n"},
    {"NoState", "pass out no state", "pass out all no state\n", nullptr},
    {"Full",
     "block drop in log quick on em0 inet proto tcp from any to 10/8 port 22",
     "block drop in log quick on em0 inet proto tcp from any to 10.0.0.0/8 "
     "port = 22\n",
     "block drop in log quick on em0 inet proto tcp from any to 10.0.0.0/8 "
     "port = ssh\n"},
    {"FamiliesSplit", "pass out proto tcp to www.example port 80",
     "pass out inet proto tcp from any to 192.0.2.80 port = 80 flags S/SA\n"
     "pass out inet proto tcp from any to 192.0.2.81 port = 80 flags S/SA\n"
     "pass out inet6 proto tcp from any to 2001:db8::80 port = 80 flags "
     "S/SA\n",
     "pass out inet proto tcp from any to 192.0.2.80 port = http flags S/SA "
     "keep state\n"
     "pass out inet proto tcp from any to 192.0.2.81 port = http flags S/SA "
     "keep state\n"
     "pass out inet6 proto tcp from any to 2001:db8::80 port = http flags "
     "S/SA keep state\n"},
    {"MixedFamiliesAreSkipped",
     "block from { 10.0.0.1 2001:db8::1 } to { 10.0.0.2, 2001:db8::2 }",
     "block drop inet from 10.0.0.1 to 10.0.0.2\n"
     "block drop inet6 from 2001:db8::1 to 2001:db8::2\n",
     nullptr},
    {"ListsInOrder",
     "block in on { em0 em1 } proto { tcp udp } to port { 1 2 }",
     "block drop in on em0 proto tcp from any to any port = 1\n"
     "block drop in on em0 proto tcp from any to any port = 2\n"
     "block drop in on em0 proto udp from any to any port = 1\n"
     "block drop in on em0 proto udp from any to any port = 2\n"
     "block drop in on em1 proto tcp from any to any port = 1\n"
     "block drop in on em1 proto tcp from any to any port = 2\n"
     "block drop in on em1 proto udp from any to any port = 1\n"
     "block drop in on em1 proto udp from any to any port = 2\n",
     "block drop in on em0 proto tcp from any to any port = 1\n"
     "block drop in on em0 proto tcp from any to any port = 2\n"
     "block drop in on em0 proto udp from any to any port = 1\n"
     "block drop in on em0 proto udp from any to any port = 2\n"
     "block drop in on em1 proto tcp from any to any port = 1\n"
     "block drop in on em1 proto tcp from any to any port = 2\n"
     "block drop in on em1 proto udp from any to any port = 1\n"
     "block drop in on em1 proto udp from any to any port = 2\n"},
    {"Antispoof", "antispoof quick for em0",
     "block drop in quick on ! em0 inet from 10.0.0.0/24 to any\n"
     "block drop in quick on ! em0 inet from 10.0.0.2 to any\n"
     "block drop in quick on ! em0 inet6 from 2001:db8::/64 to any\n"
     "block drop in quick inet from 10.0.0.1 to any\n"
     "block drop in quick inet from 10.0.0.2 to any\n"
     "block drop in quick inet6 from 2001:db8::1 to any\n"
     "block drop in quick on em0 inet6 from fe80::1 to any\n",
     nullptr},
    {"AntispoofLoopback", "antispoof for lo0 inet",
     "block drop in on ! lo0 inet from 127.0.0.0/8 to any\n", nullptr},
    {"AntispoofDynamic", "antispoof for (em0) inet6",
     "block drop in on ! em0 inet6 from (em0:network) to any\n"
     "block drop in inet6 from (em0) to any\n",
     nullptr},
};

class AcceptTest
    : public testing::TestWithParam<std::tuple<Accepted, Dialect>> {};

TEST_P(AcceptTest, PrintsAndReadsBack) {
  const auto& [c, dialect] = GetParam();
  const ParseResult result = ParseText(c.text, {.dialect = dialect});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const std::string printed = PrintText(result, dialect);
  EXPECT_EQ(printed, dialect == Dialect::kFreeBsd && c.freebsd != nullptr
                         ? c.freebsd
                         : c.openbsd);
  const ParseResult again = ParseText(printed, {.dialect = dialect});
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintText(again, dialect), printed);
  EXPECT_EQ(RulesetChecksum(again.policy), RulesetChecksum(result.policy));
}

INSTANTIATE_TEST_SUITE_P(
    Language, AcceptTest,
    testing::Combine(testing::ValuesIn(kAccepted),
                     testing::Values(Dialect::kOpenBsd, Dialect::kFreeBsd)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param).name) +
             (std::get<1>(info.param) == Dialect::kOpenBsd ? "OpenBsd"
                                                           : "FreeBsd");
    });

}  // namespace
}  // namespace sluice
