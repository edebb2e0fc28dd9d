// Reading and writing whole files and descriptors, with every error told.
#ifndef SLUICE_DATAPLANE_BASE_FILE_IO_H_
#define SLUICE_DATAPLANE_BASE_FILE_IO_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// All of what a descriptor has from its offset on: a file, or a pipe or
// socket, of which it waits for the end. The descriptor stays open, and its
// flags as they are. Errors: ResourceExhausted: more than `max_bytes`.
// DeadlineExceeded: a pipe that did not end in `wait`. Cancelled: `stop` was
// set while it waited. InvalidArgument: it is none of these.
absl::StatusOr<std::vector<uint8_t>> ReadDescriptor(
    int fd, size_t max_bytes, std::chrono::milliseconds wait,
    const std::atomic<bool>* stop = nullptr);

// The whole file. Errors: those of SystemError(), and ResourceExhausted.
absl::StatusOr<std::vector<uint8_t>> ReadWholeFile(const std::string& path,
                                                   size_t max_bytes);

// Writes everything, in pieces. A pipe or socket whose reader takes nothing
// for `patience` is given up (DeadlineExceeded); one whose reader has gone is
// Unavailable, and raises no signal if the process ignores SIGPIPE.
// Cancelled: `stop` was set while it waited.
absl::Status WriteDescriptor(int fd, std::span<const uint8_t> bytes,
                             std::chrono::milliseconds patience,
                             const std::atomic<bool>* stop = nullptr);

// Makes `name` of the directory hold `bytes`, or leaves it as it was: whatever
// ends the process or the machine at any moment, the name is a whole file,
// the old one or the new one. With `keep`, the old one becomes `name`.old.
// `directory` is open for reading.
absl::Status ReplaceFile(int directory, const std::string& name,
                         std::span<const uint8_t> bytes, bool keep);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_FILE_IO_H_
