// Time and memory of reading rulesets: rules a second, bytes a rule, and a
// table file of a million lines. Both must grow with the input and no faster.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <string>
#include <utility>

#include "pftable/parser.h"
#include "pftable/printer.h"

namespace sluice {
namespace {

// Bytes that are allocated now, those of large blocks too.
double Allocated() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks) +
         static_cast<double>(info.hblkhd);
}

std::string Quad(uint32_t i) {
  return "10." + std::to_string(i >> 16 & 255) + "." +
         std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255);
}

std::string Rules(int64_t count) {
  std::string text = "table <bad> persist\nblock all\n";
  for (int64_t i = 0; i < count; ++i) {
    const auto n = static_cast<uint32_t>(i);
    text += "pass in quick on em0 inet proto tcp from " + Quad(n) +
            " to 192.168." + std::to_string(n >> 8 & 255) + ".0/24 port " +
            std::to_string(1 + n % 65000) + " keep state label \"rule" +
            std::to_string(n) + "\"\n";
  }
  return text;
}

void ParseRules(benchmark::State& state) {
  const std::string text = Rules(state.range(0));
  double bytes = 0;
  for (auto _ : state) {
    const double before = Allocated();
    ParseInput input;
    input.text = text;
    const ParseResult result = ParsePolicy(std::move(input));
    bytes = Allocated() - before;
    if (!result.ok()) state.SkipWithError("the ruleset was refused");
    benchmark::DoNotOptimize(result.policy.main.rules.filter.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["bytes/rule"] = bytes / static_cast<double>(state.range(0));
}
BENCHMARK(ParseRules)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(
    benchmark::kMillisecond);

// One rule whose lists make all of them.
void ExpandLists(benchmark::State& state) {
  std::string text = "block proto tcp from {";
  for (int64_t i = 0; i < state.range(0) / 10; ++i) {
    text += " " + Quad(static_cast<uint32_t>(i));
  }
  text += " } to port { 1 2 3 4 5 6 7 8 9 10 }\n";
  for (auto _ : state) {
    ParseInput input;
    input.text = text;
    const ParseResult result = ParsePolicy(std::move(input));
    if (!result.ok()) state.SkipWithError("the ruleset was refused");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ExpandLists)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(
    benchmark::kMillisecond);

void ReadTableFile(benchmark::State& state) {
  std::string text;
  for (int64_t i = 0; i < state.range(0); ++i) {
    text += Quad(static_cast<uint32_t>(i)) + "\n";
  }
  const HostFacts facts;
  for (auto _ : state) {
    const TableFileResult result =
        ParseTableFile("list", text, facts, true, 10'000'000);
    if (result.entries.size() != static_cast<size_t>(state.range(0))) {
      state.SkipWithError("entries are missing");
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ReadTableFile)->Arg(10000)->Arg(1000000)->Unit(
    benchmark::kMillisecond);

void PrintRules(benchmark::State& state) {
  ParseInput input;
  input.text = Rules(state.range(0));
  const ParseResult result = ParsePolicy(std::move(input));
  for (auto _ : state) {
    benchmark::DoNotOptimize(PrintRuleset(result.policy.main, {}, true));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(PrintRules)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
