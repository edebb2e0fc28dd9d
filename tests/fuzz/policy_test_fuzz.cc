// Any text as a file of expectations: no crash, bounded time and memory, what
// is counted is what is made, and every packet is one that rules can judge.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "pftable/language/policy_test.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::string text, Dialect dialect) {
  ParseInput input;
  input.text = std::move(text);
  input.dialect = dialect;
  input.macros = {{"fixed", "{ 10.0.0.1 }"}};
  const PolicyTest test = ParsePolicyTest(std::move(input));
  FormatDiagnostics(test.diagnostics);
  if (!test.ok()) return;
  uint64_t all = 0;
  for (const Expectation& e : test.expectations) {
    uint64_t count = 0;
    // All of those that are few, the first ones of others.
    const uint64_t enough = 2000;
    e.ForEachPacket([&](const ExpectedPacket& p) {
      Require(p.packet.kind == Kind::kIp);
      Require(p.packet.family != Family::kNone);
      Require(e.family == Family::kNone || e.family == p.packet.family);
      Require(p.packet.proto != 0 && !p.interface.empty());
      Require(p.direction == Direction::kOut || p.received_on.empty());
      if (p.packet.has(kFragment)) Require(p.packet.tcp_flags == 0);
      return ++count < enough;
    });
    Require(e.packets > 0 && e.packets <= kMaxExpectedPackets);
    Require(count == (e.packets < enough ? e.packets : enough));
    Require(e.place.line > 0 && !e.file.empty());
    all += e.packets;
  }
  Require(all <= kMaxExpectedPacketsInAll);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  sluice::Check(std::string(reinterpret_cast<const char*>(data) + 1, size - 1),
                data[0] & 1 ? sluice::Dialect::kFreeBsd
                            : sluice::Dialect::kOpenBsd);
  return 0;
}
