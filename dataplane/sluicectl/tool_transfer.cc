#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/import_answer.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/transfer.h"
#include "restore/snapshot_format.h"

namespace sluice {
namespace {

using nlohmann::json;

// What a snapshot does not have, and why; empty: nothing.
std::string LeftOut(const json& report) {
  std::string text;
  const auto add = [&](const char* member, std::string_view why) {
    const uint64_t count = Number(report, member);
    if (count != 0) {
      absl::StrAppend(&text, count, " ",
                      absl::string_view(why.data(), why.size()), "\n");
    }
  };
  add("no_sync", "states left out: their rule says no-sync");
  add("not_portable", "states left out: no other machine would take them");
  add("ties_cut", "states go without their parent, which is not there");
  return text;
}

}  // namespace

TransferTool::TransferTool(const TransferArguments& arguments, Caller* caller,
                           int in_fd, int out_fd, std::ostream& out,
                           std::ostream& err)
    : arguments_(arguments),
      caller_(caller),
      in_fd_(in_fd),
      out_fd_(out_fd),
      output_(out, err, arguments.json, arguments.quiet) {}

int TransferTool::Run() {
  int status = 1;
  switch (arguments_.command) {
    // Its standard output is the snapshot.
    case TransferCommand::kStateExport: return Export();
    case TransferCommand::kStateImport: status = Import(); break;
    case TransferCommand::kSnapshotShow: status = Show(); break;
    case TransferCommand::kSnapshotVerify: status = Verify(); break;
    case TransferCommand::kRestoreStatus: status = Status(); break;
    case TransferCommand::kRestoreMetrics: status = Metrics(); break;
  }
  return output_.Finish() ? status : 1;
}

int TransferTool::Fail(std::string_view message) {
  output_.Complain("sluicectl: " + std::string(message) + "\n");
  return 1;
}

std::unique_ptr<json> TransferTool::Ask(const std::string& method, json params,
                                        int descriptor) {
  CallError error;
  std::unique_ptr<json> result = caller_->CallWithDescriptor(
      method, std::move(params), descriptor, &error);
  if (result == nullptr) Fail(error.message);
  return result;
}

int TransferTool::Export() {
  if (::isatty(out_fd_) == 1) {
    return Fail("a snapshot is no text: send standard output to a file");
  }
  json params = json::object();
  if (!arguments_.filter.empty()) params["filter"] = arguments_.filter;
  const auto report = Ask("state.export", std::move(params), out_fd_);
  if (report == nullptr) return 1;
  if (arguments_.json) {
    output_.Complain(report->dump() + "\n");
  } else if (!arguments_.quiet) {
    output_.Complain(absl::StrCat(
        Number(*report, "states"), " states exported, ",
        Number(*report, "bytes"), " bytes; workers blocked for ",
        Number(*report, "longest_step_ns") / 1000, " us at most\n",
        LeftOut(*report)));
  }
  return 0;
}

// With what it is about before it.
std::string TransferTool::OfInput(const absl::Status& status) const {
  return absl::StrCat(arguments_.file == "-" ? "standard input"
                                             : arguments_.file,
                      ": ", status.message());
}

int TransferTool::Import() {
  absl::StatusOr<UniqueFd> input = OpenSnapshot(arguments_.file, in_fd_);
  if (!input.ok()) return Fail(OfInput(input.status()));
  json params = {{"orphans", arguments_.drop_orphans ? "drop" : "keep"},
                 {"policy", arguments_.policy}};
  if (!arguments_.filter.empty()) params["filter"] = arguments_.filter;
  if (arguments_.replace) params["replace"] = *arguments_.replace;
  if (!arguments_.from_filter.empty()) {
    params["from_filter"] = arguments_.from_filter;
  }
  const auto answer = Ask("state.import", std::move(params), input->get());
  if (answer == nullptr) return 1;
  output_.Put("state.import", *answer);
  const int status = ExitStatusOfImport(Text(*answer, "code"));
  const std::string said = ExplainImport(
      *answer, arguments_.filter,
      arguments_.file == "-" ? "FILE" : arguments_.file);
  if (status == 0) {
    output_.Say(said);
  } else {
    Fail(said);
  }
  return status;
}

int TransferTool::Status() {
  json params = json::object();
  if (!arguments_.filter.empty()) params["filter"] = arguments_.filter;
  const auto answer = Ask("restore.status", std::move(params));
  if (answer == nullptr) return 1;
  output_.BeginList("restores");
  for (const json& restore : Member(*answer, "restores")) {
    output_.Element(restore);
    output_.Print(FormatRestore(restore));
  }
  output_.EndList();
  output_.Put("limits", Member(*answer, "limits"));
  output_.Print(FormatRestoreLimits(Member(*answer, "limits")));
  return 0;
}

int TransferTool::Metrics() {
  const auto answer = Ask("restore.metrics", json::object());
  if (answer == nullptr) return 1;
  output_.Put("restore.metrics", *answer);
  output_.Print(FormatMetrics(*answer));
  return 0;
}

absl::StatusOr<ReadResult> TransferTool::ReadInput(size_t* bytes) const {
  absl::StatusOr<UniqueFd> input = OpenSnapshot(arguments_.file, in_fd_);
  if (!input.ok()) return input.status();
  const off_t size = ::lseek(input->get(), 0, SEEK_END);
  if (size < 0 || static_cast<uint64_t>(size) > kMaxSnapshotBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("longer than ", kMaxSnapshotBytes, " bytes"));
  }
  std::vector<uint8_t> all(static_cast<size_t>(size));
  for (size_t done = 0; done < all.size();) {
    const ssize_t n = ::pread(input->get(), all.data() + done,
                              all.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::UnavailableError(std::strerror(n < 0 ? errno : EIO));
    done += static_cast<size_t>(n);
  }
  *bytes = all.size();
  SnapshotLimits limits;
  limits.bytes = kMaxSnapshotBytes;
  return ReadSnapshot(all, limits);
}

int TransferTool::Show() {
  size_t bytes = 0;
  const absl::StatusOr<ReadResult> read = ReadInput(&bytes);
  if (!read.ok()) {
    return Fail(OfInput(read.status()));
  }
  if (output_.json()) {
    output_.Put("snapshot", SnapshotToJson(*read, bytes));
  } else {
    output_.Print(FormatSnapshot(*read, bytes));
  }
  return 0;
}

int TransferTool::Verify() {
  size_t bytes = 0;
  const absl::StatusOr<ReadResult> read = ReadInput(&bytes);
  if (output_.json()) {
    json result = {{"ok", read.ok()}};
    if (!read.ok()) result["error"] = std::string(read.status().message());
    output_.Put("verify", result);
  }
  if (!read.ok()) {
    return Fail(OfInput(read.status()));
  }
  output_.Print(absl::StrCat(arguments_.file, ": ",
                             SummarizeSnapshot(read->snapshot), "\n"));
  return 0;
}

}  // namespace sluice
