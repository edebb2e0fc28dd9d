// sluicectl's commands for states on their way: `state export`, `state import`,
// `restore status`, `restore metrics`, and `snapshot show` and `snapshot
// verify`, which need no daemon.
#ifndef SLUICE_DATAPLANE_SLUICECTL_TRANSFER_H_
#define SLUICE_DATAPLANE_SLUICECTL_TRANSFER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/sluicectl/client.h"
#include "dataplane/sluicectl/output.h"
#include "nlohmann/json_fwd.hpp"
#include "restore/snapshot_reader.h"

namespace sluice {

enum class TransferCommand : uint8_t {
  kStateExport,
  kStateImport,
  kSnapshotShow,
  kSnapshotVerify,
  kRestoreStatus,
  kRestoreMetrics,
};

struct TransferArguments {
  TransferCommand command = TransferCommand::kStateExport;
  std::string filter;  // --filter; empty: main, or all where there is a list
  std::string file;    // "-" is standard input
  std::optional<uint64_t> replace;  // --replace GENERATION
  bool drop_orphans = false;        // --orphans drop
  bool policy = false;              // --policy
  std::string from_filter;          // --from-filter
  std::string socket;               // -p, --socket
  bool json = false;
  bool quiet = false;
  bool help = false;
};

// Whether the words are a command of these: its noun may come after general
// options.
bool IsTransferCommand(std::span<const std::string> words);
absl::StatusOr<TransferArguments> ParseTransferArguments(
    std::span<const std::string> words);
std::string_view TransferUsage();
// Of it, what is about the command that the words name.
std::string TransferUsageFor(std::span<const std::string> words);

// Exit statuses of `state import` beside 0 (restored, or applied before) and 1
// (refused, failed, or not asked).
inline constexpr int kExitConflict = 3;   // another one was, or rules moved
inline constexpr int kExitBusy = 4;       // another one is: try again
inline constexpr int kExitCancelled = 5;  // the incarnation is over

class TransferTool {
 public:
  // Nothing is owned. `in_fd` and `out_fd` are standard input and output.
  TransferTool(const TransferArguments& arguments, Caller* caller, int in_fd,
               int out_fd, std::ostream& out, std::ostream& err);
  // The exit status.
  int Run();

 private:
  int Export();
  int Import();
  int Status();
  int Metrics();
  int Show();
  int Verify();

  std::unique_ptr<nlohmann::json> Ask(const std::string& method,
                                      nlohmann::json params,
                                      int descriptor = -1);
  int Fail(std::string_view message);
  std::string OfInput(const absl::Status& status) const;
  absl::StatusOr<ReadResult> ReadInput(size_t* bytes) const;

  const TransferArguments& arguments_;
  Caller* const caller_;
  const int in_fd_;
  const int out_fd_;
  Output output_;
};

// The text of a snapshot, its states as `-s states` shows them, and the same
// as JSON.
std::string FormatSnapshot(const ReadResult& read, size_t bytes);
nlohmann::json SnapshotToJson(const ReadResult& read, size_t bytes);
// "main, incarnation 3: 12 states, ...".
std::string SummarizeSnapshot(const Snapshot& snapshot);

// What restore.status and restore.metrics answered.
std::string FormatRestore(const nlohmann::json& restore);
std::string FormatRestoreLimits(const nlohmann::json& limits);
std::string FormatMetrics(const nlohmann::json& metrics);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_TRANSFER_H_
