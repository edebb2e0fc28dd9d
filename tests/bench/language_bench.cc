// Time and memory of reading rulesets: nanoseconds and bytes a rule, with
// their lists expanded and by the optimiser, and a table file of a million
// lines. Both must grow with the input and no faster.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "pftable/language/parser.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

// Bytes that are allocated now, those of large blocks too.
double Allocated() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks) +
         static_cast<double>(info.hblkhd);
}

// A figure of /proc/self/status, in bytes; nothing if it is not there.
std::optional<double> Status(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != name + ":") continue;
    double kibibytes = 0;
    if (!(status >> kibibytes)) return std::nullopt;
    return kibibytes * 1024;
  }
  return std::nullopt;
}

// Reports what `work` needs for each of `items`: "bytes", what its result
// holds in the end, and "peak-bytes", how many of the process's pages were in
// memory at most. It is run once for that, apart from the runs that are timed.
template <typename Work>
void ReportMemory(benchmark::State& state, int64_t items, const Work& work) {
  const auto each = static_cast<double>(items);
  malloc_trim(0);
  // Begins the peak anew (proc(5)).
  const bool reset = !(std::ofstream("/proc/self/clear_refs") << "5"
                                                              << std::flush)
                          .fail();
  const std::optional<double> base = Status("VmRSS");
  const double before = Allocated();
  const auto result = work();
  state.counters["bytes/item"] = (Allocated() - before) / each;
  const std::optional<double> peak = Status("VmHWM");
  if (reset && base && peak) {
    state.counters["peak-bytes/item"] = (*peak - *base) / each;
  }
}

// "time/item": the time of an iteration divided by what it reads.
void ReportItems(benchmark::State& state, int64_t items) {
  state.SetItemsProcessed(state.iterations() * items);
  state.counters["time/item"] = benchmark::Counter(
      static_cast<double>(items),
      benchmark::Counter::kIsIterationInvariantRate |
          benchmark::Counter::kInvert);
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

ParseResult Parse(const std::string& text, RulesetOptimization optimization) {
  ParseInput input;
  input.text = text;
  input.optimize = true;
  input.optimization = optimization;
  return ParsePolicy(std::move(input));
}

void Measure(benchmark::State& state, const std::string& text,
             RulesetOptimization optimization) {
  for (auto _ : state) {
    const ParseResult result = Parse(text, optimization);
    if (!result.ok()) state.SkipWithError("the ruleset was refused");
    benchmark::DoNotOptimize(result.policy.main.rules.filter.data());
  }
  ReportItems(state, state.range(0));
  ReportMemory(state, state.range(0),
               [&] { return Parse(text, optimization); });
}

void ParseRules(benchmark::State& state) {
  Measure(state, Rules(state.range(0)), RulesetOptimization::kNone);
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
  Measure(state, text, RulesetOptimization::kNone);
}
BENCHMARK(ExpandLists)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(
    benchmark::kMillisecond);

// Hosts by hundreds that may reach one network each, every third rule twice:
// a single block in which rules go and others become tables.
void OptimizeRules(benchmark::State& state) {
  std::string text;
  for (int64_t i = 0; i < state.range(0); ++i) {
    const auto n = static_cast<uint32_t>(i - (i % 3 == 2));
    text += "pass in quick proto tcp from " + Quad(n) + " to 192.168." +
            std::to_string(n / 300 & 255) + ".0/24 port " +
            std::to_string(1 + n / 300 / 256) + "\n";
  }
  Measure(state, text, RulesetOptimization::kBasic);
  const ParseResult result = Parse(text, RulesetOptimization::kBasic);
  state.counters["rules-left"] =
      static_cast<double>(result.policy.main.rules.filter.size());
}
BENCHMARK(OptimizeRules)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(
    benchmark::kMillisecond);

// Networks of all sizes on both sides, 16 times 16 kinds of rules: each may be
// inside of 256 others.
void OptimizeNetworks(benchmark::State& state) {
  std::string text;
  uint32_t random = 1;
  const auto network = [&random](int64_t i) {
    random = random * 1664525 + 1013904223;
    return Quad(random >> 8) + "/" + std::to_string(17 + i % 16);
  };
  for (int64_t i = 0; i < state.range(0); ++i) {
    text += "block in proto tcp from " + network(i) + " to " +
            network(i / 16) + " port " + std::to_string(1 + i % 60000) + "\n";
  }
  Measure(state, text, RulesetOptimization::kBasic);
}
BENCHMARK(OptimizeNetworks)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(
    benchmark::kMillisecond);

void ReadTableFile(benchmark::State& state) {
  std::string text;
  for (int64_t i = 0; i < state.range(0); ++i) {
    text += Quad(static_cast<uint32_t>(i)) + "\n";
  }
  const HostFacts facts;
  const auto read = [&] {
    return ParseTableFile("list", text, facts, true, 10'000'000);
  };
  for (auto _ : state) {
    if (read().entries.size() != static_cast<size_t>(state.range(0))) {
      state.SkipWithError("entries are missing");
    }
  }
  ReportItems(state, state.range(0));
  ReportMemory(state, state.range(0), read);
}
BENCHMARK(ReadTableFile)->Arg(10000)->Arg(1000000)->Unit(
    benchmark::kMillisecond);

void PrintRules(benchmark::State& state) {
  const ParseResult result =
      Parse(Rules(state.range(0)), RulesetOptimization::kNone);
  for (auto _ : state) {
    benchmark::DoNotOptimize(PrintRuleset(result.policy.main, {}, true));
  }
  ReportItems(state, state.range(0));
}
BENCHMARK(PrintRules)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
