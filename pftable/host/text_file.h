// Files that somebody names and that are read whole: rulesets, what they
// include, configurations. Whatever a name leads to, reading it comes to an
// end. Messages do not repeat the name.
#ifndef SLUICE_PFTABLE_HOST_TEXT_FILE_H_
#define SLUICE_PFTABLE_HOST_TEXT_FILE_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// So long nothing comes by a pipe before it is given up.
inline constexpr std::chrono::milliseconds kPipePatience{30'000};

// A descriptor for reading. A named pipe is waited for until somebody writes
// to it. Errors: the system's, and DeadlineExceeded.
absl::StatusOr<int> OpenInput(
    const std::string& path,
    std::chrono::milliseconds patience = kPipePatience);

// All that the descriptor has from where it is. ResourceExhausted: more than
// `max_bytes`. DeadlineExceeded: a pipe by which nothing came for `patience`.
absl::StatusOr<std::string> ReadInput(
    int fd, size_t max_bytes,
    std::chrono::milliseconds patience = kPipePatience);

// Both.
absl::StatusOr<std::string> ReadTextFile(
    const std::string& path, size_t max_bytes,
    std::chrono::milliseconds patience = kPipePatience);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_HOST_TEXT_FILE_H_
