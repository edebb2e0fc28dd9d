// Transfers beside each other: who is slow, who stops, who goes away, and what
// that costs the others.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dataplane/transfer/transfer_lanes.h"
#include "restore/snapshot_reader.h"
#include "transfer_node.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Pipe {
  explicit Pipe(int capacity = 4096) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reader.Reset(ends[0]);
    writer.Reset(ends[1]);
    ::fcntl(writer.get(), F_SETPIPE_SZ, capacity);
  }
  UniqueFd reader;
  UniqueFd writer;
};

class TransferLanesTest : public testing::Test {
 protected:
  TransferLanesTest() {
    spdlog::set_level(spdlog::level::off);
    std::signal(SIGPIPE, SIG_IGN);
  }
  ~TransferLanesTest() override { spdlog::set_level(spdlog::level::info); }

  // More than the pipe of an export takes.
  static void Fill(TransferNode& node) {
    node->Load("pass proto udp keep state\n");
    for (int client = 2; client < 42; ++client) {
      EXPECT_TRUE(node.Passes(0, "udp 10.0.0." + std::to_string(client) +
                                     ":1000 > 10.1.0.1:53 data 8"));
    }
  }
  static std::vector<uint8_t> MakeSnapshot() {
    TransferNode node;
    Fill(node);
    return node.Snapshot();
  }

  using Exported = std::optional<absl::StatusOr<ExportReport>>;
  using Imported = std::optional<absl::StatusOr<ImportReport>>;
  // Neither waits.
  static void Export(TransferNode& node, const UniqueFd& out, Exported* result,
                     const TransferClient& client = {}) {
    node.service().Export(
        "main", UniqueFd(::dup(out.get())), client,
        [result](absl::StatusOr<ExportReport> r) { *result = std::move(r); });
  }
  static void Import(TransferNode& node, UniqueFd from, Imported* result,
                     const TransferClient& client = {}) {
    ImportRequest request;
    request.filter = "main";
    request.snapshot = std::move(from);
    request.policy = true;
    request.client = client;
    node.service().Import(
        std::move(request),
        [result](absl::StatusOr<ImportReport> r) { *result = std::move(r); });
  }
  static std::string MessageOf(const auto& result) {
    return result.has_value() ? result->status().ToString() : "nothing";
  }
};

TEST_F(TransferLanesTest, AStalledReaderKeepsNoOtherExportWaiting) {
  TransferNode node;
  Fill(node);
  const Pipe stalled;
  Exported slow;
  Export(node, stalled.writer, &slow);
  node.TurnUntil([&] { return node.service().Metrics().under_way == 1; });
  EXPECT_FALSE(node.Snapshot().empty());
  EXPECT_FALSE(slow.has_value());
  EXPECT_EQ(node.service().Metrics().under_way, 1u);
}

TEST_F(TransferLanesTest, PipesThatDoNotEndKeepNoOtherImportWaiting) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node({.transfers = {.per_client = 17, .per_filter = 17}});
  std::vector<std::unique_ptr<Pipe>> pipes;
  std::vector<Imported> slow(16);
  for (Imported& result : slow) {
    pipes.push_back(std::make_unique<Pipe>());
    Import(node, UniqueFd(::dup(pipes.back()->reader.get())), &result);
  }
  const absl::StatusOr<ImportReport> good = node.Import(bytes);
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->answer.code, RestoreCode::kRestored);
  for (const Imported& result : slow) EXPECT_FALSE(result.has_value());
}

TEST_F(TransferLanesTest, EachLimitIsNamedToWhomItRefuses) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  const auto third = [&](const TransferLimits& limits) {
    TransferNode node({.transfers = limits});
    std::vector<std::unique_ptr<Pipe>> pipes;
    std::vector<Imported> slow(2);
    for (Imported& result : slow) {
      pipes.push_back(std::make_unique<Pipe>());
      Import(node, UniqueFd(::dup(pipes.back()->reader.get())), &result);
    }
    Imported refused;
    Import(node, MemoryFile(bytes), &refused);
    node.TurnUntil([&] { return refused.has_value(); });
    EXPECT_TRUE(absl::IsResourceExhausted(refused->status()));
    EXPECT_EQ(node.service().Metrics().over_limits, 1u);
    // When one of them has ended there is room again.
    pipes.pop_back();
    node.TurnUntil([&] { return slow[1].has_value(); });
    EXPECT_EQ(node.Import(bytes)->answer.code, RestoreCode::kRestored);
    return MessageOf(refused);
  };
  EXPECT_THAT(third({.per_filter = 2}),
              AllOf(HasSubstr("filter main has 2 transfers"),
                    HasSubstr("[transfer] per_filter"), HasSubstr("again")));
  EXPECT_THAT(third({.per_client = 2}),
              AllOf(HasSubstr("user 0 has 2 transfers"),
                    HasSubstr("[transfer] per_client")));
  EXPECT_THAT(third({.parallel = 2}),
              AllOf(HasSubstr("there are 2 transfers"),
                    HasSubstr("[transfer] parallel")));
}

TEST_F(TransferLanesTest, ClientsOfOtherUsersHaveBudgetsOfTheirOwn) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node({.transfers = {.per_client = 1}});
  const Pipe pipe;
  Imported slow;
  Import(node, UniqueFd(::dup(pipe.reader.get())), &slow, {.uid = 7});
  Imported same;
  Import(node, MemoryFile(bytes), &same, {.uid = 7});
  Imported other;
  Import(node, MemoryFile(bytes), &other, {.uid = 8});
  node.TurnUntil([&] { return same.has_value() && other.has_value(); });
  EXPECT_THAT(MessageOf(same), HasSubstr("user 7 has 1 transfers"));
  ASSERT_TRUE(other->ok()) << other->status();
  EXPECT_EQ((*other)->answer.code, RestoreCode::kRestored);
}

TEST_F(TransferLanesTest, MemoryIsOneBudgetForAll) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node({.transfers = {.memory = bytes.size() + 1000}});
  Fill(node);
  const Pipe pipe(65536);
  ASSERT_EQ(::write(pipe.writer.get(), bytes.data(), 2000), 2000);
  Imported slow;
  Import(node, UniqueFd(::dup(pipe.reader.get())), &slow);
  node.TurnUntil(
      [&] { return node.service().Metrics().transfer_bytes == 2000; });
  const absl::StatusOr<ImportReport> refused = node.Import(bytes);
  EXPECT_THAT(refused.status().ToString(),
              AllOf(HasSubstr("[transfer] memory"), HasSubstr("again")));
  const UniqueFd file = MemoryFile();
  EXPECT_THAT(node.Export(file.get()).status().ToString(),
              HasSubstr("[transfer] memory"));
}

TEST_F(TransferLanesTest, WhatIsTooSlowIsEnded) {
  TransferNode node({.transfers = {.min_rate = 1 << 20, .patience = 50}});
  Fill(node);
  const Pipe in;
  Imported imported;
  Import(node, UniqueFd(::dup(in.reader.get())), &imported);
  const Pipe out;
  Exported exported;
  Export(node, out.writer, &exported);
  node.TurnUntil([&] { return imported.has_value() && exported.has_value(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(imported->status()));
  EXPECT_THAT(MessageOf(imported), HasSubstr("[transfer] min_rate"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(exported->status()));
  EXPECT_THAT(MessageOf(exported), AllOf(HasSubstr("[transfer] min_rate"),
                                         HasSubstr("no whole snapshot")));
  EXPECT_EQ(node.service().Metrics().too_slow, 2u);
}

TEST_F(TransferLanesTest, WhatMovesButDoesNotEndIsEnded) {
  TransferNode node({.transfers = {.min_rate = 0, .total_time = 60}});
  const Pipe in;
  Imported imported;
  Import(node, UniqueFd(::dup(in.reader.get())), &imported);
  node.TurnUntil([&] { return imported.has_value(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(imported->status()));
  EXPECT_THAT(MessageOf(imported), HasSubstr("[transfer] total_time"));
}

TEST_F(TransferLanesTest, NobodyWorksForAClientThatHasGone) {
  TransferNode node;
  Fill(node);
  auto connection = std::make_shared<int>(1);
  const TransferClient client = {
      .uid = 0, .connection = std::weak_ptr<const void>(connection)};
  const Pipe in;
  Imported imported;
  Import(node, UniqueFd(::dup(in.reader.get())), &imported, client);
  const Pipe out;
  Exported exported;
  Export(node, out.writer, &exported, client);
  for (int i = 0; i < 50; ++i) node.Turn();
  EXPECT_EQ(node.service().Metrics().under_way, 2u);
  connection.reset();
  node.TurnUntil([&] { return imported.has_value() && exported.has_value(); });
  EXPECT_THAT(MessageOf(imported), HasSubstr("the client has gone"));
  EXPECT_THAT(MessageOf(exported), HasSubstr("the client has gone"));
  EXPECT_EQ(node.service().Metrics().under_way, 0u);
  EXPECT_EQ(node.service().Metrics().abandoned, 2u);
}

TEST_F(TransferLanesTest, AFilterGoesWhoeverIsStalledAtIt) {
  TransferNode node;
  Fill(node);
  const Pipe in;
  Imported imported;
  Import(node, UniqueFd(::dup(in.reader.get())), &imported);
  const Pipe out;
  Exported exported;
  Export(node, out.writer, &exported);
  for (int i = 0; i < 50; ++i) node.Turn();
  bool removed = false;
  node.service().Disable("main", [](absl::StatusOr<FilterStatus>) {});
  ASSERT_TRUE(
      node.service().RemoveFilter("main", [&] { removed = true; }).ok());
  node.TurnUntil([&] { return removed; });
  EXPECT_TRUE(imported.has_value());
  EXPECT_TRUE(exported.has_value());
  EXPECT_THAT(MessageOf(exported), HasSubstr("the filter goes away"));
}

// No other file that is there everywhere sleeps in read() for good.
constexpr char kNeedsLog[] =
    "the kernel's log may not be read: that takes CAP_SYSLOG, which a "
    "container may lack";

// A file that has no end and, when it has nothing, sleeps.
UniqueFd EndlessFile() {
  return UniqueFd(::open("/proc/kmsg", O_RDONLY | O_CLOEXEC));
}

TEST_F(TransferLanesTest, AFileWithoutAnEndIsNotReadForEver) {
  if (!EndlessFile().valid()) GTEST_SKIP() << kNeedsLog;
  TransferNode node({.source = "/proc/kmsg", .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  node.TurnUntil([&] {
    return node.status().state == RestoreState::kValidating;
  });
  bool removed = false;
  node.service().Disable("main", [](absl::StatusOr<FilterStatus>) {});
  ASSERT_TRUE(
      node.service().RemoveFilter("main", [&] { removed = true; }).ok());
  node.TurnUntil([&] { return removed; });
}

TEST_F(TransferLanesTest, AThreadThatSleepsInAFileIsWokenUp) {
  if (!EndlessFile().valid()) GTEST_SKIP() << kNeedsLog;
  TransferNode node({.transfers = {.min_rate = 1 << 30, .patience = 50}});
  Imported imported;
  Import(node, EndlessFile(), &imported);
  node.TurnUntil([&] { return imported.has_value(); });
  EXPECT_THAT(MessageOf(imported), HasSubstr("[transfer] min_rate"));
  EXPECT_EQ(node.service().Metrics().under_way, 0u);
}

TEST_F(TransferLanesTest, AThreadThatDoesNotComeBackIsLeftAlone) {
  uint64_t now = 1;
  std::atomic<bool> asleep{true};
  const FilterPlane* const filter = reinterpret_cast<FilterPlane*>(&now);
  TransferLanes lanes({.parallel = 1}, [&now] { return now; });
  bool lost = false;
  const auto lane = lanes.Take({}, *filter, "f", nullptr,
                               [&](const absl::Status& why) {
                                 lost = true;
                                 EXPECT_THAT(why.ToString(),
                                             HasSubstr("goes away"));
                               });
  ASSERT_TRUE(lane.ok());
  std::atomic<bool> over{false};
  (*lane)->builder().Submit(
      [io = (*lane)->io(), &asleep, &over]() mutable {
        io->Enter();
        while (asleep) std::this_thread::yield();
        io.reset();
        over = true;
      },
      [] { ADD_FAILURE() << "nobody finishes it"; });
  while (!(*lane)->io()->inside()) std::this_thread::yield();
  lanes.Cancel(*filter);
  lanes.Poll();
  EXPECT_FALSE(lost);
  now += TransferLanes::kLost + 1;
  lanes.Poll();
  EXPECT_TRUE(lost);
  EXPECT_FALSE(lanes.Uses(*filter));
  // It counts as long as it is there.
  EXPECT_FALSE(lanes.Take({}, *filter, "f", nullptr, nullptr).ok());
  asleep = false;
  while (!over) std::this_thread::yield();
  EXPECT_TRUE(lanes.Take({}, *filter, "f", nullptr, nullptr).ok());
}

TEST_F(TransferLanesTest, APaceIsOverEachStretchOfTime) {
  TransferPace pace({.min_rate = 1000, .patience = 10'000, .total_time = 60'000},
                    5);
  EXPECT_TRUE(pace.Look(0, 10'004).ok());
  EXPECT_TRUE(pace.Look(10'000, 10'005).ok());
  // What was moved before does not count.
  EXPECT_TRUE(pace.Look(10'100, 20'004).ok());
  EXPECT_THAT(pace.Look(19'999, 20'005).ToString(), HasSubstr("min_rate"));
  TransferPace fast({.min_rate = 0, .total_time = 60'000}, 5);
  EXPECT_TRUE(fast.Look(0, 60'004).ok());
  EXPECT_THAT(fast.Look(1 << 30, 60'005).ToString(), HasSubstr("total_time"));
}

}  // namespace
}  // namespace sluice
