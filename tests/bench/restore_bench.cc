// What a restore costs: import and export of a filter's states, and filters
// made and restored one after another. Prints a table; with --quick of a
// smaller work. It takes the options of Google Benchmark that the run of all
// benchmarks gives: --benchmark_min_time makes it quick, --benchmark_out names
// a file for the rows. Memory is that of the process (/proc/self/statm).
#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "conntrack/state_import.h"
#include "conntrack/state_table.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_store.h"
#include "restore/export.h"
#include "restore/import.h"
#include "restore/snapshot_writer.h"

namespace sluice {
namespace {

// Of this thread: a worker and a builder have a processor each, which may not
// be so where this runs.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::nanoseconds;
  static time_point now() {
    timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return std::chrono::seconds(at.tv_sec) +
           std::chrono::nanoseconds(at.tv_nsec);
  }
};

// What a worker does of an order between two bursts.
constexpr uint32_t kSlice = 256;

double Milliseconds(Clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  std::exit(1);
}

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

struct Reported {
  std::string what;
  double value;
};
std::vector<Reported>& Rows() {
  static std::vector<Reported> rows;
  return rows;
}

void Row(const char* what, double value, const char* unit) {
  std::printf("%-58s %10.3f %s\n", what, value, unit);
  Rows().push_back({what, value});
}

void WriteRows(const char* path) {
  std::ofstream out(path);
  out << "{\"benchmarks\": [";
  for (const Reported& row : Rows()) {
    out << (&row == Rows().data() ? "" : ",") << "\n  {\"name\": \""
        << row.what << "\", \"value\": " << row.value << "}";
  }
  out << "\n]}\n";
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Time in slices, and the longest of them.
struct Steps {
  Clock::duration sum{};
  Clock::duration longest{};
  std::vector<Clock::duration> all;

  template <typename F>
  void Run(F&& step) {
    bool more = true;
    while (more) {
      const Clock::time_point begin = Clock::now();
      more = step();
      const Clock::duration took = Clock::now() - begin;
      sum += took;
      longest = std::max(longest, took);
      all.push_back(took);
    }
  }
  // Of a thousand steps all but one are not longer: an interrupt counts as the
  // thread's time.
  double Percentile() {
    std::sort(all.begin(), all.end());
    return Milliseconds(all[(all.size() - 1) * 999 / 1000]) * 1000;
  }
};

Policy Parsed(std::string text) {
  ParseInput input;
  input.text = std::move(text);
  ParseResult result = ParsePolicy(std::move(input));
  Require(result.ok(), "the rules are not understood");
  return std::move(result.policy);
}

struct Node {
  explicit Node(uint32_t capacity, PolicyPool* pool = nullptr)
      : store({.workers = 1, .rule_slots = 16384, .pool = pool}, &interfaces,
              &reclaimer),
        expectations({}, HashSecret::FromSeed(2)),
        budget(capacity) {
    StateTableOptions options;
    options.capacity = capacity;
    options.secret = HashSecret::FromSeed(1);
    auto built = StateTable::Build(options);
    Require(built.status());
    table = *std::move(built);
    table->SetExpectations(&expectations);
    TimeoutProfile timeouts = kDefaultTimeoutProfile;
    timeouts[Timeout::kAdaptiveStart] = 0;
    table->SetFilter(0, &budget, timeouts);
  }

  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  PolicyStore store;
  ExpectationTable expectations;
  StateBudget budget;
  std::unique_ptr<StateTable> table;
};

// Established connections of both families, half and half.
SnapshotState Connection(uint32_t i, RuleId rule) {
  SnapshotState state;
  state.id = uint64_t{i + 1} << 8;
  state.age = 100'000 + i % 1000;
  state.remaining = 86'000'000;
  state.idle = 400'000;
  state.age = 500'000;
  state.proto = protocol::kTcp;
  state.timeout = Timeout::kTcpEstablished;
  const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
  for (int side = 0; side < 2; ++side) {
    SnapshotPeer& peer = state.peers[side];
    peer.address = family == Family::kIpv4 ? *ParseAddress("10.0.0.0")
                                           : *ParseAddress("2001:db8::");
    // Spread as clients are.
    const uint32_t host = side == 0 ? i * 2654435761u >> 10 : i % 5000;
    peer.address.bytes[1] = static_cast<uint8_t>(host >> 16);
    peer.address.bytes[2] = static_cast<uint8_t>(host >> 8);
    peer.address.bytes[3] = static_cast<uint8_t>(host);
    peer.port = static_cast<uint16_t>(side == 0 ? 1024 + i % 60000 : 443);
    peer.packets = 1000;
    peer.bytes = 100000;
    peer.phase = static_cast<uint8_t>(TcpPhase::kEstablished);
    peer.sequence_low = i;
    peer.sequence_high = i + 65535;
    peer.max_window = 65535;
    peer.scale = 7 | kScaleKnown;
  }
  state.binding.rule = rule;
  return state;
}

std::vector<uint8_t> SnapshotOf(PolicyStore* store, uint32_t states) {
  Snapshot snapshot;
  snapshot.header.id[0] = 1;
  snapshot.meta = {.filter = "main", .creator = "bench"};
  Require(ExportPolicy(store, 0, &snapshot));
  const RuleId rule = snapshot.rulesets.at(0).rules.at(0).id;
  snapshot.parents.reserve(states);
  for (uint32_t i = 0; i < states; ++i) {
    snapshot.parents.push_back(Connection(i, rule));
  }
  auto bytes = WriteSnapshot(snapshot);
  Require(bytes.status());
  return *std::move(bytes);
}

void ImportAndExport(uint32_t states) {
  std::printf("\n%u states, IPv4 and IPv6, slices of %u\n", states, kSlice);
  Node node(states + states / 8);
  Require(node.store.Load(Parsed("pass in proto tcp\npass out\n")));
  const std::vector<uint8_t> bytes = SnapshotOf(&node.store, states);
  Row("snapshot", static_cast<double>(bytes.size()) / states,
      "bytes a state");

  const size_t before = ResidentBytes();
  ImportOptions options;
  options.policy = true;
  StateImporter importer({.store = &node.store,
                          .interfaces = &node.interfaces,
                          .expectations = &node.expectations},
                         options);
  Clock::time_point begin = Clock::now();
  Require(importer.Prepare(bytes));
  const Clock::duration prepared = Clock::now() - begin;
  Row("import: memory beside the snapshot, by its size",
      static_cast<double>(ResidentBytes() - before) /
          static_cast<double>(bytes.size()), "times");
  Steps reserve;
  ReserveResult result = ReserveResult::kMore;
  reserve.Run([&] {
    result = StateIntake(node.table.get()).Reserve(importer.arena(0), kSlice);
    return result == ReserveResult::kMore;
  });
  Require(result == ReserveResult::kReady, "no room in the shard");
  begin = Clock::now();
  Require(importer.Tie());
  const Clock::duration tied = Clock::now() - begin;
  begin = Clock::now();
  Require(importer.PublishPolicy());
  const Clock::duration published = Clock::now() - begin;
  Steps commit;
  commit.Run([&] {
    return !StateIntake(node.table.get())
                .Commit(importer.arena(0), 1000, kSlice);
  });
  begin = Clock::now();
  importer.Finish(1000);
  const Clock::duration finished = Clock::now() - begin;
  Require(node.table->size() == states, "states are missing");
  Row("import: read and resolved, on the builder thread",
      Milliseconds(prepared), "ms");
  Row("import: places taken, on the worker between bursts",
      Milliseconds(reserve.sum), "ms");
  Row("import: validated in all", Milliseconds(prepared + reserve.sum + tied),
      "ms  (goal: below 1000)");
  Row("import: commit in all",
      Milliseconds(published + commit.sum + finished),
      "ms  (goal: below 50)");
  Row("import: of that on the worker", Milliseconds(commit.sum) * 1e6 / states,
      "ns a state");
  Row("import: longest step of a worker",
      Milliseconds(std::max(reserve.longest, commit.longest)) * 1000,
      "us  (goal: below 1000)");
  Row("import: longest of 999 in 1000 steps",
      std::max(reserve.Percentile(), commit.Percentile()), "us");

  StateExporter exporter(&node.store, &node.interfaces);
  Steps record;
  Clock::duration added{};
  uint32_t cursor = 0;
  std::vector<StateRecord> slice;
  slice.reserve(kSlice);
  bool more = true;
  while (more) {
    slice.clear();
    record.Run([&] {
      const StateEntries& entries = node.table->entries();
      more = entries.Visit(&cursor, kSlice, [&](StateIndex state) {
        slice.push_back(node.table->Record(state, 2000));
      });
      return false;
    });
    begin = Clock::now();
    for (const StateRecord& one : slice) exporter.Add(one);
    added += Clock::now() - begin;
  }
  begin = Clock::now();
  Snapshot snapshot;
  snapshot.header.id[0] = 2;
  snapshot.meta = {.filter = "main", .creator = "bench"};
  exporter.Finish(&snapshot);
  Require(ExportPolicy(&node.store, 0, &snapshot));
  class Sink final : public SnapshotSink {
   public:
    absl::Status Write(std::span<const uint8_t> bytes) override {
      all += bytes.size();
      return absl::OkStatus();
    }
    uint64_t all = 0;
  } sink;
  const auto written = WriteSnapshot(snapshot, exporter.states(), &sink);
  Require(written.status());
  const Clock::duration wrote = Clock::now() - begin;
  Require(exporter.states().parents() == states, "states are missing");
  Row("export: recorded on the worker between bursts",
      Milliseconds(record.sum) * 1e6 / states, "ns a state");
  Row("export: longest step of a worker",
      Milliseconds(record.longest) * 1000, "us  (goal: below 1000)");
  Row("export: longest of 999 in 1000 steps", record.Percentile(), "us");
  Row("export: added, on the builder thread", Milliseconds(added), "ms");
  Row("export: sorted, written, read back", Milliseconds(wrote), "ms");
}

std::string HundredRules() {
  std::string text = "block in from <bad>\n";
  for (int i = 1; i < 100; ++i) {
    text += "pass in proto tcp from 10.0.0.0/8 to port " +
            std::to_string(i) + " keep state\n";
  }
  return text;
}

Policy WithTable(uint32_t entries) {
  Policy policy = Parsed(HundredRules());
  TableDefinition table;
  table.name = "bad";
  table.persist = true;
  table.has_contents = true;
  for (uint32_t i = 0; i < entries; ++i) {
    table.entries.push_back(
        {.prefix = {Address::V4(0x0a000000 + i * 7), 32}});
  }
  policy.main.tables.push_back(std::move(table));
  return policy;
}

void Filters(uint32_t count, uint32_t entries) {
  std::printf("\n%u filters of 4 workers, 16384 rule slots, 4096 tables\n",
              count);
  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  PolicyPool pool;
  const auto make = [&](PolicyPool* shared) {
    return std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 4, .rule_slots = 16384,
                          .table_slots = 4096, .pool = shared},
        &interfaces, &reclaimer);
  };
  std::vector<std::unique_ptr<PolicyStore>> stores;
  stores.reserve(count);
  const auto each = [&](const char* what, PolicyPool* shared, auto&& fill) {
    // What earlier ones have left would hide what these take.
    malloc_trim(0);
    const size_t before = ResidentBytes();
    Clock::duration took{};
    for (uint32_t i = 0; i < count; ++i) {
      const Clock::time_point begin = Clock::now();
      stores.push_back(make(shared));
      fill(*stores.back());
      took += Clock::now() - begin;
    }
    const size_t used = ResidentBytes() - before;
    Row((std::string(what) + ": memory").c_str(),
        static_cast<double>(used) / 1024 / count, "KiB a filter");
    Row((std::string(what) + ": time").c_str(), Milliseconds(took) / count,
        "ms a filter");
    stores.clear();
    stores.reserve(count);
  };
  each("empty", &pool, [](PolicyStore&) {});
  const Policy rules = Parsed(HundredRules());
  each("100 rules, by themselves", nullptr,
       [&](PolicyStore& store) { Require(store.Load(rules)); });
  each("100 rules, the same", &pool,
       [&](PolicyStore& store) { Require(store.Load(rules)); });
  const Policy with_table = WithTable(entries);
  std::printf("with a table of %u entries, %.1f KiB:\n", entries,
              static_cast<double>(
                  BuildTable(with_table.main.tables[0].entries).MemoryUse()) /
                  1024);
  each("100 rules and the table, the same", &pool,
       [&](PolicyStore& store) { Require(store.Load(with_table)); });

  // Each filter's own snapshot, as a port that comes back needs it.
  constexpr uint32_t kStates = 100;
  Node node(kStates * 8);
  Require(node.store.Load(with_table));
  const std::vector<uint8_t> bytes = SnapshotOf(&node.store, kStates);
  each("restored: those rules and 100 states", &pool,
       [&](PolicyStore& store) {
         ImportOptions options;
         options.policy = true;
         StateIntake intake(node.table.get());
         ImportTarget target = {.store = &store,
                                .interfaces = &interfaces,
                                .expectations = &node.expectations,
                                .last_id = intake.last_id()};
         StateImporter importer(target, options);
         Require(importer.Prepare(bytes));
         Require(intake.Reserve(importer.arena(0), kStates) ==
                     ReserveResult::kReady,
                 "no room in the shard");
         Require(importer.Tie());
         Require(importer.PublishPolicy());
         intake.Commit(importer.arena(0), 1000, kStates);
         importer.Finish(1000);
         uint32_t cursor = 0;
         node.table->entries().Visit(
             &cursor, UINT32_MAX,
             [&](StateIndex state) { node.table->Remove(state); });
       });
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  bool quick = false;
  const char* out = nullptr;
  constexpr const char* kOut = "--benchmark_out=";
  for (int i = 1; i < argc; ++i) {
    quick |= std::strcmp(argv[i], "--quick") == 0 ||
             std::strncmp(argv[i], "--benchmark_min_time", 20) == 0;
    if (std::strncmp(argv[i], kOut, std::strlen(kOut)) == 0) {
      out = argv[i] + std::strlen(kOut);
    }
  }
  sluice::Filters(quick ? 50 : 1000, 10'000);
  sluice::ImportAndExport(quick ? 20'000 : 1'000'000);
  if (out != nullptr) sluice::WriteRows(out);
  return 0;
}
