#include "dataplane/sluicectl/import_answer.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/transfer.h"
#include "pftable/host/text_file.h"
#include "restore/snapshot_format.h"

namespace sluice {
namespace {

using nlohmann::json;

// What a pipe has, in a file of its own.
// Messages do not name the input.
absl::StatusOr<UniqueFd> Collect(int in) {
  UniqueFd file(::memfd_create("sluicectl", MFD_CLOEXEC));
  if (!file.valid()) return absl::UnavailableError(SystemText("memfd_create", errno));
  std::vector<char> bytes(256 * 1024);
  uint64_t whole = 0;
  for (;;) {
    const ssize_t n = ::read(in, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::UnavailableError(std::strerror(errno));
    if (n == 0) break;
    whole += static_cast<size_t>(n);
    if (whole > kMaxSnapshotBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("longer than ", kMaxSnapshotBytes, " bytes"));
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t m = ::write(file.get(), bytes.data() + done,
                                static_cast<size_t>(n - done));
      if (m < 0 && errno == EINTR) continue;
      if (m <= 0) return absl::UnavailableError(SystemText("memfd", errno));
      done += m;
    }
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenSnapshot(const std::string& name, int in_fd) {
  const absl::StatusOr<int> opened =
      name == "-" ? ::dup(in_fd) : OpenInput(name);
  if (!opened.ok()) return opened.status();
  UniqueFd fd(*opened);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) {
    return absl::UnavailableError(std::strerror(errno));
  }
  if (S_ISREG(status.st_mode)) return fd;
  if (S_ISDIR(status.st_mode)) {
    return absl::UnavailableError(std::strerror(EISDIR));
  }
  return Collect(fd.get());
}

int ExitStatusOfImport(const std::string& code) {
  if (code == "restored" || code == "already applied") return 0;
  if (code == "conflict" || code == "generation moved") return kExitConflict;
  if (code == "busy") return kExitBusy;
  if (code == "cancelled" || code == "stale" || code == "disabled") {
    return kExitCancelled;
  }
  return 1;
}

std::string ExplainImport(const json& answer, std::string_view filter,
                          std::string_view file) {
  const std::string code = Text(answer, "code");
  const std::string detail = Text(answer, "detail");
  const uint64_t incarnation = Number(answer, "incarnation");
  const auto with = [&](const std::string& text) {
    return detail.empty() ? text : text + ": " + detail;
  };
  if (code == "restored" || code == "already applied") {
    const json& report = Member(answer, "report");
    std::string text = absl::StrCat(
        code == "restored"
            ? (Truth(answer, "joined") ? "restored by another request"
                                       : "restored")
            : "was applied before, in this incarnation",
        ": ", Number(report, "states_imported"), " states imported, ",
        Number(report, "states_merged"), " merged with live ones, ",
        Number(report, "states_orphaned"), " without their rule, ",
        Number(report, "states_refused"), " refused; ",
        Number(report, "rules"), " rules, ", Number(report, "tables"),
        " tables");
    const uint64_t step = Number(answer, "longest_step_ns");
    if (step > 0) {
      absl::StrAppend(&text, "; workers blocked for ", step / 1000,
                      " us at most");
    }
    return text;
  }
  if (code == "conflict") {
    return absl::StrCat("conflict: another snapshot, ",
                        Text(answer, "snapshot"),
                        ", was applied in incarnation ", incarnation,
                        "; --replace GENERATION applies this one in its "
                        "place");
  }
  if (code == "generation moved") {
    return "conflict: the generation to be replaced is not in force any more; "
           "look at `filter show` again";
  }
  if (code == "busy") {
    return "busy: a restore of another snapshot is under way, or too many "
           "wait for it; ask again when it has ended";
  }
  if (code == "disabled") return "the filter's ports are disabled";
  if (code == "cancelled" || code == "stale") {
    return absl::StrCat("cancelled: incarnation ", incarnation,
                        " of the filter's ports has ended");
  }
  if (code == "skipped") return with("there was no snapshot");
  if (code == "failed") {
    return with(absl::StrCat("not restored, ", Text(answer, "failure"))) +
           absl::StrCat("; `sluicectl state import",
                        filter.empty() ? "" : " --filter ", View(filter), " ",
                        View(file), "` makes another attempt");
  }
  return with(code);
}

}  // namespace sluice
