// Transfers that meet what they may meet: each other, the end of the port's
// incarnation, full disks, readers that go, bytes that are no snapshot.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "packet/parse.h"
#include "pftable/store/invariants.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "transfer_node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr char kRules[] =
    "block all\n"
    "pass in on \"in\" proto udp to port 53 keep state\n"
    "pass out on \"out\" proto udp keep state\n";

class TransferFailureTest : public testing::Test {
 protected:
  TransferFailureTest() {
    spdlog::set_level(spdlog::level::off);
    std::signal(SIGPIPE, SIG_IGN);
    directory_ = testing::TempDir() + "transfer." + std::to_string(getpid());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
  }
  ~TransferFailureTest() override {
    std::filesystem::remove_all(directory_);
    spdlog::set_level(spdlog::level::info);
  }

  static std::string Query(int client, bool v6) {
    const std::string c = std::to_string(client);
    return v6 ? "udp [2001:db8::" + c + "]:1000 > [2001:db8:1::1]:53 data 8"
              : "udp 10.0.0." + c + ":1000 > 10.1.0.1:53 data 8";
  }
  static std::string Reply(int client) {
    return "udp 10.1.0.1:53 > 10.0.0." + std::to_string(client) +
           ":1000 data 8";
  }
  // States of both families from client `first` on.
  static std::vector<uint8_t> MakeSnapshot(int first = 2, int clients = 20) {
    TransferNode node;
    node->Load(kRules);
    for (int client = first; client < first + clients; ++client) {
      EXPECT_TRUE(node.Passes(0, Query(client, false)));
      EXPECT_TRUE(node.Passes(0, Query(client, true)));
    }
    return node.Snapshot();
  }
  std::string Write(const std::string& name,
                    const std::vector<uint8_t>& bytes) const {
    const std::string path = directory_ + "/" + name;
    {
      std::ofstream file(path + ".part", std::ios::binary);
      file.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    std::filesystem::rename(path + ".part", path);
    return path;
  }
  // Nothing of an import is left, and nothing was changed.
  static void ExpectUntouched(TransferNode& node, uint64_t states,
                              uint64_t hash) {
    node.TurnUntil([&] { return !node.service().busy(); });
    EXPECT_EQ(node.States(), states);
    EXPECT_EQ(node->budget().used(), states);
    EXPECT_EQ(node->store().generation()->hash, hash);
    EXPECT_EQ(CheckInvariants(node->store()), absl::OkStatus());
  }

  std::string directory_;
};

TEST_F(TransferFailureTest, TwoImportersOfOneSnapshotAreOneRestore) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node;
  std::vector<ImportReport> reports;
  for (int i = 0; i < 3; ++i) {
    ImportRequest request;
    request.filter = "main";
    request.snapshot = MemoryFile(bytes);
    request.policy = true;
    node.service().Import(std::move(request),
                          [&](absl::StatusOr<ImportReport> report) {
                            ASSERT_TRUE(report.ok()) << report.status();
                            reports.push_back(*report);
                          });
  }
  node.TurnUntil([&] { return reports.size() == 3; });
  int joined = 0;
  for (const ImportReport& report : reports) {
    joined += report.joined;
    EXPECT_THAT(report.answer.code,
                testing::AnyOf(RestoreCode::kRestored,
                               RestoreCode::kAlreadyApplied));
    EXPECT_EQ(report.answer.report.states_imported, 80u);
  }
  EXPECT_EQ(node.service().queue_metrics().commits, 1u);
  EXPECT_EQ(node.service().queue_metrics().joined,
            static_cast<uint64_t>(joined));
  EXPECT_EQ(node.States(), 80u);
}

TEST_F(TransferFailureTest, TwoImportersOfTwoSnapshotsDoNotMix) {
  const std::array<std::vector<uint8_t>, 2> snapshots = {MakeSnapshot(2),
                                                         MakeSnapshot(100)};
  TransferNode node;
  std::array<std::optional<ImportReport>, 2> reports;
  for (size_t i = 0; i < 2; ++i) {
    ImportRequest request;
    request.filter = "main";
    request.snapshot = MemoryFile(snapshots[i]);
    request.policy = true;
    node.service().Import(std::move(request),
                          [&reports, i](absl::StatusOr<ImportReport> report) {
                            ASSERT_TRUE(report.ok()) << report.status();
                            reports[i] = *report;
                          });
  }
  node.TurnUntil([&] { return reports[0] && reports[1]; });
  // They are read beside each other: whichever is read first is restored.
  const size_t won = reports[0]->answer.code == RestoreCode::kRestored ? 0 : 1;
  const std::vector<uint8_t>& first = snapshots[won];
  const std::vector<uint8_t>& second = snapshots[1 - won];
  EXPECT_EQ(reports[won]->answer.code, RestoreCode::kRestored);
  EXPECT_THAT(reports[1 - won]->answer.code,
              testing::AnyOf(RestoreCode::kBusy, RestoreCode::kConflict));
  // Later, and on purpose.
  auto late = node.Import(second);
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late->answer.code, RestoreCode::kConflict);
  EXPECT_EQ(node.States(), 80u);
  auto again = node.Import(first);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->answer.code, RestoreCode::kAlreadyApplied);
  ImportRequest wrong;
  wrong.snapshot = MemoryFile(second);
  wrong.replace_generation = node->store().generation()->number + 1;
  EXPECT_EQ(node.Import(std::move(wrong))->answer.code,
            RestoreCode::kGenerationMoved);
  ImportRequest right;
  right.snapshot = MemoryFile(second);
  right.policy = true;
  right.replace_generation = node->store().generation()->number;
  EXPECT_EQ(node.Import(std::move(right))->answer.code,
            RestoreCode::kRestored);
  EXPECT_TRUE(node.Passes(1, Reply(won == 0 ? 100 : 2)));
}

TEST_F(TransferFailureTest, ADisableInAnyPhaseLeavesNothing) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  int cancelled = 0;
  int restored = 0;
  constexpr int kMostTurns = 40;
  for (int turns = 0; turns <= kMostTurns; ++turns) {
    TransferNode node({.workers = 2});
    node->Load("block all\npass in on \"in\" proto tcp keep state\n");
    const uint64_t hash = node->store().generation()->hash;
    std::optional<ImportReport> report;
    ImportRequest request;
    request.filter = "main";
    request.snapshot = MemoryFile(bytes);
    request.policy = true;
    node.service().Import(std::move(request),
                          [&](absl::StatusOr<ImportReport> r) {
                            ASSERT_TRUE(r.ok()) << r.status();
                            report = *r;
                          });
    // The thread's part is over when it has been submitted to the queue.
    node.TurnUntil([&] { return node.status().under_way() || report; });
    for (int i = 0; i < turns && !report; ++i) node.Turn();
    // However slow the builder is: once the restore is over.
    if (turns == kMostTurns) {
      node.TurnUntil([&] { return report.has_value(); });
    }
    std::optional<absl::StatusOr<FilterStatus>> disabled;
    node.service().Disable(
        "main", [&](absl::StatusOr<FilterStatus> s) { disabled = s; });
    node.TurnUntil([&] { return report && disabled; });
    EXPECT_FALSE(node.status().enabled());
    EXPECT_EQ(node.status().state == RestoreState::kCancelled,
              report->answer.code == RestoreCode::kCancelled);
    if (report->answer.code == RestoreCode::kCancelled) {
      ++cancelled;
      ExpectUntouched(node, 0, hash);
    } else {
      ++restored;
      EXPECT_EQ(report->answer.code, RestoreCode::kRestored);
      EXPECT_EQ(node.States(), 80u);
    }
    // The filter can go, and its number be given away.
    bool removed = false;
    ASSERT_TRUE(node.service()
                    .RemoveFilter("main", [&] { removed = true; })
                    .ok());
    node.TurnUntil([&] { return removed; });
  }
  EXPECT_GT(cancelled, 0);
  EXPECT_GT(restored, 0);
}

TEST_F(TransferFailureTest, DamagedSnapshotsChangeNothing) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node;
  node->Load(kRules);
  EXPECT_TRUE(node.Passes(0, Query(200, false)));
  const uint64_t hash = node->store().generation()->hash;
  int refused = 0;
  for (size_t length = 0; length < bytes.size(); length += 997) {
    const auto cut = std::span(bytes).first(length);
    const absl::StatusOr<ImportReport> report = node.Import(cut);
    if (length < 96) {
      // No restore was asked for.
      EXPECT_FALSE(report.ok());
      EXPECT_EQ(node.status().state, RestoreState::kNone);
      continue;
    }
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->answer.code, RestoreCode::kFailed);
    EXPECT_EQ(report->answer.failure, RestoreFailure::kRefused);
    ExpectUntouched(node, 2, hash);
    ++refused;
  }
  EXPECT_GT(refused, 3);
  // And after all the bad ones the good one, in the same incarnation.
  const uint32_t incarnation = node.status().incarnation;
  EXPECT_EQ(node.Import(bytes)->answer.code, RestoreCode::kRestored);
  EXPECT_EQ(node.status().incarnation, incarnation);
}

TEST_F(TransferFailureTest, WhatIsNoSnapshotEndsNoExpectation) {
  TransferNode node({.enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  EXPECT_FALSE(node.Import(std::vector<uint8_t>(500, 'x')).ok());
  ImportRequest directory;
  directory.snapshot = UniqueFd(::open("/tmp", O_RDONLY));
  EXPECT_FALSE(node.Import(std::move(directory)).ok());
  EXPECT_EQ(node.status().state, RestoreState::kExpect);
  EXPECT_EQ(node.Import(MakeSnapshot())->answer.code, RestoreCode::kRestored);
}

TEST_F(TransferFailureTest, AFullDiskIsSaidAndLeavesNoSnapshot) {
  TransferNode node;
  node->Load(kRules);
  EXPECT_TRUE(node.Passes(0, Query(2, false)));
  const UniqueFd full(::open("/dev/full", O_WRONLY));
  const absl::StatusOr<ExportReport> report = node.Export(full.get());
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.status().ToString(), HasSubstr("No space left"));
  EXPECT_THAT(report.status().ToString(), HasSubstr("no whole snapshot"));
  EXPECT_EQ(node.service().Metrics().exports_failed, 1u);
  // The next one is not disturbed.
  EXPECT_FALSE(node.Snapshot().empty());
}

TEST_F(TransferFailureTest, AReaderThatGoesHasSomethingThatIsRefused) {
  TransferNode node;
  node->Load(kRules);
  for (int client = 2; client < 40; ++client) {
    EXPECT_TRUE(node.Passes(0, Query(client, false)));
  }
  // A pipe whose reader takes some and goes.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ::fcntl(writer.get(), F_SETPIPE_SZ, 4096);
  std::vector<uint8_t> got(1000);
  std::thread thread([&] {
    EXPECT_EQ(::read(reader.get(), got.data(), got.size()), 1000);
    reader.Reset();
  });
  const absl::StatusOr<ExportReport> report = node.Export(writer.get());
  thread.join();
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.status().ToString(), HasSubstr("no whole snapshot"));
  TransferNode to;
  const absl::StatusOr<ImportReport> refused = to.Import(got);
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(refused->answer.failure, RestoreFailure::kRefused);
}

TEST_F(TransferFailureTest, ASlowReaderOfAPipeGetsAll) {
  TransferNode node;
  node->Load(kRules);
  EXPECT_TRUE(node.Passes(0, Query(2, true)));
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ::fcntl(writer.get(), F_SETPIPE_SZ, 4096);
  std::vector<uint8_t> got;
  std::thread thread([&] {
    uint8_t bytes[100];
    ssize_t n;
    while ((n = ::read(reader.get(), bytes, sizeof bytes)) > 0) {
      got.insert(got.end(), bytes, bytes + n);
    }
  });
  EXPECT_TRUE(node.Export(writer.get()).ok());
  writer.Reset();
  thread.join();
  EXPECT_TRUE(ReadSnapshot(got).ok());
  // And an import reads from one.
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ImportRequest request;
  request.snapshot = UniqueFd(ends[0]);
  request.policy = true;
  UniqueFd in(ends[1]);
  std::thread feeder([&] {
    EXPECT_EQ(::write(in.get(), got.data(), got.size()),
              static_cast<ssize_t>(got.size()));
    in.Reset();
  });
  TransferNode to;
  EXPECT_EQ(to.Import(std::move(request))->answer.code,
            RestoreCode::kRestored);
  feeder.join();
}

TEST_F(TransferFailureTest, AnImportTooLongIsNotRead) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node({.max_snapshot = bytes.size() - 1});
  const absl::StatusOr<ImportReport> report = node.Import(bytes);
  EXPECT_TRUE(absl::IsResourceExhausted(report.status())) << report.status();
}

TEST_F(TransferFailureTest, AFileIsRestoredWhenThePortIsEnabled) {
  const std::string path = Write("vm.snap", MakeSnapshot());
  TransferNode node(
      {.source = path, .choice = {.policy = true}, .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  EXPECT_EQ(node.status().state, RestoreState::kRestored);
  EXPECT_EQ(node.States(), 80u);
  EXPECT_TRUE(node.Passes(1, Reply(2)));
  EXPECT_EQ(node.service().queue_metrics().requests[1], 1u);
}

TEST_F(TransferFailureTest, WithoutTheFileItIsSkippedOrFailed) {
  for (const bool required : {false, true}) {
    const std::string path = Write("none.snap", MakeSnapshot());
    TransferNode node({.source = path,
                       .snapshot_required = required,
                       .enabled = false});
    std::filesystem::remove(path);
    node->Load(kRules);
    ASSERT_TRUE(node.service().Enable("main", true).ok());
    node.TurnUntil([&] { return IsFinal(node.status().state); });
    EXPECT_EQ(node.status().state,
              required ? RestoreState::kFailed : RestoreState::kSkipped);
    EXPECT_EQ(DispositionOf(node.status()),
              required ? FilterDisposition::kFail : FilterDisposition::kJudge);
    EXPECT_EQ(node.service().queue_metrics().fail_closed, required ? 1u : 0u);
  }
}

TEST_F(TransferFailureTest, ASnapshotThatAppearsIsRestoredOnce) {
  TransferNode node({.source = directory_,
                     .choice = {.policy = true},
                     .enabled = false});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  for (int i = 0; i < 20; ++i) node.Turn();
  EXPECT_EQ(node.status().state, RestoreState::kExpect);
  Write("other.snap", MakeSnapshot(50));
  for (int i = 0; i < 20; ++i) node.Turn();
  EXPECT_EQ(node.status().state, RestoreState::kExpect);
  const std::vector<uint8_t> bytes = MakeSnapshot();
  Write("main.snap", bytes);
  node.TurnUntil([&] { return IsFinal(node.status().state); });
  EXPECT_EQ(node.status().state, RestoreState::kRestored);
  // The same file again, and another one: neither is applied here.
  Write("main.snap", bytes);
  for (int i = 0; i < 20; ++i) node.Turn();
  EXPECT_EQ(node.service().queue_metrics().conflicts, 0u);
  Write("main.snap", MakeSnapshot(60));
  for (int i = 0; i < 20; ++i) node.Turn();
  EXPECT_EQ(node.service().queue_metrics().commits, 1u);
  EXPECT_EQ(node.service().queue_metrics().conflicts, 1u);
  // What was applied before is nothing for another incarnation.
  Write("main.snap", bytes);
  node.Turn();
  node.service().Disable("main", [](absl::StatusOr<FilterStatus>) {});
  ASSERT_TRUE(node.service().Enable("main", true).ok());
  EXPECT_EQ(node.status().state, RestoreState::kExpect);
}

TEST_F(TransferFailureTest, ALoadDuringTheValidationIsKeptAndTriesAgain) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  TransferNode node;
  node->Load(kRules);
  ImportRequest request;
  request.filter = "main";
  request.snapshot = MemoryFile(bytes);
  request.policy = true;
  std::optional<ImportReport> report;
  node.service().Import(std::move(request),
                        [&](absl::StatusOr<ImportReport> r) { report = *r; });
  node.TurnUntil([&] {
    return node.status().state == RestoreState::kValidating;
  });
  // Somebody begins a change that does not end meanwhile.
  const Ticket ticket = node->store().Begin();
  node.TurnUntil([&] {
    return report || node.service().queue_metrics().retries > 0;
  });
  EXPECT_TRUE(!report || report->answer.code == RestoreCode::kRestored);
  static_cast<void>(node->store().Rollback(ticket));
  node.TurnUntil([&] { return report.has_value(); });
  EXPECT_EQ(report->answer.code, RestoreCode::kRestored)
      << report->answer.detail;
  EXPECT_EQ(node.States(), 80u);
}

TEST_F(TransferFailureTest, TooManyStatesAreRefusedWhole) {
  const std::vector<uint8_t> bytes = MakeSnapshot(2, 40);
  TransferNode node;
  node->Load(std::string("set limit states 100\n") + kRules);
  node->budget().SetLimit(100);
  const uint64_t hash = node->store().generation()->hash;
  ImportRequest request;
  request.snapshot = MemoryFile(bytes);
  const absl::StatusOr<ImportReport> report = node.Import(std::move(request));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->answer.failure, RestoreFailure::kRefused);
  ExpectUntouched(node, 0, hash);
}

TEST_F(TransferFailureTest, ClientsThatGoLeaveTheRestoreAlone) {
  const std::vector<uint8_t> bytes = MakeSnapshot();
  // The descriptor's other users may close theirs at any time.
  TransferNode node;
  for (int i = 0; i < 30; ++i) {
    ImportRequest request;
    request.filter = "main";
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    request.snapshot = UniqueFd(ends[0]);
    UniqueFd writer(ends[1]);
    const size_t part = bytes.size() * static_cast<size_t>(i) / 30;
    ::fcntl(writer.get(), F_SETPIPE_SZ, 1 << 20);
    EXPECT_EQ(::write(writer.get(), bytes.data(), part),
              static_cast<ssize_t>(part));
    writer.Reset();
    bool answered = false;
    node.service().Import(std::move(request),
                          [&](absl::StatusOr<ImportReport>) {
                            answered = true;
                          });
    node.TurnUntil([&] { return answered; });
    node.TurnUntil([&] { return !node.service().busy(); });
    EXPECT_EQ(node.States(), 0u);
    EXPECT_EQ(node->budget().used(), 0u);
    node.service().Disable("main", [](absl::StatusOr<FilterStatus>) {});
    ASSERT_TRUE(node.service().Enable("main", false).ok());
  }
}

}  // namespace
}  // namespace sluice
