#include "dataplane/base/fault_point.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

// In the order in which they are passed.
constexpr std::array<std::string_view, 22> kNames = {
    "export.begin",    "export.chunk",     "export.recorded",
    "export.encoded",  "export.partly",    "export.written",
    "import.read",     "import.prepared",  "import.reserved",
    "import.tied",     "commit.begin",     "commit.states",
    "commit.published", "commit.done",     "save.begin",
    "save.written",    "save.synced",      "save.kept",
    "save.renamed",    "save.done",        "start.manifest",
    "start.policy",
};

}  // namespace

namespace internal {

struct ArmedFault {
  std::string name;
  std::atomic<uint32_t> left;
};
ArmedFault* armed_fault = nullptr;

void PassFaultPoint(std::string_view name) {
  if (name != armed_fault->name) return;
  if (armed_fault->left.fetch_sub(1, std::memory_order_relaxed) == 1) {
    ::kill(::getpid(), SIGKILL);
    // It may take a moment to arrive; nothing more is to happen.
    for (;;) ::pause();
  }
}

}  // namespace internal

std::span<const std::string_view> FaultPointNames() { return kNames; }

absl::Status ArmFaultPoint(std::string_view value) {
  const size_t colon = value.rfind(':');
  const std::string_view name = value.substr(0, colon);
  uint32_t count = 0;
  if (colon == std::string_view::npos ||
      std::ranges::find(kNames, name) == kNames.end() ||
      !absl::SimpleAtoi(
          absl::string_view(value.data() + colon + 1, value.size() - colon - 1),
          &count) ||
      count == 0 || count > uint32_t{1} << 31) {
    return absl::InvalidArgumentError(absl::StrCat(
        "SLUICE_FAULT_POINT=", View(value),
        " is not NAME:COUNT with the name of a fault point"));
  }
  internal::armed_fault =
      new internal::ArmedFault{.name = std::string(name), .left = count};
  return absl::OkStatus();
}

absl::Status ReadFaultPoints() {
  const char* value = std::getenv("SLUICE_FAULT_POINT");
  if (value == nullptr || *value == '\0') return absl::OkStatus();
  return ArmFaultPoint(value);
}

}  // namespace sluice
