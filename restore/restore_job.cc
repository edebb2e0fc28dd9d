#include "restore/restore_job.h"

#include <array>
#include <string_view>

namespace sluice {
namespace {

constexpr std::array<std::string_view, kRestoreFailureCount> kFailureNames = {
    "none",
    "snapshot refused",
    "no snapshot",
    "no snapshot was brought",
    "temporary failure",
    "queue deadline",
    "validation deadline",
    "commit deadline",
    "builder lost",
    "policy changed meanwhile",
};

constexpr std::array<std::string_view, kRestoreCodeCount> kCodeNames = {
    "started",  "joined", "restored", "failed",   "skipped",
    "cancelled", "already applied", "conflict", "busy", "stale",
    "disabled", "generation moved", "unknown filter",
};

}  // namespace

std::string_view Name(RestoreFailure failure) {
  return kFailureNames[static_cast<size_t>(failure)];
}

std::string_view Name(RestoreCode code) {
  return kCodeNames[static_cast<size_t>(code)];
}

}  // namespace sluice
