// An engine between two ports, for transfers of its main filter: driven by
// hand, or with its workers running.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_TRANSFER_TRANSFER_NODE_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_TRANSFER_TRANSFER_NODE_H_

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/test_plane.h"

namespace sluice {

// A file in memory, empty, or with the bytes and read from its start.
inline UniqueFd MemoryFile(std::span<const uint8_t> bytes = {}) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_TRUE(fd.valid());
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

inline std::vector<uint8_t> ContentsOf(int fd) {
  std::vector<uint8_t> bytes(
      static_cast<size_t>(::lseek(fd, 0, SEEK_END)));
  EXPECT_EQ(::pread(fd, bytes.data(), bytes.size(), 0),
            static_cast<ssize_t>(bytes.size()));
  return bytes;
}

struct TransferNodeOptions {
  uint16_t workers = 1;
  RestoreLimits limits = {};
  std::string source = {};
  std::shared_ptr<TransferSource> own_source = nullptr;
  ImportChoice choice = {};
  bool snapshot_required = false;
  FailPolicy fail_policy = FailPolicy::kClosed;
  // The port is enabled from the start, and expects nothing.
  bool enabled = true;
  size_t max_snapshot = size_t{16} << 20;
  TransferLimits transfers = {};
};

class TransferNode {
 public:
  using Options = TransferNodeOptions;
  explicit TransferNode(Options options = {})
      : plane_({.workers = options.workers,
                .restore = options.limits,
                .max_snapshot = options.max_snapshot,
                .transfers = options.transfers,
                .restore_clock = [this] { return Now(); }}) {
    // Main comes enabled and without a source. Here it is what the options
    // say, and its commits are counted.
    bool removed = false;
    service().Disable("main", [](const absl::StatusOr<FilterStatus>&) {});
    const absl::Status gone =
        service().RemoveFilter("main", [&removed] { removed = true; });
    EXPECT_TRUE(gone.ok()) << gone;
    TurnUntil([&removed] { return removed; });
    plane_.filter().fail_policy = options.fail_policy;
    RestoreFilterOptions filter;
    filter.filter.name = "main";
    filter.filter.id = {1, 2, 3};
    filter.filter.plane = &plane_.filter();
    filter.filter.state_capacity = 4096;
    filter.filter.policy_changed = [this] { ++policy_changes_; };
    filter.source = options.source;
    filter.own_source = options.own_source;
    filter.choice = options.choice;
    filter.snapshot_required = options.snapshot_required;
    const absl::Status added = service().AddFilter(std::move(filter));
    EXPECT_TRUE(added.ok()) << added;
    if (options.enabled) {
      EXPECT_TRUE(service().Enable("main", false).ok());
    }
  }
  ~TransferNode() { Stop(); }

  TestPlane* operator->() { return &plane_; }
  TestPlane& plane() { return plane_; }
  RestoreService& service() { return plane_.engine().restores(); }
  FilterStatus status() { return plane_.filter().status.Load(); }
  int policy_changes() const { return policy_changes_; }

  // Workers run on threads of their own until Stop().
  void Start() {
    plane_.engine().LaunchOnThreads();
    running_ = true;
  }
  void Stop() {
    plane_.engine().Stop([] { return true; });
    running_ = false;
  }

  // One turn of the control loop, and of the workers if they do not run.
  void Turn() {
    if (running_) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    } else {
      plane_.engine().Round();
    }
    plane_.engine().Poll(plane_.engine().Now());
  }
  // Turns until something holds; fails after many.
  bool TurnUntil(const std::function<bool()>& holds) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) {
        ADD_FAILURE() << "it does not come to that";
        return false;
      }
      Turn();
    }
    return true;
  }
  // Turns of the control loop alone for so long: no worker runs.
  void TurnWithoutWorkers(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      plane_.engine().Poll(plane_.engine().Now());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  // The service's clock: real, and what a test has added to it.
  RestoreTime Now() const { return SteadyMicroseconds() + skipped_; }
  void Skip(RestoreTime time) { skipped_ += time; }

  absl::StatusOr<ExportReport> Export(int fd) {
    std::optional<absl::StatusOr<ExportReport>> result;
    service().Export("main", UniqueFd(::dup(fd)), {},
                     [&](absl::StatusOr<ExportReport> r) {
                       result = std::move(r);
                     });
    TurnUntil([&] { return result.has_value(); });
    return *std::move(result);
  }
  std::vector<uint8_t> Snapshot() {
    const UniqueFd file = MemoryFile();
    const absl::StatusOr<ExportReport> report = Export(file.get());
    EXPECT_TRUE(report.ok()) << report.status();
    return ContentsOf(file.get());
  }
  absl::StatusOr<ImportReport> Import(ImportRequest request) {
    std::optional<absl::StatusOr<ImportReport>> result;
    request.filter = "main";
    service().Import(std::move(request), [&](absl::StatusOr<ImportReport> r) {
      result = std::move(r);
    });
    TurnUntil([&] { return result.has_value(); });
    return *std::move(result);
  }
  absl::StatusOr<ImportReport> Import(std::span<const uint8_t> bytes,
                                      bool policy = true) {
    ImportRequest request;
    request.snapshot = MemoryFile(bytes);
    request.policy = policy;
    return Import(std::move(request));
  }

  // Offers a packet at port 0 ("in") or 1 ("out") to the worker that owns its
  // flow, and returns whether it left by the other one. Workers do not run.
  bool Passes(size_t port, const std::string& text) {
    rte_mbuf* mbuf = plane_.Make(text);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const uint16_t owner = plane_.plane().steering.Owner(*mbuf, info);
    EXPECT_TRUE(plane_.port(port).Arrive(mbuf, owner));
    plane_.worker(owner).Round();
    return plane_.port(1 - port).Drain() > 0;
  }
  uint64_t States() {
    uint64_t count = 0;
    for (Worker* worker : plane_.workers()) count += worker->states().size();
    return count;
  }

 private:
  static RestoreTime SteadyMicroseconds() {
    return static_cast<RestoreTime>(
        std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now().time_since_epoch())
            .count());
  }

  RestoreTime skipped_ = 0;
  int policy_changes_ = 0;
  bool running_ = false;
  TestPlane plane_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_TRANSFER_TRANSFER_NODE_H_
