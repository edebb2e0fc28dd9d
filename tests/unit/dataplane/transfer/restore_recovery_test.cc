// Restores on a machine that is slow, and restores that come late: what moves
// is not late, what may do better is tried again, and a failure ends no
// incarnation.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "dataplane/filters/live_filter.h"
#include "transfer_node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr char kRecoveryRules[] =
    "block all\n"
    "pass in on \"in\" proto udp to port 53 keep state\n"
    "pass out on \"out\" proto udp keep state\n";
// Time that a test says has gone by has been looked at.
constexpr RestoreLimits kWatched = {.longest_gap = UINT64_MAX};

// A source that does as the test says before it gives the snapshot.
class HookedSource final : public TransferSource {
 public:
  HookedSource(std::vector<uint8_t> bytes, std::function<absl::Status()> hook)
      : TransferSource({.policy = true}),
        bytes_(std::make_shared<const std::vector<uint8_t>>(
            std::move(bytes))),
        hook_(std::move(hook)) {}
  absl::StatusOr<SharedBytes> Read(const SnapshotReading&) override {
    if (absl::Status status = hook_(); !status.ok()) return status;
    return bytes_;
  }

 private:
  const SharedBytes bytes_;
  const std::function<absl::Status()> hook_;
};

class RestoreRecoveryTest : public testing::Test {
 protected:
  RestoreRecoveryTest() {
    spdlog::set_level(spdlog::level::off);
    directory_ = testing::TempDir() + "recovery." + std::to_string(getpid());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
  }
  ~RestoreRecoveryTest() override {
    std::filesystem::remove_all(directory_);
    spdlog::set_level(spdlog::level::info);
  }

  static std::string Query(int client) {
    return "udp 10.0.0." + std::to_string(client) +
           ":1000 > 10.1.0.1:53 data 8";
  }
  static std::string Reply(int client) {
    return "udp 10.1.0.1:53 > 10.0.0." + std::to_string(client) +
           ":1000 data 8";
  }
  static std::vector<uint8_t> MakeSnapshot(int clients = 20) {
    TransferNode node;
    node->Load(kRecoveryRules);
    for (int client = 2; client < 2 + clients; ++client) {
      EXPECT_TRUE(node.Passes(0, Query(client)));
    }
    return node.Snapshot();
  }
  void Put(const std::string& name, std::span<const uint8_t> bytes) const {
    const std::string path = directory_ + "/" + name;
    {
      std::ofstream file(path + ".part", std::ios::binary);
      file.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    std::filesystem::rename(path + ".part", path);
  }
  static RestoreWait WaitOf(TransferNode& node) {
    return node.service().Restores("main")->front().wait;
  }
  static void ExpectRestored(TransferNode& node, uint64_t retries) {
    node.TurnUntil([&] {
      return node.status().state == RestoreState::kRestored;
    });
    EXPECT_EQ(node.service().queue_metrics().retries, retries);
    EXPECT_EQ(node.service().queue_metrics().commits, 1u);
    EXPECT_TRUE(node.Passes(1, Reply(2)));
  }

  std::string directory_;
};

TEST_F(RestoreRecoveryTest, AProcessThatWasStoppedForSixSecondsFailsNothing) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  // After each number of turns: in each phase.
  for (int turns = 0; turns < 12; ++turns) {
    TransferNode node({.workers = 2,
                       .own_source = std::make_shared<MemorySource>(
                           bytes, ImportChoice{.policy = true}),
                       .enabled = false});
    ASSERT_TRUE(node.service().Enable("main", true).ok());
    for (int i = 0; i < turns; ++i) node.Turn();
    node.Skip(6'000'000);
    ExpectRestored(node, 0);
  }
}

TEST_F(RestoreRecoveryTest, WorkersThatAreAwayFor150MillisecondsFailNothing) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  uint64_t retries = 0;
  for (int turns = 0; turns < 30; ++turns) {
    TransferNode node({.workers = 2,
                       .own_source = std::make_shared<MemorySource>(
                           bytes, ImportChoice{.policy = true}),
                       .enabled = false});
    ASSERT_TRUE(node.service().Enable("main", true).ok());
    for (int i = 0; i < turns; ++i) node.Turn();
    // Where a commit was to be published it takes another attempt.
    if (turns == 29) {
      node.TurnUntil([&] {
        return node.status().state == RestoreState::kValidating;
      });
      while (node.status().state == RestoreState::kValidating) node.Turn();
    }
    node.TurnWithoutWorkers(std::chrono::milliseconds(150));
    node.TurnUntil([&] {
      return node.status().state == RestoreState::kRestored;
    });
    EXPECT_EQ(node.service().queue_metrics().commits, 1u);
    EXPECT_TRUE(node.Passes(1, Reply(2)));
    EXPECT_EQ(node.States(), 40u);
    retries += node.service().queue_metrics().retries;
  }
  std::printf("%llu attempts were made again\n",
              static_cast<unsigned long long>(retries));
}

TEST_F(RestoreRecoveryTest, AThreadThatWaitsForALockIsNotLost) {
  std::mutex mutex;
  std::unique_lock held(mutex);
  std::atomic<bool> waits{false};
  const auto source = std::make_shared<HookedSource>(MakeSnapshot(), [&] {
    waits = true;
    const std::lock_guard lock(mutex);
    return absl::OkStatus();
  });
  TransferNode node({.own_source = source, .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  node.TurnUntil([&] { return waits.load(); });
  node.TurnWithoutWorkers(std::chrono::milliseconds(300));
  EXPECT_EQ(node.status().state, RestoreState::kValidating);
  EXPECT_EQ(WaitOf(node).awaits, RestoreAwaits::kValidation);
  held.unlock();
  ExpectRestored(node, 0);
}

// One that waits for ever holds its builder, and another one makes the next
// attempt.
TEST_F(RestoreRecoveryTest, AThreadThatHangsIsPassedBy) {
  std::mutex mutex;
  std::condition_variable wake;
  bool go_on = false;
  int reads = 0;
  const auto source = std::make_shared<HookedSource>(MakeSnapshot(), [&] {
    std::unique_lock lock(mutex);
    if (++reads == 1) wake.wait(lock, [&] { return go_on; });
    return absl::OkStatus();
  });
  TransferNode node({.limits = {.validate = 200'000, .validating = 2},
                     .own_source = source,
                     .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  ExpectRestored(node, 1);
  {
    const std::lock_guard lock(mutex);
    go_on = true;
  }
  wake.notify_all();
  node.TurnUntil([&] { return !node.service().busy(); });
  EXPECT_EQ(node.States(), 40u);
}

TEST_F(RestoreRecoveryTest, WhatMayDoBetterIsTriedAgain) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  for (const bool throws : {false, true}) {
    std::atomic<int> reads{0};
    const auto source = std::make_shared<HookedSource>(bytes, [&] {
      if (++reads > 2) return absl::OkStatus();
      if (throws) throw std::bad_alloc();
      return absl::UnavailableError("the disk is away");
    });
    TransferNode node({.limits = {.retry_delays = {1000, 2000, 3000}},
                       .own_source = source,
                       .enabled = false});
    ASSERT_TRUE(node.service().Enable("main", true).ok());
    ExpectRestored(node, 2);
    EXPECT_EQ(node.status().attempt, 3);
  }
}

TEST_F(RestoreRecoveryTest, AfterTheTimeToGiveUpAnImportRestores) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  const auto source = std::make_shared<HookedSource>(
      bytes, [] { return absl::UnavailableError("the disk is away"); });
  TransferNode node({.limits = {.give_up = 20'000,
                                .retry_delays = {1000, 2000, 3000}},
                     .own_source = source,
                     .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  EXPECT_EQ(node.status().state, RestoreState::kFailed);
  EXPECT_EQ(DispositionOf(node.status()), FilterDisposition::kFail);
  const std::optional<RestoreAnswer> last = node.service().Last("main");
  EXPECT_EQ(last->failure, RestoreFailure::kTransient);
  EXPECT_THAT(last->detail, HasSubstr("given up after"));
  EXPECT_THAT(last->detail, HasSubstr("the disk is away"));
  EXPECT_EQ(WaitOf(node).awaits, RestoreAwaits::kSnapshot);
  EXPECT_EQ(node.Import(bytes)->answer.code, RestoreCode::kRestored);
  EXPECT_EQ(node.status().incarnation, last->status.incarnation);
}

TEST_F(RestoreRecoveryTest, AFileThatComesAfterTheDeadlineIsTaken) {
  TransferNode node({.limits = kWatched,
                     .source = directory_,
                     .choice = {.policy = true},
                     .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  EXPECT_EQ(WaitOf(node).awaits, RestoreAwaits::kSnapshot);
  EXPECT_TRUE(node.service().Restores("main")->front().in_folder);
  EXPECT_FALSE(node.Passes(0, Query(2)));
  node.TurnUntil([&] { return node.service().queue_metrics().started == 1; });
  node.Skip(1'000'000);
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  EXPECT_EQ(node.service().Last("main")->failure,
            RestoreFailure::kNotBrought);
  EXPECT_EQ(WaitOf(node).awaits, RestoreAwaits::kSnapshot);
  Put("main.snap", MakeSnapshot());
  ExpectRestored(node, 0);
}

TEST_F(RestoreRecoveryTest, AfterABadFileTheGoodOneIsTaken) {
  const std::vector<uint8_t> good = MakeSnapshot();
  std::vector<uint8_t> bad = MakeSnapshot(3);
  bad[bad.size() / 2] ^= 1;
  TransferNode node({.source = directory_,
                     .choice = {.policy = true},
                     .enabled = false});
  Put("main.snap", bad);
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  EXPECT_EQ(node.service().Last("main")->failure, RestoreFailure::kRefused);
  // The same bad one again is tried again, and changes nothing.
  Put("main.snap", bad);
  node.TurnUntil([&] { return node.service().queue_metrics().started == 2; });
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  EXPECT_EQ(node.status().state, RestoreState::kFailed);
  Put("main.snap", good);
  ExpectRestored(node, 0);
}

// The good one appears while the bad one is read: nobody tells of it again.
TEST_F(RestoreRecoveryTest, AFileThatAppearsWhileAnotherIsTriedIsNotForgotten) {
  const std::vector<uint8_t> good = MakeSnapshot();
  std::vector<uint8_t> bad = MakeSnapshot(3);
  bad[bad.size() / 2] ^= 1;
  TransferNode node({.source = directory_,
                     .choice = {.policy = true},
                     .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  std::optional<ImportReport> report;
  ImportRequest request;
  request.filter = "main";
  request.snapshot = MemoryFile(bad);
  request.policy = true;
  node.service().Import(std::move(request),
                        [&](absl::StatusOr<ImportReport> r) { report = *r; });
  node.TurnUntil([&] { return node.status().under_way(); });
  Put("main.snap", good);
  node.TurnUntil([&] { return report.has_value(); });
  EXPECT_EQ(report->answer.failure, RestoreFailure::kRefused);
  ExpectRestored(node, 0);
}

TEST_F(RestoreRecoveryTest, ASnapshotThatIsBeingReadIsNoMissingOne) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node({.limits = kWatched, .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ImportRequest request;
  request.filter = "main";
  request.snapshot = UniqueFd(ends[0]);
  request.policy = true;
  UniqueFd writer(ends[1]);
  std::optional<ImportReport> report;
  node.service().Import(std::move(request),
                        [&](absl::StatusOr<ImportReport> r) { report = *r; });
  EXPECT_FALSE(node.Passes(0, Query(2)));
  for (int i = 0; i < 5; ++i) {
    node.Turn();
    node.Skip(900'000);
  }
  EXPECT_EQ(node.status().state, RestoreState::kQueued);
  EXPECT_EQ(WaitOf(node).awaits, RestoreAwaits::kReading);
  std::thread feeder([&] {
    EXPECT_EQ(::write(writer.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    writer.Reset();
  });
  node.TurnUntil([&] { return report.has_value(); });
  feeder.join();
  EXPECT_EQ(report->answer.code, RestoreCode::kRestored);
  EXPECT_EQ(node.service().queue_metrics().retries, 0u);
}

TEST_F(RestoreRecoveryTest, ASnapshotOfAnotherFilterIsTakenOnlyIfMeant) {
  // The engine of a node calls its filter "main" in its snapshots.
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node;
  ImportRequest request;
  request.snapshot = MemoryFile(bytes);
  request.policy = true;
  request.from_filter = "vm7";
  const absl::StatusOr<ImportReport> report = node.Import(std::move(request));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->answer.failure, RestoreFailure::kRefused);
  EXPECT_THAT(report->answer.detail, HasSubstr("--from-filter main"));
  request = {};
  request.snapshot = MemoryFile(bytes);
  request.policy = true;
  request.from_filter = "main";
  EXPECT_EQ(node.Import(std::move(request))->answer.code,
            RestoreCode::kRestored);
}

TEST_F(RestoreRecoveryTest, AFileThatIsNotThereIsSaidAtOnce) {
  TransferNode node;
  RestoreFilterOptions filter;
  filter.filter.name = "vm9";
  filter.filter.plane = &node.plane().filter();
  filter.source = directory_ + "/none";
  const absl::Status status = node.service().AddFilter(filter);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("vm9.snap"));
}

// ---- States of an emergency ruleset ----------------------------------------

constexpr char kEmergencyRules[] = "pass all\n";

// Main of a node fails open; its emergency ruleset is the other filter's.
struct EmergencyNode {
  explicit EmergencyNode(TransferNode::Options options)
      : node(std::move(options)),
        emergency(std::make_shared<LiveFilter>(
            &node.plane().engine().environment(),
            LiveFilter::Options{
                .name = "emergency", .number = 7, .serial = 107})) {
    emergency->plane().status.Enable(false);
    node.plane().plane().filters.Publish(&emergency->plane());
    EXPECT_TRUE(LoadRules(*emergency, kEmergencyRules).ok());
    node.plane().filter().emergency = &emergency->plane();
  }

  // Filter and phases of each state of the flow, by worker and slot.
  std::vector<StateRecord> StatesOf(const std::string& client) {
    std::vector<StateRecord> found;
    for (Worker* worker : node.plane().workers()) {
      uint32_t slot = 0;
      const StateEntries& entries = worker->states().entries();
      entries.Visit(&slot, UINT32_MAX, [&](StateIndex state) {
        const StateRecord record = worker->states().Record(state, 0);
        if (ToString(record.address[0]) == client) found.push_back(record);
      });
    }
    return found;
  }

  TransferNode node;
  std::shared_ptr<LiveFilter> emergency;
};

TEST_F(RestoreRecoveryTest, WhatAnEmergencyRulesetLetThroughIsMerged) {
  for (const uint16_t workers : {1, 2}) {
    const std::vector<uint8_t> bytes = MakeSnapshot();
    EmergencyNode of({.workers = workers,
                      .limits = kWatched,
                      .fail_policy = FailPolicy::kOpen,
                      .enabled = false});
    TransferNode& node = of.node;
    ASSERT_TRUE(node.service().Enable("main", true).ok());
    EXPECT_FALSE(node.Passes(0, Query(2)));
    node.TurnUntil([&] { return node.service().queue_metrics().started > 0; });
    node.Skip(1'000'000);
    node.TurnUntil([&] { return IsFinal(node.status().state); });
    ASSERT_EQ(DispositionOf(node.status()), FilterDisposition::kFail);
    // A flow of the snapshot, which gets further here, and one that the
    // restored rules would not let begin, both ways and of both families.
    EXPECT_TRUE(node.Passes(0, Query(3)));
    EXPECT_TRUE(node.Passes(1, Reply(3)));
    const std::string stranger = "udp 10.0.0.200:7 > 10.1.0.1:4000 data 8";
    const std::string stranger6 =
        "udp [2001:db8::200]:7 > [2001:db8:1::1]:4000 data 8";
    EXPECT_TRUE(node.Passes(0, stranger));
    EXPECT_TRUE(node.Passes(0, stranger6));
    const uint64_t born = of.emergency->plane().budget->used();
    EXPECT_EQ(born, 8u) << "with the packet that was held";

    EXPECT_EQ(node.Import(bytes)->answer.code, RestoreCode::kRestored);
    node.TurnUntil([&] {
      return of.emergency->plane().budget->used() == 0;
    });
    // 20 flows, and the strangers' two; two states each.
    EXPECT_EQ(node.States(), 44u);
    EXPECT_EQ(node->budget().used(), 44u);
    for (const StateRecord& state : of.StatesOf("10.0.0.3")) {
      EXPECT_EQ(state.filter, node.plane().filter().number);
      // In the snapshot nothing had come back.
      EXPECT_GT(state.phase[1], 0);
      EXPECT_NE(state.values.rule_slot, kDefaultRuleSlot);
    }
    EXPECT_EQ(of.StatesOf("10.0.0.200").size(), 2u);
    EXPECT_EQ(of.StatesOf("2001:db8::200").size(), 2u);
    EXPECT_TRUE(node.Passes(
        1, "udp 10.1.0.1:4000 > 10.0.0.200:7 data 8"));
    EXPECT_TRUE(node.Passes(
        1, "udp [2001:db8:1::1]:4000 > [2001:db8::200]:7 data 8"));
    EXPECT_FALSE(node.Passes(0, "udp 10.0.0.201:7 > 10.1.0.1:4000 data 8"));
    EXPECT_TRUE(node.Passes(1, Reply(2)));
  }
}

TEST_F(RestoreRecoveryTest, ACommitThatIsUndoneLeavesTheEmergencysStatesAlone) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  EmergencyNode of({.workers = 2,
                    .limits = kWatched,
                    .fail_policy = FailPolicy::kOpen,
                    .enabled = false});
  TransferNode& node = of.node;
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  EXPECT_FALSE(node.Passes(0, Query(2)));
  node.TurnUntil([&] { return node.service().queue_metrics().started > 0; });
  node.Skip(1'000'000);
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  // Some for either worker.
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(node.Passes(0, "udp 10.0.0.200:" + std::to_string(7 + i) +
                                   " > 10.1.0.1:4000 data 8"));
  }
  const uint64_t born = node.States();
  EXPECT_EQ(of.emergency->plane().budget->used(), born);
  std::optional<ImportReport> report;
  ImportRequest request;
  request.filter = "main";
  request.snapshot = MemoryFile(bytes);
  request.policy = true;
  node.service().Import(std::move(request),
                        [&](absl::StatusOr<ImportReport> r) { report = *r; });
  node.TurnUntil([&] {
    return node.status().state == RestoreState::kCommitting;
  });
  // One worker does its part, and the other one does not run.
  for (int i = 0; i < 50; ++i) node.plane().worker(0).Round();
  EXPECT_GT(node.States(), born + 2);
  // That is movement; then there is none.
  node.TurnWithoutWorkers(std::chrono::milliseconds(1));
  node.Skip(kWatched.commit);
  node.TurnWithoutWorkers(std::chrono::milliseconds(1));
  EXPECT_EQ(node.service().queue_metrics().retries, 1u);
  EXPECT_EQ(DispositionOf(node.status()), FilterDisposition::kFail);
  // Before the next attempt commits.
  node.TurnUntil([&] { return node.States() == born; });
  EXPECT_EQ(of.emergency->plane().budget->used(), born);
  EXPECT_TRUE(node.Passes(1, "udp 10.1.0.1:4000 > 10.0.0.200:7 data 8"));
  node.TurnUntil([&] { return report.has_value(); });
  EXPECT_EQ(report->answer.code, RestoreCode::kRestored);
  node.TurnUntil([&] { return of.emergency->plane().budget->used() == 0; });
  EXPECT_EQ(node.States(), 40u + 20u);
}

}  // namespace
}  // namespace sluice
