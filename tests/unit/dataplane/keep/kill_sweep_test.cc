// A process that exports, imports, commits and keeps its state is killed at
// every marked point, again and again, on one state directory. After each kill
// another one has to come up from it: with a manifest, with the ruleset that
// was kept last or one that was committed after it, and with a whole snapshot.
//
// What runs is the service, the keeper and a shard of states; the worker's
// rounds are its mailbox's steps. No EAL, so that a life takes milliseconds.
#include <gtest/gtest.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/state_budget.h"
#include "conntrack/state_table.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/forward/steering.h"
#include "dataplane/keep/state_directory.h"
#include "dataplane/keep/state_keeper.h"
#include "dataplane/transfer/kept_filter.h"
#include "dataplane/transfer/restore_service.h"
#include "dataplane/workers/mailbox.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/language/parser.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/policy_store.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"

namespace sluice {
namespace {

constexpr int kKillsWanted = 520;
constexpr int kMostLives = 4000;
constexpr uint32_t kStates = 60;

// What the lives tell each other and the test: in memory that they share, so
// that a kill takes nothing of it.
struct Told {
  uint32_t begun_version = 0;  // the newest ruleset that a commit was begun of
  uint32_t kept_version = 0;   // the newest one that was seen on the disk
  uint32_t kept_snapshots = 0;
  uint32_t complaints = 0;
  // What a life that only looks has found.
  uint32_t found_version = 0;
  uint32_t found_states = 0;
  RestoreState found_restore = RestoreState::kNone;
  bool came_up = false;
};

std::string RulesOf(uint32_t version) {
  return "set limit states 5000\nset timeout udp.multiple 200000\ntable <t> persist { 10.0.0.0/8 }\n"
         "block in proto tcp to port " +
         std::to_string(version) + "\npass keep state\n";
}

// Of the rules' canonical text; 0: it is none of these.
uint32_t VersionOf(const std::string& rule) {
  const size_t at = rule.find("port = ");
  return at == std::string::npos
             ? 0
             : static_cast<uint32_t>(std::stoul(rule.substr(at + 7)));
}
uint32_t VersionOf(const PolicyStore& store) {
  const std::shared_ptr<const Policy> policy = store.policy();
  for (const RuleStatus& rule : PolicyListing(store).AllRules()) {
    const uint32_t version = VersionOf(PrintRule(*rule.rule.rule, {}));
    if (version != 0) return version;
  }
  return 0;
}

std::vector<uint8_t> StatesAsSnapshot(uint8_t serial) {
  Snapshot snapshot;
  snapshot.header.id.fill(serial);
  snapshot.header.id[0] = 1;
  snapshot.meta = {.filter = "main", .creator = "test"};
  snapshot.rulesets.push_back({});
  for (uint32_t i = 0; i < kStates; ++i) {
    SnapshotState state;
    state.id = uint64_t{i + 1} << 8;
    state.age = 10;
    state.remaining = 150'000'000;  // longer than the test
    state.idle = 5;
    state.proto = protocol::kUdp;
    state.timeout = Timeout::kUdpMultiple;
    for (int peer = 0; peer < 2; ++peer) {
      state.peers[peer].phase = 2;
      state.peers[peer].packets = 1;
      state.peers[peer].bytes = 100;
      state.peers[peer].port = static_cast<uint16_t>(1000 + i);
      state.peers[peer].address =
          i % 2 == 0
              ? Address::V4(0x0a000001 + static_cast<uint32_t>(peer))
              : *ParseAddress(peer == 0 ? "2001:db8::1" : "2001:db8::2");
    }
    snapshot.parents.push_back(state);
  }
  const auto bytes = WriteSnapshot(snapshot);
  if (!bytes.ok()) {
    std::fprintf(stderr, "%s\n", bytes.status().ToString().c_str());
    std::abort();
  }
  return *bytes;
}

uint64_t Microseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// One life of the process.
class Life {
 public:
  Life(const std::string& path, Told* told) : told_(*told) {
    table_ = *StateTable::Build({.capacity = 4096,
                                 .filters = 1,
                                 .secret = HashSecret::FromSeed(1),
                                 .huge_pages = false,
                                 .prefault = false});
    table_->SetExpectations(&expectations_);
    plane_.policy = &store_;
    plane_.budget = &budget_;
    RestoreServiceOptions options;
    options.plane.mailboxes = {&mailbox_};
    options.plane.steering = &steering_;
    options.plane.expectations = &expectations_;
    options.plane.interfaces = &interfaces_;
    options.plane.now = [] { return static_cast<Tick>(Microseconds() / 1000); };
    service_ = std::make_unique<RestoreService>(std::move(options));
    ComeUp(path);
  }

  // What a daemon does with its life.
  void Work() {
    for (uint32_t round = 0; round < 3; ++round) {
      Commit(told_.begun_version + 1);
      // Until it is on the disk.
      TurnUntil([&, saved = Saved()] {
        return Saved() > saved && !keeper_->busy();
      });
      TurnUntil([&] { return DiskVersion() == VersionOf(store_); });
      told_.kept_version = VersionOf(store_);
      Import(static_cast<uint8_t>(round + 1));
      Export();
    }
    keeper_->Finish();
    TurnUntil([&] { return keeper_->finished(); });
    ++told_.kept_snapshots;
  }

  void Tell() {
    told_.found_version = VersionOf(store_);
    told_.found_states = table_->size();
    told_.found_restore = plane_.status.Load().state;
    told_.came_up = plane_.loaded.load();
  }

 private:
  uint64_t Saved() {
    const KeepMetrics& metrics = service_->keep_metrics();
    return metrics.manifests_saved + metrics.policies_saved +
           metrics.states_saved;
  }
  void ComeUp(const std::string& path) {
    const auto complain = [this](const std::string&) { ++told_.complaints; };
    auto directory = StateDirectory::Open(path);
    if (!directory.ok()) Die(directory.status());
    auto manifest = (*directory)->ReadManifest(complain);
    if (!manifest.ok()) Die(manifest.status());
    std::shared_ptr<KeptFilter> kept;
    spec_.name = "main";
    spec_.ports = {"in", "out"};
    if (!manifest->empty()) {
      kept = (*directory)->Read(manifest->front(), SIZE_MAX, complain);
      spec_ = manifest->front().spec;
      id_ = kept->id;
      KeptPolicy policy(&store_, &interfaces_, Dialect::kOpenBsd);
      absl::Status status = policy.Build(kept->policy);
      if (status.ok()) status = policy.Publish();
      if (!status.ok()) Die(status);
      plane_.loaded = true;
    } else {
      id_ = {9, 9, 9};
    }
    const absl::Status added = service_->AddFilter(
        {.filter = {.name = "main",
                    .id = id_,
                    .plane = &plane_,
                    .state_capacity = 4096}});
    if (!added.ok()) Die(added);
    keeper_ = std::make_unique<StateKeeper>(
        *std::move(directory), service_.get(),
        [this](const StateKeeper::Visit& visit) {
          visit({.spec = spec_, .id = id_, .plane = plane_});
        },
        [] { return KeptPorts(); }, /*interval=*/5, *manifest);
    if (!service_->Enable("main", kept != nullptr,
                          kept != nullptr ? kept->states : nullptr)
             .ok()) {
      std::abort();
    }
    TurnUntil([&] {
      return kept == nullptr || IsFinal(plane_.status.Load().state);
    });
  }

  [[noreturn]] static void Die(const absl::Status& status) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    ::_exit(3);
  }

  void Turn() {
    const auto now = static_cast<Tick>(Microseconds() / 1000);
    for (int i = 0; i < 8; ++i) {
      mailbox_.Step({.worker = 0, .states = table_.get(), .now = now});
    }
    service_->Poll();
    if (keeper_ != nullptr) keeper_->Poll(Microseconds() / 1000);
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  template <typename Holds>
  void TurnUntil(Holds holds) {
    const uint64_t end = Microseconds() + 30'000'000;
    while (!holds()) {
      if (Microseconds() > end) Die(absl::DeadlineExceededError("stuck"));
      Turn();
    }
  }

  void Commit(uint32_t version) {
    told_.begun_version = version;
    ParseInput input;
    input.text = RulesOf(version);
    ParseResult parsed = ParsePolicy(std::move(input));
    if (!parsed.ok()) Die(absl::InternalError("rules"));
    if (absl::Status s = store_.Load(std::move(parsed.policy)); !s.ok()) {
      Die(s);
    }
    plane_.loaded = true;
  }
  void Import(uint8_t serial) {
    const FilterStatus status = plane_.status.Load();
    RestoreOrder order;
    order.snapshot_source = std::make_shared<MemorySource>(
        StatesAsSnapshot(serial), ImportChoice{});
    if (IsFinal(status.state)) {
      order.replace_generation = store_.generation()->number;
    }
    bool ended = false;
    const RestoreAnswer answer = service_->Submit(
        "main", order, [&](const RestoreAnswer&) { ended = true; });
    if (answer.code != RestoreCode::kStarted) return;
    TurnUntil([&] { return ended; });
  }
  void Export() {
    const UniqueFd file(::memfd_create("sweep", MFD_CLOEXEC));
    bool ended = false;
    service_->Export("main", UniqueFd(::dup(file.get())), {},
                     [&](absl::StatusOr<ExportReport>) { ended = true; });
    TurnUntil([&] { return ended; });
  }
  uint32_t DiskVersion() {
    ManifestEntry entry;
    entry.spec.name = "main";
    entry.id = id_;
    const auto kept = keeper_->directory().Read(
        entry, SIZE_MAX, [](const std::string&) {});
    if (kept->policy.empty()) return 0;
    const auto read = ReadSnapshot(kept->policy);
    if (!read.ok()) return 0;
    for (const SnapshotRuleset& ruleset : read->snapshot.rulesets) {
      for (const SnapshotRule& rule : ruleset.rules) {
        if (const uint32_t version = VersionOf(rule.text); version != 0) {
          return version;
        }
      }
    }
    return 0;
  }

  Told& told_;
  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
  PolicyStore store_{{.workers = 1, .rule_slots = 1024, .table_slots = 64},
                     &interfaces_, &reclaimer_};
  StateBudget budget_{4096};
  ExpectationTable expectations_{{.capacity = 64}, HashSecret::FromSeed(2)};
  std::unique_ptr<StateTable> table_;
  Steering steering_{1};
  FilterPlane plane_;
  FilterSpec spec_;
  std::array<uint8_t, 16> id_{};
  Mailbox mailbox_;
  std::unique_ptr<RestoreService> service_;
  std::unique_ptr<StateKeeper> keeper_;
};

// Runs `work` in a process of its own; its wait status.
template <typename Work>
int InChild(Work work) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    spdlog::set_level(spdlog::level::off);
    work();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(KillSweep, WhateverIsKilledComesUpAgain) {
  const std::string path =
      testing::TempDir() + "sweep." + std::to_string(::getpid());
  std::filesystem::remove_all(path);
  void* const memory = ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Told& told = *new (memory) Told;
  // One whole life first.
  ASSERT_EQ(InChild([&] { Life(path, &told).Work(); }), 0);

  std::map<std::string_view, int> kills;
  std::map<std::string_view, uint32_t> next;
  int killed = 0;
  int lives = 0;
  while (killed < kKillsWanted && lives < kMostLives) {
    for (const std::string_view point : FaultPointNames()) {
      ++lives;
      const uint32_t count = ++next[point];
      const std::string fault =
          std::string(point) + ":" + std::to_string(count);
      const int status = InChild([&] {
        if (!ArmFaultPoint(fault).ok()) ::_exit(4);
        Life(path, &told).Work();
      });
      if (WIFEXITED(status)) {
        // A life does not come by so often.
        ASSERT_EQ(WEXITSTATUS(status), 0) << fault;
        next[point] = 0;
      } else {
        ASSERT_EQ(WTERMSIG(status), SIGKILL) << fault;
        ++killed;
        ++kills[point];
      }
      const uint32_t at_least = told.kept_version;
      told.came_up = false;
      ASSERT_EQ(InChild([&] {
                  Life life(path, &told);
                  life.Tell();
                }),
                0)
          << "after " << fault;
      ASSERT_TRUE(told.came_up) << "after " << fault;
      ASSERT_GE(told.found_version, at_least) << "after " << fault;
      ASSERT_LE(told.found_version, told.begun_version) << "after " << fault;
      ASSERT_EQ(told.found_restore, RestoreState::kRestored)
          << "after " << fault;
      ASSERT_GE(told.found_states, kStates) << "after " << fault;
      ASSERT_EQ(told.complaints, 0u)
          << "something was torn after " << fault;
      // Rules that were committed and not kept are gone: they count on from
      // what is there.
      told.begun_version = told.found_version;
      told.kept_version = told.found_version;
    }
  }
  EXPECT_GE(killed, kKillsWanted);
  for (const std::string_view point : FaultPointNames()) {
    EXPECT_GT(kills[point], 0) << point << " was never passed";
  }
  std::printf("%d kills at %zu points in %d lives, each came up again with a "
              "whole ruleset and a whole snapshot\n",
              killed, kills.size(), lives);
  RecordProperty("kills", killed);
  std::filesystem::remove_all(path);
  ::munmap(memory, sizeof(Told));
}

}  // namespace
}  // namespace sluice
